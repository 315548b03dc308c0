"""Colours by ICC profile, to sRGB and no other way."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

log = logging.getLogger("vitrine")


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile that every saved picture carries; the same bytes each time, which LittleCMS dates by itself."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1:2022, 7.2.1: the date is at bytes 24 to 35
    return bytes(profile)


def to_srgb(profile: bytes | None, mode: str) -> Callable[[Image.Image], Image.Image] | None:
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
