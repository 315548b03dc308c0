"""What can be done with one picture of a wall: more like it, a walk to another, to the other tabs, larger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.generate import GenerateRequest
from engine.contract.recipe import from_recipe
from gradio_ui import controls, inputs, sending
from gradio_ui.files import drawn_number
from gradio_ui.stage import Stage
from gradio_ui.wiring import QUICK, Sent, Updates, Values
from gradio_ui.words import said

FRAMES, FRAMES_LEAST = 12, 2


@dataclass(frozen=True)
class Picked:
    """The panel under a wall of generated pictures, out of sight until one of them is clicked.

    drawn: whether the wall shows what a seed draws, not what a photo or a sketch became. number: of the picture, as it
    was drawn. file: where it lies. A picture that is itself a variation, or was made from a photo or a sketch, cannot
    be varied; from variations `back` returns to the pictures that they came from.
    """

    made: Stage
    place: gr.Column
    title: gr.Markdown
    drawn: gr.State
    number: gr.State
    file: gr.State
    varying: gr.Column
    distance: gr.Slider
    walk_to: gr.Dropdown
    frames: gr.Slider
    more: gr.Button
    walk: gr.Button
    back: gr.Button
    to_style: gr.Button
    to_enhance: gr.Button
    enlarge: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """Everything that `varied`, `walked` and `origin` read."""
        return [self.made.recipe, self.number, self.distance, self.walk_to, self.frames]

    @property
    def shown(self) -> list[Any]:
        """Everything that a click on a picture changes."""
        return [self.place, self.title, self.number, self.file, self.varying, self.walk_to, self.back]

    @property
    def refilled(self) -> list[Any]:
        """Everything that a recipe fills."""
        return [*self.shown, self.distance, self.frames, self.made.recipe]

    def select(self, index: int, recipe: str, kept: Sequence[Sent] | None, drawn: bool) -> Updates:
        """Show the panel for the picture that was clicked."""
        files = [inputs.uploaded(file, "picture") or "" for file in kept or ()]
        if not 0 <= index < len(files):
            return {self.place: gr.update(visible=False)}
        asked = _request(recipe)
        numbers = [drawn_number(file) or i for i, file in enumerate(files, 1)]
        return self._for(numbers[index], sorted(numbers), drawn and not asked.like) | {
            self.file: files[index],
            self.back: gr.update(visible=asked.like > 0),
        }

    def _for(self, number: int, numbers: Sequence[int], varies: bool) -> Updates:
        others = [n for n in numbers if n != number]
        return {
            self.place: gr.update(visible=True),
            self.title: f"№ {number}",
            self.number: number,
            self.varying: gr.update(visible=varies),
            self.walk_to: gr.update(choices=[(str(n), n) for n in others], value=others[0] if others else None),
        }

    def varied(self, data: Values, count: Any) -> GenerateRequest:
        """More like the picture: `count` of them, in all else as it was made."""
        return self._changed(data, like=data[self.number], count=count, distance=data[self.distance])

    def walked(self, data: Values) -> GenerateRequest:
        """From the picture to another one."""
        return self._changed(data, like=data[self.number], walk_to=data[self.walk_to] or 0, count=data[self.frames])

    def origin(self, data: Values) -> GenerateRequest:
        """The pictures that the varied ones came from."""
        asked = _request(data[self.made.recipe])
        return self._changed(
            data, like=0, walk_to=0, count=max(asked.like, asked.walk_to, controls.default(GenerateRequest, "count"))
        )

    def _changed(self, data: Values, **settings: Any) -> GenerateRequest:
        return from_recipe(_recipe(data[self.made.recipe]) | {"like": 0, "walk_to": 0} | settings)  # type: ignore[return-value]

    def filled(self, request: GenerateRequest) -> Updates:
        """The panel as a recipe of variations or of a walk left it, ready to make them again; hidden for any other
        recipe.
        """
        if not request.like:
            return {self.place: gr.update(visible=False)}
        base = request.recipe() | {"like": 0, "walk_to": 0}
        updates = self._for(request.like, range(1, max(request.like, request.walk_to, request.count) + 1), True)
        updates |= {
            self.file: None,
            self.back: gr.update(visible=False),
            self.distance: request.distance,
            self.made.recipe: json.dumps(base, indent=2),
        }
        if request.walk_to:
            choices = [(str(n), n) for n in range(1, max(request.like, request.walk_to) + 1) if n != request.like]
            updates |= {self.walk_to: gr.update(choices=choices, value=request.walk_to), self.frames: request.count}
        return updates

    def send(
        self, button: gr.Button, tabs: gr.Tabs, verb: str, photo: gr.Image, others: Mapping[Any, Any] | None = None
    ) -> Callable[..., Any]:
        """Let a button open another tab with the picture as its photo, and `others` set; returns the trigger of what
        comes after.
        """
        return sending.send(button, self.file, tabs, verb, photo, others)


def picked(made: Stage) -> Picked:
    """Lay out the panel in a stage that is a wall of generated pictures."""
    with made.frame:
        hint = gr.Markdown(said("click_picture"), visible=False, elem_classes="v-hint", elem_id="generate-hint")
    made.final.change(lambda: gr.update(visible=True), None, hint, **QUICK)
    with made.frame, gr.Column(visible=False, elem_classes="v-picked", elem_id="generate-picked") as place:
        with gr.Row(elem_classes="v-send"):
            title = gr.Markdown(elem_classes="v-number")
            to_style = gr.Button(said("to_style"), size="sm", min_width=100, elem_id="generate-to-style")
            to_enhance = gr.Button(said("to_enhance"), size="sm", min_width=100, elem_id="generate-to-enhance")
            enlarge = gr.Button(said("enlarge"), size="sm", min_width=100, elem_id="generate-enlarge")
            back = gr.Button(said("back"), size="sm", min_width=100, visible=False, elem_id="generate-back")
        with gr.Column() as varying:
            with gr.Row(equal_height=True):
                distance = controls.slider(GenerateRequest, "distance", step=0.05)
                more = gr.Button(said("more_like"), scale=0, min_width=170, elem_id="generate-more")
            with gr.Row(equal_height=True):
                walk_to = gr.Dropdown([], label=said("walk_to"), min_width=90, elem_id="generate-walk-to")
                frames = gr.Slider(
                    FRAMES_LEAST, controls.bounds(GenerateRequest, "count")[1], FRAMES, step=1, label=said("frames")
                )
                walk = gr.Button(said("walk"), scale=0, min_width=170, elem_id="generate-walk")
        drawn, number, file = gr.State(True), gr.State(0), gr.State(None)
    made.beside.append(place)
    panel = Picked(
        made,
        place,
        title,
        drawn,
        number,
        file,
        varying,
        distance,
        walk_to,
        frames,
        more,
        walk,
        back,
        to_style,
        to_enhance,
        enlarge,
    )

    def clicked(recipe: str, kept: Any, drawn: bool, event: gr.SelectData) -> Updates:
        return panel.select(event.index, recipe, kept, drawn)

    made.final.select(clicked, [made.recipe, made.kept, drawn], panel.shown, preprocess=False, **QUICK)
    return panel


def _request(recipe: str) -> GenerateRequest:
    return from_recipe(_recipe(recipe))  # type: ignore[return-value]


def _recipe(text: str) -> dict[str, Any]:
    """The recipe of the wall."""
    try:
        recipe = json.loads(text)
    except (TypeError, ValueError):
        raise RequestError("Make the pictures first.") from None
    if not isinstance(recipe, dict):
        raise RequestError("Make the pictures first.")
    return recipe
