"""What a file says beside its pixels: which way is up, what of its EXIF data may be kept,
and the recipe that made it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image, ImageFile
from PIL.ExifTags import Base as Tag

log = logging.getLogger("vitrine")

_EXIF_IFD = ExifTags.IFD.Exif
_COMMENT_IN_ASCII = b"ASCII\0\0\0"  # EXIF 2.32, table 9: what the characters after it are
# Kept by name, since all else in the first directory says how the old file stored its pixels, or is private.
_KEPT_EXIF = {
    *(
        Tag.ImageDescription,
        Tag.Make,
        Tag.Model,
        Tag.Software,
        Tag.DateTime,
        Tag.Artist,
        Tag.HostComputer,
        Tag.Copyright,
    ),
    *(Tag.XResolution, Tag.YResolution, Tag.ResolutionUnit, Tag.Rating, Tag.RatingPercent),
    *(Tag.XPTitle, Tag.XPComment, Tag.XPAuthor, Tag.XPKeywords, Tag.XPSubject),
}
# The picture is turned, may be resized and is sRGB now; camera makers put positions and thumbnails into MakerNote.
_DROPPED_EXIF = {
    *(Tag.MakerNote, Tag.ExifInteroperabilityOffset, Tag.GPSInfo, Tag.ExifOffset),
    *(Tag.ExifImageWidth, Tag.ExifImageHeight, Tag.ColorSpace),
}


def orientation_of(picture: ImageFile.ImageFile, kind: str) -> int:
    """How the picture must be turned, 1 to 8; 1 for the formats whose decoders turn it themselves."""
    if kind in ("TIFF", "HEIC"):
        return 1
    if kind == "PNG" and "exif" not in picture.info and "Raw profile type exif" not in picture.info:
        # Pillow would decode the whole picture, to see if EXIF follows the pixels, as some programs write it.
        if exif := _png_chunk(picture.fp, b"eXIf"):
            picture.info["exif"] = b"Exif\0\0" + exif
        else:
            return 1
    orientation = exif_of(picture).get(Tag.Orientation, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def exif_of(picture: Image.Image) -> Image.Exif:
    """What a picture says of itself; nothing when that is damaged, which is no reason to refuse its pixels."""
    try:
        exif = picture.getexif()
        str(exif)  # values are read when they are asked for, and fail then
        exif.get_ifd(_EXIF_IFD)
        return exif
    except Exception:
        log.info("damaged EXIF data is left out", exc_info=True)
        return Image.Exif()


def kept_exif(picture: Image.Image) -> bytes | None:
    """The EXIF data that may go into a result: descriptions and camera settings; no position, no thumbnail."""
    exif = exif_of(picture)
    kept = Image.Exif()
    kept.endian = "<"
    for tag in _KEPT_EXIF & set(exif):
        kept[tag] = exif[tag]
    camera = {
        tag: value
        for tag, value in exif.get_ifd(_EXIF_IFD).items()
        if tag in ExifTags.TAGS and tag not in _DROPPED_EXIF
    }
    if _recipe_in(camera.get(Tag.UserComment)):  # what made this picture did not make the next one
        del camera[Tag.UserComment]
    if camera:
        kept.get_ifd(_EXIF_IFD).update(camera)
    elif not kept:
        return None
    try:
        return kept.tobytes()
    except Exception:  # a stranger's values may be of types that Pillow reads and cannot write
        log.info("EXIF data that cannot be written again is left out", exc_info=True)
        return None


def with_comment(exif: bytes | None, recipe: Mapping[str, Any]) -> bytes:
    """EXIF data with the recipe as its UserComment, in ASCII: JSON has escapes for all else."""
    data = Image.Exif()
    data.load(exif or b"")
    data.get_ifd(_EXIF_IFD)[Tag.UserComment] = _COMMENT_IN_ASCII + json.dumps(dict(recipe), allow_nan=False).encode(
        "ascii"
    )
    return data.tobytes()


def recipe_text(picture: ImageFile.ImageFile, kind: str) -> str:
    if kind == "PNG":  # not getexif(), which would decode the pixels
        return str(picture.info.get("vitrine", ""))
    if kind == "GIF":
        comment = picture.info.get("comment", b"")
        return comment.decode("ascii", "replace") if isinstance(comment, bytes) else str(comment)
    return _recipe_in(exif_of(picture).get_ifd(_EXIF_IFD).get(Tag.UserComment))


def _recipe_in(comment: Any) -> str:
    """The text of a UserComment that is a recipe, else nothing."""
    if (
        not isinstance(comment, bytes)
        or not comment.startswith(_COMMENT_IN_ASCII + b"{")
        or b'"vitrine"' not in comment
    ):
        return ""
    return comment.removeprefix(_COMMENT_IN_ASCII).decode("ascii", "replace")


def _png_chunk(stream: Any, name: bytes) -> bytes | None:
    """The content of a PNG's first chunk of that name, wherever it stands; the stream is left where it was."""
    here = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            if head[4:] == name:
                found: bytes | None = stream.read(length)
                return found
            stream.seek(length + 4, os.SEEK_CUR)
        return None
    finally:
        stream.seek(here)
