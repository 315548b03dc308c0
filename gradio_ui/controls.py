"""Sliders, choices and buttons, read off a request's settings."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import gradio as gr

from engine.contract import SEED_MAX, Request
from gradio_ui.words import ENGLISH, said


def default(kind: type[Request], name: str) -> Any:
    """A setting's default; None for one that has none."""
    value = kind.defaults().get(name)
    return list(value) if isinstance(value, tuple) else value


def options(kind: type[Request], name: str) -> tuple[Any, ...]:
    """The values that a setting may have."""
    return kind.settings()[name].options


def bounds(kind: type[Request], name: str) -> tuple[float, float]:
    """The least and the most that a number may be."""
    setting = kind.settings()[name]
    return setting.low, setting.high


def slider(kind: type[Request], name: str, *, word: str = "", step: float, elem_id: str = "") -> gr.Slider:
    """A slider over the numbers that the setting allows."""
    return gr.Slider(
        *bounds(kind, name),
        default(kind, name),
        step=step,
        label=said(word or name),
        info=said(f"about.{kind.verb}.{name}"),
        elem_id=elem_id or _id(kind, name),
    )


def radio(kind: type[Request], name: str, value: str = "") -> gr.Radio:
    """A choice between the few values of a setting, each with its word; it begins with `value`, or else with the
    request's own.
    """
    return gr.Radio(
        _worded(kind, name),
        value=value or default(kind, name),
        label=said(name),
        info=said(f"about.{kind.verb}.{name}"),
        elem_id=_id(kind, name),
    )


def dropdown(kind: type[Request], name: str) -> gr.Dropdown:
    """A choice between the values of a setting, each with its word."""
    return gr.Dropdown(_worded(kind, name), value=default(kind, name), label=said(name), elem_id=_id(kind, name))


def option(kind: type[Request], name: str) -> Any:
    """The control of a setting that a step brings along: a choice, or a slider in a hundred steps or so."""
    setting = kind.settings()[name]
    label = _spelled(name, name)
    common: dict[str, Any] = {"label": label, "info": said(f"about.{kind.verb}.{name}"), "elem_id": _id(kind, name)}
    if setting.kind == "choice":
        worded = [(_spelled(f"{name}.{value}", str(value)), value) for value in setting.options]
        return gr.Dropdown(worded, value=default(kind, name), **common)
    if setting.kind != "number" or setting.many:
        raise ValueError(f"{name} is neither a number nor a choice, so it needs a control of its own.")
    step = 1 if setting.whole else 10 ** math.floor(math.log10((setting.high - setting.low) / 100))
    return gr.Slider(setting.low, setting.high, default(kind, name), step=step, **common)


def _spelled(key: str, plain: str) -> Any:
    """The words of a key; where the page has none yet, a name made readable."""
    return said(key) if key in ENGLISH else plain.replace("_", " ").replace("-", " ").capitalize()


def _id(kind: type[Request], name: str) -> str:
    return f"{kind.verb}-{name}".replace("_", "-")


def _worded(kind: type[Request], name: str) -> list[tuple[Any, Any]]:
    return [(said(f"{name}.{value}"), value) for value in options(kind, name)]


def seed_row(kind: type[Request], *, new_each_time: bool) -> tuple[gr.Number, gr.Checkbox]:
    """The seed, shown after each run; the box decides whether the next run draws another."""
    with gr.Row(equal_height=True):
        seed = gr.Number(
            default(kind, "seed"),
            label=said("seed"),
            info=said(f"about.{kind.verb}.seed"),
            minimum=0,
            maximum=SEED_MAX,
            precision=0,
            scale=1,
            elem_classes="v-seed",
            elem_id=_id(kind, "seed"),
        )
        fresh = gr.Checkbox(
            new_each_time,
            label=said("new_seed"),
            scale=1,
            min_width=120,
            elem_classes="v-fresh",
            elem_id=_id(kind, "new_seed"),
        )
    return seed, fresh


def drawn_seed(seed: Any, fresh: bool) -> Any:
    """The seed of this run: a new one, or the one in the field, which the request checks."""
    return secrets.randbelow(SEED_MAX + 1) if fresh or seed is None else seed


def network_choice(
    verb: str, models: Sequence[Mapping[str, Any]], tasks: Collection[str], *, hub: bool = False
) -> gr.Dropdown:
    """Which network answers: automatic, the built-in ones, or one from the table of weights by name."""
    named: list[tuple[Any, str]] = [(network_named(m), m["name"]) for m in models if m.get("task") in tasks]
    general: list[tuple[Any, str]] = [
        (said("auto"), "auto"),
        (said("embedded"), "embedded"),
        *([(said("hub"), "hub")] if hub else []),
    ]
    return gr.Dropdown(general + named, value="auto", label=said("network"), elem_id=f"{verb}-network")


def network_named(model: Mapping[str, Any]) -> str:
    """A network's name as a choice: bare, one that is called as a word of this page would be translated."""
    source = "built in" if model.get("source") == "embedded" else "Hub" if is_here(model) else "Hub, not fetched"
    return f"{model['name']} ({source})"


def is_here(model: Mapping[str, Any]) -> bool:
    """Whether a network answers without a connection."""
    return model.get("where") not in ("Hub", "missing")


def offered(choice: gr.Dropdown, name: str) -> str:
    """The network that a recipe or a browser names, where it is one to choose, else automatic."""
    return name if name in (value for _, value in choice.choices) else "auto"


def buttons(verb: str) -> tuple[gr.Button, gr.Button]:
    """Run and Stop."""
    with gr.Row(elem_classes="v-run"):
        run = gr.Button(said(f"run_{verb}"), variant="primary", scale=3, min_width=120, elem_id=f"{verb}-run")
        stop = gr.Button(said("stop"), scale=1, min_width=80, elem_id=f"{verb}-stop")
    return run, stop
