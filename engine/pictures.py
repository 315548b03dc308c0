"""Picture files as a caller may handle them: checked, opened, measured and put together, within a studio's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.settings import Settings

if TYPE_CHECKING:
    from engine.contract import Picture as AnyPicture
    from engine.image import Header, Picture


class PictureFiles:
    """What can be asked about picture files without a network. Each raises RequestError, in one sentence."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def check(self, file: str | Path) -> Header:
        """What a picture file's header says; `RequestError` when it is none, or too large. Cheap, without torch."""
        from engine import image

        return image.check(file, self.settings)

    def load(self, file: str | Path) -> Picture:
        """The picture in a file that somebody brought."""
        from engine import image

        return image.load(file, self.settings)

    def load_result(self, file: str | Path) -> Picture:
        """The picture in a file that the studio made, which may be as large as a result may be."""
        from engine import image

        return image.load(file, replace(self.settings, input_mpx=self.settings.output_mpx))

    def read_recipe(self, file: str | Path) -> Mapping[str, Any]:
        """The recipe inside a picture that the studio made."""
        from engine import image

        return image.read_recipe(file)

    def animate(self, frames: Sequence[str], file: str | Path, *, most_px: int | None = None) -> Path:
        """Picture files of one size as a GIF or a WebP that moves; its longer side is at most `most_px`."""
        from engine import image

        return image.animate(frames, file, most_px=most_px)

    def changed(self, photo: AnyPicture, result: AnyPicture) -> dict[str, float]:
        """How much of a photo a result changed, as in a result's notes."""
        from engine.enhance import change

        return change.changed(photo, result)  # type: ignore[arg-type]  # pictures of this studio

    def fidelity(self, result: AnyPicture, reference: str, remarks: list[str]) -> dict[str, float]:
        """A result against the reference in a file, as in a result's notes; sentences are added to `remarks`."""
        from engine.enhance import change

        return change.fidelity(result, reference, self.settings, remarks)  # type: ignore[arg-type]
