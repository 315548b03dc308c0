"""Patterns printed over photos that the estimate of blur is trained on."""

import numpy as np
import pytest
import torch

from engine.train import patterns


def grey(count: int = 1) -> torch.Tensor:
    return torch.full((count, 3, 64, 80), 0.5)


def test_the_share_asked_for_is_printed_over_and_the_rest_stays_as_it_was():
    x = grey(200)
    made = patterns.patterned(x, np.random.default_rng(0), share=0.3)
    changed = (made != x).flatten(1).any(1)
    assert made.shape == x.shape
    assert 40 <= int(changed.sum()) <= 80
    assert torch.equal(patterns.patterned(x, np.random.default_rng(0), share=0.0), x)


def test_the_same_chance_prints_the_same():
    one, other = (patterns.patterned(grey(8), np.random.default_rng(3), share=1.0) for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_printed_lies_between_the_photo_and_the_ink(seed):
    made = patterns.printed(grey()[0], np.random.default_rng(seed))
    assert 0 <= float(made.min()) < float(made.max()) <= 1


@pytest.mark.parametrize("seed", range(12))
def test_a_pattern_repeats_with_each_whole_number_and_has_both_ink_and_ground(seed):
    u, v = torch.meshgrid(torch.linspace(0, 3, 97), torch.linspace(0, 3, 97), indexing="ij")

    def ink(du: int, dv: int) -> torch.Tensor:
        return patterns._pattern(u + du, v + dv, 16.0, np.random.default_rng(seed))

    torch.testing.assert_close(ink(0, 0), ink(2, 1), atol=1e-4, rtol=0)
    assert 0.05 < float(ink(0, 0).mean()) < 0.95
    assert float(ink(0, 0).min()) == 0
    assert float(ink(0, 0).max()) == 1
