"""The tab that repaints a photo in the manner of another picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.style import JOHNSON, METHODS, StyleRequest
from gradio_ui import controls, example_pictures, inputs
from gradio_ui import mask as brush_mask
from gradio_ui.compare import Comparison, pair
from gradio_ui.mix import Mix, mix
from gradio_ui.recipes import Refill
from gradio_ui.stage import Stage, stage, start, stop_with
from gradio_ui.wiring import QUICK, Run, Updates, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio


@dataclass(frozen=True)
class _StyleForm:
    """The left side of the tab: what a request is made of. settings: by the names of StyleRequest's fields."""

    photo: gr.Image
    tried: Sequence[Callable[..., Any]]
    style: gr.State
    credit: gr.Markdown
    wall: gr.Gallery
    go: gr.Button
    stop: gr.Button
    mask: gr.Image
    protect: gr.Image
    brush: brush_mask.Brush
    mixed: Mix
    single: gr.Dropdown
    other: _Other
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

    def request(self, data: Values, **others: Any) -> StyleRequest:
        """The request of the controls' values, with `others` in place of theirs."""
        named = {name: data[component] for name, component in self.settings.items()} | others
        photo = inputs.uploaded(data[self.photo], "photo") or ""
        style = named.pop("style", None)
        if named["method"] == "johnson":
            return StyleRequest(photo, style=style if style in JOHNSON else data[self.single], **named)
        styles, weights = ([style], ()) if style else self.mixed.styles(data, data[self.style])
        files: dict[str, Any] = {
            "mask": inputs.uploaded(data[self.mask], "mask"),
            "protect": inputs.uploaded(data[self.protect], "protected area"),
        }
        return StyleRequest(
            photo, style=styles[0], more_styles=tuple(styles[1:]), style_weights=weights, **files, **named
        )

    def compared(self, data: Values, seed: Any) -> tuple[StyleRequest, StyleRequest]:
        """The request, and the same in the other style or by the other method. RequestError where neither is chosen."""
        own = inputs.uploaded(data[self.other.own], "style")
        other = {"style": own or data[self.other.style], "method": data[self.other.method]}
        chosen = {name: value for name, value in other.items() if value}
        if not chosen:
            raise RequestError("Choose another style or another method to compare with.")
        return self.request(data, seed=seed), self.request(data, seed=seed, **chosen)


@dataclass(frozen=True)
class _Other:
    """What the photo is compared in: another style, or the same one by another method."""

    style: gr.Dropdown
    own: gr.Image
    method: gr.Dropdown
    go: gr.Button

    @property
    def inputs(self) -> list[Any]:
        return [self.style, self.own, self.method]


def tab(
    studio: Studio, run: Run, presets: Sequence[Any], models: Sequence[Mapping[str, Any]]
) -> tuple[Refill, gr.Image]:
    """Build the tab. `run` turns a request into events; a preset has name, title, artist, year and thumbnail.

    Returns how a recipe fills the tab, and where a photo goes.
    """
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            form = _form(studio, presets, models)
        with gr.Column(scale=3, min_width=320):
            made = stage(studio, "stylize")
            both = pair(made)
    titles = {p.name: p.title for p in presets}
    _run_on(run, form, made, both, titles)
    _choose_presets(form, presets)
    settings, mixed = form.settings, form.mixed
    outputs = [*settings.values(), *mixed.settings, form.single, form.fresh, form.style, form.wall, form.credit]
    return Refill(
        made, lambda request: _filled(request, form, presets), outputs, lambda request: _lacking(request, titles)
    ).on_drop(), form.photo


def _form(studio: Studio, presets: Sequence[Any], models: Sequence[Mapping[str, Any]]) -> _StyleForm:
    """Lay out the left side."""
    titles = {p.name: p.title for p in presets}
    photo = inputs.photo_input(studio, "photo", height=200, elem_id="stylize-photo")
    tried = example_pictures.examples(example_pictures.example_photos(), photo)
    style = gr.State(controls.default(StyleRequest, "style"))
    credit = gr.Markdown(_credit(presets, style.value), elem_classes="v-credit")
    wall = _wall(presets, style.value)
    settings: dict[str, Any] = {
        "strength": controls.slider(StyleRequest, "strength", step=0.05),
        "method": controls.dropdown(StyleRequest, "method"),
    }
    go, stop = controls.buttons("stylize")
    with gr.Accordion(said("product"), open=False, elem_id="stylize-product"):
        settings["apply_to"] = controls.radio(StyleRequest, "apply_to")
        settings["colours"] = controls.radio(StyleRequest, "colours")
        settings["feather_px"] = controls.slider(StyleRequest, "feather_px", step=1)
        with gr.Row(render=False) as files:
            mask = inputs.photo_input(studio, "product_mask", height=140, elem_id="stylize-mask")
            protect = inputs.photo_input(studio, "protect", height=140, elem_id="stylize-protect")
        brush = brush_mask.editor(studio, "stylize", studio.find_product, photo, mask, protect)
        files.render()
    with gr.Accordion(said("own_style"), open=False):
        mixed = mix(studio, [(title, name) for name, title in titles.items()])
        single = gr.Dropdown(
            [(name.capitalize(), name) for name in JOHNSON],
            value=JOHNSON[0],
            label=said("johnson_style"),
            elem_id="stylize-johnson",
        )
    with gr.Accordion(said("compare"), open=False, elem_id="stylize-compare"):
        other = _other(studio, titles, style.value)
    with gr.Accordion(said("advanced"), open=False):
        fresh = _advanced(settings, models)
    return _StyleForm(
        photo, tried, style, credit, wall, go, stop, mask, protect, brush, mixed, single, other, fresh, settings
    )


