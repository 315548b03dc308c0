"""The door: picture files become float sRGB pixels and go back to files; nothing else converts between the two.

A file is known by its first bytes, never by its suffix, and its size is read from its header before anything is
decoded. Pillow's classes for the formats are called directly: `Image.open` would add formats nobody asked for, and
a pixel cap of its own that warns. Whatever is wrong with a file becomes one sentence, as a `RequestError`.
"""

from __future__ import annotations

import io
import json
import logging
import os
import secrets
import stat
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as Tag
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from engine.request import RequestError
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, dtype

log = logging.getLogger("vitrine")

# The pixel cap of Settings takes the place of Pillow's; it would still warn of a large TIFF that the host allows.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP and GIF"
LARGE_PX = 16 * 10**6  # pictures with more pixels are kept as float16: 11 bits of precision hold 8-bit values exactly
MOST_ASPECT = 100  # a longer strip than this is no photo, and networks that halve it several times have nothing left
STRIP_PX = 2**20  # conversions go through strips of about this many pixels, so that no second full-size copy is made

ANIMATED = (".gif", ".webp")  # suffixes of files that `animate` writes
FRAME_MS, REST_MS = 120, 600  # how long one of its pictures stands, and the first and the last
_OUTPUT_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_MOST_SIDE_PX = {"JPEG": 65500, "WEBP": 16383}  # from libjpeg's jmorecfg.h and libwebp's encode.h
_MOST_EXIF_BYTES = 65533  # a JPEG segment: 2^16 - 1 less the two bytes of its length

