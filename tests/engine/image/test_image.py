"""The door: what comes in is upright sRGB in [0, 1], what goes out is rounded and tagged,
and nothing hostile passes.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pictures
import pytest
import torch
from PIL import ExifTags, Image, JpegImagePlugin

from engine import image
from engine.contract.errors import RequestError
from engine.contract.generate import GenerateRequest
from engine.contract.recipe import from_recipe
from engine.image import Picture
from engine.settings import ROOT, Settings

RECIPE = GenerateRequest(category="shoe", seed=7).recipe() | {"note": 'Schuh, 靴, "quoted", 👟'}


def levels(picture: Picture) -> np.ndarray:
    """(H, W, 3) on the scale of 0 to 255, not rounded."""
    return picture.pixels[0].permute(1, 2, 0).double().numpy() * 255


def saved(source: Image.Image, path: Path, **options: object) -> Path:
    source.save(path, **options)
    return path


def flat(red: float, green: float, blue: float, width: int = 4, height: int = 3, alpha: float | None = None) -> Picture:
    pixels = torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, height, width)
    return Picture(pixels, None if alpha is None else torch.full((1, 1, height, width), alpha))


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("a.png", {}, 0),
        ("a.tif", {}, 0),
        ("b.tif", {"compression": "tiff_lzw"}, 0),
        ("a.bmp", {}, 0),
        ("a.gif", {}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 95, "subsampling": 0}, 6),
        ("a.avif", {"quality": 95, "subsampling": "4:4:4"}, 12),
    ],
)
def test_every_format_gives_the_pixels_that_were_saved(tmp_path: Path, name: str, options: dict, most: float) -> None:
    path = saved(pictures.marked(), tmp_path / name, **options)
    picture = image.load(path)
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.shape == (1, 3, 16, 24)
    assert picture.alpha is None
    assert picture.name == path.stem
    assert np.abs(levels(picture) - np.asarray(pictures.marked(), float)).max() <= most + 1e-4


def test_a_heic_gives_the_pixels_that_were_saved(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    source = pictures.photo()
    pillow_heif.from_pillow(source).save(tmp_path / "a.heic", quality=95, chroma=444)
    header = image.check(tmp_path / "a.heic")
    assert (header.format, header.width, header.height) == ("HEIC", 64, 48)
    assert np.abs(levels(image.load(tmp_path / "a.heic")) - np.asarray(source, float)).mean() < 3


def test_the_format_is_told_by_the_content_and_not_by_the_suffix(tmp_path: Path) -> None:
    source = saved(pictures.marked(), tmp_path / "a.png")
    assert image.check(source.rename(tmp_path / "a.jpg")).format == "PNG"


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
        assert np.abs(levels(image.load(tmp_path / name)) - [255, 0, 0]).max() <= 2, name


def test_the_first_picture_of_a_jpeg_with_several_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (16, 16), "red").save(
        path, format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]
    )
    assert image.check(path).format == "JPEG"
    assert np.abs(levels(image.load(path)) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright_afterwards(tmp_path: Path, orientation: int, name: str) -> None:
    as_stored = {  # EXIF 2.32, orientation: which turn of the upright picture is stored
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    upright = np.asarray(pictures.marked())
    path = tmp_path / name
    Image.fromarray(np.ascontiguousarray(as_stored[orientation](upright))).save(
        path, quality=95, exif=pictures.exif(orientation)
    )
    header = image.check(path)
    assert (header.width, header.height) == (24, 16)
    picture = image.load(path)
    assert (picture.width, picture.height) == (24, 16)
    assert np.abs(levels(picture)[4::8, 4::8] - upright[4::8, 4::8]).max() < 25
    picture.save(tmp_path / "out.jpg", keep_exif=True)
    assert ExifTags.Base.Orientation not in pictures.reopened(tmp_path / "out.jpg").getexif()


def test_an_orientation_behind_the_pixels_of_a_png_counts_for_check_and_load(tmp_path: Path) -> None:
    data = saved(pictures.marked(), tmp_path / "a.png").read_bytes()
    exif = pictures.exif(6).tobytes().removeprefix(b"Exif\0\0")
    (tmp_path / "a.png").write_bytes(data[:-12] + pictures.png_chunk(b"eXIf", exif) + data[-12:])
    header, picture = image.check(tmp_path / "a.png"), image.load(tmp_path / "a.png")
    assert (header.width, header.height) == (picture.width, picture.height) == (16, 24)


def test_8_bit_values_come_back_exactly(tmp_path: Path) -> None:
    source = pictures.all_levels()
    first = image.load(saved(source, tmp_path / "a.png")).save(tmp_path / "b.png")
    picture = image.load(first)
    assert np.array_equal(np.asarray(picture.pil()), np.asarray(source))
    assert torch.equal(picture.pixels, image.load(tmp_path / "a.png").pixels)
    assert np.array_equal(np.asarray(pictures.reopened(first)), np.asarray(source))


def test_half_precision_holds_8_bit_values_exactly() -> None:
    source = np.asarray(pictures.all_levels())
    pixels = (torch.tensor(source).permute(2, 0, 1)[None] / 255).half()
    assert np.array_equal(np.asarray(Picture(pixels).pil()), source)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.49, 0), (0.51, 1), (1.49, 1), (127.51, 128), (254.49, 254), (254.51, 255), (-40, 0), (400, 255)],
)
def test_levels_are_rounded_and_clamped(tmp_path: Path, value: float, level: int) -> None:
    picture = flat(*[value / 255] * 3, alpha=0.5 + 0.01 / 255)
    assert picture.pil().getpixel((0, 0)) == (level, level, level, 128)


def test_large_pictures_are_kept_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(pictures.all_levels(), tmp_path / "a.png")
    monkeypatch.setattr("engine.image.pixels.LARGE_PX", 767)
    monkeypatch.setattr("engine.image.pixels.STRIP_PX", 256)
    picture = image.load(path)
    assert picture.pixels.dtype == torch.float16
    assert picture.resized(20, 20).pixels.dtype == torch.float32
    assert picture.resized(300, 3).pixels.dtype == torch.float16
    assert np.array_equal(np.asarray(picture.pil()), np.asarray(pictures.all_levels()))


def test_strips_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(pictures.photo(50, 41), tmp_path / "a.png", icc_profile=pictures.rgb_profile(pictures.P3_COLOURANTS))
    whole = image.load(path)
    monkeypatch.setattr("engine.image.pixels.STRIP_PX", 130)
    assert torch.equal(image.load(path).pixels, whole.pixels)
    assert np.array_equal(np.asarray(image.load(path).pil()), np.asarray(whole.pil()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_a_large_photo_is_loaded_without_a_second_copy_in_float32(tmp_path: Path) -> None:
    """4 bytes a pixel decoded, 4 more for a moment, 6 as float16, and a strip; a float32 copy would be 12 on top."""
    path, small = (
        saved(pictures.photo().resize((2500, 2000)), tmp_path / "a.bmp"),
        saved(pictures.photo(), tmp_path / "small.bmp"),
    )
    code = """
