"""Style transfer by optimisation: the pixels themselves are moved until a network sees the photo's content and the
artwork's style in them (Gatys, Ecker & Bethge, Image Style Transfer Using Convolutional Neural Networks, CVPR 2016).

Where this leaves the paper:
- Style is compared by the squared 2-Wasserstein distance between Gaussians (mean and covariance of the activations)
  instead of the squared difference of Gram matrices: it weighs weak and strong correlations alike, so the palette is
  met and colour noise is not. Both compare the same statistics.
- Each layer's distance is relative to the style's own energy, so one pair of weights suits every backbone.
- The photo is first moved to the style's palette (Monge-Kantorovich linear colour transfer, Pitie & Kokaram 2007).
  It is the starting point, and its content is what is kept: a white background need not be fought over.
- Coarse to fine with Adam instead of L-BFGS at one size; the result is the mean of the last iterates (as in
  crowsonkb/style-transfer-pytorch).
- The canvas is wider than the photo by a mirrored margin that is cut off: borders attract what fits nowhere else.
- A large canvas goes through the network in strips, exactly: statistics are sums over pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Eyes = Callable[[Tensor, int], list[Tensor]]  # (pixels (1, 3, H, W), depth) -> the first `depth` activations, fine to coarse

MARGIN_PX = 16  # at the finest scale; half of it at the next, and so on
COARSEST_PX = 96  # the longer side of the coarsest scale lies between this and twice this
STARTED_SCALES = 2  # that are left to do for a painting that is begun already
START_NOISE = 0.03  # standard deviation
LEARNING_RATE = 0.02  # of Adam; a step moves a pixel by about this much
CONTENT_SHARE = 0.5  # weight of the content against one style layer
MEMORY_OF_MEAN = 0.95  # of the running mean of iterates: about the last twenty


@dataclass(frozen=True)
class Backbone:
    """What to look at in a network. style: weight of each layer's statistics, 0 where a layer is not asked; content:
    the layer whose activations are kept. multiple_px: the shrinking up to the deepest layer. reach_px: how far a pixel
    there sees, a multiple of multiple_px. bytes_per_px: what looking with gradients takes."""

    style: tuple[float, ...]
    content: int
    multiple_px: int
    reach_px: int
    bytes_per_px: int

    @property
    def depth(self) -> int:
        """How many layers are looked at."""
        return max(len(self.style), self.content + 1)


BACKBONES = {
    # conv4 decides how large the strokes are; conv5 adds grain and nothing else.
    "features": Backbone(style=(1.0, 1.0, 1.0, 2.0), content=3, multiple_px=8, reach_px=16, bytes_per_px=900),
    # Gatys et al.: style from relu1_1 to relu5_1, content from relu4_2, which is engine.models.vgg's fifth.
    "vgg19": Backbone(style=(1.0, 1.0, 1.0, 1.0, 0.0, 1.0), content=4, multiple_px=16, reach_px=80, bytes_per_px=5000),
}


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (C,) and covariance (C, C) of C channels over all pixels."""

    mean: Tensor
    covariance: Tensor

    def to(self, device: torch.device) -> Moments:
        return Moments(self.mean.to(device), self.covariance.to(device))


@dataclass(frozen=True, eq=False)
class Style:
    """All that is kept of an artwork: the moments of its colours (C = 3) and of each layer of a backbone's `style`."""

    colour: Moments
    layers: tuple[Moments, ...]

    def to(self, device: torch.device) -> Style:
        return Style(self.colour.to(device), tuple(layer.to(device) for layer in self.layers))


def mixed(styles: Sequence[Style], shares: Sequence[float]) -> Style:
    """The style between several: the mean of their moments by `shares`, which sum to 1."""

    def between(parts: Sequence[Moments]) -> Moments:
        mean = sum((share * part.mean for share, part in zip(shares, parts, strict=True)), torch.zeros_like(parts[0].mean))
        covariance = sum((share * part.covariance for share, part in zip(shares, parts, strict=True)), torch.zeros_like(parts[0].covariance))
        return Moments(mean, covariance)

    layers = zip(*(style.layers for style in styles), strict=True)
    return Style(between([style.colour for style in styles]), tuple(between(parts) for parts in layers))


def moments(activation: Tensor) -> Moments:
    """Mean and covariance of the channels of (1, C, H, W)."""
    a = _rows(activation)
    mean = a.mean(0)
    a = a - mean
    return Moments(mean, a.T @ a / len(a))


