"""`upscale-x4-crisp` beside the faithful network: its patches are more like those of sharp photos, its pixels further
from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, benchmark, held_out_crops, load, luma, mean, psnr, runner

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

SCALE = 4
OWN = "24 held-out photos"


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """How far patches, `features` and luma are from the truth, of pictures shrunk by bicubic averaging, clean and as a
    JPEG of quality 75.
    """
    import torch.nn.functional as F

    from engine.evaluate.compare import patch_distance
    from engine.models.features import relative_error
    from engine.train.degrade import jpeg, shrink

    features = load("features").module
    faithful = runner(load("upscale-x4"))
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": runner(network),
        "upscale-x4": faithful,
        "bicubic": lambda x: F.interpolate(x, scale_factor=SCALE, mode="bicubic", align_corners=False).clamp(0, 1),
    }

    def apart(y: Tensor, x: Tensor) -> float:
        return 100 * float(relative_error(features(y), features(x)).mean())

    def patches(y: Tensor, x: Tensor) -> float:
        return patch_distance(y, x, count=8192, scales=1)

    def decibels(y: Tensor, x: Tensor) -> float:
        return psnr(luma(y), luma(x), SCALE)

    for name, pictures in {
        "Set14": benchmark(sources.folder, "Set14"),
        OWN: held_out_crops(sources.photos(), 24, 256),
    }.items():
        truth = [x[..., : x.shape[-2] // SCALE * SCALE, : x.shape[-1] // SCALE * SCALE] for x in pictures]
        small = [shrink(x, SCALE) for x in truth]
        for spoiled, seen in {
            "": small,
            ", the small picture a JPEG of quality 75": [jpeg(s[0], 75)[None] for s in small],
        }.items():
            made = {way: [run(s) for s in seen] for way, run in ways.items()}
            for what, figure in {
                "patch sliced-Wasserstein x 1000, less is better": patches,
                "distance on `features` (%), less is better": apart,
                "luma PSNR (dB)": decibels,
            }.items():
                figures = {way: mean(figure(y, x) for y, x in zip(ys, truth, strict=True)) for way, ys in made.items()}
                for way in ("upscale-x4", "bicubic"):
                    headline = (
                        f"{name} {'patches' if figure is patches else 'dB'}"
                        if name == "Set14" and figure is not apart and not spoiled and way == "upscale-x4"
                        else ""
                    )
                    yield Row(name + spoiled, f"x{SCALE}, {what}", figures["ours"], figures[way], way, headline)
