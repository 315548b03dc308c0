"""The product mask: known products on plain backgrounds, and pictures without one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine import image
from engine.models import segment
from engine.models.segment import bounds, product_mask
from engine.settings import ROOT

HEIGHT, WIDTH = 240, 300
RED, GREY, CREAM, WHITE = (0.7, 0.15, 0.1), (0.45, 0.45, 0.47), (0.93, 0.91, 0.87), (1.0, 1.0, 1.0)


def grid(height: int = HEIGHT, width: int = WIDTH) -> tuple[Tensor, Tensor]:
    """y and x in units of the height."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return y / height, x / height


def disc(radius: float = 0.3, y: float = 0.5, x: float = 0.62, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """How much of each pixel a disc covers, (1, 1, H, W); its edge is a pixel wide."""
    ys, xs = grid(height, width)
    return ((radius - ((ys - y).square() + (xs - x).square()).sqrt()) * height + 0.5).clamp(0, 1)[None, None]


def plain(colour: tuple[float, ...], height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, height, width)


def gradient() -> Tensor:
    """From a warm light corner to a cooler one of 60 % of its light:
    far more than the product's own contrast anywhere.
    """
    y, x = grid()
    return plain(CREAM) * (1 - 0.25 * x / 1.25 - 0.2 * y.square()) * torch.tensor([1.0, 0.98, 0.96]).view(3, 1, 1) ** x


def shadowed() -> Tensor:
    """A soft shadow that falls to the right under the disc of the tests."""
    y, x = grid()
    return plain(WHITE) * 0.93 * (1 - 0.35 * torch.exp(-(((y - 0.78) / 0.07).square() + ((x - 0.8) / 0.25).square())))


def speckled() -> Tensor:
    return plain(CREAM) + 0.02 * torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def on(background: Tensor, alpha: Tensor, colour: tuple[float, ...] = RED) -> Tensor:
    return (background * (1 - alpha) + plain(colour, *alpha.shape[-2:]) * alpha).clamp(0, 1)


def overlap(mask: Tensor, true: Tensor) -> float:
    """Intersection over union."""
    return float(torch.minimum(mask, true).sum() / torch.maximum(mask, true).sum())


BACKGROUNDS: dict[str, Callable[[], Tensor]] = {
    "white": lambda: plain(WHITE),
    "gradient": gradient,
    "shadow": shadowed,
    "noise": speckled,
}


@pytest.mark.parametrize("colour", [RED, GREY], ids=["red", "grey"])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_disc_is_found_on_every_plain_background(background: str, colour: tuple[float, ...]) -> None:
    found = product_mask(on(BACKGROUNDS[background](), disc(), colour))
    assert overlap(found.mask, disc()) > 0.97
    assert found.certainty > 0.9


def test_a_product_of_the_background_s_luma_is_found() -> None:
    green, red = (0.3, 0.6, 0.4), (0.75, 0.37, 0.4)  # luma 0.488 both
    assert overlap(product_mask(on(plain(green), disc(), red)).mask, disc()) > 0.97


def test_a_white_product_on_a_white_that_is_slightly_darker() -> None:
    assert overlap(product_mask(on(plain((0.95, 0.95, 0.95)), disc(), WHITE)).mask, disc()) > 0.95


def test_a_rings_hole_is_background() -> None:
    ring = disc(0.35) - disc(0.2)
    for background in (gradient(), plain(WHITE)):
        assert overlap(product_mask(on(background, ring)).mask, ring) > 0.95


def test_stripes_of_the_background_s_colour_are_product() -> None:
    _, x = grid()
    stripes = (((x * HEIGHT) % 30 < 5) & (disc(0.25) > 0.5)).float()
    found = product_mask(on(plain(WHITE), disc() - disc() * stripes)).mask
    assert overlap(found, disc()) > 0.97


def test_a_shaded_body_is_no_hole_where_it_matches_the_background() -> None:
    _, x = grid()
    body = disc() - disc(0.27)  # a dark outline, and inside it a body whose light passes through the background's
    shading = (plain(CREAM) * (1.1 - 0.32 * x / 1.25)[None, None]).clamp(0, 1)
    picture = on(torch.where(disc(0.28) > 0.5, shading, plain(CREAM)), body, GREY)
    assert overlap(product_mask(picture).mask, disc()) > 0.97


@pytest.mark.parametrize("side", [320, 480, 640])
def test_a_white_mug_has_no_hole_but_its_handle_s_at_any_size(side: int) -> None:
    mug = image.load(ROOT / "gradio_ui/examples/mug.jpg")
    small, full = (product_mask(picture.pixels).mask for picture in (mug.resized(side, side), mug))
    assert overlap(small, torch.nn.functional.interpolate(full, size=(side, side), mode="area")) > 0.97


@pytest.mark.parametrize("background", ["white", "gradient", "noise"])
def test_a_product_may_touch_a_border(background: str) -> None:
    legs = torch.zeros(1, 1, HEIGHT, WIDTH)
    legs[..., 60:, 80:220] = 1
    found = product_mask(on(BACKGROUNDS[background](), legs, GREY))
    assert overlap(found.mask, legs) > 0.96
    assert found.certainty > 0.9


def test_two_products_are_both_found_and_dust_is_not() -> None:
    both = disc(0.18, x=0.3) + disc(0.15, x=0.95)
    found = product_mask(on(plain(WHITE), both + disc(0.006, y=0.1, x=0.6))).mask
    assert overlap(found, both) > 0.96


def test_a_corner_of_the_background_that_stands_out_a_little_is_no_product() -> None:
    corner = torch.zeros(1, 1, HEIGHT, WIDTH)
    corner[..., -30:, :40] = 1
    background = on(plain(CREAM), corner, (0.86, 0.86, 0.86))
    assert overlap(product_mask(on(background, disc())).mask, disc()) > 0.97


def test_at_full_size_the_edge_is_the_pictures_own() -> None:
    true = disc(height=900, width=1125)
    found = product_mask(on(plain(WHITE, 900, 1125), true)).mask
    outline_px = 2 * math.pi * 0.3 * 900
    assert overlap(found, true) > 0.99
    assert ((found > 0.05) & (found < 0.95)).sum() < 2.5 * outline_px
    assert ((found > 0.5) != (true > 0.5)).sum() < 0.5 * outline_px


def test_a_corrected_mask_is_the_other_one_where_that_differs_and_stays_as_fine_elsewhere() -> None:
    picture = on(plain(WHITE), torch.maximum(disc(), disc(0.08, 0.12, 0.12)))
    mask = product_mask(picture).mask
    mask[..., 90, :60] = 1  # a hair that no small copy shows
    small = segment.shrunk(picture, 100)
    lower = segment.shrunk(mask, 100)
    lower[..., :40, :] = 0  # half of the disc and all of the speck are denied
    corrected = segment.corrected(picture, mask, small, lower)
    assert float(mask[..., :70, :70].max()) == 1
    assert float(corrected[..., :114, :].max()) < 0.5
    assert torch.equal(corrected[..., 130:, :], mask[..., 130:, :])


def test_strips_and_half_precision_change_nothing_to_speak_of(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = on(gradient(), disc())
    whole = product_mask(picture).mask
    assert (product_mask(picture.half()).mask - whole).abs().mean() < 1e-3
    monkeypatch.setattr(segment, "STRIP_PX", 2000)
    assert torch.allclose(product_mask(picture).mask, whole, atol=1e-5)


def test_a_background_that_is_not_plain_is_told_by_the_certainty() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(1, 3, 24, 30, generator=generator).repeat_interleave(10, 2).repeat_interleave(10, 3)
    assert product_mask(on(patches, disc(0.2))).certainty < 0.3
    assert product_mask(torch.rand(1, 3, HEIGHT, WIDTH, generator=generator)).certainty < 0.3


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), WHITE, (0.5, 0.4, 0.3)])
def test_a_flat_picture_has_no_product_and_no_certainty(colour: tuple[float, ...]) -> None:
    found = product_mask(plain(colour))
    assert not found.mask.any()
    assert found.certainty == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 700), (700, 3), (7, 5), (400, 400)])
def test_a_strange_picture_gives_a_mask_all_the_same(size: tuple[int, int]) -> None:
    for seed in range(2):
        noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
        for picture in (noise, noise.round(), noise[:, :1].expand(-1, 3, -1, -1) * 0.01):
            found = product_mask(picture)
            assert found.mask.shape == (1, 1, *size)
            assert found.mask.isfinite().all()
            assert found.mask.min() >= 0
            assert found.mask.max() <= 1
            assert 0 <= found.certainty <= 1


def test_bounds_are_the_first_and_last_rows_and_columns_that_hold_anything() -> None:
    mask = torch.zeros(9, 12)
    assert bounds(mask) is None
    mask[2, 3] = mask[6, 11] = 0.1
    assert bounds(mask) == (2, 7, 3, 12)
    assert bounds(mask > 0) == (2, 7, 3, 12)
