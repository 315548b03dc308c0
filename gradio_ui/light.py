"""The amounts of light and colour: sliders that start at what the network proposes once it has looked at the photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import gradio as gr

from engine.contract import ADJUSTMENTS, Question
from engine.contract.errors import RequestError
from gradio_ui import inputs, sentences
from gradio_ui.chain import Chain
from gradio_ui.wiring import DEVICE_QUEUE, Values, heard
from gradio_ui.words import said

_SETTING = "adjust"  # of which step this is

Propose: TypeAlias = Callable[
    [str], "Question[tuple[float, ...] | None]"
]  # photo file -> amounts of light and colour; None where nothing proposes any


@dataclass(frozen=True)
class LightControls:
    """own: whether a person sets the amounts. looking: the event that asks for the proposal, for `stop_with`."""

    own: gr.Checkbox
    sliders: tuple[gr.Slider, ...]
    looking: list[Any] = field(default_factory=list)

    @property
    def inputs(self) -> list[Any]:
        return [self.own, *self.sliders]

    def amounts(self, data: Values) -> tuple[float, ...]:
        return tuple(data[slider] for slider in self.sliders) if data[self.own] else ()

    def put(self, amounts: Sequence[float]) -> list[Any]:
        return [bool(amounts), *(amounts or [0.0] * len(self.sliders))]


def light(photo: gr.Image, steps: Chain, propose: Propose) -> LightControls:
    """Lay out the sliders; moving one, or starting from the proposal, switches the step on."""
    look = gr.Button(said("start_at_proposal"), size="sm", elem_id="enhance-look")
    own = gr.Checkbox(False, label=said("own_amounts"), elem_id="enhance-own-amounts")
    sliders = tuple(
        gr.Slider(-most, most, 0.0, step=0.02, label=said(name), elem_id=f"enhance-{name}")
        for name, most in ADJUSTMENTS.items()
    )
    made = LightControls(own, sliders)

    @sentences.in_sentences
    def looked(sent: Any, on: list[str], order: list[str]) -> Iterator[list[Any]]:
        file = inputs.uploaded(sent, "photo")
        if not file:
            raise RequestError("Add a photo first.")
        nothing_yet = [gr.skip() for _ in (*made.inputs, steps.switches)]
        amounts = yield from heard(propose(file), lambda progress: nothing_yet)
        if amounts is None:
            gr.Info(
                "The network that looks at light and colour is not there: set the amounts yourself.", title="Vitrine"
            )
        yield [True, *(amounts or [0.0] * len(sliders)), steps.on_as_well(_SETTING, on, order)]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    asked = look.click(
        looked,
        [photo, steps.switches, steps.order],
        [*made.inputs, steps.switches],
        preprocess=False,
        api_visibility="private",
        **DEVICE_QUEUE,
    )
    made.looking.append(asked)
    for slider in sliders:
        slider.release(lambda: True, None, own, queue=False, **private)
    inputs.goes_with(photo, own, False)
    steps.switch_on(_SETTING, *(slider.release for slider in sliders))
    return made
