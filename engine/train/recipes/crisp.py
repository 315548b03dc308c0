"""Recipe of `upscale-x4-crisp`: the network of `upscale-x4` goes on to what looks right instead of what is safest.

L1, a perceptual distance on `features`, and the hinge loss of a discriminator that sees pictures only through the same
`features` (after ESRGAN, Wang et al. 2018, and Projected GAN, Sauer et al. 2021). It starts from the faithful network.
Where we leave the paper: the two are blended as pictures (engine/enhance/steps/upscale.py), not as networks (ESRGAN
section 3.4), and half of the small pictures carry a little noise or JPEG, as the files of shops do (Real-ESRGAN, Wang
et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.discriminator import Heads
from engine.models.features import Features
from engine.models.upscale import Upscale, from_state_dict
from engine.train import data, degrade, sources
from engine.train.degrade import shrink
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.objectives import hinge, hinge_fooled
from engine.train.options import Options, option
from engine.train.perceptual import Perceptual

SCALE = 4
PERCEPTUAL_SHARE = 0.1


class CrispRecipe(Recipe):
    """pictures: sharp photos; start: the state of upscale-x4."""

    name = "upscale-x4-crisp"

    def __init__(
        self,
        features: Features,
        pictures: data.Pictures,
        start: dict[str, Tensor] | None,
        *,
        steps: int,
        batch: int = 12,
        crop_px: int = 128,
        peak: float = 2e-4,
        adversarial_weight: float = 0.02,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.adversarial_weight = adversarial_weight
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px)
        self.network = Upscale(SCALE).to(memory_format=torch.channels_last)
        if start is not None:
            self.network.load_state_dict(start)
        self.heads = Heads(1).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=200)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=peak, betas=(0.9, 0.99))
        self.heads_optimizer = torch.optim.Adam(self.heads.parameters(), lr=4e-4, betas=(0.0, 0.99))
        self.modules = {"network": self.network, "heads": self.heads, "average": self.average.module}
        self.optimizers = {"optimizer": self.optimizer, "heads_optimizer": self.heads_optimizer}
        self.perceptual = Perceptual(features, self._crops(self.indices, 16, self.rng(0)))
        self.features = features

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.optimizer, self.peak, step, self.steps)
        rng = self.rng(step)
        large = self._crops(self.indices, self.batch, rng)
        made = self.network(spoiled(shrink(large, SCALE), rng).contiguous(memory_format=torch.channels_last))
        labels = torch.zeros(len(large), dtype=torch.long)

        with torch.no_grad():
            real = self.features(large)
        seen = self.features(made)
        heads = hinge(self.heads(real, labels), self.heads([a.detach() for a in seen], labels))
        descend(heads, self.heads_optimizer)

        self.heads.requires_grad_(False)
        fooled = hinge_fooled(self.heads(seen, labels))
        self.heads.requires_grad_(True)
        perceptual = self.perceptual(seen, real)
        pixel = F.l1_loss(made, large)
        descend(pixel + PERCEPTUAL_SHARE * perceptual + self.adversarial_weight * fooled, self.optimizer, most_norm=0.5)
        self.average.update(self.network, step)
        losses = {"pixel": pixel, "perceptual": perceptual, "judged": heads, "fooled": fooled}
        return {name: float(value.detach()) for name, value in losses.items()}

    def _crops(self, indices: list[int], count: int, rng: np.random.Generator) -> Tensor:
        return data.random_crops(self.pictures, indices, count, self.crop_px, rng).contiguous(
            memory_format=torch.channels_last
        )

    def sample(self) -> Tensor:
        """Held-out crops: enlarged by bicubic interpolation, by the network, and as they were."""
        large = self._crops(self.held_out, 8, np.random.default_rng(0))
        small = shrink(large, SCALE)
        with torch.no_grad():
            ours = from_state_dict(self.export())(small)
        return torch.cat([F.interpolate(small, scale_factor=SCALE, mode="bicubic", align_corners=False), ours, large])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.folded()


def spoiled(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Every second picture of (N, 3, H, W) with noise of sigma up to 6 or as a JPEG of quality 60 to 95."""
    out = x.clone()
    for i in range(0, len(x), 2):
        if rng.uniform() < 0.5:
            out[i : i + 1] = degrade.gaussian_noise(x[i : i + 1], float(rng.uniform(0, 6)), rng).clamp(0, 1)
        else:
            out[i] = degrade.jpeg(x[i], int(rng.integers(60, 96)), subsampling=int(rng.choice([0, 2])))
    return out


@dataclass(frozen=True)
class CrispOptions(Options):
    """The options of the recipe."""

    batch: int = option(12, "crops in a step")
    crop_px: int = option(128, "side of a large crop")
    peak: float = option(2e-4, "highest learning rate")
    adversarial_weight: float = option(0.02, "of the discriminator's part of the loss")


def build(options: CrispOptions) -> CrispRecipe:
    """The recipe; RequestError where there is no faithful network yet."""
    first = "The crisp network starts from the faithful one: run `python -m engine.train upscale` first."
    start = sources.trained(options, "upscale-x4", first)
    return CrispRecipe(sources.own_features(), sources.photos(options), start, **options.hyperparameters())
