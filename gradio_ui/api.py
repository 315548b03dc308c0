"""The web API: /stylize, /recolour, /enhance, /generate, /look and /models.

An endpoint's parameters are its request's fields, with their names, types and defaults, so that a call, a recipe and
a command line say the same. Files come as uploads (`gradio_client.handle_file`), never as paths on this machine.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import gradio as gr

from engine.listing import marketplaces
from engine.request import JOHNSON, REQUESTS, EnhanceRequest, Request, RequestError, Result, StyleRequest
from gradio_ui import parts
from gradio_ui.files import Saving, names_of, shareable, written

_FILES = ("photo", "mask", "protect", "sketch", "product", "ground", "reference")  # fields that are files; a style may be one
_SAVING: tuple[tuple[str, Any, Any, str], ...] = (
    ("format", Literal["png", "jpg", "webp"], Saving.format, "the files' format"),
    ("quality", int, Saving.quality, "1 to 100, for jpg and webp"),
    ("keep_exif", bool, Saving.keep_exif, "keep the photo's EXIF, without its location"),
)


def add(run: parts.Run, presets: Sequence[Any], models: Callable[[], list[dict[str, Any]]], look: Callable[[str], Any]) -> None:
    """Add the endpoints to the page that is being built."""
    names = tuple(p.name for p in presets)
    for kind in REQUESTS.values():
        gr.api(_endpoint(kind, run, names), api_name=kind.verb, api_description=_described(kind, names), **parts.DEVICE_QUEUE)

    def listed() -> list[dict]:
        return models()

    def looked(photo: gr.FileData | None = None) -> dict:
        sent: Any = photo  # a mapping by now
        try:
            if not (file := parts.uploaded(sent, "photo")):
                raise RequestError("Add a photo first.")
            return look(file).report()
        except Exception as error:
            raise parts.spoken(error) from None

    about = "What is found on an uploaded photo, each with its number, and the steps of enhance that it needs, with the reasons; nothing is run."
    gr.api(looked, api_name="look", api_description=about)
    gr.api(listed, api_name="models", api_description="Every network: name, task, source, size, licence, where it is now, what it was measured at.")


def _endpoint(kind: type[Request], run: parts.Run, presets: tuple[str, ...]) -> Callable[..., Iterator[Any]]:
    """A generator function that Gradio can read like one written by hand: what `kind` asks, then how to save it."""
    many = kind.many
    parameters = _parameters(kind, presets) + [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d, annotation=t) for n, t, d, _ in _SAVING]
    asked = [f.name for f in fields(kind)]

    @parts.in_sentences
    def endpoint(*values: Any) -> Iterator[Any]:
        named = dict(zip((p.name for p in parameters), values, strict=False))
        saving = Saving(*(named.get(n, d) for n, _, d, _ in _SAVING))
        request = kind(**_checked({n: named[n] for n in asked if n in named}, presets))
        with tempfile.TemporaryDirectory(prefix="vitrine-") as folder, closing(run(request)) as events:  # type: ignore[arg-type]
            for event in parts.paced(events):
                if isinstance(event, Result):
                    recipe, report = shareable(event.recipe), event.report()
                    paths, other = written(saving, event.pictures, names_of(event), recipe, Path(folder))
                    files = [_handed(path) for path in paths]
                    yield (files if many else files[0]), report | {"recipe": recipe, "note": report["note"] + other}
                else:
                    yield ([] if many else None), {"message": event.message, "done": event.done, "total": event.total}

    returns = tuple[list[gr.FileData], dict] if many else tuple[gr.FileData, dict]
    endpoint.__name__ = kind.verb
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returns}
    del endpoint.__wrapped__  # type: ignore[attr-defined]
    return endpoint


def _parameters(kind: type[Request], presets: tuple[str, ...]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind)
    return [
        inspect.Parameter(
            f.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=parts.default(kind, f.name),  # a photo has none: without it the request says so in its own words
            annotation=_annotation(f.name, hints[f.name], f.metadata, presets),
        )
        for f in fields(kind)
    ]


def _annotation(name: str, hint: Any, metadata: Mapping[str, Any], presets: tuple[str, ...]) -> Any:
    """The type as the API shows it."""
    if name in _FILES:
        return gr.FileData | None
    if name == "style":
        return Literal[(*presets, *(style for style in JOHNSON if style not in presets))] | gr.FileData  # the page's snippets quote the names of a Literal
    if name == "more_styles":
        return list[str | gr.FileData]
    if name == "colours" and "options" not in metadata:
        return list[str]
    if name == "crop":
        return list[int]
    if name in ("style_weights", "directions", "adjust"):
        return list[float]
    if name == "steps" and hint is not int:
        return list[str]
    return Literal[(*metadata["options"], *metadata.get("more", ()))] if "options" in metadata else hint


def _described(kind: type[Request], presets: tuple[str, ...]) -> str:
    """The endpoint's documentation, from the dataclass."""
    said = [(f.name, f.metadata["about"] + _bounds(f.metadata)) for f in fields(kind) if "about" in f.metadata] + [(n, about) for n, _, _, about in _SAVING]
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"))
    if kind is StyleRequest:
        text += f"\n\nThe presets: {', '.join(presets)}. The styles of johnson: {', '.join(JOHNSON)}."
    if kind is EnhanceRequest:
        text += f"\n\nThe marketplaces: {', '.join(marketplaces())}."
    if kind.files:
        text += "\n\nPhotos, masks and sketches are uploads."
    text += "\n\n" + "\n".join(f"{name}: {about}." for name, about in said)
    returned = "the pictures" if kind.many else "the picture"
    report = "a report: networks, device, seconds, fallbacks, recipe"
    return f"{text}\n\nReturns {returned} and {report}. While it works: no picture yet, and the progress."


def _bounds(metadata: Mapping[str, Any]) -> str:
    if "options" in metadata:
        return f" ({', '.join(map(str, metadata['options']))})"
    return f", {metadata['low']} to {metadata['high']}" if "low" in metadata else ""


def _checked(named: dict[str, Any], presets: tuple[str, ...]) -> dict[str, Any]:
    """The values for the dataclass, uploads turned into their paths. RequestError for anything that is not an upload."""
    for name in _FILES:
        if name in named:
            named[name] = parts.uploaded(named[name], name)
    offered = JOHNSON if named.get("method") == "johnson" else presets
    if named.get("style") is not None:
        named["style"] = _style(named["style"], offered)
    if isinstance(named.get("more_styles"), list):
        named["more_styles"] = [_style(style, offered) for style in named["more_styles"]]
    return named


def _style(style: Any, offered: Sequence[str]) -> str | None:
    """A preset's name as it is, an upload as its path."""
    if isinstance(style, Mapping):
        return parts.uploaded(style, "style")
    if style not in offered:
        raise RequestError(f"There is no style preset {_brief(style)}; send a picture file, or one of {', '.join(offered)}.")
    return style


def _handed(path: Path) -> dict[str, Any]:
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
