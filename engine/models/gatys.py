"""Style transfer by optimisation: the pixels themselves are moved until a network sees the photo's content and the
artwork's style in them (Gatys, Ecker & Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016).

Where this leaves the paper:
- Style is compared by the distance of Gaussians unless Gram matrices or histograms are asked for (`style_loss.py`).
- The photo is first moved to the style's palette (Monge-Kantorovich linear colour transfer, Pitie & Kokaram 2007).
  It is the starting point, and its content is what is kept: content and style then agree on a white background.
- Coarse to fine with Adam instead of L-BFGS at one size, unless L-BFGS is asked for (`descent.py`).
- The canvas is wider than the photo by a mirrored margin that is cut off: artefacts gather at borders.
- A large canvas goes through the network in strips, exactly: statistics are sums over pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.descent import OPTIMIZERS
from engine.models.gaussian import moments, recoloured, rows
from engine.models.style_loss import LOSSES, Gathered, Style, histogram, histograms_of

# A backbone: (pixels (1, 3, H, W), depth) -> its first `depth` activations, fine to coarse.
FeatureExtractor = Callable[[Tensor, int], list[Tensor]]

MARGIN_PX = 16  # at the finest scale; half of it at the next, and so on
COARSEST_PX = 96  # the longer side of the coarsest scale lies between this and twice this
START_NOISE = 0.03  # standard deviation
LEARNING_RATE = 0.01  # of Adam; with twice as much the loss never gets as low, with half as much it takes longer
WARM_UP = 5  # steps of Adam; without them the first ones spoil what a scale begins with
CONTENT_SHARE = 0.5  # weight of the content against one style layer


@dataclass(frozen=True)
class Backbone:
    """Which layers of a network are compared. style: weight of each layer's statistics, 0 where it does not count;
    content: the layer whose activations are kept. multiple_px: the shrinking up to the deepest layer. reach_px: how far
    a pixel there sees, a multiple of multiple_px. bytes_per_px: memory of a pass with gradients.
    """

    style: tuple[float, ...]
    content: int
    multiple_px: int
    reach_px: int
    bytes_per_px: int

    @property
    def depth(self) -> int:
        """How many layers are computed."""
        return max(len(self.style), self.content + 1)


BACKBONES = {
    # conv4 decides how large the strokes are; conv5 adds grain and nothing else.
    "features": Backbone(style=(1.0, 1.0, 1.0, 2.0), content=3, multiple_px=8, reach_px=16, bytes_per_px=900),
    # Gatys et al.: style from relu1_1 to relu5_1, content from relu4_2, which is engine.models.vgg's fifth.
    "vgg19": Backbone(style=(1.0, 1.0, 1.0, 1.0, 0.0, 1.0), content=4, multiple_px=16, reach_px=80, bytes_per_px=5000),
}


@torch.no_grad()
def measure(extract: FeatureExtractor, backbone: Backbone, artwork: Tensor, *, histograms: bool = False) -> Style:
    """The style of an artwork (1, 3, H, W) in [0, 1], sides at least twice `multiple_px`. histograms: with those, which
    takes sorting.
    """
    seen = extract(artwork, backbone.depth)[: len(backbone.style)]
    return Style(
        moments(artwork), tuple(moments(a) for a in seen), tuple(histogram(a) for a in seen) if histograms else ()
    )


class _Strips:
    """A canvas, brought through a network strip by strip: each with the rows around it that the deepest layer sees, so
    that its activations are those of the whole.

    size: height and width of the canvas, multiples of backbone.multiple_px. memory: bytes that one strip may take.
    """

    def __init__(self, extract: FeatureExtractor, backbone: Backbone, size: tuple[int, int], memory: int) -> None:
        self._extract, self._reach_px, (self._height, width) = extract, backbone.reach_px, size
        fits = memory // (backbone.bytes_per_px * width) - 2 * backbone.reach_px
        high = max(backbone.multiple_px, fits // backbone.multiple_px * backbone.multiple_px)
        self.spans = [(top, min(top + high, self._height)) for top in range(0, self._height, high)]

    def with_context(self, top: int, bottom: int) -> slice:
        """The rows of the canvas that the network is shown for a strip."""
        return slice(max(0, top - self._reach_px), min(self._height, bottom + self._reach_px))

    def activations(self, pixels: Tensor, top: int, bottom: int, depth: int) -> list[Tensor]:
        """The first `depth` activations of a strip, fine to coarse, by its pixels with their context (1, 3, h, W)."""
        first = self.with_context(top, bottom).start
        own = []
        for activation in self._extract(pixels, depth):
            shrink = pixels.shape[2] // activation.shape[2]
            own.append(activation[:, :, (top - first) // shrink : (bottom - first) // shrink])
        return own


@dataclass(frozen=True, eq=False)
class _Strip:
    """What the loss takes of one strip. pixels: the strip with its context, of which gradients are wanted. style: what
    each weighted layer gathers. content: summed squared distance to the target."""

    pixels: Tensor
    style: tuple[Gathered, ...]
    content: Tensor


class StyleObjective:
    """content_weight x content + style_weight x style of a canvas, and its gradient.

    target: what the content is taken from, (1, 3, H, W) like the canvas, sides multiples of backbone.multiple_px.
    style_loss: one of LOSSES. memory: bytes that looking at one strip may take.
    """

    def __init__(
        self,
        extract: FeatureExtractor,
        backbone: Backbone,
        target: Tensor,
        style: Style,
        *,
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        style_loss: str = "bures",
        memory: int = 10**9,
    ) -> None:
        self._backbone = backbone
        self.strips = _Strips(extract, backbone, (target.shape[2], target.shape[3]), memory)
        layers = zip(backbone.style, style.layers, histograms_of(style), strict=True)
        self._style = [
            (style_weight * weight, LOSSES[style_loss](layer, quantiles))
            for weight, layer, quantiles in layers
            if weight
        ]
        self._content = self._content_of(target)
        # A flat photo has no content to keep; the floor keeps its rounding errors from counting as some.
        variance = max(float(self._content.var((2, 3)).mean()), 1e-4)
        self._content_weight = content_weight * CONTENT_SHARE / (variance * self._content.numel())

    def loss_and_gradient(self, canvas: Tensor) -> tuple[float, Tensor]:
        """The loss of (1, 3, H, W) and its gradient, of the same shape.

        The style's loss is a function of sums over all pixels: its slope by them is taken first, then each strip is
        followed back to its pixels. So one strip goes through the network once and several go through it twice.
        """
        spans = self.strips.spans
        with torch.set_grad_enabled(len(spans) == 1):
            seen = [self._look_at(canvas, top, bottom) for top, bottom in spans]
        loss, slopes = self._style_loss(seen)
        loss += self._content_weight * sum(float(strip.content.detach()) for strip in seen)
        gradient = torch.zeros_like(canvas)
        for (top, bottom), strip, sloped in zip(spans, seen, slopes, strict=True):
            with torch.enable_grad():
                strip = strip if len(spans) == 1 else self._look_at(canvas, top, bottom)
                gradient[:, :, self.strips.with_context(top, bottom)] += self._follow_back(strip, sloped)
        return loss, gradient

    @torch.no_grad()
    def _content_of(self, target: Tensor) -> Tensor:
        """The content activations of the whole target."""
        return torch.cat(
            [
                self.strips.activations(
                    target[:, :, self.strips.with_context(*span)], *span, self._backbone.content + 1
                )[-1]
                for span in self.strips.spans
            ],
            2,
        )

    def _look_at(self, canvas: Tensor, top: int, bottom: int) -> _Strip:
        """One strip of the canvas, with gradients where they are enabled."""
        pixels = canvas[:, :, self.strips.with_context(top, bottom)].detach().requires_grad_(torch.is_grad_enabled())
        activations = self.strips.activations(pixels, top, bottom, self._backbone.depth)
        weighted = [a for a, weight in zip(activations, self._backbone.style, strict=False) if weight]
        own = activations[self._backbone.content]
        shrink = (bottom - top) // own.shape[2]
        return _Strip(
            pixels,
            tuple(loss.gather(rows(a)) for a, (_, loss) in zip(weighted, self._style, strict=True)),
            (own - self._content[:, :, top // shrink : bottom // shrink]).square().sum(),
        )

    def _style_loss(self, seen: Sequence[_Strip]) -> tuple[float, list[list[Tensor]]]:
        """The weighted style loss of all strips together,
        and for each strip its slope by all that was gathered there.
        """
        loss = 0.0
        slopes: list[list[Tensor]] = [[] for _ in seen]
        for k, (weight, layer) in enumerate(self._style):
            distance, by_strip = layer.slopes([strip.style[k] for strip in seen])
            loss += weight * distance
            for known, parts in zip(slopes, by_strip, strict=True):
                known += [weight * slope for slope in parts]
        return loss, slopes

    def _follow_back(self, strip: _Strip, slopes: Sequence[Tensor]) -> Tensor:
        """The gradient by a strip's pixels. One scalar, since autograd given slopes would import sympy: two seconds."""
        follow = self._content_weight * strip.content
        for part, slope in zip((part for gathered in strip.style for part in gathered.parts), slopes, strict=True):
            follow = follow + (part * slope).sum()
        return torch.autograd.grad(follow, strip.pixels)[0]


