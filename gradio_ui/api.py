"""The web API: /stylize, /recolour, /enhance, /generate, /look and /models.

An endpoint's parameters are its request's fields, with their names, types and defaults, so that a call, a recipe and
a command line say the same. Files come as uploads (`gradio_client.handle_file`), never as paths on this machine.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.events import api as api_endpoint

from engine.contract.errors import RequestError
from engine.contract.events import Progress, Question, Result
from engine.contract.fields import Request, Setting
from engine.contract.recipe import REQUESTS
from engine.contract.style import JOHNSON, StyleRequest
from gradio_ui import controls, inputs, progress, sentences
from gradio_ui.files import Saving, names_of, shareable, written
from gradio_ui.wiring import DEVICE_QUEUE, Run, heard

_SAVING: tuple[tuple[str, Any, Any, str], ...] = (
    ("format", Literal["png", "jpg", "webp"], Saving.format, "the files' format"),
    ("quality", int, Saving.quality, "1 to 100, for jpg and webp"),
    ("keep_exif", bool, Saving.keep_exif, "keep the photo's EXIF, without its location"),
)


def add(
    run: Run, presets: Sequence[Any], models: Callable[[], list[dict[str, Any]]], look: Callable[[str], Question[Any]]
) -> None:
    """Add the endpoints to the page that is being built."""
    names = tuple(p.name for p in presets)
    for kind in REQUESTS.values():
        api_endpoint(
            _endpoint(kind, run, names),
            api_name=kind.verb,
            api_description=_described(kind, names),
            **DEVICE_QUEUE,
        )

    def listed() -> list[dict[str, Any]]:
        return models()

    @sentences.in_sentences
    def looked(photo: gr.FileData | None = None) -> Iterator[dict[str, Any]]:
        sent: Any = photo  # a mapping by now
        if not (file := inputs.uploaded(sent, "photo")):
            raise RequestError("Add a photo first.")
        yield (yield from heard(look(file), _reported)).report()

    about = (
        "What is found on an uploaded photo, each with its number, and the steps of enhance that it needs, with the"
        " reasons; nothing is run. While it waits or looks: the progress."
    )
    api_endpoint(looked, api_name="look", api_description=about, **DEVICE_QUEUE)
    api_endpoint(
        listed,
        api_name="models",
        api_description="Every network: name, task, source, size, licence, where it is now, what it was measured at.",
    )


def _endpoint(kind: type[Request], run: Run, presets: tuple[str, ...]) -> Callable[..., Iterator[Any]]:
    """A generator function that Gradio can read like one written by hand: what `kind` asks, then how to save it."""
    many = kind.many
    parameters = _parameters(kind, presets) + [
        inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d, annotation=t) for n, t, d, _ in _SAVING
    ]
    asked = list(kind.settings())

    @sentences.in_sentences
    def endpoint(*values: Any) -> Iterator[Any]:
        named = dict(zip((p.name for p in parameters), values, strict=False))
        saving = Saving(*(named.get(n, d) for n, _, d, _ in _SAVING))
        request = kind.of(_checked(kind, {n: named[n] for n in asked if n in named}, presets))
        yield ([] if many else None), _reported(Progress(0, 0, "Starting"))  # so that Gradio can close it: see `heard`
        with tempfile.TemporaryDirectory(prefix="vitrine-") as folder, closing(run(request)) as events:  # type: ignore[arg-type]
            for event in progress.paced(events):
                if isinstance(event, Result):
                    recipe, report = shareable(event.recipe), event.report()
                    paths, other = written(saving, event.pictures, names_of(event), recipe, Path(folder))
                    files = [_handed(path) for path in paths]
                    yield (files if many else files[0]), report | {"recipe": recipe, "note": report["note"] + other}
                else:
                    yield ([] if many else None), _reported(event)

    returns = tuple[list[gr.FileData], dict[str, Any]] if many else tuple[gr.FileData, dict[str, Any]]
    endpoint.__name__ = kind.verb
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returns}
    del endpoint.__wrapped__  # type: ignore[attr-defined]
    return endpoint


def _parameters(kind: type[Request], presets: tuple[str, ...]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            key,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=controls.default(kind, key),  # a photo has none: without it the request says so in its own words
            annotation=_annotation(setting, kind.defaults().get(key), presets),
        )
        for key, setting in kind.settings().items()
    ]


def _annotation(setting: Setting, default: Any, presets: tuple[str, ...]) -> Any:
    """The type as the API shows it."""
    if setting.kind == "file":
        return gr.FileData | None
    if setting.kind == "style" and not setting.many:
        names = (*presets, *(style for style in JOHNSON if style not in presets))
        return Literal[names] | gr.FileData  # the page's snippets quote the names of a Literal
    if setting.kind == "choice":
        return Literal[setting.choices]
    one: Any = str
    if setting.kind == "number":
        one = int if setting.whole else float
    elif setting.kind == "style":
        one = str | gr.FileData
    return list[one] if setting.many else one


def _described(kind: type[Request], presets: tuple[str, ...]) -> str:
    """The endpoint's documentation, from the dataclass."""
    said = [(key, setting.about + _bounds(setting)) for key, setting in kind.settings().items()] + [
        (n, about) for n, _, _, about in _SAVING
    ]
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"))
    if kind is StyleRequest:
        text += f"\n\nThe presets: {', '.join(presets)}. The styles of johnson: {', '.join(JOHNSON)}."
    if kind.files():
        text += "\n\nPhotos, masks and sketches are uploads."
    text += "\n\n" + "\n".join(f"{name}: {about}." for name, about in said)
    returned = "the pictures" if kind.many else "the picture"
    report = "a report: networks, device, seconds, fallbacks, recipe"
    return f"{text}\n\nReturns {returned} and {report}. While it works: no picture yet, and the progress."


def _bounds(setting: Setting) -> str:
    if setting.kind == "choice":
        return f" ({', '.join(map(str, setting.options))})"
    if setting.known:
        return f": {', '.join(setting.known())}"
    return f", {setting.low} to {setting.high}" if setting.kind == "number" and not setting.many else ""


def _checked(kind: type[Request], named: dict[str, Any], presets: tuple[str, ...]) -> dict[str, Any]:
    """The values for the request, uploads turned into their paths. RequestError for anything that is not an upload."""
    offered = JOHNSON if named.get("method") == "johnson" else presets
    for key, setting in kind.settings().items():
        value = named.get(key)
        if setting.kind == "file" and key in named:
            named[key] = inputs.uploaded(value, key)
        elif setting.many and setting.kind == "style" and isinstance(value, list):
            named[key] = [_style(style, offered) for style in value]
        elif setting.kind == "style" and not setting.many and value is not None:
            named[key] = _style(value, offered)
    if "photo" in named and kind.settings()["photo"].required:
        named["photo"] = named["photo"] or ""
    return named


def _style(style: Any, offered: Sequence[str]) -> str | None:
    """A preset's name as it is, an upload as its path."""
    if isinstance(style, Mapping):
        return inputs.uploaded(style, "style")
    if style not in offered:
        raise RequestError(
            f"There is no style preset {_brief(style)}; send a picture file, or one of {', '.join(offered)}."
        )
    found: str | None = style
    return found


def _reported(event: Progress) -> dict[str, Any]:
    return {"message": event.message, "done": event.done, "total": event.total}


def _handed(path: Path) -> dict[str, Any]:
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
