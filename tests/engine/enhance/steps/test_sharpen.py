"""The step sharpen: it does what its two settings say, in a photo of any size, and every door knows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from chains import run
from PIL import Image
from shelf import Shelf

from engine import image
from engine.cli import commands
from engine.contract import STEPS, EnhanceRequest, RequestError, from_recipe
from engine.models.sharpen import unsharp
from engine.settings import Settings


@pytest.fixture
def photo(tmp_path: Path) -> str:
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    small.resize((240, 180), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def sharpened(photo: str, **options: float) -> torch.Tensor:
    request = EnhanceRequest.of({"steps": ("sharpen",), "photo": photo, **options})
    result = run(Shelf(), photo, steps=request.steps, options=request.options)
    assert result.notes.networks == ("unsharp masking",)
    return result.pictures[0].pixels


@pytest.mark.parametrize(("radius", "amount"), [(0.6, 2.0), (4.0, 0.5)])
def test_it_is_unsharp_masking_by_the_radius_and_amount_that_are_given(
    photo: str, radius: float, amount: float
) -> None:
    expected = unsharp(image.load(photo).pixels, radius, amount)
    torch.testing.assert_close(
        sharpened(photo, sharpen_radius=radius, sharpen_amount=amount), expected, atol=1e-6, rtol=0
    )


def test_no_amount_leaves_the_photo_as_it_is(photo: str) -> None:
    torch.testing.assert_close(sharpened(photo, sharpen_amount=0.0), image.load(photo).pixels, atol=1e-6, rtol=0)


def test_tiles_show_no_seam(photo: str) -> None:
    small_tiles = Settings(tile_memory=100 * 64 * 64)
    result = run(Shelf(), photo, small_tiles, steps=("sharpen",), options={"sharpen_radius": 2.0})
    expected = unsharp(image.load(photo).pixels, 2.0, 0.8)
    torch.testing.assert_close(result.pictures[0].pixels, expected, atol=1e-6, rtol=0)


def test_a_recipe_carries_its_settings() -> None:
    request = EnhanceRequest.of({"photo": "p", "steps": ("sharpen",), "sharpen_radius": 3.0})
    assert request.recipe()["sharpen_radius"] == 3.0
    assert from_recipe(request.recipe(), photo="p") == request


@pytest.mark.parametrize(
    ("setting", "value"), [("sharpen_radius", 0.1), ("sharpen_amount", 6), ("sharpen_amount", "a")]
)
def test_a_value_out_of_bounds_is_one_sentence(setting: str, value: float) -> None:
    with pytest.raises(RequestError, match=r"Sharpen (radius|amount) must be a number from .* to .*, not .*\."):
        EnhanceRequest.of({"photo": "p", "steps": ("sharpen",), setting: value})


def test_the_command_line_takes_its_settings(tmp_path: Path, photo: str) -> None:
    out = tmp_path / "sharp.png"
    assert commands.main(["enhance", photo, "--steps", "sharpen", "--sharpen-amount", "0", "--out", str(out)]) == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(photo)))


def test_it_stands_where_a_good_chain_has_it() -> None:
    order = list(STEPS)
    assert order.index("upscale-x4") < order.index("sharpen") < order.index("listing")
