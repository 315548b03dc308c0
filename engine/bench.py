"""What formats of numbers are worth, `python -m engine.bench`, and what the allocator is, `python -m engine.bench
allocator`. All on the CPU, and as ratios: whatever else the machine does meets both sides alike, as they take turns.

Formats: one request for each network that is at hand, an example photo or a few products, by which the calls of the
network become known. These are then repeated in float32 and in bfloat16 (Network.mixed), on tensors that are the same
for both. Printed are the ratio of the best times, how far the answer moves, and what the app takes on this processor.

Allocator: the restoration network at 1 Mpx in fresh processes, with and without `device.configure()`: alone, where the
allocator counts, and beside a process that keeps a core busy, where the threads' way of waiting does too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Studio
from engine.contract import EnhanceRequest, GenerateRequest, RequestError, Requests, StyleRequest
from engine.enhance.steps.upscale import CRISP
from engine.runtime.device import configure, multiplies_bf16
from engine.runtime.work import finished
from engine.settings import ROOT

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network, Weight

EXAMPLES = ROOT / "gradio_ui" / "examples"
_FORMATS = ("fp32", "bf16")
Call = tuple[Callable[..., Any], tuple[Any, ...]]  # a function of a network, and its inputs
_SETTINGS = ("default", "tuned")  # values of VITRINE_ALLOCATOR


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.bench", description="Inference time by format of numbers, or by allocator settings."
    )
    parser.add_argument("what", nargs="?", choices=("formats", "allocator"), default="formats")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, or processes of each kind; 3 unless given")
    parser.add_argument("--runs", type=int, default=5, help="allocator: pictures in each process; 5 unless given")
    parser.add_argument("--size", type=int, metavar="PX", help="longer side of the picture; 512, or 1000 for allocator")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", help="formats: these networks; all unless given")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--times", action="store_true", help=argparse.SUPPRESS)  # what a fresh process is started with
    options = parser.parse_args(arguments)
    if options.times:
        print(json.dumps(times_s(options.size, options.runs)))
        return 0
    if options.what == "allocator":
        _print_allocator(options.size or 1000, options.rounds, options.runs, options.json)
    else:
        _print_formats(options.size or 512, options.rounds, options.only, options.json)
    return 0


def _print_formats(size_px: int, rounds: int, only: Sequence[str] | None, as_json: bool) -> None:
    if not as_json:
        print(f"This processor {'multiplies' if multiplies_bf16() else 'does not multiply'} bfloat16.")
        print(f"{'network':20}{'float32':>10}{'bfloat16':>10}{'moved, mean':>13}{'at most':>9}  taken")
    rows = {}
    for name, row in formats(size_px, rounds, only):
        rows[name] = vars(row) | {"ratio": row.ratio}
        if not as_json:
            print(
                f"{name:20}{row.fp32_s:>8.3f} s{row.ratio:>9.2f}x{row.moved:>13.3f}{row.moved_most:>9.1f}  {row.taken}",
                flush=True,
            )
    if as_json:
        print(json.dumps(rows))


@dataclass(frozen=True)
class Formats:
    """Seconds of one request's calls of a network in each format; how far its answer moves on average and at most, in
    levels of 255 of a number in [0, 1]; and which format the app takes here.
    """

    fp32_s: float
    bf16_s: float
    moved: float
    moved_most: float
    taken: str

    @property
    def ratio(self) -> float:
        return self.fp32_s / self.bf16_s


def formats(size_px: int, rounds: int, only: Sequence[str] | None = None) -> Iterator[tuple[str, Formats]]:
    """Each network that need not be fetched and is called with pictures, by name."""
    studio = Studio(replace(Studio().settings, mixed=True))
    with tempfile.TemporaryDirectory() as folder:
        photo, mask = _photo(Path(folder), size_px)
        for row in studio.weights.table:
            if (only and row.name not in only) or studio.weights.where(row.name) in ("Hub", "missing"):
                continue
            asked = _asked(row, photo, mask)
            if asked and (calls := _calls(studio, asked, row.name)):
                yield row.name, _compared(finished(studio.weights.load(row.name)), calls, rounds)


def _photo(folder: Path, size_px: int) -> tuple[str, str]:
    """Files of an example with a camera's noise, and of a mask in its middle."""
    import numpy as np
    from PIL import Image

    picture = Image.open(EXAMPLES / "snapshot-sneaker.jpg").convert("RGB").resize((size_px, size_px))
    noise = np.random.default_rng(0).normal(0, 6, (size_px, size_px, 3))
    picture = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype("uint8"))
    mask = Image.new("L", picture.size)
    mask.paste(255, (size_px // 3, size_px // 3, size_px // 2, size_px // 2))
    picture.save(folder / "photo.png")
    mask.save(folder / "mask.png")
    return str(folder / "photo.png"), str(folder / "mask.png")


def _asked(row: Weight, photo: str, mask: str) -> Requests | None:
    """A request that calls this network, if there is one."""
    if row.task == CRISP:
        return EnhanceRequest(photo, steps=("upscale-x4",), crispness=1.0, network="embedded")
    if row.task in ("generate", "sketch"):
        drawing = str(EXAMPLES / "drawing-handbag.png") if row.task == "sketch" else None
        return GenerateRequest(category="handbag", network=row.name, scale=1, sketch=drawing)
    if row.task in ("classify", "rank"):
        return GenerateRequest(order="best", scale=1, network="embedded")
    if row.task == "style":
        return StyleRequest(photo, style="great-wave", size_px=512)
    try:
        return EnhanceRequest(photo, steps=(row.task,), mask=mask, network=row.name)
    except RequestError:  # its task is no step
        return None


def _calls(studio: Studio, asked: Requests, name: str) -> list[Call]:
    """All calls of one network while a request is met."""
    from engine.weights import Network

    calls: list[Call] = []
    apply = Network.apply

    def noted(network: Network, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        if network.weight.name == name:
            calls.append((function, inputs))
        return apply(network, function, *inputs)

    Network.apply = noted  # type: ignore[method-assign, assignment]
    try:
        finished(studio.run(asked))
    finally:
        Network.apply = apply  # type: ignore[method-assign]
    return calls


def _compared(network: Network, calls: list[Call], rounds: int) -> Formats:
    """The calls again, in each format in turn."""
    taken = "bf16" if network.mixed else "fp32"
    answers: dict[str, list[Tensor]] = {}
    best = dict.fromkeys(_FORMATS, float("inf"))
    for _ in range(1 + rounds):  # the first ones set up kernels; they are never the best
        for form in _FORMATS:
            network.mixed = form == "bf16"
            started = time.perf_counter()
            answers[form] = [network.apply(function, *inputs) for function, inputs in calls]
            best[form] = min(best[form], time.perf_counter() - started)
    network.mixed = taken == "bf16"
    pairs = list(zip(*answers.values(), strict=True))
    pictures = [pair for pair in pairs if pair[0].dim() == 4 and pair[0].shape[1] == 3]  # not what it is told of itself
    apart = [255 * (a - b).abs() for a, b in pictures or pairs]
    return Formats(
        best["fp32"],
        best["bf16"],
        moved=sum(float(d.sum()) for d in apart) / sum(d.numel() for d in apart),
        moved_most=max(float(d.max()) for d in apart),
        taken=taken,
    )


def _print_allocator(size_px: int, rounds: int, runs: int, as_json: bool) -> None:
    measured = {}
    for place, neighbour in (("alone", False), ("beside a busy process", True)):
        with _busy(neighbour):
            medians = compare(size_px, rounds, runs)
        ratio = medians["default"] / medians["tuned"]
        measured[place] = {f"{name}_s": median for name, median in medians.items()} | {"ratio": ratio}
        if not as_json:
            default, tuned = medians["default"], medians["tuned"]
            print(
                f"restore, {size_px} x {size_px} px, {place}: {default:.2f} s by default, {tuned:.2f} s"
                f" tuned, {ratio:.2f}x"
            )
    if as_json:
        print(json.dumps(measured))


@contextmanager
def _busy(neighbour: bool) -> Iterator[None]:
    """Another process that takes what it gets of one core, if there is to be one."""
    if not neighbour:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compare(size_px: int, rounds: int, runs: int) -> dict[str, float]:
    """Median seconds for each of the settings; CalledProcessError when a process fails."""
    times: dict[str, list[float]] = {name: [] for name in _SETTINGS}
    command = [
        sys.executable,
        "-m",
        "engine.bench",
        "allocator",
        "--times",
        "--size",
        str(size_px),
        "--runs",
        str(runs),
    ]
    # The environment is read to be handed on; what it says of these would be measured instead of ours.
    inherited = {
        key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY" and not key.startswith("MALLOC_")
    }
    for _ in range(rounds):
        for name in _SETTINGS:
            environment = inherited | {"VITRINE_ALLOCATOR": name, "CUDA_VISIBLE_DEVICES": ""}
            out = subprocess.run(
                command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            times[name] += json.loads(out)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def times_s(size_px: int, runs: int) -> list[float]:
    """Seconds for each of `runs` pictures in this process, along the way of a request. Without a weight file the
    network is initialised at random, which takes the same time."""
    configure()
    import torch

    from engine.models.restore import Gate, Restore
    from engine.models.unet import UNet
    from engine.runtime import tiles
    from engine.weights import Network, WeightsUnavailable

    studio = Studio()
    try:
        network = finished(studio.weights.load("restore"))
    except WeightsUnavailable:
        network = Network(studio.weights.find("restore"), Restore([UNet(deepest=1)], Gate(1)))
        network.to_cpu()
    photo = torch.rand(1, 3, size_px, size_px)
    seconds = []
    for _ in range(1 + runs):
        started = time.perf_counter()
        finished(tiles.run(network, photo, network.weight.tiling, memory=studio.settings.tile_memory))
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


if __name__ == "__main__":
    sys.exit(main())
