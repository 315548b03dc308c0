"""Recipe of `vae`: a variational autoencoder of packshots whose loss looks through `features`.

Deep feature consistent VAE (Hou et al. 2017), conditional on category and colour, KL warmed up. Where we leave the
paper: the distance through `features` is L1, each layer in units of its own spread, beside a distance of pixels with
weighted chroma; the encoder's own view of a picture is turned in hue and in tone (engine/models/generator.py says why).

It can start from a run at half its size: shared layers are taken over, the last doubling is new (Karras et al. 2018).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.features import Features
from engine.models.generator import (
    COLOUR_DIM,
    WIDTHS,
    Autoencoder,
    Encoder,
    Generator,
    colour_latent,
    kl_divergence,
    product_colour,
)
from engine.models.srgb import CHROMA
from engine.train import muon, sources
from engine.train.drawing import draw
from engine.train.loop import Average, descend, learning_rate
from engine.train.metrics import MeasuredRecipe
from engine.train.options import RecipePreset, option
from engine.train.packshots import Packshots, recolour
from engine.train.perceptual import Perceptual
from engine.train.sources import ProductOptions
from engine.weights.int8 import FEW_MOST, pack

# Luma and two chroma differences (BT.601 without scaling); chroma counts more, since colours lag in a VAE.
_YCC = torch.tensor(CHROMA)
_YCC_WEIGHT = torch.tensor([1.0, 1.5, 1.5]).view(1, 3, 1, 1)


class Distance:
    """How far pictures are from others: perceptual L1 over conv1 to conv4 of `features`, and that of their pixels."""

    def __init__(self, features: Features, examples: Tensor) -> None:
        self.perceptual = Perceptual(features, examples)

    def __call__(self, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.perceptual.features
        with torch.no_grad():
            wanted = features(theirs, 4)
        perceptual = self.perceptual(features(ours, 4), wanted)
        difference = torch.einsum("ij,njhw->nihw", _YCC, ours - theirs) * _YCC_WEIGHT
        # Under L1 alone the best guess of an untrained decoder is the median, an empty white page, and it stays there.
        return perceptual, difference.abs().mean() + 5 * difference.square().mean()


class FittedRecipe(MeasuredRecipe):
    """What recipes of an autoencoder share: what ships draws from the mixture that is fitted to the latents of every
    packshot.

    Subclasses set the average of the generator and that of its encoder, and call `autoencode` in their step.
    """

    packshots: Packshots
    distance: Distance
    most_fitted = 10**6  # packshots
    _fitted: Generator | None = None

    def averages(self) -> tuple[Generator, Encoder]:
        """The weights to ship, without a mixture, and the encoder that they were trained with."""
        raise NotImplementedError

    def autoencode(
        self, network: Generator, encoder: Encoder, rng: np.random.Generator, batch: int, kl_weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of `batch` packshots that are encoded and drawn again, and what to log."""
        self._fitted = None
        x, labels = self.packshots.batch(rng, batch)
        latent, mean, log_variance = sampled_latents(encoder, x, rng)
        perceptual, pixel = self.distance(network(latent, labels), x)
        kl = kl_divergence(mean, log_variance)
        logged = {"perceptual": perceptual, "pixel": pixel, "kl": kl}
        return perceptual + 4 * pixel + kl_weight * kl, {k: float(v.detach()) for k, v in logged.items()}

    def fitted(self) -> Generator:
        """The weights to ship as they are now."""
        if self._fitted is None:
            network, encoder = self.averages()
            self._fitted = copy.deepcopy(network)
            fit(self._fitted, encoder, self.packshots, self.most_fitted)
        return self._fitted

    def drawn(self, count: int) -> Tensor:
        labels = self.packshots.labels[:: -(-len(self.packshots.labels) // count)]
        return draw(self.fitted(), labels, 1.0, self.packshots.categories)

    def sample(self) -> Tensor:
        return catalogue(self.fitted())

    def export(self) -> dict[str, Tensor]:
        return pack(self.fitted().state_dict(), few=FEW_MOST, keep=("spreads",))


class VaeRecipe(FittedRecipe):
    """packshots: what to learn; start: the state of a run at half the size, or None; most_norm: of `descend`."""

    name = "vae"
    sample_every = 500

    def __init__(
        self,
        features: Features,
        packshots: Packshots,
        *,
        steps: int,
        batch: int = 32,
        peak: float = 1.2e-3,
        kl_weight: float = 0.0012,
        widths: tuple[int, ...] = WIDTHS,
        encoder_widths: tuple[int, ...] = (48, 96, 160, 256),
        start: dict[str, Tensor] | None = None,
        most_norm: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.peak, self.seed, self.kl_weight = steps, batch, peak, seed, kl_weight
        self.packshots, self.most_norm = packshots, most_norm
        self.network = Autoencoder(packshots.categories, widths=widths, encoder_widths=encoder_widths).to(
            memory_format=torch.channels_last
        )
        if start is not None:
            grow(self.network, start)
        self.average = Average(self.network, half_life_steps=300)
        self.optimizers = dict(muon.optimizers(self.network, peak))
        self.modules = {"network": self.network, "average": self.average.module}
        self.distance = Distance(features, packshots.batch(self.rng(0), 64)[0])
        self.features, self.real = features, packshots.pictures

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, warm_up=100)
        loss, logged = self.autoencode(
            self.network, self.network.encoder, self.rng(step), self.batch, warmed_up(self.kl_weight, step, self.steps)
        )
        descend(loss, *self.optimizers.values(), most_norm=self.most_norm)
        self.average.update(self.network, step)
        return logged

    def averages(self) -> tuple[Autoencoder, Encoder]:
        return self.average.module, self.average.module.encoder

    def sample(self) -> Tensor:
        """A row of packshots, their reconstructions, the same in red.

        Then each category's samples at truncation 0.8.
        """
        x, labels = self.packshots.batch(np.random.default_rng(7), 10)
        preview = self.fitted()
        assert isinstance(preview, Autoencoder)
        with torch.no_grad():
            latents = preview.encode(x)
            red = preview.with_colour(latents, torch.tensor([0.8, 0.1, 0.1]))
            return torch.cat([x, preview(latents, labels), preview(red, labels), super().sample()])


def warmed_up(kl_weight: float, step: int, steps: int) -> float:
    """The weight of the divergence in a step: rising from nothing over the first three tenths (Sonderby et al.

    2016).
    """
    return kl_weight * min(1.0, step / (0.3 * steps + 1))


def another_view(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The same products in other hues and lighter or darker, on the same white:
    what an encoder sees of (N, 3, S, S).
    """
    tone = torch.from_numpy(
        np.where(rng.uniform(size=len(x)) < 0.5, rng.uniform(0.5, 1.3, len(x)), 1.0).astype(np.float32)
    ).view(-1, 1, 1, 1)
    return recolour((1 - (1 - x) * tone).clamp(0, 1), rng, chance=0.5).contiguous(memory_format=torch.channels_last)


def catalogue(network: Autoencoder | Any, columns: int = 10, truncation: float = 0.8) -> Tensor:
    """A row of samples of each category: (C * columns, 3, S, S)."""
    rng = torch.Generator().manual_seed(0)
    rows = []
    with torch.no_grad():
        for i, category in enumerate(network.categories):
            rows.append(network(network.sample_latents(category, columns, truncation, rng), torch.full((columns,), i)))
    return torch.cat(rows)


def plain_latents(encoder: Encoder, x: Tensor) -> Tensor:
    """The means (N, D) of an encoder's posterior, with the pictures' own colours."""
    return torch.cat([encoder(x)[0], colour_latent(product_colour(x))], 1)


def sampled_latents(encoder: Encoder, x: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Latents (N, D) drawn from an encoder's posterior of varied pictures, with the pictures' own colours; its mean and
    log variance.
    """
    mean, log_variance = encoder(another_view(x, rng))
    noise = torch.from_numpy(rng.standard_normal(tuple(mean.shape), dtype=np.float32))
    return torch.cat([mean + (log_variance / 2).exp() * noise, colour_latent(product_colour(x))], 1), mean, log_variance


@torch.no_grad()
def fit(network: Generator, encoder: Encoder, packshots: Packshots, most: int = 10**6) -> None:
    """Fit the mixture of latents to every packshot, or to `most` of them; the encoder is in eval mode, and its colours
    are sure.
    """
    every = slice(None, None, -(-len(packshots.pictures) // most))
    latents, variances = [], []
    for part in packshots.pictures[every].split(128):
        x = part.float().div(255).contiguous(memory_format=torch.channels_last)
        mean, log_variance = encoder(x)
        latents.append(torch.cat([mean, colour_latent(product_colour(x))], 1))
        variances.append(F.pad(log_variance.exp(), (0, COLOUR_DIM)))
    network.fit_latents(torch.cat(latents), torch.cat(variances), packshots.labels[every])


def grow(network: Autoencoder, state: dict[str, Tensor]) -> None:
    """Take over what a network of half the size has learned; what it lacks keeps its own beginning.

    The first convolution of the encoder sees each pixel of before as 2 x 2 and takes their mean. Where a layer takes
    in more numbers than before (a latent with its colour), the new ones count nothing at first.
    """
    own = network.state_dict()
    for name, value in state.items():
        if name.split(".")[0] in ("means", "spreads", "component_of", "component_share", "tail", "to_rgb"):
            continue
        if name == "encoder.body.1.weight" and value.shape[1] * 4 == own[name].shape[1]:
            o, i, kh, kw = value.shape
            side = round((i / 3) ** 0.5)
            small = value.view(o, 3, side, side, kh, kw)
            value = (small[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2, -1, -1) / 4).reshape(o, 4 * i, kh, kw)
        if name in own and own[name].shape == value.shape:
            own[name].copy_(value)
        elif name in own and own[name].ndim == 2 and own[name].shape[0] == value.shape[0] and name != "start.bias":
            embedded = 32  # the category's embedding stays last
            latents = value.shape[1] - embedded
            own[name].zero_()
            own[name][:, :latents].copy_(value[:, :latents])
            own[name][:, -embedded:].copy_(value[:, -embedded:])
    network.load_state_dict(own)


@dataclass(frozen=True)
class VaeOptions(ProductOptions):
    """The options of the recipe."""

    size_px: int = option(128, "side of a picture", source=True)
    batch: int = option(32, "pictures in a step")
    peak: float = option(1.2e-3, "highest learning rate")
    kl_weight: float = option(1.2e-3, "of the distance of latents from the normal distribution, once it is warm")
    widths: tuple[int, ...] = option(WIDTHS, "channels of the generator, coarse to fine")
    encoder_widths: tuple[int, ...] = option((48, 96, 160, 256), "channels of the encoder, fine to coarse")
    most_norm: float = option(0.0, "gradients that are longer are shortened to it; 0 leaves them")


def build(options: VaeOptions) -> VaeRecipe:
    """The recipe, which goes on from half the size where there is such a run; RequestError without categories."""
    name = "vae" if options.size_px == 128 else f"vae-{options.size_px}"
    start = sources.average(options.runs / "vae-64") if options.size_px == 128 else None
    shown = sources.packshots(options, name, options.size_px)[0]
    recipe = VaeRecipe(sources.own_features(), shown, start=start, **options.hyperparameters())
    recipe.name = name
    return recipe


PRESETS = {
    "128": RecipePreset(VaeOptions(steps=2000, size_px=128, batch=16), build, "kernel distance 608"),
    "64": RecipePreset(VaeOptions(steps=3600, size_px=64, widths=(256, 224, 128, 64)), build),
}
