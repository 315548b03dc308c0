"""Small parts of networks that several of them share. Each formula stands here alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pixel_norm(x: Tensor) -> Tensor:
    """The channels of each pixel of (N, C, H, W) at unit mean square (ProGAN, Karras et al. 2018)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()


def doubled(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
