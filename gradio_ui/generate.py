"""The tab that makes new product pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.generate import ANY_CATEGORY, CATEGORIES, DIRECTION_MOST, GenerateRequest, categories_of
from gradio_ui import parts
from gradio_ui.compare import pair
from gradio_ui.motion import motion
from gradio_ui.picked import FRAMES, Picked, picked
from gradio_ui.recipes import Refill
from gradio_ui.sketch import drawing, laid, pad
from gradio_ui.stage import stage, start, stop_with
from gradio_ui.words import said

_COLOUR, _BACKGROUND = "#b23a48", "#e9e4da"  # what the two pickers begin with
_QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
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

    def named(self, data: parts.Values) -> dict[str, Any]:
        """The settings as the request's fields."""
        named = {name: data[component] for name, component in self.settings.items()}
        named["colour"] = "" if data[self.as_it_comes] else parts.colour_of(data[self.colour])
        named["background"] = (
            parts.colour_of(data[self.background_colour])
            if data[self.background] == "colour"
            else data[self.background]
        )
        along = [data[slider] for slider in self.directions]
        named["directions"] = tuple(along) if any(along) else ()
        return named

    def filled(self, request: GenerateRequest) -> list[Any]:
        network = self.settings["network"]
        known = parts.offered(network, request.network)
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


def tab(run: parts.Run, models: Sequence[Mapping[str, Any]]) -> tuple[Refill, Picked]:
    """Build the tab. `run` turns a request into events."""
    settings: dict[str, Any] = {}
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            settings["category"] = category = gr.Radio(
                _worded(CATEGORIES),
                value=parts.default(GenerateRequest, "category"),
                label=said("category"),
                elem_id="generate-category",
            )
            settings["count"] = parts.slider(GenerateRequest, "count", step=1)
            go, stop = parts.buttons("generate")
            with gr.Accordion(said("look"), open=False, elem_id="generate-look"):
                as_it_comes, colour, background, background_colour = _look()
            with gr.Accordion(said("from_sketch"), open=False, elem_id="generate-sketching"):
                lines, sheet, lined_photo, anything, draw, drawings = _sketching(category)
            with gr.Accordion(said("from_photo"), open=False, elem_id="generate-photographing"):
                photo = parts.photo_input("photo", height=180, elem_id="generate-photo")
                closeness = parts.slider(GenerateRequest, "distance", step=0.05, elem_id="generate-closeness")
                with gr.Row():
                    vary = gr.Button(said("vary_photo"), min_width=120, elem_id="generate-vary")
                    leave = gr.Button(said("walk_photo"), min_width=120, elem_id="generate-leave")
            known = _directions_known(models)
            with gr.Accordion(said("directions"), open=False, visible=bool(known), elem_id="generate-directions"):
                names = _directions_of(known, "auto", parts.default(GenerateRequest, "category"))
                gr.Markdown(said("directions_about"), elem_classes="v-hint")
                along = tuple(_direction(names, k) for k in range(_directions_most(known)))
            others = [m["name"] for m in models if m.get("task") == "generate"]
            with gr.Accordion(said("compare_models"), open=False, visible=len(others) > 1, elem_id="generate-compare"):
                gr.Markdown(said("compare_about"), elem_classes="v-hint")
                second = gr.Dropdown(
                    others,
                    value=others[1] if len(others) > 1 else None,
                    label=said("second_model"),
                    elem_id="generate-second-network",
                )
                compare = gr.Button(said("run_compare"), elem_id="generate-compare-run")
            with gr.Accordion(said("advanced"), open=False, elem_id="generate-advanced"):
                settings["network"] = network = parts.network_choice("generate", models, ("generate",))
                settings["truncation"] = parts.slider(GenerateRequest, "truncation", step=0.05)
                settings["order"] = parts.radio(
                    GenerateRequest, "order", "best"
                )  # who looks for the first time sees what is whole first
                sizes = [(f"{s}x", s) for s in parts.options(GenerateRequest, "scale")]
                settings["scale"] = gr.Radio(
                    sizes,
                    value=parts.default(GenerateRequest, "scale"),
                    label=said("scale"),
                    info=said("about.generate.scale"),
                )
                settings["seed"], fresh = parts.seed_row(GenerateRequest, new_each_time=True)
        with gr.Column(scale=3, min_width=320):
            made = stage("generate", gallery=True)
            panel, moving, both = picked(made), motion(made), pair(made, walls=True)

    controls = _Controls(settings, fresh, as_it_comes, colour, background, background_colour, along)
    seed = settings["seed"]
    if along:
        for changed in (network, category):
            changed.change(
                lambda *chosen: _relabelled(_directions_of(known, *chosen), along),
                [network, category],
                list(along),
                **_QUICK,
            )

    network.change(_categories, [network, category], category, **_QUICK)

    def drawn(data: parts.Values) -> tuple[dict[str, Any], parts.Updates]:
        named = controls.named(data) | {"seed": parts.drawn_seed(data[seed], data[fresh])}
        return named, {seed: named["seed"]}

    def shown(data: parts.Values, make: Any, *, drawn: bool, walk: bool = False) -> Iterator[parts.Updates]:
        more = (lambda _, frames, folder: moving.filled(frames, folder)) if walk else None
        for updates in made.follow(run, make, lambda: made.saving(data), more):
            yield updates | ({panel.drawn: drawn} if made.kept in updates else {})

    def work(data: parts.Values) -> Iterator[parts.Updates]:
        named, told = drawn(data)
        yield told
        yield from shown(data, lambda: GenerateRequest(**named), drawn=True)

    def sketched(data: parts.Values) -> Iterator[parts.Updates]:
        named, told = drawn(data)
        yield told

        def make() -> GenerateRequest:
            file = parts.uploaded(data[lined_photo], "photo") if data[lines] == "photo" else drawing(data[sheet])
            if not file:
                raise RequestError("Add the photo whose edges are to be taken.")
            of_any = {"category": ANY_CATEGORY} if data[anything] else {}
            drawn_from = {
                "sketch": file,
                "lines": data[lines],
                "network": _open(named["network"]),
                "directions": (),
            }  # dials turn codes; a drawing has none
            return GenerateRequest(**named | of_any | drawn_from)

        yield from shown(data, make, drawn=False)

    def from_photo(data: parts.Values, **others: Any) -> Iterator[parts.Updates]:
        named, told = drawn(data)
        yield told

        def make() -> GenerateRequest:
            file = parts.uploaded(data[photo], "photo")
            if not file:
                raise RequestError("Add a photo first.")
            # In the order of drawing: the first is the photo itself, drawn again.
            asked = {"photo": file, "distance": data[closeness], "network": _open(named["network"]), "order": "drawn"}
            return GenerateRequest(**named | asked | others)

        yield from shown(data, make, drawn=False, walk="walk_to" in others)

    def compared(data: parts.Values) -> Iterator[parts.Updates]:
        named, told = drawn(data)
        yield told

        def make() -> tuple[GenerateRequest, GenerateRequest]:
            if not data[second] or data[second] == named["network"]:
                raise RequestError("Choose another model to compare with.")
            return GenerateRequest(**named), GenerateRequest(**named | {"network": data[second]})

        yield from both.follow(run, make, _title, lambda: made.saving(data))

    told = [seed, panel.drawn, *moving.outputs]
    asked, chosen = controls.inputs, [*panel.inputs, settings["count"]]
    started = start(made, work, asked, told, [go.click])
    started += start(made, sketched, [*asked, lines, sheet, lined_photo, anything], told, [draw.click, *drawings])
    started += start(made, from_photo, [*asked, photo, closeness], told, [vary.click])
    started += start(
        made, lambda data: from_photo(data, walk_to=1, count=FRAMES), [*asked, photo, closeness], told, [leave.click]
    )
    started += start(made, compared, [*asked, second], [seed, *both.outputs], [compare.click])
    started += start(
        made,
        lambda data: shown(data, lambda: panel.varied(data, data[settings["count"]]), drawn=True),
        chosen,
        told,
        [panel.more.click],
    )
    started += start(
        made,
        lambda data: shown(data, lambda: panel.walked(data), drawn=True, walk=True),
        chosen,
        told,
        [panel.walk.click],
    )
    started += start(
        made, lambda data: shown(data, lambda: panel.origin(data), drawn=True), chosen, told, [panel.back.click]
    )
    stop_with(made, stop, started)

    outputs = [*controls.filled_components, fresh, lines, anything, *panel.refilled]

    def fill(request: GenerateRequest) -> Sequence[Any]:
        updates = panel.filled(request)
        return [
            *controls.filled(request),
            False,
            request.lines,
            request.category == ANY_CATEGORY,
            *(updates.get(component, gr.skip()) for component in panel.refilled),
        ]

    return Refill(made, fill, outputs, lacking).on_drop(), panel


