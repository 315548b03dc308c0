"""The statistics that stand for a style, and how far a picture is from them.

Three distances, each relative to the style's own size in its layer, so that one pair of weights suits every backbone:
- `Bures`: squared 2-Wasserstein distance between Gaussians (mean and covariance of the activations). It weighs weak
  and strong correlations alike, so the palette is met without colour noise.
- `Gram`: squared difference of Gram matrices (Gatys, Ecker & Bethge, CVPR 2016).
- `Histogram`: `Gram`, and each channel's sorted values beside the style's (Risser, Wilmot & Barnes, Stable and
  Controllable Neural Texture Synthesis and Style Transfer Using Histogram Losses, 2017). Sorted values take the place
  of the paper's binned ones: in one dimension both are the optimal transport from one histogram to the other.

A style whose picture is gone (a preset) has moments and no histograms; then the values are those of a normal
distribution of each channel's mean and variance.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.gaussian import Moments, root, rows, wasserstein

QUANTILES = 256  # that stand for a histogram


@dataclass(frozen=True, eq=False)
class Style:
    """All that is kept of an artwork: the moments of its colours (C = 3) and of each layer of a backbone's `style`.

    histograms: of each layer the quantiles of its channels, (C, QUANTILES) rising; empty where they are not
    needed.
    """

    colour: Moments
    layers: tuple[Moments, ...]
    histograms: tuple[Tensor, ...] = ()

    def to(self, device: torch.device) -> Style:
        return Style(
            self.colour.to(device),
            tuple(layer.to(device) for layer in self.layers),
            tuple(h.to(device) for h in self.histograms),
        )


def mixed(styles: Sequence[Style], shares: Sequence[float]) -> Style:
    """The style between several: the mean of their moments and quantiles by `shares`, which sum to 1."""

    def mean(parts: Sequence[Tensor]) -> Tensor:
        return sum((share * part for share, part in zip(shares, parts, strict=True)), torch.zeros_like(parts[0]))

    def between(parts: Sequence[Moments]) -> Moments:
        return Moments(mean([part.mean for part in parts]), mean([part.covariance for part in parts]))

    layers = tuple(between(parts) for parts in zip(*(style.layers for style in styles), strict=True))
    known = any(style.histograms for style in styles)
    histograms = (
        tuple(mean(parts) for parts in zip(*(histograms_of(style) for style in styles), strict=True)) if known else ()
    )
    return Style(between([style.colour for style in styles]), layers, histograms)


def histogram(activation: Tensor) -> Tensor:
    """QUANTILES quantiles of each channel of (1, C, H, W), at the middles of as many equal shares: (C, QUANTILES)."""
    values = rows(activation).T
    return F.interpolate(values.sort(1).values[None], QUANTILES, mode="linear", align_corners=False)[0]


def histograms_of(style: Style) -> tuple[Tensor, ...]:
    """The style's histograms; those of normal distributions of its moments where it has none."""
    if style.histograms:
        return style.histograms
    middles = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    normal = math.sqrt(2) * torch.erfinv(2 * middles - 1)
    return tuple(
        layer.mean[:, None]
        + layer.covariance.diagonal().clamp(min=0).sqrt()[:, None] * normal.to(layer.mean)  # (C, QUANTILES)
        for layer in style.layers
    )


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a loss takes from one strip of a canvas: `count` pixels, and tensors through which their slopes go back."""

    count: int
    parts: tuple[Tensor, ...]


class LayerLoss(ABC):
    """The distance of one layer of a canvas to the style's, as a function of sums over all of the canvas' pixels."""

    def __init__(self, target: Moments, histogram: Tensor) -> None:
        self.energy = max(float(target.mean.double().square().sum() + target.covariance.double().trace()), 1e-12)

    @abstractmethod
    def distance(self, mean: Tensor, second: Tensor) -> Tensor:
        """By the mean (C,) and the mean of a a^T (C, C): scalar, 0 for the style itself.

        All float64, with gradients.
        """

    def gather(self, a: Tensor) -> Gathered:
        """From the activations (N, C) of a strip: the sum of a, and of a a^T."""
        return Gathered(len(a), (a.sum(0), a.T @ a))

    @torch.enable_grad()
    def slopes(self, strips: Sequence[Gathered]) -> tuple[float, list[tuple[Tensor, ...]]]:
        """The distance of all strips together, and for each strip its slope by each of the strip's parts."""
        count = sum(strip.count for strip in strips)
        leaves = [
            torch.stack([strip.parts[k].detach() for strip in strips]).sum(0).double().requires_grad_()
            for k in range(2)
        ]
        distance = self.distance(*(leaf / count for leaf in leaves))
        slopes = tuple(
            slope.to(strips[0].parts[0].dtype)
            for slope in torch.autograd.grad(distance, leaves, allow_unused=True, materialize_grads=True)
        )
        return float(distance.detach()), [slopes] * len(strips)


class Bures(LayerLoss):
    """Squared 2-Wasserstein distance between Gaussians over the style's energy."""

    def __init__(self, target: Moments, histogram: Tensor) -> None:
        super().__init__(target, histogram)
        self._mean, self._root = target.mean.double(), root(target.covariance)

    def distance(self, mean: Tensor, second: Tensor) -> Tensor:
        return wasserstein(mean, second - mean.outer(mean), self._mean, self._root) / self.energy


class Gram(LayerLoss):
    """|G - S|^2 / |S|^2 of the Gram matrices G of the canvas and S of the style, each over its number of pixels."""

    def __init__(self, target: Moments, histogram: Tensor) -> None:
        super().__init__(target, histogram)
        self._gram = target.covariance.double() + target.mean.double().outer(target.mean.double())
        self._size = max(float(self._gram.square().sum()), 1e-24)

    def distance(self, mean: Tensor, second: Tensor) -> Tensor:
        return (second - self._gram).square().sum() / self._size


class Histogram(Gram):
    """`Gram`, and the squared distance of the sorted values of each channel to the style's, over the style's energy."""

    def __init__(self, target: Moments, histogram: Tensor) -> None:
        super().__init__(target, histogram)
        self._quantiles = histogram

    def gather(self, a: Tensor) -> Gathered:
        sums = super().gather(a)
        return Gathered(sums.count, (*sums.parts, a))

    def slopes(self, strips: Sequence[Gathered]) -> tuple[float, list[tuple[Tensor, ...]]]:
        distance, slopes = super().slopes(strips)
        away = torch.cat([strip.parts[2].detach() for strip in strips]).T  # (C, N)
        away = away - _in_order_of(away, self._quantiles.to(away))
        distance += float(away.double().square().mean(1).sum()) / self.energy
        each = (away * (2 / (away.shape[1] * self.energy))).T.split([strip.count for strip in strips])
        return distance, [(*sums, values) for sums, values in zip(slopes, each, strict=True)]


def _in_order_of(values: Tensor, quantiles: Tensor) -> Tensor:
    """For values (C, N) the numbers of the same ranks among quantiles (C, Q), interpolated: (C, N)."""
    wanted = F.interpolate(quantiles[None], values.shape[1], mode="linear", align_corners=False)[0]
    # NumPy sorts five times as fast as PyTorch does on a CPU.
    order = values.argsort(1) if values.is_cuda else torch.from_numpy(values.contiguous().numpy().argsort(1))
    return torch.empty_like(wanted).scatter_(1, order, wanted)


LOSSES: Mapping[str, type[LayerLoss]] = {"bures": Bures, "gram": Gram, "histogram": Histogram}
