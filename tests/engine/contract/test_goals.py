"""What people come for: each goal is a chain that can be asked for, and no two are one."""

from __future__ import annotations

import pytest

from engine.contract import ENLARGE, GOALS, OWN, EnhanceRequest, goal_of


@pytest.mark.parametrize("name", GOALS)
def test_a_goal_is_a_chain_that_can_be_asked_for(name: str) -> None:
    assert EnhanceRequest("photo.png", steps=GOALS[name]).steps == GOALS[name]
    assert goal_of(list(GOALS[name])) == name


def test_any_other_chain_is_a_person_s_own() -> None:
    assert goal_of(("deblur", "restore")) == goal_of(()) == OWN
    assert OWN not in GOALS
    assert ENLARGE in GOALS
