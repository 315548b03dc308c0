"""The step that takes blur off."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.contract.steps import Step
from engine.enhance.steps.context import PhotoPart, StepContext, StepGenerator, through
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.tiles import Tiling

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


def run(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """Without blur; by unsharp masking where there is no network.

    The network of Vitrine is given the blur of the whole photo, as it would otherwise estimate one for each tile.
    """
    from engine.models import sharpen

    if network is None:
        tiling = Tiling(overlap_px=2 * sharpen.reach_px(), bytes_per_px=100, most_px=512)
        sharp = yield from tiles.run(
            sharpen.unsharp, photo.pixels, tiling, memory=context.settings.tile_memory, preview=context.preview.pixels
        )
        return photo.with_pixels(sharp)
    part = context.part_of(photo)
    sharpen_tile, factor = network.for_photo((part.whole if part else photo).pixels)
    if factor == 1:
        return photo.with_pixels((yield from through(photo, network, context, sharpen_tile)))
    small = partial(through, network=network, context=context, call=sharpen_tile)
    return (yield from _sharpened_small(photo, factor, small, part))


def _sharpened_small(
    photo: Picture,
    factor: int,
    through: Callable[[Picture], Generator[tuple[int, int], None, Tensor]],
    part: PhotoPart | None,
) -> StepGenerator:
    """The photo, and what `through` adds to a copy that is `factor` times smaller, where a blur is shorter: it has no
    finer detail to be brought back, and what is sharp along a motion stays.
    """
    import torch.nn.functional as F

    left, top = (
        (part.left % factor, part.top % factor) if part else (0, 0)
    )  # so that a part has the pixels of the whole's copy
    around = (left, -(left + photo.width) % factor, top, -(top + photo.height) % factor)
    small = F.avg_pool2d(F.pad(photo.pixels.float(), around, mode="replicate"), factor)
    sharp = yield from through(replace(photo, pixels=small, alpha=None))
    added = F.interpolate(sharp.float() - small, scale_factor=factor, mode="bicubic")
    pixels = added[..., top : top + photo.height, left : left + photo.width].add_(photo.pixels).clamp_(0, 1)
    return photo.with_pixels(pixels.to(photo.pixels.dtype))


STEP = Step("deblur", 20, "Sharpening", run, instead=("unsharp masking", "the photo was sharpened by unsharp masking"))
