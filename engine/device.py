"""Where the arithmetic happens: cuda or cpu, its dtype, its memory and the one lock around it.

`configure()` must run before torch is imported: OpenMP reads its wait policy once, and the allocator settings
only help buffers that are taken after them. Both are measured by `python -m engine.bench`.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt's parameter numbers, from glibc's malloc.h


def configure() -> None:
    """Set the allocator and thread settings that decide the speed of convolutions on a CPU.

    glibc gives every large buffer back to the kernel, so each convolution pays for fresh pages again; keeping
    them makes a chain of 3x3 convolutions up to twice as fast. OpenMP threads that spin while another process
    has the core cost up to six times the work. Idempotent; does nothing where glibc is not the C library.
    """
    if os.environ.get("VITRINE_ALLOCATOR", "tuned") == "default":  # engine.bench measures the difference
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform.startswith("linux"):
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # musl has no mallopt
            return
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
