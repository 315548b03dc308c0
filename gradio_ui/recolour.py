"""The tab that shows one product in other colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from engine.request import COLOURS_MOST, RecolourRequest
from gradio_ui import parts
from gradio_ui.words import said

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


def tab(run: parts.Run) -> parts.Refill:
    """Build the tab. `run` turns a request into events."""
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            photo = parts.photo_input("photo", height=200, elem_id="recolour-photo")
            strip = parts.examples(photos := parts.example_photos())
            colours = gr.Dropdown(
                list(SWATCHES.items()),
                value=parts.default(RecolourRequest, "colours"),
                multiselect=True,
                allow_custom_value=True,
                max_choices=COLOURS_MOST,
                label=said("swatches"),
                info=said("swatches_about"),
                elem_id="recolour-colours",
            )
            go, stop = parts.buttons("recolour")
            with gr.Accordion(said("advanced"), open=False):
                source = gr.Textbox(parts.default(RecolourRequest, "source"), label=said("source"), info=said("source_about"), elem_id="recolour-source")
                strength = parts.slider(RecolourRequest, "strength", step=0.05)
                size = parts.slider(RecolourRequest, "size_px", step=64)
                mask = parts.photo_input("product_mask", height=160, elem_id="recolour-mask")
        with gr.Column(scale=3, min_width=320):
            made = parts.stage("recolour", gallery=True)

    @parts.in_sentences
    def work(
        photo: parts.Sent, mask: parts.Sent, colours: Any, source: str, strength: float, size: float, format: str, quality: float
    ) -> Iterator[parts.Updates]:
        def make() -> RecolourRequest:
            return RecolourRequest(parts.uploaded(photo, "photo") or "", colours or (), (source or "").strip(), strength, size, parts.uploaded(mask, "mask"))  # type: ignore[arg-type]

        yield from made.follow(run, make, lambda: parts.Saving(format, quality))

    triggers = [go.click]
    if strip is not None:
        triggers.append(strip.click(lambda i: str(photos[i]), strip, photo, queue=False, show_progress="hidden", api_visibility="private").then)
    parts.connect(made, work, [photo, mask, colours, source, strength, size, made.format, made.quality], [], triggers, stop)

    def fill(request: RecolourRequest) -> Sequence[Any]:
        return [list(request.colours), request.source, request.strength, request.size_px]

    return parts.Refill(made, fill, [colours, source, strength, size]).on_drop()
