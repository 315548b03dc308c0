"""Style: repaint a photo in the manner of artworks, or move its colours, and leave the product what it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from engine import image, product
from engine.contract.errors import RequestError
from engine.contract.events import Event, EventStream, Notes, Progress, Result
from engine.contract.style import JOHNSON, STYLE_LEAST_PX, StyleRequest
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.device import Device
from engine.runtime.preview import Preview
from engine.runtime.tiles import Tiling
from engine.settings import Settings
from engine.style import presets
from engine.style.kept import Kept
from engine.weights.choice import place

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.style_loss import Style
    from engine.weights import Network, Weights

FEATURES, VGG, FAST = "features", "vgg19", "faststyle"
STAND_INS: Mapping[str, str] = {
    "mosaic": "composition-vii",
    "candy": "woman-with-a-hat",
    "udnie": "udnie",
    "pointilism": "grande-jatte",
}
"""The preset that answers when a style's own network cannot be had from the Hub."""

SIZES_PX = {
    "fast": 1024,
    "gatys": 512,
    "johnson": 1024,
}  # the longer side that a size of 0 stands for, where the photo is larger
PREVIEW_PX = 768  # longer side of a preview at most
PREVIEW_EVERY_S = 1.0
UPLOAD = "upload:"  # in a recipe, before the first letters of the style picture's SHA-256

STYLE_PX = 512  # longer side at which an artwork is looked at; it says how large its strokes come out
STATISTICS_PX = 512  # longer side at which the photo's own statistics are taken
_STYLE_LEAST_PX = 64  # the shorter side; a smaller picture is enlarged, since the deepest layers see nothing in less
_SINGLE_COLOUR = 1.5 / 255  # standard deviation of a picture that has nothing but one colour in it
_MUCH_CHANGED, _FEW_EDGES = 30.0, 0.35  # mean ΔE and share of edges from which a changed product is worth a warning

Painting: TypeAlias = Generator[Event, None, "Tensor"]  # returns (1, 3, H, W) in [0, 1], on the CPU


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
    networks = yield from _networks(request, weights, on_gpu=device.is_cuda)
    if request.apply_to != "everything" and not request.mask:
        networks.finder = yield from product.finder(weights)
    yield from device.exclusively(_StyleRun(request, networks, device, settings).events())


def is_preset(style: str) -> bool:
    return style in presets.BY_NAME


def _check_style_file(style: str, settings: Settings) -> None:
    if style.startswith(UPLOAD):
        raise RequestError("This recipe was made with a style picture of its own; give that picture as the style.")
    if not Path(style).suffix and not Path(style).exists():
        raise RequestError(
            f"There is no style {style[:40]!r}; give a picture file, or one of {', '.join(presets.BY_NAME)}."
        )
    image.check(style, settings)


@dataclass
class _Networks:
    """What was loaded for a request. eyes: what looks at styles; painter: what paints in one pass, if anything does;
    finder: what finds a product whose background is not plain."""

    method: str
    styles: tuple[str, ...]
    eyes: Network | None = None
    painter: Network | None = None
    finder: Network | None = None
    fallbacks: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[Network]:
        """Those that had a part in the picture, the painter first."""
        return [network for network in (self.painter, self.eyes) if network is not None]


def _networks(request: StyleRequest, weights: Weights, *, on_gpu: bool) -> Generator[Progress, None, _Networks]:
    """The networks of the method; where the Hub's cannot be had, another method answers and a sentence says so."""
    found = _Networks(request.method, request.styles)
    if request.method == "johnson":
        yield from _find_johnson(request, weights, found)
    if found.method == "gatys":
        found.eyes, fallbacks = yield from weights.load_first(_eyes(request, found, on_gpu=on_gpu))
        found.fallbacks += fallbacks
        if request.start == "fast" and found.eyes.weight.name == FEATURES:
            found.painter = yield from weights.load(FAST)
        elif request.start == "fast":
            found.fallbacks.append(
                f"{FAST} is told of a style by {FEATURES} alone, so the painting began with the photo."
            )
    elif found.method == "fast":
        if request.method == "fast" and request.network not in ("auto", "embedded", "hub", FAST, FEATURES):
            raise RequestError(
                f"There is no network {request.network[:40]!r} for the method fast; choose auto, embedded or {FAST}."
            )
        found.painter = yield from weights.load(FAST)
        if not all(is_preset(style) for style in found.styles):
            found.eyes = yield from weights.load(FEATURES)
    return found