import re, sys
from engine import image
from engine.image import pixels
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
pixels.LARGE_PX, pixels.STRIP_PX = 1, 2**17
image.load(sys.argv[1])  # everything is imported and warm
before = peak(); picture = image.load(sys.argv[2]); print((peak() - before) / (picture.width * picture.height))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, small, path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert float(run.stdout) < 17


def test_a_swapped_profile_swaps_the_colours(tmp_path: Path) -> None:
    red, green, blue = pictures.SRGB_COLOURANTS
    path = saved(
        Image.new("RGB", (4, 4), (255, 0, 0)), tmp_path / "a.png", icc_profile=pictures.rgb_profile((green, red, blue))
    )
    assert np.abs(levels(image.load(path)) - [0, 255, 0]).max() <= 1


def test_display_p3_is_converted_by_its_matrix(tmp_path: Path) -> None:
    colour = np.array([200, 90, 70])
    path = saved(
        Image.new("RGB", (4, 4), tuple(colour)),
        tmp_path / "a.jpg",
        quality=100,
        icc_profile=pictures.rgb_profile(pictures.P3_COLOURANTS),
    )
    stored = np.asarray(pictures.reopened(path), float)[0, 0]
    light = np.linalg.solve(
        np.array(pictures.SRGB_COLOURANTS).T, np.array(pictures.P3_COLOURANTS).T @ (stored / 255) ** 2.2
    )
    expected = [255 * pictures.srgb_of_linear(v) for v in light.clip(0, 1)]
    assert np.abs(levels(image.load(path))[0, 0] - expected).max() <= 1.5
    assert expected[0] > stored[0] + 10  # the conversion is not a small one


def test_a_linear_grey_profile_is_converted_by_the_srgb_curve(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256).repeat(4, axis=0)
    expected = np.array([255 * pictures.srgb_of_linear(v / 255) for v in range(256)])
    path = saved(Image.fromarray(ramp), tmp_path / "a.png", icc_profile=pictures.grey_profile(1.0))
    assert np.abs(levels(image.load(path))[0, :, 1] - expected).max() <= 1
    deep = saved(
        Image.fromarray(ramp.astype(np.uint16) * 257), tmp_path / "b.png", icc_profile=pictures.grey_profile(1.0)
    )
    assert np.abs(levels(image.load(deep))[0, :, 1] - expected).max() <= 1


