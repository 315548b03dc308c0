"""Recipe of `inpaint`: holes are cut into photos, and what was there is to be given back.

L1 of pixels, six times as heavy in the holes, and of `features`; then the hinge loss of a discriminator on `features`
of the finished picture (SN-PatchGAN of Yu et al. 2019, on fixed features), which counts in the holes only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from engine.models.discriminator import Heads
from engine.models.features import Features
from engine.models.inpaint import Inpaint
from engine.train import data, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import optimizers
from engine.train.objectives import hinge, hinge_fooled
from engine.train.options import Options, RecipePreset, option
from engine.train.perceptual import Perceptual
from engine.weights.int8 import FEW_MOST, pack


def free_form(size_px: int, rng: np.random.Generator, share: tuple[float, float] = (0.05, 0.35)) -> Tensor:
    """Strokes of a brush and a box or two, (1, S, S), 1 = hole; they cover about `share` of the picture."""
    mask = Image.new("L", (size_px, size_px))
    draw = ImageDraw.Draw(mask)
    wanted = rng.uniform(*share)
    while np.asarray(mask).mean() / 255 < wanted:
        if rng.uniform() < 0.25:
            side = rng.uniform(0.08, 0.35, 2) * size_px
            corner = rng.uniform(0, size_px, 2) - side / 2
            draw.rectangle((*corner, *(corner + side)), fill=255)
            continue
        point, angle = rng.uniform(0, size_px, 2), rng.uniform(0, 2 * np.pi)
        width = int(rng.uniform(0.04, 0.16) * size_px)
        for _ in range(int(rng.integers(2, 7))):
            angle += rng.normal(0, 0.9)
            end = point + rng.uniform(0.05, 0.25) * size_px * np.array([np.cos(angle), np.sin(angle)])
            draw.line((*point, *end), fill=255, width=width)
            draw.ellipse((*(end - width / 2), *(end + width / 2)), fill=255)
            point = end
    return torch.from_numpy(np.array(mask) > 127)[None].float()


class InpaintRecipe(Recipe):
    """pictures: whole photos."""

    name = "inpaint"

    def __init__(
        self,
        features: Features,
        pictures: data.Pictures,
        *,
        steps: int,
        batch: int = 8,
        crop_px: int = 128,
        peak: float = 1e-3,
        adversarial_weight: float = 0.02,
        adversarial_from: float = 0.6,
        large_from: float = 0.7,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.adversarial_weight, self.adversarial_steps = adversarial_weight, round(adversarial_from * steps)
        # Half as large again for the last steps, while the rate falls: in use holes are wider than in small crops.
        self.large_px, self.large_steps = crop_px * 3 // 2, round(large_from * steps)
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(self.large_px)
        self.network = Inpaint().to(memory_format=torch.channels_last)
        self.heads = Heads(1).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "heads": self.heads, "average": self.average.module}
        self.heads_optimizer = torch.optim.Adam(self.heads.parameters(), lr=4e-4, betas=(0.0, 0.99))
        self.own = optimizers(self.network, peak)
        self.optimizers = {**self.own, "heads_optimizer": self.heads_optimizer}
        self.perceptual = Perceptual(features, self._crops(self.indices, 16, crop_px, self.rng(0)))
        self.features = features

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.own.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.7)
        rng = self.rng(step)
        count, size_px = (
            (self.batch, self.crop_px) if step < self.large_steps else (max(1, self.batch // 2), self.large_px)
        )
        x = self._crops(self.indices, count, size_px, rng)
        holes = torch.stack([free_form(size_px, rng) for _ in x])
        filled = self.network(x, holes)
        error = (filled - x).abs()
        pixel = 6 * (error * holes).sum() / (3 * holes.sum())
        with torch.no_grad():
            wanted = self.features(x, 4)
        seen = self.features(filled)
        perceptual = self.perceptual(seen, wanted)
        loss = pixel + perceptual
        losses = {"pixel": float(pixel.detach()), "perceptual": float(perceptual.detach())}
        if step >= self.adversarial_steps:
            losses |= self._teach_heads(x, filled.detach(), holes)
            self.heads.requires_grad_(False)
            maps = self._maps(seen)
            loss = loss + self.adversarial_weight * hinge_fooled(maps, _in_holes(maps, holes)) / len(maps)
            self.heads.requires_grad_(True)
        descend(loss, *self.own.values(), most_norm=1.0)
        self.average.update(self.network, step)
        missed = ((filled.detach() - x).square() * holes).sum((1, 2, 3)) / (3 * holes.sum((1, 2, 3)))
        return losses | {"psnr": float(-10 * missed.clamp_min(1e-6).log10().mean())}

    def _teach_heads(self, x: Tensor, filled: Tensor, holes: Tensor) -> dict[str, float]:
        """One step of the discriminator."""
        real, fake = self._maps(self.features(x)), self._maps(self.features(filled))
        loss = hinge(real, fake, _in_holes(real, holes)) / len(real)
        descend(loss, self.heads_optimizer)
        return {"judged": float(loss.detach())}

    def _maps(self, seen: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = self.heads(seen, torch.zeros(len(seen[0]), dtype=torch.long))
        return found

    def _crops(self, indices: list[int], count: int, size_px: int, rng: np.random.Generator) -> Tensor:
        return data.random_crops(self.pictures, indices, count, size_px, rng).contiguous(
            memory_format=torch.channels_last
        )

    def sample(self) -> Tensor:
        """Held-out crops with holes, as they are filled, and as they were."""
        rng = np.random.default_rng(0)
        x = self._crops(self.held_out, 16, self.crop_px, rng)
        holes = torch.stack([free_form(self.crop_px, rng) for _ in x])
        with torch.no_grad():
            filled = self.average.module(x, holes)
        rows = zip(torch.where(holes > 0.5, torch.ones_like(x), x).split(8), filled.split(8), x.split(8), strict=True)
        return torch.cat([part for row in rows for part in row])

    def export(self) -> dict[str, Tensor]:
        return pack(self.average.module.state_dict(), few=FEW_MOST)


def _in_holes(maps: list[Tensor], holes: Tensor) -> list[Tensor]:
    """For each map how much of a hole each of its places covers."""
    return [F.adaptive_avg_pool2d(holes, (m.shape[2], m.shape[3])) for m in maps]


@dataclass(frozen=True)
class InpaintOptions(Options):
    """The options of the recipe."""

    batch: int = option(8, "crops in a step")
    crop_px: int = option(128, "side of a crop")
    peak: float = option(1e-3, "highest learning rate")
    adversarial_weight: float = option(0.02, "of the discriminator's part of the loss")
    adversarial_from: float = option(0.6, "share of the run before the discriminator joins in")
    large_from: float = option(0.7, "share of the run before holes grow large")


def build(options: InpaintOptions) -> InpaintRecipe:
    """The recipe."""
    return InpaintRecipe(sources.own_features(), sources.photos(options), **options.hyperparameters())


PRESETS = {"default": RecipePreset(InpaintOptions(steps=8800), build, "2.8 dB over the smooth fill")}
