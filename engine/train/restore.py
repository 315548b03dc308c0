"""Recipe of `restore`: clean crops of photos, disturbed at random, are to be given back.

Charbonnier loss (Lai et al. 2017): L1 that is smooth at zero, which ends a little above L1 in PSNR; L2 for the last
fifth, which is what PSNR counts. The learning rate falls in that fifth alone, so a run that turns out too short is
made longer by giving --steps, from a checkpoint of before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.models.restore import Restore
from engine.train import data, degrade
from engine.train.loop import Average, Recipe, learning_rate
from engine.train.muon import optimizers

_HOLD = 0.8  # part of the run at the full learning rate


class RestoreRecipe(Recipe):
    """pictures: clean photos. Other repairs are the same recipe with another `_pair`."""

    name = "restore"
    margin_px = 0  # how much larger a crop must be before it is disturbed

    def __init__(
        self,
        pictures: data.Pictures,
        *,
        steps: int,
        batch: int = 16,
        crop_px: int = 64,
        peak: float = 2e-3,
        network: Restore | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px + self.margin_px)
        self.network = (network or Restore()).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=500)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=_HOLD)
        rng = self.rng(step)
        given, clean = self._pair(self.indices, self.batch, rng)
        difference = self.network(given.to(memory_format=torch.channels_last)) - clean
        # Heavy noise would drown JPEG's faint traces; weighing by all of the disturbance would overdo it for clean pictures.
        size = 0.01 + (given[:, -3:] - clean).abs().mean((1, 2, 3))
        if step < _HOLD * self.steps:
            error, weight = (difference.square() + 1e-6).sqrt().mean((1, 2, 3)), size.pow(-0.5)
        else:
            error, weight = difference.square().mean((1, 2, 3)), (0.01 + size).pow(-1.5)
        loss = (error * weight / weight.mean()).mean()
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.average.update(self.network, step)
        return {"loss": float(loss.detach()), "psnr": float(-10 * difference.detach().square().mean().log10())}

    def _pair(self, indices: Sequence[int], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """`count` crops (N, 3, crop_px, crop_px) of the pictures `indices`, disturbed, and as they were.

        What else the network is given stands before the disturbed picture, in further channels.
        """
        clean = data.random_crops(self.pictures, indices, count, self.crop_px, rng)
        return degrade.random_disturbance(clean, rng), clean

    def sample(self) -> Tensor:
        """Held-out crops disturbed, as the network gives them back, and as they were."""
        rng = np.random.default_rng(0)
        disturbed, clean = self._pair(self.held_out, 8, rng)
        with torch.no_grad():
            return torch.cat([disturbed, self.average.module(disturbed), clean])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()
