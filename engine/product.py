"""The product on a photo: its mask, from a file, from the photo's transparency, or found by a plain background or a
network.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine import image
from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.image import Picture
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network, Weights

LOOKED_AT_PX = 1024  # longer side at which the product is looked for
CERTAIN = 0.5  # of the mask that is found: below it the background is not plain enough
SURE = 0.85  # the same where there is a network
_WHITE = 0.9  # least mean of the darkest channel of a background that counts as white
# When a network's mask is taken as it is: on a rough background, a floor or a cloth, where it holds half of what
# differs from that; on an even one, which shows pale products as well, where the two masks differ at edges only, as
# those of the network are smoother.
_LEAST_HELD, _LEAST_OVERLAP = 0.5, 0.9
_EDGE_PX = 2  # half of how wide an edge may be on which they are apart: a closed handle is wider
_ROUGH = 0.003  # mean difference of a rough background from its blurred self, of the copy that the network looks at


def given(file: str, photo: Picture, settings: Settings, what: str) -> Tensor:
    """A mask from a file, (1, 1, H, W) in [0, 1] at the photo's size. RequestError when its shape is another; `what`
    names it.
    """
    mask = image.load_mask(file, settings)
    height, width = mask.shape[2:]
    apart = abs(width * photo.height - height * photo.width)
    if apart > 0.02 * height * photo.width and apart > max(width, height):  # a small one may be rounded to whole pixels
        raise RequestError(f"The {what} has {width} x {height} pixels, which is not the shape of the photo.")
    return to_size(mask, photo)


def finder(weights: Weights) -> Generator[Progress, None, Network | None]:
    """The network that finds a product on any background; None where none comes with Vitrine."""
    names = [row.name for row in weights.table if row.task == "cut-out" and row.embedded]
    return (yield from weights.load_first(names))[0] if names else None


def of(photo: Picture, network: Network | None = None) -> Tensor | None:
    """The product's mask on a photo, (1, 1, H, W) in [0, 1]: what is opaque on a transparent one, else what `detect`
    finds on a small copy; None where there is none.
    """
    alpha = photo.alpha
    if alpha is not None and bool((alpha > 0.5).any()) and not bool((alpha > 0.5).all()):
        return alpha.float()
    known = detect(photo.on_white(), network, LOOKED_AT_PX)
    return known.mask if known and bool((known.mask > 0.5).any()) else None


@dataclass(frozen=True, eq=False)
class Detection:
    """A product's mask (1, 1, H, W) in [0, 1], and whether it is all that differs from a plain background."""

    mask: Tensor
    all_that_differs: bool


def detect(pixels: Tensor, network: Network | None, most_px: int | None = None) -> Detection | None:
    """The product on a photo (1, 3, H, W) in [0, 1]: on a plain background by that and `network` together, on others by
    the network; None where the background is not plain and there is no network.

    A network of the Hub was chosen by somebody, so it is used alone. most_px: longer side of a copy that is enough to
    find what differs; with None that has the finest edges.
    """
    plain = (
        None
        if network and not network.weight.embedded
        else on_plain_background(pixels, SURE if network else CERTAIN, most_px)
    )
    if network is None:
        return None if plain is None else Detection(plain, True)
    mask = by_network(pixels, network) if plain is None else with_network(pixels, plain, network)
    return Detection(mask, mask is plain)


def with_network(pixels: Tensor, plain: Tensor, network: Network) -> Tensor:
    """Of a photo (1, 3, H, W) on a plain background, the mask (1, 1, H, W) by `plain`, what differs from that
    background, and by a network together.

    On white that is `plain` itself, as nothing but the product differs from it. Folds, seams and shadows of a floor
    differ from its colour as well, and a product may have that colour in its middle, so elsewhere the network's mask is
    taken, unless it has lost a part of what stands out: then the two are reconciled. Where the network sees nothing,
    `plain` stays.
    """
    from engine.models import filters, guided, matte, segment

    small = segment.shrunk(pixels, matte.WORK_PX)
    mask = segment.shrunk(plain, max(small.shape[2:]))
    background = filters.maximum(mask, 4) < 0.05
    if not background.any() or float(small.amin(1, keepdim=True)[background].mean()) > _WHITE:
        return plain
    look = _look(small, network)
    seen = matte.agreed(small, look, guided.by_brightness)
    both = float(((seen > 0.5) & (mask > 0.5)).sum())
    held, overlap = (both / max(1.0, float(area.sum())) for area in (mask > 0.5, (seen > 0.5) | (mask > 0.5)))
    agreed = overlap > _LEAST_OVERLAP and not filters.eroded(((seen > 0.5) != (mask > 0.5))[0, 0], _EDGE_PX).any()
    if held > _LEAST_HELD if _is_rough(small, background) else agreed:
        return segment.to_full_size(pixels, small, seen)
    dark = matte.exposed(small, background)
    reconciled = matte.reconciled(dark, mask, (look, _look(dark, network)))
    return segment.corrected(pixels, plain, small, reconciled) if (reconciled > 0.5).any() else plain


