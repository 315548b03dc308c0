"""Where the arithmetic happens: cuda or cpu, its dtype, its memory and the one lock around it.

`configure()` must run before torch is imported: OpenMP reads its wait policy once, and the allocator settings
only help buffers that are taken after them. Both are measured by `python -m engine.bench`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Generator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from engine.contract.events import Event, Progress

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
E = TypeVar("E", bound=Event)
_POLL_S = 0.2  # how long a waiter sleeps between two reports, after each of which it can be cancelled
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
)  # cuda, cpu, cpu on Windows, cuDNN and cuBLAS
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt's parameter numbers, from glibc's malloc.h


def configure() -> None:
    """Set the allocator and thread settings that decide the speed of convolutions on a CPU.

    glibc gives every large buffer back to the kernel, so each convolution pays for fresh pages again; keeping
    them makes a chain of 3x3 convolutions up to twice as fast. OpenMP threads that spin while another process
    has the core cost up to six times the work. Idempotent; does nothing where glibc is not the C library.
    """
    # Read here and not in Settings: this comes before torch, and so before any studio. engine.bench sets it.
    if os.environ.get("VITRINE_ALLOCATOR", "tuned") == "default":
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform.startswith("linux"):
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # musl has no mallopt
            return
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def multiplies_bf16(device: str = "cpu") -> bool:
    """Whether the processor, or the GPU, multiplies bfloat16 in hardware: elsewhere it is much slower than float32.

    On x86 that is AVX512-BF16 or AMX, on Arm BF16. It asks PyTorch, and where that does not tell, the kernel.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if known is not None and known():
        return True
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = {word for line in file if line.startswith(("flags", "Features")) for word in line.split()}
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


class Device:
    """The one place of computation in this process: cuda if present, else the CPU, and the lock around it.

    Constructing it imports no torch; asking for `torch` or `name` does.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()  # not an RLock: a page may resume one generator from several threads

    @cached_property
    def torch(self) -> torch.device:
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def is_cuda(self) -> bool:
        return self.torch.type == "cuda"

    @cached_property
    def name(self) -> str:
        """ "CPU", or the GPU's name."""
        import torch

        return torch.cuda.get_device_name(self.torch) if self.is_cuda else "CPU"

    def exclusively(self, work: Generator[E, None, T]) -> Generator[E | Progress, None, T]:
        """The events of `work` and what it returns, with the device held from its first step to its last.

        While another holds the device this yields `Progress`, so that who waits can leave by closing the generator.
        Closing it later closes `work` where it stands and then frees the device.
        """
        while not self._busy.acquire(timeout=_POLL_S):
            yield Progress(0, 0, "Waiting for the picture before this one")
        try:
            return (yield from work)
        finally:
            self._busy.release()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is the CPU's or the GPU's memory running out; torch reports the two in different ways."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
