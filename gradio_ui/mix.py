"""Style pictures of one's own and presets to mix, each with its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.style import STYLES_MOST, StyleRequest
from gradio_ui import inputs
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio


@dataclass(frozen=True)
class Mix:
    """Up to four pictures with a weight each, which take the chosen preset's place, and presets that share with what
    was chosen.
    """

    pictures: tuple[gr.Image, ...]
    weights: tuple[gr.Slider, ...]
    more: gr.Dropdown
    share: gr.Slider

    @property
    def inputs(self) -> list[Any]:
        """Everything that `styles` reads."""
        return [*self.pictures, *self.settings]

    @property
    def settings(self) -> list[Any]:
        """Everything that a recipe fills, in the order of `filled`."""
        return [*self.weights, self.more, self.share]

    def styles(self, data: Mapping[Any, Any], chosen: str) -> tuple[list[str], tuple[float, ...]]:
        """The styles of a request and their weights, none where there is one style alone; `chosen` is the preset."""
        own = [
            (file, data[weight])
            for picture, weight in zip(self.pictures, self.weights, strict=True)
            if (file := inputs.uploaded(data[picture], "style"))
        ]
        base = own or [(chosen, 1.0)]
        more = list(data[self.more] or [])
        weights = [_within("A style's weight", weight) for _, weight in base]
        if more:
            share = _within("The share of the chosen style", data[self.share])
            weights = [share * weight / (sum(weights) or 1.0) for weight in weights] + [(1 - share) / len(more)] * len(
                more
            )
        styles = [style for style, _ in base] + more
        return styles, tuple(weights) if len(styles) > 1 else ()

    def filled(self, request: StyleRequest, presets: Sequence[str]) -> list[Any]:
        """The values of `settings` for a recipe; its own pictures are for the person to add again, in their order."""
        shares = dict(zip(request.styles, request.shares, strict=True))
        own = [share for style, share in shares.items() if style not in presets] or [0.0]
        base = [1.0] if request.style in presets else [share / (max(own) or 1.0) for share in own]
        more = [style for style in request.more_styles if style in presets]
        return [*base, *[1.0] * (STYLES_MOST - len(base)), more, 1 - sum(shares[style] for style in more)]


def _within(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RequestError(f"{name} must be a number from 0 to 1.")
    return float(value)


def mix(studio: Studio, titles: Sequence[tuple[str, str]]) -> Mix:
    """Lay out the pictures, each appearing when the one before it is there, and the presets to mix with."""
    pictures, weights, slots = [], [], []
    with gr.Row(elem_classes="v-own"):
        for k in range(STYLES_MOST):
            with gr.Column(min_width=140, visible=k == 0) as slot:
                pictures.append(
                    inputs.photo_input(studio, "own_style_picture", height=140, elem_id=f"stylize-own-{k + 1}")
                )
                weights.append(
                    gr.Slider(
                        0,
                        1,
                        1.0,
                        step=0.05,
                        label=said("style_share"),
                        visible=False,
                        elem_id=f"stylize-weight-{k + 1}",
                    )
                )
            slots.append(slot)
    more = gr.Dropdown(
        list(titles),
        value=[],
        multiselect=True,
        max_choices=STYLES_MOST - 1,
        label=said("more_styles"),
        elem_id="stylize-more",
    )
    share = gr.Slider(0, 1, 0.5, step=0.05, label=said("first_share"), elem_id="stylize-first-share")

    def arranged(*files: Any) -> list[Any]:
        given = [bool(file) for file in files]
        last = max((k for k, there in enumerate(given) if there), default=-1)
        return [gr.update(visible=k <= last + 1) for k in range(STYLES_MOST)] + [
            gr.update(visible=there and sum(given) > 1) for there in given
        ]

    for picture in pictures:
        picture.change(
            arranged,
            pictures,
            [*slots, *weights],
            queue=False,
            preprocess=False,
            show_progress="hidden",
            api_visibility="private",
        )
    return Mix(tuple(pictures), tuple(weights), more, share)
