"""Blur, means, derivatives and morphology, beside a library's own and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
import skimage.morphology
import torch

from engine.models import filters
from engine.models.filters import feathered

BEYOND = {"replicate": "nearest", "reflect": "mirror", "zeros": "constant"}  # their names in scipy


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


def test_a_mirrored_border_is_a_library_s() -> None:
    x = picture()
    expected = scipy.ndimage.gaussian_filter(x.double().numpy(), 1.2, mode="mirror", radius=4, axes=(2, 3))
    np.testing.assert_allclose(filters.gaussian_blur(x, 1.2, 4, "reflect").numpy(), expected, atol=1e-6)


def test_a_kernel_is_the_blur_of_a_point() -> None:
    point = torch.zeros(1, 1, 15, 15)
    point[..., 7, 7] = 1
    torch.testing.assert_close(filters.gaussian_blur(point, 1.7, 7)[0, 0], filters.gaussian_kernel(1.7, 7))
    assert float(filters.gaussian_kernel(1.7, 7).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("beyond", BEYOND)
@pytest.mark.parametrize("reach", [2, (0, 3), (4, 1)])
def test_means_are_a_library_s(reach: int | tuple[int, int], beyond: filters.Beyond) -> None:
    x = picture()
    down, across = (reach, reach) if isinstance(reach, int) else reach
    size = (1, 1, 2 * down + 1, 2 * across + 1)
    expected = scipy.ndimage.uniform_filter(x.double().numpy(), size, mode=BEYOND[beyond])
    np.testing.assert_allclose(filters.box(x, reach, beyond).numpy(), expected, atol=1e-6)


def test_where_nothing_lies_beyond_fewer_pixels_count() -> None:
    x = picture()
    corner = filters.box(x, 2, "nothing")[..., 0, 0]
    torch.testing.assert_close(corner, x[..., :3, :3].mean((2, 3)))
    plain = torch.full((1, 2, 9, 7), 0.3)
    torch.testing.assert_close(filters.box(plain, 3, "nothing"), plain)


@pytest.mark.parametrize("beyond", [*BEYOND, "nothing"])
def test_a_wide_mean_is_the_same_mean(beyond: filters.Beyond) -> None:
    torch.testing.assert_close(filters.wide_box(picture(), 6, beyond), filters.box(picture(), 6, beyond))


@pytest.mark.parametrize("rows", [filters.CENTRAL, filters.SOBEL, filters.SCHARR])
def test_a_ramp_has_its_slope(rows: tuple[float, float, float]) -> None:
    y, x = torch.meshgrid(torch.arange(11.0), torch.arange(9.0), indexing="ij")
    across, down = filters.gradient((0.3 * x - 0.7 * y)[None, None], rows)
    torch.testing.assert_close(across[..., 1:-1, 1:-1], torch.full((1, 1, 9, 7), 0.3))
    torch.testing.assert_close(down[..., 1:-1, 1:-1], torch.full((1, 1, 9, 7), -0.7))


@pytest.mark.parametrize(
    ("rows", "theirs"), [(filters.SOBEL, skimage.filters.sobel), (filters.SCHARR, skimage.filters.scharr)]
)
def test_derivatives_are_a_library_s(rows: tuple[float, float, float], theirs: object) -> None:
    """skimage's are per two pixels; its border is "nearest" on request."""
    x = picture(1)
    for ours, axis in zip(filters.gradient(x, rows), (1, 0), strict=True):
        expected = theirs(x[0, 0].double().numpy(), axis=axis, mode="nearest") / 2  # type: ignore[operator]
        np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=1e-6)


def test_the_kernel_of_a_derivative_is_its_correlation() -> None:
    x, kernel = picture(1), filters.across_kernel(filters.SCHARR)
    inside = (..., slice(1, -1), slice(1, -1))
    for ours, weights in zip(filters.gradient(x, filters.SCHARR), (kernel, kernel.T), strict=True):
        torch.testing.assert_close(ours[inside], torch.nn.functional.conv2d(x, weights[None, None]))


def test_a_feather_of_nothing_changes_nothing() -> None:
    mask = torch.rand(1, 1, 20, 30)
    assert torch.equal(feathered(mask, 0), mask)


@pytest.mark.parametrize("radius_px", [0.5, 1, 2.5, 8, 30])
def test_a_feather_is_as_wide_as_its_radius_says(radius_px: float) -> None:
    step = (torch.arange(300) >= 150).float().expand(1, 1, 20, -1)
    soft = feathered(step, radius_px)
    slope = soft[0, 0, 10].diff()
    places = torch.arange(299) - 149.0
    assert slope.sum() == pytest.approx(1, abs=1e-5)
    assert float((slope * places.square()).sum()) == pytest.approx((radius_px / 2) ** 2, rel=1e-3)
    assert torch.allclose(soft[0, 0], soft[0, 0, :1].expand(20, -1), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40)])
def test_a_feather_stays_in_range_and_keeps_what_is_plain(size: tuple[int, int]) -> None:
    soft = feathered((torch.rand(1, 1, *size) > 0.5).float(), 50)
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert torch.allclose(feathered(torch.ones(1, 1, *size), 50), torch.ones(1, 1, *size))


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


def test_grey_dilation_may_be_wider_along_one_side() -> None:
    x = picture(1)
    expected = scipy.ndimage.grey_dilation(x[0, 0].numpy(), size=(3, 9))
    assert np.array_equal(filters.maximum(x, (1, 4))[0, 0].numpy(), expected)


def test_masks_of_a_batch_grow_each_by_itself() -> None:
    masks = picture(1) > 0.9
    for grown, mask in zip(filters.dilated(masks, 2)[:, 0], masks[:, 0], strict=True):
        assert torch.equal(grown, filters.dilated(mask, 2))
