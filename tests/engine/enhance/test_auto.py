"""Auto: what is proposed for known degradations and why, clean photos left alone, crops, the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noise import EXAMPLES, noisy
from PIL import Image
from shelf import Shelf, finish, invert, shelf
from torch import Tensor

from engine import Studio, image
from engine.cli import commands as command_line
from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Progress, Result
from engine.enhance import auto
from engine.enhance.enhance import enhance
from engine.image import Picture
from engine.models.srgb import to_lab
from engine.models.tone import adjusted
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import ROOT, Settings
from engine.train.degrade import blurred, disk_kernel, gaussian_kernel, straight_kernel


def path_of(name: str) -> str:
    return str(ROOT / f"gradio_ui/examples/{name}.jpg")


def example(name: str) -> Tensor:
    return image.load(path_of(name)).pixels


def part(name: str) -> Tensor:
    """Enough of an example for what hardly depends on the rest, and just not too small to be sold by."""
    return example(name)[:, :, 200:600, 100:600]


def toned(pixels: Tensor, **amounts: float) -> Tensor:
    row = torch.tensor([[amounts.get(name, 0.0) for name in auto.ADJUSTMENTS]])
    return adjusted(pixels.flatten(2), row).clamp(0, 1).view_as(pixels)


def proposed(pixels: Tensor, table: tuple[int, ...] | None = None) -> auto.Proposal:
    return auto.propose(finished(auto.measure(Picture(pixels), table)))


def names(proposal: auto.Proposal) -> tuple[str, ...]:
    return tuple(step.name for step in proposal.steps)


def run(weights: Shelf, photo: str, **request: Any) -> Result:
    return finish(enhance(EnhanceRequest(photo, steps=("auto",), **request), weights, Device(), Settings()))  # type: ignore[arg-type]


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A clean photo that is too small to be sold by."""
    file = tmp_path / "small.png"
    Picture(example("mug")).resized(300, 300).save(file)
    return str(file)


@pytest.fixture
def grainy(tmp_path: Path) -> str:
    file = tmp_path / "grainy.png"
    Picture(noisy(example("mug")[:, :, 200:712, 200:760], 20)).save(file)
    return str(file)


@pytest.mark.parametrize("name", EXAMPLES[:4])
def test_a_clean_photo_is_left_alone_to_the_last_bit(name: str) -> None:
    weights = shelf()
    result = run(weights, path_of(name))
    assert torch.equal(result.pictures[0].pixels, example(name))
    assert result.notes.remarks == ("Nothing in this photo needs mending, so it is left as it is.",)
    assert weights.asked == []


@pytest.mark.parametrize(
    ("spoil", "steps", "reason"),
    [
        (lambda x: noisy(x, 25), ("restore",), "Noise has a deviation of 2"),
        (lambda x: blurred(x, gaussian_kernel(3.0)[None]), ("deblur",), "The sharpest edges are spread over 2."),
        (lambda x: toned(x, exposure=-3.0), ("tone",), "Hardly anything in the photo is lighter than level"),
        (lambda x: toned(x, temperature=0.5), ("tone",), "The plain background is tinted towards yellow by"),
    ],
)
def test_each_trouble_has_its_step_and_its_number(
    spoil: Callable[[Tensor], Tensor], steps: tuple[str, ...], reason: str
) -> None:
    found = proposed(spoil(example("mug")[:, :, ::2, ::2]) if steps != ("deblur",) else spoil(example("mug")))
    assert names(found) == steps
    assert found.reasons[0].startswith(reason)


def test_a_jpeg_is_known_by_its_file_and_by_its_pixels(tmp_path: Path) -> None:
    Picture(part("watch")).save(tmp_path / "a.jpg", quality=30)
    image.load(tmp_path / "a.jpg").save(tmp_path / "b.png")
    for file in ("a.jpg", "b.png"):
        assert finished(auto.look(tmp_path / file)).reasons == ("JPEG of quality 30 has left blocks: it is cleaned.",)


def test_a_good_jpeg_of_strong_noise_says_both_numbers() -> None:
    found = proposed(noisy(part("vase"), 15), tuple([60] * 64))
    assert found.reasons[0].startswith(
        "Noise has a deviation of 15 of 255 levels and JPEG of quality 48 has left blocks"
    )
    assert found.strength == 1


def test_a_little_noise_is_cleaned_with_less_strength() -> None:
    assert proposed(noisy(part("vase"), 7)).strength == pytest.approx(0.7, abs=0.06)
    assert names(proposed(noisy(part("vase"), 3))) == ()


