"""Sharpening without a network: unsharp masking, out = in + amount (in - blurred in)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def unsharp(pixels: Tensor, sigma_px: float = 1.5, amount: float = 0.8) -> Tensor:
    """Sharpen (N, C, H, W) in [0, 1]; the result is clamped.

    A wave of f cycles per pixel grows by 1 + amount (1 - exp(-2 (pi sigma f)^2)): plain areas stay as they are.
    """
    return (pixels + amount * (pixels - _gaussian_blur(pixels, sigma_px))).clamp(0, 1)


def reach_px(sigma_px: float = 1.5) -> int:
    """How far a pixel sees."""
    return math.ceil(3 * sigma_px)


def _gaussian_blur(pixels: Tensor, sigma_px: float) -> Tensor:
    """Separable, with the picture's edge continued."""
    reach = reach_px(sigma_px)
    kernel = torch.exp(
        -0.5 * (torch.arange(-reach, reach + 1, device=pixels.device, dtype=pixels.dtype) / sigma_px) ** 2
    )
    kernel = kernel / kernel.sum()
    channels = pixels.shape[1]
    padded = F.pad(pixels, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