def _is_rough(small: Tensor, background: Tensor) -> bool:
    """Whether the background, bool (1, 1, h, w), of a copy (1, 3, h, w) has a grain."""
    from engine.models.filters import box

    return float((small - box(small, 2)).abs().mean(1, keepdim=True)[background].mean()) > _ROUGH


def by_network(pixels: Tensor, network: Network) -> Tensor:
    """The matte (1, 1, H, W) in [0, 1] that a network sees on a photo (1, 3, H, W),
    brought to the photo's own edges.
    """
    from engine.models import matte, segment

    # A network that is applied in its own way has a method for it; any other gives logits as `matte` does.
    look = getattr(network.module, "product_on", partial(matte.product_on, network.module))
    small, seen = look(network.apply, pixels)
    return segment.to_full_size(pixels, small, seen)


def _look(small: Tensor, network: Network) -> Tensor:
    """What the network of Vitrine sees on a small copy (1, 3, h, w), before colours are compared: (1, 1, h, w) in
    [0, 1].
    """
    from engine.models import matte

    return network.apply(lambda x: matte.matte_of(network.module, x), small)


def on_plain_background(source: Tensor, least: float = CERTAIN, most_px: int | None = LOOKED_AT_PX) -> Tensor | None:
    """The mask (1, 1, H, W) of what differs from a plain background of a photo (1, 3, H, W) in [0, 1]; None where it is
    less than `least` certain that it is plain. most_px: longer side of the copy that is looked at; None: as it is.
    """
    import torch.nn.functional as F

    from engine.models import segment

    height, width = source.shape[2:]
    shrink = min(1.0, most_px / max(height, width)) if most_px else 1.0
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    looked = segment.product_mask(
        F.interpolate(source, size=size, mode="bilinear", antialias=True) if shrink < 1 else source
    )
    if looked.certainty < least or not (looked.mask > 0.5).any():
        return None
    return F.interpolate(looked.mask, size=(height, width), mode="bilinear") if shrink < 1 else looked.mask


def on_white(pixels: Tensor) -> Tensor:
    """The product's mask on a picture on white, (1, 3, H, W); where the background is not certain, all that is not
    white.
    """
    from engine.models import edges

    mask = on_plain_background(pixels)
    return edges.product(pixels) if mask is None else mask


def framed(photo: Picture, size_px: int) -> tuple[Tensor, bool]:
    """The product of a photo alone on white, (1, 3, S, S), in the middle as generators know it, and whether it was
    found.

    Where it cannot be told from its background, the whole photo is laid on the square.
    """
    import numpy as np
    import torch

    from engine.models.segment import bounds

    pixels = photo.fitted(min(LOOKED_AT_PX, max(photo.width, photo.height))).on_white()
    mask, box = on_plain_background(pixels), None
    if mask is not None:
        pixels, box = 1 - mask + mask * pixels, bounds(mask[0, 0] > 0.5)
    top, bottom, left, right = box or (0, pixels.shape[2], 0, pixels.shape[3])
    square = image.squared(Picture(pixels).pil(), (left, top, right, bottom), size_px)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255, mask is not None


def to_size(mask: Tensor, photo: Picture) -> Tensor:
    """A mask (1, 1, h, w) at the photo's size."""
    import torch.nn.functional as F

    if tuple(mask.shape[2:]) == (photo.height, photo.width):
        return mask
    return F.interpolate(mask, size=(photo.height, photo.width), mode="bilinear", antialias=True)


def looked_for(file: str | Path, weights: Weights, settings: Settings) -> Generator[Progress, None, Picture | None]:
    """The mask that `of` gives for the photo in a file, as a grey picture of at most LOOKED_AT_PX."""
    yield (looking := Progress(0, 0, "Looking for the product"))
    photo = image.load(file, settings)
    yield looking
    small = photo.fitted(min(LOOKED_AT_PX, max(photo.width, photo.height)))
    network = yield from finder(weights)
    yield looking
    mask = of(small, network)
    return None if mask is None else Picture(mask.expand(-1, 3, -1, -1))
