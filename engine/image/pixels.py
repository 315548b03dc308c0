"""Pillow's pictures and float sRGB pixels, one made of the other strip by strip, so that no second full-size copy is
made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.image.profiles import to_srgb

if TYPE_CHECKING:
    from torch import Tensor, dtype

LARGE_PX = 16 * 10**6  # pictures with more pixels are kept as float16: 11 bits of precision hold 8-bit values exactly
STRIP_PX = 2**20  # conversions go through strips of about this many pixels, so that no second full-size copy is made


def to_tensors(image: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Upright sRGB pixels (1, 3, H, W) and alpha (1, 1, H, W) or None, strip by strip."""
    import torch

    width, height = image.size
    dtype = dtype_of(width, height)
    pixels = torch.empty((1, 3, height, width), dtype=dtype)
    alpha = (
        torch.empty((1, 1, height, width), dtype=dtype)
        if image.has_transparency_data and not image.mode.startswith("I;16")
        else None
    )
    convert = to_srgb(image.info.get("icc_profile"), _separate(image.crop((0, 0, 1, 1)))[0].mode)
    low, high = (0, 255) if convert else _value_range(image)
    for top, bottom in _strips(width, height):
        colours, opacity = _separate(image.crop((0, top, width, bottom)))
        levels = _levels(convert(colours) if convert else colours, low, high)
        pixels[0, :, top:bottom] = torch.from_numpy(np.atleast_3d(levels)).permute(
            2, 0, 1
        )  # (3, h, W), or (1, h, W) of greys
        if alpha is not None and opacity is not None:
            alpha[0, 0, top:bottom] = torch.from_numpy(_levels(opacity, 0, 255))
    return pixels, None if alpha is None or bool((alpha == 1).all()) else alpha


def eight_bit(pixels: Tensor, alpha: Tensor | None, *, keep_alpha: bool) -> Image.Image:
    """Pixels (1, 3, H, W) rounded to the nearest of 256 levels, strip by strip; without their alpha they are laid on
    white.
    """
    import torch

    height, width = pixels.shape[2:]
    image = Image.new("RGBA" if keep_alpha and alpha is not None else "RGB", (width, height))
    for top, bottom in _strips(width, height):
        strip = pixels[:, :, top:bottom].float()
        opacity = None if alpha is None else alpha[:, :, top:bottom].float()
        strip = (
            torch.cat([strip, opacity], dim=1) if keep_alpha and opacity is not None else laid_on_white(strip, opacity)
        )
        levels = strip[0].detach().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
        image.paste(Image.fromarray(levels.numpy()), (0, top))
    return image


def dtype_of(width: int, height: int) -> dtype:
    import torch

    return torch.float16 if width * height > LARGE_PX else torch.float32


def scaled(planes: Tensor, width: int, height: int) -> Tensor:
    """Bicubic with antialiasing, (1, C, H, W) of any float dtype to float32; may leave [0, 1] beside edges."""
    from torch.nn import functional

    return functional.interpolate(
        planes.float(), size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )


def laid_on_white(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    return pixels if alpha is None else 1 - alpha + alpha * pixels


def _strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """(top, bottom) of full-width strips that hold about STRIP_PX pixels each."""
    rows = max(1, STRIP_PX // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


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
