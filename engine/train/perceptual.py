"""Perceptual distance: how far two pictures are apart as `features` sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.features import Features


class Perceptual:
    """L1 between activations of the first `layers` of `features` (Johnson et al. 2016, with L1), summed over layers.

    Each layer is divided by how far its activations of `examples` (N, 3, H, W) spread, so that all weigh alike.
    The features are frozen.
    """

    def __init__(self, features: Features, examples: Tensor, layers: int = 4) -> None:
        self.features = features.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        with torch.no_grad():
            self.spreads = [float(a.std()) for a in self.features(examples, layers)]

    def __call__(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
        """Of activations; those of deeper layers may be among them and do not count."""
        return torch.stack([F.l1_loss(a, b) / s for a, b, s in zip(ours, theirs, self.spreads, strict=False)]).sum()
