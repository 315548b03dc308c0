"""Recipe of `restore`: clean crops of photos, disturbed at random, are to be given back.

Charbonnier loss (Lai et al. 2017): L1 that is smooth at zero, which ends a little above L1 in PSNR; L2 for the last
tenth, which is what PSNR counts. The learning rate falls in that tenth alone, so a run that turns out too short is
made longer by giving --steps, from a checkpoint of before its end.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.models.restore import Restore
from engine.train import data, degrade
from engine.train.loop import Average, Recipe, learning_rate
from engine.train.muon import optimizers


class RestoreRecipe(Recipe):
    name = "restore"

    def __init__(self, pictures: data.Pictures, *, steps: int, batch: int = 16, crop_px: int = 64, peak: float = 2e-3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px)
        self.network = Restore().to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=500)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.9)
        rng = self.rng(step)
        clean = data.random_crops(self.pictures, self.indices, self.batch, self.crop_px, rng)
        disturbed = degrade.random_disturbance(clean, rng).to(memory_format=torch.channels_last)
        difference = self.network(disturbed) - clean
        # Heavy noise would drown JPEG's faint traces; weighing by all of the disturbance would overdo it for clean pictures.
        size = 0.01 + (disturbed - clean).abs().mean((1, 2, 3))
        if step < 0.9 * self.steps:
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

    def sample(self) -> Tensor:
        """Held-out crops disturbed, as the network gives them back, and as they were."""
        rng = np.random.default_rng(0)
        clean = data.random_crops(self.pictures, self.held_out, 8, self.crop_px, rng)
        disturbed = degrade.random_disturbance(clean, rng)
        with torch.no_grad():
            return torch.cat([disturbed, self.average.module(disturbed), clean])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()
