"""IS-Net (Qin et al., Highly Accurate Dichotomous Image Segmentation, ECCV 2022): what the product is, by U-Nets within
a U-Net.

Every stage is a residual U-block (Qin et al., U2-Net, 2020). Reads the authors' weights; of their six outputs, one at
each size, only the finest is used. The authors stretch it until it reaches 0 and 1: here it stays as it is, so that a
photo without a product shows none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.segment import shrunk

SIDE_PX = 1024  # what it was trained on: the photo squeezed into a square
_FLAT_STAGES = 2  # the deepest ones: too small to be made smaller, they see further by dilation


class Unit(nn.Module):
    """A 3x3 convolution, batch normalisation and ReLU; named as in the authors' files."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


class ResidualUBlock(nn.Module):
    """A residual U-block, (N, inputs, H, W) -> (N, outputs, H, W): `height` levels, each half the size of the one
    before, the deepest as large as the one above it. flat: all as large, each with twice the dilation.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, height: int, flat: bool) -> None:
        super().__init__()
        self.height, self.flat = height, flat
        dilations = [2**k for k in range(height)] if flat else [1] * (height - 1) + [2]
        self.rebnconvin = Unit(inputs, outputs)
        for level, dilation in enumerate(dilations, 1):
            self.add_module(f"rebnconv{level}", Unit(outputs if level == 1 else middle, middle, dilation))
            if level < height:
                self.add_module(f"rebnconv{level}d", Unit(2 * middle, outputs if level == 1 else middle, dilation))

    def forward(self, x: Tensor) -> Tensor:
        x = self.rebnconvin(x)
        levels = [self.get_submodule("rebnconv1")(x)]
        for level in range(2, self.height):
            levels.append(self.get_submodule(f"rebnconv{level}")(levels[-1] if self.flat else _halved(levels[-1])))
        y = self.get_submodule(f"rebnconv{self.height}")(levels[-1])
        for level in range(self.height - 1, 0, -1):
            y = self.get_submodule(f"rebnconv{level}d")(torch.cat([_like(y, levels[level - 1]), levels[level - 1]], 1))
        found: Tensor = y + x
        return found


class ISNet(nn.Module):
    """(N, 3, H, W) in [-0.5, 0.5] -> logits (N, 1, ceil(H / 2), ceil(W / 2)).

    stages: inputs, middle, outputs and height of the blocks downwards; back: of those upwards, the finest first.
    """

    def __init__(
        self, stages: tuple[tuple[int, int, int, int], ...], back: tuple[tuple[int, int, int, int], ...]
    ) -> None:
        super().__init__()
        self.depth, flat_from = len(stages), len(stages) - _FLAT_STAGES + 1
        self.conv_in = nn.Conv2d(3, stages[0][0], 3, stride=2, padding=1)
        for k, sizes in enumerate(stages, 1):
            self.add_module(f"stage{k}", ResidualUBlock(*sizes, flat=k >= flat_from))
        for k, sizes in enumerate(back, 1):
            self.add_module(f"stage{k}d", ResidualUBlock(*sizes, flat=k >= flat_from))
        self.side1 = nn.Conv2d(back[0][2], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        levels = [self.get_submodule("stage1")(x)]
        for k in range(2, self.depth + 1):
            levels.append(self.get_submodule(f"stage{k}")(_halved(levels[-1])))
        y = levels[-1]
        for k in range(self.depth - 1, 0, -1):
            y = self.get_submodule(f"stage{k}d")(torch.cat([_like(y, levels[k - 1]), levels[k - 1]], 1))
        found: Tensor = self.side1(y)
        return found

    def product_on(self, apply: Callable[..., Tensor], pixels: Tensor) -> tuple[Tensor, Tensor]:
        """A copy (1, 3, h, w) of a photo (1, 3, H, W) in [0, 1], and the matte (1, 1, h, w) that the network sees on
        it.

        apply: calls a function of the network with inputs that are on the CPU.
        """
        small = shrunk(pixels, SIDE_PX)
        return small, apply(partial(matte_of, self), small)


@torch.no_grad()
def matte_of(network: ISNet, small: Tensor) -> Tensor:
    """The matte (1, 1, h, w) in [0, 1] of a small copy (1, 3, h, w), of any shape."""
    square = F.interpolate(small, size=(SIDE_PX, SIDE_PX), mode="bilinear") - 0.5
    return torch.sigmoid(F.interpolate(network(square), size=tuple(small.shape[-2:]), mode="bilinear"))


def from_state_dict(state: dict[str, Tensor]) -> ISNet:
    """The network whose weights these are, those of the finest output alone; widths and heights are read from the keys
    and shapes. Strict.
    """
    depth = sum(key.endswith(".rebnconvin.conv_s1.weight") and "d." not in key for key in state)
    stages, back = (
        tuple(_sizes(state, f"stage{k}{end}") for k in range(1, depth + 1 - bool(end))) for end in ("", "d")
    )
    network = ISNet(stages, back)
    network.load_state_dict(state)
    return network


def _sizes(state: dict[str, Tensor], stage: str) -> tuple[int, int, int, int]:
    first, inner = state[f"{stage}.rebnconvin.conv_s1.weight"], state[f"{stage}.rebnconv1.conv_s1.weight"]
    height = 1 + sum(key.startswith(f"{stage}.rebnconv") and key.endswith("d.conv_s1.weight") for key in state)
    return first.shape[1], inner.shape[0], first.shape[0], height


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def _like(x: Tensor, other: Tensor) -> Tensor:
    """x at the other's size."""
    size = tuple(other.shape[-2:])
    return x if tuple(x.shape[-2:]) == size else F.interpolate(x, size=size, mode="bilinear")
