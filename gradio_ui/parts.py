"""What the tabs share: inputs, choices, progress as a line, errors as sentences."""

from __future__ import annotations

import functools
import html
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
from gradio.utils import get_upload_folder

from engine.contract.errors import EngineFailure, RequestError
from engine.contract.events import Event, Result
from engine.contract.fields import SEED_MAX, Request
from engine.contract.recipe import Requests
from gradio_ui.words import said

log = logging.getLogger("vitrine")

EXAMPLES = Path(__file__).parent / "examples"
DEVICE_QUEUE: dict[str, Any] = {
    "concurrency_id": "device",
    "concurrency_limit": 1,
}  # every heavy event waits in this one
PACE_S = 0.15  # a page that is told more often than this only draws, and the network waits
_HIDDEN_BY_BROWSERS = ("HEIC", "TIFF")  # formats that most browsers show as a broken picture
_RGB = re.compile(r"rgba?\(([\d.]+), *([\d.]+), *([\d.]+)")
UNEXPECTED = "Something went wrong here that is not your fault; the server's log says what. Please try again."

Run: TypeAlias = Callable[[Requests], Generator[Event, None, Any]]  # closing it stops the work
Sent: TypeAlias = Mapping[str, Any] | None  # a file as the browser sends it
Values: TypeAlias = Mapping[Any, Any]  # component -> its value, as the browser sends it
Updates: TypeAlias = dict[Any, Any]  # component -> its new value; the others stay as they are


def photo_input(word: str, *, height: int, elem_id: str) -> gr.Image:
    """A place for a photo: dropped, pasted or taken. What is dropped is looked at as soon as it is there."""
    place = gr.Image(
        label=said(word),
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        placeholder=str(said("drop")),
        height=height,
        elem_id=elem_id,
    )
    place.upload(
        received,
        place,
        place,
        preprocess=False,
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    return place


def received(sent: Any) -> Any:
    """What stands in the place of a file that has arrived: the file, a copy that browsers can show, or nothing with the reason."""
    from engine import image
    from engine.settings import Settings

    try:
        file, settings = uploaded(sent, "photo"), Settings.from_environment()
        if not file or image.check(file, settings).format not in _HIDDEN_BY_BROWSERS:
            return gr.skip()
        picture = image.load(file, settings)
        copy = Path(file).with_suffix(".png")
        picture.pil().save(copy, compress_level=1, exif=picture.exif or b"")
        return str(copy)
    except RequestError as error:
        gr.Warning(html.escape(str(error), quote=False), title="Vitrine")
        return None
    except Exception as error:
        raise spoken(error) from None


def reset_with(photo: gr.Image, values: Mapping[Any, Any]) -> None:
    """Give components these values, or `gr.update`s, when the photo changes.

    The browser does it alone, at once: a server's answer could come after that of a button which was pressed meanwhile, and undo it.
    """
    told = json.dumps(list(values.values()) if len(values) > 1 else next(iter(values.values())))
    photo.change(None, None, list(values), js=f"() => ({told})", api_visibility="private")


# A copy that takes the place of a file which browsers cannot show has the file's name, and is the same photo.
_GOES_WITH = """(photo, held) => {{
  const before = (window.vitrineOf ??= {{}})[{key}] ?? "";
  const now = (photo?.path ?? "").replace(/\\.[^.\\/]*$/, "");
  window.vitrineOf[{key}] = now;
  return before && before !== now ? {empty} : held;
}}"""


def goes_with(photo: gr.Image, component: Any, empty: Any) -> None:
    """Give a component the value `empty` when the photo that it was meant for goes; what it was given while there was none is for the next one.

    In the browser alone, as `reset_with`.
    """
    js = _GOES_WITH.format(key=component._id, empty=json.dumps(empty))
    photo.change(None, [photo, component], component, js=js, api_visibility="private")


def colour_of(picker: Any) -> Any:
    """What a colour picker holds, as #rrggbb: it may say rgb(r, g, b) or rgba(r, g, b, a). Anything else is for the request to refuse."""
    found = _RGB.match(picker) if isinstance(picker, str) else None
    return "#" + "".join(f"{min(255, round(float(level))):02x}" for level in found.groups()) if found else picker


def uploaded(file: Sent, name: str) -> str | None:
    """The path of an upload, or of an example; None when there is none. RequestError for a path of anything else.

    Gradio checks the paths that it recognises as files; this also refuses what it did not recognise.
    """
    if not file:
        return None
    path = file.get("path") if isinstance(file, Mapping) else None
    if isinstance(path, str) and any(
        Path(path).resolve().is_relative_to(Path(home).resolve()) for home in (get_upload_folder(), EXAMPLES)
    ):
        return path
    raise RequestError(f"The {name} must be an uploaded file, not a path or an address.")


def in_sentences(work: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Updates]]:
    """Let what goes wrong in a generator reach a person as one sentence; the unexpected is logged in full first."""

    @functools.wraps(work)
    def careful(*values: Any) -> Iterator[Updates]:
        try:
            yield from work(*values)
        except Exception as error:
            raise spoken(error) from None

    return careful


