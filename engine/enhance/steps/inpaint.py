"""Filling holes: the part around them, by a network, smoothly from the edges, or by any other method; all else keeps
its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeAlias

from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.image import Picture
from engine.runtime import tiles

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

Box: TypeAlias = tuple[int, int, int, int]  # top, bottom, left, right
Fill: TypeAlias = Callable[["Tensor", "Tensor"], Generator[tuple[int, int], None, "Tensor"]]

_FILL_PX = 2048  # side of the area that is filled at full size; a larger one is filled at this size and enlarged
_FILL_CONTEXT_PX = 8
_NETWORK_CONTEXT_PX = 64  # at least; half of the hole where that is more

_SMOOTHLY = "Holes on a plain background were filled smoothly from their edges."


def filled(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """Fill where the mask is 1; every other pixel keeps its bits.

    On a plain background smoothly, unless a network was asked for by its name.
    """
    from engine.models.fill import plain_around

    memory = context.settings.tile_memory
    context_px, most_px, share = (
        (_NETWORK_CONTEXT_PX, network.weight.tiling.side_px(memory), 0.5)
        if network
        else (_FILL_CONTEXT_PX, _FILL_PX, 0.0)
    )
    assert context.mask is not None  # the request checks it
    if_plain = network is not None and context.request.network in ("auto", "embedded", "hub")

    def fill(part: Tensor, holes: Tensor) -> Generator[tuple[int, int], None, Tensor]:
        smoothly = if_plain and plain_around(part, holes)
        if smoothly and _SMOOTHLY not in context.remarks:
            context.remarks.append(_SMOOTHLY)
        return _fill(part, holes, None if smoothly else network, memory)

    pixels, mask = photo.pixels.clone(), at_size(context.mask, photo)
    boxes = [widened(box, mask, context_px, share) for box in apart(mask, context_px)]
    for k, box in enumerate(boxes):
        for done, total in fill_in(pixels, mask, fill, box, most_px):
            yield k * total + done, len(boxes) * total
    return photo.with_pixels(pixels)


def fill_in(
    pixels: Tensor, mask: Tensor, fill: Fill, surroundings: Box, most_px: int
) -> Generator[tuple[int, int], None, None]:
    """Fill pixels (1, 3, H, W) in place where the mask (1, 1, H, W) is 1, inside a box, by any method, which is given
    that part of them, (1, 3, h, w), and its holes, (1, 1, h, w).

    A part with a side of more than `most_px` is made smaller first, and what was filled is enlarged again.
    """
    import torch
    import torch.nn.functional as F

    top, bottom, left, right = surroundings
    part, holes = pixels[:, :, top:bottom, left:right].float(), mask[:, :, top:bottom, left:right]
    height, width = part.shape[-2:]
    if (shrink := most_px / max(height, width)) < 1:
        # Cells that touch a hole become hole, so that nothing of what is to go is averaged into what stays.
        small = (max(1, int(height * shrink)), max(1, int(width * shrink)))
        patch = yield from fill(F.adaptive_avg_pool2d(part, small), F.adaptive_max_pool2d(holes, small))
        patch = F.interpolate(patch.float(), size=(height, width), mode="bicubic").clamp(0, 1)
    else:
        patch = yield from fill(part, holes)
    pixels[:, :, top:bottom, left:right] = torch.where(
        holes > 0.5, patch.to(pixels.dtype), pixels[:, :, top:bottom, left:right]
    )


def at_size(mask: Tensor, photo: Picture) -> Tensor:
    """The mask (1, 1, h, w) of a photo that was resized earlier in the chain."""
    import torch.nn.functional as F

    size = (photo.height, photo.width)
    if tuple(mask.shape[2:]) == size:
        return mask
    # A cell that touches a hole is a hole.
    return F.interpolate(mask, size=size) if photo.width >= mask.shape[3] else F.adaptive_max_pool2d(mask, size)


def _fill(
    part: Tensor, holes: Tensor, network: Network | None, memory: int
) -> Generator[tuple[int, int], None, Tensor]:
    import torch

    from engine.models.fill import fill

    if network is None:
        return (yield from fill(part, holes))
    masked: Callable[[Tensor], Tensor] = lambda x: network(x[:, :3], x[:, 3:])  # noqa: E731
    return (yield from tiles.run(masked, torch.cat([part, holes], 1), network.weight.tiling, memory=memory))


def apart(mask: Tensor, near_px: int) -> list[Box]:
    """The boxes of groups of holes of a mask (1, 1, H, W): holes that are within `near_px` of each other are in one
    group.

    A photo with a scratch here and a tag there is then filled in two small parts at its own size.
    """
    import torch.nn.functional as F

    from engine.models.filters import dilated
    from engine.models.segment import components

    cells = F.max_pool2d(mask, near_px, ceil_mode=True) > 0
    touching = dilated(cells[0, 0], 1)  # holes in cells that are next but one belong together too
    names = components(touching).view(touching.shape) * cells[0, 0]
    boxes = []
    for name in names.unique().tolist():
        if name:
            top, bottom, left, right = (near_px * edge for edge in _box(names == name))
            own = (names == name)[top // near_px : bottom // near_px, left // near_px : right // near_px]
            holes = mask[0, 0, top:bottom, left:right] > 0.5
            mine = own.repeat_interleave(near_px, 0).repeat_interleave(near_px, 1)[: holes.shape[0], : holes.shape[1]]
            low, high, first, last = _box(holes & mine)
            boxes.append((top + low, top + high, left + first, left + last))
    return boxes


def around(mask: Tensor, least_px: int, share: float) -> Box:
    """The box of all holes of a mask (1, 1, H, W), with `share` of its longer side around, at least `least_px`."""
    return widened(_box(mask[0, 0]), mask, least_px, share)


def widened(box: Box, mask: Tensor, least_px: int, share: float) -> Box:
    """A box with `share` of its longer side around, at least `least_px`, inside the mask (1, 1, H, W)."""
    height, width = mask.shape[-2:]
    top, bottom, left, right = box
    reach = max(least_px, round(share * max(bottom - top, right - left)))
    return max(0, top - reach), min(height, bottom + reach), max(0, left - reach), min(width, right + reach)


def _box(inside: Tensor) -> Box:
    """Around all that is not zero in (H, W), which something is."""
    from engine.models.segment import bounds

    found = bounds(inside)
    assert found is not None
    return found


STEP = Step(
    "inpaint",
    40,
    "Filling",
    filled,
    instead=("smooth fill", "the holes were filled smoothly from their edges"),
    lacks=lambda request: (
        "" if request.mask else "Inpainting needs a mask that is white where the photo is to be filled."
    ),
    fills=lambda request: True,
    settings=("mask",),
)
