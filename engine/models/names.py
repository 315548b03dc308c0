"""The categories that a network knows, kept in its weights: names, one after another, as a tensor of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def as_tensor(names: Sequence[str]) -> Tensor:
    """uint8 (bytes,)."""
    return torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8)


def of_tensor(packed: Tensor) -> tuple[str, ...]:
    """What `as_tensor` packed."""
    return tuple(bytes(packed.tolist()).decode().split("\n"))
