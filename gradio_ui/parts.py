"""What the tabs share: the photo, the stage with its before and after, the recipe row, errors as sentences."""

from __future__ import annotations

import functools
import html
import json
import logging
import re
import secrets
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import gradio as gr
from gradio.utils import get_upload_folder

from engine.request import SEED_MAX, EngineFailure, Event, Progress, Request, RequestError, Requests, Result, from_recipe
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine.image import Picture

log = logging.getLogger("vitrine")

EXAMPLES = Path(__file__).parent / "examples"
DEVICE_QUEUE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 1}  # every heavy event waits in this one
FORMATS = (("PNG", "png"), ("JPEG", "jpg"), ("WebP", "webp"))
SHOWN_PX = 2048  # the page shows pictures up to this size a side; the file has them all
PREVIEW_PX = 1024
PACE_S = 0.15  # a page that is told more often than this only draws, and the network waits
UNEXPECTED = "Something went wrong here that is not your fault; the server's log says what. Please try again."

_SHOW_STAGE = "() => {{ if (innerWidth <= 900) document.getElementById('{verb}-line').scrollIntoView({{behavior: 'smooth', block: 'end'}}) }}"

Run: TypeAlias = Callable[[Requests], Generator[Event, None, Any]]  # closing it stops the work
Sent: TypeAlias = Mapping[str, Any] | None  # a file as the browser sends it
Updates: TypeAlias = dict[Any, Any]  # component -> its new value; the others stay as they are


def photo_input(word: str, *, height: int, elem_id: str) -> gr.Image:
    """A place for a photo: dropped, pasted or taken."""
    return gr.Image(
        label=said(word),
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        placeholder=str(said("drop")),
        height=height,
        elem_id=elem_id,
    )


def uploaded(file: Sent, name: str) -> str | None:
    """The path of an upload, or of an example; None when there is none. RequestError for a path of anything else.

    Gradio checks the paths that it recognises as files; this also refuses what it did not recognise.
    """
    if not file:
        return None
    path = file.get("path") if isinstance(file, Mapping) else None
    if isinstance(path, str) and any(Path(path).resolve().is_relative_to(Path(home).resolve()) for home in (get_upload_folder(), EXAMPLES)):
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
    """The events a page has time for: the first, every preview, the result, and progress at PACE_S."""
    last = -PACE_S
    for event in events:
        if isinstance(event, Result) or event.preview is not None or time.monotonic() - last >= PACE_S:
            yield event
            last = time.monotonic()


def _field(kind: type[Request], name: str) -> Any:
    return next(f for f in fields(kind) if f.name == name)


def default(kind: type[Request], name: str) -> Any:
    """A setting's default; None for one that has none."""
    value = _field(kind, name).default
    return None if value is MISSING else list(value) if isinstance(value, tuple) else value


def options(kind: type[Request], name: str) -> tuple[Any, ...]:
    """The values that a setting may have."""
    return tuple(_field(kind, name).metadata["options"])


def slider(kind: type[Request], name: str, *, word: str = "", step: float) -> gr.Slider:
    """A slider over the numbers that the setting allows."""
    about = _field(kind, name).metadata
    return gr.Slider(about["low"], about["high"], default(kind, name), step=step, label=said(word or name), info=said(f"about.{kind.verb}.{name}"))


def radio(kind: type[Request], name: str) -> gr.Radio:
    """A choice between the few values of a setting, each with its word."""
    return gr.Radio(_worded(kind, name), value=default(kind, name), label=said(name), info=said(f"about.{kind.verb}.{name}"))


def dropdown(kind: type[Request], name: str) -> gr.Dropdown:
    """A choice between the values of a setting, each with its word."""
    return gr.Dropdown(_worded(kind, name), value=default(kind, name), label=said(name), elem_id=f"{kind.verb}-{name}")


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


def network_choice(models: Sequence[Mapping[str, Any]], tasks: Sequence[str], *, hub: bool = False) -> gr.Dropdown:
    """Which network answers: automatic, the built-in ones, or one from the table of weights by name."""
    named: list[tuple[Any, str]] = [(m["name"], m["name"]) for m in models if m.get("task") in tasks]
    general: list[tuple[Any, str]] = [(said("auto"), "auto"), (said("embedded"), "embedded"), *([(said("hub"), "hub")] if hub else [])]
    return gr.Dropdown(general + named, value="auto", label=said("network"))


