"""A mask follows a picture's edges where colour tells the product from its background,
and no stripes of the product's own.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import guided, segment
from engine.models.cutout import decontaminated

Colour = tuple[float, float, float]
LINEN, NAVY = (0.78, 0.72, 0.62), (0.1, 0.12, 0.3)
RED, GREY = (0.8, 0.2, 0.26), (0.42, 0.42, 0.42)  # of the same light
SIDE, FIRST, LAST = 120, 36, 84  # px of a picture, and the columns of a broad band down its middle


def band(stripes: tuple[Colour, Colour], background: Colour, wide_px: int = 4, scale: int = 1) -> Tensor:
    """A band of cloth with stripes across on a plain background, (1, 3, S, S), S = SIDE * scale."""
    colours = torch.tensor(stripes)[torch.arange(SIDE * scale) // wide_px % 2].T[None, :, :, None]
    return torch.where(true_mask(scale) > 0, colours, torch.tensor(background).view(1, 3, 1, 1))


def true_mask(scale: int = 1) -> Tensor:
    columns = torch.arange(SIDE * scale)
    return ((columns >= FIRST * scale) & (columns < LAST * scale)).float().expand(1, 1, SIDE * scale, SIDE * scale)


def seen(shift: int = 0) -> Tensor:
    """The band as a network sees it: soft, and beside its place by `shift` px."""
    return F.avg_pool2d(F.pad(true_mask().roll(shift, 3), (3,) * 4, mode="replicate"), 7, 1)


def edge(mask: Tensor) -> Tensor:
    """Where the band begins, per row, in px; rows at the picture's ends left out."""
    far = mask.shape[2] // 8
    left = mask[0, 0, far:-far, : mask.shape[3] // 2]
    return left.shape[1] - (left > 0.5).sum(1).float()


def teeth_px(mask: Tensor) -> float:
    return float(edge(mask).max() - edge(mask).min())


@pytest.mark.parametrize("wide_px", [4, 7])
def test_stripes_of_the_background_s_own_colour_make_no_comb(wide_px: int) -> None:
    pixels = band((NAVY, LINEN), LINEN, wide_px=4 * wide_px, scale=4)
    assert teeth_px(segment.to_full_size(pixels, segment.shrunk(pixels, SIDE), seen(2))) <= 1


def test_stripes_too_fine_for_the_small_copy_make_no_comb_at_full_size() -> None:
    pixels = band((NAVY, LINEN), LINEN, wide_px=2, scale=4)
    found = segment.to_full_size(pixels, segment.shrunk(pixels, SIDE), seen())
    assert teeth_px(found) <= 2


@pytest.mark.parametrize("shift", [-1, 1])
def test_an_edge_that_colour_alone_tells_is_found_beside_where_it_was_seen(shift: int) -> None:
    pixels = band((RED, RED), GREY)
    for found in (guided.filtered(pixels, seen(shift)), segment.to_full_size(pixels, pixels, seen(shift))):
        assert float((edge(found) - FIRST).abs().max()) < 1


def test_a_strap_too_thin_to_have_an_inside_is_told_by_its_colour() -> None:
    pixels, strap = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
    pixels[..., 60:63], strap[..., 60:63] = torch.tensor(LINEN).view(1, 3, 1, 1), 1
    found = segment.to_full_size(pixels, pixels, F.avg_pool2d(strap, 3, 1, 1))
    assert float((found - strap).abs()[..., 8:-8, :].max()) < 0.1


def test_pale_stripes_are_opaque_up_to_the_outline() -> None:
    pixels, mask = band((NAVY, LINEN), LINEN, wide_px=12, scale=4), true_mask(4)
    alpha = decontaminated(pixels, mask)[1]
    assert float(alpha[mask > 0].min()) > 0.9
    rim_of_background = segment.dilated(mask[0, 0] > 0, 2).float()[None, None]
    plain = decontaminated(band((NAVY, NAVY), LINEN, scale=4), rim_of_background)[1]
    assert float(plain[(rim_of_background > 0) & (mask == 0)].max()) < 0.1, (
        "of one colour, a rim of the background goes"
    )


def test_a_pale_band_on_a_hardly_darker_background_is_told_by_its_brightness() -> None:
    pixels = band(((0.9, 0.9, 0.88),) * 2, (0.74, 0.74, 0.7))
    found = guided.by_brightness(pixels, seen(1))
    assert float((edge(found) - FIRST).abs().max()) < 1
    assert float((found - true_mask()).abs().max()) < float((seen(1) - true_mask()).abs().max())
