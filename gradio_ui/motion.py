"""A walk in motion: frames as one animated picture, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from gradio_ui.stage import Stage
from gradio_ui.wiring import Updates
from gradio_ui.words import said

MOST_PX = 512  # longer side: a GIF grows with every pixel of every frame


@dataclass(frozen=True)
class Motion:
    """Where a walk moves, above its frames."""

    made: Stage
    place: gr.Column
    picture: gr.Image
    downloads: tuple[gr.DownloadButton, ...]

    @property
    def outputs(self) -> list[Any]:
        """Everything that `filled` changes."""
        return [self.place, self.picture, *self.downloads]

    def filled(self, frames: Sequence[str], folder: Path) -> Updates:
        """The frames in motion, as WebP and as GIF."""
        files = [
            self.made.studio.animate(frames, folder / f"vitrine-walk.{suffix}", most_px=MOST_PX)
            for suffix in ("webp", "gif")
        ]
        return {self.place: gr.update(visible=True), self.picture: str(files[0])} | dict(
            zip(self.downloads, map(str, files), strict=True)
        )


def motion(made: Stage) -> Motion:
    """Lay out the moving picture in a stage, out of sight until there is one."""
    with made.frame, gr.Column(visible=False, elem_classes="v-motion", elem_id=f"{made.verb}-motion") as place:
        picture = gr.Image(
            show_label=False,
            type="filepath",
            interactive=False,
            buttons=["fullscreen"],
            height=320,
            elem_classes="v-picture",
        )
        with gr.Row():
            downloads = tuple(
                gr.DownloadButton(str(said(f"download_{kind}")), size="sm", elem_id=f"{made.verb}-download-{kind}")
                for kind in ("webp", "gif")
            )
    made.beside.append(place)
    return Motion(made, place, picture, downloads)