def offered(choice: gr.Dropdown, name: str) -> str:
    """The network of a recipe where this machine has it to choose, else automatic."""
    return name if name in (value for _, value in choice.choices) else "auto"


def examples(photos: Sequence[Path]) -> gr.Dataset | None:
    """A strip of photos to try; None where none is at hand."""
    if not photos:
        return None
    return gr.Dataset(
        components=[gr.Image(render=False)],
        samples=[[str(p)] for p in photos],
        label=said("examples"),
        type="index",
        layout="gallery",
        elem_classes="v-examples",
    )


def example_photos(*, spoiled: bool = False) -> list[Path]:
    """The example pictures, at most eight: good ones, or those spoiled like a hurried phone's, named snapshot-...

    Where there is no spoiled one, good ones take its place.
    """
    found = sorted(p for p in EXAMPLES.glob("*") if p.suffix in (".jpg", ".png", ".webp"))
    good = [p for p in found if not p.name.startswith("snapshot-")]
    return ([p for p in found if p not in good] if spoiled else good)[:8] or good[:8]


def status(message: str, done: int = 0, total: int = 0, *, kind: str = "") -> str:
    """The line under the stage, with a bar as far along as the work."""
    share = f"{100 * min(done / total, 1):.0f}%" if total > 0 else ""
    bar = f'<div class="v-bar{"" if share else " v-busy"}"><div style="width:{share or "30%"}"></div></div>' if not kind else ""
    return f'<div class="v-status {kind}" role="status">{bar}<span>{html.escape(message)}</span><span class="v-share">{share if not kind else ""}</span></div>'


def tidy(name: str) -> str:
    """A file's stem that every system takes, of at most 60 characters."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "picture"


@dataclass(frozen=True)
class Saving:
    """How a person wants the file."""

    format: str = "png"
    quality: float = 90
    keep_exif: bool = False

    def __post_init__(self) -> None:
        if self.format not in (value for _, value in FORMATS):
            raise RequestError("The file format must be png, jpg or webp.")
        if isinstance(self.quality, bool) or not isinstance(self.quality, int | float) or not 1 <= self.quality <= 100:  # NaN is not either
            raise RequestError("Quality must be a number from 1 to 100.")

    def write(self, pictures: Sequence[Picture], names: Sequence[str], recipe: Mapping[str, Any], folder: Path) -> list[Path]:
        """Save each picture under its name in `folder`, the recipe inside."""
        return [
            p.save(folder / f"{name}.{self.format}", quality=int(self.quality), recipe=recipe, keep_exif=self.keep_exif)
            for p, name in zip(pictures, names, strict=True)
        ]


def shareable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the name of a style picture in place of where it lay on this machine."""
    return {key: Path(value).name if key == "style" and isinstance(value, str) else value for key, value in recipe.items()}


def names_of(result: Result) -> list[str]:
    """File names without suffix: the photo's own with what was done, numbered when there are several."""
    done = {"stylize": "styled", "enhance": "enhanced", "recolour": "recoloured"}.get(str(result.recipe.get("verb")), "vitrine")
    if len(result.pictures) > 1:
        return [f"{tidy(p.name)}-{done}-{i:02d}" for i, p in enumerate(result.pictures, 1)]
    return [f"{tidy(p.name)}-{done}" for p in result.pictures]


def bundled(files: Sequence[Path], recipe: Mapping[str, Any], folder: Path) -> Path:
    """One file to download: the picture itself, or a zip of several with their recipe beside them."""
    if len(files) == 1:
        return files[0]
    path = folder / "vitrine-pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for file in files:
            archive.write(file, file.name)
        archive.writestr("recipe.json", json.dumps(recipe, indent=2))
    return path


def shown(picture: Picture, folder: Path, name: str, most_px: int) -> str:
    """A copy for the eye: at most `most_px` a side and quick to send; a transparent one stays PNG."""
    image = picture.pil(most_px)
    if image.mode != "RGB":
        image.save(folder / f"{name}.png", compress_level=1)
        return str(folder / f"{name}.png")
    image.save(folder / f"{name}.jpg", quality=95, subsampling=0)
    return str(folder / f"{name}.jpg")


