"""Recipe of `categories`: multinomial logistic regression on pooled activations of `features`.

Pictures are varied on the way in, so that drawn products are classified as well as photographed ones: hues turned,
products moved, mirrored, brighter or paler, blurred, noisy. Labels are smoothed (Szegedy et al. 2016), because about
one in thirty is wrong here and a rank by certainty should not rest on the most extreme pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.categories import Categories
from engine.models.features import Features
from engine.models.filters import box
from engine.train import sources
from engine.train.augment import augment
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.options import RecipePreset, option
from engine.train.packshots import Packshots, recolour
from engine.train.sources import ProductOptions


class CategoriesRecipe(Recipe):
    """packshots: what to learn; held_out: to be shown only."""

    name = "categories"

    def __init__(
        self,
        features: Features,
        packshots: Packshots,
        held_out: Packshots,
        *,
        steps: int,
        batch: int = 128,
        peak: float = 2e-3,
        decay: float = 0.02,
        smoothing: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.steps, self.batch, self.peak, self.smoothing, self.seed = steps, batch, peak, smoothing, seed
        self.packshots, self.held_out = packshots, held_out
        self.classifier = Categories(packshots.categories, features.eval().requires_grad_(False)).to(
            memory_format=torch.channels_last
        )
        with torch.no_grad():
            pooled = torch.cat([self.classifier.pooled(self._batch(self.rng(steps + k))[0]) for k in range(8)])
            self.classifier.mean.copy_(pooled.mean(0))
            self.classifier.spread.copy_(pooled.std(0) + 1e-3)
        self.optimizer = torch.optim.AdamW(self.classifier.linear.parameters(), lr=peak, weight_decay=decay)
        self.average = Average(self.classifier, half_life_steps=50)
        self.modules = {"classifier": self.classifier, "average": self.average.module}
        self.optimizers = {"optimizer": self.optimizer}

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.optimizer, self.peak, step, self.steps, warm_up=10, hold=0.3)
        x, labels = self._batch(self.rng(step))
        logits = self.classifier(x)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        descend(loss, self.optimizer)
        self.average.update(self.classifier, step)
        return {"loss": float(loss.detach()), "right": float((logits.detach().argmax(1) == labels).float().mean())}

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rng.choice(len(self.packshots.pictures), self.batch, p=self.packshots.chances))
        return vary(self.packshots.pictures[chosen].float().div_(255), rng), self.packshots.labels[chosen]

    def sample(self) -> Tensor:
        """Two rows of varied training pictures, then held-out ones that it gets wrong."""
        pictures = self.held_out.pictures.float() / 255
        wrong = called(self.average.module, pictures) != self.held_out.labels
        return torch.cat([self._batch(self.rng(self.steps))[0][:16], pictures[wrong][:64]])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def vary(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (N, 3, S, S) with hue, place, side, light, sharpness and noise at random; still in [0, 1]."""
    x = augment(recolour(x, rng, chance=0.5), rng).clamp(0, 1)
    x = torch.where(torch.from_numpy(rng.uniform(size=(len(x), 1, 1, 1)) < 0.5), x.flip(3), x)
    soft = box(x, 1, "reflect")
    blur, noise = (torch.from_numpy(rng.uniform(0, most, (len(x), 1, 1, 1)).astype(np.float32)) for most in (1.0, 0.06))
    noise *= torch.from_numpy(rng.uniform(size=(len(x), 1, 1, 1)) < 0.5)
    grain = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    return (x + blur * (soft - x) + noise * grain).clamp(0, 1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def called(classifier: Categories, pictures: Tensor) -> Tensor:
    """The most likely category (N,) of pictures (N, 3, S, S) in [0, 1]."""
    return torch.cat([classifier(part).argmax(1) for part in pictures.split(128)])


@dataclass(frozen=True)
class CategoriesOptions(ProductOptions):
    """The options of the recipe."""

    batch: int = option(128, "pictures in a step")
    peak: float = option(2e-3, "highest learning rate")
    decay: float = option(0.02, "weight decay")
    smoothing: float = option(0.1, "of the labels")


def build(options: CategoriesOptions) -> CategoriesRecipe:
    """The recipe; RequestError without categories."""
    shown, held_out = sources.packshots(options, CategoriesRecipe.name, 64)
    return CategoriesRecipe(sources.own_features(), shown, held_out, **options.hyperparameters())


PRESETS = {"default": RecipePreset(CategoriesOptions(steps=400), build, "94 % of held-out packshots")}
