"""The steps of a chain, kept: what each one made can be looked at, and gone back to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract.enhance import AUTO, EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Notes, Picture, Progress, Result
from gradio_ui import inputs, sentences
from gradio_ui.files import cap_of, capped, tidy
from gradio_ui.progress import status
from gradio_ui.stage import Stage
from gradio_ui.wiring import Updates, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

# Larger pictures take seconds and gigabytes to be measured against a reference, and whoever goes back does not wait for
# that.
_AGAINST_PX = 16_000_000


@dataclass(frozen=True)
class History:
    """Below the stage of a chain: a choice between its steps, out of sight until there are two.

    files: what each step made, the last one first kept by the stage. asked: the recipe, the files that it names, and
    what was said of the whole chain.
    """

    made: Stage
    choice: gr.Radio
    files: gr.File
    asked: gr.State

    @property
    def outputs(self) -> list[Any]:
        """Every component that a run changes."""
        return [self.choice, self.files, self.asked]

    @staticmethod
    def keep(event: Progress, folder: Path) -> None:
        """Write what a step made into the folder of the run."""
        if event.made is None:
            return
        place = folder / "history" / f"{event.done // 100:02d}"
        place.mkdir(parents=True)
        event.made.pil().save(place / f"{tidy(event.made.name)}.png", compress_level=1)

    def filled(self, request: EnhanceRequest, result: Result, kept: Sequence[str], folder: Path) -> Updates:
        """What a run has left; of "auto" only its end, as its recipe would choose the steps anew."""
        between = sorted((folder / "history").glob("*/*.png")) if request.steps != (AUTO,) else []
        places = [*(int(file.parent.name) for file in between), len(request.steps)]
        choices = [(said(request.steps[place - 1]), place) for place in places]
        return {
            self.choice: gr.update(choices=choices, value=places[-1], visible=len(places) > 1),
            self.files: [*map(str, between), *kept],
            self.asked: {
                "recipe": request.recipe(),
                "photo": request.photo,
                "reference": request.reference,
                "places": places,
                "notes": result.notes,
                "seconds": result.seconds,
            },
        }

    def back(self, data: Values) -> Iterator[Updates]:
        """The stage as it was after the chosen step: its picture, its file, its recipe, and how much was changed up to
        it.
        """
        asked: Mapping[str, Any] = data[self.asked] or {}
        places = asked.get("places", [])
        place = data[self.choice]
        if place not in places:
            yield {}
            return
        studio = self.made.studio
        file = inputs.uploaded(data[self.files][places.index(place)], "picture")
        photo = studio.load(asked["photo"])
        recipe = asked["recipe"] | {"steps": asked["recipe"]["steps"][:place]}
        picture = capped(replace(studio.load_result(file or ""), name=photo.name), cap_of(recipe))
        is_whole = place == places[-1]
        notes = asked["notes"] if is_whole else _up_to(place, photo, picture, asked, studio)
        with tempfile.TemporaryDirectory(prefix="vitrine-") as folder:
            updates = self.made.filled(
                Result((picture,), recipe, notes, asked["seconds"], photo), self.made.saving(data), Path(folder)
            )
            if not is_whole:
                updates[self.made.line] = status(notes.sentence(None), kind="v-done")  # only the whole chain was timed
            yield updates


def _up_to(place: int, photo: Picture, picture: Picture, asked: Mapping[str, Any], studio: Studio) -> Notes:
    """What can be said of the picture after a step: its networks and its measures.

    Sentences of the whole chain may tell of later steps.
    """
    remarks: list[str] = []
    against = {}
    if asked["reference"] and picture.width * picture.height > _AGAINST_PX:
        remarks.append("A picture as large as this is measured against the reference at the end of the chain only.")
    elif asked["reference"]:
        with suppress(RequestError):  # a file that is gone by now
            against = studio.fidelity(picture, asked["reference"], remarks)
    whole: Notes = asked["notes"]
    return Notes(whole.networks[:place], whole.device, (), tuple(remarks), studio.changed(photo, picture), against)


def history(made: Stage) -> History:
    """Lay out the choice below a stage."""
    with made.frame:
        choice = gr.Radio([], label=said("steps_made"), visible=False, elem_id=f"{made.verb}-trail")
        files, asked = gr.File(visible=False, file_count="multiple"), gr.State(None)
    kept = History(made, choice, files, asked)
    inputs: set[Any] = {choice, files, asked, made.format, made.quality, made.keep_exif}
    choice.input(
        sentences.in_sentences(kept.back),
        inputs,
        made.outputs,
        preprocess=False,
        show_progress="minimal",
        show_progress_on=made.final,
        api_visibility="private",
    )
    return kept