@pytest.mark.parametrize(
    "amounts", [{"temperature": 0.5}, {"temperature": -0.5}, {"tint": 0.35}, {"temperature": 0.4, "exposure": -0.1}]
)
def test_a_tinted_background_becomes_neutral(amounts: dict[str, float]) -> None:
    cast = toned(example("perfume").clamp(0.02, 0.9), **amounts)
    found = proposed(cast)
    assert names(found) == ("tone",)
    mended = toned(cast, **dict(zip(auto.ADJUSTMENTS, found.adjust, strict=True)))
    before, after = (to_lab(x[:, :, :40, :40]).mean((0, 2, 3)) for x in (cast, mended))
    assert float(after[1:].norm()) < 2 < 6 < float(before[1:].norm())
    assert float(after[0]) > float(before[0]) - 1


@pytest.mark.parametrize(
    ("background", "product", "lit"),
    [((194, 208, 227), 246, False), ((242, 232, 208), 248, False), ((242, 232, 208), 120, True)],
)
def test_a_background_on_which_something_white_lies_is_coloured_and_not_tinted(
    background: tuple[int, int, int], product: int, lit: bool
) -> None:
    scene = torch.tensor(background).view(1, 3, 1, 1).expand(1, 3, 600, 600) / 255
    y, x = torch.meshgrid(torch.arange(600.0), torch.arange(600.0), indexing="ij")
    ball = ((y - 300).hypot(x - 300) < 150)[None, None]
    scene = torch.where(ball, product / 255 - 0.05 * (y - 150) / 300, scene)
    assert names(proposed(scene)) == (("tone",) if lit else ())


def test_a_charcoal_background_is_dark_on_purpose() -> None:
    scene = torch.full((1, 3, 600, 600), 36 / 255)
    scene[:, :, 200:400, 200:400] = torch.tensor([0.6, 0.5, 0.2]).view(1, 3, 1, 1)
    assert names(proposed(scene)) == ()


@pytest.mark.parametrize("name", EXAMPLES[:4])
@pytest.mark.parametrize("stops", [2.0, 3.0])
def test_a_dark_photo_is_lit_to_where_it_was(name: str, stops: float) -> None:
    clean = example(name)[:, :, ::2, ::2]
    dark = (toned(clean, exposure=-stops) * 255).round() / 255
    found = proposed(dark)
    assert "tone" in names(found)
    assert found.adjust[0] == pytest.approx(stops, abs=0.35)
    lit = toned(dark, **dict(zip(auto.ADJUSTMENTS, found.adjust, strict=True)))
    assert float((lit - clean).square().mean().sqrt()) < 0.06 < float((dark - clean).square().mean().sqrt())


def on_black(product: float) -> Tensor:
    pixels = torch.full((1, 3, 600, 600), 0.04)
    pixels[:, :, 150:450, 150:450] = product * torch.linspace(0.3, 1, 300)
    return pixels


def test_what_is_dark_on_purpose_stays_dark() -> None:
    assert "tone" not in names(proposed(on_black(0.5)))
    dark_but_for_a_window = toned(example("mug"), exposure=-3.0)
    dark_but_for_a_window[:, :, :200, :200] = 1.0
    assert "tone" not in names(proposed(dark_but_for_a_window))


def test_a_glint_and_noise_do_not_hide_that_a_photo_is_dark() -> None:
    dark = toned(example("mug"), exposure=-2.0)
    dark[:, :, 300:320, 300:320] = 1.0
    assert names(proposed(noisy(dark, 20))) == ("restore", "tone")


def test_a_dim_bluish_snapshot_is_cleaned_lit_and_made_neutral() -> None:
    found = finished(auto.look(path_of("snapshot-handbag")))
    assert names(found) == ("restore", "tone")
    assert found.adjust[0] > 0.4
    assert found.adjust[1] > 0.1


@pytest.mark.parametrize(
    ("colour", "steps"), [((0.75, 0.62, 0.45), ()), ((0.65, 0.65, 0.65), ()), ((0.60, 0.65, 0.78), ("tone",))]
)
def test_wood_and_grey_stay_and_a_bluish_background_does_not(
    colour: tuple[float, float, float], steps: tuple[str, ...]
) -> None:
    pixels = torch.tensor(colour).view(1, 3, 1, 1).repeat(1, 1, 600, 600)
    pixels[:, :, 200:400, 200:400] = torch.tensor([0.1, 0.1, 0.12]).view(1, 3, 1, 1)
    assert names(proposed(pixels)) == steps


