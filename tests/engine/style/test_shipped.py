"""Style with the shipped networks: hostile styles and masks, and a picture in tiles beside the picture whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shelf import finish, write_photo

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.style import StyleRequest
from engine.runtime.device import Device
from engine.settings import ROOT, Settings
from engine.style.stylize import stylize
from engine.weights import TABLE, Weights

EXAMPLE = ROOT / "gradio_ui" / "examples" / "mug.jpg"
METHODS = {
    "fast": {},
    "gatys": {"steps": 3},
    "gatys from fast": {"steps": 3, "start": "fast"},
    "gatys, histogram": {"steps": 3, "style_loss": "histogram"},
}
NARROW = "style.png has {} pixels, which is too long and narrow for a photo."
ONE_COLOUR = "The style picture has only one colour; choose one with strokes or a pattern."


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(Device(), Settings())


@pytest.fixture
def photo(tmp_path: Path) -> str:
    with Image.open(EXAMPLE) as example:
        example.resize((96, 72)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def restyled(weights: Weights, photo: str, style: str, settings: Settings | None = None, **request: Any) -> Result:
    asked = StyleRequest(photo, style=style, **({"size_px": 96} | request))
    return finish(stylize(asked, weights, Device(), settings or Settings()))


def assert_sound(result: Result) -> None:
    """Numbers from 0 to 1, and a picture: neither one colour nor black."""
    pixels = result.pictures[0].pixels
    assert torch.isfinite(pixels).all()
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    assert float(pixels.std()) > 0.02


def _flat(file: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 40)).save(file)


def _transparent(file: Path) -> None:
    """All of it; what lies beneath is noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    Image.fromarray(pixels, "RGBA").save(file)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "of one flat colour": (_flat, ONE_COLOUR),
    "transparent": (_transparent, ONE_COLOUR),
    "half transparent": (lambda file: write_photo(file, 60, 40, seed=2, mode="RGBA"), ""),
    "long and narrow": (lambda file: write_photo(file, 8, 200, seed=6), ""),
    "of 8 x 8 pixels": (lambda file: write_photo(file, 8, 8, seed=3), ""),
    "of 1 x 4000 pixels": (lambda file: write_photo(file, 1, 4000, seed=4), NARROW.format("1 x 4000")),
    "of 4000 x 1 pixels": (lambda file: write_photo(file, 4000, 1, seed=5), NARROW.format("4000 x 1")),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_style_gives_a_picture_or_a_sentence(
    tmp_path: Path, weights: Weights, photo: str, kind: str, method: str
) -> None:
    make, sentence = HOSTILE[kind]
    make(tmp_path / "style.png")
    asked = {"method": method.split(" ")[0].rstrip(","), **METHODS[method]}
    if sentence:
        with pytest.raises(RequestError) as error:
            restyled(weights, photo, str(tmp_path / "style.png"), **asked)
        assert str(error.value) == sentence
    else:
        assert_sound(restyled(weights, photo, str(tmp_path / "style.png"), **asked))


@pytest.mark.parametrize("method", METHODS)
def test_a_photo_in_its_own_style_stays_much_as_it_is(weights: Weights, photo: str, method: str) -> None:
    result = restyled(weights, photo, photo, method=method.split(" ")[0].rstrip(","), **METHODS[method])
    assert_sound(result)
    assert result.before is not None
    assert float((result.pictures[0].pixels - result.before.pixels).abs().mean()) < 0.1


@pytest.mark.parametrize("method", ["fast", "gatys"])
def test_an_empty_and_a_full_mask_are_taken_at_their_word(
    tmp_path: Path, weights: Weights, photo: str, method: str
) -> None:
    for level, same in ((0, True), (255, False)):
        Image.new("L", (96, 72), level).save(tmp_path / "mask.png")
        result = restyled(
            weights, photo, "great-wave", method=method, steps=2, apply_to="product", mask=str(tmp_path / "mask.png")
        )
        assert_sound(result)
        assert result.before is not None
        assert torch.equal(result.pictures[0].pixels, result.before.pixels) is same


def test_four_styles_without_weight_are_a_sentence_and_with_them_a_picture(weights: Weights, photo: str) -> None:
    three = ("great-wave", "udnie", "tableau")
    with pytest.raises(RequestError, match=r"^At least one style needs a weight above 0\.$"):
        StyleRequest(photo, style="starry-night", more_styles=three, style_weights=(0, 0, 0, 0))
    for method in ("fast", "gatys"):
        assert_sound(
            restyled(
                weights, photo, "starry-night", more_styles=three, style_weights=(0, 0, 0, 1), method=method, steps=2
            )
        )


def test_the_shipped_painter_leaves_no_seam(weights: Weights) -> None:
    """640 px in one piece, and in tiles of 240."""
    need = next(row for row in TABLE if row.name == "faststyle").tiling.bytes_per_px
    whole, tiled = (
        restyled(weights, str(EXAMPLE), "starry-night", Settings(tile_memory=need * side**2), size_px=640)
        .pictures[0]
        .pixels
        for side in (800, 240)
    )
    difference = (whole - tiled).abs()
    assert float(difference.mean()) <= 1 / 255
    assert float(difference.max()) <= 8 / 255


def test_strokes_at_an_edge_are_those_of_the_middle(tmp_path: Path, weights: Weights) -> None:
    """On even surfaces: without a margin they would be drawn out across the edge, half as steep that way as along
    it.
    """
    Image.new("RGB", (320, 160), (225, 220, 210)).save(tmp_path / "p.png")
    luma = restyled(weights, str(tmp_path / "p.png"), "starry-night", size_px=320).pictures[0].pixels[0].mean(0)

    def across_to_along(strip: torch.Tensor) -> float:
        return float(strip.diff(dim=0).abs().mean() / strip.diff(dim=1).abs().mean())

    for edge in (luma[:6], luma[-6:], luma.T[:6], luma.T[-6:]):
        assert across_to_along(edge) > 0.75


def test_fewer_strokes_leave_even_background_evener(weights: Weights, tmp_path: Path) -> None:
    Image.new("RGB", (256, 256), (235, 235, 230)).save(tmp_path / "white.png")

    def unevenness(strokes: float) -> float:
        return float(
            restyled(weights, str(tmp_path / "white.png"), "starry-night", strokes=strokes)
            .pictures[0]
            .pixels.std((2, 3))
            .mean()
        )

    none, half, all_ = (unevenness(strokes) for strokes in (0.0, 0.5, 1.0))
    assert none < half < all_
    assert half < 0.7 * all_
