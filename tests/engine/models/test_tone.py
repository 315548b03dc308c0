"""Light and colour by one table: named adjustments, the network's proposal, and what the recipe spoils."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.models import tone
from engine.models.colour import grid
from engine.models.tone import NAMES, Adjustments, Tone, adjusted
from engine.train.recipes.tone import looked_up, roughness, spoiled

NOTHING = torch.zeros(1, 5)


def done(x: torch.Tensor, **amounts: float) -> torch.Tensor:
    return Tone().lut(Adjustments(**amounts), NOTHING).apply(x)


def test_no_adjustment_leaves_the_photo_as_it_is():
    x = torch.rand(1, 3, 9, 7)
    torch.testing.assert_close(done(x), x, atol=1e-5, rtol=0)


def test_a_stop_of_exposure_doubles_the_light():
    level = torch.full((1, 3, 1), 0.4)
    linear = ((0.4 + 0.055) / 1.055) ** 2.4
    brighter = adjusted(level, torch.tensor([[1.0, 0, 0, 0, 0, 0]]))
    torch.testing.assert_close(((brighter + 0.055) / 1.055) ** 2.4, torch.full_like(level, 2 * linear))


@pytest.mark.parametrize("name", ["shadows", "contrast"])
def test_the_curves_keep_black_and_white(name):
    ends = torch.tensor([0.0, 1.0]).expand(1, 3, 2)
    amounts = torch.tensor([[getattr(replace(Adjustments(), **{name: 0.5}), n) for n in NAMES]])
    torch.testing.assert_close(adjusted(ends, amounts), ends, atol=2e-3, rtol=0)


def test_each_adjustment_does_what_its_name_says():
    x = torch.full((1, 3, 4, 4), 0.3)
    x[:, 0] = 0.4
    assert done(x, exposure=1.0).mean() > x.mean() + 0.05
    warm = done(x, temperature=0.5) - x
    assert warm[0, 0].mean() > 0 > warm[0, 2].mean()
    assert (done(x, tint=0.3) - x)[0, 1].mean() > 0
    assert done(x, shadows=0.5).mean() > x.mean()
    assert done(x, contrast=0.5).mean() < x.mean()  # below middle grey
    grey = done(x, saturation=-1.0)
    torch.testing.assert_close(grey[:, 0], grey[:, 2], atol=1e-4, rtol=0)


def test_a_network_that_learned_nothing_proposes_nothing():
    torch.manual_seed(0)
    adjustments, weights = Tone().propose(torch.rand(1, 3, 50, 40))
    assert adjustments == Adjustments()
    assert weights.shape == (1, 5)


def test_a_file_gives_its_network_back():
    network = Tone((8, 8), basis=3)
    torch.nn.init.normal_(network.basis)
    again = tone.from_state_dict(network.state_dict())
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(again.tables(*again(x)), network.tables(*network(x)))


def test_the_table_of_training_is_the_table_of_the_page():
    torch.manual_seed(0)
    x, network = torch.rand(1, 3, 6, 6), Tone()
    torch.nn.init.normal_(network.basis, std=0.02)
    amounts, weights = torch.tensor([[0.5, 0.2, -0.1, 0.3, 0.2, 0.1]]), torch.randn(1, 5)
    applied = network.lut(Adjustments(*amounts[0].tolist()), weights).apply(x)
    torch.testing.assert_close(
        applied, looked_up(network.tables(amounts, weights), x).clamp(0, 1).detach(), atol=1e-5, rtol=0
    )


def test_spoiling_is_a_function_of_its_seed_and_leaves_some_photos_alone():
    x = ((torch.rand(40, 3, 8, 8) * 255).round() / 255).clamp(0, 1)
    one, two = (spoiled(x, np.random.default_rng(0)) for _ in range(2))
    assert torch.equal(one, two)
    untouched = sum(bool((a - b).abs().max() < 1e-3) for a, b in zip(one, x, strict=True))
    assert 1 <= untouched <= 12


def test_the_plain_table_is_even_and_rises():
    uneven, falling = roughness(grid(9)[None])
    assert float(uneven) == pytest.approx(0, abs=1e-9)
    assert float(falling) == 0
    assert roughness(1 - grid(9)[None])[1] > 0.5
