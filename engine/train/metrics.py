"""How far a generator is, measured at each snapshot on the fixed `features`, and the sentences that warn of a collapse.

The distances are those of the cards (engine/train/distances.py), but to pictures of the training set: the held-out
ones stay unseen by the choice of the best snapshot.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from engine.models.features import Features
from engine.train.distances import Embedding, diversity, kernel_distance
from engine.train.loop import Recipe

LEAST_DIVERSITY = 0.6  # of the real pictures' own: under it samples have begun to look alike
MOST_RIGHT = (
    0.97  # share of pictures that a discriminator may classify rightly before the generator learns nothing from it
)


class Metrics:
    """Kernel distance and diversity of samples, with each direction of the embedding in units of the real pictures'
    spread.

    pictures: uint8 (N, 3, S, S), of which at most `most` are looked at.
    """

    def __init__(self, features: Features, pictures: Tensor, most: int = 1000) -> None:
        seen = pictures[:: -(-len(pictures) // most)]
        self.embed = Embedding(features.requires_grad_(False), seen)
        self.real = self.embed(seen)
        self.real_diversity = diversity(self.real)

    def __call__(self, samples: Tensor) -> dict[str, float]:
        """samples (N, 3, S, S) in [0, 1]. The distance x 1000; diversity as a share of the real pictures'."""
        made = self.embed(samples)
        return {
            "kernel_distance": 1000 * kernel_distance(made, self.real),
            "diversity": diversity(made) / self.real_diversity,
        }


def worries(row: dict[str, float], *, saturates: bool) -> list[str]:
    """What a logged row gives reason to worry about, a sentence each.

    saturates: whether a critic that is always right teaches nothing any more; a Wasserstein critic may be right.
    """
    found = []
    if (share := row.get("diversity", 1.0)) < LEAST_DIVERSITY:
        found.append(
            f"the samples are only {100 * share:.0f} % as diverse as the real pictures, so the generator may be"
            " collapsing."
        )
    if saturates and (right := min(row.get("real_right", 0.0), row.get("fake_right", 0.0))) > MOST_RIGHT:
        found.append(
            f"the discriminator is right about {100 * right:.0f} % of pictures, so the generator learns little from it."
        )
    return found


class MeasuredRecipe(Recipe):
    """A recipe of a generator, measured at each snapshot on pictures that it draws.

    Subclasses set `features` and `real`, uint8 pictures (N, 3, S, S) that are learned from, and write `drawn`.
    saturates: as in `worries`.
    """

    measured = 512  # pictures that a snapshot is measured on
    saturates = False
    features: Features
    real: Tensor

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(self.features, self.real)

    def drawn(self, count: int) -> Tensor:
        """Pictures of the weights to ship (N, 3, S, S) in [0, 1], always from the same latents; at most `count`."""
        raise NotImplementedError

    def measure(self) -> dict[str, float]:
        return self.metrics(self.drawn(self.measured))

    def worries(self, row: dict[str, float]) -> list[str]:
        return worries(row, saturates=self.saturates)
