"""The steps that enlarge.

Enlarging has two variants, faithful and crisp, which are blended as pictures: the way from one to the other is then a
straight line in every pixel, its ends are exactly the two networks, and these need not have been trained from one
another, as they must where weights are blended. Between the ends it costs both passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator, needed
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.tiles import Tiling

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

CRISP = "upscale-crisp-x4"  # the task of the network of the crisp variant, which makes a photo four times as large
_RESIZE_PX = 4  # of context that an antialiased resize of a tile needs beside the network's own


def enlarged(scale: int) -> Callable[[Picture, Network | None, StepContext], StepGenerator]:
    """The step that makes a photo `scale` times as large, faithful and crisp to the shares that are asked for.

    A network that makes it larger than that is resized tile by tile, so that the larger picture is never held as a
    whole.
    """

    def step(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
        import torch

        share, faithful = context.request.crispness, needed(network)
        networks = [faithful] if context.crisp is None else [context.crisp] if share == 1 else [faithful, context.crisp]

        def blended(x: Tensor) -> Tensor:
            pictures = [_to_scale(one(x), x, scale) for one in networks]
            return torch.lerp(pictures[0], pictures[1], share) if len(pictures) == 2 else pictures[0]

        tiling = _together([one.weight.tiling for one in networks], scale)
        return photo.with_pixels(
            (
                yield from tiles.run(
                    blended, photo.pixels, tiling, memory=context.settings.tile_memory, preview=context.preview.pixels
                )
            )
        )

    return step


def _to_scale(large: Tensor, x: Tensor, scale: int) -> Tensor:
    """What a network made of x, resized to `scale` times its size."""
    import torch.nn.functional as F

    size = (scale * x.shape[2], scale * x.shape[3])
    return (
        large
        if tuple(large.shape[2:]) == size
        else F.interpolate(large, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    )


def _together(tilings: Sequence[Tiling], scale: int) -> Tiling:
    """Tiles that suit all these networks, which run one after the other and whose pictures are kept till both are
    there.
    """
    most = max(tilings, key=lambda t: t.overlap_px)
    resize_px = _RESIZE_PX if any(t.scale != scale for t in tilings) else 0
    return replace(
        most,
        scale=scale,
        overlap_px=most.overlap_px + resize_px,
        multiple_px=math.lcm(*(t.multiple_px for t in tilings)),
        bytes_per_px=sum(t.bytes_per_px for t in tilings),
        most_px=min(t.most_px for t in tilings),
    )


STEPS = tuple(
    Step(
        f"upscale-x{scale}",
        60 + scale,
        f"Enlarging x{scale}",
        enlarged(scale),
        scale=scale,
        task="upscale-x4" if scale == 3 else "",  # one network of a scale of its own less, at the price of a resize
        crisp_task=CRISP,
        settings=("crispness",),
    )
    for scale in (2, 3, 4)
)
