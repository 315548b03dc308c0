"""Filters that several methods use: Gaussian and box blur, derivatives, morphology. Each formula stands here alone.

Morphology as in Serra, Image Analysis and Mathematical Morphology, 1982, with squares.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

# What lies beyond the picture: its border again, its mirror image, zeros, or nothing, so that fewer pixels count.
Beyond: TypeAlias = Literal["replicate", "reflect", "zeros", "nothing"]

# Weights of the three rows over which a difference from column to column is taken.
CENTRAL = (0.0, 1.0, 0.0)
SOBEL = (1.0, 2.0, 1.0)  # Sobel and Feldman 1968
SCHARR = (3.0, 10.0, 3.0)  # Scharr 2000: its direction is truer


def gaussian(distance: Tensor, sigma: float) -> Tensor:
    """exp(-distance^2 / (2 sigma^2)), elementwise: 1 in the middle."""
    return torch.exp(-0.5 * (distance / sigma) ** 2)


def gaussian_window(sigma: float, reach: int, like: Tensor | None = None) -> Tensor:
    """Weights (2 reach + 1,) of a normal distribution of standard deviation `sigma` in pixels, together 1."""
    at = torch.arange(-reach, reach + 1)
    window = gaussian(at if like is None else at.to(like), sigma)
    return window / window.sum()


def gaussian_kernel(sigma: float, reach: int) -> Tensor:
    """The same in the plane, (2 reach + 1, 2 reach + 1)."""
    window = gaussian_window(sigma, reach)
    return window[:, None] * window


def reach_of(sigma: float, deviations: float = 3.0) -> int:
    """How many pixels to each side a Gaussian blur sees."""
    return max(1, math.ceil(deviations * sigma))


def gaussian_blur(
    x: Tensor, sigma: float, reach: int | None = None, beyond: Literal["replicate", "reflect"] = "replicate"
) -> Tensor:
    """Each channel of (N, C, H, W) under a Gaussian of standard deviation `sigma` px.

    reach: pixels to each side that count; three standard deviations unless given.
    """
    reach = reach_of(sigma) if reach is None else reach
    window = gaussian_window(sigma, reach, x)
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), (reach,) * 4, mode=beyond)
    return F.conv2d(F.conv2d(padded, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1)).reshape(n, c, h, w)


@torch.no_grad()
def feathered(mask: Tensor, radius_px: float) -> Tensor:
    """`mask` (1, 1, H, W) in [0, 1] with edges softened over about `radius_px` on either side; 0 changes nothing.

    Three box filters after one another, close to a Gaussian of standard deviation radius / 2, in a time that does not
    depend on the radius. Beyond the picture the mask goes on as at its edge.
    """
    if radius_px <= 0:
        return mask
    variance = (radius_px / 2) ** 2 / 3  # of each box
    reach = int((math.sqrt(1 + 12 * variance) - 1) / 2)  # a box of 2 r + 1 has (r^2 + r) / 3
    # The share of the next box that makes up the rest.
    wider = (variance - (reach**2 + reach) / 3) / (2 * (reach + 1) / 3)
    soft = mask.float()
    for _ in range(3):
        for dim in (3, 2):
            soft = torch.lerp(_running_mean(soft, reach, dim), _running_mean(soft, reach + 1, dim), wider)
    return soft.clamp(0, 1)


def _running_mean(t: Tensor, reach: int, dim: int) -> Tensor:
    """Means over 2 reach + 1 neighbours along rows (3) or columns (2) from one running sum, of (1, 1, H, W)."""
    before, after = reach + 1, reach
    sums = F.pad(t, (before, after, 0, 0) if dim == 3 else (0, 0, before, after), mode="replicate").cumsum(
        dim, dtype=torch.float64
    )
    return (
        (sums.narrow(dim, 2 * reach + 1, t.shape[dim]) - sums.narrow(dim, 0, t.shape[dim])) / (2 * reach + 1)
    ).float()


def box(x: Tensor, reach: int | tuple[int, int], beyond: Beyond = "replicate") -> Tensor:
    """The mean around each pixel of (N, C, H, W), over `reach` px to every side, or over (up and down, left and right).

    A sum of the whole window; where that is wide, `wide_box` is faster.
    """
    down, across = (reach, reach) if isinstance(reach, int) else reach
    size = (2 * down + 1, 2 * across + 1)
    if beyond in ("zeros", "nothing"):
        return F.avg_pool2d(x, size, 1, (down, across), count_include_pad=beyond == "zeros")
    return F.avg_pool2d(F.pad(x, (across, across, down, down), mode=beyond), size, 1)


def wide_box(x: Tensor, reach: int, beyond: Beyond = "replicate") -> Tensor:
    """`box` but for rounding: first along rows, then along columns."""
    return box(box(x, (0, reach), beyond), (reach, 0), beyond)


def across_kernel(rows: tuple[float, float, float]) -> Tensor:
    """The derivative along x as the weights (3, 3) of a correlation, for one of CENTRAL, SOBEL, SCHARR: 1 for a ramp of
    1 per px. Transposed, it is the one along y.
    """
    return torch.tensor(rows)[:, None] * torch.tensor([-1.0, 0.0, 1.0]) / (2 * sum(rows))


def gradient(x: Tensor, rows: tuple[float, float, float] = CENTRAL) -> tuple[Tensor, Tensor]:
    """d/dx and d/dy per px of each channel of (N, C, H, W), of that shape; the border goes on as it is."""
    side, middle, _ = rows
    t = F.pad(x, (1, 1, 1, 1), mode="replicate")
    columns = side * t[..., :-2, :] + middle * t[..., 1:-1, :] + side * t[..., 2:, :]
    lines = side * t[..., :-2] + middle * t[..., 1:-1] + side * t[..., 2:]
    span = 2 * sum(rows)
    return (columns[..., 2:] - columns[..., :-2]) / span, (lines[..., 2:, :] - lines[..., :-2, :]) / span


def dilated(mask: Tensor, steps: int) -> Tensor:
    """A mask, bool (..., H, W), grown by a square of 2 steps + 1; outside the picture is False."""
    for _ in range(steps):
        t = F.pad(mask, (1, 1, 1, 1))
        t = t[..., :-2] | t[..., 1:-1] | t[..., 2:]
        mask = t[..., :-2, :] | t[..., 1:-1, :] | t[..., 2:, :]
    return mask


def eroded(mask: Tensor, steps: int) -> Tensor:
    """A mask, bool (..., H, W), without what is within `steps` of its edge; outside the picture counts as True."""
    return ~dilated(~mask, steps)


def maximum(x: Tensor, reach: int | tuple[int, int] = 1) -> Tensor:
    """Grey dilation of (N, C, H, W): the largest within `reach` px to every side, or within (up and down, left and
    right); outside does not count.
    """
    down, across = (reach, reach) if isinstance(reach, int) else reach
    return F.max_pool2d(F.max_pool2d(x, (1, 2 * across + 1), 1, (0, across)), (2 * down + 1, 1), 1, (down, 0))


def minimum(x: Tensor, reach: int | tuple[int, int] = 1) -> Tensor:
    """Grey erosion of (N, C, H, W): the smallest, as in `maximum`."""
    return -maximum(-x, reach)


def opened(x: Tensor, reach: int) -> Tensor:
    """Grey opening of (N, C, H, W): what is narrower than a square of 2 reach + 1 is gone."""
    return maximum(minimum(x, reach), reach)
