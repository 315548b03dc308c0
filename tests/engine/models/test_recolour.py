"""Colour variants: the source becomes the target, shading keeps its order, other colours and the background stay."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from engine.models.colour import from_oklab, oklab
from engine.models.recolour import main_colours, recolour

SWATCHES = {
    "red": (0.78, 0.12, 0.2),
    "navy": (0.12, 0.18, 0.4),
    "yellow": (0.9, 0.75, 0.15),
    "brown": (0.45, 0.25, 0.15),
    "taupe": (0.55, 0.5, 0.45),
    "grey": (0.5, 0.5, 0.5),
    "black": (0.08, 0.08, 0.08),
    "white": (0.95, 0.95, 0.95),
    "#000": (0.0, 0.0, 0.0),
    "#fff": (1.0, 1.0, 1.0),
}
PAIRS = [(a, b) for a, b in itertools.product(SWATCHES, SWATCHES) if a != b]


def colour(name: str) -> Tensor:
    return torch.tensor(SWATCHES[name])


def flat(name: str, height: int = 6, width: int = 8) -> Tensor:
    return colour(name).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def everywhere(pixels: Tensor) -> Tensor:
    return torch.ones_like(pixels[:, :1])


def shaded(name: str, levels: int = 64) -> Tensor:
    """The colour under light from a fifth of its own to a little more, then whitening to a highlight; (1, 3, 4,
    levels).
    """
    lab = oklab(flat(name, 1, 1))
    ramp = lab * torch.linspace(0.6, 1.0, levels // 2)
    highlight = lab + (torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1) - lab) * torch.linspace(0.02, 0.5, levels // 2)
    return from_oklab(torch.cat([ramp, highlight], 3)).expand(1, 3, 4, levels).clone()


def off(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max()) * 255


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_flat_patch_becomes_the_target(source: str, target: str) -> None:
    photo = flat(source)
    assert off(recolour(photo, everywhere(photo), colour(source), colour(target)), flat(target)) < 2


@pytest.mark.parametrize("name", SWATCHES)
def test_recolouring_to_the_same_colour_changes_nothing(name: str) -> None:
    noise = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    for photo in (shaded(name), noise):
        assert off(recolour(photo, everywhere(photo), colour(name), colour(name)), photo) < 1


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_shading_keeps_its_order(source: str, target: str) -> None:
    photo = shaded(source)
    if source == "#000":
        photo = photo[..., 32:]  # what is black has no shadow
    lightness = oklab(recolour(photo, everywhere(photo), colour(source), colour(target)))[0, 0, 0]
    assert float(lightness.diff().min()) > -2e-3


@pytest.mark.parametrize(
    ("source", "target"),
    [("red", "black"), ("red", "white"), ("black", "white"), ("black", "red"), ("white", "black"), ("navy", "yellow")],
)
def test_shading_stays_to_be_seen(source: str, target: str) -> None:
    photo = shaded(source)
    lightness = oklab(recolour(photo, everywhere(photo), colour(source), colour(target)))[0, 0, 0]
    assert float(lightness[31] - lightness[0]) > 0.05
    assert float(lightness[-1] - lightness[32]) > 0.02


def test_shading_is_a_factor_of_lightness() -> None:
    photo = shaded("red")[..., :32]
    before, after = (
        oklab(x)[0, 0, 0] for x in (photo, recolour(photo, everywhere(photo), colour("red"), colour("navy")))
    )
    assert torch.allclose(after / after[-1], before / before[-1], atol=0.01)


def test_what_is_a_little_lighter_than_grey_is_a_little_lighter_than_black() -> None:
    grey = torch.linspace(0.5, 0.56, 8).view(1, 1, 1, 8).expand(1, 3, 4, 8)
    before, after = (
        oklab(x)[0, 0, 0] for x in (grey, recolour(grey, everywhere(grey), colour("grey"), colour("black")))
    )
    assert torch.allclose(after / after[0], before / before[0], atol=0.15)


@pytest.mark.parametrize("source", ["red", "yellow", "brown"])
@pytest.mark.parametrize("target", ["navy", "black", "white", "grey"])
def test_black_white_and_other_hues_stay(source: str, target: str) -> None:
    others = torch.tensor(
        [[0.1, 0.3, 0.8], [0.1, 0.5, 0.5], [0.97, 0.97, 0.97], [0.03, 0.03, 0.03], [0.5, 0.2, 0.8]]
    ).T[None, :, :, None]
    assert off(recolour(others, everywhere(others), colour(source), colour(target)), others) < 2


def test_a_coloured_print_on_white_grey_or_black_stays() -> None:
    red = flat("red")
    for source in ("white", "grey", "black"):
        assert off(recolour(red, everywhere(red), colour(source), colour("navy")), red) < 2


@pytest.mark.parametrize("target", ["red", "navy", "yellow"])
def test_a_white_print_on_black_stays_white_and_a_black_print_on_white_stays_black(target: str) -> None:
    white, black = flat("#fff"), flat("black")
    assert off(recolour(white, everywhere(white), colour("black"), colour(target)), white) < 2
    assert off(recolour(black, everywhere(black), colour("white"), colour(target)), black) < 25


def test_the_edge_of_a_white_print_lies_between_white_and_the_target() -> None:
    edge = (flat("red") + 1) / 2
    assert off(recolour(edge, everywhere(edge), colour("red"), colour("navy")), (flat("navy") + 1) / 2) < 30


def test_outside_the_mask_nothing_changes_at_all() -> None:
    photo = flat("red", 20, 20) + 0.01 * torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 20, 20)
    mask[:, :, 5:12, 5:12] = 1
    result = recolour(photo, mask, colour("red"), colour("navy"))
    assert torch.equal(result.where(mask == 0, torch.zeros(())), photo.where(mask == 0, torch.zeros(())))
    assert off(result[:, :, 5:12, 5:12], flat("red", 7, 7)) > 100
    assert torch.equal(recolour(photo, torch.zeros_like(mask), colour("red"), colour("navy")), photo)


def test_a_soft_mask_mixes() -> None:
    photo = flat("red")
    half = recolour(photo, 0.5 * everywhere(photo), colour("red"), colour("navy"))
    assert off(half, (flat("red") + flat("navy")) / 2) < 2


def test_half_precision_stays_half_precision() -> None:
    photo = flat("red").half()
    result = recolour(photo, everywhere(photo), colour("red"), colour("navy"))
    assert result.dtype == torch.float16
    assert off(result.float(), flat("navy")) < 3


@pytest.mark.parametrize("target", SWATCHES)
@pytest.mark.parametrize("source", ["#000", "#fff", "grey", "red"])
def test_no_picture_gives_nonsense(source: str, target: str) -> None:
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for photo in (noise, noise[..., :1, :1], torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)):
        result = recolour(photo, everywhere(photo), colour(source), colour(target))
        assert result.isfinite().all()
        assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_the_main_colours_of_a_striped_product() -> None:
    photo = torch.cat([flat("red", 60, 60), flat("navy", 60, 30), flat("white", 60, 10)], 3)
    found = main_colours(photo, everywhere(photo))
    assert [round(share, 2) for _, share in found] == [0.6, 0.3, 0.1]
    for (seen, _), name in zip(found, ("red", "navy", "white"), strict=True):
        assert off(seen, colour(name)) < 2


def test_only_what_is_inside_the_mask_counts() -> None:
    photo = torch.cat([flat("red", 20, 20), flat("white", 20, 60)], 3)
    mask = torch.zeros(1, 1, 20, 80)
    mask[..., :20] = 1
    ((seen, share),) = main_colours(photo, mask)
    assert share == 1
    assert off(seen, colour("red")) < 2


def test_light_and_shadow_are_one_colour() -> None:
    photo = torch.cat([shaded("red")[..., :32], shaded("navy")[..., :32]], 3)
    found = main_colours(photo, everywhere(photo), count=2)
    assert sorted(round(share, 2) for _, share in found) == [0.5, 0.5]


def test_black_grey_and_white_are_three_colours() -> None:
    photo = torch.cat([flat("black"), flat("grey"), flat("white")], 3)
    assert len(main_colours(photo, everywhere(photo))) == 3


def test_an_empty_mask_has_no_colours_and_a_pixel_has_one() -> None:
    photo = flat("red")
    assert main_colours(photo, 0 * everywhere(photo)) == []
    ((seen, share),) = main_colours(photo[..., :1, :1], everywhere(photo)[..., :1, :1])
    assert share == 1
    assert off(seen, colour("red")) < 2


def test_the_same_seed_finds_the_same_colours() -> None:
    photo = torch.rand(1, 3, 50, 50, generator=torch.Generator().manual_seed(0))
    first, again = (main_colours(photo, everywhere(photo), seed=3) for _ in range(2))
    assert all(torch.equal(a, b) and p == q for (a, p), (b, q) in zip(first, again, strict=True))
