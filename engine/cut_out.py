"""The step that takes the product off its background and lays it on nothing, on white, on a colour or on a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import image, product
from engine.image import Picture
from engine.request import GROUND_PICTURE, RequestError
from engine.steps import How, Parts

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

_DARKEST = 0.65  # of a shadow at its full strength
_ALL = 0.98  # of each pixel: what is taken off it is not seen


def cut_out(photo: Picture, network: Network | None, how: How) -> Parts:
    """The product on the ground of the request, its edges soft and without the old background's colour.

    Of a part of a photo the matte and the shadow are those of the whole.
    """
    import torch

    from engine.models import cutout

    whole = how.whole(photo)
    matte = _matte(whole, network, how)
    if not (matte > 0.5).any():
        raise RequestError("No product was found on the photo; draw where it is.")
    if (matte > _ALL).all():
        whose = "The product's mask covers all of the photo" if how.request.product else "All of the photo was taken for the product"
        how.remarks.append(f"{whose}, so there was nothing to cut off.")
    yield 1, 3
    darkness = _DARKEST * how.request.shadow
    shadow = how.of_part(darkness * cutout.contact_shadow(matte), photo) if darkness else torch.zeros(1, 1, photo.height, photo.width)
    colours, matte = cutout.decontaminated(photo.on_white(), how.of_part(matte, photo))
    yield 2, 3
    laid, alpha = cutout.laid(colours, matte, shadow, _ground(photo, how))
    kept = photo.pixels.dtype
    return replace(photo, pixels=laid.to(kept), alpha=None if alpha is None else alpha.to(kept))


def _matte(photo: Picture, network: Network | None, how: How) -> Tensor:
    """How much of each pixel is product, (1, 1, H, W)."""
    import torch

    pixels = photo.on_white()
    if how.request.product:
        matte = _given(pixels, photo, how)
    elif (known := product.told(pixels, network)) is not None:
        matte = known.mask
        if network and known.all_that_differs:
            how.remarks.append("The background is plain, so the product is all that differs from it.")
    else:
        raise RequestError("The background is not plain enough to tell the product from it; draw where the product is.")
    return matte if photo.alpha is None else torch.minimum(matte, photo.alpha.float())


def _given(pixels: Tensor, photo: Picture, how: How) -> Tensor:
    """The mask that a person drew, brought to the photo's own edges."""
    from engine.models import segment

    assert how.request.product is not None
    mask = product.given(how.request.product, photo, how.settings, "product's mask")
    return segment.to_full_size(pixels, segment.shrunk(pixels), segment.shrunk(mask))


def _ground(photo: Picture, how: How) -> Tensor | None:
    """What the product is laid on: a colour (1, 3, 1, 1), a picture (1, 3, H, W); None for nothing."""
    import torch

    background = how.request.cut_out_background
    if background == "transparent":
        return None
    if background == GROUND_PICTURE:
        assert how.request.ground is not None  # the request checks it
        whole = how.whole(photo)
        return how.of_part(image.load(how.request.ground, how.settings).filling(whole.width, whole.height).on_white(), photo)
    colour = "#ffffff" if background == "white" else background
    return torch.tensor([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]).view(1, 3, 1, 1)
