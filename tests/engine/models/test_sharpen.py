"""Unsharp masking: plain areas stay, waves grow as the formula says."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.sharpen import reach_px, unsharp


def test_a_plain_picture_stays_as_it_is() -> None:
    plain = torch.full((1, 3, 20, 30), 0.4)
    assert torch.allclose(unsharp(plain), plain, atol=1e-6)


@pytest.mark.parametrize("frequency", [0.05, 0.125, 0.25])
@pytest.mark.parametrize("sigma_px", [1.0, 1.5])
def test_a_wave_grows_by_the_gain_of_its_frequency(frequency: float, sigma_px: float) -> None:
    wave = 0.1 * torch.sin(2 * math.pi * frequency * torch.arange(200.0)).expand(1, 1, 40, 200)
    gain = 1 + 0.8 * (1 - math.exp(-2 * (math.pi * sigma_px * frequency) ** 2))
    inner = (..., slice(60, 140))
    assert torch.allclose((unsharp(0.5 + wave, sigma_px) - 0.5)[inner], gain * wave[inner], atol=2e-3)


def test_a_pixel_is_seen_no_further_than_its_reach() -> None:
    picture = torch.full((1, 1, 41, 41), 0.5)
    picture[..., 20, 20] = 0.6
    changed = ((unsharp(picture) - 0.5).abs() > 1e-6)[0, 0].nonzero() - 20
    assert changed.abs().max() == reach_px()


def test_the_result_stays_in_range() -> None:
    edge = torch.zeros(1, 3, 20, 20)
    edge[..., 10:] = 1
    assert unsharp(edge).min() >= 0
    assert unsharp(edge).max() <= 1
