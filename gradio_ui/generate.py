"""The tab that makes new product pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.generate import ANY_CATEGORY, CATEGORIES, DIRECTION_MOST, GenerateRequest, categories_of
from gradio_ui import controls, example_pictures, inputs
from gradio_ui.compare import Comparison, pair
from gradio_ui.motion import Motion, motion
from gradio_ui.picked import FRAMES, Picked, picked
from gradio_ui.recipes import Refill
from gradio_ui.sketch import drawing, laid, pad
from gradio_ui.stage import Stage, Work, stage, start, stop_with
from gradio_ui.wiring import QUICK, Run, Updates, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

_COLOUR, _BACKGROUND = "#b23a48", "#e9e4da"  # what the two pickers begin with
Directions: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]  # by network, by category

_ANY_NETWORK = ("auto", "embedded", "hub")


@dataclass(frozen=True)
class _Controls:
    """What a request is made of. settings: by the names of GenerateRequest's fields."""

    settings: Mapping[str, Any]
    fresh: gr.Checkbox
    as_it_comes: gr.Checkbox
    colour: gr.ColorPicker
    background: gr.Radio
    background_colour: gr.ColorPicker
    directions: tuple[gr.Slider, ...]

    @property
    def inputs(self) -> list[Any]:
        return [*self.filled_components, self.fresh]

    @property
    def filled_components(self) -> list[Any]:
        """Everything that a recipe fills, in the order of `filled`."""
        return [
            *self.settings.values(),
            self.as_it_comes,
            self.colour,
            self.background,
            self.background_colour,
            *self.directions,
        ]

    def named(self, data: Values) -> dict[str, Any]:
        """The settings as the request's fields."""
        named = {name: data[component] for name, component in self.settings.items()}
        named["colour"] = "" if data[self.as_it_comes] else inputs.colour_of(data[self.colour])
        named["background"] = (
            inputs.colour_of(data[self.background_colour])
            if data[self.background] == "colour"
            else data[self.background]
        )
        along = [data[slider] for slider in self.directions]
        named["directions"] = tuple(along) if any(along) else ()
        return named

    def filled(self, request: GenerateRequest) -> list[Any]:
        network = self.settings["network"]
        known = controls.offered(network, request.network)
        values = {name: getattr(request, name) for name in self.settings} | {"network": known}
        chosen: dict[str, Any] = {} if request.category == ANY_CATEGORY else {"value": request.category}
        values["category"] = gr.update(choices=_worded(categories_of(request.network)), **chosen)
        plain = request.background in ("white", "transparent")
        along = [request.directions[k] if k < len(request.directions) else 0 for k in range(len(self.directions))]
        return [
            *values.values(),
            not request.colour,
            gr.update(value=request.colour or _COLOUR, visible=bool(request.colour)),
            request.background if plain else "colour",
            gr.update(value=_BACKGROUND if plain else request.background, visible=not plain),
            *along,
        ]


@dataclass(frozen=True)
class _Sketching:
    """What a drawing is made into a product by. lines: whether `sheet` holds it, or `photo` its edges."""

    lines: gr.Radio
    sheet: gr.ImageEditor
    photo: gr.Image
    anything: gr.Checkbox
    go: gr.Button
    drawings: Sequence[Callable[..., Any]]

    @property
    def inputs(self) -> list[Any]:
        return [self.lines, self.sheet, self.photo, self.anything]

    def asked(self, data: Values, named: Mapping[str, Any]) -> GenerateRequest:
        """The request for what is drawn. RequestError where there is nothing to start from."""
        is_photo = data[self.lines] == "photo"
        file = inputs.uploaded(data[self.photo], "photo") if is_photo else drawing(data[self.sheet])
        if not file:
            raise RequestError("Add the photo whose edges are to be taken.")
        of_any = {"category": ANY_CATEGORY} if data[self.anything] else {}
        network = _open(named["network"])  # directions turn latents, and a drawing has none
        drawn_from = {"sketch": file, "lines": data[self.lines], "network": network, "directions": ()}
        return GenerateRequest(**{**named, **of_any, **drawn_from})


