"""`restore`: white noise and JPEG on BSD68."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.evaluate.filters import FILTERS, gaussian_filter
from engine.evaluate.measures import Row, Sources, benchmark, luma, mean, psnr, runner, time_beside

if TYPE_CHECKING:
    from engine.weights import Network


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """White noise in colour against the best filter; JPEG on luma against the JPEG itself."""
    import numpy as np
    import torch

    from engine.train.degrade import gaussian_noise, jpeg

    pictures = benchmark(sources.folder, "BSD68")
    run = runner(network)
    for sigma in (15, 25, 50):
        rng = np.random.default_rng(sigma)
        noisy = [gaussian_noise(x, sigma, rng) for x in pictures]
        ours = mean(psnr(run(n), x) for n, x in zip(noisy, pictures, strict=True))
        filtered = {name: mean(psnr(f(n), x) for n, x in zip(noisy, pictures, strict=True)) for name, f in FILTERS.items()}
        best = max(filtered, key=lambda name: filtered[name])
        yield Row("BSD68", f"white noise of sigma {sigma}, RGB PSNR (dB)", ours, filtered[best], f"best filter ({best})", f"sigma {sigma} dB")
    for quality in (10, 20, 30, 40):
        coded = [jpeg(x[0], quality)[None] for x in pictures]
        ours = mean(psnr(luma(run(c)), luma(x)) for c, x in zip(coded, pictures, strict=True))
        before = mean(psnr(luma(c), luma(x)) for c, x in zip(coded, pictures, strict=True))
        yield Row("BSD68", f"JPEG quality {quality}, luma PSNR (dB)", ours, before, "the JPEG", f"JPEG q{quality} dB")
    clean = mean(psnr(run(x), x) for x in pictures)
    yield Row("BSD68", "a clean photo against itself, RGB PSNR (dB)", clean, float("inf"), "untouched")
    x = torch.rand(1, 3, 1024, 1024)
    yield time_beside("1 Mpx", lambda: run(x), lambda: gaussian_filter(x, 1.5), "Gaussian filter")
