"""Where a recipe's arithmetic happens, and in which format of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine.contract.errors import RequestError
from engine.runtime.device import multiplies_bf16


class Beside(TorchFunctionMode):
    """Brings what lies on the CPU to the other tensors of a call, where these lie on `device`.

    Recipes draw their batches and their chance on the CPU, so that a seed gives the same on every machine. With this
    they need not say at each place that a batch belongs on the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(t.device.type == self.device.type for t in _tensors((args, kwargs))):
            args, kwargs = self._moved(args), self._moved(kwargs)
        return func(*args, **kwargs)

    def _moved(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self.device) if value.device.type == "cpu" and value.dim() else value
        if isinstance(value, dict):
            return {key: self._moved(one) for key, one in value.items()}
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return type(value)(self._moved(one) for one in value)
        return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def chosen(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """The device, and the format of convolutions and products. RequestError for a device that is not there."""
    try:
        place = torch.device(device)
    except RuntimeError:
        raise RequestError(f"There is no device {device!r}; give cpu or cuda.") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise RequestError("This machine has no GPU that PyTorch can use; leave --device at cpu.")
    wanted = precision == "bf16" or (precision == "auto" and multiplies_bf16(place.type))
    return place, torch.bfloat16 if wanted else torch.float32


@contextmanager
def arithmetic(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Around a step: convolutions and products in `dtype`, everything else in float32 (torch.autocast)."""
    with ExitStack() as entered:
        if device.type != "cpu":
            entered.enter_context(Beside(device))
        if dtype != torch.float32:
            entered.enter_context(torch.autocast(device.type, dtype))
        yield
