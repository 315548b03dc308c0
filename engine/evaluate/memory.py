"""`python -m engine.evaluate.memory [style|restore|deblur|upscale-x2]`: how much memory a large photo takes above the
model, in a process of its own.

Prints the gigabytes by which a request for a photo of 4K (style) or 8K raises the peak of the process over what it had
after a small one, how often it reported, and the longest time in between.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import ROOT

if TYPE_CHECKING:
    from engine.contract.recipe import Requests

SMALL_PX = 256
SIZES = {"style": (3840, 2160), "restore": (7680, 4320), "deblur": (7680, 4320), "upscale-x2": (7680, 4320)}


@dataclass(frozen=True)
class Need:
    """gb: above the model, in 10^9 bytes. reports: how many; silence_s: the longest time without one."""

    gb: float
    reports: int
    silence_s: float

    def __str__(self) -> str:
        return f"{self.gb:.2f} GB, {self.reports} reports, at most {self.silence_s:.1f} s apart"


def peak_gb(what: str = "style") -> float:
    """What the command of this module says, run in a fresh process; CalledProcessError when it fails."""
    command = [sys.executable, "-m", "engine.evaluate.memory", what]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(said.split()[0])


def measured(what: str, width: int, height: int) -> Need:
    """In this process, which must not have needed more before."""
    from PIL import Image

    from engine import Studio

    studio = Studio()
    peaks, times = [], [0.0]
    with (
        tempfile.TemporaryDirectory() as folder,
        Image.open(ROOT / "gradio_ui" / "examples" / "sneaker.jpg") as example,
    ):
        for size in ((SMALL_PX, SMALL_PX), (width, height)):
            photo = Path(folder) / "photo.jpg"
            example.convert("RGB").resize(size).save(photo)
            times = [time.monotonic()]
            for _ in studio.run(request(what, str(photo), max(size))):
                times.append(time.monotonic())
            peaks.append(peak_so_far_gb())
    return Need(peaks[1] - peaks[0], len(times) - 1, max(b - a for a, b in itertools.pairwise(times)))


def request(what: str, photo: str, size_px: int) -> Requests:
    from engine.contract.enhance import EnhanceRequest
    from engine.contract.style import StyleRequest

    return (
        StyleRequest(photo, size_px=size_px)
        if what == "style"
        else EnhanceRequest(photo, steps=(what,), network="embedded")
    )


def peak_so_far_gb() -> float:
    """Of this process so far. Linux hands `ru_maxrss` on to a child process, so its own account is read there; in
    kilobytes (macOS: bytes).
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)


if __name__ == "__main__":
    from engine.runtime.device import configure

    configure()
    parser = argparse.ArgumentParser(
        prog="python -m engine.evaluate.memory",
        description="Measure how much memory a large photo takes above the model.",
    )
    parser.add_argument("what", nargs="?", choices=SIZES, default="style", help="done to the photo (%(default)s)")
    asked = parser.parse_args().what
    print(measured(asked, *SIZES[asked]))
