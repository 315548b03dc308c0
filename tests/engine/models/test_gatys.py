"""Gatys: moments, the distance between Gaussians, the recolouring map, exact strips, and a loss that falls."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.contract.style import OPTIMIZERS, STYLE_LOSSES
from engine.models import features, gatys, vgg
from engine.models.gatys import BACKBONES, Backbone, StyleObjective, measure, paint
from engine.models.gaussian import Moments, moments, recoloured, root, wasserstein
from engine.settings import ROOT

TINY = Backbone(style=(1.0, 1.0, 1.0, 2.0), content=3, multiple_px=8, reach_px=16, bytes_per_px=900)


@pytest.fixture(scope="module")
def extract() -> features.Features:
    torch.manual_seed(0)
    return features.Features((4, 6, 8, 8, 8)).eval().requires_grad_(False)


def picture(height: int = 64, width: int = 48, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def gaussian(c: int, seed: int) -> Moments:
    samples = torch.randn(4 * c, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return moments(samples.T[None, :, :, None])


def objective(
    extract: gatys.FeatureExtractor, content: Tensor, style: Tensor, backbone: Backbone = TINY, **options: Any
) -> StyleObjective:
    return StyleObjective(extract, backbone, content, measure(extract, backbone, style, histograms=True), **options)


def test_moments_of_a_known_tensor() -> None:
    a = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])
    known = moments(a)
    assert torch.equal(known.mean, torch.tensor([2.0, 2.0]))
    assert torch.equal(known.covariance, torch.tensor([[1.0, 2.0], [2.0, 4.0]]))


def test_the_gram_matrix_is_the_covariance_and_the_mean_together() -> None:
    a = picture().double()
    rows = a.flatten(2)[0]
    gram = rows @ rows.T / rows.shape[1]
    known = moments(a)
    assert torch.allclose(known.covariance + known.mean.outer(known.mean), gram, atol=1e-12)


def test_the_root_squared_is_the_covariance() -> None:
    covariance = gaussian(6, 0).covariance
    assert torch.allclose(root(covariance) @ root(covariance), covariance, atol=1e-12)
    assert torch.allclose(
        root(covariance, -0.5) @ covariance @ root(covariance, -0.5), torch.eye(6, dtype=torch.float64), atol=1e-9
    )


def test_equal_gaussians_have_no_distance() -> None:
    g = gaussian(6, 0)
    assert abs(float(wasserstein(g.mean, g.covariance, g.mean, root(g.covariance)))) < 1e-9


def test_the_distance_of_independent_gaussians_is_that_of_their_means_and_deviations() -> None:
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 1.0, 16.0]).double()
    distance = wasserstein(torch.ones(3).double(), a.diag(), torch.zeros(3).double(), root(b.diag()))
    assert float(distance) == pytest.approx(3 + (1 + 1 + 1))


def test_the_distance_has_the_slope_it_says() -> None:
    a, b, towards = gaussian(4, 1), gaussian(4, 2), gaussian(4, 3)
    half, step = root(b.covariance), 1e-6

    def distance(at: float) -> Tensor:
        return wasserstein(a.mean + at * towards.mean, a.covariance + at * towards.covariance, b.mean, half)

    place = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(distance(place), place)  # type: ignore[arg-type]
    assert float(slope) == pytest.approx(float((distance(step) - distance(-step)) / (2 * step)), rel=1e-6)


def test_a_recoloured_photo_has_the_colours_of_the_style() -> None:
    photo = 0.4 + 0.2 * picture().double()
    colour = Moments(
        torch.tensor([0.5, 0.4, 0.6]).double(), torch.tensor([[4e-3, 1e-3, 0], [1e-3, 3e-3, 0], [0, 0, 1e-3]]).double()
    )
    now = moments(recoloured(photo, colour, floor=0.0))
    assert torch.allclose(now.mean, colour.mean, atol=1e-9)
    assert torch.allclose(now.covariance, colour.covariance, atol=1e-9)


def test_a_photo_in_the_colours_of_the_style_stays_as_it_is() -> None:
    photo = picture()
    assert torch.allclose(recoloured(photo, moments(photo)), photo, atol=1e-5)


def test_a_white_photo_becomes_the_mean_colour_of_the_style() -> None:
    colour = moments(picture())
    flat = recoloured(torch.ones(1, 3, 16, 16), colour)
    assert torch.allclose(flat, colour.mean.view(1, 3, 1, 1).expand_as(flat), atol=1e-4)


def test_noise_on_white_is_not_raised_to_the_contrast_of_the_style() -> None:
    almost_white = 0.99 + 0.005 * (picture() - 0.5)
    assert float(recoloured(almost_white, moments(picture(seed=1))).std()) < 0.06


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_a_picture_that_is_its_own_content_and_style_has_no_loss(extract: features.Features, style_loss: str) -> None:
    x = picture()
    aim = objective(extract, x, x, style_loss=style_loss)
    assert abs(aim.loss_and_gradient(x)[0]) < 2e-3
    assert aim.loss_and_gradient(picture(seed=1).square())[0] > 0.1


@pytest.mark.parametrize(
    "weights",
    [
        {"content_weight": 0.0},
        {"style_weight": 0.0},
        {},
        *({"content_weight": 0.0, "style_loss": name} for name in STYLE_LOSSES),
    ],
)
def test_the_gradient_is_the_slope_of_the_loss(extract: features.Features, weights: dict[str, Any]) -> None:
    exact = copy.deepcopy(extract).double()
    x, direction = picture(seed=2).double(), picture(seed=3).double() - 0.5
    aim = objective(exact, picture().double(), picture(seed=1).double(), **weights)
    gradient = aim.loss_and_gradient(x)[1]
    step = 1e-6
    slope = (aim.loss_and_gradient(x + step * direction)[0] - aim.loss_and_gradient(x - step * direction)[0]) / (
        2 * step
    )
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-3)


@pytest.fixture(params=["features", "vgg19"])
def cut_in_four(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, Backbone, int]:
    """A network, how it is looked at, and the memory that makes four strips of a canvas of 320 x 32 px."""
    torch.manual_seed(1)
    network = (
        (features.Features((8, 8, 8, 8, 8)) if request.param == "features" else vgg.VGG19((8, 8, 8, 8, 8)))
        .double()
        .requires_grad_(False)
    )
    backbone = BACKBONES[request.param]
    return network, backbone, backbone.bytes_per_px * 32 * (2 * backbone.reach_px + 96)


def whole_and_cut(
    look: torch.nn.Module, backbone: Backbone, memory: int, style_loss: str = "bures"
) -> list[tuple[float, Tensor]]:
    canvas, content, style = (picture(320, 32, seed).double() for seed in (4, 5, 6))
    known = measure(look, backbone, style, histograms=True)
    aims = [StyleObjective(look, backbone, content, known, style_loss=style_loss, memory=m) for m in (10**9, memory)]
    assert [len(aim.strips.spans) for aim in aims] == [1, 4]
    return [aim.loss_and_gradient(canvas) for aim in aims]


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_strips_give_the_loss_and_the_gradient_of_the_whole(
    cut_in_four: tuple[torch.nn.Module, Backbone, int], style_loss: str
) -> None:
    (loss, gradient), (loss_in_strips, gradient_in_strips) = whole_and_cut(*cut_in_four, style_loss)
    assert loss_in_strips == pytest.approx(loss, rel=1e-9)
    assert float((gradient_in_strips - gradient).abs().max()) < 1e-9 * float(gradient.abs().max())


def test_strips_with_too_little_context_would_be_noticed(cut_in_four: tuple[torch.nn.Module, Backbone, int]) -> None:
    look, backbone, _ = cut_in_four
    blind = replace(backbone, reach_px=0)
    (_, gradient), (_, gradient_in_strips) = whole_and_cut(look, blind, blind.bytes_per_px * 32 * 96)
    assert float((gradient_in_strips - gradient).abs().max()) > 1e-3 * float(gradient.abs().max())


def test_every_layer_with_a_weight_takes_part(cut_in_four: tuple[torch.nn.Module, Backbone, int]) -> None:
    look, backbone, _ = cut_in_four
    canvas, content, style = (picture(64, 64, seed).double() for seed in (4, 5, 6))
    whole = StyleObjective(look, backbone, content, measure(look, backbone, style)).loss_and_gradient(canvas)[0]
    for k, weight in enumerate(backbone.style):
        without = replace(backbone, style=(*backbone.style[:k], 0.0, *backbone.style[k + 1 :]))
        loss = StyleObjective(look, without, content, measure(look, without, style)).loss_and_gradient(canvas)[0]
        assert (loss < whole) == (weight > 0)


def test_the_first_step_needs_neither_the_compiler_nor_sympy() -> None:
    """They take seconds to import, and the first preview is due within three."""
    code = (
        "import sys, torch; from engine.models import features, gatys; x = torch.rand(1, 3, 32, 32); net ="
        " features.Features().requires_grad_(False);backbone = gatys.BACKBONES['features']; next(gatys.paint(net,"
        " backbone, x, gatys.measure(net, backbone, x)));assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("size_px", "shrinks"), [(1, [1]), (64, [1]), (191, [1]), (192, [2, 1]), (512, [4, 2, 1]), (2048, [16, 8, 4, 2, 1])]
)
def test_scales_halve_down_to_the_coarsest(size_px: int, shrinks: list[int]) -> None:
    assert gatys.scales(size_px) == shrinks


def painted(extract: gatys.FeatureExtractor, photo: Tensor, style: Tensor, **options: Any) -> list[gatys.GatysStep]:
    known = measure(extract, TINY, style, histograms=True)
    return [
        gatys.GatysStep(s.done, s.total, s.loss, s.picture.clone())
        for s in paint(extract, TINY, photo, known, **options)
    ]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_painting_lowers_the_loss(extract: features.Features, style_loss: str, optimizer: str) -> None:
    steps = painted(extract, picture(), picture(seed=1).square(), steps=30, style_loss=style_loss, optimizer=optimizer)
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert all(0 <= float(s.picture.min()) <= float(s.picture.max()) <= 1 for s in steps)


def test_l_bfgs_gets_further_down_by_looking_as_often(extract: features.Features) -> None:
    """A red block on grey, 64 x 48 px, in waves of colour: after 20 looks what is left of the loss is at most 0.9 of
    what Adam leaves.
    """
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 48), indexing="ij")
    block = torch.where(
        (y > 0.3) & (y < 0.8) & (x > 0.2) & (x < 0.8), torch.tensor([0.7, 0.2, 0.15]).view(3, 1, 1), torch.tensor(0.9)
    )[None]
    waves = torch.stack(
        [
            0.5 + 0.4 * torch.sin(20 * x + 9 * y * y),
            0.5 + 0.4 * torch.sin(17 * y + 5 * x),
            0.4 + 0.3 * torch.cos(23 * (x - y)),
        ]
    )[None]
    left = {}
    for optimizer in OPTIMIZERS:
        looks = 0

        def counting(x: Tensor, depth: int) -> list[Tensor]:
            nonlocal looks
            looks += torch.is_grad_enabled()
            return extract(x, depth)

        known = measure(extract, TINY, waves)
        for step in paint(counting, TINY, block, known, steps=40, optimizer=optimizer):
            if looks > 20:
                break
            left[optimizer] = step.loss
    assert left["lbfgs"] < 0.9 * left["adam"]


def test_a_painting_that_is_begun_has_one_scale_to_go(extract: features.Features) -> None:
    start = picture(400, 50, seed=2)
    (only,) = painted(extract, picture(400, 50), picture(seed=1), steps=1, start=start)
    assert (only.done, only.total) == (1, 1)
    assert float((only.picture - start).abs().max()) < 0.02  # one step from where it begins


def test_progress_counts_the_steps_of_all_scales(extract: features.Features) -> None:
    steps = list(paint(extract, TINY, picture(200, 50), measure(extract, TINY, picture()), steps=2))
    assert [(s.done, s.total) for s in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [tuple(s.picture.shape[2:]) for s in steps] == [(100, 26), (100, 26), (200, 50), (200, 50)]


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(extract: features.Features) -> None:
    first, again, other = (
        painted(extract, picture(), picture(seed=1), steps=3, seed=seed)[-1].picture for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 3), (200, 2), (33, 65)])
def test_any_size_comes_back_as_it_was(extract: features.Features, height: int, width: int) -> None:
    result = painted(extract, picture(height, width), picture(seed=1), steps=1)[-1].picture
    assert tuple(result.shape) == (1, 3, height, width)
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


@pytest.mark.parametrize("photo", [torch.ones(1, 3, 40, 40), torch.zeros(1, 3, 40, 40), picture(40, 40)])
@pytest.mark.parametrize("style", [torch.zeros(1, 3, 32, 32), torch.full((1, 3, 32, 32), 0.5), picture()])
def test_flat_photos_and_flat_styles_stay_finite(extract: features.Features, photo: Tensor, style: Tensor) -> None:
    steps = painted(extract, photo, style, steps=4)
    assert all(torch.isfinite(s.picture).all() for s in steps)
    assert all(abs(s.loss) < float("inf") for s in steps)


def test_nothing_is_looked_at_after_it_was_closed(extract: features.Features) -> None:
    looks = []

    def noting(x: Tensor, depth: int) -> list[Tensor]:
        looks.append(depth)
        return extract(x, depth)

    known = measure(extract, TINY, picture())
    steps: Iterator[gatys.GatysStep] = paint(noting, TINY, picture(), known, steps=50)
    next(steps)
    next(steps)
    seen = len(looks)
    steps.close()  # type: ignore[attr-defined]
    assert len(looks) == seen == 1 + 2  # the target once, then the canvas at each step


def test_it_paints_where_the_caller_has_gradients_switched_off(extract: features.Features) -> None:
    known = measure(extract, TINY, picture(seed=1))
    steps = paint(extract, TINY, picture(), known, steps=3)
    with torch.no_grad():
        first = next(steps).loss
    assert next(steps).loss != first
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
