"""Hostile and odd picture files of all formats, made by this script alone: `python tests/support/corpus.py FOLDER`.

Each is a whole file that was cut, flipped, repeated, or told lies in its header. They are the same every time.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (96, 64)


def whole() -> dict[str, bytes]:
    """A good file of each format, and of each of its ways that decoders treat apart."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    colour = np.stack([x * 2, y * 3, (x + y) % 256], -1).astype(np.uint8)
    rgb = Image.fromarray(colour)
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray((x * 2).astype(np.uint8)))
    ways: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "base.jpg": (rgb, "JPEG", {"quality": 90}),
        "progressive.jpg": (rgb, "JPEG", {"progressive": True}),
        "ink.jpg": (rgb.convert("CMYK"), "JPEG", {}),
        "exif.jpg": (rgb, "JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0" + bytes(40)}),
        "base.png": (rgb, "PNG", {}),
        "alpha.png": (rgba, "PNG", {}),
        "palette.png": (rgb.quantize(16), "PNG", {}),
        "deep.png": (Image.fromarray((x * 600).astype(np.uint16)), "PNG", {}),
        "moving.png": (rgb, "PNG", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "base.webp": (rgb, "WEBP", {}),
        "lossless.webp": (rgba, "WEBP", {"lossless": True}),
        "moving.webp": (rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "base.gif": (rgb, "GIF", {}),
        "moving.gif": (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "base.bmp": (rgb, "BMP", {}),
        "base.tif": (rgb, "TIFF", {}),
        "packed.tif": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "floats.tif": (Image.fromarray((x / 96).astype(np.float32)), "TIFF", {}),
        "base.avif": (rgb, "AVIF", {}),
    }
    made = {}
    for name, (picture, kind, options) in ways.items():
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        made[name] = stream.getvalue()
    from pillow_heif import from_pillow

    stream = io.BytesIO()
    from_pillow(rgb).save(stream)
    made["base.heic"] = stream.getvalue()
    return made


def corpus() -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file."""
    for name, data in whole().items():
        stem, _, suffix = name.partition(".")
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        yield f"{stem}-whole.{suffix}", data
        for share in (0.02, 0.5, 0.95):
            yield f"{stem}-cut{round(100 * share)}.{suffix}", data[: max(4, round(share * len(data)))]
        for kind, reach in (("head", 64), ("body", len(data))):
            flipped = bytearray(data)
            for at in rng.integers(4, max(5, min(reach, len(data))), 6):
                flipped[at] = int(rng.integers(256))
            yield f"{stem}-{kind}.{suffix}", bytes(flipped)
        yield f"{stem}-twice.{suffix}", data + data
        yield f"{stem}-zeros.{suffix}", data[: len(data) // 2] + bytes(len(data) // 2)
    yield from _lies()


def _lies() -> Iterator[tuple[str, bytes]]:
    """Headers that promise what the file has not, and work without end."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = b"\x89PNG\r\n\x1a\n"
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", 7000, 7000, 8, 2, 0, 0, 0))
    yield "bomb.png", head + large + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    small = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(8 * 25))) + chunk(b"IEND", b"")
    yield "profile.png", head + small + chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(20 * 10**6))) + pixels
    yield "text.png", head + small + chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(30 * 10**6))) + pixels
    yield "chunks.png", head + small + chunk(b"tEXt", b"a\0b") * 20_000 + pixels
    jpeg = whole()["progressive.jpg"]
    at = jpeg.rfind(b"\xff\xda")
    yield "scans.jpg", jpeg[:at] + jpeg[at:-2] * 2000 + jpeg[-2:]
    yield "segments.jpg", jpeg[:2] + b"\xff\xe1\xff\xff" + b"Exif\0\0" + bytes(65527) + jpeg[2:]
    count = 2_000_000
    strips = struct.pack("<HHII", 273, 4, count, 200) + struct.pack("<HHII", 279, 4, count, 200)
    size = b"".join(struct.pack("<HHII", tag, 3, 1, 64) for tag in (256, 257))
    yield "strips.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 4) + size + strips + bytes(4) + bytes(8 * 10**6)
    yield "circle.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + size + struct.pack("<I", 8) + bytes(64)
    gif = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(6)
    yield (
        "frames.gif",
        gif + (b"\x2c" + struct.pack("<HHHHB", 0, 0, 64, 64, 0) + b"\x02\x02\x4c\x01\0") * 5000 + b"\x3b",
    )
    for kind in (b"heic", b"avif"):
        boxes = struct.pack(">I4s4sI", 16, b"ftyp", kind, 0) + struct.pack(">I4s", 8, b"free") * 100_000
        yield f"boxes.{kind.decode()}", boxes
    yield (
        "nested.heic",
        struct.pack(">I4s4sI", 16, b"ftyp", b"heic", 0)
        + b"".join(struct.pack(">I4s", 8 * (5000 - k), b"meta") for k in range(5000)),
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, content in corpus():
        (folder / file_name).write_bytes(content)