@pytest.mark.parametrize(
    ("side", "step"), [(499, "upscale-x3"), (334, "upscale-x3"), (333, "upscale-x4"), (90, "upscale-x4")]
)
def test_what_is_too_small_to_be_sold_by_is_enlarged(side: int, step: str) -> None:
    found = proposed(torch.full((1, 3, side // 2, side), 0.9))
    assert names(found) == (step,)
    assert f"{side} pixels" in found.reasons[0]


def test_steps_come_in_the_order_in_which_they_help() -> None:
    seen = finished(auto.measure(Picture(toned(part("mug"), exposure=-3.5))))
    spoiled = replace(seen, noise=12.0, jpeg=40, blur=2.4, width=400, height=320)
    assert names(auto.propose(spoiled)) == ("restore", "deblur", "tone", "upscale-x3")
    assert len(auto.propose(spoiled).reasons) == 4


def test_a_blur_just_over_its_bound_is_not_told_as_the_bound() -> None:
    seen = replace(finished(auto.measure(Picture(part("mug")))), blur=auto.BLUR_LEAST_PX + 0.01)
    assert auto.propose(seen).reasons == (
        "The sharpest edges are spread over 1.7 pixels, and up to 1.6 are sharp: they are sharpened.",
    )
    assert "1.7 pixels, soft" in " ".join(f.text for f in seen.findings())


@pytest.mark.parametrize(
    ("spread", "value", "found", "reason"),
    [
        (
            (2.6, 0.5),
            9,
            "shaken by about 9 pixels",
            "The camera moved by about 9 pixels while it took the photo: it is sharpened.",
        ),
        (
            (1.5, 1.4),
            6,
            "out of focus, points are spots of about 6 pixels",
            "The photo is out of focus by about 6 pixels: it is sharpened.",
        ),
        ((1.2, 0.3), 0.5, "edges spread over 0.5 pixels, sharp", ""),
    ],
)
def test_what_the_network_sees_of_a_blur_is_told(
    spread: tuple[float, float], value: float, found: str, reason: str
) -> None:
    seen = replace(finished(auto.measure(Picture(part("mug")))), blur=0.5, spread=spread)
    assert auto.Finding("blur", value, found) in seen.findings()
    assert [step.reason for step in auto.propose(seen).steps] == [reason] * bool(reason)


def test_a_shaken_photo_is_known_though_its_edges_along_the_motion_are_sharp(tmp_path: Path) -> None:
    for name, kernel in (("shaken", straight_kernel(9, 0.4)), ("blurred", disk_kernel(3.2)), ("sharp", disk_kernel(0))):
        Picture(blurred(example("handbag"), kernel[None]).clamp(0, 1)).save(tmp_path / f"{name}.png")
    studio = Studio()
    shaken, out_of_focus, sharp = (
        list(studio.look(tmp_path / f"{name}.png"))[-1].value for name in ("shaken", "blurred", "sharp")
    )
    assert (names(shaken), names(out_of_focus), names(sharp)) == (("deblur",), ("deblur",), ())
    assert re.match(r"The camera moved by about (8|9|10) pixels", shaken.reasons[0])
    assert re.match(r"The photo is out of focus by about (6|7) pixels", out_of_focus.reasons[0])
    assert names(finished(auto.look(tmp_path / "shaken.png"))) == ()


def test_a_blur_so_long_that_no_edge_is_left_is_known_by_a_smaller_copy() -> None:
    pixels = Picture(example("mug")).resized(2000, 2000).pixels
    for _ in range(3):  # three boxes of 17 px: spread by 8.5
        pixels = F.avg_pool2d(F.pad(pixels, (8, 8, 8, 8), mode="replicate"), 17, 1)
    seen = finished(auto.measure(Picture(pixels), network=finished(auto.finder(Studio().weights))))
    assert seen.blur is None
    assert seen.spread == pytest.approx((8.5, 8.5), rel=0.3)


def test_blur_is_measured_on_edges_alone_where_no_network_can_be_had(
    grainy: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Picture(blurred(example("mug"), gaussian_kernel(3.0)[None])).save(tmp_path / "blurred.png")
    found = finished(auto.look(tmp_path / "blurred.png", shelf(deblur=None)))  # type: ignore[arg-type]
    assert found.reasons[0].startswith("The sharpest edges are spread over 2.")
    assert "Blur is measured on edges alone: " in caplog.text
    weights = shelf(deblur=invert)
    finished(auto.look(grainy, weights))  # type: ignore[arg-type]
    assert weights.asked == ["deblur"]


def test_auto_runs_the_chain_and_says_why(grainy: str) -> None:
    weights = shelf()
    result = run(weights, grainy)
    assert result.notes.networks == ("restore",)
    assert result.notes.remarks[0].startswith("Noise has a deviation of 20 of 255 levels")
    assert torch.allclose(result.pictures[0].pixels, 1 - image.load(grainy).pixels, atol=1e-6)
    assert result.recipe == EnhanceRequest("x", steps=("auto",)).recipe()


def test_the_strength_that_was_asked_counts(grainy: str) -> None:
    before, after = image.load(grainy).pixels, run(shelf(), grainy, strength=0.0).pictures[0].pixels
    assert torch.equal(before, after)


def test_a_crop_shows_what_the_whole_would_become(grainy: str) -> None:
    whole, part = (run(shelf(), grainy, crop=crop).pictures[0].pixels for crop in ((), (40, 24, 200, 100)))
    assert part.shape == (1, 3, 100, 200)
    assert torch.equal(part, whole[:, :, 24:124, 40:240])


def test_a_crop_of_a_chain_without_auto(grainy: str, tmp_path: Path) -> None:
    mask = np.zeros((512, 560), np.uint8)
    mask[50:60, 60:80] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    request = EnhanceRequest(grainy, steps=("inpaint",), mask=str(tmp_path / "mask.png"), crop=(40, 24, 200, 100))
    result = finish(enhance(request, shelf(), Device(), Settings()))  # type: ignore[arg-type]
    changed = (result.pictures[0].pixels != image.load(grainy).pixels[:, :, 24:124, 40:240]).any(1)[0]
    rows, columns = changed.nonzero().T
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (26, 35, 20, 39)


@pytest.mark.parametrize("steps", [("auto",), ("restore",)])
def test_a_crop_must_lie_on_the_photo(grainy: str, steps: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match="The crop reaches beyond the photo, which has 560 x 512 pixels"):
        list(enhance(EnhanceRequest(grainy, steps=steps, crop=(300, 0, 512, 512)), shelf(), Device(), Settings()))  # type: ignore[arg-type]


def test_a_clean_crop_is_the_photo_s_own(tmp_path: Path) -> None:
    result = run(shelf(), path_of("mug"), crop=(100, 200, 300, 50))
    assert torch.equal(result.pictures[0].pixels, example("mug")[:, :, 200:250, 100:400])


def test_looking_is_heard_first_and_can_be_stopped(grainy: str) -> None:
    events = enhance(EnhanceRequest(grainy, steps=("auto",)), shelf(), Device(), Settings())  # type: ignore[arg-type]
    first = next(events)
    assert isinstance(first, Progress)
    assert first.message == "Looking at the photo"
    next(events), next(events)
    events.close()  # type: ignore[attr-defined]


def test_transparent_photos_are_looked_at_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((600, 600, 4), np.uint8)
    pixels[200:400, 200:400] = (90, 120, 160, 255)
    Image.fromarray(pixels).save(tmp_path / "cut-out.png")
    found = finished(auto.look(tmp_path / "cut-out.png"))
    assert found.findings[-1].text.startswith("plain and white")
    assert names(found) == ()


def test_the_command_line_looks_without_running(
    small: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shelf()
    monkeypatch.setattr(command_line, "Studio", lambda: Studio(None, weights))
    assert command_line.main(["look", small]) == 0
    said = capsys.readouterr().out
    assert "300 x 300 pixels" in said
    assert "steps: upscale-x4\nIts longer side has 300 pixels" in said
    assert command_line.main(["look", small, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [finding["what"] for finding in told["findings"]] == [
        "size",
        "noise",
        "JPEG",
        "blur",
        "exposure",
        "colour cast",
        "background",
    ]
    assert told["steps"] == [{"name": "upscale-x4", "reason": told["reasons"][0]}]
    assert weights.asked == []


def test_the_command_line_runs_auto(
    grainy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "Studio", lambda: Studio(None, shelf()))
    assert (
        command_line.main(
            ["enhance", grainy, "--steps", "auto", "--crop", "0,0,64,32", "--out", str(tmp_path / "out.png")]
        )
        == 0
    )
    assert "Noise has a deviation of" in capsys.readouterr().out
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (64, 32)


@pytest.mark.parametrize(
    ("a", "b", "word"),
    [(10, 0, "magenta"), (0, 10, "yellow"), (-10, 0, "green"), (0, -10, "blue"), (8, 8, "orange"), (1, 1, "")],
)
def test_tints_have_names(a: float, b: float, word: str) -> None:
    assert auto._towards(a, b) == (f" towards {word}" if word else "")
