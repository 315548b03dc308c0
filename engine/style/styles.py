"""The styles of a request: presets and pictures, mixed by their shares, as a network sees them or as a palette."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import image
from engine.contract.errors import RequestError
from engine.contract.style import StyleRequest
from engine.image import Picture
from engine.settings import Settings
from engine.style import presets
from engine.style.networks import StyleNetworks, is_preset

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.style_loss import Style

UPLOAD = "upload:"  # in a recipe, before the first letters of the style picture's SHA-256
STYLE_PX = 512  # longer side at which an artwork is looked at; it says how large its strokes come out
STATISTICS_PX = 512  # longer side at which the photo's own statistics are taken
_STYLE_LEAST_PX = 64  # the shorter side; a smaller picture is enlarged, since the deepest layers see nothing in less
_SINGLE_COLOUR = 1.5 / 255  # standard deviation of a picture that has nothing but one colour in it


class Styles:
    """The styles that a request's networks are given."""

    def __init__(self, request: StyleRequest, networks: StyleNetworks, settings: Settings) -> None:
        self.request, self.networks, self.settings = request, networks, settings

    def mixed(self, source: Tensor) -> Style:
        """All styles of the request, mixed."""
        from engine.models import gaussian, style_loss

        styles = [self._one(style, source) for style in self.networks.styles]
        mixed = style_loss.mixed(styles, self.request.shares) if len(styles) > 1 else styles[0]
        return mixed if self.request.colours == "style" else replace(mixed, colour=gaussian.moments(small(source)))

    def _one(self, style: str, source: Tensor) -> Style:
        from engine.models import colour, gatys

        backbone = self.networks.backbone
        if is_preset(style):
            return presets.load(style, self.settings, backbone.module if backbone else None)
        assert backbone is not None  # loaded for pictures
        artwork = self._artwork(style)
        if self.request.colours != "style":
            # For strokes alone too: a dark artwork would leave a white background grey (Gatys et al. 2016, section 5).
            artwork = colour.matched(artwork, small(source))
        histograms = self.networks.method == "gatys" and self.request.style_loss == "histogram"
        measured = gatys.measure(
            backbone.module, gatys.BACKBONES[backbone.weight.name], artwork.to(backbone.device), histograms=histograms
        )
        return measured.to(source.device)

    def _artwork(self, style: str) -> Tensor:
        artwork = seen(image.load(style, self.settings)).on_white()
        if float(artwork.std((2, 3), correction=0).max()) < _SINGLE_COLOUR:
            raise RequestError("The style picture has only one colour; choose one with strokes or a pattern.")
        return artwork

    def palette(self) -> Tensor:
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


def seen(artwork: Picture) -> Picture:
    """An artwork at the size at which its style is taken: STYLE_PX, or its own where that is less, within reason."""
    longer, shorter = max(artwork.width, artwork.height), min(artwork.width, artwork.height)
    scale = max(min(1.0, STYLE_PX / longer), _STYLE_LEAST_PX / shorter)
    return artwork.resized(round(scale * artwork.width), round(scale * artwork.height))


def named(style: str) -> str:
    """A style as a recipe names it: a picture by its contents, never by where it lies on this machine."""
    return style if is_preset(style) else UPLOAD + hashlib.sha256(Path(style).read_bytes()).hexdigest()[:12]


def small(pixels: Tensor) -> Tensor:
    """A copy for statistics, STATISTICS_PX at most: they are taken once, so that tiles are parts of one picture."""
    import torch.nn.functional as F

    height, width = pixels.shape[2:]
    shrink = STATISTICS_PX / max(height, width)
    if shrink >= 1:
        return pixels
    return F.interpolate(
        pixels, size=(max(1, round(height * shrink)), max(1, round(width * shrink))), mode="bilinear", antialias=True
    )
