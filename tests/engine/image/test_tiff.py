"""TIFF before Pillow: raw files are named, planes are read as they are, thumbnails are passed over, strips counted."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import image
from engine.contract.errors import RequestError

Entries = dict[int, tuple[str, Any]]


def tiff(*directories: Entries, order: str = "<", after: bytes = b"") -> bytes:
    """A TIFF of these directories; values are a number, a tuple of numbers, or bytes (as offset to them)."""
    body, places, at = b"", [], 8
    for entries in directories:
        places.append(at)
        more, table, here = b"", b"", at + 2 + 12 * len(entries) + 4
        for tag, (kind, value) in sorted(entries.items()):
            if isinstance(value, list):  # pictures: the data itself, its offsets are the values
                data, value = value, tuple(here + len(more) + sum(map(len, value[:k])) for k in range(len(value)))
                more += b"".join(data)
            values = value if isinstance(value, tuple) else (value,)
            packed = struct.pack(f"{order}{len(values)}{kind}", *values)
            if len(packed) > 4:
                table_value = struct.pack(order + "I", here + len(more))
                more += packed
            else:
                table_value = packed.ljust(4, b"\0")
            code = {"B": 1, "H": 3, "I": 4}[kind]
            table += struct.pack(order + "HHI", tag, code, len(values)) + table_value
        following = here + len(more) if entries is not directories[-1] else 0
        body += struct.pack(order + "H", len(entries)) + table + struct.pack(order + "I", following) + more
        at = here + len(more)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + body + after


def picture_of(pixels: np.ndarray, *, planar: bool, order: str = "<", photometric: int = 2, **more: Any) -> Entries:
    """The directory of (H, W, C) pixels, uncompressed, in one strip per plane."""
    height, width, channels = pixels.shape
    pixels = pixels.astype(pixels.dtype.newbyteorder(order))
    strips = [pixels[..., k].tobytes() for k in range(channels)] if planar else [pixels.tobytes()]
    entries: Entries = {
        256: ("I", width),
        257: ("I", height),
        258: ("H", (8 * pixels.dtype.itemsize,) * channels),
        259: ("H", 1),
        262: ("H", photometric),
        273: ("I", strips),
        277: ("H", channels),
        278: ("I", height),
        279: ("I", tuple(map(len, strips))),
        284: ("H", 2 if planar else 1),
    }
    if pixels.dtype.kind == "f":
        entries[339] = ("H", (3,) * channels)
    return entries | {int(tag): value for tag, value in more.items()}


def ramp(channels: int, dtype: str) -> np.ndarray:
    y, x, c = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 1, 16), np.arange(1, channels + 1), indexing="ij")
    share = (y * x) ** (1 / c)
    return share.astype(dtype) if dtype.startswith("f") else (share * np.iinfo(dtype).max).round().astype(dtype)


def levels(file: Path) -> np.ndarray:
    return 255 * image.load(file).pixels[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_are_read_as_they_are(order: str, tmp_path: Path) -> None:
    pixels = ramp(3, "u2")
    (tmp_path / "planes.tif").write_bytes(tiff(picture_of(pixels, planar=True, order=order), order=order))
    np.testing.assert_allclose(levels(tmp_path / "planes.tif"), pixels / 257, atol=1)


def test_planes_with_alpha_and_of_inks(tmp_path: Path) -> None:
    pixels = ramp(4, "u2")
    pixels[..., 3] = 65535
    pixels[:6, :, 3] = 0x8000
    (tmp_path / "alpha.tif").write_bytes(tiff(picture_of(pixels, planar=True, **{"338": ("H", 2)})))
    made = image.load(tmp_path / "alpha.tif")
    assert made.alpha is not None
    np.testing.assert_allclose(255 * made.alpha[0, 0, 0].numpy(), 128, atol=1)
    np.testing.assert_allclose(255 * made.pixels[0].permute(1, 2, 0).numpy(), pixels[..., :3] / 257, atol=1)
    (tmp_path / "inks.tif").write_bytes(tiff(picture_of(ramp(4, "u2"), planar=True, photometric=5)))
    expected = Image.fromarray((ramp(4, "u2") / 257).round().astype("u1"), "CMYK").convert("RGB")
    np.testing.assert_allclose(levels(tmp_path / "inks.tif"), np.asarray(expected), atol=2)


def test_planes_of_eight_bits_stay_pillow_s(tmp_path: Path) -> None:
    pixels = ramp(3, "u1")
    for planar in (True, False):
        (tmp_path / "eight.tif").write_bytes(tiff(picture_of(pixels, planar=planar)))
        np.testing.assert_allclose(levels(tmp_path / "eight.tif"), pixels, atol=1e-3)


@pytest.mark.parametrize(
    "odd",
    [
        picture_of(ramp(3, "f4"), planar=True),
        picture_of(ramp(3, "u4"), planar=True),
        picture_of(ramp(3, "u2"), planar=True, photometric=8),
        picture_of(ramp(3, "f2"), planar=True),
    ],
    ids=["floats", "32 bits", "Lab", "halves"],
)
def test_planes_of_another_kind_are_one_sentence(odd: Entries, tmp_path: Path) -> None:
    (tmp_path / "odd.tif").write_bytes(tiff(odd))
    with pytest.raises(RequestError, match=r"^odd\.tif "):
        image.load(tmp_path / "odd.tif")


def test_planes_that_are_cut_off_are_incomplete(tmp_path: Path) -> None:
    (tmp_path / "cut.tif").write_bytes(tiff(picture_of(ramp(3, "u2"), planar=True))[:-40])
    with pytest.raises(RequestError, match="incomplete"):
        image.load(tmp_path / "cut.tif")


THUMBNAIL = picture_of(ramp(3, "u1"), planar=False, **{"254": ("I", 1)})
RAW = {
    "nef": tiff(THUMBNAIL | {330: ("I", (9000, 9001))}),
    "arw": tiff(THUMBNAIL | {330: ("I", 9000)}),
    "dng": tiff(THUMBNAIL | {50706: ("B", (1, 4, 0, 0))}),
    "pef": tiff(THUMBNAIL, picture_of(ramp(1, "u2"), planar=False, photometric=32803)),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(200),
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200),
    "raf": b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "orf": b"IIRO\x08\0\0\0" + bytes(200),
    "rw2": b"IIU\0\x18\0\0\0" + bytes(200),
    "x3f": b"FOVb" + bytes(200),
}


@pytest.mark.parametrize("kind", RAW)
def test_a_raw_file_is_named_as_one(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"photo.{kind}"
    file.write_bytes(RAW[kind])
    for ask in (image.load, image.check):
        with pytest.raises(RequestError, match=rf"photo\.{kind} is a camera's raw file; develop it first") as caught:
            ask(file)
        assert str(caught.value).count(".") == 2


def test_a_thumbnail_in_front_of_the_picture_is_passed_over(tmp_path: Path) -> None:
    whole = np.kron(ramp(3, "u1"), np.ones((3, 3, 1), "u1"))
    (tmp_path / "scan.tif").write_bytes(tiff(THUMBNAIL, picture_of(whole, planar=False)))
    assert image.check(tmp_path / "scan.tif").width == 48
    np.testing.assert_allclose(levels(tmp_path / "scan.tif"), whole, atol=1e-3)
    (tmp_path / "small.tif").write_bytes(tiff(THUMBNAIL))
    assert image.check(tmp_path / "small.tif").width == 16


def test_more_strips_than_rows_are_refused_before_they_are_read(tmp_path: Path) -> None:
    entries = picture_of(ramp(3, "u1"), planar=False) | {273: ("I", (8,) * 500_000), 279: ("I", (0,) * 500_000)}
    (tmp_path / "strips.tif").write_bytes(tiff(entries))
    with pytest.raises(RequestError, match="more strips than it has rows"):
        image.check(tmp_path / "strips.tif")


def test_a_jpeg_of_two_thousand_scans_is_refused(tmp_path: Path) -> None:
    Image.fromarray(ramp(3, "u1")).save(tmp_path / "whole.jpg", progressive=True)
    data = (tmp_path / "whole.jpg").read_bytes()
    assert image.check(tmp_path / "whole.jpg").width == 16
    at = data.rfind(b"\xff\xda")
    (tmp_path / "scans.jpg").write_bytes(data[:at] + data[at:-2] * 2000 + data[-2:])
    with pytest.raises(RequestError, match=r"has 20\d\d scans, and at most 200 are read"):
        image.check(tmp_path / "scans.jpg")


def test_directories_that_go_in_a_circle_end(tmp_path: Path) -> None:
    data = bytearray(tiff(picture_of(ramp(3, "u1"), planar=False)))
    count = struct.unpack("<H", data[8:10])[0]
    data[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", 8)
    (tmp_path / "circle.tif").write_bytes(data)
    assert image.check(tmp_path / "circle.tif").width == 16


def test_random_headers_are_never_more_than_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = bytearray(tiff(THUMBNAIL | {330: ("I", (300, 400))}, picture_of(ramp(3, "u2"), planar=True)))
    for _ in range(200):
        flipped = bytearray(whole)
        for at in rng.integers(0, 250, 4):
            flipped[at] = int(rng.integers(256))
        (tmp_path / "flipped.tif").write_bytes(flipped)
        with contextlib.suppress(RequestError):
            image.load(tmp_path / "flipped.tif")