def spoken(error: Exception) -> gr.Error:
    """The error for a person: a RequestError's own sentence, or a general one for what is logged here."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, RequestError | EngineFailure):  # a failure has been logged where it happened
        return _Sentence(str(error))
    log.error("A request failed.", exc_info=error)
    return _Sentence(UNEXPECTED)


class _Sentence(gr.Error):
    """One sentence in Gradio's error box, which takes HTML."""

    def __init__(self, sentence: str) -> None:
        super().__init__(html.escape(sentence, quote=False), title="Vitrine", print_exception=False)
        self.sentence = sentence


def paced(events: Iterator[Event]) -> Iterator[Event]:
    """The events a page has time for: the first, every picture, the result, and progress at PACE_S."""
    last = -PACE_S
    for event in events:
        if (
            isinstance(event, Result)
            or event.preview is not None
            or event.made is not None
            or time.monotonic() - last >= PACE_S
        ):
            yield event
            last = time.monotonic()


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
    """A choice between the few values of a setting, each with its word; it begins with `value`, or else with the request's own."""
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
        )
        fresh = gr.Checkbox(new_each_time, label=said("new_seed"), scale=1, min_width=120, elem_classes="v-fresh")
    return seed, fresh


def drawn_seed(seed: Any, fresh: bool) -> Any:
    """The seed of this run: a new one, or the one in the field, which the request checks."""
    return secrets.randbelow(SEED_MAX + 1) if fresh or seed is None else seed


def network_choice(
    verb: str, models: Sequence[Mapping[str, Any]], tasks: Sequence[str], *, hub: bool = False
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


def send(
    button: gr.Button, source: Any, tabs: gr.Tabs, verb: str, photo: gr.Image, others: Mapping[Any, Any] | None = None
) -> Callable[..., Any]:
    """Let a button open another tab with a picture as its photo, and `others` set; returns the trigger of what comes after.

    source: holds the picture's file, or the files of which it is the first.
    """

    def sent(held: Any) -> Updates:
        file = held[0] if isinstance(held, list) and held else held
        if not file:
            raise spoken(RequestError("Make the pictures first, then click the one to send."))
        return {tabs: gr.Tabs(selected=verb), photo: file} | dict(others or {})

    hidden: dict[str, Any] = {
        "queue": False,
        "show_progress": "hidden",
        "show_progress_on": photo,
        "api_visibility": "private",
    }  # not on the tabs, as in `recipes`
    arrived = button.click(sent, source, [tabs, photo, *(others or {})], **hidden)
    arrived.success(None, js="() => scrollTo(0, 0)")  # the button was far down, and the photo is at the top of its tab
    return arrived.success


def examples(files: Sequence[Path], place: Any, put: Callable[[Path], Any] = str) -> list[Callable[..., Any]]:
    """A strip of pictures to try, each `put` into `place` by a click; returns the triggers of what comes after it, none where there is no picture."""
    if not files:
        return []
    strip = gr.Dataset(
        components=[gr.Image(render=False)],
        samples=[[str(file)] for file in files],
        label=said("examples"),
        type="index",
        layout="gallery",
        elem_classes="v-examples",
    )
    return [
        strip.click(
            lambda i: put(files[i]), strip, place, queue=False, show_progress="hidden", api_visibility="private"
        ).then
    ]


def example_photos(*, spoiled: bool = False) -> list[Path]:
    """The example photos, at most eight: good ones, or those spoiled like a hurried phone's, named snapshot-...

    Where there is no spoiled one, good ones take its place.
    """
    found = [file for file in _example_pictures() if not file.name.startswith("drawing-")]
    good = [file for file in found if not file.name.startswith("snapshot-")]
    return ([file for file in found if file not in good] if spoiled else good)[:8] or good[:8]


def example_drawings() -> list[Path]:
    """The example drawings, dark lines on white, named drawing-..."""
    return [file for file in _example_pictures() if file.name.startswith("drawing-")]


def _example_pictures() -> list[Path]:
    return sorted(file for file in EXAMPLES.glob("*") if file.suffix in (".jpg", ".png", ".webp"))


def status(message: str, done: int = 0, total: int = 0, *, kind: str = "") -> str:
    """The line under the stage, with a bar as far along as the work."""
    share = f"{100 * min(done / total, 1):.0f}%" if total > 0 else ""
    bar = (
        f'<div class="v-bar{"" if share else " v-busy"}"><div style="width:{share or "30%"}"></div></div>'
        if not kind
        else ""
    )
    return f'<div class="v-status {kind}" role="status">{bar}<span>{html.escape(message)}</span><span class="v-share">{share if not kind else ""}</span></div>'


def buttons(verb: str) -> tuple[gr.Button, gr.Button]:
    """Run and Stop."""
    with gr.Row(elem_classes="v-run"):
        run = gr.Button(said(f"run_{verb}"), variant="primary", scale=3, min_width=120, elem_id=f"{verb}-run")
        stop = gr.Button(said("stop"), scale=1, min_width=80, elem_id=f"{verb}-stop")
    return run, stop
