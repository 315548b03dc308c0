"""`discriminator`: how often ranking puts the better of two pictures first, alone and beside the classifier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.contract.generate import CATEGORIES
from engine.evaluate.measures import Row, Sources, load, mean
from engine.generate.classifier import CategoryClassifier
from engine.generate.ranking import best_first

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

OF_EACH = 16  # pictures of a category
SEED = 77  # not that of the fit


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Pairs of pictures of one category that are in the right order (%), chance is 50; beside it stands the classifier
    alone.
    """
    import numpy as np
    import torch

    from engine.train import packshots
    from engine.train.discriminator import FAR, SPOILED, TYPICAL
    from engine.train.drawing import draw

    packs, table = [sources.folder / "packshots.tar"], sources.folder / "packshots.csv"
    held_out = packshots.read_products(
        packs, table, sources.cache, size_px=128, stretch=packshots.SQUASHED, held_out=True
    ).of(CATEGORIES)
    studio, classifier = load("studio").module, CategoryClassifier(load("categories"))
    labels = held_out.labels(CATEGORIES)
    real = [held_out.pictures[labels == c][:OF_EACH].float() / 255 for c in range(len(CATEGORIES))]
    typical, far = (
        [draw(studio, torch.full((OF_EACH,), c), truncation, CATEGORIES, seed=SEED + k) for c in range(len(CATEGORIES))]
        for k, truncation in enumerate((TYPICAL, FAR))
    )
    pairs = {f"drawn at truncation {TYPICAL:g} before {FAR:g}": (typical, far)}
    for what, whole in (("drawn", typical), ("packshots", real)):
        for how, spoil in SPOILED.items():
            rng = np.random.default_rng(SEED)
            pairs[f"{what} before the same {how}"] = (whole, [spoil(x, rng).clamp(0, 1) for x in whole])
    found = {what: _in_order(network, classifier, *both) for what, both in pairs.items()}
    for what, (alone, certain, together) in found.items():
        yield Row(what, "in order, discriminator alone (%)", alone, certain, "categories alone")
        yield Row(what, "in order, both (%)", together, certain, "categories alone")
    drawn = [figures for what, figures in found.items() if not what.startswith("packshots")]
    _, certain, together = (mean(column) for column in zip(*drawn, strict=True))
    yield Row("all that is drawn", "in order, both (%)", together, certain, "categories alone", "in order %")


def _in_order(
    network: Network, classifier: CategoryClassifier, better: list[Tensor], worse: list[Tensor]
) -> tuple[float, float, float]:
    """The share of pairs (%) by the discriminator, by the classifier and by both, averaged over categories."""
    import torch

    shares = []
    for c, (good, bad) in enumerate(zip(better, worse, strict=True)):
        parts = torch.cat([good, bad]).split(16)
        wholeness = torch.cat([network.apply(network.module, part) for part in parts])
        certainty = torch.cat([classifier.rate(part, CATEGORIES[c])[0] for part in parts])
        shares.append(
            [in_order(best_first(scores), len(good)) for scores in ([wholeness], [certainty], [wholeness, certainty])]
        )
    alone, certain, together = (100 * mean(column) for column in zip(*shares, strict=True))
    return alone, certain, together


def in_order(order: list[int], better: int) -> float:
    """Of an order of the better (indices below `better`) and the worse: the share of pairs that are right (area under
    the ROC curve).
    """
    behind = right = 0
    for index in reversed(order):
        if index >= better:
            behind += 1
        else:
            right += behind
    return right / (better * (len(order) - better))