def _find_johnson(request: StyleRequest, weights: Weights, found: _Networks) -> Generator[Progress, None, None]:
    from engine.weights import WeightsUnavailable

    if request.style not in JOHNSON or request.more_styles:
        raise RequestError(f"The method johnson has the styles {', '.join(JOHNSON)}, one at a time.")
    try:
        found.painter = yield from weights.load(f"johnson-{request.style}")
    except WeightsUnavailable as error:
        stand_in = STAND_INS[request.style]
        found.method, found.styles = "fast", (stand_in,)
        found.fallbacks.append(
            f"{str(error).rstrip('.')}, so the method fast painted with the preset {stand_in} instead."
        )


def _eyes(request: StyleRequest, found: _Networks, *, on_gpu: bool) -> tuple[str, ...]:
    """The networks to try for Gatys' method, the best first; `found` hears when the one that was wished for cannot
    serve.
    """
    wish = request.network
    if wish not in ("auto", "embedded", "hub", FEATURES, VGG):
        raise RequestError(
            f"There is no network {wish[:40]!r} for styles; choose auto, embedded, hub, {FEATURES} or {VGG}."
        )
    if any(is_preset(style) for style in request.styles):  # a preset has no picture that another network could look at
        if wish in ("hub", VGG):
            found.fallbacks.append(f"The presets are made for {FEATURES}, so it was used instead of {VGG}.")
        return (FEATURES,)
    return (VGG, FEATURES) if wish in ("hub", VGG) or (wish == "auto" and on_gpu) else (FEATURES,)


