"""The best first: how the scores of two networks become one order."""

from __future__ import annotations

import pytest
import torch

from engine.evaluate.networks.discriminator import in_order
from engine.generate.ranking import best_first


def test_one_network_s_order_is_kept() -> None:
    assert best_first([torch.tensor([0.1, 3.0, -2.0, 1.0])]) == [1, 3, 0, 2]


def test_places_count_and_not_how_far_apart_the_scores_are() -> None:
    """Ranks by the first network 0, 1, 2, 3, by the second 3, 0, 1, 2: sums 3, 1, 3, 5."""
    for factor in (1.0, 1e6):
        assert best_first([torch.tensor([4.0, 3.0, 2.0, 1.0]), factor * torch.tensor([1.0, 4.0, 3.0, 2.0])]) == [
            1,
            0,
            2,
            3,
        ]


def test_what_is_placed_alike_stays_as_it_was_drawn() -> None:
    assert best_first([torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 1.0])]) == [0, 1, 2]
    assert best_first([torch.tensor([5.0, 5.0, 7.0, 5.0])]) == [2, 0, 1, 3]


@pytest.mark.parametrize("count", [1, 2])
def test_few_pictures_and_equal_scores_are_ranked_too(count: int) -> None:
    assert best_first([torch.zeros(count), torch.full((count,), -3.0)]) == list(range(count))


@pytest.mark.parametrize(
    ("order", "share"), [([0, 1, 2, 3], 1.0), ([2, 3, 0, 1], 0.0), ([0, 2, 1, 3], 0.75), ([2, 0, 1, 3], 0.5)]
)
def test_the_share_of_pairs_in_order(order: list[int], share: float) -> None:
    """0 and 1 are the better ones, 2 and 3 the worse."""
    assert in_order(order, 2) == share
