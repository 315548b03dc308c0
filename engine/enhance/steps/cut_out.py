"""The step that takes the product off its background and lays it on nothing, on white, on a colour or on a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import image, product
from engine.contract.enhance import GROUND_PICTURE
from engine.contract.errors import RequestError
from engine.contract.fields import rgb_of
from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.image import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

_DARKEST = 0.65  # of a shadow at its full strength
_ALL = 0.98  # of each pixel: what is taken off it is not seen


def cut_out(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """The product on the background of the request, its edges soft and without the old background's colour.

    Of a part of a photo the matte and the shadow are those of the whole.
    """
    import torch

    from engine.models import cutout

    whole = context.whole(photo)
    matte = _matte(whole, network, context)
    if not (matte > 0.5).any():
        raise RequestError("No product was found on the photo; draw where it is.")
    if (matte > _ALL).all():
        whose = (
            "The product's mask covers all of the photo"
            if context.request.product
            else "All of the photo was taken for the product"
        )
        context.remarks.append(f"{whose}, so there was nothing to cut off.")
    yield 1, 3
    darkness = _DARKEST * context.request.shadow
    shadow = (
        context.of_part(darkness * cutout.contact_shadow(matte), photo)
        if darkness
        else torch.zeros(1, 1, photo.height, photo.width)
    )
    colours, matte = cutout.decontaminated(photo.on_white(), context.of_part(matte, photo))
    yield 2, 3
    laid, alpha = cutout.laid(colours, matte, shadow, _background(photo, context))
    kept = photo.pixels.dtype
    return replace(photo, pixels=laid.to(kept), alpha=None if alpha is None else alpha.to(kept))


def _matte(photo: Picture, network: Network | None, context: StepContext) -> Tensor:
    """How much of each pixel is product, (1, 1, H, W)."""
    import torch

    pixels = photo.on_white()
    if context.request.product:
        matte = _given(pixels, photo, context)
    elif (known := product.detect(pixels, network)) is not None:
        matte = known.mask
        if network and known.all_that_differs:
            context.remarks.append("The background is plain, so the product is all that differs from it.")
    else:
        raise RequestError("The background is not plain enough to tell the product from it; draw where the product is.")
    return matte if photo.alpha is None else torch.minimum(matte, photo.alpha.float())


def _given(pixels: Tensor, photo: Picture, context: StepContext) -> Tensor:
    """The mask that a person drew, brought to the photo's own edges."""
    from engine.models import segment

    assert context.request.product is not None
    mask = product.given(context.request.product, photo, context.settings, "product's mask")
    return segment.to_full_size(pixels, segment.shrunk(pixels), segment.shrunk(mask))


def _background(photo: Picture, context: StepContext) -> Tensor | None:
    """What the product is laid on: a colour (1, 3, 1, 1), a picture (1, 3, H, W); None for nothing."""
    import torch

    chosen = context.request.cut_out_background
    if chosen == "transparent":
        return None
    if chosen == GROUND_PICTURE:
        assert context.request.ground is not None  # the request checks it
        whole = context.whole(photo)
        return context.of_part(
            image.load(context.request.ground, context.settings).filling(whole.width, whole.height).on_white(), photo
        )
    colour = "#ffffff" if chosen == "white" else chosen
    return torch.tensor(rgb_of(colour)).view(1, 3, 1, 1)


STEP = Step(
    "cut-out",
    50,
    "Cutting out",
    cut_out,
    instead=("the background's colour", "the product was found by its plain background"),
    given=lambda request: "the given mask" if request.product else "",
    lacks=lambda request: (
        "Add the picture that the product is to be laid on."
        if request.cut_out_background == GROUND_PICTURE and not request.ground
        else ""
    ),
    changes_background=True,
    settings=("cut_out_background", "shadow", "product", "ground"),
)
