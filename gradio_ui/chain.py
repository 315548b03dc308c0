"""Which steps a chain has, and in which order: a switch for each, and two buttons that move one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.contract import STEPS
from gradio_ui.wiring import QUICK, Updates, Values
from gradio_ui.words import said


@dataclass(frozen=True)
class Chain:
    """switches: the steps that are on, as they were clicked. order: all steps, in the order they run."""

    switches: gr.CheckboxGroup
    order: gr.State
    moved: gr.Dropdown
    earlier: gr.Button
    later: gr.Button

    def steps(self, on: Sequence[str] | None, order: Sequence[str]) -> tuple[str, ...]:
        """The steps that are on, in the order they run."""
        return in_order(on or (), order)

    def on_as_well(self, setting: str, on: Sequence[str] | None, order: Sequence[str]) -> list[str]:
        """The steps that are on, and one that a setting is of: the first such step, unless another of them is on."""
        of_it = STEPS.with_setting(setting)
        return list(self.steps([*(on or ()), *(() if set(of_it) & set(on or ()) else of_it[:1])], order))

    def switch_on(self, setting: str, *triggers: Callable[..., Any]) -> None:
        """Let what is set for a step switch it on."""

        def on_as_well(on: list[str], order: list[str]) -> list[str]:
            return self.on_as_well(setting, on, order)

        gr.on([*triggers], on_as_well, [self.switches, self.order], self.switches, **QUICK)

    def switch_on_where_filled(self, setting: str, place: gr.Image) -> None:
        """Let a picture that is put, or drawn, into the place of a setting switch a step of it on."""

        def on_as_well(sent: Any, on: list[str], order: list[str]) -> Any:
            return self.on_as_well(setting, on, order) if sent else gr.skip()

        place.change(on_as_well, [place, self.switches, self.order], self.switches, preprocess=False, **QUICK)

    def switched_on(self, setting: str, data: Values) -> Updates:
        """The switches with a step of a setting on as well."""
        return {self.switches: self.on_as_well(setting, data[self.switches], data[self.order])}

    def put(self, steps: Sequence[str]) -> list[Any]:
        """Values for `switches` and `order`: these steps are on, in this order; one that is not offered, as "auto", can
        be switched off.
        """
        order = arranged(steps)
        more = [step for step in steps if step not in order]
        return [gr.update(choices=_worded([*order, *more]), value=list(steps)), order]


def chain(first: Sequence[str], elem_id: str) -> Chain:
    """Lay out the switches with `first` on."""
    order = arranged(first)
    switches = gr.CheckboxGroup(_worded(order), value=list(first), label=said("chain"), elem_id=elem_id)
    moved = gr.Dropdown(_worded(order), value=order[0], label=said("move_step"), elem_id=f"{elem_id}-moved")
    with gr.Row():
        earlier = gr.Button(said("earlier"), size="sm", min_width=90, elem_id=f"{elem_id}-earlier")
        later = gr.Button(said("later"), size="sm", min_width=90, elem_id=f"{elem_id}-later")
    made = Chain(switches, gr.State(order), moved, earlier, later)
    for button, by in ((earlier, -1), (later, 1)):

        def move(step: str, on: list[str], order: list[str], by: int = by) -> Updates:
            now = shifted(order, step, by)
            return {
                switches: gr.update(choices=_worded(now), value=list(in_order(on or [], now))),
                made.order: now,
                moved: gr.update(choices=_worded(now)),
            }

        button.click(move, [moved, switches, made.order], [switches, made.order, moved], **QUICK)
    return made


def in_order(on: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """The steps that are on, in the order they run; one that is not known comes last, for the request to refuse."""
    return (*(step for step in order if step in on), *(step for step in on if step not in order))


def arranged(steps: Sequence[str]) -> list[str]:
    """All steps: those of a chain stand in its order, in the places that they have together."""
    wanted = iter([step for step in steps if step in STEPS])
    return [next(wanted) if step in steps else step for step in STEPS]


def shifted(order: Sequence[str], step: str, by: int) -> list[str]:
    """The order with one step a place earlier (-1) or later (1); the step that has to be last stays there."""
    now = list(order)
    if step not in now or STEPS[step].is_last:
        return now
    at = now.index(step)
    to = at + by
    if 0 <= to < len(now) and not STEPS[now[to]].is_last:
        now[at], now[to] = now[to], now[at]
    return now


def _worded(steps: Sequence[str]) -> list[tuple[Any, str]]:
    return [(said(step), step) for step in steps]
