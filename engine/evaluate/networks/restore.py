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
    """White noise in colour against the best filter; JPEG on luma, of coded colour and coded alone, against the JPEG
    itself.
    """
    import torch

    from engine.models.restore import Restore

    pictures, run = benchmark(sources.folder, "BSD68"), runner(network)
    for sigma in (15, 25, 50):
        yield _noise("BSD68", pictures, sigma, run, f"sigma {sigma} dB")
    for quality in (10, 20, 30, 40):
        yield _jpeg("BSD68", pictures, quality, run, f"JPEG q{quality} dB")
    for quality in (10, 20, 30, 40):
        yield _jpeg_of_luma("BSD68", pictures, quality, run)
    clean = mean(psnr(run(x), x) for x in pictures)
    yield Row("BSD68", "a clean photo against itself, RGB PSNR (dB)", clean, float("inf"), "untouched")
    own = held_out_crops(sources.photos(), OWN, OWN_PX)
    said = f"{len(own)} held-out photos"
    yield _noise(said, own, 25, run, "own photos, sigma 25 dB")
    for sigma in (25, 50):
        yield _noise(said, own, sigma, run, f"own photos, sigma {sigma} in a file dB", cut=True)
    yield _jpeg(said, own, 20, run, "own photos, JPEG q20 dB")
    if isinstance(network.module, Restore):
        lost, right = _by_the_gate(network, own)
        yield Row(
            said,
            "in ten ways disturbed: given to the best expert (%)",
            right,
            100 / len(network.module.experts),
            "chance",
        )
        yield Row(said, "PSNR lost where it was not (dB, mean over all)", lost, 0.0, "always the best expert")
    x = torch.rand(1, 3, 1024, 1024)
    yield time_beside("1 Mpx", lambda: run(x), lambda: gaussian_filter(x, 1.5), "Gaussian filter")


def _noise(
    data: str, pictures: list[Tensor], sigma: int, run: Callable[[Tensor], Tensor], headline: str, cut: bool = False
) -> Row:
    """cut: whether the noise ends at black and white, as in a file; in the literature it does not."""
    import numpy as np

    from engine.train.degrade import gaussian_noise

    rng = np.random.default_rng(sigma)
    noisy = [gaussian_noise(x, sigma, rng) for x in pictures]
    if cut:
        noisy = [n.clamp(0, 1) for n in noisy]
    ours = mean(psnr(run(n), x) for n, x in zip(noisy, pictures, strict=True))
    filtered = {name: mean(psnr(f(n), x) for n, x in zip(noisy, pictures, strict=True)) for name, f in FILTERS.items()}
    best = max(filtered, key=lambda name: filtered[name])
    return Row(
        data,
        f"white noise of sigma {sigma}{', cut off at black and white' if cut else ''}, RGB PSNR (dB)",
        ours,
        filtered[best],
        f"best filter ({best})",
        headline,
    )


def _jpeg(data: str, pictures: list[Tensor], quality: int, run: Callable[[Tensor], Tensor], headline: str) -> Row:
    from engine.train.degrade import jpeg

    coded = [jpeg(x[0], quality)[None] for x in pictures]
    ours, before = (
        mean(psnr(luma(f(c)), luma(x)) for c, x in zip(coded, pictures, strict=True)) for f in (run, lambda c: c)
    )
    return Row(data, f"JPEG quality {quality}, luma PSNR (dB)", ours, before, "the JPEG", headline)


def _jpeg_of_luma(data: str, pictures: list[Tensor], quality: int, run: Callable[[Tensor], Tensor]) -> Row:
    """As papers measure on LIVE1 (Dong et al. 2015, ARCNN): luma is coded alone, as a picture without colour."""
    from engine.train.degrade import jpeg

    lumas = [luma(x).mul(255).round().div(255) for x in pictures]
    coded = [jpeg(y[0].expand(3, -1, -1), quality)[None] for y in lumas]
    ours, before = (
        mean(psnr(f(c).mean(1, keepdim=True), y) for c, y in zip(coded, lumas, strict=True)) for f in (run, lambda c: c)
    )
    return Row(
        data,
        f"luma alone as JPEG of quality {quality}, PSNR (dB)",
        ours,
        before,
        "the JPEG",
        f"luma alone as JPEG q{quality} dB",
    )


def _by_the_gate(network: Network, pictures: list[Tensor]) -> tuple[float, float]:
    """PSNR lost (dB) by the gate's choices, and how many are right (%): of pictures under white noise, sensor noise,
    JPEG, and noise under JPEG.
    """
    import numpy as np
    import torch

    from engine.models.restore import best
    from engine.train import degrade

    rng = np.random.default_rng(0)

    def noisy(sigma: float) -> Callable[[Tensor], Tensor]:
        return lambda x: degrade.gaussian_noise(x, sigma, rng).clamp(0, 1)

    def coded(quality: int) -> Callable[[Tensor], Tensor]:
        return lambda x: degrade.jpeg(x[0], quality)[None]

    ways = [*map(noisy, (5, 15, 25, 50)), lambda x: degrade.sensor_noise(x, rng), *map(coded, (10, 30, 60, 85))]
    ways += [lambda x: degrade.jpeg(degrade.sensor_noise(x, rng)[0], 85)[None]]
    lost, right = [], []
    with torch.no_grad():
        for x in pictures:
            for disturb in ways:
                disturbed = disturb(x)
                reached = [psnr(expert(disturbed), x) for expert in network.module.experts]
                chosen = reached[best(network.module.gate, disturbed)]
                lost.append(max(reached) - chosen)
                right.append(100.0 * (chosen == max(reached)))
    return mean(lost), mean(right)
