"""The tab that shows one product in other colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract.recolour import COLOURS_MOST, RecolourRequest
from gradio_ui import controls, example_pictures, inputs
from gradio_ui import mask as brush_mask
from gradio_ui.recipes import Refill
from gradio_ui.stage import stage, start, stop_with
from gradio_ui.wiring import Run, Updates, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

# Colours that clothes, bags and homeware are sold in.
SWATCHES = {
    "Navy": "#1f3a5f",
    "Crimson": "#8c1c13",
    "Forest": "#2f5d50",
    "Mustard": "#e0a526",
    "Sky": "#7fb2d9",
    "Rose": "#d98ca0",
    "Lilac": "#9a86c4",
    "Terracotta": "#c4623f",
    "Olive": "#6f7a3c",
    "Sand": "#cdb994",
    "Chocolate": "#59392b",
    "Grey": "#8a8d91",
    "Black": "#1c1c1e",
    "White": "#f4f2ee",
}


def tab(studio: Studio, run: Run) -> Refill:
    """Build the tab. `run` turns a request into events."""
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            photo = inputs.photo_input(studio, "photo", height=200, elem_id="recolour-photo")
            tried = example_pictures.examples(example_pictures.example_photos(), photo)
            colours = gr.Dropdown(
                list(SWATCHES.items()),
                value=controls.default(RecolourRequest, "colours"),
                multiselect=True,
                allow_custom_value=True,
                max_choices=COLOURS_MOST,
                label=said("swatches"),
                info=said("swatches_about"),
                elem_id="recolour-colours",
            )
            go, stop = controls.buttons("recolour")
            with gr.Accordion(said("product_part"), open=False, elem_id="recolour-product"):
                mask = inputs.photo_input(studio, "product_mask", height=140, elem_id="recolour-mask").unrender()
                brush = brush_mask.editor(studio, "recolour", studio.find_product, photo, mask)
                mask.render()
            with gr.Accordion(said("advanced"), open=False):
                source = gr.Textbox(
                    controls.default(RecolourRequest, "source"),
                    label=said("source"),
                    info=said("source_about"),
                    elem_id="recolour-source",
                )
                strength = controls.slider(RecolourRequest, "strength", step=0.05)
                size = controls.slider(RecolourRequest, "size_px", step=64)
        with gr.Column(scale=3, min_width=320):
            made = stage(studio, "recolour", gallery=True)

    def work(data: Values) -> Iterator[Updates]:
        def make() -> RecolourRequest:
            return RecolourRequest(
                inputs.uploaded(data[photo], "photo") or "",
                colours=data[colours] or (),
                source=(data[source] or "").strip(),
                strength=data[strength],
                size_px=data[size],
                mask=inputs.uploaded(data[mask], "mask"),
            )

        yield from made.follow(run, make, lambda: made.saving(data))

    asked = [photo, mask, colours, source, strength, size]
    stop_with(made, stop, [*start(made, work, asked, [], [go.click, *tried], [brush]), *brush.looking])

    def fill(request: RecolourRequest) -> Sequence[Any]:
        return [list(request.colours), request.source, request.strength, request.size_px]

    return Refill(made, fill, [colours, source, strength, size]).on_drop()
