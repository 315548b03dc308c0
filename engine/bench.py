"""What the allocator and thread settings are worth: `python -m engine.bench`.

Runs the restoration network at 1 Mpx on the CPU in fresh processes, with and without `device.configure()` in turn, so
that whatever else the machine does meets both alike, and prints the ratio of the medians: alone, where the allocator
counts, and beside a process that keeps a core busy, where the threads' way of waiting does too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.runtime.device import Device, configure
from engine.runtime.work import finished
from engine.settings import ROOT, Settings

_SETTINGS = ("default", "tuned")  # values of VITRINE_ALLOCATOR


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.bench", description="Inference time with and without the allocator and thread settings."
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind; 3 unless given")
    parser.add_argument(
        "--runs", type=int, default=5, help="pictures in each process, after one to warm up; 5 unless given"
    )
    parser.add_argument("--size", type=int, default=1000, metavar="PX", help="side of the picture; 1000 unless given")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--times", action="store_true", help=argparse.SUPPRESS)  # what a fresh process is started with
    options = parser.parse_args(arguments)
    if options.times:
        print(json.dumps(times_s(options.size, options.runs)))
        return 0
    measured = {}
    for place, neighbour in (("alone", False), ("beside a busy process", True)):
        with _busy(neighbour):
            medians = compare(options.size, options.rounds, options.runs)
        ratio = medians["default"] / medians["tuned"]
        measured[place] = {f"{name}_s": median for name, median in medians.items()} | {"ratio": ratio}
        if not options.json:
            default, tuned = medians["default"], medians["tuned"]
            print(
                f"restore, {options.size} x {options.size} px, {place}: {default:.2f} s by default, {tuned:.2f} s"
                f" tuned, {ratio:.2f}x"
            )
    if options.json:
        print(json.dumps(measured))
    return 0


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
    command = [sys.executable, "-m", "engine.bench", "--times", "--size", str(size_px), "--runs", str(runs)]
    # What the caller's environment says of these would be measured instead of ours.
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
    from engine.weights import Network, Weights, WeightsUnavailable

    settings = Settings.from_environment()
    weights = Weights(Device(), settings)
    try:
        network = finished(weights.load("restore"))
    except WeightsUnavailable:
        network = Network(weights.find("restore"), Restore([UNet(deepest=1)], Gate(1)))
        network.to_cpu()
    photo = torch.rand(1, 3, size_px, size_px)
    seconds = []
    for _ in range(1 + runs):
        started = time.perf_counter()
        finished(tiles.run(network, photo, network.weight.tiling, memory=settings.tile_memory))
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


if __name__ == "__main__":
    sys.exit(main())
