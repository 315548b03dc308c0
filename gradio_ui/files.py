"""What a result becomes on disk: files in the format that is asked for, one bundle of several, copies for the eye."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.marketplaces import KINDS, asked_by

if TYPE_CHECKING:
    from engine.contract import Picture

FORMATS = tuple((name, suffix) for suffix, name in KINDS.items())  # as a choice on the page

_NUMBER = re.compile(r"-(\d+)-vitrine(-\d+)?$")  # before what `names_of` adds


def tidy(name: str) -> str:
    """A file's stem that every system takes, and that is easily typed, of at most 60 characters."""
    return re.sub(r"[\s<>:\"/\\|?*\x00-\x1f\x7f]+", "-", name).strip("-.")[:60] or "picture"


@dataclass(frozen=True)
class Saving:
    """How a person wants the file."""

    format: str = "png"
    quality: float = 90
    keep_exif: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.format, str) or self.format not in KINDS:
            raise RequestError("The file format must be png, jpg or webp.")
        if (
            isinstance(self.quality, bool) or not isinstance(self.quality, int | float) or not 1 <= self.quality <= 100
        ):  # NaN is not either
            raise RequestError("Quality must be a number from 1 to 100.")
        if not isinstance(self.keep_exif, bool):  # the text "false" would keep it
            raise RequestError("Keep EXIF must be true or false.")

    def write(
        self, pictures: Sequence[Picture], names: Sequence[str], recipe: Mapping[str, Any], folder: Path
    ) -> list[Path]:
        """Save each picture under its name in `folder`, the recipe inside."""
        return [
            p.save(folder / f"{name}.{self.format}", quality=int(self.quality), recipe=recipe, keep_exif=self.keep_exif)
            for p, name in zip(pictures, names, strict=True)
        ]


def written(
    saving: Saving, pictures: Sequence[Any], names: Sequence[str], recipe: Mapping[str, Any], folder: Path
) -> tuple[list[Path], str]:
    """The files as they are asked for, and nothing to say; or what a marketplace takes instead, and why, where it takes
    no such files or a PNG would be larger than it takes.
    """
    market = asked_by(recipe)
    if market and (refusal := market.refusal(saving.format)):
        other = replace(saving, format=market.formats[0])
        return other.write(pictures, names, recipe, folder), f" {refusal}, so the file is a {KINDS[other.format]}."
    try:
        return saving.write(pictures, names, recipe, folder), ""
    except RequestError as error:
        if saving.format != "png" or market is None:
            raise
        return replace(saving, format="jpg").write(
            pictures, names, recipe, folder
        ), f" {str(error).split(';')[0]}, so the file is a JPEG."


def cap_of(recipe: Mapping[str, Any]) -> int | None:
    """The most bytes that a file of the recipe's picture may have: a listing picture's marketplace says so."""
    market = asked_by(recipe)
    return market.most_bytes if market else None


def capped(picture: Any, most_bytes: int | None) -> Any:
    """The picture, whose files may have that many bytes."""
    return replace(picture, most_bytes=most_bytes)


def shareable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the names of style pictures in place of where they lay on this machine."""
    told = dict(recipe)
    if isinstance(told.get("style"), str):
        told["style"] = Path(told["style"]).name
    if isinstance(told.get("more_styles"), list):
        told["more_styles"] = [Path(style).name for style in told["more_styles"]]
    return told


def names_of(result: Result) -> list[str]:
    """File names without suffix: the photo's own with what was done, numbered when there are several."""
    done = {"stylize": "styled", "enhance": "enhanced", "recolour": "recoloured"}.get(
        str(result.recipe.get("verb")), "vitrine"
    )
    if len(result.pictures) > 1:
        return [f"{tidy(p.name)}-{done}-{i:02d}" for i, p in enumerate(result.pictures, 1)]
    return [f"{tidy(p.name)}-{done}" for p in result.pictures]


def drawn_number(file: str) -> int | None:
    """The number under which a generated picture was drawn, which its name ends with; None where there is none."""
    found = _NUMBER.search(Path(file).stem)
    return int(found[1]) if found else None


def bundled(files: Sequence[Path], recipe: Mapping[str, Any], folder: Path, name: str = "vitrine-pictures.zip") -> Path:
    """One file to download: the picture itself, or a zip of several with their recipe beside them."""
    if len(files) == 1:
        return files[0]
    path = folder / name
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