_EXIF_IFD = ExifTags.IFD.Exif
_COMMENT_IN_ASCII = b"ASCII\0\0\0"  # EXIF 2.32, table 9: what the characters after it are
# Kept by name, since all else in the first directory says how the old file stored its pixels, or is private.
_KEPT_EXIF = {
    *(Tag.ImageDescription, Tag.Make, Tag.Model, Tag.Software, Tag.DateTime, Tag.Artist, Tag.HostComputer, Tag.Copyright),
    *(Tag.XResolution, Tag.YResolution, Tag.ResolutionUnit, Tag.Rating, Tag.RatingPercent),
    *(Tag.XPTitle, Tag.XPComment, Tag.XPAuthor, Tag.XPKeywords, Tag.XPSubject),
}
# The picture is turned, may be resized and is sRGB now; camera makers put positions and thumbnails into MakerNote.
_DROPPED_EXIF = {
    *(Tag.MakerNote, Tag.ExifInteroperabilityOffset, Tag.GPSInfo, Tag.ExifOffset),
    *(Tag.ExifImageWidth, Tag.ExifImageHeight, Tag.ColorSpace),
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Header:
    """What a file says of itself. width, height: in pixels, after orientation; mode: Pillow's name, such as "RGB"."""

    format: str
    width: int
    height: int
    mode: str

    def cropped(self, crop: tuple[int, ...]) -> Header:
        """Of a part (left, top, width, height), or of the whole for (); RequestError where it reaches beyond the picture."""
        if not crop:
            return self
        left, top, width, height = crop
        if left + width > self.width or top + height > self.height:
            raise RequestError(f"The crop reaches beyond the photo, which has {self.width} x {self.height} pixels.")
        return replace(self, width=width, height=height)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture inside Vitrine.

    pixels: float (1, 3, H, W), sRGB in [0, 1]; float32, or float16 above LARGE_PX pixels. alpha: float (1, 1, H, W)
    in [0, 1], 1 is opaque, colours are not multiplied by it; None when all is opaque. name: for file names, the stem
    of the file it came from. exif: what may be kept on request; without orientation, position, thumbnail, MakerNote.
    most_bytes: no file of it may be larger.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    name: str = "picture"
    exif: bytes | None = None
    most_bytes: int | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if len(shape) != 4 or shape[:2] != (1, 3):
            raise ValueError(f"pixels must be (1, 3, H, W), not {shape}")
        if self.alpha is not None and tuple(self.alpha.shape) != (1, 1, *shape[2:]):
            raise ValueError(f"alpha must be (1, 1, {shape[2]}, {shape[3]}), not {tuple(self.alpha.shape)}")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[3])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[2])

    def with_pixels(self, pixels: Tensor) -> Picture:
        """The same picture with other pixels (1, 3, H, W); the alpha is resized when their size is another."""
        height, width = pixels.shape[2:]
        alpha = self.alpha
        if alpha is not None and (width, height) != (self.width, self.height):
            alpha = _scaled(alpha, width, height).clamp_(0, 1).to(alpha.dtype)
        return replace(self, pixels=pixels, alpha=alpha)

    def resized(self, width: int, height: int) -> Picture:
        """Bicubic with antialiasing, clamped to [0, 1]. Colours count by their alpha, so that edges keep no halo."""
        import torch

        if (width, height) == (self.width, self.height):
            return self
        dtype = _dtype(width, height)
        planes = self.pixels.split(1, dim=1)  # one at a time: the float32 copies stay a third as large
        if self.alpha is None:
            pixels = torch.empty(1, 3, height, width, dtype=dtype)
            for k, plane in enumerate(planes):
                pixels[:, k] = _scaled(plane, width, height).clamp_(0, 1)[:, 0]
            return replace(self, pixels=pixels)
        weight = self.alpha.float()
        alpha = _scaled(weight, width, height)
        seen = alpha > 1 / 512  # below half a level nothing is seen, and dividing would only raise noise
        scaled = []
        for plane in planes:
            premultiplied = _scaled(plane.float() * weight, width, height)
            scaled.append(torch.where(seen, premultiplied / alpha, _scaled(plane, width, height)).clamp_(0, 1).to(dtype))
        return replace(self, pixels=torch.cat(scaled, dim=1), alpha=alpha.clamp_(0, 1).to(dtype))

    def fitted(self, longer_px: int) -> Picture:
        """The picture with a longer side of `longer_px`."""
        scale = longer_px / max(self.width, self.height)
        return self.resized(max(1, round(scale * self.width)), max(1, round(scale * self.height)))

    def filling(self, width: int, height: int) -> Picture:
        """All of a frame of that size: the largest middle part of its shape, resized."""
        scale = max(width / self.width, height / self.height)
        own_width, own_height = (min(side, max(1, round(frame / scale))) for side, frame in ((self.width, width), (self.height, height)))
        return self.cropped((self.width - own_width) // 2, (self.height - own_height) // 2, own_width, own_height).resized(width, height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Picture:
        """A part of the picture, all of it inside."""
        part = (..., slice(top, top + height), slice(left, left + width))
        return replace(self, pixels=self.pixels[part], alpha=None if self.alpha is None else self.alpha[part])

    def on_white(self) -> Tensor:
        """The pixels with what is transparent laid on white, float32: a network sees no holes."""
        pixels = self.pixels.float()
        return pixels if self.alpha is None else _on_white(pixels, self.alpha.float())

    def pil(self, most_px: int | None = None) -> Image.Image:
        """8 bit RGB, or RGBA with alpha, rounded to the nearest level; scaled down to at most `most_px` a side."""
        image = _eight_bit(self, keep_alpha=True)
        if most_px is None or max(image.size) <= most_px:
            return image
        scale = most_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)

    def save(self, file: str | Path, *, quality: int = 90, recipe: Mapping[str, Any] | None = None, keep_exif: bool = False) -> Path:
        """Write a PNG, JPEG or WebP by the suffix, tagged sRGB, and return its path.

        quality: 1 to 100, for JPEG and WebP. recipe: a request's `recipe()`, read back by `read_recipe`. A JPEG has no alpha, so
        a transparent picture is laid on white. Where `most_bytes` is set, the quality is as high as lets the file fit.
        The file appears whole or not at all. RequestError for another suffix or quality, a side the format cannot hold,
        EXIF too long for a JPEG, a file that cannot be made small enough, and a folder that cannot be written.
        """
        path = Path(file)
        format = _OUTPUT_FORMATS.get(path.suffix.lower())
        if format is None:
            raise RequestError(f"Pictures are saved as {', '.join(_OUTPUT_FORMATS)}, not as {_shown(path)}.")
        if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
            raise RequestError("Quality must be a whole number from 1 to 100.")
        if max(self.width, self.height) > _MOST_SIDE_PX.get(format, max(self.width, self.height)):
            raise RequestError(f"A {path.suffix} file holds at most {_MOST_SIDE_PX[format]} pixels a side; save this picture as .png.")
        kept = self.exif if keep_exif else None
        options: dict[str, Any] = {"icc_profile": srgb_profile()}
        if format == "PNG":
            if recipe is not None:
                options["pnginfo"] = PngImagePlugin.PngInfo()
                options["pnginfo"].add_itxt("vitrine", json.dumps(dict(recipe), ensure_ascii=False, allow_nan=False))
        elif recipe is not None:
            kept = _with_comment(kept, recipe)
        if format == "JPEG" and kept is not None and len(kept) > _MOST_EXIF_BYTES:
            raise RequestError("The recipe and the EXIF data do not fit into a JPEG; save as PNG or WebP.")
        if kept is not None:
            options["exif"] = kept
        image = _eight_bit(self, keep_alpha=format != "JPEG")
        if self.most_bytes is None:
            _write(path, lambda stream: image.save(stream, format, **options, **_coding(format, quality)))
        else:
            coded = _within(self.most_bytes, quality, format, lambda stream, q: image.save(stream, format, **options, **_coding(format, q)))
            _write(path, lambda stream: stream.write(coded))
        return path


