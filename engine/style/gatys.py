"""The method gatys: style transfer by optimisation (engine/models/gatys.py)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.contract.events import Progress
from engine.image import Picture
from engine.style.fast import one_pass
from engine.style.painting import Painter, Painting

if TYPE_CHECKING:
    from torch import Tensor

PREVIEW_EVERY_S = 1.0


def paint(painter: Painter, photo: Picture, source: Tensor) -> Painting:
    """The photo (1, 3, H, W), moved step by step until a network sees the style in it."""
    from engine.models import gatys

    backbone = painter.networks.backbone
    assert backbone is not None  # the method's network
    canvas, style = painter.for_brush(source), painter.styles.mixed(source)
    start = (yield from one_pass(painter, canvas, style)) if painter.networks.painter else None
    steps = gatys.paint(
        backbone.module,
        gatys.BACKBONES[backbone.weight.name],
        canvas.to(backbone.device),
        style.to(backbone.device),
        steps=painter.request.steps,
        content_weight=painter.request.content_weight,
        style_weight=painter.request.style_weight,
        style_loss=painter.request.style_loss,
        optimizer=painter.request.optimizer,
        seed=painter.request.seed,
        memory=painter.settings.tile_memory,
        start=None if start is None else start.to(backbone.device),
    )
    doing, shown, painted = f"Painting with {backbone.weight.name}", float("-inf"), canvas
    for step in steps:
        preview = None
        if time.monotonic() - shown >= PREVIEW_EVERY_S:
            preview, shown = painter.preview(photo, step.picture), time.monotonic()
        yield Progress(step.done, step.total, f"{doing}: step {step.done} of {step.total}", preview)
        painted = step.picture
    return painter.from_brush(painted.detach().float().cpu(), canvas, source)
