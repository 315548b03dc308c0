"""Recipe of `upscale-x2` and `upscale-x4`: photos made small by bicubic averaging are to be given back.

L1 (EDSR, Lim et al. 2017), then L2 for the last tenth, which is what PSNR counts. The x2 network starts from the x4
network's body when it is given, since both see the same photographs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.upscale import Upscale, from_state_dict
from engine.train import data
from engine.train.loop import Average, Recipe, learning_rate


def shrink(x: Tensor, scale: int) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H / scale, W / scale) by antialiased bicubic, rounded to 8 bit as a file would be."""
    small = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    return (small.clamp(0, 1) * 255).round() / 255


class UpscaleRecipe(Recipe):
    def __init__(
        self,
        pictures: data.Pictures,
        *,
        scale: int = 4,
        steps: int,
        batch: int = 16,
        crop_px: int = 192,
        peak: float = 1e-3,
        seed: int = 0,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.name = f"upscale-x{scale}"
        self.steps, self.scale, self.batch, self.crop_px, self.peak, self.seed = steps, scale, batch, crop_px, peak, seed
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px)
        self.network = Upscale(scale, rich=True).to(memory_format=torch.channels_last)
        if start is not None:
            self.network.load_state_dict({k: v for k, v in start.items() if not k.startswith("tail.")}, strict=False)
        self.average = Average(self.network, half_life_steps=300)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=peak, betas=(0.9, 0.99))
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = {"optimizer": self.optimizer}

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.optimizer, self.peak, step, self.steps)
        large = data.random_crops(self.pictures, self.indices, self.batch, self.crop_px, self.rng(step))
        small = shrink(large, self.scale).to(memory_format=torch.channels_last)
        difference = self.network(small) - large
        # L2's gradient is the smaller the better the network; x20 keeps Adam's steps about as they were.
        loss = difference.abs().mean() if step < 0.9 * self.steps else 20 * difference.square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimizer.step()
        self.average.update(self.network, step)
        return {"loss": float(loss.detach()), "psnr": float(-10 * difference.detach().square().mean().log10())}

    def sample(self) -> Tensor:
        """Held-out crops: enlarged by bicubic interpolation, by the network, and as they were."""
        large = data.random_crops(self.pictures, self.held_out, 8, self.crop_px, np.random.default_rng(0))
        small = shrink(large, self.scale)
        with torch.no_grad():
            ours = from_state_dict(self.export())(small)
        return torch.cat([F.interpolate(small, scale_factor=self.scale, mode="bicubic", align_corners=False), ours, large])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.folded()
