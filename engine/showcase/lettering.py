"""Letters on labels, dials and sheets."""

from __future__ import annotations

from PIL import ImageDraw, ImageFont


def typeface(size: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def spaced(draw: ImageDraw.ImageDraw, middle: float, y: float, text: str, size: int, ink: str, gap: float) -> None:
    """Text with letters set apart, centred on `middle`."""
    font = typeface(size)
    widths = [draw.textlength(letter, font=font) for letter in text]
    x = middle - (sum(widths) + gap * (len(text) - 1)) / 2
    for letter, width in zip(text, widths, strict=True):
        draw.text((x, y), letter, fill=ink, font=font)
        x += width + gap
