"""The methods that `tone` is measured beside do what they are known for."""

from __future__ import annotations

import pytest
import torch

from engine.evaluate import baselines


def test_gamma_brings_the_mean_luma_to_the_middle():
    dark = torch.full((1, 3, 8, 8), 0.2)
    assert float(baselines.gamma(dark).mean()) == pytest.approx(0.5, abs=1e-3)


def test_grey_world_takes_an_even_cast_off():
    scene = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1) * 0.6
    cast = scene * torch.tensor([1.2, 1.0, 0.8]).view(1, 3, 1, 1)
    means = baselines.grey_world(cast).mean((0, 2, 3))
    torch.testing.assert_close(means, means.mean().expand(3), atol=1e-4, rtol=0)


def test_clahe_spreads_a_narrow_histogram_and_keeps_the_range():
    narrow = 0.4 + 0.1 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    spread = baselines.clahe(narrow)
    assert float(spread.std()) > 1.5 * float(narrow.std())
    assert 0 <= spread.min() <= spread.max() <= 1


def test_a_white_patch_takes_light_and_cast_off_at_once():
    scene = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.9
    seen = scene * torch.tensor([0.5, 0.6, 0.4]).view(1, 3, 1, 1)
    assert float((baselines.white_patch(seen) - scene).abs().max()) < 0.03
