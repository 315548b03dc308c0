"""Odd files and odd wishes through Enhance, by the command line and with the networks that ship: one sentence, or the
right picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import image
from engine.cli import commands as command_line
from engine.contract.enhance import STEPS
from engine.models import prior

WIDTH, HEIGHT = 60, 44


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A dark disc on light grey."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.full((HEIGHT, WIDTH, 3), 226, np.uint8)
    pixels[np.hypot(x - WIDTH / 2, y - HEIGHT / 2) < 15] = (150, 30, 40)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit of two steps: what it reaches is tested elsewhere."""
    monkeypatch.setattr(prior, "_affordable", lambda steps, size: 2)


def mask(photo: Path, level: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """All of one level."""
    Image.new("L", size, level).save(photo.with_name("mask.png"))
    return photo.with_name("mask.png")


def hole(photo: Path) -> Path:
    """A mask with a hole in its middle."""
    drawn = Image.new("L", (WIDTH, HEIGHT))
    drawn.paste(255, (WIDTH // 3, HEIGHT // 3, WIDTH // 2, HEIGHT // 2))
    drawn.save(photo.with_name("mask.png"))
    return photo.with_name("mask.png")


def enhance(photo: Path, steps: str, *more: object) -> Path:
    """Run the command, which must end well; the picture's file."""
    out = photo.with_name("made.png")
    assert (
        command_line.main(
            ["enhance", str(photo), "--steps", steps, "--network", "embedded", "--out", str(out), *map(str, more)]
        )
        == 0
    )
    return out


def sentence(capsys: pytest.CaptureFixture[str], photo: Path, steps: str, *more: object) -> str:
    """The one line of a command that must fail and leave no picture."""
    out = photo.with_name("made.png")
    try:
        status = command_line.main(
            ["enhance", str(photo), "--steps", steps, "--network", "embedded", "--out", str(out), *map(str, more)]
        )
    except SystemExit as end:
        status = int(end.code or 0)
    said = capsys.readouterr().err
    assert status == 2
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    assert not out.exists()
    return said.strip()


@pytest.mark.parametrize("step", ["inpaint", "prior"])
@pytest.mark.parametrize(
    ("level", "size"),
    [(255, (50, 50)), (255, (600, 10)), (0, (WIDTH, HEIGHT)), (255, (WIDTH, HEIGHT))],
    ids=["another size", "another shape", "black", "white"],
)
def test_a_mask_that_cannot_be_meant_is_one_sentence(
    photo: Path, capsys: pytest.CaptureFixture[str], step: str, level: int, size: tuple[int, int]
) -> None:
    said = sentence(capsys, photo, step, "--mask", mask(photo, level, size), "--prior-task", "fill")
    if size != (WIDTH, HEIGHT):
        assert (
            said
            == f"The mask has {size[0]} x {size[1]} pixels and the photo {WIDTH} x {HEIGHT}; they must be of one size."
        )
    elif level:
        assert said == "The mask is white all over, so nothing of the photo is left to fill it from."
    else:
        assert said == "The mask has no white in it, so there is nothing to fill."


def test_a_product_mask_that_is_black_or_white_all_over(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence(capsys, photo, "cut-out", "--product", mask(photo, 0)).endswith(".")
    with Image.open(enhance(photo, "cut-out", "--product", mask(photo, 255))) as made, Image.open(photo) as before:
        assert np.abs(np.asarray(made).astype(int) - np.asarray(before)).max() <= 1


@pytest.mark.parametrize("steps", ["restore", "inpaint,tone", "auto", "upscale-x4", "listing"])
def test_a_photo_of_12000_by_80_pixels_is_one_sentence(
    photo: Path, capsys: pytest.CaptureFixture[str], steps: str
) -> None:
    Image.new("RGB", (12000, 80), "white").save(photo)
    assert "12000 x 80 pixels" in sentence(capsys, photo, steps, "--mask", mask(photo, 255))


@pytest.mark.parametrize("step", [*STEPS, "auto"])
@pytest.mark.parametrize("mode", ["RGBA", "CMYK"])
@pytest.mark.usefixtures("quick")
def test_transparent_and_printed_photos_pass_every_step(photo: Path, step: str, mode: str) -> None:
    picture = Image.open(photo).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    odd = photo.with_name("odd.png" if mode == "RGBA" else "odd.jpg")
    picture.save(odd)
    made = image.load(enhance(odd, step, "--mask", hole(photo), "--adjust", "0.2,0,0,0,0,0"))
    scale = {"upscale-x2": 2, "upscale-x3": 3, "upscale-x4": 4}.get(step, 1)
    if step not in ("auto", "listing"):
        assert (made.width, made.height) == (scale * WIDTH, scale * HEIGHT)
    assert made.pixels.isfinite().all()
    seen = made.on_white()
    if step in ("restore", "tone", "upscale-x2", "cut-out") and mode == "CMYK":  # the colours are those of the photo
        middle = seen[0, :, seen.shape[2] // 2, seen.shape[3] // 2]
        assert torch.allclose(middle, torch.tensor([150, 30, 40]) / 255, atol=0.2)


def test_a_step_twice_is_one_sentence(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence(capsys, photo, "restore,tone,restore") == "Each step can be used once in a chain."


@pytest.mark.parametrize("steps", ["upscale-x4", "upscale-x2,restore,upscale-x4"])
def test_a_result_past_the_cap_is_one_sentence_before_any_work(
    photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, steps: str
) -> None:
    monkeypatch.setenv("VITRINE_OUTPUT_MPX", "0.04")
    monkeypatch.setattr(image, "load", lambda *_: pytest.fail("was decoded"))
    assert "at most 0.04 can be made" in sentence(capsys, photo, steps)