def check(file: str | Path, settings: Settings | None = None) -> Header:
    """The header of a picture file, without decoding it; RequestError says in one sentence why it cannot be opened.

    A file that is cut off after its header passes here and is refused by `load`.
    """
    with _opened(Path(file), settings) as (picture, kind):
        width, height = picture.size if _orientation(picture, kind) < 5 else picture.size[::-1]
        return Header(kind, width, height, picture.mode)


def load(file: str | Path, settings: Settings | None = None) -> Picture:
    """The first frame of a picture file: checked, decoded, upright, in sRGB, its alpha taken off.

    RequestError as `check`, and when the pixels are cut off or damaged. 50 megapixels take 0.3 GB as float16 and,
    while they are read, twice 0.2 GB in Pillow.
    """
    path = Path(file)
    image, exif = _decoded(path, settings)
    pixels, alpha = _to_tensors(image)
    return Picture(pixels, alpha, _printable(path.stem), exif)


def load_mask(file: str | Path, settings: Settings | None = None) -> Tensor:
    """A picture as a mask, float (1, 1, H, W) in [0, 1]: 1 where it is white and opaque. Raises like `load`."""
    picture = load(file, settings)
    light = picture.pixels.float().mean(1, keepdim=True)
    return light if picture.alpha is None else light * picture.alpha.float()


def luma_table(file: str | Path, settings: Settings | None = None) -> tuple[int, ...] | None:
    """The table by which a JPEG file quantised its luma, 64 entries in rows; None for files of other formats. Decodes no pixels."""
    path = Path(file)
    with _opened(path, settings) as (picture, _):
        tables = picture.quantization if isinstance(picture, JpegImageFile) else {}
        return tuple(tables[min(tables)]) if tables else None


def read_recipe(file: str | Path) -> dict[str, Any]:
    """The recipe that `Picture.save` put into a file; RequestError when there is none. Decodes no pixels."""
    path = Path(file)
    with _stream(path) as stream:
        kind = _kind(path, stream.read(4096))
        with _readable(path, kind):
            picture = _open(stream, kind)
        try:
            recipe = json.loads(_recipe_text(picture, kind))
        except (ValueError, RecursionError):
            recipe = None
    if not isinstance(recipe, dict) or "vitrine" not in recipe:
        raise RequestError(f"{_shown(path)} carries no recipe.")
    return recipe


def grid(pictures: Sequence[Picture], columns: int, gap_px: int = 0, *, keep_alpha: bool = False) -> Picture:
    """Pictures in rows of `columns`, from the left and the top, on white, `gap_px` between them, without a border.

    keep_alpha: what is transparent in a picture stays so, and so is all between pictures if one of them is.

    Each cell has the size of the widest and the highest picture; a smaller one stands in the middle of its cell.
    """
    import torch

    if not pictures or columns < 1 or gap_px < 0:
        raise ValueError("a grid needs pictures, at least one column and no negative gap")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    cell_width, cell_height = max(p.width for p in pictures), max(p.height for p in pictures)
    width, height = columns * (cell_width + gap_px) - gap_px, rows * (cell_height + gap_px) - gap_px
    pixels = torch.ones((1, 3, height, width), dtype=_dtype(width, height))
    alpha = torch.zeros_like(pixels[:, :1]) if keep_alpha and any(p.alpha is not None for p in pictures) else None
    for i, picture in enumerate(pictures):
        left = i % columns * (cell_width + gap_px) + (cell_width - picture.width) // 2
        top = i // columns * (cell_height + gap_px) + (cell_height - picture.height) // 2
        place = (..., slice(top, top + picture.height), slice(left, left + picture.width))
        pixels[place] = _on_white(picture.pixels, picture.alpha) if alpha is None else picture.pixels
        if alpha is not None:
            alpha[place] = 1 if picture.alpha is None else picture.alpha
    return Picture(pixels, alpha, name="grid")


