"""The distances of styles in closed form, the histograms, and what a preset has in their place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.contract.style import STYLE_LOSSES
from engine.models import style_loss
from engine.models.gaussian import Moments, moments
from engine.models.style_loss import (
    LOSSES,
    QUANTILES,
    Gram,
    Histogram,
    LayerLoss,
    Style,
    histogram,
    histograms_of,
    mixed,
)


def activation(height: int = 24, width: int = 16, channels: int = 5, seed: int = 0) -> Tensor:
    """(1, C, H, W), skewed as activations are."""
    return torch.rand(
        1, channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).square()


def layer_loss(name: str, style: Tensor) -> LayerLoss:
    return LOSSES[name](moments(style), histogram(style))


def distance(loss: LayerLoss, a: Tensor) -> float:
    return loss.slopes([loss.gather(style_loss.rows(a))])[0]


def style(seed: int, *, histograms: bool = True) -> Style:
    a = activation(seed=seed)
    return Style(moments(activation(channels=3, seed=seed)), (moments(a),), (histogram(a),) if histograms else ())


def test_what_is_offered_is_there() -> None:
    assert tuple(LOSSES) == STYLE_LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_a_style_is_at_no_distance_from_itself_and_at_some_from_another(name: str) -> None:
    loss = layer_loss(name, activation())
    assert abs(distance(loss, activation())) < 1e-4
    assert distance(loss, activation(seed=1).sqrt()) > 0.01


@pytest.mark.parametrize("name", LOSSES)
def test_the_place_of_the_pixels_does_not_count(name: str) -> None:
    loss = layer_loss(name, activation())
    assert abs(distance(loss, activation().flip(2).roll(3, 3))) < 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_is_that_of_the_distance(name: str) -> None:
    loss, a, towards = layer_loss(name, activation(seed=1)), activation(), activation(seed=2) - 0.3

    def followed(x: Tensor) -> tuple[float, Tensor]:
        x = x.clone().requires_grad_()
        gathered = loss.gather(style_loss.rows(x))
        found, (slopes,) = loss.slopes([gathered])
        total = sum(((part * slope).sum() for part, slope in zip(gathered.parts, slopes, strict=True)), torch.zeros(()))
        return found, torch.autograd.grad(total, x)[0]

    step = 1e-7
    slope = (followed(a + step * towards)[0] - followed(a - step * towards)[0]) / (2 * step)
    assert slope == pytest.approx(float((followed(a)[1] * towards).sum()), rel=1e-4)


def test_the_distance_of_gram_matrices_is_relative_to_the_styles_size() -> None:
    """G = diag(1, 4) beside S = diag(3, 4): |G - S|^2 = 4 and |S|^2 = 25."""
    a = torch.tensor(
        [[1.0, -1.0], [2.0, 2.0]]
    ).double()  # rows of pixels: (1, -1), (2, 2) have the Gram matrix (5, 3; 3, 5) / 2
    loss = Gram(
        Moments(torch.zeros(2).double(), torch.tensor([[3.0, 0.0], [0.0, 4.0]]).double()), torch.zeros(2, QUANTILES)
    )
    assert float(
        loss.distance(torch.zeros(2).double(), torch.tensor([[1.0, 0.0], [0.0, 4.0]]).double())
    ) == pytest.approx(4 / 25)
    assert loss.slopes([loss.gather(a)])[0] == pytest.approx((0.5**2 + 1.5**2 + 2 * 1.5**2) / 25)


def test_a_channel_that_is_shifted_is_away_by_the_square_of_the_shift() -> None:
    a = activation()
    loss, gram = (kind(moments(a), histogram(a)) for kind in (Histogram, Gram))
    shifted = a + 0.25
    energy = float(moments(a).mean.square().sum() + moments(a).covariance.trace())
    assert distance(loss, shifted) - distance(gram, shifted) == pytest.approx(5 * 0.25**2 / energy, rel=1e-3)


def test_histograms_tell_apart_what_has_the_same_moments() -> None:
    two = torch.tensor([-1.0, 1.0]).double().repeat(128).view(1, 1, 16, 16)
    normal = torch.special.ndtri((torch.arange(256).double() + 0.5) / 256).view(1, 1, 16, 16)
    normal = normal / normal.square().mean().sqrt()
    assert distance(layer_loss("gram", two), normal) < 1e-6
    assert distance(layer_loss("histogram", two), normal) > 0.3


def test_a_histogram_has_the_quantiles_of_each_channel() -> None:
    a = torch.stack([torch.arange(4096.0).flip(0), torch.full((4096,), 3.0)]).view(1, 2, 64, 64)
    rising, flat = histogram(a)
    assert torch.allclose(rising, (torch.arange(QUANTILES) + 0.5) / QUANTILES * 4096 - 0.5)
    assert torch.equal(flat, torch.full((QUANTILES,), 3.0))


def test_a_style_without_histograms_has_those_of_normal_distributions() -> None:
    known = style(0, histograms=False)
    (quantiles,) = histograms_of(known)
    assert torch.allclose(quantiles.mean(1), known.layers[0].mean, atol=1e-6)
    assert torch.allclose(quantiles.std(1), known.layers[0].covariance.diagonal().sqrt(), rtol=0.01)
    assert (quantiles.diff(dim=1) > 0).all()
    assert histograms_of(style(0))[0] is not quantiles


def test_between_two_styles_lie_the_means_of_their_quantiles() -> None:
    a, b, bare = style(0), style(1), style(2, histograms=False)
    assert torch.allclose(mixed([a, b], (0.25, 0.75)).histograms[0], 0.25 * a.histograms[0] + 0.75 * b.histograms[0])
    assert torch.allclose(
        mixed([a, bare], (0.5, 0.5)).histograms[0], 0.5 * a.histograms[0] + 0.5 * histograms_of(bare)[0]
    )
    assert mixed([bare, bare], (0.5, 0.5)).histograms == ()


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_style_and_a_flat_canvas_stay_finite(name: str) -> None:
    for target, canvas in (
        (torch.zeros(1, 4, 8, 8), activation(channels=4).float()),
        (activation(channels=4).float(), torch.zeros(1, 4, 8, 8)),
    ):
        loss = layer_loss(name, target)
        found, (slopes,) = loss.slopes([loss.gather(style_loss.rows(canvas))])
        assert abs(found) < float("inf")
        assert all(torch.isfinite(slope).all() for slope in slopes)
