"""The comparison of ways to transfer a style: what an optimisation took, and how its figures are laid out."""

from __future__ import annotations

import pytest
import torch

from engine.evaluate import compare
from engine.evaluate.measures import Row
from engine.evaluate.networks.faststyle import PAIRS, by_method
from engine.models import features
from engine.weights import TABLE, Network


@pytest.fixture(scope="module")
def backbone() -> Network:
    torch.manual_seed(0)
    network = Network(next(row for row in TABLE if row.name == "features"), features.Features((4, 6, 8, 8, 8)))
    network.to_cpu()
    return network


@pytest.fixture
def pair() -> compare.StylePair:
    photo, artwork = (torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    return compare.StylePair(photo, artwork.square())


def test_an_effort_counts_steps_pixels_and_looks(backbone: Network, pair: compare.StylePair) -> None:
    took = compare.effort(backbone, pair, steps=3)
    assert (took.steps, took.work) == (3, 3 * 96 * 96)  # the photo and its margin
    assert (
        compare.effort(backbone, pair, steps=3, optimizer="lbfgs").work > took.work
    )  # the first line search looks more than once


def test_an_effort_ends_where_its_goal_is_reached(backbone: Network, pair: compare.StylePair) -> None:
    whole = compare.effort(backbone, pair, steps=20)
    half = compare.effort(backbone, pair, steps=20, goal=2 * whole.loss)
    assert half.steps < 20
    assert half.loss <= 2 * whole.loss


def test_what_is_saved_is_the_share_of_the_whole(
    backbone: Network, pair: compare.StylePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that is no better than noise is not reached from in time, and counts with all of twice the steps."""
    monkeypatch.setattr(
        compare,
        "painted",
        lambda network, photo, style: torch.rand(photo.shape, generator=torch.Generator().manual_seed(2)).round(),
    )
    saved = compare.saved(backbone, backbone, [pair], steps=5)
    assert saved.reached == 0
    assert saved.steps == saved.work == 2


def test_methods_stand_in_the_order_of_their_first_figure() -> None:
    rows = [
        Row(f"64 {PAIRS}", "distance", 0.1, 0.5, "the photo"),
        Row(f"64 {PAIRS}", "SSIM", 0.55, 1.0, "the photo"),
        Row(f"64 {PAIRS}", "distance", 0.1, 0.03, "Gatys"),
        Row(f"64 {PAIRS}", "SSIM", 0.55, 0.4, "Gatys"),
        Row("1024 px", "time", 0.3, 1.0, "MicroAST"),
    ]
    methods = by_method(rows)
    assert list(methods) == ["the photo", "`faststyle`", "Gatys"]
    assert methods["`faststyle`"] == {"distance": 0.1, "SSIM": 0.55}
    assert by_method(rows[-1:]) == {}
