"""The brush: what is drawn in two colours over the photo becomes two masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from standin import Card

from engine.pictures import PictureFiles
from engine.settings import Settings
from gradio_ui import mask


def layer(**strokes: tuple[int, int, int]) -> Image.Image:
    """A layer of 40 x 20 px with a stroke in the left or the right half."""
    drawn = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    for side, colour in strokes.items():
        drawn.paste((*colour, 255), (0, 0, 10, 20) if side == "left" else (30, 0, 40, 20))
    return drawn


def test_green_is_the_product_and_red_is_protected() -> None:
    product, protected = mask.masks({"layers": [layer(left=mask.PRODUCT, right=mask.PROTECTED)]})
    assert product is not None
    assert protected is not None
    assert np.asarray(product)[:, :10].min() == 255
    assert np.asarray(product)[:, 10:].max() == 0
    assert np.asarray(protected)[:, 30:].min() == 255
    assert np.asarray(protected)[:, :30].max() == 0


@pytest.mark.parametrize("value", [None, {}, {"layers": []}, {"layers": [layer()]}])
def test_nothing_drawn_is_no_mask(value: dict[str, list[Image.Image]] | None) -> None:
    assert mask.masks(value) == (None, None)


def test_one_brush_alone_leaves_the_other_mask_away() -> None:
    product, protected = mask.masks({"layers": [layer(right=mask.PROTECTED)]})
    assert product is None
    assert protected is not None


def test_the_mask_that_is_found_lies_over_the_photo_and_comes_back_the_same(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 800), "white").save(tmp_path / "p.jpg")
    array = np.zeros((400, 800, 3), dtype=np.uint8)
    array[100:300, 200:600] = 255
    drawn = mask._drawn(PictureFiles(Settings()), str(tmp_path / "p.jpg"), Card(array))  # type: ignore[arg-type]
    assert drawn["background"].size == drawn["layers"][0].size == (768, 384)
    product, protected = mask.masks(drawn)
    assert protected is None
    assert product is not None
    share = (np.asarray(product) > 127).mean()
    assert share == pytest.approx(0.25, abs=0.01)


def test_the_canvas_shows_every_photo_that_the_door_opens(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.new("RGB", (60, 40), "red")).save(tmp_path / "p.heic")
    Image.fromarray(np.full((40, 60), 0x4000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    for name, colour in (("p.heic", (255, 0, 0)), ("deep.png", (64, 64, 64)), ("clear.png", (255, 255, 255))):
        shown = mask._drawn(PictureFiles(Settings()), str(tmp_path / name), None)["background"]
        assert shown.size == (60, 40)
        assert np.abs(np.asarray(shown, int) - colour).max() <= 3


def test_a_product_that_is_not_found_leaves_an_empty_canvas(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "p.png")
    assert mask.masks(mask._drawn(PictureFiles(Settings()), str(tmp_path / "p.png"), None)) == (None, None)
