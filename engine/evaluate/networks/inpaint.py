"""`inpaint`: holes in held-out photos, filled by the very step of the app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import Studio
from engine.contract.enhance import EnhanceRequest
from engine.enhance.steps import inpaint
from engine.enhance.steps.context import StepContext
from engine.evaluate.measures import Row, Sources, held_out_crops, mean, time_beside, timed
from engine.image import Picture
from engine.runtime.preview import Preview
from engine.runtime.work import finished

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

PICTURES = 48
SIDE_PX = 256
SHARE = 0.2  # of the picture that is hole
GOAL_DB, GOAL_S = 2.5, 2.0


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """PSNR and absolute error inside free-form holes beside the smooth fill; pixels outside that changed; time."""
    import numpy as np
    import torch

    from engine.train.recipes.inpaint import free_form

    rng = np.random.default_rng(0)
    photos = held_out_crops(sources.photos(), PICTURES, SIDE_PX)
    holes = [free_form(SIDE_PX, rng, (SHARE, SHARE))[None] for _ in photos]
    ours = [filled(x, hole, network) for x, hole in zip(photos, holes, strict=True)]
    smooth = [filled(x, hole, None) for x, hole in zip(photos, holes, strict=True)]
    flat = [
        torch.where(hole > 0.5, (x * (1 - hole)).sum((2, 3), keepdim=True) / (1 - hole).sum(), x)
        for x, hole in zip(photos, holes, strict=True)
    ]
    said = f"{len(photos)} held-out photos, holes of {mean(float(hole.mean()) for hole in holes):.0%}"

    def decibels(made: list[Tensor]) -> float:
        return mean(
            -10 * float(np.log10(_inside(y, x, hole, 2))) for y, x, hole in zip(made, photos, holes, strict=True)
        )

    yield Row(said, "PSNR in the holes (dB)", decibels(ours), decibels(smooth), "smooth fill", "PSNR in holes dB")
    yield Row(said, "PSNR in the holes (dB)", decibels(ours), decibels(flat), "the mean colour")
    yield Row(
        said, "PSNR gained over the smooth fill (dB)", decibels(ours) - decibels(smooth), GOAL_DB, "goal", "gain dB"
    )
    error, other = (
        100 * mean(_inside(y, x, hole, 1) for y, x, hole in zip(made, photos, holes, strict=True))
        for made in (ours, smooth)
    )
    yield Row(said, "mean absolute error in the holes (%)", error, other, "smooth fill")
    touched = sum(int(((y != x) & (hole < 0.5)).sum()) for y, x, hole in zip(ours, photos, holes, strict=True))
    yield Row(said, "values outside the holes that changed", touched, 0, "none")
    x, hole = torch.rand(1, 3, 1024, 1024), free_form(1024, np.random.default_rng(1), (SHARE, SHARE))[None]
    yield Row("this machine", "1 Mpx with holes of 20 % (s)", timed(lambda: filled(x, hole, network)), GOAL_S, "goal")
    yield time_beside(
        "1 Mpx with holes of 20 %", lambda: filled(x, hole, network), lambda: filled(x, hole, None), "smooth fill"
    )


def filled(x: Tensor, holes: Tensor, network: Network | None) -> Tensor:
    """A photo (1, 3, H, W) with its holes (1, 1, H, W) filled by the step of the app; smoothly without a network."""
    request = EnhanceRequest("photo", steps=("inpaint",), mask="mask")
    how = StepContext(request, Studio().settings, Preview(x), holes)
    return finished(inpaint.filled(Picture(x), network, how)).pixels


def _inside(made: Tensor, truth: Tensor, holes: Tensor, power: int) -> float:
    """Mean of |made - truth|^power inside the holes."""
    return float(((made - truth).abs().pow(power) * holes).sum() / (3 * holes.sum()))
