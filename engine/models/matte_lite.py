"""The product on any background, by a network that has learned of the world first: a U-Net (Ronneberger et al. 2015)
whose encoder is EfficientNet-Lite0.

The deepest level is also given what the whole picture holds (squeeze and excitation, Hu et al. 2018). At the end the
photo's own pixels refine the edges, at full size.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.efficientnet_lite import CHANNELS, EfficientNetLite0

WIDTHS = (32, 56, 80, 128, 160)  # of the decoder, at 1/2, 1/4 ... 1/32 of the size


class MatteLite(nn.Module):
    """(N, 3, H, W) in [0, 1] -> logits of the matte (N, 1, H, W).

    H and W are multiples of 32. look_px: the longer side of the copy of a photo that it wants.
    """

    look_px = 512

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.encoder = EfficientNetLite0()
        self.skips = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(CHANNELS, widths, strict=True))
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.mix = nn.ModuleList(_Mix(w) for w in widths)
        self.narrow = nn.ModuleList(nn.Conv2d(wide, w, 1) for w, wide in itertools.pairwise(widths))
        self.tail = nn.Conv2d(widths[0], 4 * _EDGE, 3, padding=1)
        self.edge = nn.Sequential(nn.Conv2d(_EDGE + 3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        skips = [skip(seen) for skip, seen in zip(self.skips, self.encoder(x), strict=True)]
        y = skips[-1]
        y = self.mix[-1](y * 2 * torch.sigmoid(self.whole(y.mean((2, 3))))[:, :, None, None])
        for level in range(len(skips) - 2, -1, -1):
            wider = F.interpolate(self.narrow[level](y), scale_factor=2, mode="bilinear", align_corners=False)
            y = self.mix[level](wider + skips[level])
        fine = F.pixel_shuffle(self.tail(y), 2)
        logits: Tensor = fine[:, :1] + self.edge(torch.cat([fine, 2 * x - 1], 1))
        return logits


class _Mix(nn.Module):
    """A residual 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return y


_EDGE = 4  # channels at full size


def from_state_dict(state: dict[str, Tensor]) -> MatteLite:
    network = MatteLite()
    network.load_state_dict(state)
    return network
