"""Pictures as files: PNG, JPEG and WebP, tagged sRGB, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import PngImagePlugin

from engine.contract.errors import RequestError
from engine.image.files import reason, shown
from engine.image.metadata import with_comment
from engine.image.pixels import eight_bit
from engine.image.profiles import srgb_profile

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_MOST_SIDE_PX = {"JPEG": 65500, "WEBP": 16383}  # from libjpeg's jmorecfg.h and libwebp's encode.h
_MOST_EXIF_BYTES = 65533  # a JPEG segment: 2^16 - 1 less the two bytes of its length


def save(
    pixels: Tensor,
    alpha: Tensor | None,
    path: Path,
    *,
    quality: int,
    recipe: Mapping[str, Any] | None,
    kept: bytes | None,
    most_bytes: int | None,
) -> Path:
    """What `Picture.save` does with pixels (1, 3, H, W) and alpha (1, 1, H, W); kept: the EXIF data for the file."""
    format = SUFFIXES.get(path.suffix.lower())
    if format is None:
        raise RequestError(f"Pictures are saved as {', '.join(SUFFIXES)}, not as {shown(path)}.")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise RequestError("Quality must be a whole number from 1 to 100.")
    side = max(pixels.shape[2:])
    if side > _MOST_SIDE_PX.get(format, side):
        raise RequestError(
            f"A {path.suffix} file holds at most {_MOST_SIDE_PX[format]} pixels a side; save this picture as .png."
        )
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if format == "PNG":
        if recipe is not None:
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("vitrine", json.dumps(dict(recipe), ensure_ascii=False, allow_nan=False))
    elif recipe is not None:
        kept = with_comment(kept, recipe)
    if format == "JPEG" and kept is not None and len(kept) > _MOST_EXIF_BYTES:
        raise RequestError("The recipe and the EXIF data do not fit into a JPEG; save as PNG or WebP.")
    if kept is not None:
        options["exif"] = kept
    image = eight_bit(pixels, alpha, keep_alpha=format != "JPEG")
    if most_bytes is None:
        write(path, lambda stream: image.save(stream, format, **options, **_coding(format, quality)))
    else:
        coded = _within(
            most_bytes,
            quality,
            format,
            lambda stream, q: image.save(stream, format, **options, **_coding(format, q)),
        )
        write(path, lambda stream: stream.write(coded))
    return path


def _coding(format: str, quality: int) -> dict[str, int]:
    """Pillow's settings for a quality; none for PNG."""
    if format == "JPEG":
        return {
            "quality": quality,
            "subsampling": 0 if quality >= 90 else 2,
        }  # halved colour blurs the edges of a product on white
    return {"quality": quality} if format == "WEBP" else {}


def _within(most_bytes: int, quality: int, format: str, encode: Callable[[BinaryIO, int], object]) -> bytes:
    """A file of at most `most_bytes` in the highest quality up to `quality` that fits; RequestError when none does."""

    def coded(at: int) -> bytes:
        stream = io.BytesIO()
        encode(stream, at)
        return stream.getvalue()

    whole = coded(quality)
    if len(whole) <= most_bytes:
        return whole
    cap = f"{most_bytes / 1e6:.3g} MB"
    if format == "PNG":
        raise RequestError(
            f"As PNG this picture has {len(whole) / 1e6:.3g} MB, and {cap} are allowed; save it as .jpg."
        )
    fits, found, too_high = 0, b"", quality
    while too_high - fits > 1:
        middle = (fits + too_high) // 2
        if len(tried := coded(middle)) <= most_bytes:
            fits, found = middle, tried
        else:
            too_high = middle
    if not found:
        raise RequestError(f"This picture cannot be made smaller than {cap}; choose a smaller size.")
    return found


def write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside the file, then put it in its place: nobody reads half a picture."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            write(stream)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{shown(path)} cannot be written: {reason(error)}.") from error
    finally:
        with suppress(OSError):  # it has moved, or its folder was none
            part.unlink()
