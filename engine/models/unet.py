"""The U-Net that repairs pictures, in `restore` and in `deblur`.

A U-Net (Ronneberger et al. 2015) that predicts the disturbance, not the picture (DnCNN, Zhang et al. 2017), on
half-size planes (FFDNet's pixel unshuffle, Zhang et al. 2018), of plain 3x3 residual blocks without normalisation
(DRUNet, Zhang et al. 2021). Where we leave them: most channels work at an eighth of the size, where a 3x3 convolution
is 64 times cheaper; and since that is the grid of JPEG, that level is given each block of 8x8 pixels whole and may
answer with one. 55 kMAC per pixel in all, 60 with a level below it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """x + conv(leaky_relu(conv(x))), (N, width, H, W) in and out; slope: of the leaky ReLU, below zero. It is kept with
    the weights unless it is 0.

    With a slope of 0 a hidden channel that is below zero for every picture learns nothing more, and few come back: of
    our first restorers all channels of whole blocks had ended so.
    """

    slope: Tensor

    def __init__(self, width: int, slope: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.leak(slope)

    def leak(self, slope: float) -> None:
        """Sets the slope."""
        self.register_buffer("slope", torch.tensor(slope), persistent=slope != 0)
        self._slope = slope  # to read the buffer would wait for the GPU

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.second(F.leaky_relu(self.first(x), self._slope))
        return found


class UNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> the clean picture, same shape; H and W are multiples of 8. Not clamped.

    `pictures` of it may be given, (N, 3 pictures, H, W): the first is the one to be cleaned.
    deepest: residual blocks at a sixteenth of the size, and as many that merge their output; without them there is no
    such level, with them H and W are multiples of 16. Until it is trained, that level changes nothing.
    slope: as of `Residual`.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (48, 72, 112),
        blocks: tuple[int, int, int, int, int] = (1, 2, 3, 1, 1),
        pictures: int = 1,
        deepest: int = 0,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.head = nn.Conv2d(12 * pictures, half, 3, padding=1)
        self.down1 = chain(half, blocks[0], slope)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.down2 = chain(quarter, blocks[1], slope)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.from_block = nn.Conv2d(192, eighth, 1)
        self.middle = chain(eighth, blocks[2], slope)
        self.deepest = chain(eighth, deepest, slope)
        if deepest:
            self.to_sixteenth = nn.Conv2d(eighth, eighth, 2, stride=2)
            self.from_sixteenth = nn.ConvTranspose2d(eighth, eighth, 2, stride=2)
            self.joined = chain(eighth, deepest, slope)
            for name, parameter in self.named_parameters():
                if name.startswith("from_sixteenth.") or (name.startswith("joined.") and ".second." in name):
                    nn.init.zeros_(parameter)
        self.to_block = nn.Conv2d(eighth, 192, 1)
        nn.init.zeros_(self.to_block.weight)
        self.from_eighth = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.up2 = chain(quarter, blocks[3], slope)
        self.from_quarter = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.up1 = chain(half, blocks[4], slope)
        self.tail = nn.Conv2d(half, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        half = self.down1(self.head(F.pixel_unshuffle(x, 2)))  # (N, 48, H/2, W/2)
        x = x[:, :3]
        quarter = self.down2(self.to_quarter(half))
        eighth = self.middle(self.to_eighth(quarter) + self.from_block(F.pixel_unshuffle(x, 8)))
        if self.deepest:
            eighth = self.joined(eighth + self.from_sixteenth(self.deepest(self.to_sixteenth(eighth))))
        y = self.up2(self.from_eighth(eighth) + quarter)
        y = self.up1(self.from_quarter(y) + half)
        return x - F.pixel_shuffle(self.tail(y), 2) - F.pixel_shuffle(self.to_block(eighth), 8)


def from_state_dict(state: dict[str, Tensor]) -> UNet:
    """The network whose weights these are; widths and depths are read from the keys and shapes. Strict."""
    widths = tuple(state[f"{name}.weight"].shape[0] for name in ("head", "to_quarter", "to_eighth"))
    blocks = tuple(
        sum(k.startswith(f"{name}.") and k.endswith("first.weight") for k in state)
        for name in ("down1", "down2", "middle", "up2", "up1")
    )
    deepest = sum(k.startswith("deepest.") and k.endswith("first.weight") for k in state)
    network = UNet(widths, blocks, state["head.weight"].shape[1] // 12, deepest)  # type: ignore[arg-type]
    leak_as(network, state)
    network.load_state_dict(state)
    return network


def leak_as(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Gives the residual blocks of any `network` the slopes that are kept with the weights `state`."""
    for name, block in network.named_modules():
        if isinstance(block, Residual) and f"{name}.slope" in state:
            block.leak(float(state[f"{name}.slope"]))


def chain(width: int, count: int, slope: float = 0.0) -> nn.Sequential:
    """`count` residual blocks."""
    return nn.Sequential(*(Residual(width, slope) for _ in range(count)))