@dataclass
class Stage:
    """The right side of a tab, from the empty frame to the file: built by `stage()`, filled by `follow()`."""

    verb: str
    empty: gr.Markdown
    preview: gr.Image
    final: gr.ImageSlider | gr.Gallery
    line: gr.HTML
    actions: gr.Row
    format: gr.Radio
    quality: gr.Slider
    keep_exif: gr.Checkbox
    download: gr.DownloadButton
    kept: gr.File
    recipe: gr.Textbox
    link: gr.Button
    recipe_file: gr.File

    @property
    def outputs(self) -> list[Any]:
        """Every component that `follow` may change."""
        return [self.empty, self.preview, self.final, self.line, self.actions, self.download, self.kept, self.recipe, self.link]

    def follow(self, run: Run, make: Callable[[], Requests], saving: Callable[[], Saving]) -> Iterator[Updates]:
        """Run the request that `make` builds and show its events as they come.

        Everything is written into a folder of this run alone; Gradio has taken its copies when it asks for the next
        update, so the folder goes when the generator ends or is closed, and closing it closes the engine's.
        """
        try:
            yield {self.line: status("Starting")}
            with tempfile.TemporaryDirectory(prefix="vitrine-") as name, closing(run(make())) as events:
                folder = Path(name)
                for count, event in enumerate(paced(events)):
                    if isinstance(event, Result):
                        yield self._filled(event, saving(), folder)
                    else:
                        yield self._heard(event, folder, count)
        except Exception as error:
            told = spoken(error)
            yield {self.line: status(str(getattr(told, "sentence", told.message)), kind="v-error")}  # stays when the box is gone
            raise told from None

    def _heard(self, event: Progress, folder: Path, count: int) -> Updates:
        updates: Updates = {self.line: status(event.message, event.done, event.total)}
        if event.preview is not None:
            updates |= {
                self.empty: gr.update(visible=False),
                self.final: gr.update(visible=False),
                self.preview: gr.update(value=shown(event.preview, folder, f"preview-{count}", PREVIEW_PX), visible=True),
            }
        return updates

    def _filled(self, result: Result, saving: Saving, folder: Path) -> Updates:
        """The result on the stage, its lossless files kept for other formats, its file ready to download."""
        names, recipe = names_of(result), shareable(result.recipe)
        (folder / "kept").mkdir()
        kept = Saving("png", keep_exif=True).write(result.pictures, names, recipe, folder / "kept")
        (folder / "out").mkdir()
        same = saving.format == "png" and (saving.keep_exif or all(p.exif is None for p in result.pictures))
        files = kept if same else saving.write(result.pictures, names, recipe, folder / "out")
        return {
            self.empty: gr.update(visible=False),
            self.preview: gr.update(visible=False),
            self.final: gr.update(value=self._display(result, folder, kept), visible=True),
            self.line: status(result.notes.sentence(result.seconds), kind="v-done"),
            self.actions: gr.update(visible=True),
            self.download: gr.update(value=str(bundled(files, recipe, folder / "out")), interactive=True),
            self.kept: [str(f) for f in kept],
            self.recipe: json.dumps(recipe, indent=2),
            self.link: gr.update(link=link_to(recipe), visible=True),
        }

    def _display(self, result: Result, folder: Path, kept: Sequence[Path]) -> Any:
        if isinstance(self.final, gr.Gallery):
            return [str(f) for f in kept]
        after = result.pictures[0]
        before = result.before if result.before is not None else after
        if (before.width, before.height) != (after.width, after.height):  # the slider lays one over the other
            before = before.resized(after.width, after.height)
        return shown(before, folder, "before", SHOWN_PX), shown(after, folder, "after", SHOWN_PX)

    def saved_again(self, kept: Sequence[str] | None, format: str, quality: float, keep_exif: bool) -> Iterator[Any]:
        """The same pictures in another format, from the lossless files that were kept."""
        from engine import image
        from engine.settings import Settings

        if not kept:
            yield gr.skip()
            return
        settings = Settings.from_environment()
        ours = replace(settings, input_mpx=settings.output_mpx)  # our own results may be as large as a result may be
        recipe = image.read_recipe(kept[0])
        with tempfile.TemporaryDirectory(prefix="vitrine-") as name:
            pictures = [image.load(file, ours) for file in kept]
            files = Saving(format, quality, keep_exif).write(pictures, [Path(file).stem for file in kept], recipe, Path(name))
            yield gr.update(value=str(bundled(files, recipe, Path(name))))


