"""The tab that repaints a photo in the manner of another picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.style import JOHNSON, METHODS, StyleRequest
from gradio_ui import mask as brush_mask
from gradio_ui import parts
from gradio_ui.compare import pair
from gradio_ui.mix import Mix, mix
from gradio_ui.recipes import Refill
from gradio_ui.stage import stage, start, stop_with
from gradio_ui.words import said


@dataclass(frozen=True)
class _Controls:
    """What a request is made of. settings: by the names of StyleRequest's fields."""

    photo: gr.Image
    mask: gr.Image
    protect: gr.Image
    style: gr.State
    single: gr.Dropdown
    mixed: Mix
    fresh: gr.Checkbox
    settings: Mapping[str, Any]

    @property
    def inputs(self) -> list[Any]:
        return [
            self.photo,
            self.mask,
            self.protect,
            self.style,
            self.single,
            self.fresh,
            *self.mixed.inputs,
            *self.settings.values(),
        ]

    def request(self, data: parts.Values, **others: Any) -> StyleRequest:
        """The request of the controls' values, with `others` in place of theirs."""
        named = {name: data[component] for name, component in self.settings.items()} | others
        photo = parts.uploaded(data[self.photo], "photo") or ""
        style = named.pop("style", None)
        if named["method"] == "johnson":
            return StyleRequest(photo, style=style if style in JOHNSON else data[self.single], **named)
        styles, weights = ([style], ()) if style else self.mixed.styles(data, data[self.style])
        files: dict[str, Any] = {
            "mask": parts.uploaded(data[self.mask], "mask"),
            "protect": parts.uploaded(data[self.protect], "protected area"),
        }
        return StyleRequest(
            photo, style=styles[0], more_styles=tuple(styles[1:]), style_weights=weights, **files, **named
        )


def tab(
    run: parts.Run, presets: Sequence[Any], models: Sequence[Mapping[str, Any]], find: brush_mask.Find
) -> tuple[Refill, gr.Image]:
    """Build the tab. `run` turns a request into events; a preset has name, title, artist, year and thumbnail; `find` gives a photo's product mask.

    Returns how a recipe fills the tab, and where a photo goes.
    """
    titles = {p.name: p.title for p in presets}
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            photo = parts.photo_input("photo", height=200, elem_id="stylize-photo")
            tried = parts.examples(parts.example_photos(), photo)
            style = gr.State(parts.default(StyleRequest, "style"))
            credit = gr.Markdown(_credit(presets, style.value), elem_classes="v-credit")
            wall = _wall(presets, style.value)
            settings: dict[str, Any] = {
                "strength": parts.slider(StyleRequest, "strength", step=0.05),
                "method": parts.dropdown(StyleRequest, "method"),
            }
            go, stop = parts.buttons("stylize")
            with gr.Accordion(said("product"), open=False, elem_id="stylize-product"):
                settings["apply_to"] = parts.radio(StyleRequest, "apply_to")
                settings["colours"] = parts.radio(StyleRequest, "colours")
                settings["feather_px"] = parts.slider(StyleRequest, "feather_px", step=1)
                with gr.Row(render=False) as files:
                    mask = parts.photo_input("product_mask", height=140, elem_id="stylize-mask")
                    protect = parts.photo_input("protect", height=140, elem_id="stylize-protect")
                brush = brush_mask.editor("stylize", find, photo, mask, protect)
                files.render()
            with gr.Accordion(said("own_style"), open=False):
                mixed = mix([(title, name) for name, title in titles.items()])
                single = gr.Dropdown(
                    [(name.capitalize(), name) for name in JOHNSON], value=JOHNSON[0], label=said("johnson_style")
                )
            with gr.Accordion(said("compare"), open=False, elem_id="stylize-compare"):
                other_style, other_own, other_method, compare = _other(titles, style.value)
            with gr.Accordion(said("advanced"), open=False):
                settings["size_px"] = parts.slider(StyleRequest, "size_px", step=64)
                settings["brush"] = parts.slider(StyleRequest, "brush", step=0.25)
                settings["strokes"] = parts.slider(StyleRequest, "strokes", step=0.05)
                settings["start"] = parts.radio(StyleRequest, "start")
                with gr.Row():
                    settings["style_loss"] = parts.dropdown(StyleRequest, "style_loss")
                    settings["optimizer"] = parts.dropdown(StyleRequest, "optimizer")
                settings["steps"] = parts.slider(StyleRequest, "steps", word="steps_count", step=1)
                settings["content_weight"] = parts.slider(StyleRequest, "content_weight", step=0.1)
                settings["style_weight"] = parts.slider(StyleRequest, "style_weight", step=0.1)
                settings["network"] = network = parts.network_choice("stylize", models, ("features",))
                settings["seed"], fresh = parts.seed_row(StyleRequest, new_each_time=False)
        with gr.Column(scale=3, min_width=320):
            made = stage("stylize")
            both = pair(made)

    controls = _Controls(photo, mask, protect, style, single, mixed, fresh, settings)
    seed = settings["seed"]

    def work(data: parts.Values) -> Iterator[parts.Updates]:
        drawn = parts.drawn_seed(data[seed], data[fresh])
        yield {seed: drawn}
        yield from made.follow(run, lambda: controls.request(data, seed=drawn), lambda: made.saving(data))

    def compared(data: parts.Values) -> Iterator[parts.Updates]:
        drawn = parts.drawn_seed(data[seed], data[fresh])
        yield {seed: drawn}

        def make() -> tuple[StyleRequest, StyleRequest]:
            other = {
                "style": parts.uploaded(data[other_own], "style") or data[other_style],
                "method": data[other_method],
            }
            chosen = {name: value for name, value in other.items() if value}
            if not chosen:
                raise RequestError("Choose another style or another method to compare with.")
            return controls.request(data, seed=drawn), controls.request(data, seed=drawn, **chosen)

        yield from both.follow(run, make, lambda result: _title(result, titles), lambda: made.saving(data))

    started = start(made, work, controls.inputs, [seed], [go.click, *tried], [brush])
    started += start(
        made,
        compared,
        [*controls.inputs, other_style, other_own, other_method],
        [seed, *both.outputs],
        [compare.click],
        [brush],
    )
    stop_with(made, stop, started)

    def picked(event: gr.SelectData) -> list[Any]:
        name = presets[event.index].name
        return [name, _credit(presets, name), *[None] * len(mixed.pictures)]  # a preset chosen is own pictures put away

    wall.select(
        picked, None, [style, credit, *mixed.pictures], queue=False, show_progress="hidden", api_visibility="private"
    )

    def fill(request: StyleRequest) -> Sequence[Any]:
        known = request.style if request.style in titles else parts.default(StyleRequest, "style")
        values = [
            parts.offered(network, request.network) if name == "network" else getattr(request, name)
            for name in settings
        ]
        alone = request.style if request.style in JOHNSON else JOHNSON[0]
        return [
            *values,
            *mixed.filled(request, list(titles)),
            alone,
            False,
            known,
            gr.update(selected_index=_index(presets, known)),
            _credit(presets, known),
        ]

    def lacking(request: StyleRequest) -> str:
        own = [] if request.method == "johnson" else [name for name in request.styles if name not in titles]
        if len(own) > 1:
            return f"{len(own)} of its styles were pictures, which you have to add: {', '.join(own)}."
        return f"Its style was the picture {own[0]}, which you have to add." if own else ""

    return Refill(
        made, fill, [*settings.values(), *mixed.settings, single, fresh, style, wall, credit], lacking
    ).on_drop(), photo


