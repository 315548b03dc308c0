"""The tab that repaints a photo in the manner of another picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engine.request import StyleRequest
from gradio_ui import parts
from gradio_ui.words import said

_SETTINGS = ("method", "size_px", "steps", "content_weight", "style_weight", "strength", "seed", "network")


def tab(run: parts.Run, presets: Sequence[Any], models: Sequence[Mapping[str, Any]]) -> parts.Refill:
    """Build the tab. `run` turns a request into events; a preset has name, title, artist, year and thumbnail."""
    by_name = {p.name: i for i, p in enumerate(presets)}
    first = parts.default(StyleRequest, "style")
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            photo = parts.photo_input("photo", height=200, elem_id="stylize-photo")
            strip = parts.examples(photos := parts.example_photos())
            style = gr.State(first)
            credit = gr.Markdown(_credit(presets, by_name.get(first)), elem_classes="v-credit")
            wall = gr.Gallery(
                [(str(p.thumbnail), p.title) for p in presets],
                label=said("presets"),
                show_label=False,
                columns=min(7, max(4, -(-len(presets) // 2))),  # two rows, so that the button stays in view
                height="auto",
                allow_preview=False,
                object_fit="cover",
                selected_index=by_name.get(first),
                interactive=False,
                buttons=[],
                elem_id="stylize-presets",
                elem_classes="v-presets",
            )
            strength = parts.slider(StyleRequest, "strength", step=0.05)
            go, stop = parts.buttons("stylize")
            with gr.Accordion(said("own_style"), open=False):
                own = parts.photo_input("own_style_picture", height=180, elem_id="stylize-own")
            with gr.Accordion(said("advanced"), open=False):
                size = parts.slider(StyleRequest, "size_px", step=64)
                steps = parts.slider(StyleRequest, "steps", word="steps_count", step=1)
                content = parts.slider(StyleRequest, "content_weight", step=0.1)
                paint = parts.slider(StyleRequest, "style_weight", step=0.1)
                methods = parts.options(StyleRequest, "method")
                method = gr.Dropdown(list(methods), value=parts.default(StyleRequest, "method"), label=said("method"))
                network = parts.network_choice(models, ("features",))
                seed, fresh = parts.seed_row(StyleRequest, new_each_time=False)
        with gr.Column(scale=3, min_width=320):
            made = parts.stage("stylize")

    settings = [method, size, steps, content, paint, strength, seed, network]

    @parts.in_sentences
    def work(photo: parts.Sent, own: parts.Sent, style: str, fresh: bool, format: str, quality: float, exif: bool, *values: Any) -> Iterator[parts.Updates]:
        named = dict(zip(_SETTINGS, values, strict=True))
        named["seed"] = parts.drawn_seed(named["seed"], fresh)
        yield {seed: named["seed"]}

        def make() -> StyleRequest:
            return StyleRequest(parts.uploaded(photo, "photo") or "", parts.uploaded(own, "style") or style, **named)

        yield from made.follow(run, make, lambda: parts.Saving(format, quality, exif))

    inputs = [photo, own, style, fresh, made.format, made.quality, made.keep_exif, *settings]
    triggers = [go.click]
    if strip is not None:
        triggers.append(strip.click(lambda i: str(photos[i]), strip, photo, queue=False, show_progress="hidden", api_visibility="private").then)
    parts.connect(made, work, inputs, [seed], triggers, stop)

    def picked(event: gr.SelectData) -> tuple[str, str, None]:
        return presets[event.index].name, _credit(presets, event.index), None  # a preset chosen is an own picture put away

    wall.select(picked, None, [style, credit, own], queue=False, show_progress="hidden", api_visibility="private")

    def fill(request: StyleRequest) -> Sequence[Any]:
        known = request.style if request.style in by_name else first
        values = [parts.offered(network, request.network) if name == "network" else getattr(request, name) for name in _SETTINGS]
        return [*values, False, known, gr.update(selected_index=by_name.get(known)), _credit(presets, by_name.get(known))]

    def lacking(request: StyleRequest) -> str:
        return "" if request.style in by_name else f"Its style was the picture {request.style}, which you have to add."

    return parts.Refill(made, fill, [*settings, fresh, style, wall, credit], lacking).on_drop()


def _credit(presets: Sequence[Any], index: int | None) -> str:
    """Who painted the chosen preset."""
    if index is None:
        return ""
    p = presets[index]
    return " · ".join(str(part) for part in (p.title, p.artist, p.year) if part)


def static_paths(presets: Sequence[Any]) -> list[Path]:
    """The folders whose files the tab shows as they are."""
    return sorted({Path(p.thumbnail).resolve().parent for p in presets})
