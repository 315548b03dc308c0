"""By how much a product leans: drawn shapes with known answers, and shapes that must be left alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.models.straighten import tilt, turned

Shape = Callable[[Tensor, Tensor], Tensor]


def box(u: Tensor, v: Tensor) -> Tensor:
    return (u.abs() < 70) & (v.abs() < 50)


def bag(u: Tensor, v: Tensor) -> Tensor:
    """Wider at its foot."""
    return (u.abs() < 55 + 0.2 * v) & (v.abs() < 60)


def vase(u: Tensor, v: Tensor) -> Tensor:
    """Nothing straight, yet symmetric."""
    return ((u / 35) ** 2 + ((v - 20) / 50) ** 2 < 1) | ((u / 14) ** 2 + ((v + 40) / 40) ** 2 < 1)


def disc(u: Tensor, v: Tensor) -> Tensor:
    return u**2 + v**2 < 70**2


def corner(u: Tensor, v: Tensor) -> Tensor:
    """A box seen across its corner by a camera that stands level: sides upright, base running downhill."""
    return (u.abs() < 60) & (v < 50 + 0.1 * u) & (v > -50)


def drawn(shape: Shape, degrees: float, side: int = 256) -> Tensor:
    """A shape leaning clockwise by that much, (1, 1, side, side), with edges of one pixel."""
    finer = 4
    at = (torch.arange(side * finer) + 0.5) / finer - side / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.nn.functional.avg_pool2d(shape(x * cos + y * sin, y * cos - x * sin).float()[None, None], finer)


@pytest.mark.parametrize(
    ("shape", "degrees"),
    [
        *((shape, degrees) for shape in (box, bag, vase) for degrees in (-7.0, -2.0, 1.0, 5.0)),
        (box, 0.6),
        (bag, 0.6),
        (vase, 0.0),
    ],
)
def test_the_lean_of_what_stands_or_is_symmetric_is_found(shape: Shape, degrees: float) -> None:
    assert tilt(drawn(shape, degrees)) == pytest.approx(degrees, abs=0.5)


@pytest.mark.parametrize("degrees", [-6.0, 0.0, 4.0])
def test_the_lean_of_a_bottle_is_found_though_its_mask_is_ragged(degrees: float) -> None:
    rough = torch.nn.functional.interpolate(
        torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)), scale_factor=4
    )
    mask = drawn(lambda u, v: ((u.abs() < 40) & (v > -20) & (v < 75)) | ((u.abs() < 15) & (v.abs() < 70)), degrees)
    blurred = torch.nn.functional.avg_pool2d(mask, 9, 1, 4)
    assert tilt((blurred > 0.2 + 0.6 * rough).float()) == pytest.approx(degrees, abs=0.8)


@pytest.mark.parametrize(("shape", "degrees"), [(box, 0), (box, 12), (box, -20), (disc, 5), (corner, 0)])
def test_what_is_straight_or_uncertain_is_left_alone(shape: Shape, degrees: float) -> None:
    assert tilt(drawn(shape, degrees)) == 0


def test_a_ragged_foot_says_nothing() -> None:
    """As a mask has it that took some of the shadow for the product."""
    rng = torch.Generator().manual_seed(1)
    mask = drawn(box, 0)
    depth = torch.randint(0, 10, (32,), generator=rng).repeat_interleave(8) + torch.arange(256) // 20
    mask[0, 0] *= torch.arange(256)[:, None] < 178 - depth
    assert tilt(mask) == 0


@pytest.mark.parametrize(
    "mask", [torch.zeros(1, 1, 40, 40), torch.ones(1, 1, 40, 40), torch.zeros(1, 1, 1, 300), torch.ones(1, 1, 3, 900)]
)
def test_strange_masks_do_not_lean(mask: Tensor) -> None:
    assert tilt(mask) == 0


def test_turning_back_undoes_the_lean_and_keeps_all_of_it() -> None:
    leaning = drawn(box, 5.0)
    upright = turned(leaning, 5.0)
    assert tilt(upright) == 0
    assert upright.sum() == pytest.approx(float(leaning.sum()), rel=0.01)
    rows, columns = ((upright[0, 0] > 0.5).any(dim).sum() for dim in (1, 0))
    assert (int(rows), int(columns)) == (pytest.approx(100, abs=1), pytest.approx(140, abs=1))