def _wall(presets: Sequence[Any], chosen: str) -> gr.Gallery:
    """The presets' thumbnails."""
    return gr.Gallery(
        [(str(p.thumbnail), p.title) for p in presets],
        label=said("presets"),
        show_label=False,
        columns=min(8, max(4, -(-len(presets) // 2))),  # two rows, so that the button stays in view
        height="auto",
        allow_preview=False,
        object_fit="cover",
        selected_index=_index(presets, chosen),
        interactive=False,
        buttons=[],
        elem_id="stylize-presets",
        elem_classes="v-presets",
    )


def _other(titles: Mapping[str, str], chosen: str) -> tuple[gr.Dropdown, gr.Image, gr.Dropdown, gr.Button]:
    """What the photo is compared in: another style, or the same one by another method."""
    second = next((name for name in titles if name != chosen), "")
    style = gr.Dropdown(
        [(said("the_same"), ""), *((title, name) for name, title in titles.items())],
        value=second,
        label=said("second_style"),
        elem_id="stylize-second-style",
    )
    own = parts.photo_input("second_own", height=120, elem_id="stylize-second-own")
    methods = [(said("the_same"), ""), *((said(f"method.{method}"), method) for method in METHODS)]
    method = gr.Dropdown(methods, value="", label=said("second_method"), elem_id="stylize-second-method")
    return style, own, method, gr.Button(said("run_compare"), elem_id="stylize-compare-run")


def _title(result: Result, titles: Mapping[str, str]) -> str:
    """The styles and the method of a result."""
    recipe = result.recipe
    styles = [
        titles.get(name, "own picture") if recipe["method"] != "johnson" else name
        for name in (recipe["style"], *recipe["more_styles"])
    ]
    return f"{' + '.join(styles)}, {recipe['method']}"


def _index(presets: Sequence[Any], name: str) -> int | None:
    return next((i for i, p in enumerate(presets) if p.name == name), None)


def _credit(presets: Sequence[Any], name: str) -> str:
    """Who painted a preset, when, and whose it is."""
    index = _index(presets, name)
    if index is None:
        return ""
    p = presets[index]
    return " · ".join(str(part) for part in (p.title, p.artist, p.year, p.licence) if part)


def static_paths(presets: Sequence[Any]) -> list[Path]:
    """The folders whose files the tab shows as they are."""
    return sorted({Path(p.thumbnail).resolve().parent for p in presets})
