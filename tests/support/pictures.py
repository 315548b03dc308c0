"""Sample and hostile picture files, and ICC profiles, made on the fly: no test needs a file from elsewhere."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

MARKS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255))


def marked(side_px: int = 8) -> Image.Image:
    """Two rows of three squares, each of its own colour: no turn or mirroring of it looks like another."""
    colours = np.array(MARKS, np.uint8).reshape(2, 3, 3)
    return Image.fromarray(colours.repeat(side_px, axis=0).repeat(side_px, axis=1))


def all_levels() -> Image.Image:
    """256 x 3 pixels in which each channel has every level, and no two channels the same one."""
    ramp = np.arange(256)
    rows = [np.stack([ramp, (ramp * 7 + shift) % 256, 255 - ramp], axis=-1) for shift in (0, 85, 170)]
    return Image.fromarray(np.stack(rows).astype(np.uint8))


def photo(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Smooth colours with a few edges, as a photo compresses."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    r, g, b = np.random.default_rng(seed).random(3)
    disc = (x - 0.4) ** 2 + (y - 0.4) ** 2 < 0.05
    pixels = np.stack([0.8 - 0.5 * x * r, 0.3 + 0.6 * y * g, 0.5 + 0.4 * (x - y) * b], axis=-1)
    pixels[disc] = [0.9 * b, 0.2, 0.7 * r]
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def exif(orientation: int | None = None, gps: bool = False, recipe_comment: bytes | None = None) -> Image.Exif:
    """What a phone writes: maker, lens, MakerNote and, on request, orientation and position."""
    data = Image.Exif()
    data[ExifTags.Base.Make] = "Vitrine Optics"
    data[ExifTags.Base.Copyright] = "A. Person"
    if orientation:
        data[ExifTags.Base.Orientation] = orientation
    camera = data.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.FNumber] = 2.8
    camera[ExifTags.Base.LensModel] = "50 mm"
    camera[ExifTags.Base.MakerNote] = b"SECRETNOTE" * 4
    if recipe_comment:
        camera[ExifTags.Base.UserComment] = recipe_comment
    if gps:
        data.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "N",
                ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.0),
                ExifTags.GPS.GPSProcessingMethod: b"SECRETPLACE",
            }
        )
    return data


def reopened(path: Path) -> Image.Image:
    """The file as Pillow alone reads it; from memory, so that no file stays open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", ihdr) + png_chunk(b"IEND", b"")


def png_bomb(width: int, height: int) -> bytes:
    """A whole, valid PNG of one grey that is a thousand times larger once decoded."""
    ihdr = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", ihdr) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    """A WebP that claims a size and has no pixels."""
    content = (
        b"WEBPVP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def gif_frame_beyond_screen(side_px: int) -> bytes:
    """A GIF whose screen is one pixel, and whose first frame is far larger."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, side_px, side_px, 0) + b"\x02\x02\x4c\x01\x00;"


def cut(data: bytes, share: float = 0.5) -> bytes:
    return data[: int(len(data) * share)]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jpg": (lambda: b"", "is empty"),
    "text.jpg": (lambda: b"This is no picture at all.\n" * 20, "is a text"),
    "bmw.bmp": (lambda: b"BMW makes cars, and this is a text about them.", "is a text"),
    "drawing.svg": (
        lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>',
        "is an SVG drawing",
    ),
    "drawing.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is an EPS"),
    "paper.jpg": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    "archive.png": (lambda: b"PK\x03\x04" + bytes(60), "is a ZIP archive"),
    "film.heic": (lambda: b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(60), "is a video"),
    "noise.webp": (lambda: bytes(range(256)), "is not a picture"),
    "short.png": (lambda: b"\x89PNG\r\n\x1a\n", "PNG"),
    "short.jpg": (lambda: b"\xff\xd8\xff", "JPEG"),
    "short.tif": (lambda: b"II*\0", "TIFF"),
    "short.gif": (lambda: b"GIF89a", "GIF"),
    "short.webp": (lambda: b"RIFF\x08\0\0\0WEBPVP8 ", "WebP"),
    "short.avif": (lambda: b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "is incomplete"),
    "short.heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "HEIC"),
    "huge.png": (lambda: png_header(20000, 20000), "400 megapixels"),
    "bomb.png": (lambda: png_bomb(20000, 20000), "400 megapixels"),
    "huge.webp": (lambda: webp_header(2**24, 200), "megapixels"),
    "huge.gif": (lambda: b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0) + bytes(20), "3600 megapixels"),
    "frame.gif": (lambda: gif_frame_beyond_screen(60000), "too many pixels"),
    "largeframe.gif": (lambda: gif_frame_beyond_screen(8000), "64 megapixels"),
    "strip.png": (lambda: png_header(10000, 4), "too long and narrow"),
    "nothing.png": (lambda: png_header(0, 0), "PNG"),
    "header.png": (lambda: png_header(100, 100), "PNG"),
}


def write_hostile(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(HOSTILE[name][0]())
    return path


def s15(*numbers: float) -> bytes:
    """ICC's signed 15.16 fixed point."""
    return struct.pack(f">{len(numbers)}i", *(round(n * 65536) for n in numbers))


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + s15(x, y, z)


def gamma(power: float) -> bytes:
    """A curve with one exponent (u8Fixed8)."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256)) + b"\0\0"


def srgb_curve() -> bytes:
    """The sRGB curve as a table of 1024 values, as most makers write it."""
    table = [
        round(65535 * (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)) for v in np.linspace(0, 1, 1024)
    ]
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *table)


def icc(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    """A version 2 ICC profile of those tags (ICC.1:2001-04, 6)."""
    description = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(description)) + description + bytes(78),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        **tags,
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[8:12] = bytes([2, 0x40, 0, 0])
    header[12:24] = kind + space + connection
    header[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[68:80] = s15(0.9642, 1, 0.8249)
    data = bytes(header) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(data)) + data[4:]


SRGB_COLOURANTS = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.71410),
)  # adapted to D50
P3_COLOURANTS = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def rgb_profile(colourants: tuple[tuple[float, float, float], ...], power: float | None = 2.2) -> bytes:
    """A matrix profile: the XYZ of red, green and blue, and one exponent, or without it the sRGB curve."""
    colours = {tag: xyz(*c) for tag, c in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colourants, strict=True)}
    return icc(
        b"RGB ", b"XYZ ", colours | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(power) if power else srgb_curve())
    )


def grey_profile(power: float = 1.0) -> bytes:
    return icc(b"GRAY", b"XYZ ", {b"kTRC": gamma(power)})


def cmyk_profile(cyan_lab: tuple[int, int, int]) -> bytes:
    """Paper is Lab (100, 0, 0), cyan alone as given, everything with black Lab (0, 0, 0), other inks mid grey; linear
    between.
    """
    table = []
    for c in (0, 1):
        for my in range(4):
            paper = (50, 0, 0) if my else cyan_lab if c else (100, 0, 0)
            table += [paper, (0, 0, 0)]
    grid = bytes(value for lightness, a, b in table for value in (round(lightness * 2.55), a + 128, b + 128))
    line = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + s15(1, 0, 0, 0, 1, 0, 0, 0, 1) + line * 4 + grid + line * 3
    return icc(b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut}, kind=b"prtr")


def srgb_of_linear(light: float) -> float:
    """The sRGB level in [0, 1] of linear light, IEC 61966-2-1."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
