"""Listing pictures: size, share, white, colours, straightness, size of the file; on drawn products."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import reopened
from shelf import finish, shelf
from torch import Tensor

from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.marketplaces import Marketplace, marketplace, marketplaces
from engine.enhance.enhance import enhance
from engine.enhance.steps.listing import listed
from engine.image import Picture
from engine.models.straighten import tilt
from engine.runtime.device import Device
from engine.settings import Settings

SMALL = Marketplace("small", "Small", "Drawn for tests.", "2026-11-21", 300, 300, 0.85, 1, ("jpg", "png", "webp"))
RED = (0.8, 0.2, 0.1)


def photo(
    degrees: float = 0, height: int = 240, width: int = 320, box: tuple[int, int] = (140, 90), background: float = 0.88
) -> Picture:
    """A red box of that width and height on a plain background, leaning clockwise."""
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    distance = torch.maximum((x * cos + y * sin).abs() - box[0] / 2, (y * cos - x * sin).abs() - box[1] / 2)
    inside = (0.5 - distance).clamp(0, 1)
    red = torch.tensor(RED).view(1, 3, 1, 1)
    return Picture(
        torch.lerp(torch.full((1, 3, height, width), background), red.expand(1, 3, height, width), inside), name="box"
    )


def product_box(pixels: Tensor) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is nearer to the product than to white."""
    inside = pixels[0].mean(0) < (1 + sum(RED) / 3) / 2
    rows, columns = (inside.any(dim).nonzero()[:, 0] for dim in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize(
    "market", [SMALL, replace(SMALL, height_px=375), replace(SMALL, width_px=500, fill=0.6), marketplace("instagram")]
)
@pytest.mark.parametrize("box", [(140, 90), (60, 180)])
def test_the_product_fills_its_share_of_an_exact_frame_and_stands_in_its_middle(
    market: Marketplace, box: tuple[int, int]
) -> None:
    pixels = listed(photo(box=box), market).picture.pixels
    assert tuple(pixels.shape) == (1, 3, market.height_px, market.width_px)
    top, bottom, left, right = product_box(pixels)
    assert max((bottom - top) / market.height_px, (right - left) / market.width_px) == pytest.approx(
        market.fill, abs=0.01
    )
    assert top + bottom == pytest.approx(market.height_px, abs=2)
    assert left + right == pytest.approx(market.width_px, abs=2)


def test_the_background_is_pure_white_in_the_file_too(tmp_path: Path) -> None:
    picture = listed(photo(), SMALL).picture
    top, bottom, left, right = product_box(picture.pixels)
    for suffix in ("png", "jpg"):
        levels = np.asarray(reopened(picture.save(tmp_path / f"listing.{suffix}", quality=92)))
        assert (levels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    around = np.asarray(picture.pil()).copy()
    around[top - 4 : bottom + 4, left - 4 : right + 4] = 255
    assert (around == 255).all()


@pytest.mark.parametrize("degrees", [0, 5])
def test_the_product_keeps_its_colour_and_brings_no_fringe(degrees: float) -> None:
    pixels = listed(photo(degrees, background=0.5), SMALL).picture.pixels
    top, bottom, left, right = product_box(pixels)
    inner = pixels[..., top + 6 : bottom - 6, left + 6 : right - 6]
    assert (inner - torch.tensor(RED).view(1, 3, 1, 1)).abs().max() < 1.5 / 255
    # Between white and the product there is nothing but their mixtures: the grey background would show as too little
    # red.
    assert pixels[:, 0].min() > RED[0] - 0.03


@pytest.mark.parametrize("degrees", [5.0, -5.0])
def test_a_box_that_leans_is_set_upright_and_the_remark_says_so(degrees: float) -> None:
    made = listed(photo(degrees), SMALL)
    top, bottom, left, right = product_box(made.picture.pixels)
    assert (right - left) / (bottom - top) == pytest.approx(140 / 90, rel=0.03)  # it would be 1.45 leaning
    dark = (made.picture.pixels.mean(1, keepdim=True) < 0.7).float()
    assert abs(tilt(dark)) < 1
    assert [
        r
        for r in made.remarks
        if r == f"The product was turned by 5.0 degrees, as it leaned to the {'right' if degrees > 0 else 'left'}."
    ]


def test_what_is_cut_out_already_is_taken_as_it_is() -> None:
    plain = photo(background=0.0)  # on black; the alpha alone says what is the product
    alpha = torch.zeros(1, 1, plain.height, plain.width)
    alpha[..., 60:180, 90:230] = 1
    pixels = listed(Picture(plain.pixels, alpha), SMALL).picture.pixels
    top, bottom, left, right = product_box(pixels)
    assert (right - left, bottom - top) == (pytest.approx(255, abs=2), pytest.approx(255 * 120 / 140, abs=2))


def test_a_photo_without_a_product_gives_one_sentence() -> None:
    with pytest.raises(RequestError, match=r"^No product stands out [^.]*\.$"):
        listed(Picture(torch.full((1, 3, 80, 80), 0.7)), SMALL)
    with pytest.raises(RequestError, match=r"^No product stands out [^.]*\.$"):
        listed(Picture(torch.rand(1, 3, 80, 80), torch.zeros(1, 1, 80, 80)), SMALL)


def test_a_small_product_and_a_cut_one_are_remarked_on() -> None:
    (said,) = [r for r in listed(photo(box=(70, 40)), SMALL).remarks if "enlarged 3.6 times" in r]
    assert "Enlarge x4" in said
    (said,) = [r for r in listed(photo(box=(70, 40)), SMALL, is_enlarged=True).remarks if "enlarged 3.6 times" in r]
    assert said.endswith("so it is soft; take a photo of more pixels.")
    assert any(
        r.endswith("so it is soft; take a photo of more pixels.") for r in listed(photo(box=(24, 20)), SMALL).remarks
    )
    half = photo(box=(140, 90))
    assert listed(half, SMALL).remarks == (
        (
            "The product was enlarged 1.8 times, so it is soft; the step Enlarge x4 (upscale-x4) before this one keeps"
            " it sharp."
        ),
    )
    cut = Picture(half.pixels[..., :130, :])
    assert "The product is cut off by the photo's edge." in listed(cut, SMALL).remarks


def test_files_stay_under_the_cap(tmp_path: Path) -> None:
    torch.manual_seed(0)
    noisy = photo()
    noisy = Picture((noisy.pixels + 0.2 * torch.rand_like(noisy.pixels) * (noisy.pixels[:, 1:2] < 0.5)).clamp(0, 1))
    market = replace(SMALL, most_mb=0.02)
    picture = listed(noisy, market).picture
    for suffix in ("jpg", "webp"):
        file = picture.save(tmp_path / f"small.{suffix}", quality=95, recipe=EnhanceRequest("p.png").recipe())
        assert 0.8 * market.most_bytes < file.stat().st_size <= market.most_bytes
    with pytest.raises(
        RequestError, match=r"^As PNG this picture has 0\.\d+ MB, and 0.02 MB are allowed; save it as \.jpg\.$"
    ):
        picture.save(tmp_path / "small.png")
    with pytest.raises(RequestError, match=r"cannot be made smaller than 0\.0001 MB"):
        replace(picture, most_bytes=100).save(tmp_path / "tiny.jpg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.jpg", "small.webp"]


def test_a_file_that_fits_keeps_its_quality(tmp_path: Path) -> None:
    picture = photo()
    free, capped = (
        p.save(tmp_path / f"{n}.jpg", quality=85)
        for n, p in (("free", picture), ("capped", replace(picture, most_bytes=10**7)))
    )
    assert free.read_bytes() == capped.read_bytes()


def test_a_large_photo_is_not_worked_on_at_full_size() -> None:
    made = listed(photo(height=1400, width=2000, box=(1400, 900), degrees=3), SMALL)
    assert product_box(made.picture.pixels)[3] - product_box(made.picture.pixels)[2] == pytest.approx(255, abs=3)


@pytest.mark.parametrize("name", marketplaces())
def test_every_preset_is_one_that_can_be_asked_for(name: str) -> None:
    market = marketplace(EnhanceRequest("p.png", steps=("listing",), marketplace=name).marketplace)
    assert market.rule.endswith(".")
    assert date.fromisoformat(market.written)
    assert 500 <= market.width_px <= market.height_px <= 5000
    assert 0.5 < market.fill < 0.95
    assert 1e6 <= market.most_bytes <= 20e6
    assert {"jpg"} <= set(market.formats) <= {"jpg", "png", "webp"}


def test_a_file_that_a_marketplace_does_not_take_is_refused_in_a_sentence() -> None:
    assert marketplace("amazon").refusal("webp") == "Amazon takes JPEG and PNG files only"
    assert marketplace("amazon").refusal("png") == marketplace("general").refusal("webp") == ""


def test_an_unknown_marketplace_gives_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"^There is no marketplace 'bazaar'; there is general, portrait, amazon"):
        marketplace("bazaar")
    assert EnhanceRequest("p.png").marketplace in marketplaces()


def run(file: Path, settings: Settings | None = None, **request: object) -> Result:
    return finish(enhance(EnhanceRequest(str(file), **request), shelf(), Device(), settings or Settings()))  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return photo(5).save(tmp_path / "box.png")


def test_a_chain_ends_in_a_listing_picture_and_says_what_was_done(file: Path) -> None:
    result = run(file, steps=("listing",), marketplace="instagram")
    made = result.pictures[0]
    assert (made.width, made.height, made.alpha, made.name) == (1080, 1350, None, "box")
    assert made.most_bytes == marketplace("instagram").most_bytes
    assert result.notes.networks == ("listing",)
    assert any("turned by 5.0 degrees" in remark for remark in result.notes.remarks)
    assert result.notes.fallbacks == ()


def redness(x: Tensor) -> Tensor:
    """As a network that finds what is red."""
    return 20 * (x[:, :1] - x[:, 1:2] - 0.3)


def test_on_a_background_that_is_not_plain_the_network_finds_the_product(tmp_path: Path) -> None:
    box = photo(box=(140, 90))
    tiles = torch.nn.functional.interpolate(
        torch.rand(1, 1, 15, 20, generator=torch.Generator().manual_seed(0)), scale_factor=16
    )
    red = box.pixels[:, :1] - box.pixels[:, 1:2] > 0.3
    file = Picture(torch.where(red, box.pixels, tiles.expand(-1, 3, -1, -1))).save(tmp_path / "box.png")
    with pytest.raises(RequestError, match=r"^No product stands out [^.]*\.$"):
        run(file, steps=("listing",))
    made = finish(enhance(EnhanceRequest(str(file), steps=("listing",)), shelf(cut_out=redness), Device(), Settings()))
    picture = made.pictures[0]
    top, bottom, left, right = product_box(picture.pixels)
    assert (right - left) / picture.width == pytest.approx(marketplace("general").fill, abs=0.02)
    assert (right - left) / (bottom - top) == pytest.approx(140 / 90, rel=0.04)
    assert made.notes.networks == ("listing",)


@pytest.mark.parametrize(
    ("steps", "alpha", "asked"),
    [(("listing",), True, []), (("listing",), False, ["cut-out"]), (("cut-out", "listing"), False, ["cut-out"])],
)
def test_the_network_is_loaded_only_where_nothing_was_cut_out(
    tmp_path: Path, steps: tuple[str, ...], alpha: bool, asked: list[str]
) -> None:
    box = photo()
    cut = (box.pixels[:, :1] - box.pixels[:, 1:2] > 0.3).float()
    file = Picture(box.pixels, cut if alpha else None).save(tmp_path / "box.png")
    networks = shelf(cut_out=redness)
    finish(enhance(EnhanceRequest(str(file), steps=steps), networks, Device(), Settings()))
    assert networks.asked == asked


def test_what_cannot_be_listed_is_told_before_any_work(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no marketplace 'bazaar'"):
        run(file, steps=("listing",), marketplace="bazaar")
    with pytest.raises(RequestError, match="2000 x 2000 pixels, which is 4 megapixels; at most 3 can be made"):
        run(file, Settings(output_mpx=3), steps=("listing",))
