"""Colour spaces without an ICC profile: by DCF, by PNG's chunks, by boxes; against LittleCMS and the standards."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import image
from engine.image import spaces
from engine.image.spaces import Space

COLOURS = np.array([[[200, 60, 40], [40, 180, 70], [60, 70, 210], [128, 128, 128], [250, 240, 230], [12, 8, 20]]], "u1")
P3 = spaces._PRIMARIES[12]


def png(folder: Path, *chunks: tuple[bytes, bytes], profile: bytes | None = None) -> Path:
    """COLOURS as a PNG with these chunks before its pixels."""
    stream = io.BytesIO()
    Image.fromarray(COLOURS).resize((60, 20), Image.Resampling.NEAREST).save(stream, "PNG", icc_profile=profile)
    data = stream.getvalue()
    laid = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    file = folder / "photo.png"
    file.write_bytes(data[:33] + laid + data[33:])
    return file


def seen(file: Path) -> np.ndarray:
    """The colours as they are read, in levels of 255."""
    pixels = image.load(file).pixels[0]
    return (255 * pixels[:, 10, 5::10].T).numpy()


def to_srgb(primaries: object, linear: np.ndarray) -> np.ndarray:
    """Linear light of these primaries as coded sRGB, in levels of 255, by the formulas alone."""
    matrix = np.linalg.inv(spaces._to_xyz(spaces._BT709)) @ spaces._to_xyz(primaries)  # type: ignore[arg-type]
    light = (linear @ matrix.T).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear_srgb() -> np.ndarray:
    return spaces._srgb(COLOURS[0] / 255)


def test_the_srgb_that_every_file_means_stays_as_it_is(tmp_path: Path) -> None:
    np.testing.assert_allclose(seen(png(tmp_path)), COLOURS[0], atol=1e-3)
    np.testing.assert_allclose(seen(png(tmp_path, (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 30000)))), COLOURS[0])
    np.testing.assert_allclose(seen(png(tmp_path, (b"gAMA", struct.pack(">I", 45455)))), COLOURS[0], atol=1e-3)
    np.testing.assert_allclose(seen(png(tmp_path, (b"cICP", bytes([1, 13, 0, 1])))), COLOURS[0], atol=1)


def test_cicp_says_display_p3(tmp_path: Path) -> None:
    expected = to_srgb(P3, linear_srgb())
    np.testing.assert_allclose(seen(png(tmp_path, (b"cICP", bytes([12, 13, 0, 1])))), expected, atol=2)
    assert abs(expected[0, 0] - 200) > 5


def test_cicp_counts_more_than_a_profile_and_a_profile_more_than_chromaticities(tmp_path: Path) -> None:
    p3 = spaces.to_profile(Space(P3, 13))
    in_p3 = to_srgb(P3, linear_srgb())
    np.testing.assert_allclose(seen(png(tmp_path, (b"cICP", bytes([1, 13, 0, 1])), profile=p3)), COLOURS[0], atol=1)
    gamma = (b"gAMA", struct.pack(">I", 100000))
    np.testing.assert_allclose(seen(png(tmp_path, gamma, profile=p3)), in_p3, atol=2)


def test_gamma_and_chromaticities(tmp_path: Path) -> None:
    gamma = (b"gAMA", struct.pack(">I", 55556))  # 1 / 1.8
    np.testing.assert_allclose(seen(png(tmp_path, gamma)), to_srgb(spaces._BT709, (COLOURS[0] / 255) ** 1.8), atol=2)
    r, g, b, w = P3
    chromaticity = (b"cHRM", struct.pack(">8I", *(round(1e5 * v) for v in (*w, *r, *g, *b))))
    np.testing.assert_allclose(seen(png(tmp_path, gamma, chromaticity)), to_srgb(P3, (COLOURS[0] / 255) ** 1.8), atol=2)


@pytest.mark.parametrize("damaged", [(b"gAMA", bytes(4)), (b"gAMA", b"\xff" * 4), (b"cICP", b"\1\2")])
def test_damaged_chunks_are_left_out(damaged: tuple[bytes, bytes], tmp_path: Path) -> None:
    np.testing.assert_allclose(seen(png(tmp_path, damaged)), COLOURS[0], atol=1e-3)


def jpeg(folder: Path, name: str, space: int | None, index: str | None, profile: bytes | None = None) -> Path:
    """COLOURS as a JPEG whose EXIF has this ColorSpace and InteroperabilityIndex."""
    entries = [] if space is None else [struct.pack("<HHII", 0xA001, 3, 1, space)]
    at = 26 + 2 + 12 * (len(entries) + (index is not None)) + 4
    if index is not None:
        entries.append(struct.pack("<HHII", 0xA005, 4, 1, at))
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    exif += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    if index is not None:
        exif += struct.pack("<HHHI4sI", 1, 1, 2, 4, index.encode() + b"\0", 0)
    file = folder / name
    whole = Image.fromarray(COLOURS).resize((60, 20), Image.Resampling.NEAREST)
    whole.save(file, quality=100, subsampling=0, exif=b"Exif\0\0" + exif, icc_profile=profile)
    return file


def test_adobe_rgb_by_dcf(tmp_path: Path) -> None:
    expected = to_srgb(spaces._ADOBE_RGB, (COLOURS[0] / 255) ** (563 / 256))
    for name, index in (("photo.jpg", "R03"), ("_DSC0001.JPG", None)):
        np.testing.assert_allclose(seen(jpeg(tmp_path, name, 0xFFFF, index)), expected, atol=5)
    assert np.abs(expected - COLOURS[0]).max() > 20


@pytest.mark.parametrize(
    ("name", "space", "index"),
    [
        ("a.jpg", 1, "R03"),
        ("_a.jpg", 1, None),
        ("b.jpg", 0xFFFF, "R98"),
        ("_c.jpg", None, None),
        ("d.jpg", 0xFFFF, None),
    ],
)
def test_otherwise_a_photo_with_exif_is_srgb(name: str, space: int | None, index: str | None, tmp_path: Path) -> None:
    np.testing.assert_allclose(seen(jpeg(tmp_path, name, space, index)), COLOURS[0], atol=5)


def test_a_profile_counts_more_than_what_exif_says(tmp_path: Path) -> None:
    p3 = spaces.to_profile(Space(P3, 13))
    np.testing.assert_allclose(
        seen(jpeg(tmp_path, "_photo.jpg", 0xFFFF, "R03", p3)), to_srgb(P3, linear_srgb()), atol=5
    )


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_boxes_name_display_p3(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"photo.{kind}"
    whole = Image.fromarray(COLOURS).resize((96, 64), Image.Resampling.NEAREST)
    if kind == "heic":
        heif = pytest.importorskip("pillow_heif").from_pillow(whole)
        heif.save(file, quality=-1, chroma=444, color_primaries=12, transfer_characteristics=13, matrix_coefficients=1)
    else:
        whole.save(file, quality=100, subsampling="4:4:4")
    data = file.read_bytes()
    at = data.find(b"colrnclx")
    assert at > 0
    file.write_bytes(data[: at + 8] + struct.pack(">HH", 12, 13) + data[at + 12 :])
    pixels = image.load(file).pixels[0]
    found = (255 * pixels[:, 32, 8::16].T).numpy()
    np.testing.assert_allclose(found, to_srgb(P3, linear_srgb()), atol=5)


def test_pq_and_hlg_are_brought_to_the_standard_range_with_a_remark(tmp_path: Path) -> None:
    white = spaces._toned(np.array([0.2, 0.75, 1.0, 4.926, 20.0]))
    assert white[:2].tolist() == [0.2, 0.75]
    assert (np.diff(white[:4]) > 0).all()
    assert white[3] == pytest.approx(1, abs=1e-3)
    assert white[4] == 1
    np.testing.assert_allclose(
        spaces._pq(np.array([0.5806889])) * 203, 203, rtol=1e-4
    )  # BT.2408, table 1: 58 % is white
    np.testing.assert_allclose(spaces._hlg(np.array([0.5, 1.0])), [1 / 12, 1], rtol=1e-4)
    for transfer in (16, 18):
        made = image.load(png(tmp_path, (b"cICP", bytes([9, transfer, 0, 1]))))
        assert made.remarks == (spaces.HDR_REMARK,)
        grey = made.pixels[0, :, 10, 35]
        assert float(grey.max() - grey.min()) < 0.01, "greys stay grey"
        assert 0.2 < float(grey.mean()) < 0.8


def test_a_made_profile_is_read_as_what_it_stands_for() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(io.BytesIO(spaces.to_profile(Space(spaces._BT709, 13))))
    srgb = ImageCms.createProfile("sRGB")
    moved = ImageCms.profileToProfile(
        Image.fromarray(COLOURS), profile, srgb, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    np.testing.assert_allclose(np.asarray(moved).astype(int), COLOURS.astype(int), atol=1)


def test_animations_and_gain_maps_are_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for kind in ("gif", "webp", "png"):
        file = tmp_path / f"moving.{kind}"
        frames[0].save(file, save_all=True, append_images=frames[1:], duration=100)
        assert image.load(file).remarks == ("The file is an animation; its first frame was taken.",)
    frames[0].save(tmp_path / "still.gif")
    assert image.load(tmp_path / "still.gif").remarks == ()
    stream = io.BytesIO()
    frames[0].save(stream, "JPEG")
    content = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    data = stream.getvalue()
    file = tmp_path / "ultra.jpg"
    file.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:])
    assert "gain map" in image.load(file).remarks[0]
