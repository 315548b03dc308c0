"""What the measurements share: a row of the table, the data, a network through the app's own tiles, PSNR, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Studio
from engine.contract.errors import RequestError
from engine.runtime.work import finished

if TYPE_CHECKING:
    from torch import Tensor

    from engine.train.data import Pictures
    from engine.weights import Network


@dataclass(frozen=True)
class Row:
    """One line of the table. headline: the short name under which it also goes into the table of weights."""

    data: str
    measure: str
    ours: float
    baseline: float
    against: str
    headline: str = ""


@dataclass(frozen=True)
class Sources:
    """Where pictures come from. folder: of the benchmarks and packs; cache: of packed pictures; teacher: a file, where
    a network was distilled from one.
    """

    folder: Path
    cache: Path
    teacher: Path | None = None

    def photo_packs(self) -> list[Path]:
        """The packs of photos; RequestError where there is none."""
        if packs := [p for p in (self.folder / "photos_a.tar", self.folder / "photos_b.tar") if p.exists()]:
            return packs
        raise RequestError(f"{self.folder} has neither photos_a.tar nor photos_b.tar.")

    def photos(self) -> Pictures:
        """All photos, as the recipes of restoring see them."""
        from engine.train import data

        return data.pack(self.photo_packs(), self.cache, "photos_1.6", data.shrink(1.6, 560))


def held_out_crops(pictures: Pictures, count: int, size_px: int) -> list[Tensor]:
    """The middles of `count` held-out photos spread over all of them, (1, 3, S, S) in [0, 1]."""
    import numpy as np

    _, held_out = pictures.split(size_px)
    chosen = np.linspace(0, len(held_out) - 1, min(count, len(held_out))).round().astype(int)
    crops = []
    for i in chosen:
        picture = pictures[held_out[i]]
        top, left = ((side - size_px) // 2 for side in picture.shape[1:])
        crops.append(picture[None, :, top : top + size_px, left : left + size_px].float() / 255)
    return crops


def benchmark(folder: Path, name: str) -> list[Tensor]:
    """The pictures of Set5, Set14 or BSD68 as (1, 3, H, W) in [0, 1]."""
    import numpy as np
    import torch

    from engine.train.data import read_pictures

    source = folder / name if (folder / name).is_dir() else folder / "benchmarks.tar"
    if not source.exists():
        raise RequestError(f"{folder} has neither a folder {name} nor benchmarks.tar.")
    found = (np.asarray(p) for path, p in read_pictures(source) if source.name == name or path.startswith(f"{name}/"))
    return [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in found]


def psnr(ours: Tensor, truth: Tensor, border_px: int = 0) -> float:
    """10 log10(1 / mean squared error) in dB of (1, C, H, W) in [0, 1] after rounding to 8 bit, borders cut."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    inside = slice(border_px, -border_px or None)
    ours, truth = ((t.clamp(0, 1) * 255).round()[..., inside, inside] for t in (ours, truth))
    return float(peak_signal_noise_ratio(ours, truth, data_range=255.0))


def luma(x: Tensor) -> Tensor:
    """BT.601 luma in video range as super-resolution papers use it: (N, 3, H, W) in [0, 1] -> (N, 1, H, W)."""
    from engine.models import srgb

    return (16 + 219 * srgb.luma(x.float())) / 255


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def times_in_turn(runs: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """Seconds of each, the best of some rounds in which all take their turn:
    another process slows all of them alike.
    """
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best[name], timed(run))
    return best


def time_beside(what: str, ours: Callable[[], object], baseline: Callable[[], object], against: str) -> Row:
    """The row of how long `what` takes, as a multiple of the baseline's time in the same run."""
    times = times_in_turn({"ours": ours, "baseline": baseline})
    return Row(
        "this machine",
        f"time for {what}, as multiples of the baseline's",
        times["ours"] / times["baseline"],
        1.0,
        against,
        "time ratio",
    )


def runner(network: Network) -> Callable[[Tensor], Tensor]:
    """The network through the app's own tiles, pictures (1, 3, H, W) in and out."""
    from engine.runtime import tiles

    memory = Studio().settings.tile_memory
    return lambda x: finished(tiles.run(network, x, network.weight.tiling, memory=memory))


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def load(name: str) -> Network:
    """A network of the table of weights, on the CPU or wherever a request would have it."""
    return finished(Studio().weights.load(name))
