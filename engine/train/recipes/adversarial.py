"""Recipe of `dcgan`, `wgan` and `wgan-gp`: one generator, one critic, three objectives (engine/train/objectives.py).

Where we leave the papers: the shipped weights are an exponential moving average; the learning rate falls at the end;
the critic sees every picture through DiffAugment (Zhao et al. 2020), because a few thousand photos are soon known by
heart, and fewer than a thousand also mirrored, turned and scaled. The generator's batch norm needs statistics when it
draws a single picture: the running ones belong to weights that the average has smoothed away, so they are counted anew
for the average whenever it is looked at or exported.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.contract.errors import RequestError
from engine.models.dcgan import DcganGenerator
from engine.models.features import Features
from engine.train import sources
from engine.train.augment import augment
from engine.train.loop import Average, descend, learning_rate
from engine.train.metrics import MeasuredRecipe
from engine.train.objectives import OBJECTIVES, Objective
from engine.train.options import option
from engine.train.sources import ProductOptions
from engine.weights.int8 import FEW_MOST, pack

# Pictures; more of one shop all look the same way, and mirrored or turned shoes only make that harder to learn.
FEW = 1000
VARIED = {"turn_deg": 8.0, "scale": 0.1}  # how few pictures are seen, besides mirrored


class Critic(nn.Module):
    """Pictures (N, 3, 64, 64) in [0, 1] -> logits or scores (N,):
    strided 4x4 convolutions, leaky ReLU 0.2, no pooling.
    """

    def __init__(self, width: int = 32, norm: str = "batch") -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in (width, 2 * width, 4 * width):
            # Layer norm over a whole picture is group norm of one group.
            normed = nn.BatchNorm2d(2 * i) if norm == "batch" else nn.GroupNorm(1, 2 * i)
            layers += [nn.Conv2d(i, 2 * i, 4, 2, 1, bias=False), normed, nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(2 * x - 1).flatten()
        return found


def initialise(module: nn.Module) -> None:
    """The paper's start: convolutions from N(0, 0.02), gains of normalisation from N(1, 0.02), shifts at zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)


@torch.no_grad()
def with_own_statistics(average: DcganGenerator, batches: int, batch: int = 64) -> DcganGenerator:
    """A copy in eval mode whose batch norms hold the mean and variance over so many batches of its own pictures."""
    network = copy.deepcopy(average).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # a plain mean over the batches
    rng = torch.Generator().manual_seed(0)
    for _ in range(batches):
        network(network.sample_latents("", batch, 1.0, rng))
    return network.eval()


