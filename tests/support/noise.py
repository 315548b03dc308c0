"""The example pictures, and noise on them as a file keeps it."""

from __future__ import annotations

import torch
from torch import Tensor

from engine import image
from engine.settings import ROOT

EXAMPLES = ("handbag", "mug", "perfume", "sneaker", "vase", "watch")


def example(name: str) -> Tensor:
    return image.load(ROOT / f"gradio_ui/examples/{name}.jpg").pixels


def eight_bit(pixels: Tensor) -> Tensor:
    """As a file keeps it: rounded, cut off at black and white."""
    return (pixels.clamp(0, 1) * 255).round() / 255


def noisy(pixels: Tensor, sigma: float) -> Tensor:
    return eight_bit(pixels + torch.randn(pixels.shape, generator=torch.Generator().manual_seed(3)) * sigma / 255)
