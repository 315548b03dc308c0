"""Estimators against known degradations: what was added to a picture is what is found in it."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noise import EXAMPLES, eight_bit, example, noisy
from PIL import Image
from torch import Tensor

from engine.models import estimate
from engine.models.srgb import to_lab
from engine.models.tone import adjusted
from engine.settings import ROOT
from engine.train.degrade import blurred, gaussian_kernel, jpeg


def texture(name: str) -> Tensor:
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    grain = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(1))
    leather = F.avg_pool2d(F.avg_pool2d(grain, 5, 1, 2), 5, 1, 2)
    drawn = {
        "weave": 0.5 + 0.2 * torch.sin(x * math.pi / 3) * torch.sin(y * math.pi / 3),
        "leather": 0.4 + 0.8 * leather[0, 0],
        "gradient": x / 255,
        "white paper": torch.ones(256, 256),
    }
    return drawn[name].expand(1, 3, -1, -1)


def find_noise(pixels: Tensor) -> float:
    return estimate.noise_sigma(estimate.tiles(pixels))


def find_quality(pixels: Tensor) -> int | None:
    return estimate.jpeg_quality(estimate.tiles(pixels))


def find_blur(pixels: Tensor, noise: float = 0.0) -> float | None:
    return estimate.blur_sigma(estimate.tiles(pixels), noise)


@pytest.mark.parametrize("sigma", [5, 10, 15, 25, 50])
@pytest.mark.parametrize("name", EXAMPLES)
def test_noise_is_found_on_pictures(name: str, sigma: float) -> None:
    assert find_noise(noisy(example(name)[:, :, 200:712, 200:712], sigma)) == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("sigma", [5, 10, 15, 25, 50])
@pytest.mark.parametrize("name", ["weave", "leather", "gradient", "white paper"])
def test_noise_is_told_from_texture_and_found_on_white(name: str, sigma: float) -> None:
    assert find_noise(noisy(texture(name), sigma)) == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_clean_picture_has_no_noise(name: str) -> None:
    assert find_noise(example(name)) < 1


@pytest.mark.parametrize("levels", [(0, 255), (20, 230), (100, 120)])
@pytest.mark.parametrize("name", EXAMPLES[:2])
def test_dots_of_two_levels_are_no_noise(name: str, levels: tuple[int, int]) -> None:
    with Image.open(ROOT / f"gradio_ui/examples/{name}.jpg") as photo:
        dithered = torch.from_numpy(np.array(photo.convert("1"))).float()
    dots = (levels[0] + dithered * (levels[1] - levels[0])) / 255
    assert find_noise(dots.expand(1, 3, -1, -1)) == 0


def test_what_deviates_by_more_than_noise_can_is_none() -> None:
    """Black and white dots that went through a JPEG have more levels than two."""
    dots = (torch.rand(1, 256, 256, generator=torch.Generator().manual_seed(0)) > 0.5).float().expand(3, -1, -1)
    assert find_noise(jpeg(dots, 90)[None]) == 0


def test_detail_beside_clean_patches_is_no_noise() -> None:
    grainy = noisy(torch.full((1, 3, 256, 256), 0.5), 20)
    grainy[..., :48, :] = 0.6
    assert find_noise(grainy) < 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.7])
def test_what_is_left_of_noise_that_is_cut_off(share: float) -> None:
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(2))
    cut = z.clamp(max=float(z.sort().values[int((1 - share) * len(z)) - 1]))
    assert float(estimate._left_of_noise(torch.tensor(share))) == pytest.approx(float(cut.std()), abs=0.005)


@pytest.mark.parametrize("quality", [10, 20, 40, 60, 75, 90])
@pytest.mark.parametrize(("name", "subsampling"), [("mug", 0), ("sneaker", 2), ("perfume", 2)])
def test_the_quality_of_a_jpeg_is_found_in_its_pixels(name: str, subsampling: int, quality: int) -> None:
    found = find_quality(jpeg(example(name)[0], quality, subsampling=subsampling)[None])
    assert found is not None
    assert abs(found - quality) <= 10


def test_blocks_are_found_wherever_they_lie() -> None:
    assert find_quality(jpeg(example("watch")[0], 40)[None, :, 3:, 5:]) == 40


@pytest.mark.parametrize("name", ["watch", "handbag"])
@pytest.mark.parametrize(
    ("first", "second", "cropped"), [(30, 95, False), (30, 95, True), (50, 95, True), (50, 90, False)]
)
def test_blocks_of_a_jpeg_that_was_saved_again_at_a_better_quality_are_found(
    name: str, first: int, second: int, cropped: bool
) -> None:
    once = jpeg(example(name)[0], first)
    found = find_quality(jpeg(once[:, 3:, 5:] if cropped else once, second)[None])
    assert found is not None
    assert abs(found - first) <= 4


def test_pixels_that_were_no_jpeg_have_no_quality() -> None:
    shrunk = eight_bit(F.interpolate(example("mug"), scale_factor=0.6, mode="bicubic", antialias=True))
    assert find_quality(shrunk) is None
    assert find_quality(noisy(texture("leather"), 10)) is None
    assert find_quality(torch.full((1, 3, 64, 64), 0.5)) is None


@pytest.mark.parametrize(("quality", "corner"), [(50, 16), (25, 32), (75, 8), (90, 3), (100, 1), (10, 80)])
def test_tables_are_scaled_as_libjpeg_does(quality: int, corner: int) -> None:
    assert int(estimate.luma_table(quality)[0, 0]) == corner
    assert estimate.quality_of_table(estimate.luma_table(quality).flatten().tolist()) == quality


def test_a_table_of_another_maker_has_the_quality_of_the_nearest() -> None:
    assert estimate.quality_of_table([8] * 64) in range(80, 95)


@pytest.mark.parametrize("name", ["handbag", "mug", "perfume", "vase"])
def test_blur_is_ordered_and_classed(name: str) -> None:
    sharp = F.interpolate(example(name), scale_factor=0.5, mode="area")
    found = [find_blur(eight_bit(sharp))] + [
        find_blur(eight_bit(blurred(sharp, gaussian_kernel(s)[None]))) for s in (1.0, 2.0, 3.0)
    ]
    sigmas = [s for s in found if s is not None]
    assert len(sigmas) == 4
    assert sigmas[0] < 0.9 < sigmas[1] < 1.45 < sigmas[2] < 2.3 < sigmas[3] < 3.5


@pytest.mark.parametrize("name", EXAMPLES[:3])
def test_the_fine_coefficients_that_blur_took_are_no_coarse_jpeg(name: str) -> None:
    pixels = example(name)
    for _ in range(3):
        pixels = F.avg_pool2d(F.pad(pixels, (8, 8, 8, 8), mode="replicate"), 17, 1)
    found = find_quality(jpeg(noisy(pixels, 2)[0], 90)[None])
    assert found is None or found >= 80


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_a_step_edge_tells_its_blur(sigma: float, noise: float) -> None:
    x = torch.arange(-128.0, 128.0) + 0.3
    edge = 0.25 + 0.5 * torch.special.ndtr(x / sigma)
    assert find_blur(noisy(edge.expand(1, 3, 256, 256), noise), noise) == pytest.approx(sigma, rel=0.25)


def test_a_picture_without_edges_has_no_blur() -> None:
    assert find_blur(texture("gradient")) is None


def test_light_is_that_of_known_levels() -> None:
    pixels = torch.full((1, 3, 100, 100), 0.5)
    pixels[:, :, :10], pixels[:, :, 10:30] = 0, 1
    found = estimate.light(pixels)
    assert (found.mean, found.low, found.high) == pytest.approx((0.55, 0, 1))
    assert (found.white, found.black) == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(("temperature", "tint"), [(0.4, 0.0), (-0.4, 0.0), (0.0, 0.2), (0.2, -0.2)])
def test_a_cast_is_found_on_greys_beside_colours(temperature: float, tint: float) -> None:
    """The colour that the cast gives to grey, and a saturated half of the picture that says nothing."""
    grey = torch.linspace(0.3, 0.7, 64).expand(1, 3, 64, -1)
    red = torch.tensor([0.8, 0.1, 0.1]).view(1, 3, 1, 1).expand(-1, -1, 64, 64)
    amounts = torch.tensor([[0, temperature, tint, 0, 0, 0]])
    pixels = adjusted(torch.cat([grey, red], 3).flatten(2), amounts).clamp(0, 1).view(1, 3, 64, 128)
    expected = to_lab(pixels[..., :64]).mean((0, 2, 3))
    found = estimate.colour_cast(pixels)
    assert (found.a, found.b) == pytest.approx(tuple(expected[1:].tolist()), abs=1)
    assert found.share == pytest.approx(0.5, abs=0.05)


def test_greys_have_no_cast() -> None:
    assert estimate.colour_cast(texture("gradient")).chroma < 0.01


@pytest.mark.parametrize(
    ("colour", "is_white"), [((1.0, 1.0, 1.0), True), ((0.8, 0.8, 0.8), False), ((1.0, 0.95, 0.8), False)]
)
def test_a_plain_background_tells_its_colour(colour: tuple[float, float, float], is_white: bool) -> None:
    pixels = torch.tensor(colour).view(1, 3, 1, 1).repeat(1, 1, 120, 160)
    pixels[:, :, 30:90, 40:120] = torch.tensor([0.1, 0.2, 0.5]).view(3, 1, 1)
    found = estimate.background(pixels)
    assert found.is_plain
    assert found.is_white == is_white
    assert found.rgb == pytest.approx(colour, abs=0.01)
    assert found.product == pytest.approx(0.25, abs=0.02)


def test_a_busy_background_is_not_plain() -> None:
    assert not estimate.background(torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(0))).is_plain


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (7, 9), (17, 200), (40, 4000)])
def test_pictures_of_any_size_are_measured(size: tuple[int, int]) -> None:
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    find_quality(pixels), find_blur(pixels), find_noise(pixels)
    estimate.light(pixels), estimate.colour_cast(pixels), estimate.background(pixels)


def test_tiles_keep_the_grid_and_cover_a_small_picture() -> None:
    pixels = torch.arange(600.0 * 700).view(1, 1, 600, 700).expand(-1, 3, -1, -1)
    found = estimate.tiles(pixels)
    assert found.shape == (9, 3, 256, 256)
    corners = found[:, 0, 0, 0].long()
    assert not (corners // 700 % 8).any()
    assert not (corners % 700 % 8).any()
    assert 6 <= len(estimate.tiles(torch.zeros(1, 3, 3000, 4000))) <= estimate.TILES_MOST


def test_a_large_photo_costs_little() -> None:
    """12 Mpx within 0.3 s of one core's time; three times that here, for machines that are slower."""
    pixels = F.interpolate(example("mug"), size=(3000, 4000), mode="nearest")
    started = time.process_time()
    found = estimate.tiles(pixels)
    estimate.blur_sigma(found, estimate.noise_sigma(found))
    estimate.jpeg_quality(found)
    estimate.light(pixels), estimate.colour_cast(pixels), estimate.background(pixels)
    assert time.process_time() - started < 0.9
