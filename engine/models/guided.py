"""A mask brought to a picture's own edges: a guided filter in colour (He, Sun & Tang 2010, eq. 19).

Around each pixel the mask is a linear function of colour, fitted to a window of a small copy; taken there and used at
full size, that is the filter's fast form (He & Sun 2015). Colour and not luma, because a red product on a grey
background may have no edge in luma.

Where we leave the paper: the slope counts as far as the colours of what is surely product nearby and of what is surely
background lie apart (Fisher's discriminant, 1936). Without this, a striped shirt whose pale stripes have the colour of
the background would be found by its dark stripes alone, and its edge would become a comb. Where colour does not count,
the mask stays as smooth as it came.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.filters import maximum, wide_box

_RADIUS_PX, _FLOOR = 3, 2e-4  # on the small copy; the floor is a variance below which an edge is noise
_FINER = 3  # how many times the side of the small copy is where colours are still seen to vary
_RIM_PX, _NEAR_PX = 2, 6  # how far from the outline a pixel is surely of its side; how far around it such pixels count
_LEAST_SURE = 0.02  # of a window: with less of either side, as in a strap, colours count as they are
_GRAIN = 1e-3  # variance that every colour has
_MIXED, _APART = 0.5, 0.8  # of all variance, what lies between the two sides: colour does not count, or in full

_BRIGHTNESS_REACH_PX, _BRIGHTNESS_FLOOR = 4, 1e-3

_PAIRS = [(i, j) for i in range(3) for j in range(i, 3)]


@torch.no_grad()
def coefficients(pixels: Tensor, small: Tensor, mask: Tensor) -> Tensor:
    """Around each pixel the best mask = a . colour + b, as (1, 4, h, w): a, then b.

    small: the copy (1, 3, h, w) of `pixels` (1, 3, H, W) that the mask (1, 1, h, w) in [0, 1] is of; may be `pixels`
    itself.
    """
    means = wide_box(torch.cat([small, mask, small * mask, _products(small, small)], 1), _RADIUS_PX)
    colour, share = means[:, :3], means[:, 3:4]
    slope = _solved(_covariances(colour, means[:, 7:], _FLOOR), means[:, 4:7] - colour * share)
    fit = torch.cat([slope, share - (slope * colour).sum(1, keepdim=True)], 1)
    smooth = torch.cat([torch.zeros_like(slope), steeper(share).clamp(0, 1)], 1)
    return wide_box(torch.lerp(smooth, fit, trust_in_colour(separation(pixels, small, mask))), _RADIUS_PX)


@torch.no_grad()
def filtered(small: Tensor, mask: Tensor) -> Tensor:
    """A mask (1, 1, h, w) in [0, 1] of (1, 3, h, w): even inside, sharp where the picture is."""
    fit = coefficients(small, small, mask)
    return ((fit[:, :3] * small).sum(1, keepdim=True) + fit[:, 3:]).clamp(0, 1)


@torch.no_grad()
def by_brightness(small: Tensor, mask: Tensor) -> Tensor:
    """As `filtered`, guided by the mean of the channels alone, which counts everywhere: for a pale product on an even,
    pale background, whose colours hardly lie apart and whose brightness still has an edge.
    """
    grey = small.mean(1, keepdim=True)
    means = wide_box(torch.cat([grey, mask, grey * mask, grey * grey], 1), _BRIGHTNESS_REACH_PX)
    mean_grey, mean, both, square = means.split(1, dim=1)
    slope = (both - mean_grey * mean) / (square - mean_grey.square() + _BRIGHTNESS_FLOOR)
    fit = wide_box(torch.cat([slope, mean - slope * mean_grey], 1), _BRIGHTNESS_REACH_PX)
    return (fit[:, :1] * grey + fit[:, 1:]).clamp(0, 1)


def steeper(mask: Tensor) -> Tensor:
    """A mask that is as soft as the window, with an edge of a third of that; not clamped."""
    return (mask - 0.5) * 3 + 0.5


def trust_in_colour(between: Tensor) -> Tensor:
    """How far colour counts, in [0, 1], by the share of its variance that lies between the two sides."""
    return ((between - _MIXED) / (_APART - _MIXED)).clamp(0, 1)


def separation(pixels: Tensor, small: Tensor, mask: Tensor) -> Tensor:
    """Of the variance of colour along the line that separates both sides of a mask best, the share that lies between
    them, (1, 1, h, w).

    1 where one side has nothing sure nearby. Shapes as for `coefficients`.
    """
    products = _products(pixels, small)
    product = (mask > 0.5).float()
    moments, shares = [], []
    for other in (1 - product, product):
        sure = 1 - maximum(other, _RIM_PX)
        sums = F.avg_pool2d(
            torch.cat([small * sure, products * sure, sure], 1), 2, ceil_mode=True, count_include_pad=False
        )
        sums = wide_box(sums, _NEAR_PX // 2)  # so wide a window needs no more than every other pixel
        shares.append(sums[:, 9:])
        moments.append(sums[:, :9] / sums[:, 9:].clamp_min(1e-6))
    within = torch.stack([_covariances(m[:, :3], m[:, 3:], _GRAIN) for m in moments]).mean(0)
    way = moments[0][:, :3] - moments[1][:, :3]
    between = (way * _solved(within, way)).sum(1, keepdim=True) / 4
    found = torch.where(torch.minimum(*shares) > _LEAST_SURE, between / (1 + between), 1.0)
    return F.interpolate(found, size=small.shape[2:], mode="bilinear")


def _products(pixels: Tensor, small: Tensor) -> Tensor:
    """Means of the products of two channels each, (1, 6, h, w), of a copy that still shows what a small pixel averages:
    fine stripes.
    """
    height, width = small.shape[2:]
    finer = pixels
    if max(pixels.shape[2:]) > _FINER * max(height, width):
        finer = F.interpolate(pixels, size=(_FINER * height, _FINER * width), mode="area")
    products = torch.cat([finer[:, i : i + 1] * finer[:, j : j + 1] for i, j in _PAIRS], 1).float()
    return (
        products
        if products.shape[2:] == small.shape[2:]
        else F.interpolate(products, size=(height, width), mode="area")
    )


def _covariances(means: Tensor, products: Tensor, floor: float) -> Tensor:
    """Of colours by their means (1, 3, h, w) and those of their products: (1, 6, h, w)."""
    return torch.cat(
        [
            products[:, k : k + 1] - means[:, i : i + 1] * means[:, j : j + 1] + (floor if i == j else 0)
            for k, (i, j) in enumerate(_PAIRS)
        ],
        1,
    )


def _solved(matrices: Tensor, right: Tensor) -> Tensor:
    """x of S x = right, (1, 3, h, w), for symmetric 3x3 systems (1, 6, h, w), by Cramer's rule, in double because
    covariances of plain areas are tiny.
    """
    a, b, c, d, e, f = matrices.double().unbind(1)
    adjugate = (
        (d * f - e * e, c * e - b * f, b * e - c * d),
        (c * e - b * f, a * f - c * c, b * c - a * e),
        (b * e - c * d, b * c - a * e, a * d - b * b),
    )
    determinant = a * adjugate[0][0] + b * adjugate[1][0] + c * adjugate[2][0]
    return torch.stack(
        [sum(m * t for m, t in zip(row, right.unbind(1), strict=True)) / determinant for row in adjugate], 1
    ).float()
