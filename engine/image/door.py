"""What is read of a picture file: its header, its pixels, its recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from engine.contract.errors import RequestError
from engine.image import tiff
from engine.image.files import file_stem, kind_of, open_as, opened, readable, shown, stream_of
from engine.image.metadata import exif_of, kept_exif, orientation_of, recipe_text
from engine.image.picture import Picture
from engine.image.pixels import to_tensors
from engine.image.spaces import HDR_REMARK, has_gain_map, named_space, to_profile, to_standard_range
from engine.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from torch import Tensor

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
        """Of a part (left, top, width, height), or of the whole for (); RequestError where it reaches beyond the
        picture.
        """
        if not crop:
            return self
        left, top, width, height = crop
        if left + width > self.width or top + height > self.height:
            raise RequestError(f"The crop reaches beyond the photo, which has {self.width} x {self.height} pixels.")
        return replace(self, width=width, height=height)


def check(file: str | Path, settings: Settings = DEFAULTS) -> Header:
    """The header of a picture file, without decoding it; RequestError says in one sentence why it cannot be opened.

    A file that is cut off after its header passes here and is refused by `load`.
    """
    with opened(Path(file), settings) as (picture, kind):
        width, height = picture.size if orientation_of(picture, kind) < 5 else picture.size[::-1]
        return Header(kind, width, height, picture.mode)


def load(file: str | Path, settings: Settings = DEFAULTS) -> Picture:
    """The first frame of a picture file: checked, decoded, upright, in sRGB, its alpha taken off.

    RequestError as `check`, and when the pixels are cut off or damaged. 50 megapixels take 0.3 GB as float16 and,
    while they are read, twice 0.2 GB in Pillow.
    """
    path = Path(file)
    image, exif, remarks = _decoded(path, settings)
    pixels, alpha = to_tensors(image)
    return Picture(pixels, alpha, file_stem(path.stem), exif, remarks=remarks)


def load_mask(file: str | Path, settings: Settings = DEFAULTS) -> Tensor:
    """A picture as a mask, float (1, 1, H, W) in [0, 1]: 1 where it is white and opaque. Raises like `load`."""
    picture = load(file, settings)
    light = picture.pixels.float().mean(1, keepdim=True)
    return light if picture.alpha is None else light * picture.alpha.float()


def luma_table(file: str | Path, settings: Settings = DEFAULTS) -> tuple[int, ...] | None:
    """The table by which a JPEG file quantised its luma, 64 entries in rows; None for files of other formats.

    Decodes no pixels.
    """
    path = Path(file)
    with opened(path, settings) as (picture, _):
        tables = picture.quantization if isinstance(picture, JpegImageFile) else {}
        return tuple(tables[min(tables)]) if tables else None


def read_recipe(file: str | Path) -> dict[str, Any]:
    """The recipe that `Picture.save` put into a file; RequestError when there is none. Decodes no pixels."""
    path = Path(file)
    with stream_of(path) as stream:
        kind = kind_of(path, stream.read(4096))
        with readable(path, kind):
            picture = open_as(stream, kind)
        try:
            recipe = json.loads(recipe_text(picture, kind))
        except (ValueError, RecursionError):
            recipe = None
    if not isinstance(recipe, dict) or "vitrine" not in recipe:
        raise RequestError(f"{shown(path)} carries no recipe.")
    return recipe


def _decoded(path: Path, settings: Settings) -> tuple[Image.Image, bytes | None, tuple[str, ...]]:
    """The upright pixels, the EXIF data that may be kept, and what is to say of the file; the decoder's own buffers are
    free afterwards.
    """
    with opened(path, settings) as (picture, kind):
        orientation = orientation_of(picture, kind)
        space = named_space(picture, kind, path, Image.Exif() if kind == "PNG" else exif_of(picture))
        remarks = _remarks(picture, kind)
        with readable(path, kind):
            image: Image.Image = _planes(picture, path) if kind == "TIFF" else picture
            image.load()
            upright = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image.copy()
            if space and space.is_hdr:
                upright = to_standard_range(upright, space)
                remarks = (*remarks, HDR_REMARK)
            elif space:
                upright.info["icc_profile"] = to_profile(space)
        return upright, kept_exif(picture), remarks


def _planes(picture: ImageFile.ImageFile, path: Path) -> Image.Image:
    """A TIFF as Pillow reads it, or, where it would read planes wrongly, as we do."""
    stream = picture.fp
    assert stream is not None
    pictures = tiff.directories(stream)  # type: ignore[arg-type]
    directory = pictures[picture.tell()] if picture.tell() < len(pictures) else None
    if directory is None or not tiff.is_misread(directory):
        return picture
    made = tiff.read_planes(stream, directory)  # type: ignore[arg-type]
    if made is None:
        raise RequestError(f"{shown(path)} keeps its channels apart in a way that Vitrine does not read; save it anew.")
    made.info.update(picture.info)
    return made


def _remarks(picture: ImageFile.ImageFile, kind: str) -> tuple[str, ...]:
    """What a person should know of how the file is read."""
    said = []
    if kind in ("GIF", "PNG", "WebP", "AVIF"):
        try:
            moves = bool(getattr(picture, "is_animated", False))
        except Exception:  # a second frame that is damaged
            moves = False
        if moves:
            said.append("The file is an animation; its first frame was taken.")
    if kind in ("JPEG", "HEIC") and has_gain_map(picture):
        said.append("The photo carries a gain map for HDR screens; its picture for ordinary ones was taken.")
    return tuple(said)
