"""The best first: two networks rank the pictures of a request, and the sum of both ranks decides.

The discriminator of `studio` rates how whole a picture looks, the classifier how surely it is of its category. A torn
bag is still a bag, and a whole shoe may be no heel: what both rank high is good to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.generate.classifier import CategoryClassifier

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


class Ranking:
    """The pictures of one category in the order in which they are shown. classifier: the classifier; one of both may be
    None.
    """

    def __init__(self, category: str, classifier: CategoryClassifier | None, discriminator: Network | None) -> None:
        self.category, self.classifier, self.discriminator = category, classifier, discriminator
        self._certainty: list[Tensor] = []
        self._wholeness: list[Tensor] = []

    def see(self, drawn: Tensor) -> None:
        """The next picture (1, 3, S, S) in [0, 1]."""
        if self.classifier is not None:
            self._certainty.append(self.classifier.rate(drawn, self.category)[0])
        if self.discriminator is not None:
            self._wholeness.append(self.discriminator.apply(self.discriminator.module, drawn))

    def order(self) -> list[int]:
        """The indices of the pictures, the best first."""
        import torch

        return best_first([torch.cat(scores) for scores in (self._certainty, self._wholeness) if scores])

    def told(self) -> str:
        """How they were ranked, for people."""
        ways = [f"how surely {self.classifier.name} calls it {self.category}"] if self.classifier else []
        if self.discriminator is not None:
            ways.append(f"how whole the {self.discriminator.weight.name} of studio finds it")
        return f"Best first, by {' and by '.join(ways)}{', which count alike' * (len(ways) > 1)}."


def best_first(scores: Sequence[Tensor]) -> list[int]:
    """The indices of N pictures by the sum of their places under each of `scores` (N,), of which the highest is the
    best; equal ones stay in the order in which they were drawn.
    """
    import torch

    places = torch.stack([(one[:, None] < one).sum(1) for one in scores]).sum(0)
    return places.argsort(stable=True).tolist()