def test_a_grey_picture_with_a_colour_profile_is_converted(tmp_path: Path) -> None:
    profile = pictures.rgb_profile(pictures.SRGB_COLOURANTS, power=1.0)
    path = saved(Image.new("L", (4, 4), 64), tmp_path / "a.png", icc_profile=profile)
    assert np.abs(levels(image.load(path)) - 255 * pictures.srgb_of_linear(64 / 255)).max() <= 1


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])  # a JPEG stores its inks inverted, as Adobe began it
def test_cmyk_is_converted_by_its_profile(tmp_path: Path, name: str) -> None:
    profile = pictures.cmyk_profile(cyan_lab=(60, 0, 0))
    inks = {(0, 0, 0, 0): 100.0, (0, 0, 0, 255): 0.0, (0, 0, 0, 128): 100 * (1 - 128 / 255), (255, 0, 0, 0): 60.0}
    for ink, lightness in inks.items():
        path = saved(Image.new("CMYK", (16, 16), ink), tmp_path / name, icc_profile=profile, quality=100)
        y = ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3  # CIE 15: L* to Y
        assert np.abs(levels(image.load(path)) - 255 * pictures.srgb_of_linear(y)).max() <= 3, ink


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_without_a_profile_is_not_inverted(tmp_path: Path, name: str) -> None:
    for ink, colour in {
        (0, 0, 0, 0): (255, 255, 255),
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 255, 0): (255, 0, 0),
        (0, 0, 0, 255): (0, 0, 0),
    }.items():
        path = saved(Image.new("CMYK", (16, 16), ink), tmp_path / name, quality=100)
        assert np.abs(levels(image.load(path)) - colour).max() <= 3, ink


def test_lab_is_converted(tmp_path: Path) -> None:
    path = saved(Image.new("LAB", (4, 4), (128, 128, 128)), tmp_path / "a.tif")  # a and b are 0 in the middle
    y = ((128 / 255 * 100 + 16) / 116) ** 3
    assert np.abs(levels(image.load(path)) - 255 * pictures.srgb_of_linear(y)).max() <= 1.5


def test_another_makers_srgb_moves_no_value(tmp_path: Path) -> None:
    nearly = tuple(
        tuple(v + 0.0002 * (i == j) for j, v in enumerate(c)) for i, c in enumerate(pictures.SRGB_COLOURANTS)
    )
    path = saved(pictures.all_levels(), tmp_path / "a.png", icc_profile=pictures.rgb_profile(nearly, power=None))
    assert np.array_equal(np.asarray(image.load(path).pil()), np.asarray(pictures.all_levels()))


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"no profile at all"),
        ("RGB", pictures.grey_profile()),
        ("RGB", pictures.cut(pictures.rgb_profile(pictures.P3_COLOURANTS))),
        ("L", pictures.cmyk_profile((60, 0, 0))),
        ("CMYK", pictures.rgb_profile(pictures.P3_COLOURANTS)),
    ],
)
def test_a_profile_that_does_not_fit_is_left_out(tmp_path: Path, mode: str, profile: bytes) -> None:
    source = pictures.photo().convert(mode)
    path = saved(source, tmp_path / "a.tif", icc_profile=profile)
    assert np.array_equal(np.asarray(image.load(path).pil()), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_every_saved_picture_is_tagged_srgb(tmp_path: Path, name: str) -> None:
    flat(0.2, 0.4, 0.6).save(tmp_path / name)
    assert pictures.reopened(tmp_path / name).info["icc_profile"] == image.srgb_profile()


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_alpha_is_taken_off_and_put_back(tmp_path: Path, name: str) -> None:
    source = pictures.photo().convert("RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    picture = image.load(saved(source, tmp_path / "in.png"))
    assert picture.alpha is not None
    assert picture.pixels.shape[1] == 3
    again = image.load(picture.save(tmp_path / name, quality=100))
    assert again.alpha is not None
    assert float((again.alpha - picture.alpha).abs().max()) == 0
    if name == "a.png":
        assert np.array_equal(np.asarray(again.pil()), np.asarray(source))


def test_an_alpha_that_is_all_opaque_is_none(tmp_path: Path) -> None:
    assert image.load(saved(pictures.photo().convert("RGBA"), tmp_path / "a.png")).alpha is None


def test_a_transparent_picture_is_laid_on_white_in_a_jpeg(tmp_path: Path) -> None:
    picture = image.load(flat(1, 0, 0, 16, 16, alpha=0.25).save(tmp_path / "a.jpg", quality=100))
    assert picture.alpha is None
    assert np.abs(levels(picture) - [255, 191.25, 191.25]).max() < 2


def grey_ramp(mode: str) -> tuple[Image.Image, np.ndarray]:
    """A ramp in each of Pillow's modes for more than 8 bits, and the levels it should give."""
    ramp = np.linspace(0, 1, 17).reshape(1, 17).repeat(5, axis=0)
    top, dtype = {
        "I;16": (65535, np.uint16),
        "I": (65535, np.int32),
        "F": (1, np.float32),
        "F255": (255, np.float32),
        "I32": (2**30, np.int32),
    }[mode]
    values = (ramp * top).round().astype(dtype) if top > 1 else ramp.astype(dtype)
    return Image.fromarray(values), values.astype(float) / top * 255


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "F255", "I32"])
def test_greys_of_more_than_8_bits_keep_their_levels(tmp_path: Path, mode: str) -> None:
    source, expected = grey_ramp(mode)
    picture = image.load(saved(source, tmp_path / "a.tif"))
    assert np.abs(levels(picture) - expected[..., None]).max() < 1e-3


