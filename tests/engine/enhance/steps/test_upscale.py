"""Faithful and crisp: two networks that enlarge, blended by one number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chains import run
from shelf import Plain, Shelf, enlarge, row, shelf, write_photo
from torch import Tensor, nn

from engine import image
from engine.contract.events import Result
from engine.enhance.steps.upscale import CRISP
from engine.models.upscale import Upscale
from engine.runtime.tiles import Tiling

NAME = "upscale-x4-crisp"


def network(seed: int, scale: int = 4) -> Upscale:
    torch.manual_seed(seed)
    made = Upscale(scale, 8, 2)
    for parameter in made.parameters():
        parameter.data *= 0.7
    return made


def shelf_of(*, crisp: nn.Module | None = None, x2: nn.Module | None = None) -> Shelf:
    """The faithful networks and, where there is one, the crisp one, over tiles of 32 px."""
    tiling = Tiling(scale=4, overlap_px=8, most_px=32)
    rows: list[Any] = [(row("upscale-x4", "upscale-x4", tiling=tiling), network(1))]
    rows.append(
        (row("upscale-x2", "upscale-x2", tiling=Tiling(scale=2, overlap_px=8, most_px=32)), x2 or network(3, 2))
    )
    if crisp:
        rows.append((row(NAME, CRISP, tiling=tiling), crisp))
    return Shelf(*rows)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png", 50, 40)


def made(weights: Shelf, photo: str, **request: Any) -> Tensor:
    return run(weights, photo, **request).pictures[0].pixels


def test_the_picture_goes_from_the_faithful_network_to_the_crisp_one_in_a_straight_line(photo: str) -> None:
    weights, pixels = shelf_of(crisp=network(2)), image.load(photo).pixels
    with torch.inference_mode():
        faithful, crisp = (network(seed).eval()(pixels).clamp(0, 1) for seed in (1, 2))
    assert (faithful - crisp).abs().mean() > 0.05, "the two are not the same"
    for share in (0.0, 0.25, 1.0):
        expected = torch.lerp(faithful, crisp, share)
        assert torch.allclose(made(weights, photo, steps=("upscale-x4",), crispness=share), expected, atol=1e-5)


@pytest.mark.parametrize(("share", "names"), [(0.0, "upscale-x4"), (0.5, f"upscale-x4 and {NAME}"), (1.0, NAME)])
def test_only_the_networks_that_are_needed_run(photo: str, share: float, names: str) -> None:
    weights = shelf_of(crisp=network(2))
    assert run(weights, photo, steps=("upscale-x4",), crispness=share).notes.networks == (names,)
    assert (NAME in weights.asked) == (share > 0)


@pytest.mark.parametrize("scale", [2, 3])
def test_smaller_enlargements_are_crisp_too(photo: str, scale: int) -> None:
    """The crisp picture of four times the size is resized; of flat pictures every pixel is known."""
    weights = shelf_of(crisp=Plain(lambda x: torch.ones(1, 3, 4 * x.shape[2], 4 * x.shape[3])), x2=Plain(enlarge(2)))
    faithful = made(weights, photo, steps=(f"upscale-x{scale}",))
    half = made(weights, photo, steps=(f"upscale-x{scale}",), crispness=0.5)
    assert tuple(half.shape[2:]) == (40 * scale, 50 * scale)
    assert torch.allclose(half, (faithful + 1) / 2, atol=1e-5)


def refused(weights: Shelf, photo: str, **request: Any) -> Result:
    result = run(weights, photo, steps=("upscale-x4",), crispness=0.5, **request)
    assert torch.equal(result.pictures[0].pixels, made(weights, photo, steps=("upscale-x4",), **request))
    return result


def test_without_a_crisp_network_the_picture_is_faithful_and_one_note_says_so(photo: str) -> None:
    assert refused(shelf_of(), photo).notes.fallbacks == (
        "No crisp network comes with Vitrine, so crispness was left out.",
    )
    assert run(shelf_of(), photo, steps=("upscale-x4",)).notes.fallbacks == ()


def test_a_crisp_network_that_cannot_be_had_is_one_note(photo: str) -> None:
    weights = Shelf(
        (row("upscale-x4", "upscale-x4", tiling=Tiling(scale=4)), Plain(enlarge(4))), (row(NAME, CRISP), None)
    )
    assert refused(weights, photo).notes.fallbacks == (
        f"{NAME} could not be loaded because the Hub cannot be reached, so crispness was left out.",
    )


def test_a_network_of_the_hub_has_no_crisp_variant(photo: str) -> None:
    weights = shelf(realesrgan_x4=enlarge(4))
    assert refused(weights, photo, network="realesrgan-x4").notes.fallbacks == (
        "realesrgan-x4 has no crisp variant, so crispness was left out.",
    )


def test_steps_that_do_not_enlarge_know_no_crispness(photo: str) -> None:
    result = run(shelf(), photo, steps=("restore",), crispness=1.0)
    assert (result.notes.networks, result.notes.fallbacks) == (("restore",), ())
