"""A small picture of the whole while the whole is being made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.image import Picture

if TYPE_CHECKING:
    from torch import Tensor

PREVIEW_PX = 768  # longer side of a preview
PREVIEW_EVERY_S = 1.0


class Preview:
    """What finished tiles are drawn into (`tiles.run` does that with `pixels`), handed out at most every second."""

    def __init__(
        self, pixels: Tensor, scale: int = 1, inside: tuple[slice, slice] = (slice(None), slice(None))
    ) -> None:
        """pixels: the picture before, (1, 3, H, W); the one being made is `scale` times larger. inside: its rows and
        columns that are shown.
        """
        import torch.nn.functional as F

        height, width = pixels.shape[-2:]
        stride = max(1, max(height, width) // (2 * PREVIEW_PX))
        shrink = min(scale, PREVIEW_PX / max(height, width))
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        self.pixels = F.interpolate(
            pixels[:, :, ::stride, ::stride].float(), size=size, mode="bilinear", antialias=True
        ).clamp(0, 1)
        rows, columns = (s.indices(length)[:2] for s, length in zip(inside, (height, width), strict=True))
        self._rows = slice(round(rows[0] * size[0] / height), max(1, round(rows[1] * size[0] / height)))
        self._columns = slice(round(columns[0] * size[1] / width), max(1, round(columns[1] * size[1] / width)))
        self._shown = time.monotonic()

    def draw(self, picture: Tensor, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
        """Scale a picture (1, 3, h, w) into its place (top, bottom, left, right) on a whole of `size` (height,
        width).
        """
        import torch.nn.functional as F

        (top, bottom, left, right), (height, width) = box, size
        _, _, small_height, small_width = self.pixels.shape
        y0, y1 = top * small_height // height, -(-bottom * small_height // height)
        x0, x1 = left * small_width // width, -(-right * small_width // width)
        self.pixels[:, :, y0:y1, x0:x1] = F.interpolate(
            picture.float(), size=(y1 - y0, x1 - x0), mode="bilinear", antialias=True
        )

    def due(self) -> Picture | None:
        """A copy of the picture so far, when a second has passed since the last one."""
        if time.monotonic() - self._shown < PREVIEW_EVERY_S:
            return None
        self._shown = time.monotonic()
        return Picture(self.pixels[:, :, self._rows, self._columns].clone())
