"""Finding the product on a plain background without a network.

The background is what most of the picture's border agrees on, continued as a smooth surface of colour (CIELAB): a
polynomial, fitted again to the region it explains, then bent to the soft shadows and floor lines left over
(normalised convolution, Knutsson & Westin 1993). Whatever the border reaches through pixels that match the surface, or
that are a smooth shadow on it, is background. All of this happens on a small copy; a guided filter
(engine/models/guided.py) carries the mask to full size along the picture's own edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import filters, guided
from engine.models.filters import dilated, eroded, gaussian_kernel
from engine.models.srgb import to_lab

WORK_PX = 320  # longer side of the small copy
STRIP_PX = 1 << 20  # of the full picture that are refined at a time
_MOST_ROUNDS = 60  # of a flood; each goes round one more corner, and products take about ten
_LEAST_AREA = 0.0008  # of the picture, for a product or a hole: less is dust
_STRIPE = 0.02  # of the longer side: an enclosed area that is narrower is no hole


@dataclass(frozen=True, eq=False)
class Mask:
    """mask: float (1, 1, H, W) in [0, 1], 1 = product. certainty in [0, 1]: how plain the background is and how clearly
    the product stands out from it; 0 where nothing stands out, as there is then no product to be certain of."""

    mask: Tensor
    certainty: float


class _Look(NamedTuple):
    """The small copy against its background; all (h, w) but the first."""

    lab: Tensor  # (3, h, w)
    distance: Tensor  # from the background's colour, in delta E 1976
    noise: float  # the background's own median distance
    smooth: Tensor  # bool: where colour changes too slowly for the outline of a product
    shadow: Tensor  # bool: darker by a factor, of the same tint
    gradient: Tensor  # delta E per px
    gradient_noise: float


@torch.no_grad()
def product_mask(pixels: Tensor) -> Mask:
    """The product of `pixels`, (1, 3, H, W) in [0, 1] of any size and any float type.

    Never raises for a strange picture.
    """
    small = shrunk(pixels)
    look = _look_at(to_lab(small)[0])
    product, outside = _divided(look, scale=small.shape[-1] / pixels.shape[-1])
    return Mask(_refined(pixels, small, product), _certainty(look, product, outside))


def shrunk(pixels: Tensor, most_px: int = WORK_PX) -> Tensor:
    """Means of areas, (1, C, h, w) float32 with a longer side of at most `most_px`."""
    height, width = pixels.shape[-2:]
    scale = most_px / max(height, width)
    if scale >= 1:
        return pixels.float()
    return F.interpolate(
        pixels, size=(max(1, round(height * scale)), max(1, round(width * scale))), mode="area"
    ).float()


def _look_at(lab: Tensor) -> _Look:
    height, width = lab.shape[1:]
    surface, region = _background(lab[:, ::2, ::2])  # smooth, so every other pixel is enough
    surface = F.interpolate(surface[None], size=(height, width), mode="bilinear")[0]
    region = region.repeat_interleave(2, 0).repeat_interleave(2, 1)[:height, :width]
    distance = _length(lab - surface)
    noise = _median(distance, region)
    gradient = _gradient(lab)
    gradient_noise = _median(gradient, region)
    # A shadow scales light by one factor; CIELAB's cube roots make that one factor on L + 16, a and b.
    factor = (lab[0] + 16) / (surface[0].clamp_min(0) + 16)
    tint = _length(lab[1:] - factor * surface[1:])
    # Half way up an outline of two pixels the gradient is as large as the distance, on a soft shadow's edge a tenth of
    # it.
    smooth = gradient < (0.6 + 2.5 * gradient_noise + 0.2 * distance).clamp(max=5)
    shadow = (factor > 0.5) & (factor < 1.01) & (tint < min(max(4, 3 * noise), 8))
    return _Look(lab, distance, noise, smooth, shadow, gradient, gradient_noise)


def _median(t: Tensor, region: Tensor) -> float:
    """Of every other row and column; far more than any plain background has where the region is empty."""
    values = t[::2, ::2][region[::2, ::2]]
    return float(values.median()) if len(values) else 10.0


def _background(lab: Tensor) -> tuple[Tensor, Tensor]:
    """The background's colour everywhere, (3, h, w), and where it was seen, bool (h, w)."""
    border, frame = _frame(lab, max(1, round(0.03 * min(lab.shape[1:])))), _frame(lab, 1)
    surface = _commonest(lab[:, border])[:, None, None].expand_as(lab)
    known = border & (_length(lab - surface) < 10)
    for order in (1, 1, 2, 2):  # a product that touches the border falls out as the surface is allowed to bend
        surface = _polynomial(lab, known, order)
        distance = _length(lab - surface)
        tolerance = (3 * distance[known].median()).clamp(4, 9)
        closer = border & (distance < tolerance)
        if closer.sum() < known.sum() / 2:
            break
        known = closer
    for order in (2, 3):
        region = flooded(frame, distance < tolerance)
        if not region.any():
            return surface, region
        surface = _polynomial(lab, region, order)
        distance = _length(lab - surface)
        tolerance = (3 * distance[region].median()).clamp(3, 8)
    region = eroded(flooded(frame, distance < tolerance), 1)  # without the product's blurred outline
    return _bent(lab, surface, region), region


