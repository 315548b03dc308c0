"""`prior`: the three tasks of the deep image prior on Set5, beside what its paper published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from engine.evaluate.filters import FILTERS
from engine.evaluate.measures import Row, Sources, benchmark, mean, psnr

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.prior import Iterate

SIDE_PX = 256
SIGMA = 25
MISSING = 0.5  # of the pixels, each by itself
GOAL_S = 60.0
# Ulyanov, Vedaldi & Lempitsky, Deep Image Prior (IJCV 2020).
PUBLISHED_DENOISE_DB = (
    30.43  # section 3.1: nine colour pictures of 512 x 512 and more, sigma 25, the outputs' running mean
)
PUBLISHED_FILL_DB = 33.48  # section 3.5, table of 50 % missing pixels: mean of its eleven grey pictures


def measure(sources: Sources) -> Iterator[Row]:
    """PSNR in colour on the middles of Set5, the whole request's steps; seconds of one core."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from engine.models import fill, prior
    from engine.runtime.work import finished
    from engine.train.degrade import gaussian_noise, shrink

    pictures = [_middle(x) for x in benchmark(sources.folder, "Set5")]
    rng = np.random.default_rng(0)
    said = f"Set5, middles of at most {SIDE_PX} px"

    noisy = [gaussian_noise(x, SIGMA, rng).clamp(0, 1) for x in pictures]
    ours, seconds = _all(prior.denoise(x) for x in noisy)
    filtered = {name: _against([f(x) for x in noisy], pictures) for name, f in FILTERS.items()}
    best = max(filtered, key=lambda name: filtered[name])
    task = f"noise of sigma {SIGMA}, PSNR (dB)"
    yield Row(said, task, _against(ours, pictures), filtered[best], f"best filter ({best})", f"sigma {SIGMA} dB")
    yield Row(said, task, _against(ours, pictures), _against(noisy, pictures), "the noisy picture")
    yield Row(said, task, _against(ours, pictures), PUBLISHED_DENOISE_DB, "published, on nine other pictures")
    yield Row(said, "the same, seconds of one core, the slowest", max(seconds), GOAL_S, "goal", "denoise s")

    holes = [torch.from_numpy(rng.uniform(size=(1, 1, *x.shape[2:])) < MISSING).float() for x in pictures]
    ours, seconds = _all(prior.complete(x, hole) for x, hole in zip(pictures, holes, strict=True))
    smooth = [finished(fill.fill(x, hole)) for x, hole in zip(pictures, holes, strict=True)]
    task = f"{MISSING:.0%} of the pixels gone, PSNR (dB)"
    yield Row(said, task, _against(ours, pictures), _against(smooth, pictures), "smooth fill", "half gone dB")
    yield Row(said, task, _against(ours, pictures), PUBLISHED_FILL_DB, "published, on eleven grey pictures")
    yield Row(said, "the same, seconds of one core, the slowest", max(seconds), GOAL_S, "goal", "fill s")

    ours, seconds = _all(prior.enlarge(shrink(x, 2)) for x in pictures)
    bicubic = [
        F.interpolate(shrink(x, 2), scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1) for x in pictures
    ]
    yield Row(said, "x2, PSNR (dB)", _against(ours, pictures), _against(bicubic, pictures), "bicubic", "x2 dB")
    yield Row(said, "the same, seconds of one core, the slowest", max(seconds), GOAL_S, "goal", "x2 s")

    large = F.interpolate(noisy[0], (512, 512), mode="bicubic").clamp(0, 1)
    _, seconds = _all([prior.denoise(large)])
    yield Row(
        "a picture of 512 x 512 px", "noise taken off, seconds of one core", seconds[0], GOAL_S, "goal", "512 px s"
    )


def _middle(x: Tensor) -> Tensor:
    """At most SIDE_PX a side, both even."""
    height, width = (min(SIDE_PX, side // 2 * 2) for side in x.shape[2:])
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def _all(fits: Iterable[Iterator[Iterate]]) -> tuple[list[Tensor], list[float]]:
    """What each fit ends with, and the seconds of one core that it took."""
    made, seconds = [], []
    for steps in fits:
        started = time.process_time()
        *_, last = steps
        seconds.append(time.process_time() - started)
        made.append(last.picture)
    return made, seconds


def _against(made: list[Tensor], truth: list[Tensor], measure: Callable[[Tensor, Tensor], float] = psnr) -> float:
    return mean(measure(y, x) for y, x in zip(made, truth, strict=True))
