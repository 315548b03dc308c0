"""Filling holes of a photo with what is likely to have been there.

A U-Net of gated convolutions (Yu et al., Free-Form Image Inpainting with Gated Convolution, 2019): beside each feature
the network learns how far it is to be trusted, so a hole's emptiness does not leak. Where we leave the paper: one stage
instead of two, since the coarse one is replaced by a fill without weights (push-pull, Gortler et al. 1996) that the
network is given and adds to; dilated convolutions at an eighth of the size look across the hole.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Gated(nn.Module):
    """leaky_relu(a) * sigmoid(b), (a, b) = conv(x): (N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        size = 3 if stride == 1 else 2 * stride
        padding = dilation if stride == 1 else stride // 2
        self.conv = nn.Conv2d(inputs, 2 * outputs, size, stride, padding, dilation)

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, 1)
        return F.leaky_relu(feature, 0.2) * torch.sigmoid(gate)


class Inpaint(nn.Module):
    """Photo (N, 3, H, W) in [0, 1] and holes (N, 1, H, W), 1 = fill -> the photo with its holes filled, in [0, 1].

    H and W are multiples of 8. Outside the holes the photo comes back as it was; what is in them is ignored.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (32, 56, 96), dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    ) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.head = Gated(16, half)
        self.down1 = Gated(half, quarter, stride=2)
        self.at_quarter = Gated(quarter, quarter)
        self.down2 = Gated(quarter, eighth, stride=2)
        self.across = nn.ModuleList(Gated(eighth, eighth, dilation=d) for d in dilations)
        self.up2 = Gated(eighth + quarter, quarter)
        self.up1 = Gated(quarter + half, half)
        self.tail = nn.Conv2d(half, 12, 3, padding=1)
        nn.init.zeros_(self.tail.weight)

    def forward(self, x: Tensor, holes: Tensor) -> Tensor:
        holes = (holes > 0.5).to(x.dtype)
        filled = push_pull(x, holes)
        half = self.head(F.pixel_unshuffle(torch.cat([2 * filled - 1, holes], 1), 2))
        quarter = self.at_quarter(self.down1(half))
        y = self.down2(quarter)
        for gated in self.across:
            y = y + gated(y)
        y = self.up2(torch.cat([_double(y), quarter], 1))
        y = self.up1(torch.cat([_double(y), half], 1))
        guess = (filled + F.pixel_shuffle(self.tail(y), 2)).clamp(0, 1)
        return torch.where(holes > 0.5, guess, x)

    def nothing(self, x: Tensor) -> tuple[Tensor]:
        """No holes, for pictures x (N, 3, H, W): what a first, empty run takes."""
        return (torch.zeros_like(x[:, :1]),)


def push_pull(x: Tensor, holes: Tensor) -> Tensor:
    """Holes filled with the means of ever larger surroundings: (N, C, H, W), 1 = fill. All hole is middle grey."""
    known = 1 - holes
    if min(x.shape[-2:]) <= 1:
        return torch.where(known > 0, x, torch.full_like(x, 0.5))
    weight = F.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    mean = F.avg_pool2d(x * known, 2, ceil_mode=True, count_include_pad=False) / weight.clamp_min(1e-4)
    coarse = push_pull(mean, (weight == 0).to(x.dtype))
    smooth = F.interpolate(coarse, size=x.shape[-2:], mode="bilinear")
    return torch.where(holes > 0.5, smooth, x)


def from_state_dict(state: dict[str, Tensor]) -> Inpaint:
    """The network whose weights these are; widths are read from the shapes.

    The dilations are those of every file so far. Strict.
    """
    widths = tuple(state[f"{name}.conv.weight"].shape[0] // 2 for name in ("head", "down1", "down2"))
    network = Inpaint(widths)  # type: ignore[arg-type]
    network.load_state_dict(state)
    return network


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