def animate(
    pictures: Sequence[Picture | str], file: str | Path, *, most_px: int | None = None, quality: int = 90, recipe: Mapping[str, Any] | None = None
) -> Path:
    """Write pictures of one size, or files of such, as an animated GIF or WebP, by the suffix, and return its path.

    It goes through the pictures forth and back, without end, and rests at both ends. most_px: the longer side that they
    are made smaller to. A GIF has 256 colours a frame and no half transparent pixels. RequestError for another suffix
    and for pictures of several sizes.
    """
    path = Path(file)
    suffix = path.suffix.lower()
    if suffix not in ANIMATED:
        raise RequestError(f"Animations are saved as {' or '.join(ANIMATED)}, not as {_shown(path)}.")
    forth = [_frame(picture, most_px) for picture in pictures]
    if len({frame.size for frame in forth}) != 1:
        raise RequestError("An animation needs pictures of one size.")
    frames = [*forth, *forth[-2:0:-1]]
    durations = [REST_MS if k in (0, len(forth) - 1) else FRAME_MS for k in range(len(frames))]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    if suffix == ".webp":
        options |= {"quality": quality, "icc_profile": srgb_profile(), "exif": _with_comment(None, recipe) if recipe is not None else b""}
        _write(path, lambda stream: frames[0].save(stream, "WEBP", **options))
        return path
    if recipe is not None:
        options["comment"] = json.dumps(dict(recipe), allow_nan=False).encode("ascii")
    _write(path, lambda stream: frames[0].save(stream, "GIF", disposal=2, optimize=False, **options))
    return path


def _frame(source: Picture | str, most_px: int | None) -> Image.Image:
    """8 bit RGB, or RGBA where something is transparent."""
    if isinstance(source, Picture):
        frame = _eight_bit(source, keep_alpha=True)
    else:
        with Image.open(source) as opened:
            frame = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    if most_px:
        frame.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    return frame


