"""Style: repaint a photo in the manner of an artwork."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import image, presets
from engine.device import Device
from engine.image import Picture
from engine.request import Event, Notes, Progress, RequestError, Result, StyleRequest
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.gatys import Style
    from engine.weights import Network, Weights

EMBEDDED, HUB = "features", "vgg19"
PREVIEW_PX = 768  # longer side of a preview at most
PREVIEW_EVERY_S = 1.0
UPLOAD = "upload:"  # in a recipe, before the first letters of the style picture's SHA-256

STYLE_PX = 512  # longer side at which an artwork is looked at; it says how large its strokes come out
_STYLE_LEAST_PX = 64  # the shorter side; a smaller picture is enlarged, since the deepest layers see nothing in less
_SINGLE_COLOUR = 1.5 / 255  # standard deviation of a picture that has nothing but one colour in it


def stylize(request: StyleRequest, weights: Weights, device: Device, settings: Settings) -> Iterator[Event]:
    """Repaint `request.photo`; yields Progress with a preview every second, then a Result with one picture.

    Files are checked before anything is decoded, and networks are fetched before the device is taken. RequestError
    when a file is no picture, a style has only one colour, or there is no such preset or network.
    """
    image.check(request.photo, settings)
    if not _is_preset(request.style):
        _check_style_file(request.style, settings)
    names, unmet = _networks(request, on_gpu=device.is_cuda)
    network, fallbacks = yield from weights.load_first(names)
    yield from device.exclusively(_Work(request, network, (*unmet, *fallbacks), device, settings).events())


def _is_preset(style: str) -> bool:
    return style in presets.BY_NAME


def _check_style_file(style: str, settings: Settings) -> None:
    if style.startswith(UPLOAD):
        raise RequestError("This recipe was made with a style picture of its own; give that picture as the style.")
    if not Path(style).suffix and not Path(style).exists():
        raise RequestError(f"There is no style {style[:40]!r}; give a picture file, or one of {', '.join(presets.BY_NAME)}.")
    image.check(style, settings)


def _networks(request: StyleRequest, *, on_gpu: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The networks to try, the best first, and a sentence when the one that was wished for cannot serve."""
    wish = request.network
    if wish not in ("auto", "embedded", "hub", EMBEDDED, HUB):
        raise RequestError(f"There is no network {wish[:40]!r} for styles; choose auto, embedded, hub, {EMBEDDED} or {HUB}.")
    if _is_preset(request.style):  # a preset has no picture that another network could look at
        return (EMBEDDED,), ((f"The presets are made for {EMBEDDED}, so it was used instead of {HUB}.",) if wish in ("hub", HUB) else ())
    return ((HUB, EMBEDDED) if wish in ("hub", HUB) or (wish == "auto" and on_gpu) else (EMBEDDED,)), ()


class _Work:
    """The part of a request that holds the device."""

    def __init__(self, request: StyleRequest, network: Network, fallbacks: tuple[str, ...], device: Device, settings: Settings) -> None:
        self.request, self.network, self.fallbacks, self.device, self.settings = request, network, fallbacks, device, settings

    def events(self) -> Iterator[Event]:
        from engine.models import gatys

        started = time.monotonic()
        request, target = self.request, self.network.device
        original = image.load(request.photo, self.settings)
        photo = _fitted(original, request.size_px)
        steps = gatys.paint(
            self.network.module,
            gatys.BACKBONES[self.network.weight.name],
            _on_white(photo).to(target),
            self._style(),
            steps=request.steps,
            content_weight=request.content_weight,
            style_weight=request.style_weight,
            seed=request.seed,
            memory=self.settings.tile_memory,
        )
        doing, shown, painted = f"Painting with {self.network.weight.name}", float("-inf"), photo.pixels
        for step in steps:
            preview = None
            if time.monotonic() - shown >= PREVIEW_EVERY_S:
                preview, shown = self._preview(photo, step.picture), time.monotonic()
            yield Progress(step.done, step.total, f"{doing}: step {step.done} of {step.total}", preview)
            painted = step.picture
        result = photo.with_pixels(self._blended(photo, painted))
        yield Result((result,), self._recipe(), self._notes(original), time.monotonic() - started, photo)

    def _blended(self, photo: Picture, painted: Tensor) -> Tensor:
        """photo + strength * (painted - photo); exactly the photo at 0."""
        import torch

        return torch.lerp(photo.pixels.float(), painted.detach().float().cpu(), self.request.strength).clamp_(0, 1)

    def _preview(self, photo: Picture, painted: Tensor) -> Picture:
        """The picture so far, at one size from the first step to the last."""
        longer = max(photo.width, photo.height)
        small = _fitted(photo, min(longer, PREVIEW_PX))
        return small.with_pixels(self._blended(small, Picture(painted.detach().float().cpu()).resized(small.width, small.height).pixels))

    def _style(self) -> Style:
        from engine.models import gatys

        if _is_preset(self.request.style):
            return presets.load(self.request.style, self.settings, self.network.module).to(self.network.device)
        artwork = _on_white(seen(image.load(self.request.style, self.settings)))
        if float(artwork.std((2, 3), correction=0).max()) < _SINGLE_COLOUR:
            raise RequestError("The style picture has only one colour; choose one with strokes or a pattern.")
        return gatys.measure(self.network.module, gatys.BACKBONES[self.network.weight.name], artwork.to(self.network.device))

    def _recipe(self) -> dict[str, object]:
        """The request's recipe; a style picture is named by its contents, never by where it lies on this machine."""
        if _is_preset(self.request.style):
            return self.request.recipe()
        return self.request.recipe() | {"style": UPLOAD + hashlib.sha256(Path(self.request.style).read_bytes()).hexdigest()[:12]}

    def _notes(self, original: Picture) -> Notes:
        longer = max(original.width, original.height)
        enlarged = f"The photo was enlarged from {longer} to {self.request.size_px} pixels."
        return Notes(
            networks=(self.network.weight.name,),
            device="CPU" if self.network.device.type == "cpu" else self.device.name,
            fallbacks=self.fallbacks,
            remarks=(enlarged,) if longer < self.request.size_px else (),
        )


def seen(artwork: Picture) -> Picture:
    """An artwork at the size at which its style is taken: STYLE_PX, or its own where that is less, within reason."""
    longer, shorter = max(artwork.width, artwork.height), min(artwork.width, artwork.height)
    scale = max(min(1.0, STYLE_PX / longer), _STYLE_LEAST_PX / shorter)
    return artwork.resized(round(scale * artwork.width), round(scale * artwork.height))


def _fitted(picture: Picture, longer_px: int) -> Picture:
    """The picture with a longer side of `longer_px`."""
    scale = longer_px / max(picture.width, picture.height)
    return picture.resized(max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))


def _on_white(picture: Picture) -> Tensor:
    """The pixels with what is transparent laid on white, float32: a network sees no holes."""
    pixels = picture.pixels.float()
    return pixels if picture.alpha is None else 1 + picture.alpha.float() * (pixels - 1)