def test_a_dark_16_bit_png_is_not_stretched(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.full((4, 4), 1000, np.uint16)), tmp_path / "a.png")
    assert np.abs(levels(image.load(path)) - 1000 / 257).max() < 1e-3


def test_floats_with_negative_values_are_stretched_and_what_is_no_number_is_black(tmp_path: Path) -> None:
    values = np.array([[-1, 0, 1, np.nan], [3, np.inf, -np.inf, 1]], np.float32)
    picture = image.load(saved(Image.fromarray(values), tmp_path / "a.tif"))
    expected = np.array([[0, 0.25, 0.5, 0], [1, 1, 0, 0.5]]) * 255
    assert np.abs(levels(picture)[..., 0] - expected).max() < 1e-3


def test_16_bit_colour_is_read_as_8_bit(tmp_path: Path) -> None:
    levels16 = (np.asarray(pictures.marked(), np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels16)
    ihdr = struct.pack(">IIBBBBB", 24, 16, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(pictures.png_chunk(*c) for c in chunks))
    assert np.array_equal(np.asarray(image.load(tmp_path / "a.png").pil()), np.asarray(pictures.marked()))


def odd_pictures() -> dict[str, tuple[Image.Image, dict, tuple[int, ...]]]:
    """Pictures in Pillow's lesser modes, and the colour of their first pixel, with alpha where it is not opaque."""
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50, 7, 8, 9])
    grey = Image.new("L", (4, 4), 77)
    return {
        "palette": (palette, {}, (200, 100, 50)),
        "transparent palette entry": (palette, {"transparency": 1}, (200, 100, 50, 0)),
        "palette with alphas": (palette, {"transparency": bytes([0, 99, 255])}, (200, 100, 50, 99)),
        "grey": (grey, {}, (77, 77, 77)),
        "transparent grey": (grey, {"transparency": 77}, (77, 77, 77, 0)),
        "transparent colour": (Image.new("RGB", (4, 4), (1, 2, 3)), {"transparency": (1, 2, 3)}, (1, 2, 3, 0)),
        "grey with alpha": (Image.new("LA", (4, 4), (77, 128)), {}, (77, 77, 77, 128)),
        "1 bit": (Image.new("1", (4, 4), 1), {}, (255, 255, 255)),
        "1 bit black": (Image.new("1", (9, 4), 0), {}, (0, 0, 0)),
        "1x1": (Image.new("RGB", (1, 1), (9, 8, 7)), {}, (9, 8, 7)),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_lesser_modes_give_their_colours(tmp_path: Path, name: str) -> None:
    source, options, colour = odd_pictures()[name]
    picture = image.load(saved(source, tmp_path / "a.png", **options))
    assert picture.pixels.shape == (1, 3, source.height, source.width)
    assert picture.pil().getpixel((0, 0)) == colour


def test_premultiplied_alpha_is_divided_out(tmp_path: Path) -> None:
    data = saved(Image.new("RGBA", (4, 4), (50, 25, 0, 100)), tmp_path / "a.tif").read_bytes()
    straight, associated = (struct.pack("<HHIHH", 338, 3, 1, kind, 0) for kind in (2, 1))  # TIFF 6.0, ExtraSamples
    assert straight in data
    (tmp_path / "a.tif").write_bytes(data.replace(straight, associated))
    r, g, b, a = image.load(tmp_path / "a.tif").pil().getpixel((0, 0))
    assert (a, b) == (100, 0)
    assert abs(r - 127.5) <= 1
    assert abs(g - 63.75) <= 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_position_is_always_dropped_and_the_rest_is_kept_on_request(tmp_path: Path, name: str) -> None:
    source = saved(pictures.photo(), tmp_path / "in.jpg", exif=pictures.exif(6, gps=True))
    assert b"SECRETPLACE" in source.read_bytes()
    picture = image.load(source)
    for keep in (False, True):
        path = picture.save(tmp_path / name, keep_exif=keep, recipe=RECIPE)
        data, exif = path.read_bytes(), pictures.reopened(path).getexif()
        assert b"SECRETPLACE" not in data
        assert b"SECRETNOTE" not in data
        assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert ExifTags.Base.Orientation not in exif
        assert exif.get(ExifTags.Base.Make) == ("Vitrine Optics" if keep else None)
        camera = exif.get_ifd(ExifTags.IFD.Exif)
        assert camera.get(ExifTags.Base.LensModel) == ("50 mm" if keep else None)
        assert not keep or abs(float(camera[ExifTags.Base.FNumber]) - 2.8) < 1e-6
        assert image.read_recipe(path) == RECIPE


@pytest.mark.parametrize("name", ["in.png", "in.webp", "in.tif", "in.avif"])
def test_exif_is_kept_from_other_formats_without_what_is_theirs(tmp_path: Path, name: str) -> None:
    picture = image.load(saved(pictures.photo(), tmp_path / name, exif=pictures.exif(3, gps=True).tobytes()))
    exif = pictures.reopened(picture.save(tmp_path / "out.jpg", keep_exif=True)).getexif()
    assert exif[ExifTags.Base.Copyright] == "A. Person"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "50 mm"
    assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert not {ExifTags.Base.ImageWidth, ExifTags.Base.StripOffsets, ExifTags.Base.Orientation} & set(exif)


def test_damaged_exif_does_not_keep_a_photo_out(tmp_path: Path) -> None:
    data = pictures.exif(6, gps=True).tobytes()
    path = saved(pictures.photo(), tmp_path / "a.png", exif=data[:40] + bytes(len(data) - 40))
    picture = image.load(path)
    assert (picture.width, picture.height) in ((64, 48), (48, 64))
    picture.save(tmp_path / "b.jpg", keep_exif=True)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_recipe_is_read_back_from_the_file(tmp_path: Path, name: str) -> None:
    recipe = GenerateRequest(category="watch", seed=2**31 - 1, truncation=0.3).recipe()
    path = flat(0.5, 0.5, 0.5).save(tmp_path / name, recipe=recipe)
    assert from_recipe(image.read_recipe(path)) == GenerateRequest(category="watch", seed=2**31 - 1, truncation=0.3)
    assert image.read_recipe(flat(0, 0, 0).save(path, recipe=RECIPE)) == RECIPE


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.gif", "a.bmp", "a.avif"])
def test_a_picture_without_a_recipe_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match=rf"{name} carries no recipe\."):
        image.read_recipe(saved(pictures.photo(), tmp_path / name))


