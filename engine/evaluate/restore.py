"""`restore`: white noise and JPEG on BSD68 and on held-out photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.evaluate.filters import FILTERS, gaussian_filter
from engine.evaluate.measures import Row, Sources, benchmark, held_out_crops, luma, mean, psnr, runner, time_beside

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


OWN, OWN_PX = 24, 256  # held-out photos, and their side


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """White noise in colour against the best filter; JPEG on luma against the JPEG itself."""
    import torch

    pictures, run = benchmark(sources.folder, "BSD68"), runner(network)
    for sigma in (15, 25, 50):
        yield _noise("BSD68", pictures, sigma, run, f"sigma {sigma} dB")
    for quality in (10, 20, 30, 40):
        yield _jpeg("BSD68", pictures, quality, run, f"JPEG q{quality} dB")
    clean = mean(psnr(run(x), x) for x in pictures)
    yield Row("BSD68", "a clean photo against itself, RGB PSNR (dB)", clean, float("inf"), "untouched")
    own = held_out_crops(sources.photos(), OWN, OWN_PX)
    said = f"{len(own)} held-out photos"
    yield _noise(said, own, 25, run, "own photos, sigma 25 dB")
    yield _jpeg(said, own, 20, run, "own photos, JPEG q20 dB")
    x = torch.rand(1, 3, 1024, 1024)
    yield time_beside("1 Mpx", lambda: run(x), lambda: gaussian_filter(x, 1.5), "Gaussian filter")


def _noise(data: str, pictures: list[Tensor], sigma: int, run: Callable[[Tensor], Tensor], headline: str) -> Row:
    import numpy as np

    from engine.train.degrade import gaussian_noise

    rng = np.random.default_rng(sigma)
    noisy = [gaussian_noise(x, sigma, rng) for x in pictures]
    ours = mean(psnr(run(n), x) for n, x in zip(noisy, pictures, strict=True))
    filtered = {name: mean(psnr(f(n), x) for n, x in zip(noisy, pictures, strict=True)) for name, f in FILTERS.items()}
    best = max(filtered, key=lambda name: filtered[name])
    return Row(data, f"white noise of sigma {sigma}, RGB PSNR (dB)", ours, filtered[best], f"best filter ({best})", headline)


def _jpeg(data: str, pictures: list[Tensor], quality: int, run: Callable[[Tensor], Tensor], headline: str) -> Row:
    from engine.train.degrade import jpeg

    coded = [jpeg(x[0], quality)[None] for x in pictures]
    ours, before = (mean(psnr(luma(f(c)), luma(x)) for c, x in zip(coded, pictures, strict=True)) for f in (run, lambda c: c))
    return Row(data, f"JPEG quality {quality}, luma PSNR (dB)", ours, before, "the JPEG", headline)
