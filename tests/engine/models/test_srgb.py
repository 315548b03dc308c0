"""The formulas of colour, beside a library's own and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.color
import torch

from engine.contract.fields import hex_of, rgb_of
from engine.models import srgb


def colours(count: int = 400) -> torch.Tensor:
    """(1, 3, 20, count / 20), black and white and near black among them."""
    rgb = torch.rand(1, 3, 20, count // 20, generator=torch.Generator().manual_seed(0))
    rgb[0, :, 0, 0], rgb[0, :, 0, 1], rgb[0, :, 0, 2] = 0.0, 1.0, 0.02
    return rgb


def as_image(x: torch.Tensor) -> np.ndarray:
    return x[0].permute(1, 2, 0).double().numpy()


def test_the_curve_is_that_of_the_standard() -> None:
    """skimage's XYZ is linear light times a matrix, so its inverse matrix gives the light alone."""
    light = skimage.color.rgb2xyz(as_image(colours())) @ np.linalg.inv(skimage.color.colorconv.xyz_from_rgb).T
    np.testing.assert_allclose(as_image(srgb.to_linear(colours())), light, atol=1e-5)


@pytest.mark.parametrize(("level", "light"), [(0.0, 0.0), (1.0, 1.0), (0.04045, 0.04045 / 12.92), (0.5, 0.214041)])
def test_levels_have_the_light_that_tables_give(level: float, light: float) -> None:
    assert float(srgb.to_linear(torch.tensor(level))) == pytest.approx(light, abs=1e-6)


def test_there_and_back_is_where_it_began() -> None:
    torch.testing.assert_close(srgb.from_linear(srgb.to_linear(colours())), colours(), atol=1e-6, rtol=0)
    torch.testing.assert_close(srgb.from_oklab(srgb.oklab(colours())), colours(), atol=2e-5, rtol=0)


def test_lab_is_that_of_a_library() -> None:
    expected = skimage.color.rgb2lab(as_image(colours()))
    np.testing.assert_allclose(as_image(srgb.to_lab(colours())), expected, atol=0.02)


@pytest.mark.parametrize("grey", [0.0, 0.2, 0.5, 1.0])
def test_greys_have_no_colour(grey: float) -> None:
    plain = torch.full((1, 3, 1, 1), grey)
    assert float(srgb.to_lab(plain)[0, 1:].abs().max()) < 1e-4
    assert float(srgb.oklab(plain)[0, 1:].abs().max()) < 1e-4


def test_luma_is_the_weighted_sum_and_white_is_one() -> None:
    expected = skimage.color.rgb2gray(as_image(colours()))  # with 0.2125, 0.7154, 0.0721
    np.testing.assert_allclose(srgb.luma(colours(), srgb.REC709)[0, 0].double().numpy(), expected, atol=3e-4)
    expected = skimage.color.rgb2yuv(as_image(colours()))[..., 0]
    np.testing.assert_allclose(srgb.luma(colours())[0, 0].double().numpy(), expected, atol=1e-6)
    assert sum(srgb.REC601) == pytest.approx(1)
    assert sum(srgb.REC709) == pytest.approx(1)


def test_oklab_of_the_primaries_is_what_its_author_gives() -> None:
    """Red is (0.628, 0.225, 0.126), as in the table of CSS Color 4."""
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(srgb.oklab(red).flatten(), torch.tensor([0.62796, 0.22486, 0.12585]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#123456", "#fedcba"])
def test_a_written_colour_is_read_and_written_again(colour: str) -> None:
    assert hex_of(rgb_of(colour)) == colour
    assert rgb_of("#ff8000") == (1.0, 128 / 255, 0.0)
