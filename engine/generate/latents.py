"""Where the latents of a request's pictures come from: drawn, encoded, varied, walked, then steered and coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.fields import rgb_of
from engine.contract.generate import GenerateRequest
from engine.models.generative import able

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.generate.classifier import CategoryClassifier
    from engine.weights import Network

CANDIDATES, AT_ONCE = (
    40,
    8,
)  # most latents that are tried for one picture by a network without categories, and how many together


class Latents:
    """The latents of a request, `latent(i)` for i from 0 to count - 1; picture i depends on the seed and on i, not on
    count.

    photo: the latent (1, D) of a photo. classifier: picks among candidates where the network was trained without
    categories. `doubtful` counts the pictures for which no candidate was of the category. RequestError for too many
    directions.
    """

    def __init__(
        self,
        request: GenerateRequest,
        network: Network,
        classifier: CategoryClassifier | None = None,
        photo: Tensor | None = None,
    ) -> None:
        self.request, self.network, self.classifier, self.photo = request, network, classifier, photo
        self.doubtful = 0
        self._drawn: dict[tuple[int, int], Tensor] = {}
        self._check_directions()

    def latent(self, i: int) -> Tensor:
        """(1, D), float32 on the CPU."""
        return self._coloured(self._steered(self._plain(i)))

    def _plain(self, i: int) -> Tensor:
        asked = self.request
        base = self.photo if self.photo is not None else self._fresh(asked.like) if asked.like else None
        if base is None:
            return self._fresh(i + 1)
        if asked.walk_to:
            return self._mixed(base, self._fresh(asked.walk_to), i / (asked.count - 1))
        if self.photo is not None:
            return base if i == 0 else self._mixed(base, self._fresh(i + 1), asked.distance)
        return self._mixed(base, self._fresh(i + 1, series=asked.like), asked.distance)

    def _mixed(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        """`share` of the way from one latent to another, as the network mixes them."""
        mixed: Tensor = self.network.module.mix(one, other, share)
        return mixed

    def _fresh(self, number: int, series: int = 0) -> Tensor:
        """The latent of a seed's picture of that number, from 1; series: others of the same seed, to vary with."""
        if (number, series) not in self._drawn:
            if self.network.module.categories:
                self._draw_all(series)
            else:
                self._drawn[number, series] = self._nearest_candidate(_rng(self.request.seed, series, number))
        return self._drawn[number, series]

    def _draw_all(self, series: int) -> None:
        asked = self.request
        most = max(asked.count, asked.like, asked.walk_to)
        latents = self.network.module.sample_latents(asked.category, most, asked.truncation, _rng(asked.seed, series))
        self._drawn |= {(k + 1, series): latents[k : k + 1] for k in range(most)}

    def _nearest_candidate(self, rng: torch.Generator) -> Tensor:
        """Candidates are drawn until the classifier calls one of them the category; the one of which it is surest."""
        import torch

        category, module = self.request.category, self.network.module
        best: Tensor | None = None
        surest = -float("inf")
        for _ in range(CANDIDATES // AT_ONCE):
            latents: Tensor = module.sample_latents(category, AT_ONCE, self.request.truncation, rng)
            if self.classifier is None:
                return latents[:1]
            pictures = self.network(latents, torch.zeros(AT_ONCE, dtype=torch.long))
            certainty, is_first = self.classifier.rate(pictures, category)
            k = int(certainty.argmax())
            if best is None or float(certainty[k]) > surest:
                best, surest = latents[k : k + 1], float(certainty[k])
            if bool(is_first[k]):
                return best
        self.doubtful += 1
        assert best is not None
        return best

    def _steered(self, latent: Tensor) -> Tensor:
        steps = self.request.directions
        if not any(steps):
            return latent
        found: Tensor = (
            latent + latent.new_tensor(steps) @ self.network.module.directions(self.request.category)[: len(steps)]
        )
        return found

    def _coloured(self, latent: Tensor) -> Tensor:
        if not self.request.colour or not able(self.network.module, "colour"):
            return latent
        found: Tensor = self.network.module.with_colour(latent, latent.new_tensor(rgb_of(self.request.colour)))
        return found

    def _check_directions(self) -> None:
        names = self.network.weight.directions.get(self.request.category, ())
        if any(self.request.directions[len(names) :]):
            raise RequestError(
                f"The network {self.network.weight.name} has {len(names)} directions for {self.request.category}, "
                f"not {len(self.request.directions)}: {', '.join(names)}."
            )


def _rng(seed: int, series: int = 0, number: int = 0) -> torch.Generator:
    """Chance for one series of a seed, or for one picture of it; the first series is begun by the seed itself."""
    import numpy as np
    import torch

    if series or number:  # mixed into 32 bits, since torch's generator looks at no more
        seed = int(np.random.SeedSequence((seed, series, number)).generate_state(1)[0])
    return torch.Generator().manual_seed(seed)
