"""Style: repaint a photo in the manner of artworks, or move its colours, and leave the product what it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine import image, product
from engine.contract.errors import RequestError
from engine.contract.events import EventStream, Notes, Progress, Result
from engine.contract.style import STYLE_LEAST_PX, StyleRequest
from engine.image import Picture
from engine.runtime.device import Device
from engine.settings import Settings
from engine.style import colours, fast, gatys, johnson, presets
from engine.style.kept import Kept
from engine.style.networks import StyleNetworks, is_preset, networks_for
from engine.style.painting import Painter, Painting
from engine.style.styles import UPLOAD, Styles, named
from engine.weights.choice import place

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Weights

# The longer side that a size of 0 stands for, where the photo is larger.
SIZES_PX = {"fast": 1024, "gatys": 512, "johnson": 1024}
_MUCH_CHANGED, _FEW_EDGES = 30.0, 0.35  # mean ΔE and share of edges from which a changed product is worth a warning

WAYS: Mapping[str, Callable[[Painter, Picture, Tensor], Painting]] = {
    "fast": fast.paint,
    "gatys": gatys.paint,
    "johnson": johnson.paint,
}


def stylize(request: StyleRequest, weights: Weights, device: Device, settings: Settings) -> EventStream:
    """Repaint `request.photo`; yields Progress with previews, then a Result with one picture.

    Files are checked before anything is decoded, and networks are fetched before the device is taken. RequestError
    when a file is no picture, a style has only one colour, or there is no such preset or network.
    """
    image.check(request.photo, settings)
    for style in request.styles if request.method != "johnson" else ():
        if not is_preset(style):
            _check_style_file(style, settings)
    for file in (request.mask, request.protect):
        if file:
            image.check(file, settings)
    networks = yield from networks_for(request, weights, on_gpu=device.is_cuda)
    if request.apply_to != "everything" and not request.mask:
        networks.finder = yield from product.finder(weights)
    yield from device.exclusively(_StyleRun(request, networks, device, settings).events())


def _check_style_file(style: str, settings: Settings) -> None:
    if style.startswith(UPLOAD):
        raise RequestError("This recipe was made with a style picture of its own; give that picture as the style.")
    if not Path(style).suffix and not Path(style).exists():
        raise RequestError(
            f"There is no style {style[:40]!r}; give a picture file, or one of {', '.join(presets.BY_NAME)}."
        )
    image.check(style, settings)


class _StyleRun:
    """The part of a request that holds the device."""

    def __init__(self, request: StyleRequest, networks: StyleNetworks, device: Device, settings: Settings) -> None:
        self.request, self.networks, self.device, self.settings = request, networks, device, settings
        self.remarks: list[str] = []

    def events(self) -> EventStream:
        started = time.monotonic()
        original = image.load(self.request.photo, self.settings)
        photo = original.fitted(self._size_px(original))
        source = photo.on_white()
        self.kept = Kept(self.request, photo, self.networks.finder, self.settings, self.remarks)
        styles = Styles(self.request, self.networks, self.settings)
        painter = Painter(self.request, self.networks, self.settings, styles, self.kept)
        painted = yield from WAYS.get(self.networks.method, colours.paint)(painter, photo, source)
        result = photo.with_pixels(self.kept.put_back(painted))
        yield Progress(0, 0, "Measuring how much was changed")
        measures = self._measured(photo, result)
        notes = Notes(
            tuple(network.weight.name for network in self.networks.all) or (self.request.method,),
            place(self.networks.all, self.device),
            tuple(self.networks.fallbacks),
            (*photo.remarks, *self._enlarged(original, photo), *self.remarks),
            measures,
        )
        yield Result((result,), self._recipe(), notes, time.monotonic() - started, photo)

    def _size_px(self, original: Picture) -> int:
        """The longer side of the result; nothing is enlarged unless a size was asked for."""
        own = max(original.width, original.height)
        return self.request.size_px or max(STYLE_LEAST_PX, min(own, SIZES_PX.get(self.networks.method, own)))

    def _recipe(self) -> dict[str, object]:
        """The request's recipe; a style picture is named by its contents, never by where it lies on this machine."""
        recipe = self.request.recipe()
        if self.request.method == "johnson":
            return recipe
        return recipe | {
            "style": named(self.request.style),
            "more_styles": [named(style) for style in self.request.more_styles],
        }

    def _enlarged(self, original: Picture, photo: Picture) -> tuple[str, ...]:
        before, now = max(original.width, original.height), max(photo.width, photo.height)
        return (f"The photo was enlarged from {before} to {now} pixels.",) if before < now else ()

    def _measured(self, photo: Picture, result: Picture) -> dict[str, float]:
        """How much was changed, and a remark when it is the product that was changed a lot."""
        from engine.models import change

        measures = change.measures(photo.on_white(), result.on_white(), self.kept.product)
        changed, edges = (
            measures.get(f"{name} product", measures.get(name, default))
            for name, default in (("mean ΔE", 0.0), ("edges kept", 1.0))
        )
        if self.request.method in SIZES_PX and (changed > _MUCH_CHANGED or edges < _FEW_EDGES):
            self.remarks.append(
                f"{'The photo' if self.kept.product is None else 'The product itself'} was changed a lot:"
                f" {self._remedy()}."
            )
        return measures

    def _remedy(self) -> str:
        """What changes the product less, of what the request does not have yet."""
        remedies = ["lower the strength"]
        if self.request.colours == "style":
            remedies.append("keep the photo's colours")
        if self.request.apply_to == "everything" and self.kept.product is not None:
            remedies.append("repaint the background only")
        return " or ".join(remedies) if len(remedies) < 3 else f"{remedies[0]}, {remedies[1]}, or {remedies[2]}"
