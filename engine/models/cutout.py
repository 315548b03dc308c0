"""Taking a product off its background, so that it can stand before any other.

A pixel on the outline shows the product and white at once: x = alpha F + (1 - alpha) (Porter & Duff 1984). The
product's own colour F is carried out from just inside it (normalised convolution, Knutsson & Westin 1993); then alpha
is how far x lies on the way from white to F, and x without its share of white is the colour to be shown. Where the
product is nearly white itself, the mask that was found decides.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import guided
from engine.models.colour import strips
from engine.models.filters import dilated, eroded, feathered, maximum, minimum, wide_box
from engine.models.segment import bounds

_BAND = 1 / 80  # of the longer side, on either side of the mask's outline: where pixels may be part product, part white
_HAZE = 0.1  # below white: generators leave a haze that faint around their products, and a shadow under them
_PALE = 0.12  # distance of F from white below which its direction says little
_SMALL_PX = 512  # longer side at which colours are carried to the outline, and shadows are made
_SURE = 0.95  # alpha from which a pixel shows the product alone; 1 - _SURE: its background alone
_RIM_PX = 2  # of the small copy: how far inside the outline the background may still show
_SQUASHED, _LOWER = 0.14, 0.45  # a contact shadow: the lower part of the silhouette, and its height lying on the floor
_SHADOW_BLUR = 0.035  # of the product's longer side


@torch.no_grad()
def off_white(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (1, 3, H, W) and alpha (1, 1, H, W) of a product on white, `pixels` (1, 3, H, W) in [0, 1].

    mask: about where the product is, (1, 1, H, W) in [0, 1]. Laid on white again, the product is as it was, to within
    the haze.
    """
    reach = max(1, round(_BAND * max(pixels.shape[2:])))
    darkness = 1 - pixels.amin(1, keepdim=True)
    around = mask[0, 0] > 0.5
    solid = _without_haze(darkness[0, 0], around, 4 * reach)
    near, within, deep = (
        m.float()[None, None] for m in (dilated(around, reach), eroded(solid, max(1, reach // 2)), eroded(solid, reach))
    )
    # The outline itself is part white: what lies deeper counts far more, and of thin parts their strongest line.
    own = _carried(pixels, (1e-3 * solid + within + deep) * darkness.clamp_min(1e-2) ** 2, 2 * reach)
    ink = 1 - own
    length = ink.square().sum(1, keepdim=True)
    on_the_way = (((1 - pixels) * ink).sum(1, keepdim=True) / length.clamp_min(1e-6) - _HAZE) / (1 - 2 * _HAZE)
    sure = (length.sqrt() / _PALE).clamp(0, 1)
    alpha = torch.maximum(torch.lerp(mask, on_the_way.clamp(0, 1), sure), deep) * near
    unmixed = ((pixels - (1 - alpha)) / alpha.clamp_min(1e-3)).clamp(0, 1)
    return torch.where(alpha < 1, torch.lerp(own, unmixed, alpha), pixels), alpha


@torch.no_grad()
def decontaminated(pixels: Tensor, matte: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (1, 3, H, W) and alpha (1, 1, H, W) of a product before any background, `pixels` (1, 3, H, W), by its
    matte (1, 1, H, W).

    x = alpha F + (1 - alpha) B along the outline: F is carried there from inside, B from outside, on a small copy, as
    both are smooth. A rim that still shows the background becomes as transparent as its colour lies on the way from F
    to B, never more opaque than the matte, and what is shown of x is shown without its share of B. Beside stripes and
    checks there is no one F: the matte alone counts there, or those of the background's colour would go.
    """
    height, width = pixels.shape[2:]
    shrink = min(1.0, _SMALL_PX / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    small, coarse = (F.interpolate(t.float(), size=size, mode="area") for t in (pixels, matte))
    inside, outside = (coarse[0, 0] > _SURE), (coarse[0, 0] < 1 - _SURE)
    deep, far = (eroded(where, _RIM_PX).float()[None, None] for where in (inside, outside))
    reach = max(2, round(2 * _BAND * max(size)))
    squares = small.square().sum(1, keepdim=True)
    sides = [
        _carried(torch.cat([small, squares], 1), where + 1e-3 * share, reach)
        for where, share in ((deep, coarse), (far, 1 - coarse))
    ]
    own, behind = (side[:, :3] for side in sides)
    maps = (own, behind, _is_one_colour(*sides) * (1 - deep))
    own, behind, one_colour = (F.interpolate(t, size=(height, width), mode="bilinear").to(pixels.dtype) for t in maps)
    colours, alpha = torch.empty_like(pixels), torch.empty_like(matte)
    for strip in strips(pixels):
        x, share, f, b, known = (t[strip].float() for t in (pixels, matte, own, behind, one_colour))
        way = f - b
        length = way.square().sum(1, keepdim=True)
        on_the_way = (((x - b) * way).sum(1, keepdim=True) / length.clamp_min(1e-6) - _HAZE) / (1 - 2 * _HAZE)
        sure = (length.sqrt() / _PALE - 1).clamp(0, 1) * known
        seen = torch.lerp(share, torch.minimum(share, on_the_way.clamp(0, 1)), sure)
        unmixed = ((x - (1 - seen) * b) / seen.clamp_min(1e-3)).clamp(0, 1)
        colours[strip] = torch.where(seen < 1, torch.lerp(f, unmixed, seen), x).to(colours.dtype)
        alpha[strip] = seen.to(alpha.dtype)
    return colours, alpha


@torch.no_grad()
def tightened(pixels: Tensor, mask: Tensor) -> Tensor:
    """The alpha (1, 1, H, W) of a product whose mask, (1, 1, H, W) in [0, 1], was found on `pixels` (1, 3, H, W) and
    not learned.

    Along its soft edge a pixel is as transparent as its colour lies on the way to the background, never more opaque
    than the mask.
    """
    reach = max(2, round(_BAND * max(pixels.shape[2:])))
    least, most = minimum(mask), maximum(mask)
    own, behind = (
        _carried(pixels, (where + 1e-6), reach) for where in ((least > _SURE).float(), (most < 1 - _SURE).float())
    )
    way = own - behind
    length = way.square().sum(1, keepdim=True)
    on_the_way = (((pixels - behind) * way).sum(1, keepdim=True) / length.clamp_min(1e-6)).clamp(0, 1)
    sure = (length.sqrt() / _PALE).clamp(0, 1)
    return torch.where(least < 0.98, torch.lerp(mask, torch.minimum(mask, on_the_way), sure), mask)


@torch.no_grad()
def contact_shadow(alpha: Tensor) -> Tensor:
    """How dark the floor is under a product that stands on it, (1, 1, H, W) in [0, 1], of its alpha (1, 1, H, W).

    The lower part of the silhouette, laid flat across its lowest line and softened: darkest where the product stands.
    """
    height, width = alpha.shape[2:]
    shrink = min(1.0, _SMALL_PX / max(height, width))
    small = F.interpolate(
        alpha.float(), size=(max(1, round(height * shrink)), max(1, round(width * shrink))), mode="area"
    )
    found = bounds(small[0, 0] > 0.5)
    if found is None:
        return torch.zeros_like(alpha)
    top, bottom, left, right = found
    longer = max(bottom - top, right - left)
    lower = small[:, :, bottom - max(1, round(_LOWER * (bottom - top))) : bottom]
    flat = F.interpolate(lower, size=(max(1, round(_SQUASHED * lower.shape[2])), small.shape[3]), mode="area")
    room = small.shape[2] + flat.shape[2]  # below the picture too: a product may stand on its edge
    floor = torch.zeros(1, 1, room, small.shape[3])
    start = max(0, bottom - flat.shape[2] // 2)
    floor[:, :, start : start + flat.shape[2]] = flat
    blur = _SHADOW_BLUR * longer
    soft = 0.6 * feathered(floor, 2 * blur) + 0.4 * feathered(floor, blur)
    return (
        F.interpolate(soft[:, :, : small.shape[2]], size=(height, width), mode="bilinear").clamp(0, 1).to(alpha.dtype)
    )


@torch.no_grad()
def laid(colours: Tensor, alpha: Tensor, shadow: Tensor, background: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The product over its shadow over a background, a picture or a colour (1, 3, 1, 1): pixels (1, 3, H, W), and the
    alpha where there is no background.

    Without one the shadow is black of its own alpha (Porter & Duff 1984: over).
    """
    if background is not None:
        floor = background.to(colours.dtype) * (1 - shadow)
        return torch.lerp(floor, colours, alpha), None
    both = alpha + (1 - alpha) * shadow
    return colours * (alpha / both.clamp_min(1e-3)).clamp(max=1), both


def _is_one_colour(*sides: Tensor) -> Tensor:
    """How far both sides of an outline have one colour each, in [0, 1], by the means (1, 3, h, w) of their colours and,
    as a fourth, of the squared lengths of these.
    """
    between = (sides[0][:, :3] - sides[1][:, :3]).square().sum(1, keepdim=True) / 4
    within = (
        torch.stack([side[:, 3:] - side[:, :3].square().sum(1, keepdim=True) for side in sides]).clamp_min(0).mean(0)
    )
    return guided.trust_in_colour(between / (between + within).clamp_min(1e-6))


def _without_haze(darkness: Tensor, solid: Tensor, steps: int) -> Tensor:
    """The mask (h, w) less what is as good as white and reached from outside through such pixels in that many steps."""
    clear = darkness >= _HAZE
    for _ in range(steps):
        solid = solid & (eroded(solid, 1) | clear)
    return solid


def _carried(values: Tensor, weight: Tensor, reach: int) -> Tensor:
    """Weighted mean of values (1, C, H, W) over a window of 2 reach + 1; the mean of all where nothing there has
    weight.
    """
    both = torch.cat([values * weight, weight], 1)
    near = wide_box(both, reach, "zeros") + 1e-6 * both.mean((2, 3), keepdim=True)
    return near[:, :-1] / near[:, -1:].clamp_min(1e-15)
