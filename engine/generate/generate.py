"""Generate: new product pictures of a category, each from its own latent; or from a photo, or from a sketch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine import image, product
from engine.contract.errors import RequestError
from engine.contract.events import EventStream, Notes, Progress, Result
from engine.contract.fields import rgb_of
from engine.contract.generate import GenerateRequest
from engine.generate.latents import CANDIDATES, Latents
from engine.generate.networks import GeneratorNetworks, networks_for
from engine.generate.ranking import Ranking
from engine.image import Picture
from engine.models.generative import able
from engine.recolour.recolour import to_colour
from engine.runtime import tiles
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import Settings
from engine.weights.choice import place

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Weights

PREVIEW_PX = 768  # longer side of a preview
PREVIEW_EVERY_S = 0.5
# Share of a sketch's pixels that its lines must have at least; the smallest outline of a product has five times that.
_EMPTY = 0.002


def generate(request: GenerateRequest, weights: Weights, device: Device, settings: Settings) -> EventStream:
    """Draw `request.count` pictures; yields Progress, then a Result with one picture per product.

    Picture i depends on the seed and on i alone: asking for more only adds to the end. RequestError for a file that is
    no picture, a sketch without lines, and a network that cannot do what is asked.
    """
    for file in (request.photo, request.sketch):
        if file is not None:
            image.check(file, settings)
    chosen = yield from networks_for(request, weights, device)
    yield from device.exclusively(_GenerateRun(request, chosen, device, settings).events())


def columns(count: int) -> int:
    """How many columns make the squarest grid of `count` pictures."""
    return next(n for n in range(1, count + 1) if n * n >= count)


@dataclass
class _GenerateRun:
    """One request at work on the device."""

    request: GenerateRequest
    networks_for: GeneratorNetworks
    device: Device
    settings: Settings
    remarks: list[str] = field(default_factory=list)

    def events(self) -> EventStream:
        started = shown = time.monotonic()
        lines = self._lines() if self.request.sketch else None
        photo = self._photo_latent() if self.request.photo else None
        latents = Latents(self.request, self.networks_for.generator, self.networks_for.classifier, photo)
        pictures: list[Picture] = []
        ranking = self._ranking()
        for i in range(self.request.count):
            drawn = self._drawn(latents.latent(i), lines)
            if ranking is not None:
                ranking.see(drawn)
            pictures.append(self._finished(drawn, i))
            preview = None
            if i == 0 or time.monotonic() - shown >= PREVIEW_EVERY_S:
                preview, shown = _preview(pictures), time.monotonic()
            yield Progress(i + 1, self.request.count, f"Picture {i + 1} of {self.request.count}", preview)
        self._tell(latents, ranking)
        networks = self.networks_for.networks
        notes = Notes(
            tuple(n.weight.name for n in networks),
            place(networks, self.device),
            self.networks_for.fallbacks,
            tuple(self.remarks),
        )
        order = list(range(len(pictures))) if ranking is None else ranking.order()
        yield Result(tuple(pictures[k] for k in order), self.request.recipe(), notes, time.monotonic() - started)

    def _lines(self) -> Tensor:
        """The sketch as lines (1, 1, S, S) in [0, 1], 1 on a line."""
        from engine.models import edges

        assert self.request.sketch is not None
        size_px = self.networks_for.generator.module.size_px
        sketch = image.load(self.request.sketch, self.settings)
        lines = (
            edges.from_drawing(sketch.on_white(), size_px)
            if self.request.lines == "drawn"
            else edges.from_photo(self._framed(sketch, size_px))
        )
        if float((lines > 0.5).float().mean()) < _EMPTY:
            raise RequestError(
                "There is next to nothing on the sketch; draw the outline of a product with dark lines on white."
            )
        return lines

    def _photo_latent(self) -> Tensor:
        """The photo's latent (1, D); its category is the classifier's where that is certain, or the one that was
        asked.
        """
        assert self.request.photo is not None
        encoder = self.networks_for.encoder
        assert encoder is not None
        framed = self._framed(image.load(self.request.photo, self.settings), encoder.module.size_px)
        seen = self.networks_for.classifier.category(framed) if self.networks_for.classifier else None
        known = self.networks_for.generator.module.categories
        if seen not in (None, self.request.category) and (not known or seen in known):
            self.remarks.append(f"The photo was taken for another category than {self.request.category}: {seen}.")
            self.request = replace(self.request, category=seen)
        return encoder.apply(encoder.module.encode, framed)

    def _framed(self, photo: Picture, size_px: int) -> Tensor:
        framed, was_found = product.framed(photo, size_px)
        if not was_found:
            self.remarks.append("The product could not be told from its background, so the whole photo was used.")
        return framed

    def _drawn(self, latent: Tensor, lines: Tensor | None) -> Tensor:
        """One picture (1, 3, S, S) at the network's own size."""
        import torch

        # One at a time: how a convolution rounds may depend on what else is in its batch.
        known = self.networks_for.generator.module.categories
        label = torch.tensor([known.index(self.request.category) if known else 0])
        return (
            self.networks_for.generator(latent, label)
            if lines is None
            else self.networks_for.generator(lines, latent, label)
        )

    def _ranking(self) -> Ranking | None:
        """What the result is ordered by; None where the order is that of drawing."""
        classifier, discriminator = self.networks_for.classifier, self.networks_for.discriminator
        if not self.request.is_ranked or (classifier is None and discriminator is None):
            return None
        return Ranking(self.request.category, classifier, discriminator)

    def _finished(self, drawn: Tensor, i: int) -> Picture:
        """Enlarged, in the colour and on the background that were asked for, and with its name."""
        pixels = drawn
        if self.networks_for.enlarger is not None:
            pixels = finished(
                tiles.run(
                    self.networks_for.enlarger,
                    pixels,
                    self.networks_for.enlarger.weight.tiling,
                    memory=self.settings.tile_memory,
                )
            )
        recoloured = bool(self.request.colour) and not able(self.networks_for.generator.module, "colour")
        name = f"{_series(self.request)}-{i + 1:02d}"
        if not recoloured and self.request.background == "white":
            return Picture(pixels, name=name)
        mask = product.on_white(pixels)
        if recoloured:
            pixels = to_colour(pixels, mask, self.request.colour)
        return _on_background(Picture(pixels, name=name), mask, self.request.background)

    def _tell(self, latents: Latents, ranking: Ranking | None) -> None:
        """What a person may want to know of how the pictures came about."""
        asked, module, classifier = self.request, self.networks_for.generator.module, self.networks_for.classifier
        name = self.networks_for.generator.weight.name
        if not module.categories and classifier:
            nearest = f"; of {latents.doubtful} none was, and the nearest was taken" if latents.doubtful else ""
            self.remarks.append(
                f"{name} knows no categories, so of up to {CANDIDATES} candidates one was taken that "
                f"{classifier.name} calls {asked.category}{nearest}."
            )
        if asked.colour and not able(module, "colour"):
            self.remarks.append(f"{name} does not know colours, so its pictures were recoloured.")
        if asked.order == "best" and asked.walk_to:
            self.remarks.append("A walk stays in its own order.")
        elif asked.is_ranked:
            self.remarks.append(
                ranking.told()
                if ranking
                else "No network can rank these pictures, so they are in the order in which they were drawn."
            )


def _series(request: GenerateRequest) -> str:
    """The beginning of the pictures' names; behind it comes each one's number as it was drawn."""
    start = f"{request.category.replace(' ', '-')}-{request.seed}"
    if request.walk_to:
        return f"{start}-walk-{request.like or 'photo'}-{request.walk_to}"
    return f"{start}-like-{request.like}" if request.like else start


def _on_background(picture: Picture, mask: Tensor, background: str) -> Picture:
    """A picture on white, cut out of it and, unless it shall be transparent, laid on a colour."""
    from engine.models import cutout

    if background == "white":
        return picture
    colours, alpha = cutout.off_white(picture.pixels, mask)
    if background == "transparent":
        return replace(picture, pixels=colours, alpha=alpha)
    ground = colours.new_tensor(rgb_of(background)).view(1, 3, 1, 1)
    return replace(picture, pixels=ground + alpha * (colours - ground))


def _preview(pictures: list[Picture]) -> Picture:
    sheet = image.grid(pictures, columns(len(pictures)), gap_px=4)
    shrink = min(1.0, PREVIEW_PX / max(sheet.width, sheet.height))
    return sheet.resized(max(1, round(sheet.width * shrink)), max(1, round(sheet.height * shrink)))
