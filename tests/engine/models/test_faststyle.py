"""One-pass style: the network's contract, and its recipe's parts against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models import faststyle, gatys, gaussian
from engine.models.features import Features
from engine.train.microast import _adain
from engine.train.recipes import faststyle as recipe


@pytest.fixture
def network() -> faststyle.FastStyle:
    """As it is after training: every part has something to say."""
    torch.manual_seed(0)
    painter = faststyle.FastStyle(fine=8, width=16).eval()
    torch.nn.init.normal_(painter.tail.weight, std=0.1)
    return painter


def noise(height: int, width: int, seed: int = 0, count: int = 1) -> torch.Tensor:
    return torch.randn(
        count, faststyle.NOISE_CHANNELS, height // 4, width // 4, generator=torch.Generator().manual_seed(seed)
    )


def test_before_training_it_gives_the_photo_back() -> None:
    x = torch.rand(1, 3, 32, 24)
    with torch.no_grad():
        assert torch.equal(faststyle.FastStyle()(x, torch.randn(1, 480), noise(32, 24)), x)


def test_it_is_as_small_as_its_card_says() -> None:
    shipped = faststyle.FastStyle()
    assert sum(p.numel() for p in shipped.parameters()) <= 500_000
    # Multiplications per pixel: each convolution's weights, once for each pixel of the size it works at.
    convolutions = {name: m for name, m in shipped.named_modules() if isinstance(m, torch.nn.Conv2d)}
    half = sum(convolutions[name].weight.numel() for name in ("head", "tail"))
    quarter = sum(m.weight.numel() for name, m in convolutions.items() if name not in ("head", "tail"))
    assert half / 4 + quarter / 16 <= 18_000


@torch.no_grad()
def test_a_batch_of_two_is_two_of_one(network: faststyle.FastStyle) -> None:
    x, embeddings, grain = torch.rand(2, 3, 40, 32), torch.randn(2, 480), noise(40, 32, count=2)
    both = network(x, embeddings, grain)
    for k in range(2):
        one = network(x[k : k + 1], embeddings[k : k + 1], grain[k : k + 1])
        torch.testing.assert_close(both[k : k + 1], one, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_pixel_sees_no_further_than_40_px(network: faststyle.FastStyle) -> None:
    x, style, grain = torch.rand(1, 3, 128, 128), torch.randn(1, 480), noise(128, 128)
    changed = x.clone()
    changed[..., :40, :] = torch.rand(1, 3, 40, 128)
    difference = (network(changed, style, grain) - network(x, style, grain)).abs().amax((0, 1, 3))
    assert float(difference[:40].max()) > 0
    assert float(difference[80:].max()) == 0


@torch.no_grad()
def test_no_style_is_loud_enough_to_break_it(network: faststyle.FastStyle) -> None:
    x, grain = torch.rand(1, 3, 16, 16), noise(16, 16)
    for style in (torch.full((1, 480), 1e9), torch.full((1, 480), -1e9), torch.zeros(1, 480)):
        assert network(x, style, grain).abs().max() < 100


@torch.no_grad()
def test_it_is_read_back_from_its_weights(network: faststyle.FastStyle) -> None:
    again = faststyle.from_state_dict(network.state_dict()).eval()
    x, style, grain = torch.rand(1, 3, 24, 24), torch.randn(1, 480), noise(24, 24)
    assert torch.equal(again(x, style, grain), network(x, style, grain))


def test_a_code_is_the_means_and_deviations_of_what_is_seen() -> None:
    torch.manual_seed(0)
    backbone = Features()
    artwork = torch.rand(1, 3, 64, 64)
    style = gatys.measure(backbone, gatys.BACKBONES["features"], artwork)
    with torch.no_grad():
        seen = backbone(artwork, 4)
        sums = [recipe.channel_moments(a) for a in seen]
    embedding = faststyle.embedding(style)
    assert embedding.shape == (1, 480)
    torch.testing.assert_close(embedding, recipe.embeddings_of_moments(sums), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(embedding[0, :16], seen[0].mean((2, 3))[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(embedding[0, 16:32], seen[0].std((2, 3), correction=0)[0], atol=1e-3, rtol=1e-2)


def test_the_style_distance_is_that_of_gatys() -> None:
    torch.manual_seed(0)
    backbone = Features()
    pictures = torch.rand(2, 3, 48, 48).cumsum(3) / 48
    style = gatys.measure(backbone, gatys.BACKBONES["features"], torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        sums = [recipe.channel_moments(a) for a in backbone(pictures, 4)]
    ours = recipe.style_distances(sums, [style, style])
    for k in range(2):
        exact = 0.0
        for weight, (mean, covariance), layer in zip(
            gatys.BACKBONES["features"].style, sums, style.layers, strict=True
        ):
            energy = float(layer.mean.square().sum() + layer.covariance.trace())
            moments = (mean[k].double(), covariance[k].double(), layer.mean.double())
            exact += weight * float(gaussian.wasserstein(*moments, gaussian.root(layer.covariance))) / energy
        assert float(ours[k]) == pytest.approx(exact, rel=0.02, abs=0.01)


def test_a_matrix_root_squared_is_the_matrix() -> None:
    torch.manual_seed(0)
    factor = torch.randn(3, 12, 12)
    matrices = factor @ factor.transpose(1, 2) + torch.eye(12)
    roots = recipe.matrix_root(matrices, iterations=20)
    torch.testing.assert_close(roots @ roots, matrices, rtol=1e-2, atol=1e-2)


def test_contrast_is_nothing_at_ones_own_style_and_chance_between_strangers() -> None:
    styles = 10 * torch.eye(4)
    assert float(recipe.contrast(styles, styles)) == pytest.approx(0, abs=1e-6)
    assert float(recipe.contrast(torch.full((4, 4), 2.5), styles)) == pytest.approx(0.25)


def test_adain_takes_the_styles_mean_and_deviation() -> None:
    torch.manual_seed(0)
    content, style = torch.randn(1, 8, 20, 20), 3 + 2 * torch.randn(1, 8, 16, 16)
    made = _adain(content, style)
    torch.testing.assert_close(made.mean((2, 3)), style.mean((2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made.std((2, 3)), style.std((2, 3)), atol=1e-4, rtol=1e-4)


def test_patches_of_the_same_picture_are_no_distance_apart_and_those_of_another_colour_as_far_as_the_colour() -> None:
    rng = np.random.default_rng(0)
    x = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    assert float(recipe.patch_distances(x, x, rng, count=4096).max()) < 1e-6
    flat, lighter = torch.full((1, 3, 48, 48), 0.4), torch.full((1, 3, 48, 48), 0.5)
    # 3 x 49 values are 0.1 apart, of which a random direction of length 1 sees the mean square: 0.01.
    assert float(recipe.patch_distances(flat, lighter, rng, projections=4000)) == pytest.approx(0.01, rel=0.1)
    other = x.flip(1).requires_grad_()
    recipe.patch_distances(other, x, rng).sum().backward()
    assert other.grad is not None
    assert float(other.grad.abs().max()) > 0
