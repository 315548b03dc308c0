"""What people come for, and the chain of steps that does it: the first choice that Enhance offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GOALS: Mapping[str, tuple[str, ...]] = {
    "clean": ("restore",),
    "clean_x2": ("restore", "upscale-x2"),
    "clean_x4": ("restore", "upscale-x4"),
    "enlarge_x4": ("upscale-x4",),
    "cut_out": ("cut-out",),
    "list_it": ("listing",),
}
ENLARGE = "enlarge_x4"  # what a picture that was drawn here is sent on for
OWN = "own_steps"  # the goal that stands for any other chain


def goal_of(steps: Sequence[str]) -> str:
    """The goal that a chain serves."""
    return next((name for name, chain in GOALS.items() if chain == tuple(steps)), OWN)
