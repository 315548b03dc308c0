"""Any size through any network under a memory bound.

A picture is cut into equal tiles that overlap; each goes through the network alone. What neighbours share is either
context that is cut away in the middle of the overlap (enough for plain convolutions, whose receptive field is small),
or faded linearly from one to the other (for networks whose receptive field is larger than any overlap). Tiles start on
multiples of `multiple_px`, so that a network that halves the size k times samples every tile on the same grid; sizes
that are no multiple are mirrored at the far edge.

Large tiles waste less on overlap, and with the allocator settings of `device.configure()` they are the fastest on a
CPU too; smaller ones report progress more often, and can be stopped between two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.runtime.device import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

HALF_ABOVE_PX = 16_000_000  # pictures with more pixels are kept in float16: 200 Mpx are 1.2 GB then


@dataclass(frozen=True)
class Tiling:
    """How a network wants to be tiled; lengths in input pixels.

    scale: output side / input side. overlap_px: without `blend`, the context a tile needs on each side; with it, the
    width over which neighbours fade into each other. multiple_px: the network takes sides that are multiples of it.
    bytes_per_px: what the network takes per input pixel while it runs. most_px: the longest side of a tile that is
    worth while.
    """

    scale: int = 1
    overlap_px: int = 16
    multiple_px: int = 1
    blend: bool = False
    bytes_per_px: int = 1200
    most_px: int = 512

    @property
    def shared_px(self) -> int:
        """What neighbouring tiles share at least, a multiple of `multiple_px`."""
        return _up(self.overlap_px if self.blend else 2 * self.overlap_px, self.multiple_px)

    @property
    def least_px(self) -> int:
        """The shortest side worth computing: below it, three quarters of the work would be overlap."""
        return _up(max(2 * self.shared_px, 16), self.multiple_px)

    def side_px(self, memory: int) -> int:
        """The longest side up to `most_px` whose estimated need is at most `memory` bytes."""
        fits = math.isqrt(max(0, memory) // self.bytes_per_px)
        side = min(fits, self.most_px) // self.multiple_px * self.multiple_px
        return max(side, self.least_px)


def run(
    network: Callable[[Tensor], Tensor], pixels: Tensor, tiling: Tiling, *, memory: int, preview: Tensor | None = None
) -> Generator[tuple[int, int], None, Tensor]:
    """Put `pixels` (1, 3, H, W) through `network`; returns (1, 3, H * scale, W * scale) in [0, 1].

    More channels, such as a mask, may follow the first three; the result has three. It is on the CPU, float32, or
    float16 above 16 Mpx; the network is always given float32. Yields (done, total) after each tile. `preview`, a
    small picture (1, 3, h, w) of the whole, gets each finished tile drawn into it. When memory runs out the tiles
    are halved and the work starts again; the error is raised when they cannot be smaller.
    """
    side = tiling.side_px(memory)
    while True:
        try:
            return (yield from _run(network, pixels, tiling, side, preview))
        except Exception as error:
            if not is_out_of_memory(error) or side <= tiling.least_px:
                raise
        side = max(tiling.least_px, _up(min(side, max(pixels.shape[-2:])) // 2, tiling.multiple_px))
        _free_cached_memory()


def _run(
    network: Callable[[Tensor], Tensor], pixels: Tensor, tiling: Tiling, side: int, preview: Tensor | None
) -> Generator[tuple[int, int], None, Tensor]:
    import torch

    height, width = pixels.shape[-2:]
    scale = tiling.scale
    rows, columns = _cuts(height, tiling, side), _cuts(width, tiling, side)
    total = len(rows) * len(columns)
    kind = torch.float16 if height * width * scale * scale > HALF_ABOVE_PX else torch.float32
    result = torch.empty(1, 3, height * scale, width * scale, dtype=kind)
    for i, (top, bottom) in enumerate(rows):
        # A row of tiles is put together before it meets the row above: only so the fade is exact in the corners.
        strip = torch.empty(1, 3, (bottom - top) * scale, width * scale)
        for j, (left, right) in enumerate(columns):
            tile = _checked(network(_cut(pixels, top, bottom, left, right)), bottom - top, right - left, scale)
            _lay(strip, tile, left * scale, (columns[j - 1][1] if j else left) * scale, 3, tiling.blend)
            if preview is not None:
                _draw(preview, tile, (top, bottom, left, right), height, width)
            yield i * len(columns) + j + 1, total
        _lay(result, strip, top * scale, (rows[i - 1][1] if i else top) * scale, 2, tiling.blend)
    return result


def _cuts(length: int, tiling: Tiling, side: int) -> list[tuple[int, int]]:
    """Where the tiles of one direction start and end: equal lengths, the last may end beyond the picture."""
    multiple, shared = tiling.multiple_px, tiling.shared_px
    padded = _up(length, multiple)
    if padded <= side:
        return [(0, padded)]
    count = math.ceil((padded - shared) / (side - shared))
    side = _up(math.ceil((padded + (count - 1) * shared) / count), multiple)  # equal tiles waste least
    starts = [k * (padded - side) // (count - 1) // multiple * multiple for k in range(count)]
    return [(start, start + side) for start in starts]


def _cut(pixels: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """A tile as float32; what lies beyond the picture is its mirror image, mirrored as often as needed."""
    _, _, height, width = pixels.shape
    rows = slice(top, bottom) if bottom <= height else _mirrored(top, bottom, height)
    columns = slice(left, right) if right <= width else _mirrored(left, right, width)
    return pixels[:, :, rows][:, :, :, columns].float().contiguous()


def _mirrored(start: int, end: int, length: int) -> list[int]:
    """Positions start..end-1 folded back into 0..length-1 without repeating the edge: 0 1 2 1 0 1 ... for length 3."""
    period = max(1, 2 * (length - 1))
    return [min(k % period, period - k % period) if length > 1 else 0 for k in range(start, end)]


def _checked(tile: Tensor, height: int, width: int, scale: int) -> Tensor:
    wanted = (1, 3, height * scale, width * scale)
    if tuple(tile.shape) != wanted:
        raise ValueError(f"The network gave a tile of {tuple(tile.shape)} where {wanted} was expected.")
    tile = tile.float().cpu()
    if not tile.isfinite().all():
        raise FloatingPointError("The network gave values that are not finite.")
    return tile.clamp(0, 1)


def _lay(whole: Tensor, part: Tensor, start: int, met: int, dim: int, blend: bool) -> None:
    """Write `part` into `whole` from `start` along `dim`; up to `met` there is a neighbour already."""
    import torch

    end = min(start + part.shape[dim], whole.shape[dim])
    met = min(met, end)
    shared = met - start
    whole.narrow(dim, met, end - met).copy_(part.narrow(dim, shared, end - met))
    if shared:
        position = (torch.arange(shared) + 0.5) / shared
        weight = position if blend else (position > 0.5).float()
        there = whole.narrow(dim, start, shared)
        shape = (1, 1, shared, 1) if dim == 2 else (1, 1, 1, shared)
        there.copy_(torch.lerp(there.float(), part.narrow(dim, 0, shared), weight.view(shape)))


def _draw(preview: Tensor, tile: Tensor, box: tuple[int, int, int, int], height: int, width: int) -> None:
    """Scale a tile down into its place (top, bottom, left, right) of the small picture."""
    import torch.nn.functional as F

    top, bottom, left, right = box
    _, _, small_height, small_width = preview.shape
    inside = tile[
        :,
        :,
        : (min(bottom, height) - top) * tile.shape[2] // (bottom - top),
        : (min(right, width) - left) * tile.shape[3] // (right - left),
    ]
    y0, y1 = top * small_height // height, -(-min(bottom, height) * small_height // height)
    x0, x1 = left * small_width // width, -(-min(right, width) * small_width // width)
    preview[:, :, y0:y1, x0:x1] = F.interpolate(inside, size=(y1 - y0, x1 - x0), mode="bilinear", antialias=True)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _free_cached_memory() -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
