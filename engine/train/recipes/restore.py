"""Recipe of `restore`: clean crops of photos, disturbed at random, are to be given back.

Charbonnier loss (Lai et al. 2017): L1 that is smooth at zero, which ends a little above L1 in PSNR; L2 for the last
fifth, which is what PSNR counts. The learning rate falls in that fifth alone, so a run that turns out too short is
made longer by giving --steps, from a checkpoint of before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import unet
from engine.models.restore import NEVER, Gate, Restore, beyond
from engine.models.srgb import luma
from engine.models.unet import UNet
from engine.train import data, degrade, placing, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import DECAY, optimizers
from engine.train.options import Options, RecipePreset, option
from engine.train.revive import SHOWN, SLOPE, revived
from engine.weights.int8 import FEW_MOST, pack

KINDS: dict[
    str, Callable[[Tensor, np.random.Generator], Tensor]
] = {  # what a network of one kind of disturbance learns from
    "any-noise": degrade.any_noise,
    "white-noise": partial(degrade.white_noise, least=12.0, most=45.0),
    "strong-white-noise": partial(degrade.white_noise, least=36.0, most=60.0),
    "noise": degrade.noise_in_files,
    "strong-noise": degrade.strong_noise_in_files,
    "jpeg": degrade.random_coding,
    "strong-jpeg": degrade.strong_coding,
}
EXPERTS = tuple(kind for kind in KINDS if kind != "any-noise")  # in the order of the gate's outputs
UNBOUNDED = sum(kind.endswith("white-noise") for kind in EXPERTS)  # the first
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
        network: UNet | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px + self.margin_px)
        self.network = (network or UNet(slope=SLOPE)).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=500)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak, DECAY)
        self._ahead = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=_HOLD)
        given, clean = self._drawn(step)
        difference = self.network(given.to(memory_format=torch.channels_last)) - clean
        # Heavy noise would drown JPEG's faint traces; weighing by all of the disturbance would overdo it for clean
        # pictures.
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

    def _drawn(self, step: int) -> tuple[Tensor, Tensor]:
        """The pair of `step`; that of the next is drawn beside the arithmetic of this one."""
        drawn = self._next[1] if self._next and self._next[0] == step else self._ahead.submit(self._pair_of, step)
        given, clean = drawn.result()
        self._next = (step + 1, self._ahead.submit(self._pair_of, step + 1))
        return given, clean

    def _pair_of(self, step: int) -> tuple[Tensor, Tensor]:
        with placing.beside(self.device):  # in a thread of its own
            return self._pair(self.indices, self.batch, self.rng(step))

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


_BLOCKS = dict.fromkeys(
    ("jpeg", "strong-jpeg"), (1, 1, 1, 1, 2)
)  # what JPEG leaves needs fine detail more than a large receptive field
_MOST_SHRUNK = (
    1.6  # crops are made up to so much smaller: finer texture, and less of the JPEG that the photos came with
)
_GREY = 0.25  # share of the crops without colour, of those for strong JPEG twice as many
_FURTHER = 0.25  # share of the crops that are of the further pictures
_FLOOR = 0.05  # of the power of the disturbance: where less than this is left, it is not worth much to take off more


class ExpertRecipe(RestoreRecipe):
    """One of the networks of `restore`, each of which is for one kind of disturbance; kind: of KINDS.

    The logarithm of the mean squared error, which is what PSNR counts (NAFNet's loss, Chen et al. 2022), but less of it
    where little is left to gain; in luma as well for JPEG, which spoils chroma beyond repair and is measured on luma.
    start: weights of a network for more kinds, such as that of all from `RestoreRecipe`; what it has lost is
    `revived`. further: pictures of other things than products, one crop in four; the larger one of them is, the more
    often.
    """

    def __init__(
        self,
        pictures: data.Pictures,
        kind: str,
        start: dict[str, Tensor] | None,
        *,
        steps: int,
        batch: int = 32,
        crop_px: int = 112,
        peak: float = 1.5e-3,
        hold: float = 0.3,
        further: data.Pictures | None = None,
        seed: int = 0,
    ) -> None:
        network = expert(kind)
        if start is not None:
            shown = data.random_crops(pictures, pictures.split(crop_px)[0], SHOWN, crop_px, np.random.default_rng(seed))
            network = revived(unet.from_state_dict(start), network, KINDS[kind](shown, np.random.default_rng(seed)))
        super().__init__(pictures, steps=steps, batch=batch, crop_px=crop_px, peak=peak, network=network, seed=seed)
        self.kind, self.name, self.hold = kind, f"restore-{kind}", hold
        self.further = _by_size(further, crop_px)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=self.hold)
        given, clean = self._drawn(step)
        cleaned = self.network(given.to(memory_format=torch.channels_last))
        difference = cleaned.float() - clean
        left, taken = self._power(difference), self._power(given - clean)
        loss = (left + _FLOOR * taken + 1e-6).log().mean()
        descend(loss, *self.optimizers.values(), most_norm=0.5)
        self.average.update(self.network, step)
        return {
            "loss": float(loss.detach()),
            "psnr": float(-10 * difference.detach().square().mean((1, 2, 3)).log10().mean()),
        }

    def _power(self, difference: Tensor) -> Tensor:
        """Mean square of each picture's (N, 3, H, W), as it counts for this expert: (N,)."""
        power = difference.square().mean((1, 2, 3))
        if not self.kind.endswith("jpeg"):
            return power
        return 0.25 * power + luma(difference).square().mean((1, 2, 3))

    def _pair(self, indices: Sequence[int], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        clean = _crops(
            self.pictures,
            indices,
            count,
            self.crop_px,
            rng,
            self.further if indices is self.indices else None,
            closest=_MOST_SHRUNK,
        )
        if self.kind == "strong-jpeg":  # so is luma measured, and black-and-white photos are no worse
            clean = _some_grey(clean, rng, 2 * _GREY)
        return KINDS[self.kind](clean, rng), clean


def _crops(
    pictures: data.Pictures,
    indices: Sequence[int],
    count: int,
    size_px: int,
    rng: np.random.Generator,
    further: tuple[data.Pictures, list[int]] | None,
    closest: float = 1.0,
) -> Tensor:
    """As `data.random_crops`, with a share of them of the `further` pictures and their indices."""
    others = int(rng.binomial(count, _FURTHER)) if further else 0
    clean = data.random_crops(pictures, indices, count - others, size_px, rng, closest)
    if not further or not others:
        return clean
    return torch.cat([clean, data.random_crops(*further, others, size_px, rng, closest)])


def _by_size(pictures: data.Pictures | None, crop_px: int) -> tuple[data.Pictures, list[int]] | None:
    return (pictures, pictures.by_size(crop_px)) if pictures else None


def _some_grey(x: Tensor, rng: np.random.Generator, share: float = _GREY) -> Tensor:
    """Pictures (N, 3, H, W), a `share` of them by chance without colour."""
    return torch.where(torch.from_numpy(rng.uniform(size=(len(x), 1, 1, 1)) < share), luma(x), x)


def expert(kind: str) -> UNet:
    """An expert of a kind of KINDS before its training: at most 60 kMAC per pixel."""
    return UNet(blocks=_BLOCKS.get(kind, (1, 2, 3, 1, 1)), deepest=1, slope=SLOPE)


_GATE_RATE = 2e-3
_DECIDED = 8.0  # an expert that leaves 1 dB less is to be 6 times as likely


class GateRecipe(Recipe):
    """The gate of `restore`: which expert leaves less of a disturbance, of crops that are disturbed in every way.

    experts: their averaged weights, as `ExpertRecipe` has trained them; what they leave of `seen` crops is found once.
    The gate is to choose each with a probability that falls with the mean squared error that it leaves. (The expected
    error of its choice would be the true aim, but under that loss it settles on one expert for all.) unbounded: as of
    `Gate`; further: as in `ExpertRecipe`.
    """

    name = "restore"

    def __init__(
        self,
        pictures: data.Pictures,
        experts: Sequence[dict[str, Tensor]],
        *,
        steps: int,
        batch: int = 64,
        crop_px: int = 128,
        unbounded: int = 0,
        seen: int = 7000,
        further: data.Pictures | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.seed = steps, batch, crop_px, seed
        self.seen = min(seen, steps * batch)
        self.pictures, self.further = pictures, _by_size(further, crop_px)
        self.indices, self.held_out = pictures.split(crop_px)
        gate = Gate(len(experts), unbounded=unbounded)
        self.whole = Restore([unet.from_state_dict(state) for state in experts], gate).to(
            memory_format=torch.channels_last
        )
        self.whole.experts.requires_grad_(False)
        self.modules = {"gate": self.whole.gate}
        self.optimizers = {"adam": torch.optim.Adam(self.whole.gate.parameters(), _GATE_RATE)}
        self._known: tuple[Tensor, Tensor] | None = None

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.optimizers["adam"], _GATE_RATE, step, self.steps, warm_up=20)
        self._known = self._known or self._left_by_each()
        some = torch.from_numpy(self.rng(step).integers(self.seen, size=self.batch))
        disturbed, errors = self._known[0][some].float(), self._known[1][some]
        chosen = self.whole.gate(disturbed, beyond(disturbed))
        errors = torch.where(chosen < -NEVER / 2, torch.inf, errors)  # those that are not for such photos
        loss = F.cross_entropy(chosen, torch.softmax(-_DECIDED * errors, 1))
        descend(loss, *self.optimizers.values())
        lost = errors.gather(1, chosen.argmax(1, keepdim=True))[:, 0] - errors.amin(1)
        return {"loss": float(loss.detach()), "dB lost": float(10 * lost.mean() / math.log(10))}

    @torch.no_grad()
    def _left_by_each(self) -> tuple[Tensor, Tensor]:
        """`seen` disturbed crops in fp16, and the logarithms of the mean squared errors that each expert leaves of
        them, (seen, K).
        """
        crops, errors = [], []
        rng = np.random.default_rng((self.seed, self.seen))
        for start in range(0, self.seen, 16):
            disturbed, clean = self._pair(self.indices, min(16, self.seen - start), rng)
            left = torch.stack(
                [(expert(disturbed).float() - clean).square().mean((1, 2, 3)) for expert in self.whole.experts], 1
            )
            crops.append(disturbed.half())
            errors.append((left + 1e-6).log())
        return torch.cat(crops), torch.cat(errors)

    def _pair(self, indices: Sequence[int], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Each expert's kind of disturbance as often as none; JPEG, which is recognised least easily, three times, once
        at good quality alone.
        """
        clean = _some_grey(
            _crops(self.pictures, indices, count, self.crop_px, rng, self.further if indices is self.indices else None),
            rng,
        )
        kinds = [
            *(KINDS[kind] for kind in (*EXPERTS, "jpeg")),
            degrade.light_coding,
            degrade.noise_under_coding,
            lambda x, rng: x,
        ]
        disturbed = degrade.one_of(kinds, [1 / len(kinds)] * len(kinds), clean, rng)
        return disturbed.contiguous(memory_format=torch.channels_last), clean

    def sample(self) -> Tensor:
        """Held-out crops disturbed, as the network gives them back, and as they were."""
        disturbed, clean = self._pair(self.held_out, 8, np.random.default_rng(0))
        with torch.no_grad():
            return torch.cat([disturbed, self.whole(disturbed), clean])

    def export(self) -> dict[str, Tensor]:
        return pack(self.whole.state_dict(), few=FEW_MOST)


@dataclass(frozen=True)
class BothOptions(Options):
    """The options of the recipe of one network for noise and JPEG, with which the experts begin."""

    batch: int = option(16, "crops in a step")
    crop_px: int = option(64, "side of a crop")
    peak: float = option(2e-3, "highest learning rate")


@dataclass(frozen=True)
class ExpertOptions(Options):
    """The options of the recipe of an expert."""

    further: tuple[Path, ...] = option((), "folders or tars of pictures of other things than products", source=True)
    begin: str = option("both", "the preset whose network it goes on from", source=True)
    kind: str = option("noise", "what the photos suffer from")
    batch: int = option(32, "crops in a step")
    crop_px: int = option(112, "side of a crop")
    peak: float = option(1e-3, "highest learning rate")
    hold: float = option(0.0, "share of the run at the highest rate, before it falls")


@dataclass(frozen=True)
class GateOptions(Options):
    """The options of the recipe of the gate."""

    further: tuple[Path, ...] = option((), "folders or tars of pictures of other things than products", source=True)
    batch: int = option(64, "crops in a step")
    crop_px: int = option(128, "side of a crop")
    seen: int = option(7000, "crops on which the experts are compared, once")


def _build_both(options: BothOptions) -> RestoreRecipe:
    recipe = RestoreRecipe(sources.photos(options), **options.hyperparameters())
    recipe.name = "restore-both"
    return recipe


def _further(options: ExpertOptions | GateOptions) -> data.Pictures | None:
    """Pictures of other things than products, where some are given."""
    if not options.further:
        return None
    return data.pack(options.further, options.packed, "further_1.7", data.shrink(1.7, 1500))


def _build_expert(options: ExpertOptions) -> ExpertRecipe:
    first = f"It starts from another network: run `python -m engine.train restore --preset {options.begin}` first."
    start = sources.trained(options, f"restore-{options.begin}", first)
    return ExpertRecipe(sources.photos(options), start=start, further=_further(options), **options.hyperparameters())


def _build_gate(options: GateOptions) -> GateRecipe:
    said = "The gate chooses between experts: run `python -m engine.train restore --preset {}` first."
    states = [sources.trained(options, f"restore-{kind}", said.format(kind)) for kind in EXPERTS]
    return GateRecipe(
        sources.photos(options),
        states,
        unbounded=UNBOUNDED,
        further=_further(options),
        **options.hyperparameters(),
    )


def _expert(kind: str, begin: str, steps: int, reached: str, *, peak: float = 1e-3, hold: float = 0.0) -> RecipePreset:
    """A row for an expert, by default for one that has learned before."""
    options = ExpertOptions(kind=kind, begin=begin, steps=steps, peak=peak, hold=hold)
    return RecipePreset(options, _build_expert, reached)


PRESETS = {
    "gate": RecipePreset(GateOptions(steps=3000), _build_gate, "loses 0.05 dB to the best expert"),
    "noise": _expert("noise", "any-noise", 3000, "held-out photos, sigma 15 in a file: 39.2 dB"),
    "strong-noise": _expert("strong-noise", "any-noise", 6000, "held-out photos, sigma 50 in a file: 33.8 dB"),
    "white-noise": _expert("white-noise", "any-noise", 12000, "BSD68 sigma 15, 25: 33.64, 31.02 dB"),
    "strong-white-noise": _expert("strong-white-noise", "white-noise", 1800, "BSD68 sigma 50: 27.83 dB"),
    "strong-jpeg": _expert("strong-jpeg", "both", 35000, "1.4 dB over BSD68 as JPEG", hold=0.4),
    "jpeg": _expert("jpeg", "strong-jpeg", 5000, "1.3 dB over BSD68 as JPEG, and noise under it"),
    "any-noise": _expert("any-noise", "both", 8500, "BSD68 sigma 15: 33.50 dB", peak=1.5e-3, hold=0.3),
    "both": RecipePreset(BothOptions(steps=44000, batch=6, crop_px=112), _build_both, "BSD68 sigma 25: 30.51 dB"),
}
