"""The method johnson: a network per style, from the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.image import Picture
from engine.runtime.preview import Preview
from engine.style.painting import Painter, Painting
from engine.style.styles import small as statistics_of

if TYPE_CHECKING:
    from torch import Tensor


def paint(painter: Painter, photo: Picture, source: Tensor) -> Painting:
    """The photo (1, 3, H, W) by the network of its one style."""
    import torch

    network = painter.networks.painter
    assert network is not None  # the method's network
    canvas = painter.for_brush(source)
    multiple, small = network.weight.tiling.multiple_px, statistics_of(canvas)
    height, width = (max(multiple, round(side / multiple) * multiple) for side in small.shape[2:])
    small = Picture(small).resized(width, height).pixels
    with torch.inference_mode():
        statistics = network.module.measure(small.to(network.device, network.dtype)).float().cpu()

    def paint(x: Tensor) -> Tensor:
        return network(x, statistics)

    painted = yield from painter.tiled(
        paint, canvas, network.weight.tiling, f"Painting with {network.weight.name}", Preview(canvas)
    )
    return painter.from_brush(painted, canvas, source)
