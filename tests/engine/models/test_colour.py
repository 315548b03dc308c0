"""Colour transfer: identities, moments that match, distances that fall, tables that fit any size, flat and tiny
pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import colour
from engine.models.colour import (
    NODES,
    Lut,
    from_oklab,
    in_gamut,
    keep_colours,
    matched,
    monge_kantorovich,
    oklab,
    reinhard,
    sliced_transport,
)
from engine.models.gaussian import moments

TRANSFERS = [reinhard, monge_kantorovich, sliced_transport]
ODD = {
    "flat": torch.full((1, 3, 9, 7), 0.4),
    "1x1": torch.tensor([0.8, 0.1, 0.3]).view(1, 3, 1, 1),
    "black": torch.zeros(1, 3, 8, 8),
    "white": torch.ones(1, 3, 8, 8),
    "1x4000": torch.rand(1, 3, 1, 4000, generator=torch.Generator().manual_seed(3)),
}


def cloud(seed: int, height: int = 64, width: int = 48) -> Tensor:
    """A picture of random colours from a bent and shifted distribution, away from the gamut's edge."""
    g = torch.Generator().manual_seed(seed)
    base = torch.rand(1, 3, height, width, generator=g).pow(float(torch.rand(1, generator=g)) * 2 + 0.5)
    mix = 0.7 * torch.eye(3) + 0.3 * torch.rand(3, 3, generator=g)
    mixed = torch.einsum("dc,nchw->ndhw", mix / mix.sum(1, keepdim=True), base)
    return 0.25 + 0.1 * torch.rand(1, 3, 1, 1, generator=g) + 0.4 * mixed


def identity() -> Lut:
    return Lut(colour.grid())


def sliced_distance(a: Tensor, b: Tensor) -> float:
    """Root of the squared 2-Wasserstein distance along a line, averaged over 50 lines."""
    lines = F.normalize(torch.randn(3, 50, generator=torch.Generator().manual_seed(7)), dim=0)
    a, b = ((x.flatten(2)[0].T @ lines).sort(0)[0] for x in (a, b))
    return float((a - b).square().mean().sqrt())


def test_oklab_knows_black_white_and_red() -> None:
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).T[None, :, :, None]
    known = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0.62796, 0.22486, 0.12585]]).T[None, :, :, None]
    assert torch.allclose(oklab(colours), known, atol=1e-4)


def test_oklab_there_and_back_is_the_same_colour() -> None:
    photo = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(from_oklab(oklab(photo)), photo, atol=1e-3)


def test_light_k_times_as_strong_is_lightness_and_chroma_times_its_cube_root() -> None:
    linear = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.1
    darker, brighter = (1.055 * (k * linear).pow(1 / 2.4) - 0.055 for k in (0.5, 1.0))
    assert torch.allclose(oklab(darker), 0.5 ** (1 / 3) * oklab(brighter), atol=1e-4)


def test_colours_come_into_the_gamut_towards_grey() -> None:
    grey = torch.full((1, 1, 1, 1), 0.5)
    assert torch.allclose(
        in_gamut(torch.tensor([1.5, 0.5, 0.25]).view(1, 3, 1, 1), grey).flatten(), torch.tensor([1.0, 0.5, 0.375])
    )
    inside = torch.tensor([0.9, 0.2, 0.4]).view(1, 3, 1, 1)
    assert torch.allclose(in_gamut(inside, grey), inside)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 1, 500), (2, 3, 33, 17), (1, 3, 300, 3)])
def test_the_identity_returns_the_photo_at_any_size(shape: tuple[int, ...]) -> None:
    photo = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(identity().apply(photo), photo, atol=1e-5)


def test_a_table_is_read_red_green_blue() -> None:
    table = colour.grid()
    table[0] = table[2].clone()  # red becomes what blue was
    photo = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Lut(table).apply(photo), photo[:, [2, 1, 2]], atol=1e-5)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_strength_0_is_exactly_the_photo(transfer: Callable[[Tensor, Tensor], Lut]) -> None:
    photo = cloud(0)
    assert torch.equal(transfer(photo, cloud(1)).apply(photo, strength=0.0), photo)


def test_strength_goes_straight_from_the_photo_to_the_effect() -> None:
    photo, lut = cloud(0), reinhard(cloud(0), cloud(1))
    assert torch.allclose(lut.apply(photo, 0.5), (photo + lut.apply(photo)) / 2, atol=1e-6)


def test_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, lut = cloud(0), reinhard(cloud(0), cloud(1))
    whole, kept = lut.apply(photo), keep_colours(photo, cloud(2))
    monkeypatch.setattr(colour, "STRIP_PX", 100)
    assert torch.equal(lut.apply(photo), whole)
    assert torch.equal(keep_colours(photo, cloud(2)), kept)


def test_half_precision_stays_half_precision() -> None:
    photo = cloud(0)
    half = reinhard(photo, cloud(1)).apply(photo.half())
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), reinhard(photo, cloud(1)).apply(photo), atol=4e-3)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_a_transfer_to_itself_is_the_identity(transfer: Callable[[Tensor, Tensor], Lut]) -> None:
    photo = torch.rand(1, 3, 70, 50, generator=torch.Generator().manual_seed(0))
    assert float((transfer(photo, photo).apply(photo) - photo).abs().max()) < 1 / 255