def _commonest(colours: Tensor) -> Tensor:
    """Of colours (3, n), one that most others are near to, (3,)."""
    candidates = colours[:, torch.linspace(0, colours.shape[1] - 1, min(colours.shape[1], 64)).long()]
    votes = (torch.cdist(candidates.T, colours.T) < 8).sum(1)
    return candidates[:, votes.argmax()]


def _polynomial(lab: Tensor, known: Tensor, order: int) -> Tensor:
    """Least squares over the known pixels, (3, h, w); a slight ridge penalty keeps terms that they do not determine at
    0.
    """
    height, width = known.shape
    y, x = torch.meshgrid(_axis(height), _axis(width), indexing="ij")
    basis = torch.stack([x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)])  # (T, h, w)
    at = known.flatten().nonzero()[:, 0]
    at = at[:: max(1, len(at) // 4000)]
    a, b = basis.flatten(1).index_select(1, at).double(), lab.flatten(1).index_select(1, at).double()
    ridge = torch.full((len(a),), 1e-4 * a.shape[1] + 1e-9, dtype=torch.float64)
    ridge[0] = 1e-9
    weights = torch.linalg.solve(a @ a.T + ridge.diag(), a @ b.T).float()
    return torch.einsum("thw,tc->chw", basis, weights)


def _axis(n: int) -> Tensor:
    return torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1)


def _bent(lab: Tensor, surface: Tensor, region: Tensor, cell_px: int = 4) -> Tensor:
    """The surface plus the smoothed rest that the region shows; far from the region the surface alone."""
    height, width = region.shape
    rest = torch.cat([(lab - surface) * region, region[None].float()])[None]
    cells = F.avg_pool2d(F.pad(rest, (0, -width % cell_px, 0, -height % cell_px)), cell_px)
    cells = F.conv2d(cells, gaussian_kernel(2.0, 5).expand(4, 1, -1, -1), padding=5, groups=4)
    cells = cells[:, :3] / (cells[:, 3:] + 0.02)
    return surface + F.interpolate(cells, scale_factor=cell_px, mode="bilinear")[0, :, :height, :width]


def _divided(look: _Look, scale: float) -> tuple[Tensor, Tensor]:
    """The product and the background around it, both bool (h, w). What is in neither is holes and dust."""
    matches = (look.distance < _tolerance(look)) | _ripples(look, scale)
    either = matches | (look.shadow & look.smooth)
    # Shadows are entered only where they are five pixels wide: the outline of a grey product has gaps, but small ones.
    outside = flooded(_frame(look.lab, 1) & matches, matches | eroded(either, 2))
    outside = outside | (dilated(outside, 2) & either)
    product = ~(outside | _holes(look, outside, either, scale))
    reach = min(3, max(1, round(3 * scale)))
    product &= dilated(eroded(product, reach), reach) | (look.distance > 8)  # what ripples are left are thin
    return _without_dust(product, look), outside


def _ripples(look: _Look, scale: float) -> Tensor:
    """What JPEG makes of the background beside strong outlines, as far as a block is wide; shrinking by two averages it
    out.
    """
    if scale < 0.5:
        return torch.zeros_like(look.shadow)
    return dilated(look.distance > 45, round(8 * scale)) & (look.distance < 3)


def _tolerance(look: _Look) -> float:
    return min(max(1.5, 2.6 * look.noise), 8.0)


def _holes(look: _Look, outside: Tensor, either: Tensor, scale: float) -> Tensor:
    """Smooth areas inside the product that match the background as a whole: a handle's hole does, while a stripe of its
    colour is narrow, and a body that matches it here and there is shaded."""
    flat = ~outside & (look.gradient < 1 + 2.5 * look.gradient_noise)
    names = components(flat)
    area = torch.bincount(names).float()
    close = look.distance < min(max(1.0, 3 * look.noise), 5.0)
    wide = eroded(flat, max(1, round(_STRIPE * max(flat.shape) / 2)))
    is_hole = (area > _LEAST_AREA * flat.numel()) & (_share(wide, names, area) > 0)
    matches = (look.distance < _tolerance(look)) | (look.shadow & look.smooth)  # without what ripples may hide
    is_hole &= (_share(close, names, area) > 0.35) & (_share(matches, names, area) > 0.97)
    holes = is_hole[names].view_as(flat) & flat
    for _ in range(max(2, round(6 * scale))):  # up to the outline, over its ripples
        holes = dilated(holes, 1) & either & ~outside
    return holes


def _without_dust(product: Tensor, look: _Look) -> Tensor:
    """The product less what is tiny, and what stands out far less than the rest: a corner of the background, a bit of
    shadow.
    """
    names = components(product)
    area = torch.bincount(names).float()
    farthest = torch.zeros(len(area)).scatter_reduce_(0, names, look.distance.flatten() * product.flatten(), "amax")
    stands_out = farthest > max(2.5 * _tolerance(look), 0.2 * float(farthest.max()))
    return product & ((area > _LEAST_AREA * product.numel()) & stands_out)[names].view_as(product)


def _share(what: Tensor, names: Tensor, area: Tensor) -> Tensor:
    """Per component, how much of it is `what`."""
    return torch.bincount(names, what.flatten().float(), len(area)) / area.clamp_min(1)


def _certainty(look: _Look, product: Tensor, outside: Tensor) -> float:
    """The least of three: the border is mostly background, the background is even, the outline stands out."""
    if not product.any():
        return 0.0
    border = float(outside[_frame(look.lab, 1)].float().mean())
    outline = product & ~eroded(product, 2)
    contrast = float(look.distance[outline].median()) / _tolerance(look)
    return min(_ramp(border, 0.3, 0.7), _ramp(look.noise, 9.0, 5.0), _ramp(contrast, 1.0, 3.0))


def _ramp(value: float, nothing: float, everything: float) -> float:
    return min(max((value - nothing) / (everything - nothing), 0.0), 1.0)


def _refined(pixels: Tensor, small: Tensor, product: Tensor) -> Tensor:
    """The mask at full size, (1, 1, H, W)."""
    return to_full_size(pixels, small, product.float()[None, None])


@torch.no_grad()
def to_full_size(pixels: Tensor, small: Tensor, matte: Tensor) -> Tensor:
    """The matte (1, 1, h, w) of a small copy (1, 3, h, w) at the size of `pixels` (1, 3, H, W): near its outline a
    linear function of colour, fitted around each pixel, so that it follows the picture's own edges where the colours of
    both sides differ.
    """
    height, width = pixels.shape[-2:]
    mask = torch.zeros(1, 1, height, width)
    if not (matte > 0.5).any():
        return mask
    within, near = (
        eroded(matte[0, 0] > 0.5, 2) & (matte[0, 0] > 0.9),
        dilated(matte[0, 0] > 0.1, 2),
    )  # bounds outside the band where colour decides
    small_maps = torch.cat(
        [guided.coefficients(pixels, small, matte), within.float()[None, None], near.float()[None, None]], 1
    )
    small_height = matte.shape[2]
    wide = F.interpolate(small_maps, size=(small_height, width), mode="bilinear")  # (1, 6, h, W)
    rows = ((torch.arange(height) + 0.5) * small_height / height - 0.5).clamp(0, small_height - 1)
    above = rows.long().clamp(max=max(0, small_height - 2))
    below, part = (above + 1).clamp(max=small_height - 1), (rows - above)[:, None]
    step = max(1, STRIP_PX // width)
    for y in range(0, height, step):
        strip = slice(y, y + step)
        maps = torch.lerp(
            wide.index_select(2, above[strip]), wide.index_select(2, below[strip]), part[strip]
        )  # (1, 6, rows, W)
        colour = pixels[:, :, strip].float()
        alpha = maps[:, 3:4]
        for channel in range(3):
            alpha = alpha.addcmul(maps[:, channel : channel + 1], colour[:, channel : channel + 1])
        alpha = guided.steeper(alpha).clamp(0, 1)  # 1 to 2 px soft at full size
        mask[:, :, strip] = torch.minimum(torch.maximum(alpha, maps[:, 4:5]), maps[:, 5:6])
    return mask


@torch.no_grad()
def corrected(pixels: Tensor, mask: Tensor, small: Tensor, matte: Tensor) -> Tensor:
    """A mask (1, 1, H, W) of `pixels` (1, 3, H, W), but the matte (1, 1, h, w) of their small copy, at full size, where
    that differs and where it has nothing near: edges on which both agree stay as fine as the mask's.
    """
    differs = (shrunk(mask, max(matte.shape[2:])) > 0.5) != (matte > 0.5)
    other = dilated(differs[0, 0], 1) | ~dilated(matte[0, 0] > 0.1, 2)
    share = F.interpolate(other[None, None].float(), size=mask.shape[2:], mode="bilinear")
    return torch.lerp(mask, to_full_size(pixels, small, matte), share)


def _frame(lab: Tensor, thickness: int) -> Tensor:
    """True within `thickness` of the picture's edge, (h, w)."""
    frame = torch.ones(lab.shape[1:], dtype=torch.bool)
    frame[thickness:-thickness, thickness:-thickness] = False
    return frame


def _length(t: Tensor) -> Tensor:
    """Over the first dimension; many times faster than Tensor.norm there."""
    return t.square().sum(0).sqrt()


def _gradient(lab: Tensor) -> Tensor:
    """Length of the central differences, delta E per px, (h, w)."""
    across, down = filters.gradient(lab[None])
    return (across.square() + down.square()).sum(1).sqrt()[0]


def bounds(inside: Tensor) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right of all that is not zero in (h, w), the last two exclusive; None where all is."""
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if len(rows) else None


def flooded(seeds: Tensor, passable: Tensor) -> Tensor:
    """What rows and columns of passable pixels lead to from the seeds (4-connected), bool (h, w)."""
    reached = seeds & passable
    sides = (passable, passable.flip(1), passable.T, passable.T.flip(1))
    walls = [_last(~side) for side in sides]
    for _ in range(_MOST_ROUNDS):
        before = reached
        # A pixel is reached if, going along a line, the last reached pixel is nearer than the last wall.
        reached = (_last(reached) > walls[0]) | (_last(reached.flip(1)) > walls[1]).flip(1)
        turned = reached.T
        reached = ((_last(turned) > walls[2]) | (_last(turned.flip(1)) > walls[3]).flip(1)).T
        if torch.equal(reached, before):
            break
    return reached


def _last(mask: Tensor) -> Tensor:
    """The place in its row, from 1, of the last True up to each pixel; 0 if there is none."""
    return (mask * torch.arange(1, mask.shape[1] + 1, dtype=torch.int16)).cummax(1).values


def components(mask: Tensor) -> Tensor:
    """The number of each pixel's 4-connected component from 1 up, 0 outside the mask; int64 (h w,)."""
    height, width = mask.shape
    inside = mask.flatten()
    rows, columns = _runs(mask), _runs(mask.T)
    names = torch.arange(1.0, mask.numel() + 1) * inside  # float32 holds whole numbers to 2^24
    for _ in range(_MOST_ROUNDS):  # the largest name runs along rows, then columns
        before = names
        names = torch.zeros_like(names).scatter_reduce_(0, rows, names, "amax")[rows] * inside
        turned = names.view(height, width).T.reshape(-1)
        turned = torch.zeros_like(names).scatter_reduce_(0, columns, turned, "amax")[columns]
        names = turned.view(width, height).T.reshape(-1) * inside
        if torch.equal(names, before):
            break
    numbers = torch.zeros(mask.numel() + 1, dtype=torch.int64)
    names = names.long()
    numbers[names] = 1
    numbers[0] = 0
    return (numbers.cumsum(0) * numbers)[names]


def _runs(mask: Tensor) -> Tensor:
    """The number of the run of equal values along its row that each pixel is in, from 0 up, (h w,)."""
    starts = torch.ones_like(mask)
    starts[:, 1:] = mask[:, 1:] != mask[:, :-1]
    return starts.flatten().cumsum(0) - 1
