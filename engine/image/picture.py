"""The one form that a picture has inside Vitrine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from engine.image import saved
from engine.image.pixels import dtype_of, eight_bit, laid_on_white, scaled

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture inside Vitrine.

    pixels: float (1, 3, H, W), sRGB in [0, 1]; float32, or float16 above LARGE_PX pixels. alpha: float (1, 1, H, W)
    in [0, 1], 1 is opaque, colours are not multiplied by it; None when all is opaque. name: for file names, the stem
    of the file it came from. exif: what may be kept on request; without orientation, position, thumbnail, MakerNote.
    most_bytes: no file of it may be larger. remarks: sentences about how its file was read.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    name: str = "picture"
    exif: bytes | None = None
    most_bytes: int | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if len(shape) != 4 or shape[:2] != (1, 3):
            raise ValueError(f"pixels must be (1, 3, H, W), not {shape}")
        if self.alpha is not None and tuple(self.alpha.shape) != (1, 1, *shape[2:]):
            raise ValueError(f"alpha must be (1, 1, {shape[2]}, {shape[3]}), not {tuple(self.alpha.shape)}")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[3])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[2])

    def with_pixels(self, pixels: Tensor) -> Picture:
        """The same picture with other pixels (1, 3, H, W); the alpha is resized when their size is another."""
        height, width = pixels.shape[2:]
        alpha = self.alpha
        if alpha is not None and (width, height) != (self.width, self.height):
            alpha = scaled(alpha, width, height).clamp_(0, 1).to(alpha.dtype)
        return replace(self, pixels=pixels, alpha=alpha)

    def resized(self, width: int, height: int) -> Picture:
        """Bicubic with antialiasing, clamped to [0, 1]. Colours count by their alpha, so that edges keep no halo."""
        import torch

        if (width, height) == (self.width, self.height):
            return self
        dtype = dtype_of(width, height)
        planes = self.pixels.split(1, dim=1)  # one at a time: the float32 copies stay a third as large
        if self.alpha is None:
            pixels = torch.empty(1, 3, height, width, dtype=dtype)
            for k, plane in enumerate(planes):
                pixels[:, k] = scaled(plane, width, height).clamp_(0, 1)[:, 0]
            return replace(self, pixels=pixels)
        weight = self.alpha.float()
        alpha = scaled(weight, width, height)
        seen = alpha > 1 / 512  # below half a level nothing is seen, and dividing would only raise noise
        colours = []
        for plane in planes:
            premultiplied = scaled(plane.float() * weight, width, height)
            colours.append(
                torch.where(seen, premultiplied / alpha, scaled(plane, width, height)).clamp_(0, 1).to(dtype)
            )
        return replace(self, pixels=torch.cat(colours, dim=1), alpha=alpha.clamp_(0, 1).to(dtype))

    def fitted(self, longer_px: int) -> Picture:
        """The picture with a longer side of `longer_px`."""
        scale = longer_px / max(self.width, self.height)
        return self.resized(max(1, round(scale * self.width)), max(1, round(scale * self.height)))

    def filling(self, width: int, height: int) -> Picture:
        """All of a frame of that size: the largest middle part of its shape, resized."""
        scale = max(width / self.width, height / self.height)
        own_width, own_height = (
            min(side, max(1, round(frame / scale))) for side, frame in ((self.width, width), (self.height, height))
        )
        return self.cropped(
            (self.width - own_width) // 2, (self.height - own_height) // 2, own_width, own_height
        ).resized(width, height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Picture:
        """A part of the picture, all of it inside."""
        part = (..., slice(top, top + height), slice(left, left + width))
        return replace(self, pixels=self.pixels[part], alpha=None if self.alpha is None else self.alpha[part])

    def on_white(self) -> Tensor:
        """The pixels with what is transparent laid on white, float32: a network sees no holes."""
        pixels = self.pixels.float()
        return pixels if self.alpha is None else laid_on_white(pixels, self.alpha.float())

    def pil(self, most_px: int | None = None) -> Image.Image:
        """8 bit RGB, or RGBA with alpha, rounded to the nearest level; scaled down to at most `most_px` a side."""
        image = eight_bit(self.pixels, self.alpha, keep_alpha=True)
        if most_px is None or max(image.size) <= most_px:
            return image
        scale = most_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)

    def save(
        self, file: str | Path, *, quality: int = 90, recipe: Mapping[str, Any] | None = None, keep_exif: bool = False
    ) -> Path:
        """Write a PNG, JPEG or WebP by the suffix, tagged sRGB, and return its path.

        quality: 1 to 100, for JPEG and WebP. recipe: a request's `recipe()`, read back by `read_recipe`. A JPEG has no
        alpha, so a transparent picture is laid on white. Where `most_bytes` is set, the quality is as high as lets the
        file fit. The file appears whole or not at all. RequestError for another suffix or quality, a side the format
        cannot hold, EXIF too long for a JPEG, a file that cannot be made small enough, and a folder that cannot be
        written.
        """
        return saved.save(
            self.pixels,
            self.alpha,
            Path(file),
            quality=quality,
            recipe=recipe,
            kept=self.exif if keep_exif else None,
            most_bytes=self.most_bytes,
        )
