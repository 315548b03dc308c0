"""Recipe of `tone`: well lit photos, badly exposed and tinted at random, are to be given back by one table per photo.

The network is to correct what a camera got wrong: light, white balance, contrast, saturation. The loss is L1 and
L2 of pixels, and the tables are kept smooth and rising as in Zeng et al. 2020 (equations 5 to 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.tone import THUMBNAIL_PX, Tone, adjusted
from engine.train import data, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import optimizers
from engine.train.options import Options, RecipePreset, option

_NODES = 17  # of the tables in training


def spoiled(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Photos (N, 3, H, W) as a camera may have got them wrong, in 8 bits; one in ten is as it was."""
    n = len(x)
    low_high = ((-2.5, 1.0), (-0.8, 0.8), (-0.3, 0.3), (-0.5, 0.3), (-0.4, 0.2), (-0.4, 0.2))
    amounts = np.stack([rng.uniform(low, high, n) for low, high in low_high], 1)
    amounts *= (rng.uniform(size=(n, 6)) < np.array([0.85, 0.7, 0.7, 0.5, 0.5, 0.5])) * (rng.uniform(size=(n, 1)) < 0.9)
    wrong = adjusted(x.flatten(2), torch.from_numpy(amounts).float()).view_as(x).clamp(0, 1)
    # Shot noise of the light that was there: dark pictures are noisy ones.
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * (0.0004 * wrong + 1e-5).sqrt()
    untouched = torch.from_numpy((amounts == 0).all(1)).view(-1, 1, 1, 1)
    return ((torch.where(untouched, wrong, wrong + noise)).clamp(0, 1) * 255).round() / 255


class ToneRecipe(Recipe):
    """pictures: photos that are as they should be."""

    name = "tone"

    def __init__(
        self, pictures: data.Pictures, *, steps: int, batch: int = 24, peak: float = 1e-3, seed: int = 0
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.peak, self.seed = steps, batch, peak, seed
        train, held_out = pictures.split()
        self.photos, self.held_out = small(pictures, train), small(pictures, held_out[:16])
        self.network = Tone()
        self.average = Average(self.network, half_life_steps=200)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.5)
        rng = self.rng(step)
        right = self._batch(rng)
        wrong = spoiled(right, rng)
        amounts, weights = self.network(_seen(wrong))
        table = self.network.tables(amounts, weights, _NODES)
        difference = looked_up(table, wrong) - right
        pixel = (difference.square() + 1e-5).sqrt().mean() + 2 * difference.square().mean()
        smooth, falling = roughness(table)
        loss = pixel + 1e-2 * smooth + falling
        descend(loss, *self.optimizers.values(), most_norm=1.0)
        self.average.update(self.network, step)
        psnr = -10 * difference.detach().clamp(-1, 1).square().mean((1, 2, 3)).clamp_min(1e-6).log10().mean()
        return {
            "pixel": float(pixel.detach()),
            "smooth": float(smooth.detach()),
            "falling": float(falling.detach()),
            "psnr": float(psnr),
        }

    def _batch(self, rng: np.random.Generator) -> Tensor:
        """Crops of two thirds to all of a photo, at 96 px, some flipped."""
        chosen = self.photos[torch.from_numpy(rng.integers(len(self.photos), size=self.batch))].float() / 255
        side = int(rng.integers(64, chosen.shape[-1] + 1))
        y, x = (int(rng.integers(chosen.shape[-1] - side + 1)) for _ in range(2))
        crop = chosen[:, :, y : y + side, x : x + side]
        return crop.flip(3) if rng.uniform() < 0.5 else crop.contiguous()

    def sample(self) -> Tensor:
        """Held-out photos spoiled, as the network gives them back, and as they were."""
        right = self.held_out[:8].float() / 255
        wrong = spoiled(right, np.random.default_rng(0))
        network = self.average.module
        with torch.no_grad():
            return torch.cat([wrong, looked_up(network.tables(*network(_seen(wrong))), wrong), right])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def small(pictures: data.Pictures, indices: Sequence[int], size_px: int = 96) -> Tensor:
    """Whole photos as squares, uint8 (N, 3, S, S): shapes do not count here."""
    return torch.cat(
        [F.interpolate(pictures[i][None].float(), (size_px, size_px), mode="area").round().byte() for i in indices]
    )


def looked_up(tables: Tensor, x: Tensor) -> Tensor:
    """Each picture of (N, 3, H, W) through its own table (N, 3, M, M, M)."""
    return F.grid_sample(tables, (2 * x.movedim(1, -1) - 1)[:, None], padding_mode="border", align_corners=True)[
        :, :, 0
    ]


def roughness(tables: Tensor) -> tuple[Tensor, Tensor]:
    """How uneven tables' slopes are (mean square of second differences), and how far a channel falls where it should
    rise.
    """
    nodes = tables.shape[-1]
    uneven = torch.stack([tables.diff(n=2, dim=axis).mul(nodes - 1).square().mean() for axis in (2, 3, 4)]).sum()
    falling = torch.stack(
        [F.relu(-tables[:, channel].diff(dim=3 - channel)).mul(nodes - 1).mean() for channel in range(3)]
    ).sum()
    return uneven / (nodes - 1), falling


def _seen(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, THUMBNAIL_PX)


@dataclass(frozen=True)
class ToneOptions(Options):
    """The options of the recipe."""

    batch: int = option(24, "photos in a step")
    peak: float = option(1e-3, "highest learning rate")


def build(options: ToneOptions) -> ToneRecipe:
    """The recipe."""
    return ToneRecipe(sources.photos(options), **options.hyperparameters())


PRESETS = {"default": RecipePreset(ToneOptions(steps=4000), build)}