def stage(verb: str, *, gallery: bool = False) -> Stage:
    """Lay out the right side of a tab."""
    with gr.Column(elem_classes="v-stage"):
        empty = gr.Markdown(said(f"empty_{verb}"), elem_classes="v-empty")
        preview = gr.Image(
            visible=False, interactive=False, label=said("working"), type="filepath", buttons=[], elem_id=f"{verb}-preview", elem_classes="v-picture"
        )
        final: gr.ImageSlider | gr.Gallery
        if gallery:
            final = gr.Gallery(
                visible=False,
                interactive=False,
                label=said("pictures"),
                show_label=False,
                columns=4,
                height="auto",
                object_fit="contain",
                format="png",
                buttons=["download", "fullscreen"],
                elem_id=f"{verb}-final",
                elem_classes="v-gallery",
            )
        else:
            final = gr.ImageSlider(
                visible=False,
                interactive=False,
                label=str(said("before_after")),
                type="filepath",
                slider_position=50,
                max_height=640,
                buttons=["fullscreen"],
                elem_id=f"{verb}-final",
                elem_classes="v-picture",
            )
        line = gr.HTML(elem_id=f"{verb}-line", elem_classes="v-line")
    with gr.Row(visible=False, elem_classes="v-actions", equal_height=True) as actions:
        format = gr.Radio(FORMATS, value=Saving.format, label=said("format"), scale=2, min_width=220)
        quality = gr.Slider(1, 100, Saving.quality, step=1, label=said("quality"), scale=2, min_width=160, visible=False)
        keep_exif = gr.Checkbox(Saving.keep_exif, label=said("keep_exif"), scale=2, min_width=200, visible=not gallery)
        download = gr.DownloadButton(str(said("download")), variant="primary", scale=1, min_width=140, interactive=False, elem_id=f"{verb}-download")
    with gr.Accordion(said("recipe"), open=False):
        recipe = gr.Textbox(show_label=False, info=said("recipe_about"), lines=6, max_lines=16, interactive=False, buttons=["copy"], elem_id=f"{verb}-recipe")
        link = gr.Button(said("link"), size="sm", link_target="_blank", visible=False, elem_id=f"{verb}-link")
        recipe_file = gr.File(label=said("recipe_file"), file_types=["image", ".json"], height=110, elem_id=f"{verb}-recipe-file")
    kept = gr.File(visible=False, file_count="multiple")
    made = Stage(verb, empty, preview, final, line, actions, format, quality, keep_exif, download, kept, recipe, link, recipe_file)
    _save_again_on_change(made)
    return made


def _save_again_on_change(made: Stage) -> None:
    made.format.change(lambda format: gr.update(visible=format != "png"), made.format, made.quality, queue=False, api_visibility="private")
    gr.on(
        [made.format.input, made.quality.release, made.keep_exif.input],
        in_sentences(made.saved_again),
        [made.kept, made.format, made.quality, made.keep_exif],
        made.download,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
    )


def buttons(verb: str) -> tuple[gr.Button, gr.Button]:
    """Run and Stop."""
    with gr.Row(elem_classes="v-run"):
        run = gr.Button(said(f"run_{verb}"), variant="primary", scale=3, min_width=120, elem_id=f"{verb}-run")
        stop = gr.Button(said("stop"), scale=1, min_width=80, elem_id=f"{verb}-stop")
    return run, stop


