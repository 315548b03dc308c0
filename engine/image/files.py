"""Strangers' files, known by their first bytes and opened within limits.

The suffix is never believed, and the size is read from the header before anything is decoded. Pillow's classes for the
formats are called directly: `Image.open` would add formats nobody asked for, and a pixel cap of its own that warns.
"""

from __future__ import annotations

import logging
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, PngImagePlugin
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from engine.contract.errors import RequestError
from engine.image import tiff
from engine.settings import Settings

log = logging.getLogger("vitrine")


FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP and GIF"
RAW = "a camera's raw file; develop it first, and give the JPEG, TIFF or HEIC that comes out."
# Fujifilm, Olympus, Panasonic, Sigma, Minolta, and Canon before CR2. Others are TIFFs (engine/image/tiff.py).
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
SCANS_MOST = 200  # of a JPEG: each goes through all of the picture; progressive ones have about ten
MOST_ASPECT = 100  # a longer strip than this is no photo, and networks that halve it several times have nothing left


@contextmanager
def opened(path: Path, settings: Settings) -> Iterator[tuple[ImageFile.ImageFile, str]]:
    """Pillow's picture, not yet decoded and within the limits, and the name of its format."""
    with stream_of(path) as stream:
        head = stream.read(4096)
        kind = kind_of(path, head)
        if size := _declared_size(kind, head):
            _check_size(path, *size, settings)
        frame = _checked_parts(path, kind, stream)
        with readable(path, kind):
            picture = open_as(stream, kind)
            if frame:
                picture.seek(frame)
        _check_size(path, *picture.size, settings)
        yield picture, kind


@contextmanager
def stream_of(path: Path) -> Iterator[BinaryIO]:
    """An open regular file that is not empty; anything else is a RequestError."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise RequestError(f"{shown(path)} is a folder, not a picture.")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            raise RequestError(f"{shown(path)} is not a file.")
        if status.st_size == 0:
            raise RequestError(f"{shown(path)} is empty.")
        stream = path.open("rb")
    except RequestError:  # a ValueError as well
        raise
    except FileNotFoundError:
        raise RequestError(f"There is no file {shown(path)}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise RequestError(f"{shown(path)} cannot be opened: {reason(error)}.") from error
    with stream:
        yield stream


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Around Pillow at work on a stranger's file, where anything may be raised: it leaves as one sentence."""
    try:
        yield
    except RequestError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"{shown(path)} has too many pixels.") from error
    except MemoryError as error:
        raise RequestError(f"{shown(path)} needs more memory than this machine has.") from error
    except Exception as error:
        log.info("%s (%s) cannot be read", path, kind, exc_info=True)
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            raise RequestError(f"{shown(path)} is incomplete: the file ends before the picture does.") from error
        raise RequestError(f"{shown(path)} is damaged, or a kind of {kind} that Vitrine does not read.") from error


def open_as(stream: BinaryIO, kind: str) -> ImageFile.ImageFile:
    stream.seek(0)
    if kind == "HEIC":
        from pillow_heif import HeifImageFile  # takes a while to import, and few pictures need it

        return HeifImageFile(stream)
    # A JPEG of several pictures (MPO, as many phones write) is read as its first one, since its class is named here.
    kinds: dict[str, type[ImageFile.ImageFile]] = {
        "JPEG": JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "WebP": WebPImageFile,
        "AVIF": AvifImageFile,
        "TIFF": TiffImageFile,
        "BMP": BmpImageFile,
        "GIF": GifImageFile,
    }
    return kinds[kind](stream)


def _checked_parts(path: Path, kind: str, stream: BinaryIO) -> int:
    """Which of a file's pictures to take; RequestError for a raw file, and for one whose parts take for ever."""
    if kind == "JPEG":
        stream.seek(0)
        if (scans := stream.read().count(b"\xff\xda")) > SCANS_MOST:
            raise RequestError(f"{shown(path)} has {scans} scans, and at most {SCANS_MOST} are read; save it anew.")
    if kind != "TIFF":
        return 0
    pictures = tiff.directories(stream)
    if tiff.is_raw(stream, pictures):
        raise RequestError(f"{shown(path)} is {RAW}")
    if any(directory.has_too_many_parts for directory in pictures):
        raise RequestError(f"{shown(path)} is cut into more strips than it has rows; save it anew.")
    return tiff.whole(pictures)


def kind_of(path: Path, head: bytes) -> str:
    """The format by its first bytes; RequestError names what the file is instead, where that can be told."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "BMP"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, end, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "HEIC"
    if head.startswith(_RAW_STARTS) or head[4:12] == b"ftypcrx ":
        raise RequestError(f"{shown(path)} is {RAW}")
    raise RequestError(f"{shown(path)} is {_otherwise(head)}; Vitrine opens {FORMATS}.")


def _otherwise(head: bytes) -> str:
    """What a file is that is none of the formats."""
    for start, what in (
        (b"%PDF", "a PDF"),
        (b"%!PS", "an EPS or PostScript drawing"),
        (b"\xc5\xd0\xd3\xc6", "an EPS or PostScript drawing"),
        (b"8BPS", "a Photoshop file"),
        (b"PK\3\4", "a ZIP archive"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
        (b"\0\0\1\0", "an icon"),
    ):
        if head.startswith(start):
            return what
    if head[4:8] == b"ftyp":
        return "a video"
    if b"<svg" in head[:1024].lower():
        return "an SVG drawing"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in head[:1024]):
        return "a text"
    return "not a picture"


def _declared_size(kind: str, head: bytes) -> tuple[int, int] | None:
    """Width and height where they stand at a fixed place, so that even a file of nothing but a header is measured.

    WebP's decoder takes memory for the whole picture as soon as it opens one. PNG: RFC 2083, 4.1.1; GIF89a, 18;
    WebP: RFC 9649, 2.7 (VP8X), 3.4 (VP8L), and RFC 6386, 9.1 (VP8).
    """
    if kind == "PNG" and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if kind == "GIF" and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if kind == "WebP" and len(head) >= 30:
        if head[12:16] == b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        if head[12:16] == b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def _check_size(path: Path, width: int, height: int, settings: Settings) -> None:
    if width * height > settings.input_mpx * 10**6:
        mpx = width * height / 10**6
        raise RequestError(
            f"{shown(path)} has {width} x {height} pixels, which is {mpx:.0f} megapixels; at most"
            f" {settings.input_mpx:g} can be opened."
        )
    if max(width, height) > MOST_ASPECT * max(1, min(width, height)):
        raise RequestError(f"{shown(path)} has {width} x {height} pixels, which is too long and narrow for a photo.")


def shown(path: Path) -> str:
    """A file's name for a sentence: without folders, without control characters, not too long."""
    name = printable(path.name or str(path))
    return name if len(name) <= 40 else f"{name[:24]}...{name[-13:]}"


def is_picture(path: Path) -> bool:
    """Whether a regular file is one that `opened` reads, or a camera's raw file, which it names; by its content."""
    try:
        with stream_of(path) as stream:
            kind_of(path, stream.read(4096))
        return True
    except RequestError as error:
        return RAW in str(error)


def file_stem(name: str) -> str:
    """A name for files: only what some system does not take is replaced (POSIX; Windows' rules)."""
    kept = "".join("-" if unicodedata.category(c) in ("Cc", "Cs") or c in '<>:"/\\|?*' else c for c in name)
    return kept.rstrip(". ") or "picture"


def printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
