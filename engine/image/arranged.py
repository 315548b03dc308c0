"""Pictures side by side, one after another, and in the middle of a square."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from engine.contract.errors import RequestError
from engine.image.files import shown
from engine.image.metadata import with_comment
from engine.image.picture import Picture
from engine.image.pixels import dtype_of, eight_bit, laid_on_white
from engine.image.profiles import srgb_profile
from engine.image.saved import write

ANIMATED = (".gif", ".webp")  # suffixes of files that `animate` writes
FRAME_MS, REST_MS = 120, 600  # how long one of its pictures stands, and the first and the last


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
    pixels = torch.ones((1, 3, height, width), dtype=dtype_of(width, height))
    alpha = torch.zeros_like(pixels[:, :1]) if keep_alpha and any(p.alpha is not None for p in pictures) else None
    for i, picture in enumerate(pictures):
        left = i % columns * (cell_width + gap_px) + (cell_width - picture.width) // 2
        top = i // columns * (cell_height + gap_px) + (cell_height - picture.height) // 2
        place = (..., slice(top, top + picture.height), slice(left, left + picture.width))
        pixels[place] = laid_on_white(picture.pixels, picture.alpha) if alpha is None else picture.pixels
        if alpha is not None:
            alpha[place] = 1 if picture.alpha is None else picture.alpha
    return Picture(pixels, alpha, name="grid")


def animate(
    pictures: Sequence[Picture | str],
    file: str | Path,
    *,
    most_px: int | None = None,
    quality: int = 90,
    recipe: Mapping[str, Any] | None = None,
) -> Path:
    """Write pictures of one size, or files of such, as an animated GIF or WebP, by the suffix, and return its path.

    It goes through the pictures forth and back, without end, and rests at both ends. most_px: the longer side that they
    are made smaller to. A GIF has 256 colours a frame and no half transparent pixels. RequestError for another suffix
    and for pictures of several sizes.
    """
    path = Path(file)
    suffix = path.suffix.lower()
    if suffix not in ANIMATED:
        raise RequestError(f"Animations are saved as {' or '.join(ANIMATED)}, not as {shown(path)}.")
    forth = [_frame(picture, most_px) for picture in pictures]
    if len({frame.size for frame in forth}) != 1:
        raise RequestError("An animation needs pictures of one size.")
    frames = [*forth, *forth[-2:0:-1]]
    durations = [REST_MS if k in (0, len(forth) - 1) else FRAME_MS for k in range(len(frames))]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    if suffix == ".webp":
        options |= {
            "quality": quality,
            "icc_profile": srgb_profile(),
            "exif": with_comment(None, recipe) if recipe is not None else b"",
        }
        write(path, lambda stream: frames[0].save(stream, "WEBP", **options))
        return path
    if recipe is not None:
        options["comment"] = json.dumps(dict(recipe), allow_nan=False).encode("ascii")
    write(path, lambda stream: frames[0].save(stream, "GIF", disposal=2, optimize=False, **options))
    return path


def _frame(source: Picture | str, most_px: int | None) -> Image.Image:
    """8 bit RGB, or RGBA where something is transparent."""
    if isinstance(source, Picture):
        frame = eight_bit(source.pixels, source.alpha, keep_alpha=True)
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