@dataclass(frozen=True, eq=False)
class GatysStep:
    """Yielded after each step: `done` of `total`, the loss before it, and the picture so far, (1, 3, h, w) in [0, 1] at
    the size of its scale. The picture changes with the next step: copy what is to be kept."""

    done: int
    total: int
    loss: float
    picture: Tensor


def scales(size_px: int) -> list[int]:
    """By how much each scale is smaller than the result, coarse to fine, for a longer side of size_px."""
    shrink = 1
    while size_px // (2 * shrink) >= COARSEST_PX:
        shrink *= 2
    return [shrink >> k for k in range(shrink.bit_length())]


def paint(
    extract: FeatureExtractor,
    backbone: Backbone,
    photo: Tensor,
    style: Style,
    *,
    steps: int = 80,
    content_weight: float = 1.0,
    style_weight: float = 1.0,
    style_loss: str = "bures",
    optimizer: str = "adam",
    seed: int = 0,
    memory: int = 10**9,
    start: Tensor | None = None,
) -> Iterator[GatysStep]:
    """Paint `photo` (1, 3, H, W) in [0, 1] in a style; yields after each of the steps, the last one the result.

    steps: at each of the scales. style_loss: one of LOSSES; optimizer: one of OPTIMIZERS. seed: of the noise on the
    recoloured photo that it begins with. start: a painting of the photo to begin with instead, (1, 3, H, W), such as
    that of `faststyle`: only the finest scale is left to do then. The style is the same at all scales, so strokes begin
    large and finer ones are laid over them. Nothing runs between two steps, so closing the generator stops at once.
    """
    shrinks = scales(max(photo.shape[2:]))
    frame, (top, left) = framed(photo, backbone.multiple_px * shrinks[0])
    begun = None if start is None else framed(start, backbone.multiple_px * shrinks[0])[0]
    shrinks = shrinks if begun is None else shrinks[-1:]
    canvas = begun
    for k, shrink in enumerate(shrinks):
        height, width = frame.shape[2] // shrink, frame.shape[3] // shrink
        target = recoloured(_resized(frame, height, width), style.colour)
        objective = StyleObjective(
            extract,
            backbone,
            target,
            style,
            content_weight=content_weight,
            style_weight=style_weight,
            style_loss=style_loss,
            memory=memory,
        )
        if canvas is None:
            canvas = target + START_NOISE * torch.randn(target.shape, generator=torch.Generator().manual_seed(seed)).to(
                target
            )
        descent = OPTIMIZERS[optimizer](
            _resized(canvas, height, width).clamp(0, 1), objective.loss_and_gradient, LEARNING_RATE, WARM_UP
        )
        down, across = (
            slice(at // shrink, -(-(at + side) // shrink))
            for at, side in ((top, photo.shape[2]), (left, photo.shape[3]))
        )
        for step in range(steps):
            loss = descent.step()
            canvas = descent.picture
            yield GatysStep(k * steps + step + 1, len(shrinks) * steps, loss, canvas[:, :, down, across])


def framed(photo: Tensor, multiple_px: int) -> tuple[Tensor, tuple[int, int]]:
    """The photo (1, 3, H, W) in a mirrored margin of at least MARGIN_PX that makes both sides multiples, and where its
    top left corner lies.
    """
    height, width = photo.shape[2:]
    down, across = (-(-(side + 2 * MARGIN_PX) // multiple_px) * multiple_px - side for side in (height, width))
    top, left = down // 2, across // 2
    rows, columns = _mirrored(height, top, down - top), _mirrored(width, left, across - left)
    return photo[:, :, rows.to(photo.device)][:, :, :, columns.to(photo.device)], (top, left)


def _mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices of a line that goes on mirrored, as often as needed, so that any length can have any margin."""
    position = torch.arange(-before, length + after) % (2 * length)
    return torch.where(position < length, position, 2 * length - 1 - position)


def _resized(x: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode=mode, antialias=True, align_corners=False)
