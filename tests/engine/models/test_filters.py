"""Blur and morphology, beside a library's own and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.filters
import skimage.morphology
import torch

from engine.models import filters


def picture(channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 37, 29, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
def test_the_blur_is_a_library_s(sigma: float) -> None:
    x = picture()
    blurred = filters.gaussian_blur(x, sigma, reach=filters.reach_of(sigma, 4))
    for ours, before in zip(blurred.flatten(0, 1), x.flatten(0, 1), strict=True):
        expected = skimage.filters.gaussian(before.double().numpy(), sigma, mode="nearest", truncate=4)
        np.testing.assert_allclose(ours.double().numpy(), expected, atol=2e-3)


def test_a_window_sums_to_one_and_has_its_deviation() -> None:
    window, at = filters.gaussian_window(2.0, 12), torch.arange(-12.0, 13)
    assert float(window.sum()) == pytest.approx(1, abs=1e-6)
    assert float((window * at.square()).sum().sqrt()) == pytest.approx(2, rel=1e-3)


def test_a_plain_picture_stays_plain_up_to_its_edge() -> None:
    plain = torch.full((1, 2, 9, 7), 0.3)
    torch.testing.assert_close(filters.gaussian_blur(plain, 2.0), plain)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_growing_and_shrinking_a_mask_are_a_library_s(steps: int) -> None:
    mask = picture(1)[0, 0] > 0.8
    square = np.ones((2 * steps + 1,) * 2, dtype=bool)
    assert np.array_equal(filters.dilated(mask, steps).numpy(), skimage.morphology.dilation(mask.numpy(), square))
    assert np.array_equal(filters.eroded(mask, steps).numpy(), skimage.morphology.erosion(mask.numpy(), square))


@pytest.mark.parametrize("reach", [1, 2])
def test_grey_morphology_is_a_library_s(reach: int) -> None:
    x = picture(1)
    square = np.ones((2 * reach + 1,) * 2)
    for ours, theirs in (
        (filters.maximum, skimage.morphology.dilation),
        (filters.minimum, skimage.morphology.erosion),
    ):
        assert np.array_equal(ours(x, reach)[0, 0].numpy(), theirs(x[0, 0].numpy(), square))
    inside = (slice(reach, -reach),) * 2  # at the border libraries differ in what lies beyond
    expected = skimage.morphology.opening(x[0, 0].numpy(), square)
    assert np.array_equal(filters.opened(x, reach)[0, 0].numpy()[inside], expected[inside])