def test_mean_and_deviation_match_after_reinhard() -> None:
    photo, style = cloud(0), cloud(1)
    now, wanted = (moments(colour._evened(oklab(x))) for x in (reinhard(photo, style, floor=0.0).apply(photo), style))
    assert torch.allclose(now.mean, wanted.mean, atol=2e-3)
    assert torch.allclose(now.covariance.diag().sqrt(), wanted.covariance.diag().sqrt(), rtol=0.03)


def test_mean_and_covariance_match_after_monge_kantorovich() -> None:
    photo, style = cloud(0), cloud(1)
    now, wanted = moments(monge_kantorovich(photo, style, floor=0.0).apply(photo)), moments(style)
    assert torch.allclose(now.mean, wanted.mean, atol=1e-3)
    assert torch.allclose(now.covariance, wanted.covariance, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_sliced_transport_brings_the_distributions_together(seed: int) -> None:
    photo, style = cloud(seed), cloud(seed + 1)
    after = sliced_distance(sliced_transport(photo, style).apply(photo), style)
    assert after < 0.2 * sliced_distance(photo, style)


def test_sliced_transport_sees_more_than_mean_and_covariance() -> None:
    photo = 0.3 + 0.4 * torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    style = 0.3 + 0.4 * torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(1)).pow(3)
    linear, sliced = (
        sliced_distance(t(photo, style).apply(photo), style) for t in (monge_kantorovich, sliced_transport)
    )
    assert sliced < 0.6 * linear


def test_sliced_transport_rises_everywhere_and_nowhere_steeply() -> None:
    packshot = torch.ones(1, 3, 64, 64)
    packshot[:, :, 20:40, 20:40] = cloud(3, 20, 20)
    packshot -= 0.01 * torch.rand(packshot.shape, generator=torch.Generator().manual_seed(0))
    style = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert colour._is_calm(sliced_transport(packshot, style).table)
    background = sliced_transport(packshot, style).apply(packshot)[:, :, :16]
    assert float(background.std((2, 3)).max()) < colour.MOST_GAIN * 2 * float(packshot[:, :, :16].std())


def test_sliced_transport_is_the_same_for_the_same_seed() -> None:
    first, again, other = (sliced_transport(cloud(0), cloud(1), seed=seed).table for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_a_large_copy_gives_the_same_table(transfer: Callable[[Tensor, Tensor], Lut]) -> None:
    photo, style = (
        F.interpolate(torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0)), (200, 160), mode="bilinear"),
        cloud(1),
    )
    small, large = transfer(photo, style), transfer(F.interpolate(photo, scale_factor=3), style)
    assert float((small.apply(photo) - large.apply(photo)).abs().max()) < 4 / 255


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("odd", ODD)
def test_odd_pictures_give_sensible_ones(odd: str, transfer: Callable[[Tensor, Tensor], Lut]) -> None:
    for photo, style in ((ODD[odd], cloud(0)), (cloud(0), ODD[odd]), (ODD[odd], ODD["white"])):
        lut = transfer(photo, style)
        result = lut.apply(photo)
        assert lut.table.shape == (3, NODES, NODES, NODES)
        assert lut.table.isfinite().all()
        assert result.shape == photo.shape
        assert float(result.min()) >= 0
        assert float(result.max()) <= 1


def test_kept_colours_have_the_painting_s_luma_and_the_photo_s_chroma() -> None:
    photo, painted = 0.4 + 0.2 * cloud(0), 0.4 + 0.2 * cloud(1)
    kept = keep_colours(photo, painted)
    assert torch.allclose(colour._luma(kept), colour._luma(painted), atol=1e-5)
    assert torch.allclose(kept - colour._luma(kept), photo - colour._luma(photo), atol=1e-5)


def test_kept_colours_meet_the_luma_even_at_the_gamut_s_edge() -> None:
    photo, painted = (torch.rand(1, 3, 30, 30, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.allclose(colour._luma(keep_colours(photo, painted)), colour._luma(painted), atol=1e-5)


def test_white_paint_stays_white_on_any_colour() -> None:
    assert torch.allclose(keep_colours(cloud(0), torch.ones(1, 3, 64, 48)), torch.ones(1, 3, 64, 48), atol=1e-6)


def test_a_matched_style_has_the_photo_s_colours() -> None:
    photo, style = cloud(0), cloud(1, 30, 40)
    now, wanted = matched(style, photo), moments(photo)
    assert now.shape == style.shape
    assert torch.allclose(moments(now).mean, wanted.mean, atol=1e-3)
    assert torch.allclose(moments(now).covariance, wanted.covariance, atol=2e-3)


def test_evened_lightness_there_and_back_is_the_same() -> None:
    lab = oklab(torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(colour._unevened(colour._evened(lab)), lab, atol=1e-4)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_noise_in_black_and_in_white_stays_small(transfer: Callable[[Tensor, Tensor], Lut]) -> None:
    noise = 0.01 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for plain in (noise, 1 - noise):
        photo = torch.cat([plain, cloud(3, 32, 16)], 3)
        result = transfer(photo, cloud(1)).apply(photo)[..., :32]
        assert float(result.std((2, 3)).max()) < 3 * float(noise.std())
