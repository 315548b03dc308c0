"""What is done to light and colour without a network: the methods that `tone` is measured beside.

All take a photo (1, 3, H, W) in [0, 1] and give the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.srgb import REC709, luma


def gamma(x: Tensor, target: float = 0.5) -> Tensor:
    """The power that brings the mean luma to `target`."""
    mean = float(luma(x, REC709).mean().clamp(0.02, 0.98))
    return x.clamp_min(1e-6).pow(torch.log(torch.tensor(target)) / torch.log(torch.tensor(mean)))


def grey_world(x: Tensor) -> Tensor:
    """Each channel's mean becomes the mean of all (Buchsbaum 1980)."""
    means = x.mean((2, 3), keepdim=True)
    return (x * means.mean() / means.clamp_min(1e-3)).clamp(0, 1)


def white_patch(x: Tensor, quantile: float = 0.99, target: float = 0.9) -> Tensor:
    """Each channel's `quantile` becomes `target` (Land 1977, robust to a few bright pixels):
    exposure and colour cast in one.
    """
    whites = x.flatten(2).quantile(quantile, dim=2)[..., None, None]
    return (x * target / whites.clamp_min(1e-3)).clamp(0, 1)


def clahe(x: Tensor, tiles: int = 8, limit: float = 2.0, bins: int = 256) -> Tensor:
    """Contrast limited adaptive histogram equalisation of luma (Zuiderveld 1994), the colours scaled with it."""
    level = luma(x, REC709)
    height, width = level.shape[-2:]
    rows, columns = (torch.linspace(0, side, tiles + 1).round().long() for side in (height, width))
    curves = torch.empty(bins, tiles, tiles)
    for i in range(tiles):
        for j in range(tiles):
            part = level[0, 0, rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            share = torch.histc(part, bins, 0, 1) / part.numel()
            most = limit / bins
            over = (share - most).clamp_min(0).sum()
            curves[:, i, j] = (share.clamp(max=most) + over / bins).cumsum(0)
    around = F.interpolate(curves[None], (height, width), mode="bilinear", align_corners=False)
    index = (level * (bins - 1)).round().long()
    return (x * around.gather(1, index) / level.clamp_min(1e-3)).clamp(0, 1)