@dataclass(frozen=True)
class _FromPhoto:
    """What a photo of one's own is varied by."""

    photo: gr.Image
    closeness: gr.Slider
    vary: gr.Button
    leave: gr.Button

    @property
    def inputs(self) -> list[Any]:
        return [self.photo, self.closeness]

    def asked(self, data: Values, named: Mapping[str, Any], **others: Any) -> GenerateRequest:
        """The request for variations of the photo, with `others` in place of the controls' values."""
        file = inputs.uploaded(data[self.photo], "photo")
        if not file:
            raise RequestError("Add a photo first.")
        # In the order of drawing: the first is the photo itself, drawn again.
        asked = {"photo": file, "distance": data[self.closeness], "network": _open(named["network"]), "order": "drawn"}
        return GenerateRequest(**{**named, **asked, **others})


@dataclass(frozen=True)
class _GenerateForm:
    """The left side of the tab."""

    controls: _Controls
    go: gr.Button
    stop: gr.Button
    sketching: _Sketching
    from_photo: _FromPhoto
    second: gr.Dropdown
    compare: gr.Button


@dataclass(frozen=True)
class _GenerateResult:
    """The right side of the tab."""

    made: Stage
    panel: Picked
    moving: Motion
    both: Comparison


def tab(studio: Studio, run: Run, models: Sequence[Mapping[str, Any]]) -> tuple[Refill, Picked]:
    """Build the tab. `run` turns a request into events."""
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            form = _form(studio, models)
        with gr.Column(scale=3, min_width=320):
            made = stage(studio, "generate", gallery=True)
            right = _GenerateResult(made, picked(made), motion(made), pair(made, walls=True))
    _run_on(run, form, right)
    panel, sketching, kept = right.panel, form.sketching, form.controls
    outputs = [*kept.filled_components, kept.fresh, sketching.lines, sketching.anything, *panel.refilled]

    def fill(request: GenerateRequest) -> Sequence[Any]:
        updates = panel.filled(request)
        is_any = request.category == ANY_CATEGORY
        of_panel = (updates.get(component, gr.skip()) for component in panel.refilled)
        return [*kept.filled(request), False, request.lines, is_any, *of_panel]

    return Refill(made, fill, outputs, lacking).on_drop(), panel


def _form(studio: Studio, models: Sequence[Mapping[str, Any]]) -> _GenerateForm:
    """Lay out the left side."""
    settings: dict[str, Any] = {}
    category = gr.Radio(
        _worded(CATEGORIES),
        value=controls.default(GenerateRequest, "category"),
        label=said("category"),
        elem_id="generate-category",
    )
    settings["category"] = category
    settings["count"] = controls.slider(GenerateRequest, "count", step=1)
    go, stop = controls.buttons("generate")
    with gr.Accordion(said("look"), open=False, elem_id="generate-look"):
        as_it_comes, colour, background, background_colour = _look()
    with gr.Accordion(said("from_sketch"), open=False, elem_id="generate-sketching"):
        sketching = _sketching(studio, category)
    with gr.Accordion(said("from_photo"), open=False, elem_id="generate-photographing"):
        from_photo = _from_photo(studio)
    known = _directions_known(models)
    with gr.Accordion(said("directions"), open=False, visible=bool(known), elem_id="generate-directions"):
        names = _directions_of(known, "auto", controls.default(GenerateRequest, "category"))
        gr.Markdown(said("directions_about"), elem_classes="v-hint")
        along = tuple(_direction(names, k) for k in range(_directions_most(known)))
    second, compare = _comparing([m["name"] for m in models if m.get("task") == "generate"])
    with gr.Accordion(said("advanced"), open=False, elem_id="generate-advanced"):
        fresh = _advanced(settings, models)
    network = settings["network"]
    if along:
        for changed in (network, category):
            changed.change(
                lambda *chosen: _relabelled(_directions_of(known, *chosen), along),
                [network, category],
                list(along),
                **QUICK,
            )
    network.change(_categories, [network, category], category, **QUICK)
    kept = _Controls(settings, fresh, as_it_comes, colour, background, background_colour, along)
    return _GenerateForm(kept, go, stop, sketching, from_photo, second, compare)


def _from_photo(studio: Studio) -> _FromPhoto:
    photo = inputs.photo_input(studio, "photo", height=180, elem_id="generate-photo")
    closeness = controls.slider(GenerateRequest, "distance", step=0.05, elem_id="generate-closeness")
    with gr.Row():
        vary = gr.Button(said("vary_photo"), min_width=120, elem_id="generate-vary")
        leave = gr.Button(said("walk_photo"), min_width=120, elem_id="generate-leave")
    return _FromPhoto(photo, closeness, vary, leave)


