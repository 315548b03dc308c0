"""Sharpening without a network: unsharp masking, out = in + amount (in - blurred in)."""

from __future__ import annotations

import math

from torch import Tensor

from engine.models.filters import gaussian_blur


def unsharp(pixels: Tensor, sigma_px: float = 1.5, amount: float = 0.8) -> Tensor:
    """Sharpen (N, C, H, W) in [0, 1]; the result is clamped.

    A wave of f cycles per pixel grows by 1 + amount (1 - exp(-2 (pi sigma f)^2)): plain areas stay as they are.
    """
    return (pixels + amount * (pixels - gaussian_blur(pixels, sigma_px, reach_px(sigma_px)))).clamp(0, 1)


def reach_px(sigma_px: float = 1.5) -> int:
    """How far a pixel sees."""
    return math.ceil(3 * sigma_px)
