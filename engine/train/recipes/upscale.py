"""Recipe of `upscale-x2` and `upscale-x4`: photos made small by bicubic averaging are to be given back.

L1 (EDSR, Lim et al. 2017), then L2 for the last tenth, which is what PSNR counts. A rich network (see
`engine.models.upscale`) learns with Adam. Folded, it goes on with Muon, which is ahead of Adam on the branches from
there. The x2 network starts from the rich x4 network's body when it is given, since both see the same photographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.upscale import Upscale, from_state_dict
from engine.train import data, sources
from engine.train.degrade import shrink
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import optimizers
from engine.train.options import Options, RecipePreset, option
from engine.train.recipes import crisp
from engine.train.recipes.crisp import CrispOptions


class UpscaleRecipe(Recipe):
    """pictures: sharp photos; rich: train the branches, not what they fold into; start: the state of such a network, or
    a part of it.
    """

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


@dataclass(frozen=True)
class UpscaleOptions(Options):
    """The options of the recipe."""

    scale: int = option(4, "how many times larger")
    batch: int = option(16, "crops in a step")
    crop_px: int = option(192, "side of a large crop")
    peak: float = option(1e-3, "highest learning rate")
    rich: bool = option(False, "train the branches, not what they fold into")


def build(options: UpscaleOptions) -> UpscaleRecipe:
    """The recipe, which starts from the rich x4 network where there is one."""
    name = f"upscale-x{options.scale}" + ("-rich" if options.rich and options.scale == 4 else "")
    start = sources.average(options.runs / "upscale-x4-rich") if name != "upscale-x4-rich" else None
    if start is not None and name == "upscale-x2":
        start = {k: v for k, v in start.items() if not k.startswith("tail.")}
    elif start is not None:
        rich = Upscale(options.scale, rich=True)
        rich.load_state_dict(start)
        start = rich.folded()
    recipe = UpscaleRecipe(sources.photos(options), start=start, **options.hyperparameters())
    recipe.name = name
    return recipe


PRESETS = {
    "x4": RecipePreset(UpscaleOptions(steps=24000, batch=24, crop_px=160), build, "Set5 31.33 dB, bicubic 28.62"),
    "x4-rich": RecipePreset(UpscaleOptions(steps=27000, rich=True), build, "Set5 31.23 dB"),
    "x2": RecipePreset(
        UpscaleOptions(scale=2, steps=3500, crop_px=128, rich=True), build, "Set5 37.26 dB, bicubic 33.94"
    ),
    "crisp": RecipePreset(CrispOptions(steps=2600), crisp.build),
}