def _advanced(settings: dict[str, Any], models: Sequence[Mapping[str, Any]]) -> gr.Checkbox:
    """Add what few people change to the settings; returns whether each run draws a new seed."""
    settings["size_px"] = controls.slider(StyleRequest, "size_px", step=64)
    settings["brush"] = controls.slider(
        StyleRequest, "brush", step=0.25, elem_id="stylize-brush-size"
    )  # the canvas is the tab's brush
    settings["strokes"] = controls.slider(StyleRequest, "strokes", step=0.05)
    settings["start"] = controls.radio(StyleRequest, "start")
    with gr.Row():
        settings["style_loss"] = controls.dropdown(StyleRequest, "style_loss")
        settings["optimizer"] = controls.dropdown(StyleRequest, "optimizer")
    settings["steps"] = controls.slider(StyleRequest, "steps", word="steps_count", step=1)
    settings["content_weight"] = controls.slider(StyleRequest, "content_weight", step=0.1)
    settings["style_weight"] = controls.slider(StyleRequest, "style_weight", step=0.1)
    settings["network"] = controls.network_choice("stylize", models, ("features",))
    settings["seed"], fresh = controls.seed_row(StyleRequest, new_each_time=False)
    return fresh


def _run_on(run: Run, form: _StyleForm, made: Stage, both: Comparison, titles: Mapping[str, str]) -> None:
    """Let the buttons repaint the photo, in one style or in two."""
    seed, brushes = form.settings["seed"], [form.brush]

    def work(data: Values) -> Iterator[Updates]:
        drawn = controls.drawn_seed(data[seed], data[form.fresh])
        yield {seed: drawn}
        yield from made.follow(run, lambda: form.request(data, seed=drawn), lambda: made.saving(data))

    def compared(data: Values) -> Iterator[Updates]:
        drawn = controls.drawn_seed(data[seed], data[form.fresh])
        yield {seed: drawn}
        yield from both.follow(
            run,
            lambda: form.compared(data, drawn),
            lambda result: _title(result, titles),
            lambda: made.saving(data),
        )

    started = start(made, work, form.inputs, [seed], [form.go.click, *form.tried], brushes)
    asked = [*form.inputs, *form.other.inputs]
    started += start(made, compared, asked, [seed, *both.outputs], [form.other.go.click], brushes)
    stop_with(made, form.stop, [*started, *form.brush.looking])


def _choose_presets(form: _StyleForm, presets: Sequence[Any]) -> None:
    """Let a click on a thumbnail choose its preset."""
    pictures = form.mixed.pictures

    def picked(event: gr.SelectData) -> list[Any]:
        name = presets[event.index].name
        return [name, _credit(presets, name), *[None] * len(pictures)]  # a preset chosen is own pictures put away

    form.wall.select(picked, None, [form.style, form.credit, *pictures], **QUICK)


def _filled(request: StyleRequest, form: _StyleForm, presets: Sequence[Any]) -> Sequence[Any]:
    """What a recipe fills the tab with."""
    names = [p.name for p in presets]
    known = request.style if request.style in names else controls.default(StyleRequest, "style")
    values = request.values() | {"network": controls.offered(form.settings["network"], request.network)}
    return [
        *(values[name] for name in form.settings),
        *form.mixed.filled(request, names),
        request.style if request.style in JOHNSON else JOHNSON[0],
        False,
        known,
        gr.update(selected_index=_index(presets, known)),
        _credit(presets, known),
    ]


def _lacking(request: StyleRequest, titles: Mapping[str, str]) -> str:
    """Which pictures of a recipe the person has to add."""
    own = [] if request.method == "johnson" else [name for name in request.styles if name not in titles]
    if len(own) > 1:
        return f"{len(own)} of its styles were pictures, which you have to add: {', '.join(own)}."
    return f"Its style was the picture {own[0]}, which you have to add." if own else ""


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


def _other(studio: Studio, titles: Mapping[str, str], chosen: str) -> _Other:
    """Lay out what the photo is compared in."""
    second = next((name for name in titles if name != chosen), "")
    style = gr.Dropdown(
        [(said("the_same"), ""), *((title, name) for name, title in titles.items())],
        value=second,
        label=said("second_style"),
        elem_id="stylize-second-style",
    )
    own = inputs.photo_input(studio, "second_own", height=120, elem_id="stylize-second-own")
    methods = [(said("the_same"), ""), *((said(f"method.{method}"), method) for method in METHODS)]
    method = gr.Dropdown(methods, value="", label=said("second_method"), elem_id="stylize-second-method")
    return _Other(style, own, method, gr.Button(said("run_compare"), elem_id="stylize-compare-run"))


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