def _rows(activation: Tensor) -> Tensor:
    """(1, C, H, W) as (H W, C): without a copy in channels-last order, in which networks are held here."""
    return activation.movedim(1, -1).flatten(0, 2)


@torch.no_grad()
def measure(eyes: Eyes, backbone: Backbone, artwork: Tensor) -> Style:
    """The style of an artwork (1, 3, H, W) in [0, 1], sides at least twice `multiple_px`."""
    return Style(moments(artwork), tuple(moments(a) for a in eyes(artwork, backbone.depth)[: len(backbone.style)]))


def root(covariance: Tensor, power: float = 0.5, floor: float = 0.0) -> Tensor:
    """The symmetric power of a covariance (C, C), in float64; `floor` is added to its eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance.double())
    return (vectors * (values.clamp(min=0) + floor).pow(power)) @ vectors.T


def transport(own: Moments, target: Moments, floor: float = 1e-3) -> Tensor:
    """The symmetric matrix (C, C), in float64, that takes a covariance to another and moves the points least.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 with A the covariance of `own` and B the target's (Monge-Kantorovich between
    Gaussians). `floor` is a variance added to both, so that the noise of an almost flat photo is not raised to the
    contrast of an artwork.
    """
    half = root(own.covariance, 0.5, floor)
    inverse = root(own.covariance, -0.5, floor)
    wanted = target.covariance.double() + floor * torch.eye(len(half), dtype=torch.float64, device=half.device)
    return inverse @ root(half @ wanted @ half) @ inverse


def recoloured(photo: Tensor, colour: Moments, floor: float = 1e-3, *, like: Tensor | None = None) -> Tensor:
    """The photo (1, 3, H, W) moved to the colour moments of a style by the linear map that moves colours least; `floor` as in `transport`.

    like: what the photo's own moments are taken from, such as a smaller copy; the photo itself if not given.
    """
    own = moments(photo if like is None else like)
    matrix = transport(own, colour, floor).to(photo.dtype)
    moved = matrix @ (photo.flatten(2)[0] - own.mean[:, None]) + colour.mean[:, None]
    return moved.view_as(photo).clamp(0, 1)


def wasserstein(mean: Tensor, covariance: Tensor, target_mean: Tensor, target_root: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance between two Gaussians: |m - n|^2 + tr(A + B - 2 (B^1/2 A B^1/2)^1/2).

    target_root: B^1/2. Scalar, float64, with a gradient by mean (C,) and covariance (C, C).
    """
    trace = target_root.square().sum()
    values = torch.linalg.eigvalsh(target_root @ covariance @ target_root)
    least = (1e-3 * trace / len(values)).square()  # where the slope of the square root would go to infinity
    return (mean - target_mean).square().sum() + covariance.trace() + trace - 2 * values.clamp(min=float(least) + 1e-30).sqrt().sum()


@dataclass(frozen=True, eq=False)
class _Sight:
    """What a network sees in one strip of a canvas, as sums over the strip's own rows.

    pixels: the strip and its context, rows `first` to `last` of the canvas. counts, sums: for each weighted style
    layer how many pixels it has, and (sum of a, sum of a a^T). content: summed squared distance to the target.
    """

    first: int
    last: int
    pixels: Tensor
    counts: tuple[int, ...]
    sums: tuple[Tensor, ...]
    content: Tensor


