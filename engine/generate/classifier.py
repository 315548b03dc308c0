"""Which category a picture shows, by the shipped classifier: it ranks pictures and picks among candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

CERTAIN = 0.5  # probability from which a photo's category is taken for the classifier's


class CategoryClassifier:
    """The network of the task "classify", for whole pictures; natural logarithms."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def name(self) -> str:
        """In the table of weights."""
        return self.network.weight.name

    def knows(self, category: str) -> bool:
        """Whether the classifier was trained on this category."""
        return category in self.network.module.categories

    def rate(self, pictures: Tensor, category: str) -> tuple[Tensor, Tensor]:
        """Of products on white (N, 3, H, W) in [0, 1]: the log-probability of `category` (N,), and whether it comes
        first, bool (N,).
        """
        all_of_them, index = self._log_probabilities(pictures), self.network.module.categories.index(category)
        return all_of_them[:, index], all_of_them.argmax(1) == index

    def category(self, picture: Tensor) -> str | None:
        """What one picture (1, 3, H, W) shows; None where that is not certain."""
        seen = self._log_probabilities(picture).softmax(1)[0]
        return self.network.module.categories[int(seen.argmax())] if float(seen.max()) >= CERTAIN else None

    def _log_probabilities(self, pictures: Tensor) -> Tensor:
        """(N, C), the mean of the pictures as they are and mirrored: a product is the same from both sides."""
        import torch

        both = (self.network.apply(self.network.module, seen).log_softmax(1) for seen in (pictures, pictures.flip(3)))
        return torch.stack(list(both)).mean(0)
