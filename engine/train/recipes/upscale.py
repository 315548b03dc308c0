"""Recipe of `upscale-x2` and `upscale-x4`: photos made small by bicubic averaging are to be given back.

L1 (EDSR, Lim et al. 2017), then L2 for the last tenth, which is what PSNR counts. A rich network (see
`engine.models.upscale`) learns with Adam. Folded, it goes on with Muon, which is ahead of Adam on the branches from there.
The x2 network starts from the rich x4 network's body when it is given, since both see the same photographs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.upscale import Upscale, from_state_dict
from engine.train import data
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import optimizers


def shrink(x: Tensor, scale: int) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H / scale, W / scale) by antialiased bicubic, rounded to 8 bit as a file would be."""
    small = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    return (small.clamp(0, 1) * 255).round() / 255


class UpscaleRecipe(Recipe):
    """pictures: sharp photos; rich: train the branches, not what they fold into; start: the state of such a network, or a part of it."""

    def __init__(
        self,
        pictures: data.Pictures,
        *,
        scale: int = 4,
        steps: int,
        batch: int = 16,
        crop_px: int = 192,
        peak: float = 1e-3,
        rich: bool = False,
        seed: int = 0,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.name = f"upscale-x{scale}"
        self.steps, self.scale, self.batch, self.crop_px, self.peak, self.seed = (
            steps,
            scale,
            batch,
            crop_px,
            peak,
            seed,
        )
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px)
        self.network = Upscale(scale, rich=rich).to(memory_format=torch.channels_last)
        if start is not None:
            self.network.load_state_dict(start, strict=False)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "average": self.average.module}
        adam = torch.optim.Adam(self.network.parameters(), lr=peak, betas=(0.9, 0.99))
        self.optimizers = {"optimizer": adam} if rich else optimizers(self.network, peak)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps)
        large = data.random_crops(self.pictures, self.indices, self.batch, self.crop_px, self.rng(step))
        small = shrink(large, self.scale).to(memory_format=torch.channels_last)
        difference = self.network(small) - large
        # L2's gradient is the smaller the better the network; x20 keeps Adam's steps about as they were.
        loss = difference.abs().mean() if step < 0.9 * self.steps else 20 * difference.square().mean()
        descend(loss, *self.optimizers.values(), most_norm=0.5)
        self.average.update(self.network, step)
        return {"loss": float(loss.detach()), "psnr": float(-10 * difference.detach().square().mean().log10())}

    def sample(self) -> Tensor:
        """Held-out crops: enlarged by bicubic interpolation, by the network, and as they were."""
        large = data.random_crops(self.pictures, self.held_out, 8, self.crop_px, np.random.default_rng(0))
        small = shrink(large, self.scale)
        with torch.no_grad():
            ours = from_state_dict(self.export())(small)
        return torch.cat(
            [F.interpolate(small, scale_factor=self.scale, mode="bicubic", align_corners=False), ours, large]
        )

    def export(self) -> dict[str, Tensor]:
        return self.average.module.folded()
