"""VGG-19 (Simonyan & Zisserman 2015), whose activations neural style transfer compares (Gatys et al. 2016).

Only the convolutions: the classifier is never built. As Gatys et al. do, pooling takes the mean. What they do not do:
borders are padded with the pixels at the edge instead of zeros, which would draw a dark frame around a white
background.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONVOLUTIONS = (
    (0, 2),
    (5, 7),
    (10, 12, 14, 16),
    (19, 21, 23, 25),
    (28, 30, 32, 34),
)  # positions in `features`, a pool after each group
LAYERS = (
    "relu1_1",
    "relu2_1",
    "relu3_1",
    "relu4_1",
    "relu4_2",
    "relu5_1",
)  # Gatys et al.: content from relu4_2, style from the others
_POSITIONS = (1, 6, 11, 20, 22, 29)  # of LAYERS in `features`


class VGG19(nn.Module):
    """Activations of LAYERS, fine to coarse.

    Input (N, 3, H, W) RGB in [0, 1], H and W at least 16; output a list: layer k is (N, widths, H >> s, W >> s) with
    s = 0, 1, 2, 3, 3, 4.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 512)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)
        parts: list[nn.Module] = []
        inputs = 3
        for group, width in zip(CONVOLUTIONS, widths, strict=True):
            for _ in group:
                parts += [nn.Conv2d(inputs, width, 3, padding=1, padding_mode="replicate"), nn.ReLU()]
                inputs = width
            parts.append(nn.AvgPool2d(2))
        self.features = nn.Sequential(*parts)

    def forward(self, x: Tensor, depth: int = len(LAYERS)) -> list[Tensor]:
        """The first `depth` of LAYERS."""
        x = (x - self.mean) / self.std
        wanted, activations = _POSITIONS[:depth], []
        for position, part in enumerate(self.features[: wanted[-1] + 1]):
            x = part(x)
            if position in wanted:
                activations.append(x)
        return activations


def from_state_dict(state: dict[str, Tensor]) -> VGG19:
    """The network whose weights these are, keys `features.N.weight` and `features.N.bias` with torchvision's N.

    Widths are read from the shapes. Strict: unknown or missing keys raise.
    """
    network = VGG19(tuple(state[f"features.{group[0]}.weight"].shape[0] for group in CONVOLUTIONS))
    network.load_state_dict(state)
    return network