@pytest.mark.parametrize(
    "comment",
    [b"{" * 30000, b'{"vitrine": ' + b"[" * 30000, b'{"vitrine": 1', b'["vitrine"]', b'{"other": 1}', b"caf\xe9"],
)
def test_a_comment_that_is_no_recipe_says_so(tmp_path: Path, comment: bytes) -> None:
    path = saved(pictures.photo(), tmp_path / "a.jpg", exif=pictures.exif(recipe_comment=b"ASCII\0\0\0" + comment))
    with pytest.raises(RequestError, match="carries no recipe"):
        image.read_recipe(path)


def test_an_old_recipe_does_not_pass_into_the_next_picture(tmp_path: Path) -> None:
    made = image.load(flat(0.5, 0.5, 0.5, 16, 16).save(tmp_path / "a.jpg", recipe=RECIPE))
    with pytest.raises(RequestError, match="carries no recipe"):
        image.read_recipe(made.save(tmp_path / "b.jpg", keep_exif=True))


def test_someones_own_comment_is_kept(tmp_path: Path) -> None:
    path = saved(pictures.photo(), tmp_path / "a.jpg", exif=pictures.exif(recipe_comment=b"ASCII\0\0\0my shoe"))
    out = image.load(path).save(tmp_path / "b.jpg", keep_exif=True)
    assert (
        pictures.reopened(out).getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] == b"ASCII\0\0\0my shoe"
    )


