"""Where a recipe's arithmetic happens, and in which format of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.contract.errors import RequestError
from engine.runtime.device import multiplies_bf16


class Beside(TorchFunctionMode):
    """Brings what lies on the CPU to the other tensors of a call, where these lie on `device`.

    Recipes draw their batches and their chance on the CPU, so that a seed gives the same on every machine. With this
    they need not say at each place that a batch belongs on the GPU. What is written into stays where it is, and what is
    written comes to it.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(t.device.type == self.device.type for t in _tensors((args, kwargs))):
            name = getattr(func, "__name__", "")
            writes = name in ("__setitem__", "__set__") or (name.endswith("_") and not name.endswith("__"))
            if writes and isinstance(args[0], Tensor) and args[0].device.type == "cpu":
                args = (args[0], *_moved(args[1:], args[0].device))
            else:
                args, kwargs = _moved(args, self.device), _moved(kwargs, self.device)
        return func(*args, **kwargs)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):  # a single number may stay: operations take it from the CPU
        return value.to(device) if value.dim() or device.type == "cpu" else value
    if isinstance(value, dict):
        return {key: _moved(one, device) for key, one in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_moved(one, device) for one in value)
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


def beside(device: torch.device) -> AbstractContextManager[Any]:
    """Around all that a recipe does, in each of its threads: batches follow the network to its device."""
    return nullcontext() if device.type == "cpu" else Beside(device)


@contextmanager
def arithmetic(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Around a step: convolutions and products in `dtype`, everything else in float32 (torch.autocast)."""
    with ExitStack() as entered:
        entered.enter_context(beside(device))
        if dtype != torch.float32:
            entered.enter_context(torch.autocast(device.type, dtype))
        yield


def networks_of(recipe: object) -> list[nn.Module]:
    """All that a recipe holds: what it trains, its teachers, and what the losses that it holds look through."""
    found, seen, waiting = [], set(), [recipe]
    while waiting:
        held = waiting.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, nn.Module):
            found.append(held)
        elif isinstance(held, dict):
            waiting += held.values()
        elif isinstance(held, list | tuple):
            waiting += held
        elif type(held).__module__.startswith("engine."):
            waiting += getattr(held, "__dict__", {}).values()
    return found
