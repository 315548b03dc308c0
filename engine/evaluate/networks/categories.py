"""`categories`: held-out packshots called right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.contract.generate import CATEGORIES
from engine.evaluate.filters import gaussian_filter
from engine.evaluate.measures import Row, Sources

if TYPE_CHECKING:
    from engine.weights import Network


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Held-out packshots called right, as they are and spoiled, beside always saying the most frequent category."""
    import numpy as np
    import torch

    from engine.train import packshots
    from engine.train.degrade import gaussian_noise
    from engine.train.recipes.categories import called

    packs, table = [sources.folder / "packshots.tar"], sources.folder / "packshots.csv"
    held_out = packshots.read_products(packs, table, sources.cache, stretch=packshots.SQUASHED, held_out=True).of(
        CATEGORIES
    )
    x, labels = held_out.pictures.float() / 255, held_out.labels(CATEGORIES)
    counts = torch.bincount(labels, minlength=len(CATEGORIES))
    frequent = 100 * float(counts.max() / counts.sum())
    against = f"always {CATEGORIES[int(counts.argmax())]}"
    rng = np.random.default_rng(0)
    seen = {
        "as they are": x,
        "every hue turned": packshots.recolour(x, rng, chance=1.0),
        "blurred, sigma 1 px": gaussian_filter(x, 1.0),
        "with noise of sigma 13": gaussian_noise(x, 13, rng).clamp(0, 1),
    }
    for how, spoiled in seen.items():
        right = called(network.module, spoiled) == labels
        headline = "right %" if spoiled is x else ""
        yield Row(
            f"{len(x)} held-out packshots",
            f"called right, {how} (%)",
            100 * float(right.float().mean()),
            frequent,
            against,
            headline,
        )
    right = called(network.module, x) == labels
    for c, name in enumerate(CATEGORIES):
        if counts[c]:
            yield Row(
                f"{counts[c]} of {name}",
                "called right (%)",
                100 * float(right[labels == c].float().mean()),
                100 / len(CATEGORIES),
                "chance",
            )