def _comparing(networks: Sequence[str]) -> tuple[gr.Dropdown, gr.Button]:
    """Which other network draws the same, in sight where there are two."""
    with gr.Accordion(said("compare_models"), open=False, visible=len(networks) > 1, elem_id="generate-compare"):
        gr.Markdown(said("compare_about"), elem_classes="v-hint")
        second = gr.Dropdown(
            list(networks),
            value=networks[1] if len(networks) > 1 else None,
            label=said("second_model"),
            elem_id="generate-second-network",
        )
        return second, gr.Button(said("run_compare"), elem_id="generate-compare-run")


def _advanced(settings: dict[str, Any], models: Sequence[Mapping[str, Any]]) -> gr.Checkbox:
    """Add what few people change to the settings; returns whether each run draws a new seed."""
    settings["network"] = controls.network_choice("generate", models, ("generate",))
    settings["truncation"] = controls.slider(GenerateRequest, "truncation", step=0.05)
    # Who looks for the first time sees what is whole first.
    settings["order"] = controls.radio(GenerateRequest, "order", "best")
    settings["scale"] = gr.Radio(
        [(f"{s}x", s) for s in controls.options(GenerateRequest, "scale")],
        value=controls.default(GenerateRequest, "scale"),
        label=said("scale"),
        info=said("about.generate.scale"),
        elem_id="generate-scale",
    )
    settings["seed"], fresh = controls.seed_row(GenerateRequest, new_each_time=True)
    return fresh


def _run_on(run: Run, form: _GenerateForm, right: _GenerateResult) -> None:
    """Let the buttons draw: new products, from a sketch, from a photo, by two networks, more like one of them."""
    made, panel, both, kept = right.made, right.panel, right.both, form.controls
    seed, count = kept.settings["seed"], kept.settings["count"]
    sketching, own = form.sketching, form.from_photo

    def drawn(data: Values) -> tuple[dict[str, Any], Updates]:
        named = kept.named(data) | {"seed": controls.drawn_seed(data[seed], data[kept.fresh])}
        return named, {seed: named["seed"]}

    def shown(data: Values, make: Any, *, drawn: bool, walk: bool = False) -> Iterator[Updates]:
        more = (lambda _, frames, folder: right.moving.filled(frames, folder)) if walk else None
        for updates in made.follow(run, make, lambda: made.saving(data), more):
            yield updates | ({panel.drawn: drawn} if made.kept in updates else {})

    def new(make: Callable[..., GenerateRequest], *, is_seeds: bool, walk: bool = False) -> Work:
        """Draw a seed, then run what `make` builds of the values and the settings."""

        def work(data: Values) -> Iterator[Updates]:
            named, told = drawn(data)
            yield told
            yield from shown(data, lambda: make(data, named), drawn=is_seeds, walk=walk)

        return work

    def again(make: Callable[[Values], GenerateRequest], *, walk: bool = False) -> Work:
        """Run what the panel builds of the wall's own recipe."""
        return lambda data: shown(data, lambda: make(data), drawn=True, walk=walk)

    def compared(data: Values) -> Iterator[Updates]:
        named, told = drawn(data)
        yield told

        def make() -> tuple[GenerateRequest, GenerateRequest]:
            if not data[form.second] or data[form.second] == named["network"]:
                raise RequestError("Choose another model to compare with.")
            return GenerateRequest(**named), GenerateRequest(**named | {"network": data[form.second]})

        yield from both.follow(run, make, _title, lambda: made.saving(data))

    plain = new(lambda data, named: GenerateRequest(**named), is_seeds=True)
    walk_away = new(lambda data, named: own.asked(data, named, walk_to=1, count=FRAMES), is_seeds=False, walk=True)
    told = [seed, panel.drawn, *right.moving.outputs]
    asked, chosen = kept.inputs, [*panel.inputs, count]
    of_photo = [*asked, *own.inputs]
    started = start(made, plain, asked, told, [form.go.click])
    lined = [*asked, *sketching.inputs]
    triggers = [sketching.go.click, *sketching.drawings]
    started += start(made, new(sketching.asked, is_seeds=False), lined, told, triggers)
    started += start(made, new(own.asked, is_seeds=False), of_photo, told, [own.vary.click])
    started += start(made, walk_away, of_photo, told, [own.leave.click])
    started += start(made, compared, [*asked, form.second], [seed, *both.outputs], [form.compare.click])
    more_like = again(lambda data: panel.varied(data, data[count]))
    started += start(made, more_like, chosen, told, [panel.more.click])
    started += start(made, again(panel.walked, walk=True), chosen, told, [panel.walk.click])
    started += start(made, again(panel.origin), chosen, told, [panel.back.click])
    stop_with(made, form.stop, started)


