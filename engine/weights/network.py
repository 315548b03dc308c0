"""From a file of tensors to a network that can be called."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.runtime.device import is_out_of_memory
from engine.weights.int8 import unpack
from engine.weights.onnx import initialisers
from engine.weights.row import Weight, WeightsUnavailable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

log = logging.getLogger("vitrine")


class Network:
    """A loaded network: `weight`, the row it came from, and `module`, in eval mode, its parameters frozen.

    Calling it is the way to use a network from pictures to pictures; for gradients (style transfer) use `module` at
    `device` and `dtype`. It stays valid for whoever holds it, also after `Weights` has let go of it.
    """

    def __init__(self, weight: Weight, module: nn.Module, call: Callable[..., Tensor] | None = None) -> None:
        self.weight = weight
        self.mixed = False  # on a CPU, multiply in bfloat16 and add in float32
        self.module: Any = module.eval().requires_grad_(False)  # Any: each network has methods of its own
        self._call = call or module
        self._left: tuple[torch.device, torch.dtype] | None = None  # where it was before it fled to the CPU

    @property
    def device(self) -> torch.device:
        found: torch.device = next(self.module.parameters()).device
        return found

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = next(self.module.parameters()).dtype
        return found

    @property
    def memory(self) -> int:
        """What parameters and buffers hold, in bytes."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)

    def __call__(self, x: Tensor, *more: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, scale H, scale W) in [0, 1], float32 on the CPU on both sides.

        `more` are further inputs: LaMa's mask (1, 1, H, W) with 1 = fill, a generator's labels. Raises torch's
        out-of-memory error, so that the caller can use smaller tiles, and in the end `to_cpu`.
        """
        return self.apply(self._call, x, *more).clamp(0, 1)

    def apply(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What a function of the network makes of inputs on the CPU, as float32 on the CPU: its encoder, or a network
        whose answer is no picture."""
        import torch

        with torch.inference_mode(), self.arithmetic():
            y = function(*(self._moved(t) for t in inputs))
        return y.float().cpu()

    def arithmetic(self) -> AbstractContextManager[Any]:
        """What its convolutions and products are computed in."""
        import torch

        on_cpu = self.mixed and self.device.type == "cpu"
        return torch.autocast("cpu", torch.bfloat16) if on_cpu else nullcontext()

    def for_photo(self, photo: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
        """What works on tiles of one photo, (1, 3, H, W) in [0, 1], and how many times smaller the copy is that it
        wants.

        A network that needs the whole photo first, as its tiles would get different results otherwise, has a method
        `for_photo(apply, photo)`, which returns a function, further inputs of it, and that number.
        """
        if not hasattr(self.module, "for_photo"):
            return self, 1
        function, more, factor = self.module.for_photo(self.apply, photo)
        return lambda x: self.apply(function, x, *more).clamp(0, 1), factor

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the parameters, in channels-last order: a tenth to a third faster on the CPU too."""
        import torch

        self.module.to(device, dtype, memory_format=torch.channels_last)

    def to_cpu(self) -> None:
        """Back to where memory is plenty, for a picture that does not fit on the GPU in any tile."""
        import torch

        if self.device.type != "cpu":
            self._left = self.device, self.dtype
        self.to(torch.device("cpu"), torch.float32)

    def come_back(self) -> None:
        """To where it was before it fled to the CPU, if there is room again. Only in the device's turn."""
        if self._left is None:
            return
        try:
            self.to(*self._left)
            self._left = None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.to_cpu()

    def _moved(self, t: Tensor) -> Tensor:
        import torch

        t = t.to(self.device, self.dtype if t.is_floating_point() else t.dtype)
        return t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t


def format_on(row: Weight, device: torch.device) -> torch.dtype:
    """The smallest format of numbers that this network stands on this device."""
    import torch

    if device.type == "cpu":
        return torch.float32  # weights and sums; what is multiplied may be rounded (Network.mixed)
    if row.half:
        return torch.float16
    return torch.bfloat16 if row.bfloat16 and torch.cuda.is_bf16_supported() else torch.float32


def build(row: Weight, file: Path, *companions: nn.Module) -> Network:
    """Tensors from the file into the network the table names; every tensor must find its place and every place its
    tensor.
    """
    try:
        state = read_tensors(file, row.ignored)
        kind, _, what = row.builder.partition(":")
        if kind == "spandrel":
            return _through_spandrel(row, state, what)
        return Network(row, getattr(importlib.import_module(kind), what)(state, *companions))
    except ImportError as error:
        log.exception("%s cannot be built", row.name)
        raise WeightsUnavailable(row.name, f"the Python package {error.name} is not installed") from error
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # readers and builders raise anything from KeyError to their own; each means: not this file
        log.exception("%s does not fit %s", file, row.name)
        raise WeightsUnavailable(row.name, f"{file.name} does not hold the weights of this network") from error


def read_tensors(file: Path, ignored: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors in a file, never code; those of a `.pth` may lie one level down, averaged weights first."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as opened:
            return unpack({key: opened.get_tensor(key) for key in opened.keys() if not key.startswith(ignored)})  # noqa: SIM118 (no mapping)
    if file.suffix == ".onnx":
        return {key: tensor for key, tensor in initialisers(file).items() if not key.startswith(ignored)}
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    state = next((state[key] for key in ("params_ema", "params", "state_dict") if key in state), state)
    return {key: tensor for key, tensor in state.items() if not key.startswith(ignored)}


def _through_spandrel(row: Weight, state: dict[str, Tensor], architecture: str) -> Network:
    """spandrel reads widths from shapes and loads strictly; its call pads, crops and masks as the network needs."""
    import spandrel

    if architecture == "LaMa" and not any(key.startswith(("generator.", "model.model.")) for key in state):
        state = {f"generator.{key}": tensor for key, tensor in state.items()}
    descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    if descriptor.architecture.id != architecture or descriptor.scale != row.tiling.scale:
        raise ValueError(
            f"{row.name} should be {architecture} x{row.tiling.scale}, and is {descriptor.architecture.id}"
            f" x{descriptor.scale}"
        )
    return Network(row, descriptor.model, descriptor)
