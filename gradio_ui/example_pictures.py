"""The example pictures: strips to choose from, photos and drawings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from gradio_ui.wiring import QUICK
from gradio_ui.words import said

EXAMPLES = Path(__file__).parent / "examples"


def examples(files: Sequence[Path], place: Any, put: Callable[[Path], Any] = str) -> list[Callable[..., Any]]:
    """A strip of pictures to try, each `put` into `place` by a click; returns the triggers of what comes after it, none
    where there is no picture.
    """
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
    return [strip.click(lambda i: put(files[i]), strip, place, **QUICK).then]


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
