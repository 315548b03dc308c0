"""Perceptual features: five convolutions that stand in for VGG wherever a loss compares pictures.

The shape is Darknet Reference's first five layers (Redmon, pjreddie.com/darknet/imagenet): 3x3 convolutions of
16, 32, 64, 128 and 256 channels, leaky ReLU of slope 0.1, 2x2 max-pool after each. Batch normalisation is folded
into the convolutions, so there is none here. The weights are our own, distilled from that network's activations
(`engine/train/recipes/features.py`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


class Features(nn.Module):
    """Activations of five layers, each after its leaky ReLU and before the pool that follows it.

    Input (N, 3, H, W) RGB in [0, 1]; output a list: layer k is (N, widths[k], H >> k, W >> k), k from 0.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 128, 256)) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        for name, i, o in zip(LAYERS, inputs, widths, strict=True):
            # Reflection keeps white backgrounds white up to the border; zeros would draw a dark frame there.
            setattr(self, name, nn.Conv2d(i, o, 3, padding=1, padding_mode="reflect"))

    def forward(self, x: Tensor, depth: int = len(LAYERS)) -> list[Tensor]:
        activations: list[Tensor] = []
        for name in LAYERS[:depth]:
            if activations:
                x = F.max_pool2d(x, 2)
            x = F.leaky_relu(getattr(self, name)(x), 0.1)
            activations.append(x)
        return activations


def from_state_dict(state: dict[str, Tensor]) -> Features:
    """The network whose weights these are; widths are read from the shapes. Strict: unknown or missing keys raise."""
    network = Features(tuple(state[f"{name}.weight"].shape[0] for name in LAYERS))
    network.load_state_dict(state)
    return network


def relative_error(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Per layer, |ours - theirs| / |theirs| in L2 over the whole batch: 0 is identical. Shape (layers,)."""
    return torch.stack([(a - b).norm() / b.norm() for a, b in zip(ours, theirs, strict=True)])
