"""Recipe of the first half of `deblur`: of a blurred crop, the kernel that blurred it, and how much noise there is.

Two losses: how far the kernel is from the true one, and the error of what Wiener's filter makes of the crop with it,
which is what it is for (and the only way to learn the noise that the filter needs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.models import deblur
from engine.models.deblur import Estimator, wiener, windows
from engine.train import data, degrade, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import DECAY, optimizers
from engine.train.options import Options, option
from engine.train.patterns import patterned
from engine.train.revive import SHOWN, SLOPE, revive

EDGE_PX = degrade.BLUR_PX // 2


class KernelRecipe(Recipe):
    """pictures: sharp photos; start: an estimator to go on from, which is changed; what it has lost begins anew."""

    name = "kernel"

    def __init__(
        self,
        pictures: data.Pictures,
        *,
        steps: int,
        batch: int = 16,
        crop_px: int = 144,
        peak: float = 1.5e-3,
        start: Estimator | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px + 2 * EDGE_PX)
        if start is not None:
            revive(start, windows(pairs(pictures, self.indices, SHOWN, crop_px, np.random.default_rng(seed))[0]))
        self.network = (start or Estimator(slope=SLOPE)).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak, DECAY)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.7)
        blurred, sharp, kernels = pairs(self.pictures, self.indices, self.batch, self.crop_px, self.rng(step))
        found, noise = self.network(windows(blurred))
        apart = (found - kernels).abs().sum((1, 2)).mean() / 2
        made = wiener(blurred, found, noise[:, None])[:, 0]
        error = ((made - sharp).square() + 1e-6).sqrt().mean((1, 2, 3))
        before = (blurred - sharp).abs().mean((1, 2, 3)) + 0.01
        worse = (error / before).log().mean()
        descend(apart + worse, *self.optimizers.values(), most_norm=0.5)
        self.average.update(self.network, step)
        losses = {"apart": apart, "worse": worse, "gain": gained(made, blurred, sharp)}
        return {name: float(value.detach()) for name, value in losses.items()}

    def sample(self) -> Tensor:
        """Held-out crops blurred, under Wiener's filter, and as they were.

        The kernels found and true in their corners.
        """
        blurred, sharp, kernels = pairs(self.pictures, self.held_out, 8, self.crop_px, np.random.default_rng(0))
        with torch.no_grad():
            found, noise = self.average.module(windows(blurred))
            made = wiener(blurred, found, noise[:, None])[:, 0]
        for picture, kernel in ((made, found), (sharp, kernels)):
            picture[:, :, : degrade.BLUR_PX, : degrade.BLUR_PX] = (kernel / kernel.amax((1, 2), keepdim=True))[:, None]
        return torch.cat([blurred, made, sharp])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def pairs(
    pictures: data.Pictures, indices: Sequence[int], count: int, crop_px: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """`count` crops (N, 3, crop_px, crop_px) blurred and sharp, and the kernels (N, BLUR_PX, BLUR_PX) as a convolution
    has them; patterns are printed over some, or their repetition would be taken for a shake.
    """
    whole = patterned(data.random_crops(pictures, indices, count, crop_px + 2 * EDGE_PX, rng), rng)
    kernels = torch.stack([degrade.random_kernel(rng) for _ in range(count)])
    blurred = degrade.as_saved(degrade.blurred(whole, kernels), rng)
    return blurred, whole[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX].contiguous(), kernels.flip(1, 2)


def gained(made: Tensor, blurred: Tensor, sharp: Tensor) -> Tensor:
    """Mean PSNR (dB) of (N, 3, H, W) that `made` has over `blurred`, inside a border that no filter sees whole."""
    inside = (..., slice(EDGE_PX, -EDGE_PX), slice(EDGE_PX, -EDGE_PX))
    errors = [(x.clamp(0, 1) - sharp)[inside].square().mean((1, 2, 3)).clamp_min(1e-6) for x in (made, blurred)]
    return 10 * (errors[1] / errors[0]).log10().mean()


@dataclass(frozen=True)
class KernelOptions(Options):
    """The options of the recipe."""

    start: Path | None = option(None, "weights of deblur to go on from; what they have lost begins anew", source=True)
    batch: int = option(16, "crops in a step")
    crop_px: int = option(144, "side of a crop")
    peak: float = option(1.5e-3, "highest learning rate")


def build(options: KernelOptions) -> KernelRecipe:
    """The recipe of the estimator."""
    start = deblur.from_state_dict(sources.as_floats(options.start)).estimator if options.start else None
    return KernelRecipe(sources.photos(options), start=start, **options.hyperparameters())