def lacking(request: GenerateRequest) -> str:
    """What to press for a recipe of variations."""
    if not request.like:
        return ""
    return (
        f"It made {'a walk from' if request.walk_to else 'more like'} picture {request.like}: press the button under"
        " the frame."
    )


def _worded(categories: Sequence[str]) -> list[tuple[Any, str]]:
    return [(said(name) if name in CATEGORIES else name.capitalize(), name) for name in categories]


def _categories(network: str, chosen: str) -> Any:
    """What the network can be asked for."""
    known = categories_of(network)
    return gr.update(choices=_worded(known), value=chosen if chosen in known else known[0])


def _look() -> tuple[gr.Checkbox, gr.ColorPicker, gr.Radio, gr.ColorPicker]:
    """The product's colour and what is behind it."""
    as_it_comes = gr.Checkbox(True, label=said("as_it_comes"), elem_id="generate-as-it-comes")
    colour = gr.ColorPicker(_COLOUR, label=said("product_colour"), visible=False, elem_id="generate-colour")
    background = gr.Radio(
        [(said(f"background.{b}"), b) for b in ("white", "transparent", "colour")],
        value="white",
        label=said("background"),
        elem_id="generate-background",
    )
    background_colour = gr.ColorPicker(
        _BACKGROUND, label=said("background_colour"), visible=False, elem_id="generate-background-colour"
    )
    as_it_comes.change(lambda on: gr.update(visible=not on), as_it_comes, colour, **QUICK)
    background.change(lambda chosen: gr.update(visible=chosen == "colour"), background, background_colour, **QUICK)
    return as_it_comes, colour, background, background_colour


def _sketching(studio: Studio, category: gr.Radio) -> _Sketching:
    """A drawing, or a photo whose edges are taken for one; of the chosen category or of none of them.

    An example drawing chooses its own.
    """
    lines = controls.radio(GenerateRequest, "lines")
    with gr.Column() as drawn:
        sheet = pad()
        drawings = example_pictures.examples(example_pictures.example_drawings(), [sheet, category], _example)
    photo = inputs.photo_input(studio, "photo", height=180, elem_id="generate-lined-photo")
    photo.visible = False
    anything = gr.Checkbox(False, label=said("any_category"), elem_id="generate-any")
    go = gr.Button(said("run_sketch"), elem_id="generate-sketch")
    lines.change(
        lambda chosen: (gr.update(visible=chosen == "drawn"), gr.update(visible=chosen == "photo")),
        lines,
        [drawn, photo],
        **QUICK,
    )
    return _Sketching(lines, sheet, photo, anything, go, drawings)


def _example(file: Path) -> tuple[Any, Any]:
    """An example drawing, and the category that its name ends with."""
    return laid(file), gr.update(choices=_worded(CATEGORIES), value=file.stem.removeprefix("drawing-"))


def _open(network: str) -> str:
    """The wish for a network where the chosen one may not be able to do what is asked."""
    return network if network in _ANY_NETWORK else "auto"


def _title(result: Result) -> str:
    return result.notes.networks[0]  # the one that draws; the sentence below names all


def _directions_known(models: Sequence[Mapping[str, Any]]) -> Directions:
    """The names of each network's directions, by category."""
    return {m["name"]: m["directions"] for m in models if m.get("task") == "generate" and m.get("directions")}


def _directions_most(known: Directions) -> int:
    return max((len(names) for by_category in known.values() for names in by_category.values()), default=0)


def _directions_of(known: Directions, network: str, category: str) -> Sequence[str]:
    """The directions of the network that is chosen, for a category; the first network's where any may answer."""
    by_category = next(iter(known.values()), {}) if network in _ANY_NETWORK else known.get(network, {})
    return by_category.get(category, ())


def _direction(names: Sequence[str], k: int) -> gr.Slider:
    label, there = (names[k], True) if k < len(names) else ("", False)
    return gr.Slider(
        -DIRECTION_MOST, DIRECTION_MOST, 0, step=0.1, label=label, visible=there, elem_id=f"generate-direction-{k + 1}"
    )


def _relabelled(names: Sequence[str], sliders: Sequence[gr.Slider]) -> Updates:
    """The sliders for other directions."""
    return {
        slider: gr.update(label=names[k] if k < len(names) else "", value=0, visible=k < len(names))
        for k, slider in enumerate(sliders)
    }
