"""Filling holes without a network: the smoothest surface that meets the picture around each hole.

Harmonic (membrane) interpolation, as in Poisson image editing (Perez et al. 2003) with no guidance: inside a hole
each pixel is the mean of its neighbours. It continues plain and evenly lit backgrounds exactly and invents no texture.
Solved by conjugate gradients with a multigrid cycle on 2x2 aggregates as preconditioner; coarse equations are sums
of the fine ones, so holes of any shape stay right at every size.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.filters import maximum

_TOLERANCE = 0.1 / 255  # of the next correction: what is left is far below a grey level
_MOST_ITERATIONS = 40
_DAMPING = 0.8  # of Jacobi's step
_TINY = 1e-30
_NEAR_PX = 8
_PLAIN, _PLAIN_MOST = 1.5 / 255, 8 / 255  # root mean square of what is not plain near a hole, and the most of it
_OVERCORRECTION = 2.0  # a coarse step that is constant on aggregates is half as long as the smooth one it stands for


class _Level(NamedTuple):
    """The equations (A u)[p] = diagonal[p] u[p] - sum over neighbours q of edge[p, q] u[q], each (1, 1, H, W)."""

    right: Tensor  # edge to the right neighbour; 0 in the last column
    below: Tensor  # edge to the neighbour below; 0 in the last row
    diagonal: Tensor  # 1 where nothing is unknown
    unknown: Tensor  # 1 or 0

    def apply(self, u: Tensor) -> Tensor:
        flow = self.diagonal * u
        flow[..., :-1] -= self.right[..., :-1] * u[..., 1:]
        flow[..., 1:] -= self.right[..., :-1] * u[..., :-1]
        flow[..., :-1, :] -= self.below[..., :-1, :] * u[..., 1:, :]
        flow[..., 1:, :] -= self.below[..., :-1, :] * u[..., :-1, :]
        return flow * self.unknown

    def coarser(self) -> _Level:
        """The same equations for functions that are constant on 2x2 aggregates, scaled by the overcorrection."""
        right = _sum_pairs(_even(self.right)[..., 1::2], 2) / _OVERCORRECTION  # (1, 1, H / 2, W / 2), like all below
        below = _sum_pairs(_even(self.below)[..., 1::2, :], 3) / _OVERCORRECTION
        links_to_known = self.apply(self.unknown)  # what a row's edges leave of its diagonal
        diagonal = _sum_fours(links_to_known) / _OVERCORRECTION + right + below
        diagonal[..., 1:] += right[..., :-1]
        diagonal[..., 1:, :] += below[..., :-1, :]
        unknown = F.max_pool2d(_even(self.unknown), 2)
        return _Level(right, below, torch.where(unknown > 0, diagonal.clamp_min(1e-6), 1.0), unknown)


def fill(pixels: Tensor, mask: Tensor) -> Generator[tuple[int, int], None, Tensor]:
    """Fill the holes of `pixels` (1, C, H, W) where `mask` (1, 1, H, W) is above 0.5.

    Returns float32 (1, C, H, W), the same as `pixels` outside the mask; a picture without a known pixel becomes mid
    grey. Yields (done, total) after each iteration.
    """
    unknown = (mask > 0.5).float()
    pixels = pixels.float()
    if not unknown.any():
        return pixels
    if unknown.all():
        return torch.full_like(pixels, 0.5)
    levels = [_finest(unknown)]
    while max(levels[-1].unknown.shape[-2:]) > 4:
        levels.append(levels[-1].coarser())
    u = _push_pull(pixels * (1 - unknown), 1 - unknown)
    # Known pixels enter through the right-hand side: what is left to do is a correction inside the holes.
    residual = -_laplacian(u) * unknown
    step, gain = torch.zeros_like(u), torch.ones(1, u.shape[1], 1, 1)
    for iteration in range(_MOST_ITERATIONS):
        preconditioned = _cycle(levels, residual)
        if preconditioned.abs().max() < _TOLERANCE:
            break
        gain_before, gain = gain, (residual * preconditioned).sum((2, 3), keepdim=True)
        step = preconditioned + (gain / gain_before.clamp_min(_TINY)) * step
        image = levels[0].apply(step)
        length = gain / (step * image).sum((2, 3), keepdim=True).clamp_min(_TINY)
        u += length * step
        residual -= length * image
        yield iteration + 1, _MOST_ITERATIONS
    return torch.where(unknown > 0, u.clamp(0, 1), pixels)


def plain_around(pixels: Tensor, mask: Tensor) -> bool:
    """Whether what is known near the holes of `pixels` (1, C, H, W), where `mask` (1, 1, H, W) is above 0.5, is plain:
    one colour, or an even slope of it, with hardly any noise. `fill` continues that without a fault.
    """
    holes = (mask > 0.5).float()
    near = (maximum(holes, _NEAR_PX) > holes)[0, 0]
    rows, columns = near.nonzero().double().unbind(1)
    if len(rows) < _NEAR_PX:
        return False
    height, width = near.shape
    plane = torch.stack([torch.ones_like(rows), rows / height, columns / width], 1)
    values = pixels[0, :, near].T.double()
    # By the normal equations: a ring that is one row or column has no slope across it.
    slopes = torch.linalg.pinv(plane.T @ plane, hermitian=True) @ (plane.T @ values)
    left = (plane @ slopes - values).abs()
    return bool(left.amax() < _PLAIN_MOST) and bool(left.square().mean(0).amax() < _PLAIN**2)


def _finest(unknown: Tensor) -> _Level:
    right, below = torch.zeros_like(unknown), torch.zeros_like(unknown)
    right[..., :-1] = unknown[..., :-1] * unknown[..., 1:]
    below[..., :-1, :] = unknown[..., :-1, :] * unknown[..., 1:, :]
    neighbours = torch.full_like(unknown, 4.0)  # fewer at the picture's edge: nothing flows across it
    neighbours[..., 0, :] -= 1
    neighbours[..., -1, :] -= 1
    neighbours[..., 0] -= 1
    neighbours[..., -1] -= 1
    return _Level(right, below, torch.where(unknown > 0, neighbours, 1.0).clamp_min(1.0), unknown)


def _laplacian(u: Tensor) -> Tensor:
    """Sum over the neighbours inside the picture of u[p] - u[q]."""
    padded = F.pad(u, (1, 1, 1, 1), mode="replicate")
    return 4 * u - padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2] - padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]


def _cycle(levels: list[_Level], b: Tensor) -> Tensor:
    """One symmetric V-cycle for A u = b from 0."""
    level = levels[0]
    jacobi = _DAMPING * level.unknown / level.diagonal
    u = jacobi * b
    if len(levels) == 1:
        for _ in range(8):
            u = u + jacobi * (b - level.apply(u))
        return u
    u = u + jacobi * (b - level.apply(u))
    coarse = _cycle(levels[1:], _sum_fours(b - level.apply(u)))
    u = u + level.unknown * F.interpolate(coarse, scale_factor=2)[..., : u.shape[2], : u.shape[3]]
    for _ in range(2):
        u = u + jacobi * (b - level.apply(u))
    return u


def _push_pull(values: Tensor, weight: Tensor) -> Tensor:
    """A first guess: means of what is known, coarser where nothing near is (Gortler et al. 1996).

    `values` is 0 where unknown.
    """
    if weight.all() or max(values.shape[-2:]) == 1:
        return values / weight.clamp_min(1e-6)
    height, width = values.shape[-2:]
    small_weight = F.avg_pool2d(_even(weight), 2)
    small = F.avg_pool2d(_even(values), 2) / small_weight.clamp_min(1e-6)
    known = (small_weight > 0).float()
    small = _push_pull(small * known, known)
    large = F.interpolate(small, scale_factor=2, mode="bilinear")[..., :height, :width]
    return torch.where(weight > 0, values, large)


def _even(t: Tensor) -> Tensor:
    """Zeros added below and to the right until both sides are even."""
    return F.pad(t, (0, t.shape[-1] % 2, 0, t.shape[-2] % 2))


def _sum_fours(t: Tensor) -> Tensor:
    """Sums over 2x2 aggregates."""
    return 4 * F.avg_pool2d(_even(t), 2)


def _sum_pairs(t: Tensor, dim: int) -> Tensor:
    """Sums of neighbouring pairs along rows (2) or columns (3) of a tensor."""
    found: Tensor = t.unflatten(dim, (-1, 2)).sum(dim + 1)
    return found