def squared(picture: Image.Image, box: tuple[int, int, int, int], size_px: int, margin: float = 0.06) -> Image.Image:
    """What is in the box (left, top, right, bottom) in the middle of a white square of `size_px`, a margin around it.

    margin: of the box's longer side. The framing of all generators: they learned it, and expect it of a photo.
    """
    product = picture.crop(box)
    side = round(max(product.size) * (1 + 2 * margin))
    square = Image.new("RGB", (side, side), "white")
    square.paste(product, ((side - product.width) // 2, (side - product.height) // 2))
    return square.resize((size_px, size_px), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile that every saved picture carries; the same bytes each time, which LittleCMS dates by itself."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1:2022, 7.2.1: the date is at bytes 24 to 35
    return bytes(profile)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def _shown(path: Path) -> str:
    """A file's name for a sentence: without folders, without control characters, not too long."""
    name = _printable(path.name or str(path))
    return name if len(name) <= 40 else f"{name[:24]}...{name[-13:]}"


@contextmanager
def _stream(path: Path) -> Iterator[BinaryIO]:
    """An open regular file that is not empty; anything else is a RequestError."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise RequestError(f"{_shown(path)} is a folder, not a picture.")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            raise RequestError(f"{_shown(path)} is not a file.")
        if status.st_size == 0:
            raise RequestError(f"{_shown(path)} is empty.")
        stream = path.open("rb")
    except RequestError:  # a ValueError as well
        raise
    except FileNotFoundError:
        raise RequestError(f"There is no file {_shown(path)}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise RequestError(f"{_shown(path)} cannot be opened: {_reason(error)}.") from error
    with stream:
        yield stream


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    """Around Pillow at work on a stranger's file, where anything may be raised: it leaves as one sentence."""
    try:
        yield
    except RequestError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"{_shown(path)} has too many pixels.") from error
    except MemoryError as error:
        raise RequestError(f"{_shown(path)} needs more memory than this machine has.") from error
    except Exception as error:
        log.info("%s (%s) cannot be read", path, kind, exc_info=True)
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            raise RequestError(f"{_shown(path)} is incomplete: the file ends before the picture does.") from error
        raise RequestError(f"{_shown(path)} is damaged, or a kind of {kind} that Vitrine does not read.") from error


@contextmanager
def _opened(path: Path, settings: Settings | None) -> Iterator[tuple[ImageFile.ImageFile, str]]:
    """Pillow's picture, not yet decoded and within the limits, and the name of its format."""
    settings = settings or Settings.from_environment()
    with _stream(path) as stream:
        head = stream.read(4096)
        kind = _kind(path, head)
        if size := _declared_size(kind, head):
            _check_size(path, *size, settings)
        with _readable(path, kind):
            picture = _open(stream, kind)
        _check_size(path, *picture.size, settings)
        yield picture, kind


def _decoded(path: Path, settings: Settings | None) -> tuple[Image.Image, bytes | None]:
    """The upright pixels, and the EXIF data that may be kept; the decoder's own buffers are free afterwards."""
    with _opened(path, settings) as (opened, kind):
        orientation = _orientation(opened, kind)
        with _readable(path, kind):
            opened.load()
        upright = opened.transpose(_TURNS[orientation]) if orientation in _TURNS else opened.copy()
        return upright, _kept_exif(opened)


def _open(stream: BinaryIO, kind: str) -> ImageFile.ImageFile:
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


def _kind(path: Path, head: bytes) -> str:
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
    raise RequestError(f"{_shown(path)} is {_otherwise(head)}; Vitrine opens {FORMATS}.")


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
        raise RequestError(f"{_shown(path)} has {width} x {height} pixels, which is {mpx:.0f} megapixels; at most {settings.input_mpx:g} can be opened.")
    if max(width, height) > MOST_ASPECT * max(1, min(width, height)):
        raise RequestError(f"{_shown(path)} has {width} x {height} pixels, which is too long and narrow for a photo.")


def _orientation(picture: ImageFile.ImageFile, kind: str) -> int:
    """How the picture must be turned, 1 to 8; 1 for the formats whose decoders turn it themselves."""
    if kind in ("TIFF", "HEIC"):
        return 1
    if kind == "PNG" and "exif" not in picture.info and "Raw profile type exif" not in picture.info:
        # Pillow would decode the whole picture, to see if EXIF follows the pixels, as some programs write it.
        if exif := _png_chunk(picture.fp, b"eXIf"):
            picture.info["exif"] = b"Exif\0\0" + exif
        else:
            return 1
    orientation = _exif(picture).get(Tag.Orientation, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _png_chunk(stream: Any, name: bytes) -> bytes | None:
    """The content of a PNG's first chunk of that name, wherever it stands; the stream is left where it was."""
    here = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            if head[4:] == name:
                return stream.read(length)
            stream.seek(length + 4, os.SEEK_CUR)
        return None
    finally:
        stream.seek(here)


def _exif(picture: Image.Image) -> Image.Exif:
    """What a picture says of itself; nothing when that is damaged, which is no reason to refuse its pixels."""
    try:
        exif = picture.getexif()
        str(exif)  # values are read when they are asked for, and fail then
        exif.get_ifd(_EXIF_IFD)
        return exif
    except Exception:
        log.info("damaged EXIF data is left out", exc_info=True)
        return Image.Exif()


def _kept_exif(picture: Image.Image) -> bytes | None:
    """The EXIF data that may go into a result: descriptions and camera settings; no position, no thumbnail."""
    exif = _exif(picture)
    kept = Image.Exif()
    kept.endian = "<"
    for tag in _KEPT_EXIF & set(exif):
        kept[tag] = exif[tag]
    camera = {tag: value for tag, value in exif.get_ifd(_EXIF_IFD).items() if tag in ExifTags.TAGS and tag not in _DROPPED_EXIF}
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


def _recipe_in(comment: Any) -> str:
    """The text of a UserComment that is a recipe, else nothing."""
    if not isinstance(comment, bytes) or not comment.startswith(_COMMENT_IN_ASCII + b"{") or b'"vitrine"' not in comment:
        return ""
    return comment.removeprefix(_COMMENT_IN_ASCII).decode("ascii", "replace")


def _with_comment(exif: bytes | None, recipe: Mapping[str, Any]) -> bytes:
    """EXIF data with the recipe as its UserComment, in ASCII: JSON has escapes for all else."""
    data = Image.Exif()
    data.load(exif or b"")
    data.get_ifd(_EXIF_IFD)[Tag.UserComment] = _COMMENT_IN_ASCII + json.dumps(dict(recipe), allow_nan=False).encode("ascii")
    return data.tobytes()


def _recipe_text(picture: ImageFile.ImageFile, kind: str) -> str:
    if kind == "PNG":  # not getexif(), which would decode the pixels
        return str(picture.info.get("vitrine", ""))
    if kind == "GIF":
        comment = picture.info.get("comment", b"")
        return comment.decode("ascii", "replace") if isinstance(comment, bytes) else str(comment)
    return _recipe_in(_exif(picture).get_ifd(_EXIF_IFD).get(Tag.UserComment))


def _strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """(top, bottom) of full-width strips that hold about STRIP_PX pixels each."""
    rows = max(1, STRIP_PX // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _to_tensors(image: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Upright sRGB pixels (1, 3, H, W) and alpha (1, 1, H, W) or None, strip by strip."""
    import torch

    width, height = image.size
    dtype = _dtype(width, height)
    pixels = torch.empty((1, 3, height, width), dtype=dtype)
    alpha = torch.empty((1, 1, height, width), dtype=dtype) if image.has_transparency_data and not image.mode.startswith("I;16") else None
    to_srgb = _to_srgb(image.info.get("icc_profile"), _separate(image.crop((0, 0, 1, 1)))[0].mode)
    low, high = (0, 255) if to_srgb else _value_range(image)
    for top, bottom in _strips(width, height):
        colours, opacity = _separate(image.crop((0, top, width, bottom)))
        levels = _levels(to_srgb(colours) if to_srgb else colours, low, high)
        pixels[0, :, top:bottom] = torch.from_numpy(np.atleast_3d(levels)).permute(2, 0, 1)  # (3, h, W), or (1, h, W) of greys
        if alpha is not None and opacity is not None:
            alpha[0, 0, top:bottom] = torch.from_numpy(_levels(opacity, 0, 255))
    return pixels, None if alpha is None or bool((alpha == 1).all()) else alpha


def _separate(strip: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours in one of the modes RGB, L, I;16, I, F, CMYK, LAB, and the alpha (L) if there is one.

    Pillow reads 16 bit colour pictures as 8 bit (it has no such mode); 16 bit greys keep all their levels.
    """
    mode = strip.mode
    if mode.startswith("I;16"):  # the other byte orders
        return (strip if mode == "I;16" else Image.fromarray(np.asarray(strip).astype("<u2"))), None
    if strip.has_transparency_data:  # alpha, premultiplied alpha, a transparent colour or palette
        strip = strip.convert("LA" if mode in ("1", "L", "LA", "La") else "RGBA")
        return strip.convert(strip.mode[:-1]), strip.getchannel("A")
    if mode in ("RGB", "L", "I", "F", "CMYK", "LAB"):
        return strip, None
    return strip.convert("L" if mode == "1" else "RGB"), None  # palettes, YCbCr, RGBX


def _levels(strip: Image.Image, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as floats from 0 to 1, (h, W) or (h, W, 3); what is no number becomes 0."""
    if strip.mode not in ("I", "F"):
        return (np.asarray(strip, np.float32) - low) / (high - low)
    return np.nan_to_num((np.asarray(strip, np.float64) - low) / (high - low), nan=0, posinf=1, neginf=0)


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The values that mean black and white.

    32 bit integers and floats do not say: it is the first of 1 (floats), 255 and 65535 that no value exceeds, and
    otherwise, as when there are negative values, the picture's own range.
    """
    if image.mode not in ("I", "F"):
        return 0, 65535 if image.mode.startswith("I;16") else 255
    low, high = np.inf, -np.inf
    for top, bottom in _strips(*image.size):
        values = np.asarray(image.crop((0, top, image.width, bottom)))
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    for white in (1, 255, 65535) if image.mode == "F" else (255, 65535):
        if low >= 0 and high <= white:
            return 0, white
    return low, high if high > low else low + 1


def _to_srgb(profile: bytes | None, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """What turns colours of that mode into RGB by the file's ICC profile; None when they are sRGB already.

    A damaged profile, or one for another kind of colours, is left out: the picture is then taken as sRGB.
    """
    if mode == "LAB":
        return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), mode)
    plain_cmyk = (lambda strip: strip.convert("RGB")) if mode == "CMYK" else None
    if not profile or profile == srgb_profile():
        return plain_cmyk
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and mode in ("RGB", "L"):  # a grey JPEG with the profile of its colour original
            convert = _transform(source, "RGB")
        elif (space, mode) in (("GRAY", "L"), ("GRAY", "I;16"), ("CMYK", "CMYK")):
            convert = _transform(source, mode)
        else:
            log.info("an ICC profile for %s is left out of a picture in %s", space, mode)
            return plain_cmyk
        return convert if mode == "CMYK" or _changes(convert, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.info("a damaged ICC profile is left out: %s", error)
        return plain_cmyk


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> Callable[[Image.Image], Image.Image]:
    """From a profile to sRGB, relative to the white of each, black onto black.

    Not optimised: LittleCMS would put tables in the curves' place that are wrong by ten levels in the dark parts of a
    linear grey, and is hardly faster.
    """
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)

    def convert(strip: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(strip if strip.mode == mode else strip.convert(mode), transform)
        assert converted is not None  # only inPlace returns nothing
        return converted

    return convert


def _changes(convert: Callable[[Image.Image], Image.Image], mode: str) -> bool:
    """Whether a conversion moves any of a set of colours by more than one level.

    Most files carry some maker's own sRGB: leaving those alone keeps every value exact, and is faster.
    """
    if mode == "RGB":
        levels = np.linspace(0, 255, 16).round().astype(np.uint8)
        before = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
        after = convert(Image.fromarray(before))
    else:
        ramp = np.arange(256).reshape(1, 256)
        before = np.repeat(ramp[..., None], 3, axis=2)
        after = convert(Image.fromarray(ramp.astype(np.uint8) if mode == "L" else (ramp * 257).astype("<u2")))
    return bool(np.abs(np.asarray(after, int) - before.astype(int)).max() > 1)


def _dtype(width: int, height: int) -> dtype:
    import torch

    return torch.float16 if width * height > LARGE_PX else torch.float32


def _scaled(planes: Tensor, width: int, height: int) -> Tensor:
    """Bicubic with antialiasing, (1, C, H, W) of any float dtype to float32; may leave [0, 1] beside edges."""
    from torch.nn import functional

    return functional.interpolate(planes.float(), size=(height, width), mode="bicubic", align_corners=False, antialias=True)


def _on_white(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    return pixels if alpha is None else 1 - alpha + alpha * pixels


def _eight_bit(picture: Picture, *, keep_alpha: bool) -> Image.Image:
    """Rounded to the nearest of 256 levels, strip by strip; without its alpha a picture is laid on white."""
    import torch

    alpha = picture.alpha if keep_alpha else None
    image = Image.new("RGB" if alpha is None else "RGBA", (picture.width, picture.height))
    for top, bottom in _strips(picture.width, picture.height):
        strip = picture.pixels[:, :, top:bottom].float()
        opacity = None if picture.alpha is None else picture.alpha[:, :, top:bottom].float()
        strip = _on_white(strip, opacity) if alpha is None or opacity is None else torch.cat([strip, opacity], dim=1)
        levels = strip[0].detach().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
        image.paste(Image.fromarray(levels.numpy()), (0, top))
    return image


def _coding(format: str, quality: int) -> dict[str, int]:
    """Pillow's settings for a quality; none for PNG."""
    if format == "JPEG":
        return {"quality": quality, "subsampling": 0 if quality >= 90 else 2}  # halved colour blurs the edges of a product on white
    return {"quality": quality} if format == "WEBP" else {}


def _within(most_bytes: int, quality: int, format: str, write: Callable[[BinaryIO, int], object]) -> bytes:
    """A file of at most `most_bytes` in the highest quality up to `quality` that fits; RequestError when none does."""

    def coded(at: int) -> bytes:
        stream = io.BytesIO()
        write(stream, at)
        return stream.getvalue()

    whole = coded(quality)
    if len(whole) <= most_bytes:
        return whole
    cap = f"{most_bytes / 1e6:.3g} MB"
    if format == "PNG":
        raise RequestError(f"As PNG this picture has {len(whole) / 1e6:.3g} MB, and {cap} are allowed; save it as .jpg.")
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


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside the file, then put it in its place: nobody reads half a picture."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            write(stream)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{_shown(path)} cannot be written: {_reason(error)}.") from error
    finally:
        with suppress(OSError):  # it has moved, or its folder was none
            part.unlink()
