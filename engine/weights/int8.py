"""Weights stored in a byte each: every output channel of a matrix or convolution in steps of its own.

A tensor NAME of int8 with NAME.scale beside it, one number per output channel, stands for NAME x scale. With 127 steps
to each side, half a step is at most 0.4 % of a channel's largest weight.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_SCALE = ".scale"
_STEPS = 127
FEW_MOST = 40_000  # numbers of a matrix or convolution: the larger ones lose nothing by it, of the others each counts


def pack(state: dict[str, Tensor], few: int = 0, keep: Collection[str] = ()) -> dict[str, Tensor]:
    """The same weights (C, ...) of two dimensions and more in int8 with their scales (C,); tensors of at most `few`
    numbers, those named in `keep` and all others as they are.
    """
    import torch

    packed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if not tensor.is_floating_point() or tensor.dim() < 2 or tensor.numel() <= few or key in keep:
            packed[key] = tensor
            continue
        # Rounded to fp16 before the division, since that is how it is stored.
        scale = (tensor.flatten(1).abs().amax(1) / _STEPS).clamp_min(torch.finfo(torch.float16).tiny).half()
        packed[key] = (tensor / _beside(scale.float(), tensor)).round().clamp(-_STEPS, _STEPS).to(torch.int8)
        packed[key + _SCALE] = scale
    return packed


def unpack(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` packed, as float32; a state without packed weights as it is."""
    packed = {key for key, tensor in state.items() if key + _SCALE in state and not tensor.is_floating_point()}
    scales = {key + _SCALE for key in packed}
    whole = {
        key: tensor.float() * _beside(state[key + _SCALE].float(), tensor)
        for key, tensor in state.items()
        if key in packed
    }
    return {key: whole.get(key, tensor) for key, tensor in state.items() if key not in scales}


def _beside(scale: Tensor, tensor: Tensor) -> Tensor:
    """Scales (C,) in the shape that multiplies (C, ...)."""
    return scale.view(-1, *[1] * (tensor.dim() - 1))
