"""DiffAugment (Zhao et al. 2020): what a discriminator sees is varied, of real and drawn pictures alike, and stays
differentiable.

Since it never sees a picture plain, it cannot learn few photos by heart; since most pictures keep their size and stand
upright, and every change is by chance about nothing, what is done to them does not leak into the samples (Karras et al.
2020, section 2.2).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TURNED = 0.5  # share of pictures that are turned and scaled, where that is asked for: the rest shows which way is up


def augment(x: Tensor, rng: np.random.Generator, *, turn_deg: float = 0.0, scale: float = 0.0) -> Tensor:
    """Pictures (N, 3, S, S) with brightness, saturation, contrast and place varied; the same for the same state of
    `rng`.

    turn_deg, scale: half of them are also turned by up to so many degrees, and made larger or smaller by up to this
    share; with both at zero, chance is spent as if there were no such thing. Moved by up to an eighth of the side.
    Borders are filled with white, which is what lies beyond a packshot's border. No cutout: a hole in a product is
    exactly what the discriminator should see as wrong.
    """
    n, _, h, w = x.shape

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1)).astype(np.float32))

    if turn_deg or scale:
        chosen = torch.from_numpy(rng.uniform(size=n) < TURNED)
        angles = draw(-math.radians(turn_deg), math.radians(turn_deg)).flatten() * chosen
        sizes = torch.exp(draw(-math.log1p(scale), math.log1p(scale)).flatten() * chosen)
        x = turned(x, angles, sizes)
    x = x + draw(-0.1, 0.1)
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * draw(0.6, 1.4) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * draw(0.8, 1.2) + mean
    most = h // 8
    padded = F.pad(x, (most, most, most, most), value=1.0)
    shifts = rng.integers(0, 2 * most + 1, (n, 2))
    return torch.stack(
        [p[:, dy : dy + h, dx : dx + w] for p, (dy, dx) in zip(padded, shifts.tolist(), strict=True)]
    ).contiguous(memory_format=torch.channels_last)


def turned(x: Tensor, angles: Tensor, sizes: Tensor) -> Tensor:
    """Square pictures (N, 3, S, S) turned counterclockwise by `angles` (N,) in radians about their middle and `sizes`
    (N,) times as large, on white.
    """
    cos, sin, nought = angles.cos() / sizes, angles.sin() / sizes, torch.zeros_like(angles)
    back = torch.stack(
        [torch.stack([cos, -sin, nought], 1), torch.stack([sin, cos, nought], 1)], 1
    )  # from the result to where it is read
    grid = F.affine_grid(back, list(x.shape), align_corners=False)
    return 1 - F.grid_sample(1 - x, grid, padding_mode="zeros", align_corners=False)
