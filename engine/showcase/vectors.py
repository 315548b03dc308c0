"""Points, directions and colours as (3, N) tensors, float32."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.srgb import REC709, luma


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(3, N) x (3, N) -> (N,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def normalize(a: Tensor) -> Tensor:
    """Vectors (3, N) scaled to length one."""
    return a * torch.rsqrt(dot(a, a).clamp_min(1e-20))


def vector(*values: float) -> Tensor:
    """A column (3, 1), for arithmetic with (3, N)."""
    return torch.tensor(values, dtype=torch.float32).view(3, 1)


def luminance(rgb: Tensor) -> Tensor:
    """(3, N) linear RGB -> (N,), Rec. 709."""
    return luma(rgb[None], REC709)[0, 0]


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between; falls where low > high."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """a where weight = 0, b where weight = 1."""
    return a + (b - a) * weight
