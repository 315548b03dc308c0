"""The ways down: Adam by hand, L-BFGS on a bowl, pictures that stay pictures."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from engine.contract.style import OPTIMIZERS as OFFERED
from engine.models import descent
from engine.models.descent import OPTIMIZERS, Adam, Lbfgs, Look


class Bowl:
    """0.5 sum of s (x - goal)^2 with curvatures s from 1 to 100; counts how often it is looked at."""

    def __init__(self, goal: Tensor) -> None:
        self.goal, self.looks = goal, 0
        self.curvature = torch.logspace(0, 2, goal.numel(), dtype=goal.dtype).view_as(goal)

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        self.looks += 1
        return 0.5 * float((self.curvature * (x - self.goal).square()).sum()), self.curvature * (x - self.goal)


def test_what_is_offered_is_there() -> None:
    assert tuple(OPTIMIZERS) == OFFERED


def test_the_step_is_that_of_adam() -> None:
    """Kingma & Ba, algorithm 1, for one pixel in plain numbers."""
    gradients = iter((0.3, -1.0, 2.0, 0.1))
    canvas = Adam(
        torch.full((1, 3, 1, 1), 0.5, dtype=torch.float64),
        lambda x: (7.0, torch.full_like(x, next(gradients))),
        rate=0.01,
    )
    x, m, v = 0.5, 0.0, 0.0
    for t, gradient in enumerate((0.3, -1.0, 2.0, 0.1), start=1):
        assert canvas.step() == 7.0
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        x -= 0.01 * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)) ** 0.5 + 1e-8)
        assert float(canvas._place[0, 0, 0, 0]) == pytest.approx(x, abs=1e-12)


def test_adams_steps_grow_while_it_warms_up() -> None:
    canvas = Adam(torch.full((1, 3, 1, 1), 0.5), lambda x: (1.0, torch.ones_like(x)), rate=0.01, warm_up=4)
    places = [0.5]
    for _ in range(6):
        canvas.step()
        places.append(float(canvas._place[0, 0, 0, 0]))
    assert [before - after for before, after in itertools.pairwise(places)] == pytest.approx(
        [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01], rel=1e-3
    )


def test_l_bfgs_finds_the_bottom_of_a_bowl_in_fewer_looks_than_it_has_pixels() -> None:
    bowl = Bowl(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    down = Lbfgs(torch.full_like(bowl.goal, 0.5), bowl, rate=0.01)
    losses = [down.step() for _ in range(60)]
    assert losses[-1] < 1e-6 * losses[0]
    assert bowl.looks < 192 / 2


def test_l_bfgs_looks_at_a_place_once() -> None:
    bowl = Bowl(torch.rand(1, 3, 8, 8))
    seen: list[Tensor] = []

    def noting(x: Tensor) -> tuple[float, Tensor]:
        seen.append(x.clone())
        return bowl(x)

    down = Lbfgs(torch.full_like(bowl.goal, 0.5), noting, rate=0.01)
    for _ in range(5):
        down.step()
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_goal_that_is_no_picture_gives_the_nearest_picture(name: str) -> None:
    bowl = Bowl(torch.tensor([-1.0, 0.5, 3.0]).view(1, 3, 1, 1))
    down = OPTIMIZERS[name](torch.full((1, 3, 1, 1), 0.5), bowl, 0.02)
    for _ in range(150):
        down.step()
    assert torch.allclose(down.picture.flatten(), torch.tensor([0.0, 0.5, 1.0]), atol=0.02)


def test_l_bfgs_comes_back_from_where_there_is_no_number() -> None:
    """A slope without end throws it off once; it goes on from where it was."""
    first = torch.full((1, 3, 2, 2), 0.5)
    bowl, calls = Bowl(torch.full((1, 3, 2, 2), 0.4)), 0

    def broken(x: Tensor) -> tuple[float, Tensor]:
        nonlocal calls
        calls += 1
        return (float("nan"), torch.full_like(x, float("nan"))) if calls in (2, 3, 4) else bowl(x)

    down = Lbfgs(first, broken, rate=0.01)
    for _ in range(30):
        down.step()
        assert torch.isfinite(down.picture).all()
    assert torch.allclose(down.picture, bowl.goal, atol=1e-3)


def test_the_two_are_ways_down() -> None:
    look: Look = Bowl(torch.rand(1, 3, 2, 2))
    ways: list[descent.Descent] = [kind(torch.rand(1, 3, 2, 2), look, 0.01, 5) for kind in (Adam, Lbfgs)]
    assert all(way.step() > 0 for way in ways)
