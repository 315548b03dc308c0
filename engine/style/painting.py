"""What the ways of painting share: the canvas, tiles that report, previews."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.contract.events import Event, Progress
from engine.contract.style import StyleRequest
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.preview import Preview
from engine.runtime.tiles import Tiling
from engine.settings import Settings
from engine.style.kept import Kept
from engine.style.networks import StyleNetworks
from engine.style.styles import Styles

if TYPE_CHECKING:
    from torch import Tensor

PREVIEW_PX = 768  # longer side of a preview at most

Painting: TypeAlias = Generator[Event, None, "Tensor"]  # returns (1, 3, H, W) in [0, 1], on the CPU


@dataclass(frozen=True)
class Painter:
    """What a way of painting is given beside the photo. kept: what of the photo stays as it is."""

    request: StyleRequest
    networks: StyleNetworks
    settings: Settings
    styles: Styles
    kept: Kept

    def tiled(
        self, paint: Callable[[Tensor], Tensor], pixels: Tensor, tiling: Tiling, doing: str, preview: Preview
    ) -> Painting:
        work = tiles.run(paint, pixels, tiling, memory=self.settings.tile_memory, preview=preview.pixels)
        yield Progress(0, 0, doing)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                painted: Tensor = end.value
                return painted
            yield Progress(done, total, f"{doing}: {done} of {total}", preview.due())

    def for_brush(self, source: Tensor) -> Tensor:
        """What is painted on: smaller where the strokes are to come out larger."""
        brush = self.request.brush
        if brush == 1:
            return source
        height, width = source.shape[2:]
        return Picture(source).resized(max(1, round(width / brush)), max(1, round(height / brush))).pixels

    def from_brush(self, painted: Tensor, canvas: Tensor, source: Tensor) -> Tensor:
        """Back to the photo's size; what the photo lost on the way to a smaller canvas is laid over the strokes."""
        if self.request.brush == 1:
            return painted
        height, width = source.shape[2:]
        large = Picture(painted).resized(width, height).pixels
        if self.request.brush < 1:
            return large
        return (large + source - Picture(canvas).resized(width, height).pixels).clamp(0, 1)

    def preview(self, photo: Picture, painted: Tensor) -> Picture:
        """The picture so far, at one size from the first step to the last."""
        longer = max(photo.width, photo.height)
        small = photo.fitted(min(longer, PREVIEW_PX))
        return small.with_pixels(
            self.kept.small(small).put_back(
                Picture(painted.detach().float().cpu()).resized(small.width, small.height).pixels
            )
        )
