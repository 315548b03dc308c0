"""Smooth filling: what is harmonic comes back, whatever the shape of the hole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.models.fill import fill, plain_around
from engine.runtime.work import finished


def filled(pixels: Tensor, mask: Tensor) -> Tensor:
    return finished(fill(pixels * (1 - mask), mask))


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return y, x


def hole(height: int, width: int, kind: str) -> Tensor:
    """Holes that do not touch the picture's edge, where other conditions hold."""
    mask = torch.zeros(1, 1, height, width)
    y, x = grid(height, width)
    if kind == "box":
        mask[..., height // 5 : -height // 5, width // 6 : -width // 6] = 1
    elif kind == "ring":
        mask[0, 0] = ((x * x + y * y).sqrt() - 0.6).abs() < 0.2
    elif kind == "pixels":
        mask = (torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0)) < 0.7).float()
    elif kind == "lines":
        mask[..., 2:-2:3, 2:-2] = 1
    mask[..., :1, :], mask[..., -1:, :], mask[..., :1], mask[..., -1:] = 0, 0, 0, 0
    return mask


HARMONIC = {
    "a constant": lambda y, x: 0.3 + 0 * x,
    "a ramp": lambda y, x: 0.5 + 0.3 * x + 0.15 * y,
    "a saddle": lambda y, x: 0.5 + 0.4 * x * y,
}


@pytest.mark.parametrize("kind", ["box", "ring", "pixels", "lines"])
@pytest.mark.parametrize("size", [(40, 40), (101, 67), (3, 50)])
@pytest.mark.parametrize("what", HARMONIC)
def test_a_harmonic_picture_comes_back(what: str, size: tuple[int, int], kind: str) -> None:
    picture = HARMONIC[what](*grid(*size))[None, None].expand(1, 3, -1, -1)
    assert (filled(picture, hole(*size, kind)) - picture).abs().max() < 0.5 / 255


def test_every_channel_is_filled_from_itself() -> None:
    picture = torch.tensor([0.1, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    assert torch.allclose(filled(picture, hole(32, 32, "box")), picture, atol=1e-5)


def test_inside_a_hole_each_pixel_is_the_mean_of_its_neighbours() -> None:
    picture = torch.rand(1, 3, 60, 60, generator=torch.Generator().manual_seed(1))
    mask = hole(60, 60, "box")
    u = filled(picture, mask)
    mean = (u[..., :-2, 1:-1] + u[..., 2:, 1:-1] + u[..., 1:-1, :-2] + u[..., 1:-1, 2:]) / 4
    assert ((u[..., 1:-1, 1:-1] - mean) * mask[..., 1:-1, 1:-1]).abs().max() < 1e-3


def test_known_pixels_keep_their_bits() -> None:
    picture = torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(2))
    mask = hole(33, 47, "ring")
    assert torch.equal(
        filled(picture, mask)[(mask == 0).expand(1, 3, -1, -1)], picture[(mask == 0).expand(1, 3, -1, -1)]
    )


def test_a_hole_at_the_edge_is_continued_from_the_other_side() -> None:
    picture = torch.full((1, 3, 40, 40), 0.7)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., :20] = 1
    assert torch.allclose(filled(picture, mask), picture, atol=1e-3)


def test_values_stay_between_those_around_the_hole() -> None:
    picture = torch.rand(1, 3, 50, 50, generator=torch.Generator().manual_seed(3)) * 0.4 + 0.3
    u = filled(picture, hole(50, 50, "box"))
    assert u.min() >= 0.3 - 1e-3
    assert u.max() <= 0.7 + 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 5)])
def test_without_a_hole_nothing_changes_and_without_a_picture_it_is_grey(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(4))
    assert torch.equal(filled(picture, torch.zeros(1, 1, *size)), picture)
    assert (filled(picture, torch.ones(1, 1, *size)) == 0.5).all()


def test_a_few_iterations_are_enough_for_a_large_hole() -> None:
    y, x = grid(400, 400)
    picture = (0.5 + 0.4 * x * y)[None, None].expand(1, 3, -1, -1)
    assert len(list(fill(picture, hole(400, 400, "box")))) < 20


@pytest.mark.parametrize(
    ("what", "plain"),
    [("a slope", True), ("grain", True), ("noise", False), ("a wire", False), ("an edge under it", False)],
)
def test_ground_is_plain_where_it_is_one_slope(what: str, plain: bool) -> None:
    y, x = grid(60, 80)
    picture, mask = (0.5 + 0.3 * x + 0.15 * y)[None, None].repeat(1, 3, 1, 1), torch.zeros(1, 1, 60, 80)
    mask[..., 20:40, 30:50] = 1
    if what == "an edge under it":
        picture[..., 40:] += 0.05
    elif what == "a wire":
        picture[..., 15, :] += 0.1
    elif what != "a slope":
        picture += (
            {"grain": 0.6, "noise": 4}[what]
            / 255
            * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
        )
    picture[..., 20:40, 30:50] = 0  # what is to go is not looked at
    assert plain_around(picture, mask) == plain


@pytest.mark.parametrize("columns", [slice(0, 0), slice(None), slice(1, None), slice(0, 1)])
def test_ground_of_which_hardly_any_is_known_has_an_answer(columns: slice) -> None:
    mask = torch.zeros(1, 1, 20, 6)
    mask[..., columns] = 1
    assert plain_around(torch.full((1, 3, 20, 6), 0.3), mask) == (columns in (slice(1, None), slice(0, 1)))
