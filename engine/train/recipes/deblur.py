"""Recipe of `deblur`: of crops from which Wiener's filter has taken the blur that was estimated, the noise and ringing
that it left are to be taken off.

Photos out of focus or shaken, with a little noise and sometimes a phone's JPEG over it (the synthetic part of Real-
ESRGAN's degradations, Wang et al. 2021, and of Kupyn et al. 2018 for motion). Kernels come from the estimator as it is
in use, with its errors; one in ten comes from another picture, as where a photo is not blurred alike all over. The
network is that of `restore`, which has learned noise already, and is given the crop under two filters and as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.models import deblur, unet
from engine.models.deblur import Deblur, Estimator, undone, windows
from engine.models.unet import UNet, leak_as
from engine.train import data, sources
from engine.train.options import Options, RecipePreset, option
from engine.train.recipes import kernel
from engine.train.recipes.kernel import EDGE_PX, pairs
from engine.train.recipes.restore import RestoreRecipe
from engine.train.revive import SHOWN, SLOPE, revive
from engine.weights.int8 import FEW_MOST, pack

PICTURES = 3  # that the network is given


class DeblurRecipe(RestoreRecipe):
    """pictures: sharp photos; estimator: of their blur, as `KernelRecipe` has trained it; seen_px: side of the crop
    that it is given.

    network: to go on from, which is changed; what it has lost begins anew.
    """

    name = "deblur"

    def __init__(
        self,
        estimator: Estimator,
        pictures: data.Pictures,
        *,
        steps: int,
        batch: int = 12,
        crop_px: int = 96,
        seen_px: int = 144,
        peak: float = 2e-3,
        network: UNet | None = None,
        seed: int = 0,
    ) -> None:
        self.seen_px, self.margin_px, self.crop_px = seen_px, seen_px + 2 * EDGE_PX - crop_px, crop_px
        self.pictures, network = pictures, network or begin(None)
        self.whole = _repairing(estimator, network)
        revive(network, self._pair(pictures.split(crop_px + self.margin_px)[0], SHOWN, np.random.default_rng(seed))[0])
        super().__init__(
            pictures, steps=steps, batch=batch, crop_px=crop_px, peak=peak, network=network.requires_grad_(), seed=seed
        )
        self.whole = _repairing(estimator, self.average.module)

    @torch.no_grad()
    def _pair(self, indices: Sequence[int], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        blurred, sharp, _ = pairs(self.pictures, indices, count, self.seen_px, rng)
        blur = self.whole.blur_of(windows(blurred))
        wrong = torch.from_numpy(rng.uniform(size=(count, 1)) < 0.1)
        given = undone(blurred, torch.where(wrong, blur.roll(1, 0), blur))
        top, left = (int(k) for k in rng.integers(0, self.seen_px - self.crop_px + 1, 2))
        part = (..., slice(top, top + self.crop_px), slice(left, left + self.crop_px))
        return given[part].contiguous(), sharp[part].contiguous()

    def sample(self) -> Tensor:
        """Held-out crops blurred, as the network gives them back, and as they were."""
        given, sharp = self._pair(self.held_out, 8, np.random.default_rng(0))
        with torch.no_grad():
            return torch.cat([given[:, -3:], self.average.module(given), sharp])

    def export(self) -> dict[str, Tensor]:
        return pack(self.whole.state_dict(), few=FEW_MOST)


def _repairing(estimator: Estimator, repair: UNet) -> Deblur:
    return Deblur(estimator, repair).requires_grad_(False).to(memory_format=torch.channels_last).eval()


def begin(state: dict[str, Tensor] | None) -> UNet:
    """The network before training: what `restore` has learned, if given, which looks at the first picture alone.

    What `deblur` has learned itself may be given as well.
    """
    if state is None:
        return UNet(pictures=PICTURES, slope=SLOPE)
    known = state["head.weight"]
    if known.shape[1] == 12 * PICTURES:
        return unet.from_state_dict(state)
    return unet.from_state_dict(
        {**state, "head.weight": torch.cat([known, known.new_zeros(len(known), 12 * (PICTURES - 1), 3, 3)], 1)}
    )


@dataclass(frozen=True)
class DeblurOptions(Options):
    """The options of the recipe."""

    start: Path | None = option(None, "weights to go on from; what they have lost begins anew", source=True)
    batch: int = option(12, "crops in a step")
    crop_px: int = option(96, "side of a crop that is repaired")
    seen_px: int = option(144, "side of the crop that the blur is estimated from")
    peak: float = option(2e-3, "highest learning rate")


def build(options: DeblurOptions) -> DeblurRecipe:
    """The recipe of the repair; RequestError where there is no estimator yet."""
    before = deblur.from_state_dict(sources.as_floats(options.start)) if options.start else None
    network = begin(before.repair.state_dict() if before else sources.average(options.runs / "restore-both"))
    return DeblurRecipe(
        _estimator(options, before), sources.photos(options), network=network, **options.hyperparameters()
    )


def _estimator(options: DeblurOptions, before: deblur.Deblur | None) -> Estimator:
    if before is not None and not (options.runs / "kernel" / "checkpoint.pt").exists():
        return before.estimator
    first = (
        "The recipe of deblur needs an estimator of blur: run `python -m engine.train deblur --preset kernel` first."
    )
    state = sources.trained(options, "kernel", first)
    estimator = Estimator()
    leak_as(estimator, state)
    estimator.load_state_dict(state)
    return estimator


PRESETS = {
    "repair": RecipePreset(DeblurOptions(steps=13000), build, "3.7 dB over the blurred photo"),
    "kernel": RecipePreset(kernel.KernelOptions(steps=20250), kernel.build),
}
