"""Two results side by side: one photo by two styles or methods, or the same products by two networks."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.recipe import Requests
from gradio_ui.files import Saving, bundled, names_of, shareable
from gradio_ui.stage import Stage, picture_slider, picture_wall, slider_value
from gradio_ui.wiring import Run, Updates
from gradio_ui.words import said

SIDES = ("A", "B")
COLUMNS = 3  # of each of two walls

Title: TypeAlias = Callable[[Result], str]  # what is said of a side before its note


@dataclass(frozen=True)
class Comparison:
    """Where two results stand, in the stage's place: in one slider, A on its left, or as two walls of pictures."""

    made: Stage
    place: gr.Column
    slider: gr.ImageSlider | None
    walls: tuple[gr.Gallery, ...]
    notes: tuple[gr.HTML, ...]
    downloads: tuple[gr.DownloadButton, ...]

    @property
    def outputs(self) -> list[Any]:
        """Every component that `follow` may change beside the stage's."""
        return [*([self.slider] if self.slider else []), *self.walls, *self.notes, *self.downloads]

    def follow(
        self, run: Run, make: Callable[[], tuple[Requests, Requests]], title: Title, saving: Callable[[], Saving]
    ) -> Iterator[Updates]:
        """Run both requests, one after the other, and show what came of them.

        Both are checked before the first one runs.
        """

        def work(folder: Path) -> Iterator[Updates]:
            outcomes = yield from heard_in_turn(self.made, run, make(), folder)
            yield self._filled(
                [outcome for outcome in outcomes if isinstance(outcome, Result)], title, saving(), folder
            )

        yield from self.made.told(work)

    def _filled(self, results: list[Result], title: Title, saving: Saving, folder: Path) -> Updates:
        made = self.made
        updates: Updates = {
            component: gr.update(visible=False)
            for component in (made.empty, made.preview, made.final, made.actions, made.link)
        }
        updates |= {self.place: gr.update(visible=True), made.line: "", made.kept: None}
        recipes = []
        for k, (side, result) in enumerate(zip(SIDES, results, strict=True)):
            recipes.append(recipe := shareable(result.recipe))
            out = folder / side / "files"
            out.mkdir()
            files = saving.write(result.pictures, [f"{name}-{side}" for name in names_of(result)], recipe, out)
            updates[self.notes[k]] = note(side, title(result), result.notes.sentence(result.seconds))
            updates[self.downloads[k]] = str(bundled(files, recipe, out, f"vitrine-pictures-{side}.zip"))
            if self.walls:
                updates[self.walls[k]] = [str(f) for f in files]
        if self.slider:
            left, right = (result.pictures[0] for result in results)
            updates[self.slider] = gr.update(value=slider_value(made.studio, left, right, folder), visible=True)
        return updates | {made.recipe: json.dumps(recipes, indent=2)}


def heard_in_turn(
    made: Stage, run: Run, requests: Sequence[Requests | None], folder: Path, *, forgiving: bool = False
) -> Generator[Updates, None, list[Result | RequestError | None]]:
    """Run requests one after the other and show their progress; returns what came of each: its result, or why there is
    none.

    Nothing is run for None, and None comes of it. RequestError at the first that cannot be met, unless `forgiving`.
    """
    outcomes: list[Result | RequestError | None] = []
    for side, request in zip(SIDES, requests, strict=True):
        if request is None:
            outcomes.append(None)
            continue
        (folder / side).mkdir()
        try:
            outcomes.append((yield from made.heard(run(request), folder / side, f"{side}: ")))
        except RequestError as error:
            if not forgiving:
                raise
            outcomes.append(error)
    return outcomes


def pair(made: Stage, *, walls: bool = False) -> Comparison:
    """Lay out the two results, out of sight until there are any."""
    with made.frame, gr.Column(visible=False, elem_classes="v-pair") as place:
        slider = None if walls else picture_slider(f"{made.verb}-pair", "left_right")
        shown, notes, downloads = [], [], []
        with gr.Row(elem_classes="v-sides"):
            for side in SIDES:
                with gr.Column(min_width=220):
                    if walls:
                        shown.append(picture_wall(f"{made.verb}-pair-{side}", COLUMNS, visible=True))
                    notes.append(gr.HTML(elem_classes="v-line", elem_id=f"{made.verb}-note-{side}"))
                    downloads.append(
                        gr.DownloadButton(
                            str(said(f"download_{side}")), size="sm", elem_id=f"{made.verb}-download-{side}"
                        )
                    )
    made.beside.append(place)
    return Comparison(made, place, slider, tuple(shown), tuple(notes), tuple(downloads))


def note(side: str, title: str, sentence: str) -> str:
    """What is said of one side."""
    return (
        f'<div class="v-status v-done" role="status"><span><b>{side} ·'
        f" {html.escape(title)}</b><br>{html.escape(sentence)}</span></div>"
    )