class _StyleRun:
    """The part of a request that holds the device."""

    def __init__(self, request: StyleRequest, networks: _Networks, device: Device, settings: Settings) -> None:
        self.request, self.networks, self.device, self.settings = request, networks, device, settings
        self.remarks: list[str] = []

    def events(self) -> EventStream:
        started = time.monotonic()
        original = image.load(self.request.photo, self.settings)
        photo = original.fitted(self._size_px(original))
        source = photo.on_white()
        self.kept = Kept(self.request, photo, self.networks.finder, self.settings, self.remarks)
        method = {"gatys": self._gatys, "fast": self._fast, "johnson": self._johnson}.get(
            self.networks.method, self._moved_colours
        )
        painted = yield from method(photo, source)
        result = photo.with_pixels(self.kept.put_back(painted))
        yield Progress(0, 0, "Measuring how much was changed")
        measures = self._measured(photo, result)
        notes = Notes(
            tuple(network.weight.name for network in self.networks.all) or (self.request.method,),
            place(self.networks.all, self.device),
            tuple(self.networks.fallbacks),
            (*self._enlarged(original, photo), *self.remarks),
            measures,
        )
        yield Result((result,), self._recipe(), notes, time.monotonic() - started, photo)

    def _size_px(self, original: Picture) -> int:
        """The longer side of the result; nothing is enlarged unless a size was asked for."""
        own = max(original.width, original.height)
        return self.request.size_px or max(STYLE_LEAST_PX, min(own, SIZES_PX.get(self.networks.method, own)))

    def _gatys(self, photo: Picture, source: Tensor) -> Painting:
        from engine.models import gatys

        eyes = self.networks.eyes
        assert eyes is not None  # the method's network
        canvas, style = self._for_brush(source), self._style(source)
        start = (yield from self._one_pass(canvas, style)) if self.networks.painter else None
        steps = gatys.paint(
            eyes.module,
            gatys.BACKBONES[eyes.weight.name],
            canvas.to(eyes.device),
            style.to(eyes.device),
            steps=self.request.steps,
            content_weight=self.request.content_weight,
            style_weight=self.request.style_weight,
            style_loss=self.request.style_loss,
            optimizer=self.request.optimizer,
            seed=self.request.seed,
            memory=self.settings.tile_memory,
            start=None if start is None else start.to(eyes.device),
        )
        doing, shown, painted = f"Painting with {eyes.weight.name}", float("-inf"), canvas
        for step in steps:
            preview = None
            if time.monotonic() - shown >= PREVIEW_EVERY_S:
                preview, shown = self._preview(photo, step.picture), time.monotonic()
            yield Progress(step.done, step.total, f"{doing}: step {step.done} of {step.total}", preview)
            painted = step.picture
        return self._from_brush(painted.detach().float().cpu(), canvas, source)

    def _fast(self, photo: Picture, source: Tensor) -> Painting:
        canvas = self._for_brush(source)
        return self._from_brush((yield from self._one_pass(canvas, self._style(source))), canvas, source)

    def _one_pass(self, canvas: Tensor, style: Style) -> Painting:
        """The canvas painted by `faststyle`, tile by tile, in a margin that is cut off: at an edge its strokes are
        drawn out.
        """
        import torch

        from engine.models import faststyle, gatys, gaussian

        painter = self.networks.painter
        assert painter is not None  # the method's network
        start, (top, left) = gatys.framed(gaussian.recoloured(canvas, style.colour, like=_small(canvas)), 4)
        told = faststyle.code(style)
        rng = torch.Generator().manual_seed(self.request.seed)
        grain = (
            torch.randn(1, faststyle.NOISE_CHANNELS, start.shape[2] // 4, start.shape[3] // 4, generator=rng)
            .repeat_interleave(4, 2)
            .repeat_interleave(4, 3)
        )
        if self.networks.method == "fast":  # a start for gatys gets all of them
            grain *= self.request.strokes
        inside = (slice(top, top + canvas.shape[2]), slice(left, left + canvas.shape[3]))

        def paint(x: Tensor) -> Tensor:
            return painter(x[:, :3], told, x[:, 3:, ::4, ::4])

        preview = Preview(start, inside=inside)
        painted = yield from self._tiled(
            paint, torch.cat([start, grain], 1), painter.weight.tiling, f"Painting with {FAST}", preview
        )
        return painted[:, :, inside[0], inside[1]]

    def _johnson(self, photo: Picture, source: Tensor) -> Painting:
        import torch

        painter = self.networks.painter
        assert painter is not None  # the method's network
        canvas = self._for_brush(source)
        multiple, small = painter.weight.tiling.multiple_px, _small(canvas)
        height, width = (max(multiple, round(side / multiple) * multiple) for side in small.shape[2:])
        small = Picture(small).resized(width, height).pixels
        with torch.inference_mode():
            statistics = painter.module.measure(small.to(painter.device, painter.dtype)).float().cpu()

        def paint(x: Tensor) -> Tensor:
            return painter(x, statistics)

        painted = yield from self._tiled(
            paint, canvas, painter.weight.tiling, f"Painting with {painter.weight.name}", Preview(canvas)
        )
        return self._from_brush(painted, canvas, source)

    def _moved_colours(self, photo: Picture, source: Tensor) -> Painting:
        """The photo's own strokes in the style's colours."""
        from engine.models import colour

        transfer = {
            "reinhard": colour.reinhard,
            "monge-kantorovich": colour.monge_kantorovich,
            "sliced-transport": colour.sliced_transport,
        }
        yield Progress(0, 0, "Moving the colours")
        return transfer[self.request.method](source, self._palette()).apply(source)

    def _tiled(
        self, paint: Callable[[Tensor], Tensor], pixels: Tensor, tiling: Tiling, doing: str, preview: Preview
    ) -> Painting:
        work = tiles.run(paint, pixels, tiling, memory=self.settings.tile_memory, preview=preview.pixels)
        yield Progress(0, 0, doing)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                painted: Tensor = end.value
                return painted
            yield Progress(done, total, f"{doing}: {done} of {total}", preview.due())

    def _for_brush(self, source: Tensor) -> Tensor:
        """What is painted on: smaller where the strokes are to come out larger."""
        brush = self.request.brush
        if brush == 1:
            return source
        height, width = source.shape[2:]
        return Picture(source).resized(max(1, round(width / brush)), max(1, round(height / brush))).pixels

    def _from_brush(self, painted: Tensor, canvas: Tensor, source: Tensor) -> Tensor:
        """Back to the photo's size; what the photo lost on the way to a smaller canvas is laid over the strokes."""
        if self.request.brush == 1:
            return painted
        height, width = source.shape[2:]
        large = Picture(painted).resized(width, height).pixels
        if self.request.brush < 1:
            return large
        return (large + source - Picture(canvas).resized(width, height).pixels).clamp(0, 1)

    def _preview(self, photo: Picture, painted: Tensor) -> Picture:
        """The picture so far, at one size from the first step to the last."""
        longer = max(photo.width, photo.height)
        small = photo.fitted(min(longer, PREVIEW_PX))
        return small.with_pixels(
            self.kept.small(small).put_back(
                Picture(painted.detach().float().cpu()).resized(small.width, small.height).pixels
            )
        )

    def _style(self, source: Tensor) -> Style:
        """All styles of the request, mixed."""
        from engine.models import gaussian, style_loss

        styles = [self._one_style(style, source) for style in self.networks.styles]
        mixed = style_loss.mixed(styles, self.request.shares) if len(styles) > 1 else styles[0]
        return mixed if self.request.colours == "style" else replace(mixed, colour=gaussian.moments(_small(source)))

    def _one_style(self, style: str, source: Tensor) -> Style:
        from engine.models import colour, gatys

        eyes = self.networks.eyes
        if is_preset(style):
            return presets.load(style, self.settings, eyes.module if eyes else None)
        assert eyes is not None  # loaded for pictures
        artwork = self._artwork(style)
        if (
            self.request.colours != "style"
        ):  # for strokes alone too: a dark artwork would leave a white ground grey (Gatys et al. 2016, section 5)
            artwork = colour.matched(artwork, _small(source))
        histograms = self.networks.method == "gatys" and self.request.style_loss == "histogram"
        measured = gatys.measure(
            eyes.module, gatys.BACKBONES[eyes.weight.name], artwork.to(eyes.device), histograms=histograms
        )
        return measured.to(source.device)

    def _artwork(self, style: str) -> Tensor:
        artwork = seen(image.load(style, self.settings)).on_white()
        if float(artwork.std((2, 3), correction=0).max()) < _SINGLE_COLOUR:
            raise RequestError("The style picture has only one colour; choose one with strokes or a pattern.")
        return artwork

    def _palette(self) -> Tensor:
        """Pixels in the colours of all styles, each with its share; a preset's are drawn from what is kept of it."""
        import torch

        from engine.models import gaussian

        rng = torch.Generator().manual_seed(self.request.seed)
        parts = []
        for style, share in zip(self.networks.styles, self.request.shares, strict=True):
            if is_preset(style):
                colours = presets.load(style, self.settings).colour
                drawn = torch.randn(3, 4096, generator=rng)
                part = (colours.mean[:, None] + gaussian.root(colours.covariance).float() @ drawn).clamp(0, 1)
            else:
                part = self._artwork(style).flatten(2)[0]
            if count := round(16384 * share):
                parts.append(part[:, torch.linspace(0, part.shape[1] - 1, count).long()])
        return torch.cat(parts, 1)[None, :, None]

    def _recipe(self) -> dict[str, object]:
        """The request's recipe; a style picture is named by its contents, never by where it lies on this machine."""
        recipe = self.request.recipe()
        if self.request.method == "johnson":
            return recipe
        return recipe | {
            "style": _named(self.request.style),
            "more_styles": [_named(style) for style in self.request.more_styles],
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


def seen(artwork: Picture) -> Picture:
    """An artwork at the size at which its style is taken: STYLE_PX, or its own where that is less, within reason."""
    longer, shorter = max(artwork.width, artwork.height), min(artwork.width, artwork.height)
    scale = max(min(1.0, STYLE_PX / longer), _STYLE_LEAST_PX / shorter)
    return artwork.resized(round(scale * artwork.width), round(scale * artwork.height))


def _named(style: str) -> str:
    return style if is_preset(style) else UPLOAD + hashlib.sha256(Path(style).read_bytes()).hexdigest()[:12]


def _small(pixels: Tensor) -> Tensor:
    """A copy for statistics, STATISTICS_PX at most: they are taken once, so that tiles are parts of one picture."""
    import torch.nn.functional as F

    height, width = pixels.shape[2:]
    shrink = STATISTICS_PX / max(height, width)
    if shrink >= 1:
        return pixels
    return F.interpolate(
        pixels, size=(max(1, round(height * shrink)), max(1, round(width * shrink))), mode="bilinear", antialias=True
    )
