"""The losses of both sides of a GAN as pure functions, and one row per paper that says how they are used.

Critics give one logit or score per picture, (N,); higher means more real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def discriminator_bce(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross entropy of real pictures against 1 - `smoothing` (one-sided, Salimans et al.

    2016) and of fakes against 0, averaged.
    """
    wanted = torch.full_like(real, 1 - smoothing)
    return 0.5 * (
        F.binary_cross_entropy_with_logits(real, wanted)
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )


def generator_bce(fake: Tensor) -> Tensor:
    """Non-saturating: fakes against 1 (Goodfellow et al. 2014), which has a gradient where the discriminator is
    sure.
    """
    return F.softplus(-fake).mean()


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """Mean score of real pictures less that of fakes: for a 1-Lipschitz critic a lower bound of the distance (Arjovsky
    et al. 2017, eq. 2).
    """
    return real.mean() - fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Mean of (|slope| - 1)^2 between real and fake, at `share` (N,) of the way to the real one (Gulrajani et al.

    2017, eq. 3).
    """
    between = torch.lerp(fake.detach(), real, share.view(-1, *[1] * (real.dim() - 1))).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    found: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return found


def zero_centred_penalty(critic: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Mean of |slope|^2 at pictures (N, ...): R1 where these are real (Mescheder et al. 2018, eq. 9), R2 where drawn.

    With both and a relativistic loss a GAN converges locally (R3GAN, Huang et al. 2024, section 2.2).
    """
    at = pictures.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()


def relativistic(ahead: Tensor, behind: Tensor) -> Tensor:
    """Softplus of how far `behind` is above `ahead`, pair by pair (Jolicoeur-Martineau 2019; R3GAN, eq. 2).

    The critic's loss with real scores ahead, the generator's with drawn ones; ln 2 where both are alike.
    """
    return F.softplus(behind - ahead).mean()


def hinge(real: Sequence[Tensor], fake: Sequence[Tensor], weights: Sequence[Tensor | None] = ()) -> Tensor:
    """Hinge loss of a discriminator that gives maps of logits (Lim & Ye 2017, eq. 4): mean of max(0, 1 - real) and of
    max(0, 1 + fake), summed over the maps. weights: for each map how much its places count; all alike if there are
    none.
    """
    places = weights or [None] * len(real)
    parts = [_mean(F.relu(1 - r), w) + _mean(F.relu(1 + f), w) for r, f, w in zip(real, fake, places, strict=True)]
    return torch.stack(parts).sum()


def hinge_fooled(fake: Sequence[Tensor], weights: Sequence[Tensor | None] = ()) -> Tensor:
    """What the generator lowers under `hinge`: less the mean logit of its pictures, summed over the maps."""
    places = weights or [None] * len(fake)
    return -torch.stack([_mean(f, w) for f, w in zip(fake, places, strict=True)]).sum()


def accuracy(real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, float]:
    """The share of places whose logit has the right sign, averaged over the maps; a discriminator that is always right
    teaches nothing.
    """
    return {
        "real_right": sum(float((m.detach() > 0).float().mean()) for m in real) / len(real),
        "fake_right": sum(float((m.detach() < 0).float().mean()) for m in fake) / len(fake),
    }


def _mean(x: Tensor, weight: Tensor | None) -> Tensor:
    return x.mean() if weight is None else (x * weight).sum() / weight.sum()


@torch.no_grad()
def clip_weights(module: nn.Module, bound: float) -> None:
    """Hold every weight in [-bound, bound]."""
    for weight in module.parameters():
        weight.clamp_(-bound, bound)


@dataclass(frozen=True)
class Objective:
    """One paper's way of training: which loss, which optimizer, how the critic is kept in bounds.

    critic_norm: normalisation in the critic, "batch" or "layer" (a penalty per picture forbids batch statistics).
    bounded: whether scores are logits, so that a sure critic is a saturated one that teaches nothing any more.
    """

    name: str
    bounded: bool
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    peak: float
    critic_norm: str = "batch"
    critic_steps: int = 1
    smoothing: float = 0.0
    penalty: float = 0.0
    clip: float = 0.0

    def critic_loss(
        self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """The critic's loss and what to log; `share` (N,) in [0, 1] places the penalty."""
        scores, others = critic(real), critic(fake)
        threshold = 0.0 if self.bounded else float(scores.detach().mean() + others.detach().mean()) / 2
        measured = {
            "real_right": float((scores > threshold).float().mean()),
            "fake_right": float((others < threshold).float().mean()),
        }
        if self.bounded:
            return discriminator_bce(scores, others, self.smoothing), measured
        distance = wasserstein(scores, others)
        measured["distance"] = float(distance.detach())
        if not self.penalty:
            return -distance, measured
        penalty = gradient_penalty(critic, real, fake, share)
        return self.penalty * penalty - distance, measured | {"penalty": float(penalty.detach())}

    def generator_loss(self, fake: Tensor) -> Tensor:
        """The generator's loss."""
        return generator_bce(fake) if self.bounded else -fake.mean()

    def keep_bounds(self, critic: nn.Module) -> None:
        if self.clip:
            clip_weights(critic, self.clip)


DCGAN = Objective(
    "dcgan", bounded=True, optimizer=lambda p: torch.optim.Adam(p, lr=2e-4, betas=(0.5, 0.999)), peak=2e-4
)
WGAN = Objective(
    "wgan", bounded=False, optimizer=lambda p: torch.optim.RMSprop(p, lr=5e-5), peak=5e-5, critic_steps=5, clip=0.01
)
WGAN_GP = Objective(
    "wgan-gp",
    bounded=False,
    optimizer=lambda p: torch.optim.Adam(p, lr=1e-4, betas=(0.0, 0.9)),
    peak=1e-4,
    critic_norm="layer",
    critic_steps=5,
    penalty=10.0,
)
OBJECTIVES = {objective.name: objective for objective in (DCGAN, WGAN, WGAN_GP)}
