"""The step that sharpens by unsharp masking, as much and as finely as the request asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.contract.fields import Setting
from engine.contract.steps import Option, Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.tiles import Tiling

if TYPE_CHECKING:
    from engine.weights import Network


def run(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """out = in + amount (in - blurred in), in tiles that overlap by all that the blur sees."""
    from engine.models import sharpen

    radius, amount = context.option("sharpen_radius"), context.option("sharpen_amount")
    tiling = Tiling(overlap_px=sharpen.reach_px(radius), bytes_per_px=100, most_px=1024)
    unsharp = partial(sharpen.unsharp, sigma_px=radius, amount=amount)
    memory = context.settings.tile_memory
    sharp = yield from tiles.run(unsharp, photo.pixels, tiling, memory=memory, preview=context.preview.pixels)
    return photo.with_pixels(sharp)


STEP = Step(
    "sharpen",
    68,
    "Sharpening edges",
    run,
    method="unsharp masking",
    options={
        "sharpen_radius": Option(
            Setting("number", "how fine the edges are that sharpen lifts, in pixels", low=0.3, high=20.0), 1.5
        ),
        "sharpen_amount": Option(
            Setting("number", "how much sharpen lifts them; 0: not at all", low=0.0, high=5.0), 0.8
        ),
    },
)