class AdversarialRecipe(MeasuredRecipe):
    """pictures: uint8 (N, 3, 64, 64). A step is one of the generator, after `critic_steps` of the critic.

    critic_steps, peak: in the place of the objective's own number of steps and learning rate. most_norm: gradients
    that are longer are shortened to it; 0 leaves them, as the papers do.
    """

    sample_every = 250
    statistics_batches = 16  # of 64 pictures each, for batch norm

    def __init__(
        self,
        objective: Objective,
        pictures: Tensor,
        features: Features,
        *,
        steps: int,
        batch: int = 32,
        width: int = 32,
        critic_width: int = 32,
        critic_steps: int | None = None,
        peak: float | None = None,
        smoothing: float = 0.0,
        augmented: bool = True,
        most_norm: float = 0.0,
        half_life_steps: float = 200,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        objective = dataclasses.replace(
            objective,
            smoothing=smoothing,
            critic_steps=critic_steps or objective.critic_steps,
            peak=peak or objective.peak,
        )
        self.name, self.objective, self.pictures, self.steps, self.batch, self.seed = (
            objective.name,
            objective,
            pictures,
            steps,
            batch,
            seed,
        )
        self.augmented, self.most_norm, self.flipped = augmented, most_norm, len(pictures) < FEW
        self.varied = VARIED if len(pictures) < FEW else {}
        self.generator = DcganGenerator(width)
        self.critic = Critic(critic_width, objective.critic_norm)
        for module in (self.generator, self.critic):
            initialise(module)
            module.to(memory_format=torch.channels_last)
        self.average = Average(self.generator, half_life_steps)
        self.generator_optimizer = objective.optimizer(self.generator.parameters())
        self.critic_optimizer = objective.optimizer(self.critic.parameters())
        self.modules = {"generator": self.generator, "critic": self.critic, "average": self.average.module}
        self.optimizers = {"generator_optimizer": self.generator_optimizer, "critic_optimizer": self.critic_optimizer}
        self.features, self.real, self.saturates = features, pictures, objective.bounded

    def step(self, step: int) -> dict[str, float]:
        rng = self.rng(step)
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            learning_rate(optimizer, self.objective.peak, step, self.steps, warm_up=1, hold=0.7)
        for _ in range(self.objective.critic_steps - 1):
            with torch.no_grad():
                fake = self.generator(self._latents(rng))
            self._teach_critic(fake, rng)
        fake = self.generator(self._latents(rng))
        losses = self._teach_critic(fake.detach(), rng)
        self.critic.requires_grad_(False)
        fooled = self.objective.generator_loss(self.critic(self._augmented(fake, rng)))
        descend(fooled, self.generator_optimizer, most_norm=self.most_norm)
        self.critic.requires_grad_(True)
        self.average.update(self.generator, step)
        return losses | {"generator": float(fooled.detach())}

    def _teach_critic(self, fake: Tensor, rng: np.random.Generator) -> dict[str, float]:
        real = self._augmented(self._photos(rng), rng)
        share = torch.from_numpy(rng.uniform(size=self.batch).astype(np.float32))
        loss, measured = self.objective.critic_loss(self.critic, real, self._augmented(fake, rng), share)
        descend(loss, self.critic_optimizer, most_norm=self.most_norm)
        self.objective.keep_bounds(self.critic)
        return {"critic": float(loss.detach())} | measured

    def _latents(self, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.standard_normal((self.batch, self.generator.latent_dim), dtype=np.float32))

    def _photos(self, rng: np.random.Generator) -> Tensor:
        x = self.pictures[torch.from_numpy(rng.integers(len(self.pictures), size=self.batch))].float().div_(255)
        mirrored = torch.from_numpy(rng.uniform(size=self.batch) < 0.5 * self.flipped)
        return torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x).contiguous(memory_format=torch.channels_last)

    def _augmented(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        return augment(x, rng, **self.varied) if self.augmented else x

    def drawn(self, count: int) -> Tensor:
        """Pictures of the average at truncation 1, always from the same latents, in [0, 1]."""
        network = with_own_statistics(self.average.module, self.statistics_batches)
        with torch.no_grad():
            latents = network.sample_latents("", count, 1.0, torch.Generator().manual_seed(1))
            return torch.cat([network(part) for part in latents.split(64)])

    def sample(self) -> Tensor:
        """64 pictures at twice their size."""
        return F.interpolate(self.drawn(64), scale_factor=2, mode="nearest")

    def export(self) -> dict[str, Tensor]:
        return pack(with_own_statistics(self.average.module, self.statistics_batches).state_dict(), few=FEW_MOST)


@dataclass(frozen=True)
class AdversarialOptions(ProductOptions):
    """The options of the recipes of dcgan, wgan and wgan-gp."""

    objective: str = option("dcgan", "the losses of both sides: dcgan, wgan or wgan-gp", source=True)
    batch: int = option(32, "pictures in a step")
    width: int = option(32, "channels of the generator at full size")
    critic_width: int = option(32, "channels of the critic at full size")
    critic_steps: int | None = option(None, "of the critic for each of the generator; as the paper has it if not given")
    peak: float | None = option(None, "highest learning rate; as the paper has it if not given")
    smoothing: float = option(0.0, "of the label of real pictures")
    augmented: bool = option(True, "vary what the critic sees (DiffAugment)")
    most_norm: float = option(0.0, "gradients that are longer are shortened to it; 0 leaves them")


def build(options: AdversarialOptions) -> AdversarialRecipe:
    """The recipe; RequestError where a table gives no picture a category."""
    objective = OBJECTIVES[options.objective]
    found = sources.products(options, 64)
    if options.categories:
        found = found.of([name for name in set(found.categories) if name])
        if not found.names:
            raise RequestError(f"{options.categories} gives no category to any of the pictures.")
    pictures = sources.cleaned(options, objective.name, found).pictures
    return AdversarialRecipe(objective, pictures, sources.own_features(), **options.hyperparameters())
