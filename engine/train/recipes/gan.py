"""Recipe of `studio`: the decoder of `vae` as a generator, against a discriminator that looks through `features`.

Pictures of latents from the autoencoder's fitted mixture must pass a discriminator that sees pictures only through the
fixed `features` (Projected GAN, Sauer et al. 2021), with the hinge loss (Lim & Ye 2017), category by projection (Miyato
& Koyama 2018) and DiffAugment (Zhao et al. 2020). Reconstruction goes on as an anchor (VAE-GAN, Larsen et al. 2016), so
that the adversary sharpens and cannot collapse what the autoencoder has learned. The encoder stays as it is: latents
keep their meaning, and `vae` can hand its latents to `studio`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.contract.errors import RequestError
from engine.models.discriminator import Heads
from engine.models.features import Features
from engine.models.generator import Autoencoder, Generator, from_state_dict, product_colour
from engine.train import sources
from engine.train.augment import augment
from engine.train.drawing import draw
from engine.train.loop import Average, descend, learning_rate
from engine.train.metrics import MeasuredRecipe
from engine.train.objectives import accuracy, hinge, hinge_fooled
from engine.train.options import RecipePreset, option
from engine.train.packshots import Packshots
from engine.train.recipes import adversarial
from engine.train.recipes.adversarial import AdversarialOptions
from engine.train.recipes.vae import Distance, catalogue, plain_latents, sampled_latents
from engine.train.sources import ProductOptions
from engine.weights.int8 import FEW_MOST, pack


class GanRecipe(MeasuredRecipe):
    """packshots: what to learn; autoencoder: with its mixture fitted. turn_deg, scale: of `augment`; most_norm: of
    `descend`.
    """

    name = "studio"
    saturates = True
    sample_every = 400

    def __init__(
        self,
        features: Features,
        packshots: Packshots,
        autoencoder: Autoencoder,
        *,
        steps: int,
        batch: int = 16,
        peak: float = 3e-4,
        adversarial_weight: float = 0.3,
        colour_weight: float = 2.0,
        turn_deg: float = 0.0,
        scale: float = 0.0,
        most_norm: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.peak, self.seed = steps, batch, peak, seed
        self.adversarial_weight, self.colour_weight = adversarial_weight, colour_weight
        self.varied, self.most_norm = {"turn_deg": turn_deg, "scale": scale}, most_norm
        self.packshots = packshots
        self.encoder = autoencoder.encoder.eval().requires_grad_(False)
        self.generator = _decoder(autoencoder)
        self.heads = Heads(len(packshots.categories)).to(memory_format=torch.channels_last)
        self.average = Average(self.generator, half_life_steps=300)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), lr=peak, betas=(0.5, 0.99))
        self.heads_optimizer = torch.optim.Adam(self.heads.parameters(), lr=2 * peak, betas=(0.0, 0.99))
        self.modules = {"generator": self.generator, "heads": self.heads, "average": self.average.module}
        self.optimizers = {"generator_optimizer": self.generator_optimizer, "heads_optimizer": self.heads_optimizer}
        self.distance = Distance(features, packshots.batch(self.rng(0), 64)[0])
        self.features, self.real = features, packshots.pictures

    def load_state(self, state: dict[str, Any]) -> None:
        for part in ("generator", "average"):
            take_mixture(self.modules[part], state[part])
        super().load_state(state)

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.generator_optimizer, self.peak, step, self.steps)
        learning_rate(self.heads_optimizer, 2 * self.peak, step, self.steps)
        rng = self.rng(step)
        x, labels = self.packshots.batch(rng, self.batch)
        with torch.no_grad():
            latents = sampled_latents(self.encoder, x, rng)[0]
        reconstruction = self.generator(latents, labels)
        fake_latents, fake_labels, colours = self._drawn_latents(x, labels, rng)
        fake = self.generator(fake_latents, fake_labels)
        made, made_labels = torch.cat([fake, reconstruction]), torch.cat([fake_labels, labels])
        seeds = rng.integers(2**31, size=2)

        real_maps = self._logits(x, labels, seeds[0])
        fake_maps = self._logits(made.detach(), made_labels, seeds[1])
        heads = hinge(real_maps, fake_maps)
        descend(heads, self.heads_optimizer, most_norm=self.most_norm)

        self.heads.requires_grad_(False)
        fooled = hinge_fooled(self._logits(made, made_labels, seeds[1]))
        self.heads.requires_grad_(True)
        perceptual, pixel = self.distance(reconstruction, x)
        off_colour = F.l1_loss(product_colour(fake), colours)
        loss = perceptual + 4 * pixel + self.colour_weight * off_colour + self.adversarial_weight * fooled
        descend(loss, self.generator_optimizer, most_norm=self.most_norm)
        self.average.update(self.generator, step)
        losses = {"perceptual": perceptual, "pixel": pixel, "off_colour": off_colour, "heads": heads, "fooled": fooled}
        return {k: float(v.detach()) for k, v in losses.items()} | accuracy(real_maps, fake_maps)

    def _drawn_latents(self, x: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """New latents, their categories, and the colours that they ask for: every second one another picture's."""
        drawn = labels[torch.from_numpy(rng.permutation(len(labels)))]
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        latents = torch.cat(
            [self.generator.sample_latents(self.packshots.categories[int(c)], 1, 1.0, noise) for c in drawn]
        )
        latents[::2] = self.generator.with_colour(latents[::2], product_colour(x)[::2])
        return latents, drawn, self.generator.colour_of(latents)

    def _logits(self, x: Tensor, labels: Tensor, seed: int) -> list[Tensor]:
        """The discriminator's maps of varied pictures, the same for the same seed."""
        found: list[Tensor] = self.heads(
            self.features(augment(x, np.random.default_rng(int(seed)), **self.varied)), labels
        )
        return found

    def sample(self) -> Tensor:
        """A row of packshots, their reconstructions, the same in red.

        Then each category's samples at truncation 0.8.
        """
        x, labels = self.packshots.batch(np.random.default_rng(7), 10)
        preview = self.average.module
        with torch.no_grad():
            latents = plain_latents(self.encoder, x)
            red = preview.with_colour(latents, torch.tensor([0.8, 0.1, 0.1]))
            return torch.cat([x, preview(latents, labels), preview(red, labels), catalogue(preview)])

    def drawn(self, count: int) -> Tensor:
        labels = self.packshots.labels[:: -(-len(self.packshots.labels) // count)]
        return draw(self.average.module, labels, 1.0, self.packshots.categories)

    def export(self) -> dict[str, Tensor]:
        return pack(self.average.module.state_dict(), few=FEW_MOST, keep=("spreads",))


def _decoder(autoencoder: Autoencoder) -> Generator:
    """A generator to train, with the weights and the mixture of an autoencoder's own."""
    state = {k: v for k, v in autoencoder.state_dict().items() if not k.startswith("encoder.")}
    return from_state_dict(state).train().requires_grad_(True).to(memory_format=torch.channels_last)


def take_mixture(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Make room for a fitted mixture: it has as many components as its file says."""
    for buffer in ("means", "component_of", "component_share"):
        setattr(network, buffer, torch.empty_like(state[buffer], device=getattr(network, buffer).device))


@dataclass(frozen=True)
class GanOptions(ProductOptions):
    """The options of the recipe of studio."""

    batch: int = option(16, "pictures in a step")
    peak: float = option(3e-4, "highest learning rate")
    adversarial_weight: float = option(0.3, "of the discriminator's part of the loss")
    colour_weight: float = option(2.0, "of the distance from the colour that was asked for")
    turn_deg: float = option(0.0, "how far pictures are turned before the discriminator sees them")
    scale: float = option(0.0, "how far pictures are scaled before the discriminator sees them")
    most_norm: float = option(0.0, "gradients that are longer are shortened to it; 0 leaves them")


def build(options: GanOptions) -> GanRecipe:
    """The recipe; RequestError where there is no autoencoder of the same categories yet."""
    shown = sources.packshots(options, GanRecipe.name, 128)[0]
    if not (start := options.runs / "vae" / "vae.safetensors").exists():
        raise RequestError("The generator starts from the autoencoder: run `python -m engine.train vae` first.")
    # From the file that ships, not from the last step: the latents of `vae` are to mean the same to `studio`.
    autoencoder = from_state_dict(sources.as_floats(start))
    assert isinstance(autoencoder, Autoencoder)
    if autoencoder.categories != shown.categories:
        raise RequestError(
            f"The autoencoder knows {', '.join(autoencoder.categories)}, "
            f"but the pictures are of {', '.join(shown.categories)}."
        )
    return GanRecipe(sources.own_features(), shown, autoencoder, **options.hyperparameters())


PRESETS = {
    # Neither turns nor scales what the discriminator sees: with `turn_deg` and `scale` the objective is not that of the
    # shipped weights.
    "studio": RecipePreset(GanOptions(steps=1600), build, "kernel distance 162"),
    "dcgan": RecipePreset(
        AdversarialOptions(objective="dcgan", steps=3000, smoothing=0.1), adversarial.build, "kernel distance 424"
    ),
    # The papers' five critic steps and small rates are for runs a hundred times as long as an hour of a processor
    # allows.
    "wgan-gp": RecipePreset(
        AdversarialOptions(objective="wgan-gp", steps=1500, critic_steps=2, critic_width=24, peak=2e-4),
        adversarial.build,
        "kernel distance 1,746",
    ),
    "wgan": RecipePreset(
        AdversarialOptions(objective="wgan", steps=1200, critic_steps=2, peak=2e-4),
        adversarial.build,
        "kernel distance 1,037",
    ),
}