def lacking(request: GenerateRequest) -> str:
    """What to press for a recipe of variations."""
    if not request.like:
        return ""
    return f"It made {'a walk from' if request.walk_to else 'more like'} picture {request.like}: press the button under the frame."


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
    as_it_comes.change(lambda on: gr.update(visible=not on), as_it_comes, colour, **_QUICK)
    background.change(lambda chosen: gr.update(visible=chosen == "colour"), background, background_colour, **_QUICK)
    return as_it_comes, colour, background, background_colour


def _sketching(category: gr.Radio) -> tuple[gr.Radio, gr.ImageEditor, gr.Image, gr.Checkbox, gr.Button, list[Any]]:
    """A drawing, or a photo whose edges are taken for one; of the chosen category or of none of them. An example drawing chooses its own."""
    lines = parts.radio(GenerateRequest, "lines")
    with gr.Column() as drawn:
        sheet = pad()
        drawings = parts.examples(parts.example_drawings(), [sheet, category], _example)
    photo = parts.photo_input("photo", height=180, elem_id="generate-lined-photo")
    photo.visible = False
    anything = gr.Checkbox(False, label=said("any_category"), elem_id="generate-any")
    go = gr.Button(said("run_sketch"), elem_id="generate-sketch")
    lines.change(
        lambda chosen: (gr.update(visible=chosen == "drawn"), gr.update(visible=chosen == "photo")),
        lines,
        [drawn, photo],
        **_QUICK,
    )
    return lines, sheet, photo, anything, go, drawings


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


def _relabelled(names: Sequence[str], sliders: Sequence[gr.Slider]) -> parts.Updates:
    """The sliders for other directions."""
    return {
        slider: gr.update(label=names[k] if k < len(names) else "", value=0, visible=k < len(names))
        for k, slider in enumerate(sliders)
    }