@pytest.mark.parametrize("name", pictures.HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = pictures.write_hostile(name, tmp_path)
    with pytest.raises(RequestError) as caught:
        image.load(path)
    sentence = str(caught.value)
    assert sentence.startswith(name)
    assert pictures.HOSTILE[name][1] in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert str(tmp_path) not in sentence
    assert len(sentence) < 160


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "b.tif", "a.bmp", "a.gif", "a.avif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_cut_anywhere_is_refused_in_one_sentence(tmp_path: Path, name: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    path = saved(noise, tmp_path / name, **({"compression": "tiff_lzw"} if name == "b.tif" else {}))
    path.write_bytes(pictures.cut(path.read_bytes(), share))
    with pytest.raises(RequestError, match=r"^[ab]\.\w+ is (incomplete|damaged).*\.$"):
        image.load(path)


def test_a_cut_heic_is_refused(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(pictures.photo()).save(path)
    path.write_bytes(pictures.cut(path.read_bytes(), 0.7))
    with pytest.raises(RequestError, match=r"^a\.heic is (incomplete|damaged)"):
        image.load(path)


def test_a_cut_jpeg_passes_the_header_check_and_is_called_incomplete(tmp_path: Path) -> None:
    path = saved(pictures.photo(300, 300), tmp_path / "a.jpg")
    path.write_bytes(pictures.cut(path.read_bytes(), 0.6))
    assert image.check(path).width == 300
    with pytest.raises(RequestError, match=r"a\.jpg is incomplete: the file ends before the picture does\."):
        image.load(path)


def test_random_damage_never_raises_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif", "a.avif"):
        clean = np.frombuffer(
            saved(
                pictures.photo(40, 30), tmp_path / name, **({} if name == "a.bmp" else {"exif": pictures.exif(6)})
            ).read_bytes(),
            np.uint8,
        )
        for _ in range(40):
            data = clean.copy()
            spots = rng.integers(0, len(data), 6)
            data[spots] = rng.integers(0, 256, 6)
            (tmp_path / name).write_bytes(data.tobytes())
            for work in (image.check, image.load, image.read_recipe):
                with suppress(RequestError):
                    work(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^photos is a folder, not a picture\.$"):
        image.load(tmp_path.joinpath("photos").mkdir() or tmp_path / "photos")
    with pytest.raises(RequestError, match=r"^There is no file gone\.jpg\.$"):
        image.load(tmp_path / "gone.jpg")
    with pytest.raises(RequestError, match=r"cannot be opened"):
        image.load("a\0b.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(RequestError, match=r"^pipe\.jpg is not a file\.$"):
            image.check(tmp_path / "pipe.jpg")


def test_names_in_sentences_are_short_and_printable(tmp_path: Path) -> None:
    path = tmp_path / ("very" * 30 + "\n\u202elong.jpg")
    path.write_bytes(b"")
    with pytest.raises(RequestError) as caught:
        image.load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 60


def test_the_pixel_cap_is_the_hosts(tmp_path: Path) -> None:
    path = saved(pictures.photo(100, 100), tmp_path / "a.bmp")
    assert image.load(path, Settings(input_mpx=0.01)).width == 100
    with pytest.raises(RequestError, match=r"100 x 100 pixels.*at most 0\.0099 can be opened"):
        image.check(path, Settings(input_mpx=0.0099))


def test_a_host_may_allow_more_pixels_than_pillow(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.png_header(20000, 20000))
    data = pictures.png_bomb(20000, 20000)
    (tmp_path / "a.png").write_bytes(data)
    header = image.check(tmp_path / "a.png", Settings(input_mpx=500))
    assert (header.width, header.height) == (20000, 20000)


def test_checking_a_bomb_is_cheap_and_changes_nothing_of_pillow(tmp_path: Path) -> None:
    cap = Image.MAX_IMAGE_PIXELS
    path = pictures.write_hostile("bomb.png", tmp_path)
    with pytest.raises(RequestError):
        image.check(path)
    assert cap == Image.MAX_IMAGE_PIXELS
    assert cap is not None


def test_checking_imports_no_torch(tmp_path: Path) -> None:
    path = saved(pictures.photo(), tmp_path / "a.jpg")
    code = (
        "import sys; from engine import image; image.check(sys.argv[1]); assert 'torch' not in sys.modules and"
        " 'pillow_heif' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, cwd=ROOT)


def test_resizing_keeps_a_constant_and_stays_in_range() -> None:
    assert (
        float(
            (flat(0.2, 0.5, 0.9, 30, 20).resized(47, 11).pixels - torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1))
            .abs()
            .max()
        )
        < 1e-6
    )
    checker = torch.tensor(np.indices((20, 30)).sum(0) // 5 % 2).float().expand(1, 3, 20, 30)
    for width, height in ((61, 40), (7, 9), (1, 1)):
        resized = Picture(checker).resized(width, height)
        assert (resized.width, resized.height) == (width, height)
        assert float(resized.pixels.min()) >= 0
        assert float(resized.pixels.max()) <= 1
    assert Picture(checker).resized(30, 20).pixels is Picture(checker).pixels


def test_what_is_transparent_does_not_bleed_into_the_edge_when_resizing() -> None:
    pixels = torch.zeros(1, 3, 16, 16)
    pixels[:, 0, :, :8] = 1  # red, opaque
    pixels[:, 1, :, 8:] = 1  # green, not seen
    alpha = (torch.arange(16) < 8).float().expand(1, 1, 16, 16)
    small = Picture(pixels, alpha).resized(5, 5)
    assert small.alpha is not None
    seen = small.alpha[0, 0] > 0.01
    assert float((small.pixels[0, 0][seen] - 1).abs().max()) < 1e-4
    assert float(small.pixels[0, 1][seen].abs().max()) < 1e-4


def test_other_pixels_keep_alpha_name_and_exif() -> None:
    picture = replace(flat(0.1, 0.2, 0.3, 8, 6, alpha=0.5), name="shoe", exif=b"Exif\0\0...")
    enlarged = picture.with_pixels(torch.zeros(1, 3, 24, 32))
    assert (enlarged.name, enlarged.exif, enlarged.width, enlarged.height) == ("shoe", b"Exif\0\0...", 32, 24)
    assert enlarged.alpha is not None
    assert enlarged.alpha.shape == (1, 1, 24, 32)
    assert float((enlarged.alpha - 0.5).abs().max()) < 1e-6
    assert picture.with_pixels(torch.ones(1, 3, 6, 8)).alpha is picture.alpha


def test_a_picture_of_the_wrong_shape_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        Picture(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="alpha must be"):
        Picture(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 5))


def test_a_preview_fits_the_size_asked_for() -> None:
    assert flat(0.5, 0.5, 0.5, 400, 100).pil(64).size == (64, 16)
    assert flat(0.5, 0.5, 0.5, 400, 2).pil(64).size == (64, 1)
    assert flat(0.5, 0.5, 0.5, 40, 20).pil(64).size == (40, 20)
    assert flat(0.5, 0.5, 0.5, 400, 100, alpha=0.5).pil(64).mode == "RGBA"


def test_a_grid_lays_pictures_on_white() -> None:
    red, blue = flat(1, 0, 0, 4, 4), flat(0, 0, 1, 2, 2)
    sheet = image.grid([red, blue, flat(0, 1, 0, 4, 4, alpha=0.0)], columns=2, gap_px=3)
    assert (sheet.width, sheet.height) == (11, 11)
    expected = torch.ones(3, 11, 11)
    expected[:, :4, :4] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    expected[:, 1:3, 8:10] = torch.tensor([0, 0, 1.0]).view(3, 1, 1)
    assert torch.equal(sheet.pixels[0], expected)
    assert (image.grid([red], columns=5).width, image.grid([red] * 3, columns=3).height) == (4, 4)
    with pytest.raises(ValueError, match="a grid needs pictures"):
        image.grid([], columns=2)


def test_what_cannot_be_saved_is_said_in_one_sentence(tmp_path: Path) -> None:
    picture = flat(0.5, 0.5, 0.5)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    for path, words in {
        tmp_path / "a.tiff": r"saved as \.png, \.jpg, \.jpeg, \.webp, not as a\.tiff",
        tmp_path / "a": "not as a",
        tmp_path / "gone" / "a.png": r"a\.png cannot be written: no such file or directory\.",
        tmp_path / "file" / "a.png": r"a\.png cannot be written: not a directory\.",
        tmp_path / "folder.png": r"folder\.png cannot be written: is a directory\.",
    }.items():
        with pytest.raises(RequestError, match=words):
            picture.save(path)
    for quality in (0, 101, True, 50.5):
        with pytest.raises(RequestError, match="Quality must be a whole number from 1 to 100"):
            picture.save(tmp_path / "a.jpg", quality=quality)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"16383 pixels a side; save this picture as \.png"):
        flat(0, 0, 0, 16384, 1).save(tmp_path / "a.webp")
    with pytest.raises(RequestError, match="do not fit into a JPEG"):
        picture.save(tmp_path / "a.jpg", recipe=RECIPE | {"long": "x" * 70000})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


def test_a_save_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = flat(1, 0, 0).save(tmp_path / "a.png")
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RequestError, match=r"a\.png cannot be written: no space left on device\."):
        flat(0, 1, 0).save(path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_quality_decides_the_size_of_jpeg_and_webp(tmp_path: Path) -> None:
    picture = image.load(saved(pictures.photo(200, 150), tmp_path / "in.png"))
    for suffix in ("jpg", "jpeg", "webp"):
        low, high = (picture.save(tmp_path / f"{q}.{suffix}", quality=q).stat().st_size for q in (20, 95))
        assert low < high


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp"):
        a, b = (flat(0.1, 0.2, 0.3).save(tmp_path / f"{name}.{suffix}", recipe=RECIPE).read_bytes() for name in "ab")
        assert a == b


def frames(file: Path) -> list[Image.Image]:
    with Image.open(file) as animation:
        return [animation.seek(k) or animation.convert("RGBA") for k in range(animation.n_frames)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".GIF"])
def test_an_animation_goes_forth_and_back_and_carries_its_recipe(tmp_path: Path, suffix: str) -> None:
    shades = (0.0, 0.4, 0.8)
    pictures = [Picture(torch.full((1, 3, 10, 12), shade)) for shade in shades]
    recipe = {"vitrine": 1, "verb": "generate", "note": "Größe"}
    file = image.animate(pictures, tmp_path / f"walk{suffix}", recipe=recipe)
    shown = frames(file)
    assert [frame.size for frame in shown] == [(12, 10)] * 4
    assert [frame.getpixel((5, 5))[0] / 255 for frame in shown] == pytest.approx([0.0, 0.4, 0.8, 0.4], abs=0.02)
    with Image.open(file) as animation:
        assert animation.info["loop"] == 0
        rests = [animation.seek(k) or (animation.load() and animation.info["duration"]) for k in range(4)]
    assert rests == [image.REST_MS, image.FRAME_MS, image.REST_MS, image.FRAME_MS]
    assert image.read_recipe(file) == recipe


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_files_are_animated_as_pictures_are_and_made_smaller_where_asked(tmp_path: Path, suffix: str) -> None:
    pictures = [Picture(torch.full((1, 3, 20, 40), shade)) for shade in (0.0, 0.4, 0.8)]
    files = [str(picture.save(tmp_path / f"{k}.png")) for k, picture in enumerate(pictures)]
    assert (
        image.animate(files, tmp_path / f"a{suffix}").read_bytes()
        == image.animate(pictures, tmp_path / f"b{suffix}").read_bytes()
    )
    assert {frame.size for frame in frames(image.animate(files, tmp_path / f"small{suffix}", most_px=16))} == {(16, 8)}


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_may_be_transparent(tmp_path: Path, suffix: str) -> None:
    half = torch.ones(8, 8).triu()[None, None]
    pictures = [Picture(torch.full((1, 3, 8, 8), shade), half) for shade in (0.2, 0.9)]
    for frame in frames(image.animate(pictures, tmp_path / f"walk{suffix}")):
        assert [frame.getpixel((x, 4))[3] for x in (1, 6)] == [0, 255]


def test_what_cannot_be_animated_is_one_sentence(tmp_path: Path) -> None:
    small, large = (Picture(torch.zeros(1, 3, side, side)) for side in (4, 8))
    with pytest.raises(RequestError, match=r"Animations are saved as \.gif or \.webp, not as walk\.png\."):
        image.animate([small], tmp_path / "walk.png")
    for wrong in ([], [small, large]):
        with pytest.raises(RequestError, match="An animation needs pictures of one size"):
            image.animate(wrong, tmp_path / "walk.gif")


def test_a_grid_keeps_what_is_transparent_when_asked() -> None:
    clear, solid = (
        Picture(torch.full((1, 3, 4, 4), 0.3), torch.zeros(1, 1, 4, 4)),
        Picture(torch.full((1, 3, 4, 4), 0.3)),
    )
    kept = image.grid([clear, solid], 2, gap_px=2, keep_alpha=True)
    assert kept.alpha is not None
    assert kept.alpha[0, 0, 0].tolist() == [0.0] * 6 + [1.0] * 4
    assert image.grid([clear, solid], 2).alpha is None
    assert image.grid([solid], 1, keep_alpha=True).alpha is None


def test_what_is_framed_stands_in_the_middle_of_a_white_square() -> None:
    photo = Image.new("RGB", (60, 40), "grey")
    photo.paste("black", (10, 5, 50, 25))
    framed = np.asarray(image.squared(photo, (10, 5, 50, 25), 45, margin=0.0625))
    assert framed.shape == (45, 45, 3)
    rows, columns = (np.flatnonzero((framed[..., 0] < 128).any(axis)) for axis in (1, 0))
    assert abs(columns[0] - 2) <= 1
    assert abs(columns[-1] - 42) <= 1
    assert abs((rows[0] + rows[-1]) / 2 - 22) <= 1
    assert set(framed[0, 0]) == {255}


def test_a_jpeg_tells_its_own_table(tmp_path: Path) -> None:
    table = image.luma_table(saved(pictures.photo(), tmp_path / "a.jpg", quality=50))
    assert table is not None
    assert table[:8] == (16, 11, 10, 16, 24, 40, 51, 61)
    assert table[8] == 12
    assert image.luma_table(saved(pictures.photo(), tmp_path / "a.png")) is None


@pytest.mark.parametrize(("quality", "halved"), [(89, True), (90, False), (100, False)])
def test_a_jpeg_of_quality_90_and_more_keeps_its_colours_at_full_size(
    tmp_path: Path, quality: int, halved: bool
) -> None:
    """Halved colour (4:2:0) blurs the edges of a red product on white."""
    file = image.Picture(torch.rand(1, 3, 64, 64)).save(tmp_path / "a.jpg", quality=quality)
    with Image.open(file) as opened:
        assert JpegImagePlugin.get_sampling(opened) == (2 if halved else 0)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("narrow\u202fspace\u00a0too", "narrow\u202fspace\u00a0too"),
        ("हिन्दी जूता", "हिन्दी जूता"),
        ("👩\u200d👧 \u0646\u200c\u0645", "👩\u200d👧 \u0646\u200c\u0645"),
        ('a<b>c:d"e|f?g*h\\i', "a-b-c-d-e-f-g-h-i"),
        ("tab\tline\nend", "tab-line-end"),
        ("dots. . .", "dots"),
    ],
)
def test_of_a_name_only_what_no_file_system_takes_is_replaced(name: str, kept: str, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    assert image.load(tmp_path / f"{name}.png").name == kept


def test_what_is_a_picture_is_told_by_content(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    (tmp_path / "photo.jfif").write_bytes((tmp_path / "photo.png").read_bytes())
    (tmp_path / "photo.raf").write_bytes(b"FUJIFILMCCD-RAW" + bytes(9))
    (tmp_path / "notes.jpg").write_text("no picture")
    assert [image.is_picture(tmp_path / f"{name}") for name in ("photo.jfif", "photo.raf", "notes.jpg", "gone")] == [
        True,
        True,
        False,
        False,
    ]
