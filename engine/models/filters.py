"""Filters that several methods use: Gaussian blur and morphology. Each formula stands here and nowhere else.

Morphology as in Serra, Image Analysis and Mathematical Morphology, 1982, with squares.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_window(sigma: float, reach: int, like: Tensor | None = None) -> Tensor:
    """Weights (2 reach + 1,) of a normal distribution of standard deviation `sigma` in pixels, together 1."""
    at = torch.arange(-reach, reach + 1)
    window = torch.exp(-0.5 * ((at if like is None else at.to(like)) / sigma) ** 2)
    return window / window.sum()


def reach_of(sigma: float, deviations: float = 3.0) -> int:
    """How many pixels to each side a Gaussian blur sees."""
    return max(1, math.ceil(deviations * sigma))


def gaussian_blur(x: Tensor, sigma: float, reach: int | None = None) -> Tensor:
    """Each channel of (N, C, H, W) under a Gaussian of standard deviation `sigma` px; the border goes on as it is.

    reach: pixels to each side that count; three standard deviations unless given.
    """
    reach = reach_of(sigma) if reach is None else reach
    window = gaussian_window(sigma, reach, x)
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1)).reshape(n, c, h, w)


def dilated(mask: Tensor, steps: int) -> Tensor:
    """A mask, bool (h, w), grown by a square of 2 steps + 1; outside the picture is False."""
    for _ in range(steps):
        t = F.pad(mask, (1, 1, 1, 1))
        t = t[:, :-2] | t[:, 1:-1] | t[:, 2:]
        mask = t[:-2] | t[1:-1] | t[2:]
    return mask


def eroded(mask: Tensor, steps: int) -> Tensor:
    """A mask, bool (h, w), without what is within `steps` of its edge; outside the picture counts as True."""
    return ~dilated(~mask, steps)


def maximum(x: Tensor, reach: int = 1) -> Tensor:
    """Grey dilation: the largest of each pixel's square of 2 reach + 1, of (N, C, H, W); outside does not count."""
    return F.max_pool2d(x, 2 * reach + 1, 1, reach)


def minimum(x: Tensor, reach: int = 1) -> Tensor:
    """Grey erosion: the smallest of each pixel's square of 2 reach + 1, of (N, C, H, W); outside does not count."""
    return -maximum(-x, reach)


def opened(x: Tensor, reach: int) -> Tensor:
    """Grey opening of (N, C, H, W): what is narrower than a square of 2 reach + 1 is gone."""
    return maximum(minimum(x, reach), reach)
