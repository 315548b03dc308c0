"""The drawing pad: black lines on white, in the page's light and in its dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from engine.contract.errors import RequestError
from gradio_ui import inputs
from gradio_ui.wiring import QUICK
from gradio_ui.words import said

PAD_PX = 320


def pad() -> gr.ImageEditor:
    """A white sheet, a pen, an eraser, and a button that clears it."""
    sheet = gr.ImageEditor(
        blank(),
        label=said("sketch"),
        type="pil",
        image_mode="RGB",
        sources=[],
        transforms=[],
        layers=False,
        brush=gr.Brush(default_size=4, colors=["#000000"], default_color="#000000", color_mode="fixed"),
        eraser=gr.Eraser(default_size=20),
        canvas_size=(PAD_PX, PAD_PX),
        buttons=[],
        height=400,
        elem_id="generate-pad",
    )
    clear = gr.Button(said("clear"), size="sm", elem_id="generate-clear")
    clear.click(blank, None, sheet, **QUICK)
    return sheet


def blank() -> Any:
    """An empty sheet."""
    return _sheet(Image.new("RGB", (PAD_PX, PAD_PX), "white"))


def laid(file: Path) -> Any:
    """A sheet with a drawing on it, to be drawn on."""
    with Image.open(file) as drawing:
        return _sheet(drawing.convert("RGB").resize((PAD_PX, PAD_PX), Image.Resampling.LANCZOS))


def _sheet(picture: Image.Image) -> dict[str, Any]:
    return {"background": picture, "layers": [], "composite": picture}


def drawing(sheet: Any) -> str:
    """The file of the sheet and all that was drawn on it. RequestError when there is no sheet."""
    file = inputs.uploaded((sheet or {}).get("composite"), "sketch")
    if not file:
        raise RequestError("Draw something first, or use the edges of a photo.")
    return file
