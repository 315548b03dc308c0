"""The tab that repaints a photo in the manner of another picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engine.request import JOHNSON, STYLES_MOST, RequestError, StyleRequest
from gradio_ui import mask as brush_mask
from gradio_ui import parts
from gradio_ui.words import said

_SETTINGS = (
    "method",
    "size_px",
    "brush",
    "colours",
    "apply_to",
    "feather_px",
    "start",
    "steps",
    "content_weight",
    "style_weight",
    "strength",
    "seed",
    "network",
)


def tab(run: parts.Run, presets: Sequence[Any], models: Sequence[Mapping[str, Any]], find: brush_mask.Find) -> parts.Refill:
    """Build the tab. `run` turns a request into events; a preset has name, title, artist, year and thumbnail; `find` gives a photo's product mask."""
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
                columns=min(8, max(4, -(-len(presets) // 2))),  # two rows, so that the button stays in view
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
            method = parts.dropdown(StyleRequest, "method")
            go, stop = parts.buttons("stylize")
            with gr.Accordion(said("product"), open=False, elem_id="stylize-product"):
                apply_to = parts.radio(StyleRequest, "apply_to")
                colours = parts.radio(StyleRequest, "colours")
                feather = parts.slider(StyleRequest, "feather_px", step=1)
                with gr.Row(render=False) as files:
                    mask = parts.photo_input("product_mask", height=140, elem_id="stylize-mask")
                    protect = parts.photo_input("protect", height=140, elem_id="stylize-protect")
                brush_mask.editor(find, photo, mask, protect)
                files.render()
            with gr.Accordion(said("own_style"), open=False):
                own = parts.photo_input("own_style_picture", height=180, elem_id="stylize-own")
                titles = [(p.title, p.name) for p in presets]
                more = gr.Dropdown(titles, value=[], multiselect=True, max_choices=STYLES_MOST - 1, label=said("more_styles"), elem_id="stylize-more")
                share = gr.Slider(0, 1, 0.5, step=0.05, label=said("first_share"))
                single = gr.Dropdown([(name.capitalize(), name) for name in JOHNSON], value=JOHNSON[0], label=said("johnson_style"))
            with gr.Accordion(said("advanced"), open=False):
                size = parts.slider(StyleRequest, "size_px", step=64)
                brush = parts.slider(StyleRequest, "brush", step=0.25)
                start = parts.radio(StyleRequest, "start")
                steps = parts.slider(StyleRequest, "steps", word="steps_count", step=1)
                content = parts.slider(StyleRequest, "content_weight", step=0.1)
                paint = parts.slider(StyleRequest, "style_weight", step=0.1)
                network = parts.network_choice(models, ("features",))
                seed, fresh = parts.seed_row(StyleRequest, new_each_time=False)
        with gr.Column(scale=3, min_width=320):
            made = parts.stage("stylize")

    settings = [method, size, brush, colours, apply_to, feather, start, steps, content, paint, strength, seed, network]
    mixing = [more, share, single]

    @parts.in_sentences
    def work(
        photo: parts.Sent,
        own: parts.Sent,
        mask: parts.Sent,
        protect: parts.Sent,
        style: str,
        more: list[str] | None,
        share: Any,
        single: str,
        fresh: bool,
        format: str,
        quality: float,
        exif: bool,
        *values: Any,
    ) -> Iterator[parts.Updates]:
        named = dict(zip(_SETTINGS, values, strict=True))
        named["seed"] = parts.drawn_seed(named["seed"], fresh)
        yield {seed: named["seed"]}

        def make() -> StyleRequest:
            first = parts.uploaded(own, "style") or style
            if named["method"] == "johnson":
                return StyleRequest(parts.uploaded(photo, "photo") or "", single, **named)
            return StyleRequest(
                parts.uploaded(photo, "photo") or "",
                first,
                more_styles=tuple(more or ()),
                style_weights=_weights(share, len(more or ())),
                mask=parts.uploaded(mask, "mask"),
                protect=parts.uploaded(protect, "protected area"),
                **named,
            )

        yield from made.follow(run, make, lambda: parts.Saving(format, quality, exif))

    inputs = [photo, own, mask, protect, style, *mixing, fresh, made.format, made.quality, made.keep_exif, *settings]
    triggers = [go.click]
    if strip is not None:
        triggers.append(strip.click(lambda i: str(photos[i]), strip, photo, queue=False, show_progress="hidden", api_visibility="private").then)
    parts.connect(made, work, inputs, [seed], triggers, stop)

    def picked(event: gr.SelectData) -> tuple[str, str, None]:
        return presets[event.index].name, _credit(presets, event.index), None  # a preset chosen is an own picture put away

    wall.select(picked, None, [style, credit, own], queue=False, show_progress="hidden", api_visibility="private")

    def fill(request: StyleRequest) -> Sequence[Any]:
        known = request.style if request.style in by_name else first
        mixed = [[name for name in request.more_styles if name in by_name], request.shares[0], request.style if request.style in JOHNSON else JOHNSON[0]]
        values = [parts.offered(network, request.network) if name == "network" else getattr(request, name) for name in _SETTINGS]
        return [*values, *mixed, False, known, gr.update(selected_index=by_name.get(known)), _credit(presets, by_name.get(known))]

    def lacking(request: StyleRequest) -> str:
        return "" if request.style in by_name or request.method == "johnson" else f"Its style was the picture {request.style}, which you have to add."

    return parts.Refill(made, fill, [*settings, *mixing, fresh, style, wall, credit], lacking).on_drop()


def _weights(share: Any, others: int) -> tuple[float, ...]:
    """The first style's share, the rest divided among the others; none where there is nothing to mix."""
    if not others:
        return ()
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise RequestError("The first style's share must be a number from 0 to 1.")
    return (share, *([(1 - share) / others] * others))


def _credit(presets: Sequence[Any], index: int | None) -> str:
    """Who painted the chosen preset."""
    if index is None:
        return ""
    p = presets[index]
    return " · ".join(str(part) for part in (p.title, p.artist, p.year) if part)


def static_paths(presets: Sequence[Any]) -> list[Path]:
    """The folders whose files the tab shows as they are."""
    return sorted({Path(p.thumbnail).resolve().parent for p in presets})
