"""`upscale-x2` and `upscale-x4`: Set5, Set14 and BSD68, shrunk and enlarged again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.evaluate.measures import (
    Row,
    Sources,
    benchmark,
    held_out_crops,
    load,
    luma,
    mean,
    psnr,
    runner,
    time_beside,
)

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

OWN = "24 held-out photos"


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Luma PSNR and SSIM after antialiased bicubic shrinking, border of `scale` cut, against bicubic enlarging; for
    small pictures as they are found, with noise or as JPEG, cleaned by `restore` first, also against no cleaning.
    """
    import torch
    import torch.nn.functional as F
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    scale = network.weight.tiling.scale
    run = runner(network)
    sets = {name: benchmark(sources.folder, name) for name in ("Set5", "Set14", "BSD68")} | {
        OWN: held_out_crops(sources.photos(), 24, 256)
    }
    for name, pictures in sets.items():
        whole, small = _pairs(pictures, scale)
        ours = [luma(run(s)) for s in small]
        bicubic = [luma(_bicubic(s, scale)) for s in small]
        truth = [luma(x) for x in whole]

        def on_average(
            measure: Callable[[Tensor, Tensor], float], pictures: list[Tensor], truth: list[Tensor] = truth
        ) -> float:
            return mean(measure(y, x) for y, x in zip(pictures, truth, strict=True))

        def decibels(y: Tensor, x: Tensor) -> float:
            return psnr(y, x, scale)

        def similarity(y: Tensor, x: Tensor) -> float:
            inside = (..., slice(scale, -scale), slice(scale, -scale))
            return float(ssim(y[inside], x[inside], data_range=1.0))  # type: ignore[arg-type]

        yield Row(
            name,
            f"x{scale}, luma PSNR (dB)",
            on_average(decibels, ours),
            on_average(decibels, bicubic),
            "bicubic",
            "own photos dB" if name == OWN else f"{name} dB",
        )
        yield Row(
            name, f"x{scale}, luma SSIM", on_average(similarity, ours), on_average(similarity, bicubic), "bicubic"
        )
    yield from _as_found(run, sets["Set14"], scale)
    x = torch.rand(1, 3, 512, 512)
    mpx = x[0, 0].numel() * scale * scale / 1e6

    def bicubic_time() -> Tensor:
        return F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)

    yield time_beside(f"{mpx:.0f} Mpx of output", lambda: run(x), bicubic_time, "bicubic")


def _pairs(pictures: list[Tensor], scale: int) -> tuple[list[Tensor], list[Tensor]]:
    """Pictures (1, 3, H, W) cut to multiples of `scale`, and shrunk by it."""
    from engine.train.degrade import shrink

    whole = [x[..., : x.shape[-2] // scale * scale, : x.shape[-1] // scale * scale] for x in pictures]
    return whole, [shrink(x, scale) for x in whole]


def _bicubic(x: Tensor, scale: int) -> Tensor:
    import torch.nn.functional as F

    return F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1)


def _as_found(run: Callable[[Tensor], Tensor], pictures: list[Tensor], scale: int) -> Iterator[Row]:
    """Luma PSNR of Set14 where the small pictures have noise in the file or were saved as JPEG."""
    import numpy as np

    from engine.train.degrade import gaussian_noise, jpeg

    clean, rng = runner(load("restore")), np.random.default_rng(0)
    truth, small = _pairs(pictures, scale)
    spoiled = {f"a JPEG of quality {quality}": [jpeg(s[0], quality)[None] for s in small] for quality in (75, 40)}
    spoiled["with noise of sigma 10"] = [
        gaussian_noise(s, 10, rng).mul(255).round().div(255).clamp(0, 1) for s in small
    ]
    for what, seen in spoiled.items():
        made = {
            "ours": [run(clean(s)) for s in seen],
            "without restore": [run(s) for s in seen],
            "bicubic": [_bicubic(s, scale) for s in seen],
        }
        figures = {
            way: mean(psnr(luma(y), luma(x), scale) for y, x in zip(ys, truth, strict=True)) for way, ys in made.items()
        }
        for way in ("bicubic", "without restore"):
            headline = "Set14 as JPEG 40 dB" if way == "bicubic" and "40" in what else ""
            yield Row(
                f"Set14, the small picture {what}",
                f"x{scale} after `restore`, luma PSNR (dB)",
                figures["ours"],
                figures[way],
                way,
                headline,
            )
