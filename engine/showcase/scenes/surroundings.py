"""Backdrops and grains that several scenes have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.showcase.shapes import cells, length
from engine.showcase.vectors import smoothstep


def sweep(glow: float = 0.25) -> Callable[[Tensor], Tensor]:
    """A backdrop a little darker to the top, relative to the floor."""

    def seen(d: Tensor) -> Tensor:
        return torch.ones_like(d) * (1.0 + 0.06 - glow * smoothstep(-0.25, 0.6, d[1]))

    return seen


def specks(p: Tensor, per_unit: float, size: float) -> Tensor:
    """Iron spots of fired clay, in [0, 1]: a grain in each cell of a wrapped plane,
    most of them too small to be seen.
    """
    angle = torch.atan2(p[2], p[0])
    u, v = angle * (0.4 * per_unit), (p[1] + 0.6 * length(p[0], p[2])) * per_unit
    grain, _ = cells(u, v, seed=2)
    large = torch.sin(u.floor() * 12.9 + v.floor() * 78.2).abs()
    return smoothstep(1.0, 0.6, grain / (size * (0.15 + 0.85 * large**3)))
