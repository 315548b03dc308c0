"""The verb recolour: as many pictures as colours, the background left alone, mistakes in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shelf import finish, shelf

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.recipe import from_recipe
from engine.contract.recolour import RecolourRequest
from engine.recolour.recolour import recolour
from engine.runtime.device import Device
from engine.settings import Settings


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A red block with a white stripe, on light grey."""
    pixels = np.full((120, 160, 3), 236, dtype=np.uint8)
    pixels[30:100, 40:120] = (190, 40, 45)
    pixels[60:70, 40:120] = (250, 250, 250)
    Image.fromarray(pixels).save(tmp_path / "block.png")
    return str(tmp_path / "block.png")


def run(photo: str, **request: Any) -> Result:
    return finish(recolour(RecolourRequest(photo, **request), shelf(), Device(), Settings()))  # type: ignore[arg-type]


def test_there_is_a_picture_for_each_colour_and_the_red_is_found(photo: str) -> None:
    result = run(photo, colours=("#2040c0", "#208040"))
    assert len(result.pictures) == 2
    assert result.notes.remarks == ("The colour #be282d was replaced; the product also has #fafafa.",)
    for picture, channel in zip(result.pictures, (2, 1), strict=True):
        assert int(picture.pixels[0, :, 40:50, 60:100].mean((1, 2)).argmax()) == channel


def test_background_and_stripe_stay(photo: str) -> None:
    result = run(photo, colours=("#2040c0",))
    assert result.before is not None
    before, after = result.before.pixels, result.pictures[0].pixels
    assert torch.equal(before[..., :20, :], after[..., :20, :])
    assert float((before - after)[..., 63:67, 60:100].abs().max()) < 0.03


def test_no_strength_is_the_photo_and_a_recipe_repeats(photo: str) -> None:
    nothing = run(photo, colours=("#2040c0",), strength=0.0)
    assert nothing.before is not None
    assert torch.equal(nothing.pictures[0].pixels, nothing.before.pixels)
    first = run(photo, colours=("#112233",))
    request = from_recipe(first.recipe, photo=photo)
    again = finish(recolour(request, shelf(), Device(), Settings()))  # type: ignore[arg-type]
    assert torch.equal(first.pictures[0].pixels, again.pictures[0].pixels)


@pytest.mark.parametrize(("rows", "replaced"), [(4, "#8c8c8c"), (30, "#be282d")])
def test_a_colourful_part_is_the_product_s_colour_unless_it_is_small(tmp_path: Path, rows: int, replaced: str) -> None:
    pixels = np.full((120, 160, 3), 236, dtype=np.uint8)
    pixels[30:100, 40:120] = 140
    pixels[60 : 60 + rows, 40:120] = (190, 40, 45)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    assert (
        run(str(tmp_path / "p.png"), colours=("#2040c0",))
        .notes.remarks[0]
        .startswith(f"The colour {replaced} was replaced; ")
    )


def test_several_colours_become_one_each_with_its_own_shading(photo: str) -> None:
    both = run(photo, colours=("#2040c0",), source="#be282d, #fafafa")
    assert both.notes.remarks == ("The colours #be282d and #fafafa were replaced.",)
    block, stripe = (both.pictures[0].pixels[0, :, y, 80] for y in (45, 65))
    assert torch.allclose(block, torch.tensor([0x20, 0x40, 0xC0]) / 255, atol=0.03)
    assert torch.allclose(stripe, block, atol=0.1)
    named, found = (run(photo, colours=("#2040c0",), source=source).pictures[0].pixels for source in ("#be282d", ""))
    assert torch.allclose(named, found, atol=1e-5)  # what is found is a mean, which some processors round otherwise


def test_a_colour_that_is_not_there_is_not_said_to_be_replaced(photo: str) -> None:
    result = run(photo, colours=("#2040c0",), source="#00ff00")
    assert result.notes.remarks == (
        "There is nothing of #00ff00 to be replaced; the product's colours are #be282d, #fafafa.",
    )


def test_a_white_product_on_nothing_is_what_is_opaque(tmp_path: Path) -> None:
    pixels = np.full((120, 160, 4), 255, dtype=np.uint8)
    pixels[..., 3] = 0
    pixels[30:100, 40:120] = (235, 235, 235, 255)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    result = run(str(tmp_path / "p.png"), colours=("#2040c0",))
    red, _, blue = result.pictures[0].pixels[0, :, 60, 80].tolist()
    assert blue > red + 0.2


def test_without_a_plain_background_a_mask_is_asked_for(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "n.png")
    with pytest.raises(RequestError, match=r"^The product could not be told from its background; give a mask of it\.$"):
        run(str(tmp_path / "n.png"))
    Image.new("L", (90, 90), 255).save(tmp_path / "m.png")
    assert run(str(tmp_path / "n.png"), mask=str(tmp_path / "m.png"), colours=("#00ff00",)).pictures
    Image.new("L", (90, 90), 0).save(tmp_path / "m.png")
    with pytest.raises(RequestError, match=r"^There is nothing inside the mask to be recoloured\.$"):
        run(str(tmp_path / "n.png"), mask=str(tmp_path / "m.png"))


def test_more_pixels_than_a_result_may_have_are_one_sentence(photo: str) -> None:
    few = Settings(output_mpx=0.05)  # two pictures of 160 x 120 px, not three
    request = RecolourRequest(photo, colours=("#2040c0", "#208040", "#804020"))
    with pytest.raises(
        RequestError,
        match=r"^The pictures would have 0 megapixels together, and at most 0.05 can be made; choose a smaller size\.$",
    ):
        finish(recolour(request, shelf(), Device(), few))  # type: ignore[arg-type]
    two = RecolourRequest(photo, colours=("#2040c0", "#208040"))
    assert len(finish(recolour(two, shelf(), Device(), few)).pictures) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"colours": ()}, "Give 1 to 12 colours, not 0."),
        ({"colours": ("#000000",) * 13}, "Give 1 to 12 colours, not 13."),
        ({"colours": ("red",)}, "A colour is written as #rrggbb, not as 'red'."),
        ({"source": "#12"}, "A colour is written as #rrggbb, not as '#12'."),
        ({"source": "#112233,"}, "A colour is written as #rrggbb, not as ''."),
        ({"source": 3}, "The colour to be replaced must be a text, not 3."),
        ({"colours": "#000000"}, "Colours must be a list of names, not '#000000'."),
        ({"strength": float("nan")}, "Strength must be a number from 0.0 to 1.0, not nan."),
    ],
)
def test_mistakes_are_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError) as error:
        RecolourRequest("p.png", **settings)
    assert str(error.value) == sentence


@pytest.mark.parametrize("strength", [0.25, 0.7])
def test_strength_is_the_share_of_the_way_to_the_new_colour(photo: str, strength: float) -> None:
    whole, part = (run(photo, colours=("#2040c0",), strength=s) for s in (1.0, strength))
    assert whole.before is not None
    expected = torch.lerp(whole.before.pixels, whole.pictures[0].pixels, strength)
    torch.testing.assert_close(part.pictures[0].pixels, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(part.pictures[0].pixels, whole.pictures[0].pixels, atol=0.02)
