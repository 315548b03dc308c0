"""The methods that move colours and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.contract.events import Progress
from engine.image import Picture
from engine.style.painting import Painter, Painting

if TYPE_CHECKING:
    from torch import Tensor


def paint(painter: Painter, photo: Picture, source: Tensor) -> Painting:
    """The photo's own strokes in the style's colours."""
    from engine.models import colour

    transfer = {
        "reinhard": colour.reinhard,
        "monge-kantorovich": colour.monge_kantorovich,
        "sliced-transport": colour.sliced_transport,
    }
    yield Progress(0, 0, "Moving the colours")
    return transfer[painter.request.method](source, painter.styles.palette()).apply(source)
