"""The method fast: one pass of a network that is given the style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.image import Picture
from engine.runtime.preview import Preview
from engine.style.networks import FAST
from engine.style.painting import Painter, Painting
from engine.style.styles import small

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.style_loss import Style


def paint(painter: Painter, photo: Picture, source: Tensor) -> Painting:
    """The photo (1, 3, H, W) in one pass."""
    canvas = painter.for_brush(source)
    return painter.from_brush((yield from one_pass(painter, canvas, painter.styles.mixed(source))), canvas, source)


def one_pass(painter: Painter, canvas: Tensor, style: Style) -> Painting:
    """The canvas painted by `faststyle`, tile by tile, in a margin that is cut off: at an edge its strokes are
    drawn out.
    """
    import torch

    from engine.models import faststyle, gatys, gaussian

    network = painter.networks.painter
    assert network is not None  # the method's network
    start, (top, left) = gatys.framed(gaussian.recoloured(canvas, style.colour, like=small(canvas)), 4)
    embedding = faststyle.embedding(style)
    rng = torch.Generator().manual_seed(painter.request.seed)
    grain = (
        torch.randn(1, faststyle.NOISE_CHANNELS, start.shape[2] // 4, start.shape[3] // 4, generator=rng)
        .repeat_interleave(4, 2)
        .repeat_interleave(4, 3)
    )
    if painter.networks.method == "fast":  # a start for gatys gets all of them
        grain *= painter.request.strokes
    inside = (slice(top, top + canvas.shape[2]), slice(left, left + canvas.shape[3]))

    def paint(x: Tensor) -> Tensor:
        return network(x[:, :3], embedding, x[:, 3:, ::4, ::4])

    preview = Preview(start, inside=inside)
    painted = yield from painter.tiled(
        paint, torch.cat([start, grain], 1), network.weight.tiling, f"Painting with {FAST}", preview
    )
    return painted[:, :, inside[0], inside[1]]
