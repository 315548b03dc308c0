"""The step that fits an untrained network to the photo (deep image prior): it takes noise off, fills the mask, or
enlarges x2.

It takes a minute for 512 x 512 pixels, so it does not work on more: of a larger photo the noise is taken off a smaller
copy, a larger hole is filled at that size, and enlarging is left to the networks that can.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.enhance.steps.inpaint import around, at_size, fill_in
from engine.image import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.prior import Iterate
    from engine.weights import Network

NAME = "deep image prior"
MOST_PX = 512 * 512  # of the result
_SIDE_PX = 512  # of the part around holes
_CONTEXT_PX = 48  # around holes, at least; as much as the holes are long where that is more


def sized(width: int, height: int, request: EnhanceRequest) -> tuple[int, int]:
    """The size of what a photo of that size becomes; RequestError when it is too large to be enlarged."""
    if request.prior_task == "denoise":
        shrink = min(1.0, (MOST_PX / (width * height)) ** 0.5)
        return max(1, int(shrink * width)), max(1, int(shrink * height))
    if request.prior_task == "enlarge":
        if 4 * width * height > MOST_PX:
            raise RequestError(
                f"The deep image prior enlarges photos of up to 256 x 256 pixels, and this one has {width} x {height};"
                " use upscale-x2."
            )
        return 2 * width, 2 * height
    return width, height


def fitted(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """What `prior_task` says; there is no network but the one that is fitted."""
    from engine.models import prior

    request = context.request
    if request.prior_task == "fill":
        return (yield from _filled(photo, context))
    if request.prior_task == "enlarge":
        return photo.with_pixels((yield from _watched(prior.enlarge(photo.pixels.float(), seed=0), context)))
    width, height = sized(photo.width, photo.height, request)
    if (width, height) != (photo.width, photo.height):
        context.remarks.append(
            f"The deep image prior works on at most 512 x 512 pixels, so the photo was made smaller first, {width} x"
            f" {height}."
        )
        photo = photo.resized(width, height)
    return photo.with_pixels((yield from _watched(prior.denoise(photo.pixels.float(), seed=0), context)))


def _filled(photo: Picture, context: StepContext) -> StepGenerator:
    from engine.models import prior

    assert context.mask is not None  # the request checks it
    pixels, mask = photo.pixels.clone(), at_size(context.mask, photo)
    box = around(mask, _CONTEXT_PX, 1.0)
    if max(box[1] - box[0], box[3] - box[2]) > _SIDE_PX:
        context.remarks.append(
            f"The holes reach over more than {_SIDE_PX} pixels, so they were filled at a smaller size and enlarged."
        )
    yield from fill_in(
        pixels,
        mask,
        lambda part, holes: _watched(prior.complete(part, holes, seed=0), context, box, photo),
        box,
        _SIDE_PX,
    )
    return photo.with_pixels(pixels)


def _watched(
    steps: Iterator[Iterate],
    context: StepContext,
    box: tuple[int, int, int, int] | None = None,
    photo: Picture | None = None,
) -> Generator[tuple[int, int], None, Tensor]:
    """Go through the steps and show each; returns the last picture. box: where it lies on the photo, which it is all of
    otherwise.
    """
    with closing(cast("Generator[Iterate, None, None]", steps)) as running:
        for step in running:
            place = (0, 1, 0, 1) if box is None else box
            context.preview.draw(step.picture, place, (1, 1) if photo is None else (photo.height, photo.width))
            yield step.done, step.total
    found: Tensor = step.picture
    return found


def _fills(request: EnhanceRequest) -> bool:
    return request.prior_task == "fill"


STEP = Step(
    "prior",
    45,
    "Learning from the photo alone",
    fitted,
    method=NAME,
    sized=sized,
    is_slow=True,
    lacks=lambda request: (
        "Filling needs a mask that is white where the photo is to be filled."
        if _fills(request) and not request.mask
        else ""
    ),
    fills=_fills,
    settings=("prior_task", "mask"),
)
