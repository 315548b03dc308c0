"""The right side of a tab: the result, what is said of it, its files and its recipe."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Event, Picture, Progress, Result
from engine.contract.marketplaces import asked_by
from engine.contract.recipe import Requests
from gradio_ui.files import FORMATS, Saving, bundled, cap_of, capped, drawn_number, names_of, shareable, shown, written
from gradio_ui.links import link_to
from gradio_ui.mask import Brush, after_strokes
from gradio_ui.progress import paced, status
from gradio_ui.sentences import in_sentences, spoken
from gradio_ui.wiring import DEVICE_QUEUE, Run, Updates, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

PREVIEW_PX = 1024

More: TypeAlias = Callable[
    [Result, list[str], Path], Updates
]  # result, kept files, folder of the run -> what else is shown
Work: TypeAlias = Callable[[Values], Iterator[Updates]]  # the values of the inputs -> what changes on the page
Between: TypeAlias = Callable[
    [Progress, Path], None
]  # what is done with progress that is heard, in the folder of the run

# On a phone the stage lies below the controls: its top is shown, since what comes makes it longer. On a wide page it
# may have been
# scrolled to its end, and where the page is at its own, what lies below the tab would push a longer stage out of view.
_SHOW_STAGE = (
    "() => {{ const stage = document.getElementById('{verb}-line').closest('.v-stage'); if (innerWidth <= 900 ||"
    " stage.getBoundingClientRect().top < 0) stage.scrollIntoView(); if (innerWidth > 900) scrollBy(0, Math.min(0,"
    " stage.closest('.v-tab').getBoundingClientRect().bottom - innerHeight)) }}"
)

_ENDING, _ENDED = status("Stopping, as soon as what is at work has ended"), status("Stopped.", kind="v-done")
_STOPPING = (  # a bar: something is at work
    f"(line) => line?.includes('v-bar') ? {json.dumps(_ENDING)} : {json.dumps(_ENDED)}"
)
# A failure has its sentence there, without a bar.
_STOPPED = f"(line) => line?.includes('v-bar') ? {json.dumps(_ENDED)} : line"


@dataclass
class Stage:
    """The right side of a tab, from the empty frame to the file: built by `stage()`, filled by `follow()`.

    frame: around the result and the line below it; `with made.frame` adds to it.
    """

    studio: Studio
    verb: str
    frame: gr.Column
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
    beside: list[Any] = field(
        default_factory=list
    )  # what takes the stage's place at times, and goes when there is one result again

    @property
    def outputs(self) -> list[Any]:
        """Every component that `follow` may change."""
        return [
            self.empty,
            self.preview,
            self.final,
            self.line,
            self.actions,
            self.download,
            self.kept,
            self.recipe,
            self.link,
            *self.beside,
        ]

    def saving(self, data: Values) -> Saving:
        """How the person wants the files."""
        return Saving(data[self.format], data[self.quality], data[self.keep_exif])

    def follow(
        self,
        run: Run,
        make: Callable[[], Requests],
        saving: Callable[[], Saving],
        more: More | None = None,
        between: Between | None = None,
    ) -> Iterator[Updates]:
        """Run the request that `make` builds and show its events as they come; `more` is made of the result and the
        files that were kept.
        """

        def work(folder: Path) -> Iterator[Updates]:
            result = yield from self.heard(run(make()), folder, between=between)
            updates = self.filled(result, saving(), folder)
            yield updates | (more(result, updates[self.kept], folder) if more else {})

        yield from self.told(work)

    def told(self, work: Callable[[Path], Iterator[Updates]]) -> Iterator[Updates]:
        """The updates of `work`, which writes into a folder of this run alone; what goes wrong is said on the line.

        Gradio has taken its copies when it asks for the next update, so the folder goes when the generator ends or is
        closed, and closing it closes the engine's.
        """
        try:
            yield {self.line: status("Starting")}
            with tempfile.TemporaryDirectory(prefix="vitrine-") as name:
                yield from work(Path(name))
        except Exception as error:
            told = spoken(error)
            yield {
                self.line: status(str(getattr(told, "sentence", told.message)), kind="v-error")
            }  # stays when the box is gone
            raise told from None

    def heard(
        self, events: Generator[Event, None, Any], folder: Path, who: str = "", between: Between | None = None
    ) -> Generator[Updates, None, Result]:
        """Show the progress of a request, with `who` before its words; returns its result."""
        with closing(events):
            for count, event in enumerate(paced(events)):
                if isinstance(event, Result):
                    return event
                if between:
                    between(event, folder)
                yield self._progress(event, folder, f"{who}{event.message}", count)
        raise RuntimeError("a request ended without a result")

    def put_back(self, kept: Any) -> Updates:
        """The last result again, or the empty frame where there is none."""
        hidden: Updates = {component: gr.update(visible=False) for component in (self.preview, *self.beside)}
        return hidden | {self.final: gr.update(visible=bool(kept)), self.empty: gr.update(visible=not kept)}

    def _progress(self, event: Progress, folder: Path, message: str, count: int) -> Updates:
        updates: Updates = {self.line: status(message, event.done, event.total)}
        if event.preview is not None:
            updates |= {component: gr.update(visible=False) for component in (self.empty, self.final, *self.beside)}
            updates[self.preview] = gr.update(
                value=shown(event.preview, folder, f"preview-{count}", PREVIEW_PX), visible=True
            )
        return updates

    def filled(self, result: Result, saving: Saving, folder: Path) -> Updates:
        """The result on the stage, its lossless files kept for other formats, its file ready to download."""
        names, recipe = names_of(result), shareable(result.recipe)
        (folder / "kept").mkdir()
        kept = Saving("png", keep_exif=True).write(
            [capped(p, None) for p in result.pictures], names, recipe, folder / "kept"
        )
        (folder / "out").mkdir()
        same = (
            saving.format == "png"
            and (saving.keep_exif or all(p.exif is None for p in result.pictures))
            and cap_of(recipe) is None
        )
        files, other = (kept, "") if same else written(saving, result.pictures, names, recipe, folder / "out")
        hidden: Updates = {
            component: gr.update(visible=False) for component in (self.empty, self.preview, *self.beside)
        }
        return hidden | {
            self.final: gr.update(value=self._display(result, folder, kept), visible=True),
            self.line: status(result.notes.sentence(result.seconds) + other, kind="v-done"),
            self.actions: gr.update(visible=True),
            self.download: gr.update(value=str(bundled(files, recipe, folder / "out")), interactive=True),
            self.kept: [str(f) for f in kept],
            self.recipe: json.dumps(recipe, indent=2),
            self.link: gr.update(link=link_to(recipe), visible=True),
        }

    def _display(self, result: Result, folder: Path, kept: Sequence[Path]) -> Any:
        if isinstance(self.final, gr.Gallery):
            return [(str(f), str(drawn_number(f.name) or "")) for f in kept]
        return slider_value(self.studio, result.before or result.pictures[0], result.pictures[0], folder)

    def saved_again(self, kept: Sequence[str] | None, format: str, quality: float, keep_exif: bool) -> Iterator[Any]:
        """The same pictures in another format, from the lossless files that were kept."""
        if not kept:
            yield gr.skip()
            return
        recipe = self.studio.read_recipe(kept[0])
        market = asked_by(recipe)
        if market and (refusal := market.refusal(format)):
            raise RequestError(f"{refusal}: choose {'another' if len(market.formats) > 1 else 'that'} file format.")
        with tempfile.TemporaryDirectory(prefix="vitrine-") as name:
            pictures = [capped(self.studio.load_result(file), cap_of(recipe)) for file in kept]
            files = Saving(format, quality, keep_exif).write(
                pictures, [Path(file).stem for file in kept], recipe, Path(name)
            )
            yield gr.update(value=str(bundled(files, recipe, Path(name))))


def stage(studio: Studio, verb: str, *, gallery: bool = False) -> Stage:
    """Lay out the right side of a tab."""
    with gr.Column(elem_classes="v-stage") as frame:
        empty = gr.Markdown(said(f"empty_{verb}"), elem_classes="v-empty")
        preview = gr.Image(
            visible=False,
            interactive=False,
            label=said("working"),
            type="filepath",
            buttons=[],
            elem_id=f"{verb}-preview",
            elem_classes="v-picture",
        )
        final = picture_wall(f"{verb}-final") if gallery else picture_slider(f"{verb}-final")
        line = gr.HTML(elem_id=f"{verb}-line", elem_classes="v-line")
    with gr.Row(visible=False, elem_classes="v-actions", equal_height=True) as actions:
        format = gr.Radio(FORMATS, value=Saving.format, label=said("format"), scale=2, min_width=220)
        quality = gr.Slider(
            1, 100, Saving.quality, step=1, label=said("quality"), scale=2, min_width=160, visible=False
        )
        keep_exif = gr.Checkbox(Saving.keep_exif, label=said("keep_exif"), scale=2, min_width=200, visible=not gallery)
        download = gr.DownloadButton(
            str(said("download")),
            variant="primary",
            scale=1,
            min_width=140,
            interactive=False,
            elem_id=f"{verb}-download",
        )
    with gr.Accordion(said("recipe"), open=False):
        recipe = gr.Textbox(
            show_label=False,
            info=said("recipe_about"),
            lines=6,
            max_lines=16,
            interactive=False,
            buttons=["copy"],
            elem_id=f"{verb}-recipe",
        )
        link = gr.Button(said("link"), size="sm", link_target="_blank", visible=False, elem_id=f"{verb}-link")
        recipe_file = gr.File(
            label=said("recipe_file"), file_types=["image", ".json"], height=110, elem_id=f"{verb}-recipe-file"
        )
    kept = gr.File(visible=False, file_count="multiple")
    made = Stage(
        studio,
        verb,
        frame,
        empty,
        preview,
        final,
        line,
        actions,
        format,
        quality,
        keep_exif,
        download,
        kept,
        recipe,
        link,
        recipe_file,
    )
    _save_again_on_change(made)
    return made


def _save_again_on_change(made: Stage) -> None:
    made.format.change(
        lambda format: gr.update(visible=format != "png"),
        made.format,
        made.quality,
        queue=False,
        api_visibility="private",
    )
    gr.on(
        [made.format.input, made.quality.release, made.keep_exif.input],
        in_sentences(made.saved_again),
        [made.kept, made.format, made.quality, made.keep_exif],
        made.download,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
    )


def picture_slider(elem_id: str, word: str = "before_after") -> gr.ImageSlider:
    """Two pictures with a handle between them."""
    return gr.ImageSlider(
        visible=False,
        interactive=False,
        label=str(said(word)),
        type="filepath",
        slider_position=50,
        max_height=640,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="v-picture",
    )


def slider_value(studio: Studio, left: Picture, right: Picture, folder: Path) -> tuple[str, str]:
    """The slider lays one picture over the other, so both get the size that the right one is shown at: its own, so that
    zooming reaches its real pixels, up to what the host allows.
    """
    most_px = studio.settings.shown_px
    if (left.width, left.height) != (right.width, right.height):
        scale = min(1.0, most_px / max(right.width, right.height))
        left = left.resized(max(1, round(scale * right.width)), max(1, round(scale * right.height)))
    return shown(left, folder, "before", most_px), shown(right, folder, "after", most_px)


def picture_wall(elem_id: str, columns: int = 4, *, visible: bool = False) -> gr.Gallery:
    """Several pictures."""
    return gr.Gallery(
        visible=visible,
        interactive=False,
        label=said("pictures"),
        show_label=False,
        columns=columns,
        height="auto",
        object_fit="contain",
        format="png",
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        elem_classes="v-gallery",
    )


def start(
    made: Stage,
    work: Callable[[Values], Iterator[Updates]],
    inputs: Iterable[Any],
    outputs: Iterable[Any],
    triggers: Iterable[Callable[..., Any]],
    brushes: Sequence[Brush] = (),
) -> list[Any]:
    """Let each trigger run `work` in the device queue, with the values of `inputs` and of how to save; returns the
    events, for `stop_with`.

    What was drawn with `brushes` until then counts, whether its mask is shown already or not.

    The values come as the browser sends them, checked by Gradio to be uploads where they are files. Its own
    preprocessing would open a picture, and answer a broken one in words that hold this machine's paths.
    """
    options = {
        "preprocess": False,
        "show_progress": "minimal",
        "show_progress_on": made.line,
        "api_visibility": "private",
        **DEVICE_QUEUE,
    }
    asked = {
        *inputs,
        made.format,
        made.quality,
        made.keep_exif,
        *(component for brush in brushes for component in brush.inputs),
    }
    told = list(
        dict.fromkeys([*made.outputs, *outputs, *(component for brush in brushes for component in brush.outputs)])
    )
    work = after_strokes(work, brushes)
    started = []
    for trigger in triggers:
        trigger(
            None, js=_SHOW_STAGE.format(verb=made.verb)
        )  # first: the browser does what comes second when the first has ended
        started.append(trigger(in_sentences(work), asked, told, **options))
    return started


def stop_with(made: Stage, stop: gr.Button, started: Iterable[Any]) -> None:
    """Let Stop end whichever of the events is running or waiting, and show the last result again.

    What is at work ends with its step, which may take seconds, and until then no new run can start: the line says so.
    The browser tells an event that was cancelled as it does one that failed, when it has ended.
    """
    events = list(started)
    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    stop.click(None, made.line, made.line, js=_STOPPING, **hidden)
    stop.click(None, cancels=events, api_visibility="private").then(
        made.put_back, made.kept, [made.preview, made.final, made.empty, *made.beside], queue=False, **hidden
    )
    for event in events:
        event.failure(None, made.line, made.line, js=_STOPPED, **hidden)