def connect(
    made: Stage, work: Callable[..., Iterator[Updates]], inputs: Sequence[Any], outputs: Sequence[Any], triggers: Sequence[Callable[..., Any]], stop: gr.Button
) -> None:
    """Let each trigger run `work` in the device queue, and Stop end whichever of them is running or waiting.

    The values come as the browser sends them, checked by Gradio to be uploads where they are files. Its own
    preprocessing would open a picture, and answer a broken one in words that hold this machine's paths.
    """
    options = {"preprocess": False, "show_progress": "minimal", "show_progress_on": made.line, "api_visibility": "private", **DEVICE_QUEUE}
    started = [trigger(work, list(inputs), [*made.outputs, *outputs], **options) for trigger in triggers]
    for trigger in triggers:
        trigger(None, js=_SHOW_STAGE.format(verb=made.verb))
    stop.click(None, cancels=started, api_visibility="private").then(
        lambda kept: (status("Stopped.", kind="v-done"), gr.update(visible=False), gr.update(visible=bool(kept)), gr.update(visible=not kept)),
        made.kept,
        [made.line, made.preview, made.final, made.empty],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def read_recipe(file: str | None, verb: str) -> Requests:
    """The request that a Vitrine picture or a recipe file describes; its files are placeholders. RequestError if none."""
    from engine import image

    if not file:
        raise RequestError("Drop a Vitrine picture or a recipe file first.")
    if file.lower().endswith(".json"):
        if Path(file).stat().st_size > 100_000:
            raise RequestError("This file is too large for a recipe.")
        try:
            recipe = json.loads(Path(file).read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise RequestError("This is not a Vitrine recipe.") from None
    else:
        recipe = image.read_recipe(file)
    found = described(recipe)
    if found.verb != verb:
        tab = {"stylize": "Style", "recolour": "Colours", "generate": "Generate", "enhance": "Enhance"}[found.verb]
        raise RequestError(f"This recipe belongs to the tab {tab}; drop it there.")
    return found


def described(recipe: Any) -> Requests:
    """The request of a recipe, with names that stand for the files it does not carry. RequestError if it is none."""
    verb = recipe.get("verb") if isinstance(recipe, Mapping) else None
    files = {"photo": "photo"} if verb in ("stylize", "enhance", "recolour") else {}
    steps = recipe.get("steps") if verb == "enhance" else None
    if isinstance(steps, list) and "inpaint" in steps:
        files["mask"] = "mask"
    if verb == "stylize" and isinstance(recipe.get("style"), str):
        files["style"] = recipe["style"]  # a preset, or the name of a picture that the tab then asks for
    return from_recipe(recipe, **files)


@dataclass(frozen=True)
class Refill:
    """How a recipe fills a tab. fill: turns a request into the values of `outputs`; lacking: what the person still has to add."""

    made: Stage
    fill: Callable[[Any], Sequence[Any]]
    outputs: Sequence[Any]
    lacking: Callable[[Any], str] = lambda request: ""

    def updates(self, request: Requests) -> Updates:
        """What changes on the page."""
        told = status(f"The recipe's settings are in place. {self.lacking(request)}".strip(), kind="v-done")
        return dict(zip(self.outputs, self.fill(request), strict=True)) | {self.made.line: told}

    def on_drop(self) -> Refill:
        """Let a recipe that is dropped on the tab fill it."""

        def dropped(file: str | None) -> Iterator[Updates]:
            yield self.updates(read_recipe(file, self.made.verb))

        outputs = [*self.outputs, self.made.line]
        self.made.recipe_file.upload(in_sentences(dropped), self.made.recipe_file, outputs, queue=False, show_progress="hidden", api_visibility="private")
        return self


def link_to(recipe: Mapping[str, Any]) -> str:
    """An address of this page that carries the recipe."""
    return "?recipe=" + quote(json.dumps(recipe, separators=(",", ":")))


def fill_from_link(demo: gr.Blocks, tabs: gr.Tabs, refills: Sequence[Refill]) -> None:
    """Let a recipe in the page's address fill its tab and open it."""
    by_verb = {refill.made.verb: refill for refill in refills}

    def opened(request: gr.Request) -> Updates:
        text = request.query_params.get("recipe", "")
        if not text:
            return gr.skip()
        try:
            asked = described(json.loads(text))
        except RequestError as error:
            return {refills[0].made.line: status(str(error), kind="v-error")}
        except (ValueError, RecursionError):
            return {refills[0].made.line: status("The address of this page carries no recipe that can be read.", kind="v-error")}
        return {tabs: gr.Tabs(selected=asked.verb)} | by_verb[asked.verb].updates(asked)

    outputs = [tabs, *(output for refill in refills for output in (*refill.outputs, refill.made.line))]
    demo.load(opened, None, outputs, queue=False, show_progress="hidden", api_visibility="private")
