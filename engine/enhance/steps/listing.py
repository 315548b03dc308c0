"""Listing pictures: the product upright in the middle of pure white, as large and in as many pixels as a marketplace
asks.

The marketplaces stand in `marketplaces.json`, each with its rule in words and the day it was written down: rules
change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import product
from engine.contract import steps
from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.marketplaces import Marketplace, marketplace
from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.image import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

_HAZE = 0.02  # an alpha below it shows nothing but dirt on white
_FINER = 2  # how many times finer than the result the product is worked on, at most
_BLURRED = 1.5  # an enlargement beyond it is seen
_SHARP_MOST = 6.0  # the same where upscale-x4 has run before: it makes up for four of it


def sized(width: int, height: int, request: EnhanceRequest) -> tuple[int, int]:
    """The size of the listing picture, whatever the photo's; RequestError for an unknown marketplace."""
    market = marketplace(request.marketplace)
    return market.width_px, market.height_px


def placed(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """The step of a chain. It uses the network that finds products, but not for one that was cut out before."""
    yield 0, 1
    cut_out_before = "cut-out" in context.request.steps
    made = listed(
        photo,
        marketplace(context.request.marketplace),
        _no_network if cut_out_before else context.finder,
        is_enlarged=any(steps.STEPS[name].scale > 1 for name in context.request.steps),
    )
    context.remarks += made.remarks
    return made.picture


@dataclass(frozen=True, eq=False)
class Listed:
    """A listing picture and, in sentences, what a person should know of it."""

    picture: Picture
    remarks: tuple[str, ...]


def _no_network() -> None:
    return None


def listed(
    photo: Picture,
    market: Marketplace,
    finder: Callable[[], Network | None] = _no_network,
    *,
    is_enlarged: bool = False,
) -> Listed:
    """The product of a photo as the marketplace asks. It is what is opaque, or else what stands out from a plain
    background and what the network of `finder` sees, which is loaded only then.

    is_enlarged: the photo was enlarged before, so that more of it is no advice.
    The picture has no alpha, and no file of it becomes larger than the marketplace allows. RequestError when no product
    is found.
    """
    cut = _cut_out(photo, market, finder)
    remarks = ["The product is cut off by the photo's edge."] if cut.touches_edge else []
    picture = cut.picture
    if degrees := _tilt(picture):
        picture = _upright(picture, degrees)
        remarks.append(
            f"The product was turned by {abs(degrees):.1f} degrees, as it leaned to the"
            f" {'right' if degrees > 0 else 'left'}."
        )
    framed, scale = _framed(picture, market)
    if (enlarged := scale / cut.shrink) > _BLURRED:
        helps = (
            "the step Enlarge x4 (upscale-x4) before this one keeps it sharp"
            if enlarged <= _SHARP_MOST and not is_enlarged
            else "take a photo of more pixels"
        )
        remarks.append(f"The product was enlarged {enlarged:.1f} times, so it is soft; {helps}.")
    return Listed(replace(framed, name=photo.name, exif=photo.exif, most_bytes=market.most_bytes), tuple(remarks))


@dataclass(frozen=True, eq=False)
class _CutOut:
    """The product alone, with its alpha, `shrink` times the photo's size."""

    picture: Picture
    shrink: float
    touches_edge: bool


def _mask(photo: Picture, network: Network | None) -> Tensor | None:
    """Of a small copy: an outline that is as fine as the photo's comes later, from its colours."""
    mask = product.of(photo.fitted(min(product.LOOKED_AT_PX, max(photo.width, photo.height))), network)
    return None if mask is None else product.to_size(mask, photo)


def _cut_out(photo: Picture, market: Marketplace, finder: Callable[[], Network | None]) -> _CutOut:
    from engine.models.cutout import decontaminated, tightened

    alpha = photo.alpha if photo.alpha is not None else _mask(photo, finder())
    box = None if alpha is None else _box(alpha)
    if alpha is None or box is None:
        raise RequestError(
            "No product stands out from the background of this photo: cut it out first, or photograph it on a plain"
            " background."
        )
    top, bottom, left, right = box
    touches = photo.alpha is None and (top == 0 or left == 0 or bottom == photo.height or right == photo.width)
    around = round(0.05 * max(bottom - top, right - left)) + 8
    part = (..., slice(max(0, top - around), bottom + around), slice(max(0, left - around), right + around))
    pixels, alpha = photo.pixels[part], alpha[part]
    shrink = min(1.0, _FINER * _scale(bottom - top, right - left, market))
    size = (max(1, round(shrink * pixels.shape[3])), max(1, round(shrink * pixels.shape[2])))
    if photo.alpha is not None:
        return _CutOut(Picture(pixels, alpha).resized(*size), shrink, touches)
    pixels, alpha = (
        plane.resized(*size).pixels.float() for plane in (Picture(pixels), Picture(alpha.expand(-1, 3, -1, -1)))
    )
    alpha = tightened(pixels, alpha[:, :1])
    return _CutOut(Picture(*decontaminated(pixels, alpha)), shrink, touches)


def _scale(height: int, width: int, market: Marketplace) -> float:
    """What a product of that size is enlarged by."""
    return market.fill * min(market.height_px / height, market.width_px / width)


def _box(alpha: Tensor, least: float = 0.5) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right of what is more opaque than `least`; None when nothing is."""
    from engine.models.segment import bounds

    return bounds(alpha[0, 0] > least)


def _tilt(picture: Picture) -> float:
    from engine.models import straighten

    assert picture.alpha is not None
    return straighten.tilt(picture.alpha)


def _upright(picture: Picture, degrees: float) -> Picture:
    """Turned counterclockwise; colours count by their alpha."""
    import torch

    from engine.models.straighten import turned

    assert picture.alpha is not None
    alpha = picture.alpha.float()
    planes = turned(torch.cat([picture.pixels.float() * alpha, alpha], 1), degrees)
    alpha = planes[:, 3:].clamp(0, 1)
    return Picture((planes[:, :3] / alpha.clamp_min(1e-3)).clamp(0, 1), alpha)


def _framed(picture: Picture, market: Marketplace) -> tuple[Picture, float]:
    """The product in the middle of its white frame, and what it was enlarged by."""
    import torch.nn.functional as F

    assert picture.alpha is not None
    solid, all_of_it = _box(picture.alpha), _box(picture.alpha, _HAZE)
    assert solid is not None
    assert all_of_it is not None
    scale = _scale(solid[1] - solid[0], solid[3] - solid[2], market)
    top, bottom, left, right = all_of_it
    cut = Picture(picture.pixels[..., top:bottom, left:right], picture.alpha[..., top:bottom, left:right])
    cut = cut.resized(max(1, round(scale * cut.width)), max(1, round(scale * cut.height)))
    assert cut.alpha is not None
    alpha = ((cut.alpha.float() - _HAZE) / (1 - 2 * _HAZE)).clamp(0, 1)
    laid = 1 - alpha + alpha * cut.pixels.float()
    # The solid part stands in the middle; what is left of a shadow or a haze around it may be cut by the frame.
    down = round(market.height_px / 2 - scale * ((solid[0] + solid[1]) / 2 - top))
    across = round(market.width_px / 2 - scale * ((solid[2] + solid[3]) / 2 - left))
    around = (across, market.width_px - across - cut.width, down, market.height_px - down - cut.height)
    return Picture(F.pad(laid, around, value=1.0)), scale


STEP = Step(
    "listing",
    90,
    "Making the listing picture",
    placed,
    method="listing",
    sized=sized,
    whole_photo="A listing picture frames the whole photo, so it cannot be made of a part.",
    is_last="Listing crops and sizes the picture for good, so it is the last step of a chain.",
    settings=("marketplace",),
)
