"""What a command line names: photos, also by their folder, and the file or folder that its pictures go to."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from os.path import (
    exists,
    isdir,
    isfile,
)  # unlike Path's, these raise nothing for a name that is too long or a folder that is closed
from pathlib import Path
from typing import Any

from engine import image
from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.generate import GenerateRequest
from engine.contract.marketplaces import KINDS, asked_by
from engine.contract.recipe import Requests
from engine.generate.generate import columns
from engine.image.files import reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_PHOTOS = (*SUFFIXES, ".jfif", ".jpe", ".apng", ".avif", ".heic", ".heif", ".hif", ".tif", ".tiff", ".bmp", ".gif")
_GAP_PX = 8  # between the pictures of a grid


def photos(named: Sequence[str]) -> list[str]:
    """The photos that arguments name: each file itself, whatever it is, and in each folder what is a
    picture by its content or calls itself one, in the order of their names.
    """
    return [photo for name in named for photo in (_inside(Path(name)) if isdir(name) else [name])]


def _inside(folder: Path) -> list[str]:
    try:
        found = sorted(
            str(file)
            for file in folder.iterdir()
            if not file.name.startswith(".")
            and isfile(file)
            and (file.suffix.lower() in _PHOTOS or image.is_picture(file))
        )
    except OSError as error:
        raise RequestError(f"The folder {folder} cannot be opened: {reason(error)}.") from error
    if not found:
        raise RequestError(f"There is no picture in the folder {folder}.")
    return found


def is_folder(out: str, *, several: bool) -> bool:
    """Whether OUT is a folder: one that is there, or is written as one; `several` pictures also go into one that has no
    suffix.
    """
    return isdir(out) or out.endswith(("/", os.sep)) or (several and out != "" and not Path(out).suffix)


@dataclass
class Output:
    """Where a command's pictures go, and how they are saved. In a folder nothing takes the place of a photo that was
    given, or of another picture of the same command; a file is written over.

    format: of files in a folder, by its suffix without the dot; "" for what suits the picture.
    """

    out: Path
    in_folder: bool
    format: str = ""
    quality: int = 90
    keep_exif: bool = False
    _taken: set[str] = field(default_factory=set)

    def check(self, request: Requests) -> None:
        """Refuse before minutes of work what could not be saved after it."""
        if not 1 <= self.quality <= 100:
            raise RequestError("Quality must be a whole number from 1 to 100.")
        if self.format and self.format not in KINDS:
            raise RequestError("The file format must be png, jpg or webp.")
        if self.format and not self.in_folder:
            raise RequestError("A format is chosen for the files in a folder; that of a single file is in its name.")
        suffix = f".{self._format(request)}" if self.in_folder else self.out.suffix.lower()
        self._check_suffix(suffix, request)
        if self.in_folder:
            _check_folder(self.out)
            self._taken |= {_as_one(Path(file)) for name in request.files() if (file := getattr(request, name))}
        elif exists(self.out) and not isfile(self.out):
            raise RequestError(f"{self.out} is no file that a picture could be written to.")
        elif not isdir(self.out.parent):
            raise RequestError(f"There is no folder {self.out.parent}.")
        else:
            _check_writable(self.out.parent)

    def _check_suffix(self, suffix: str, request: Requests) -> None:
        if suffix not in (*SUFFIXES, *(image.ANIMATED if _is_walk(request) else ())):
            only = "; only a walk can be animated" if suffix in image.ANIMATED else ""
            raise RequestError(
                f"Pictures are saved as {', '.join(SUFFIXES)}, not as {self.out.name or 'a file without a name'}{only}."
            )
        market = asked_by(request.recipe())
        if market and (refusal := market.refusal(suffix.lstrip(".").replace("jpeg", "jpg"))):
            raise RequestError(f"{refusal}, so it would not take {self.out.name if not self.in_folder else suffix}.")

    def save(self, request: Requests, result: Result) -> list[Path]:
        """Write the pictures, the recipe inside; their files."""
        how: dict[str, Any] = {"quality": self.quality, "recipe": result.recipe, "keep_exif": self.keep_exif}
        if self.in_folder:
            try:
                self.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RequestError(f"The folder {self.out} cannot be made: {reason(error)}.") from error
            return [
                picture.save(self._free(name, self._format(request)), **how)
                for picture, name in zip(result.pictures, _names(result), strict=True)
            ]
        if _is_walk(request) and self.out.suffix.lower() in image.ANIMATED:
            return [image.animate(_own(result), self.out, quality=self.quality, recipe=result.recipe)]
        if len(result.pictures) == 1:
            return [result.pictures[0].save(self.out, **how)]
        return [image.grid(_own(result), columns(len(result.pictures)), _GAP_PX, keep_alpha=True).save(self.out, **how)]

    def _format(self, request: Requests) -> str:
        """Of a file in the folder: as asked, or the first that a listing picture's marketplace takes, or PNG."""
        market = asked_by(request.recipe())
        return self.format or (market.formats[0] if market else "png")

    def _free(self, name: str, format: str) -> Path:
        """A file of that name, numbered where it is taken; it is taken from then on."""
        file = next(file for file in _numbered(self.out, name, format) if _as_one(file) not in self._taken)
        self._taken.add(_as_one(file))
        return file


def _names(result: Result) -> list[str]:
    """Of the pictures, each another: those of one photo are numbered."""
    names = [picture.name for picture in result.pictures]
    return names if len(set(names)) == len(names) else [f"{name}-{number:02d}" for number, name in enumerate(names, 1)]


def _as_one(file: Path) -> str:
    """The same for names that some file system takes for one: in another case, or composed of other code points."""
    return unicodedata.normalize("NFC", str(file.resolve())).casefold()


def _numbered(folder: Path, name: str, format: str) -> Iterator[Path]:
    yield folder / f"{name}.{format}"
    for number in count(2):
        yield folder / f"{name}-{number}.{format}"


def _check_folder(folder: Path) -> None:
    """That it is one that can be written into, or that it can be made."""
    there = next(place for place in (folder, *folder.parents) if exists(place))
    if not isdir(there):
        raise RequestError(f"{there} is a file, not a folder.")
    _check_writable(there)


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(f"Nothing can be written into {folder}: {reason(error)}.") from error


def _is_walk(request: Requests) -> bool:
    return isinstance(request, GenerateRequest) and bool(request.walk_to)


def _own(result: Result) -> tuple[image.Picture, ...]:
    """A result's pictures, as the engine has them."""
    return tuple(picture for picture in result.pictures if isinstance(picture, image.Picture))