class Objective:
    """content_weight x content + style_weight x style of a canvas, and its gradient.

    target: what the content is taken from, (1, 3, H, W) like the canvas, sides multiples of backbone.multiple_px.
    memory: bytes that looking at one strip may take.
    """

    def __init__(
        self, eyes: Eyes, backbone: Backbone, target: Tensor, style: Style, *, content_weight: float = 1.0, style_weight: float = 1.0, memory: int = 10**9
    ) -> None:
        self.eyes, self.backbone = eyes, backbone
        height, width = target.shape[2:]
        fits = memory // (backbone.bytes_per_px * width) - 2 * backbone.reach_px
        rows = max(backbone.multiple_px, fits // backbone.multiple_px * backbone.multiple_px)
        self.strips = [(top, min(top + rows, height)) for top in range(0, height, rows)]
        weighted = [(weight, layer) for weight, layer in zip(backbone.style, style.layers, strict=True) if weight]
        self._targets = [(layer.mean.double(), root(layer.covariance)) for _, layer in weighted]
        energies = [max(float(mean.square().sum() + half.square().sum()), 1e-12) for mean, half in self._targets]
        self._style_weights = [style_weight * weight / energy for (weight, _), energy in zip(weighted, energies, strict=True)]
        self._content = self._look_at(target)
        # A flat photo has no content to keep; the floor keeps its rounding errors from counting as some.
        variance = max(float(self._content.var((2, 3)).mean()), 1e-4)
        self._content_weight = content_weight * CONTENT_SHARE / (variance * self._content.numel())

    def loss_and_gradient(self, canvas: Tensor) -> tuple[float, Tensor]:
        """The loss of (1, 3, H, W) and its gradient, of the same shape.

        The style's loss is a function of sums over all pixels: its slope by them is taken first, then each strip is
        followed back to its pixels. So one strip is looked at once and several are looked at twice.
        """
        whole = self._see(canvas, *self.strips[0]) if len(self.strips) == 1 else None
        seen = [whole] if whole else [self._glance(canvas, *strip) for strip in self.strips]
        loss, slopes = self._style_loss(seen)
        loss += self._content_weight * sum(float(sight.content.detach()) for sight in seen)
        gradient = torch.zeros_like(canvas)
        for strip in self.strips:
            sight = whole or self._see(canvas, *strip)
            gradient[:, :, sight.first : sight.last] += self._follow_back(sight, slopes)
        return loss, gradient

    @torch.enable_grad()
    def _follow_back(self, sight: _Sight, slopes: Sequence[Tensor]) -> Tensor:
        """The gradient by a strip's pixels. One scalar, since autograd given slopes would import sympy: two seconds."""
        follow = self._content_weight * sight.content
        for part, slope in zip(sight.sums, slopes, strict=True):
            follow = follow + (part * slope).sum()
        return torch.autograd.grad(follow, sight.pixels)[0]

    def _with_context(self, height: int, top: int, bottom: int) -> tuple[int, int]:
        """A strip with its context."""
        return max(0, top - self.backbone.reach_px), min(height, bottom + self.backbone.reach_px)

    @torch.no_grad()
    def _look_at(self, target: Tensor) -> Tensor:
        """The content activations of the whole target."""
        parts = []
        for top, bottom in self.strips:
            first, last = self._with_context(target.shape[2], top, bottom)
            activation = self.eyes(target[:, :, first:last], self.backbone.content + 1)[-1]
            shrink = (last - first) // activation.shape[2]
            parts.append(activation[:, :, (top - first) // shrink : (bottom - first) // shrink])
        return torch.cat(parts, 2)

    @torch.no_grad()
    def _glance(self, canvas: Tensor, top: int, bottom: int) -> _Sight:
        return self._sight(canvas, top, bottom)

    @torch.enable_grad()
    def _see(self, canvas: Tensor, top: int, bottom: int) -> _Sight:
        return self._sight(canvas, top, bottom)

    def _sight(self, canvas: Tensor, top: int, bottom: int) -> _Sight:
        first, last = self._with_context(canvas.shape[2], top, bottom)
        pixels = canvas[:, :, first:last].detach().requires_grad_(torch.is_grad_enabled())
        counts: list[int] = []
        sums: list[Tensor] = []
        content = canvas.new_zeros(())
        for k, activation in enumerate(self.eyes(pixels, self.backbone.depth)):
            shrink = (last - first) // activation.shape[2]
            own = activation[:, :, (top - first) // shrink : (bottom - first) // shrink]
            if k < len(self.backbone.style) and self.backbone.style[k]:
                a = _rows(own)
                counts.append(len(a))
                sums += [a.sum(0), a.T @ a]
            if k == self.backbone.content:
                content = (own - self._content[:, :, top // shrink : bottom // shrink]).square().sum()
        return _Sight(first, last, pixels, tuple(counts), tuple(sums), content)

    @torch.enable_grad()
    def _style_loss(self, seen: Sequence[_Sight]) -> tuple[float, list[Tensor]]:
        """The weighted style loss of all strips together, and its slope by each of their sums."""
        counts = [sum(parts) for parts in zip(*(sight.counts for sight in seen), strict=True)]
        sums = [torch.stack(parts).sum(0).detach() for parts in zip(*(sight.sums for sight in seen), strict=True)]
        leaves = [s.double().requires_grad_() for s in sums]
        loss = leaves[0].new_zeros(())
        for k, (weight, target) in enumerate(zip(self._style_weights, self._targets, strict=True)):
            mean, second = leaves[2 * k] / counts[k], leaves[2 * k + 1] / counts[k]
            loss = loss + weight * wasserstein(mean, second - mean.outer(mean), *target)
        slopes = torch.autograd.grad(loss, leaves)
        return float(loss.detach()), [slope.to(s.dtype) for slope, s in zip(slopes, sums, strict=True)]


class _Canvas:
    """The picture being painted: Adam's iterate (Kingma & Ba 2015), kept in [0, 1], and the mean of its last places."""

    def __init__(self, pixels: Tensor, rate: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.pixels, self.mean = pixels, pixels.clone()
        self._rate, self._betas, self._steps = rate, betas, 0
        self._slope, self._power = torch.zeros_like(pixels), torch.zeros_like(pixels)

    def move(self, gradient: Tensor) -> None:
        """One step of Adam. Written out, since torch.optim would import torch's compiler: seconds before the first step."""
        self._steps += 1
        fast, slow = self._betas
        self._slope.lerp_(gradient, 1 - fast)
        self._power.lerp_(gradient.square(), 1 - slow)
        slope, power = self._slope / (1 - fast**self._steps), self._power / (1 - slow**self._steps)
        self.pixels.addcdiv_(slope, power.sqrt_().add_(1e-8), value=-self._rate).clamp_(0, 1)
        # A young mean has a short memory, so that it does not hang on to where the scale began.
        self.mean.lerp_(self.pixels, max(1 - MEMORY_OF_MEAN, 2 / (self._steps + 1)))


@dataclass(frozen=True, eq=False)
class Step:
    """Heard after each step: `done` of `total`, the loss before it, and the picture so far, (1, 3, h, w) in [0, 1] at
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
    eyes: Eyes,
    backbone: Backbone,
    photo: Tensor,
    style: Style,
    *,
    steps: int = 80,
    content_weight: float = 1.0,
    style_weight: float = 1.0,
    seed: int = 0,
    memory: int = 10**9,
    start: Tensor | None = None,
) -> Iterator[Step]:
    """Paint `photo` (1, 3, H, W) in [0, 1] in a style; yields after each of the steps, the last one the result.

    steps: at each of the scales. seed: of the noise on the starting picture. start: a painting of the photo to begin
    with, (1, 3, H, W), such as that of `faststyle`: only the STARTED_SCALES finest scales are left to do then. The style is the same at all scales, so
    strokes begin large and finer ones are laid over them. Nothing runs between two steps, so closing the generator stops at once.
    """
    shrinks = scales(max(photo.shape[2:]))
    frame, (top, left) = _framed(photo, backbone.multiple_px * shrinks[0])
    begun = None if start is None else _framed(start, backbone.multiple_px * shrinks[0])[0]
    shrinks = shrinks if begun is None else shrinks[-STARTED_SCALES:]
    canvas: _Canvas | None = None
    for k, shrink in enumerate(shrinks):
        height, width = frame.shape[2] // shrink, frame.shape[3] // shrink
        target = recoloured(_resized(frame, height, width), style.colour)
        objective = Objective(eyes, backbone, target, style, content_weight=content_weight, style_weight=style_weight, memory=memory)
        if canvas is None:
            first = target if begun is None else _resized(begun, height, width)
            first = first + START_NOISE * torch.randn(target.shape, generator=torch.Generator().manual_seed(seed)).to(target)
        else:
            first = _resized(canvas.mean, height, width)
        canvas = _Canvas(first.clamp_(0, 1), LEARNING_RATE)
        rows, columns = (slice(at // shrink, -(-(at + side) // shrink)) for at, side in ((top, photo.shape[2]), (left, photo.shape[3])))
        for step in range(steps):
            loss, gradient = objective.loss_and_gradient(canvas.pixels)
            canvas.move(gradient)
            yield Step(k * steps + step + 1, len(shrinks) * steps, loss, canvas.mean[:, :, rows, columns])


def _framed(photo: Tensor, multiple_px: int) -> tuple[Tensor, tuple[int, int]]:
    """The photo in a mirrored margin that makes both sides multiples, and where its top left corner lies."""
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
