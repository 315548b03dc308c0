"""How much a picture was changed: colour (CIEDE2000), structure (SSIM) and edges, everywhere or on either side of a
mask.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.filters import SOBEL, dilated, gaussian_window, gradient
from engine.models.srgb import luma, to_lab

MOST_PX = 500_000  # larger pictures are measured on means of areas
STRONG_EDGE = 0.06  # luma per px: a step of 30 grey levels of 255, half of which falls on either pixel
TOLERANCE_PX = 2

_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_STRIP_PX = 1 << 15  # worked on at a time: what lies in a core's own cache is done in half the time


@torch.no_grad()
def measures(before: Tensor, after: Tensor, mask: Tensor | None = None) -> dict[str, float]:
    """What changed between two pictures (1, 3, H, W) in [0, 1] of one size; ValueError if they are not.

    "mean ΔE" is the mean CIEDE2000: 0 is no change, 1 just visible, 100 black to white. "SSIM" is the mean structural
    similarity of luma, 1 if nothing changed. "edges kept" is `edge_agreement`. With a `mask` (1, 1, H, W) in [0, 1],
    1 = product, the same again with " product" and " background" behind each key, weighted by the mask and by 1 - mask;
    a side of less than a pixel is left out. Pictures of more than MOST_PX are scaled down to that by averaging first.
    """
    if before.shape != after.shape or (mask is not None and mask.shape[-2:] != before.shape[-2:]):
        raise ValueError(
            f"sizes differ: {tuple(before.shape)}, {tuple(after.shape)}"
            + ("" if mask is None else f", mask {tuple(mask.shape)}")
        )
    before, after = _at_most(before), _at_most(after)
    colour, structure, edges = (
        delta_e_2000(before, after),
        ssim_map(before, after),
        (_strong_edges(before), _strong_edges(after)),
    )
    sides = {"": torch.ones_like(colour)}
    if mask is not None:
        product = _at_most(mask)
        sides |= {" product": product, " background": 1 - product}
    found = {}
    for side, weight in sides.items():
        area = float(weight.sum())
        if area >= 1:
            found[f"mean ΔE{side}"] = float((colour * weight).sum()) / area
            found[f"SSIM{side}"] = float((structure * weight).sum()) / area
            found[f"edges kept{side}"] = _agreement(*edges, weight)
    return found


@torch.no_grad()
def delta_e_2000(a: Tensor, b: Tensor) -> Tensor:
    """CIEDE2000 between sRGB pictures (N, 3, H, W) in [0, 1], per pixel, (N, 1, H, W); all weights k are 1."""
    rows = max(1, _STRIP_PX // a.shape[-1])
    return torch.cat(
        [lab_delta_e_2000(to_lab(p), to_lab(q)) for p, q in zip(a.split(rows, 2), b.split(rows, 2), strict=True)],
        2,
    )


def lab_delta_e_2000(a: Tensor, b: Tensor) -> Tensor:
    """CIEDE2000 (Sharma, Wu & Dalal 2005, eqs. 2 to 22) between CIELAB (N, 3, H, W), per pixel, (N, 1, H, W).

    Hues are kept as directions instead of angles, which needs one arc tangent instead of three; the mean hue is then
    the direction half way between the two, by the shorter side as in the paper. Exactly opposite hues have none: they
    count as a hue of no direction, and the paper's choice between the two sides is left out.
    """
    light_1, a_1, b_1 = a.split(1, 1)
    light_2, a_2, b_2 = b.split(1, 1)
    stretch = 1.5 - 0.5 * _saturated((torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2)
    a_1, a_2 = a_1 * stretch, a_2 * stretch
    chroma_1, chroma_2 = torch.hypot(a_1, b_1), torch.hypot(a_2, b_2)
    light, chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    cos_h, sin_h, hue_difference = _hues(a_1, b_1, chroma_1, a_2, b_2, chroma_2)

    cos_2, sin_2 = cos_h * cos_h - sin_h * sin_h, 2 * sin_h * cos_h
    cos_3, sin_3 = cos_2 * cos_h - sin_2 * sin_h, sin_2 * cos_h + cos_2 * sin_h
    cos_4, sin_4 = cos_2 * cos_2 - sin_2 * sin_2, 2 * sin_2 * cos_2
    t = (
        1
        - 0.17 * _turned(cos_h, sin_h, 30)
        + 0.24 * cos_2
        + 0.32 * _turned(cos_3, sin_3, -6)
        - 0.20 * _turned(cos_4, sin_4, 63)
    )

    middle = (light - 50).square()
    lightness = (light_2 - light_1) / (1 + 0.015 * middle * (20 + middle).rsqrt())
    colourfulness = (chroma_2 - chroma_1) / (1 + 0.045 * chroma)
    hue = hue_difference / (1 + 0.015 * chroma * t)

    from_blue = torch.atan2(
        _turned(cos_h, sin_h, 275 + 90), _turned(cos_h, sin_h, 275)
    )  # the mean hue less 275 degrees
    angle = math.radians(60) * torch.exp(-(from_blue / math.radians(25)).square())  # twice the paper's 30 degrees
    rotation = -2 * _saturated(chroma) * torch.sin(angle)
    found: Tensor = (
        (lightness.square() + colourfulness.square() + hue.square() + rotation * colourfulness * hue)
        .clamp_min(0)
        .sqrt()
    )
    return found


def _saturated(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), without powers that overflow."""
    c = chroma / 25
    seventh = (c * c * c).square() * c
    return (seventh / (seventh + 1)).sqrt()


def _hues(
    a_1: Tensor, b_1: Tensor, chroma_1: Tensor, a_2: Tensor, b_2: Tensor, chroma_2: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine and sine of the mean hue, and 2 sqrt(C1 C2) sin(half the difference of hues)."""
    one, two = chroma_1.clamp_min(1e-9), chroma_2.clamp_min(1e-9)
    x, y = a_1 / one + a_2 / two, b_1 / one + b_2 / two  # a grey has no direction: the mean is then the other's
    length = torch.hypot(x, y).clamp_min(1e-9)
    both, dot, cross = chroma_1 * chroma_2, a_1 * a_2 + b_1 * b_2, a_1 * b_2 - a_2 * b_1
    # Either form loses its digits where the other is used.
    near, far = (
        cross * (2 / (both + dot).clamp_min(1e-9)).sqrt(),
        torch.sign(cross) * (2 * (both - dot)).clamp_min(0).sqrt(),
    )
    far = torch.where(cross == 0, (2 * (both - dot)).clamp_min(0).sqrt(), far)
    return x / length, y / length, torch.where(dot > 0, near, far)


def _turned(cos: Tensor, sin: Tensor, degrees: float) -> Tensor:
    """cos(angle - degrees)."""
    return cos * math.cos(math.radians(degrees)) + sin * math.sin(math.radians(degrees))


def ssim_map(a: Tensor, b: Tensor, *, light: bool = True) -> Tensor:
    """Structural similarity of the lumas of sRGB pictures (N, 3, H, W) in [0, 1], per pixel, (N, 1, H, W) in [-1, 1].

    Wang et al. 2004, eq. 13: Gaussian window of 11 px and sigma 1.5, C1 = 0.01^2, C2 = 0.03^2; the paper does not go
    to the border, here the picture is reflected there. Without `light` the means are not compared, only contrast and
    structure.
    """
    height, width = a.shape[-2:]
    reach = _WINDOW_PX // 2
    beyond = _reflected(height, reach, a.device)
    x, y = (luma(t).index_select(2, beyond) for t in (a, b))  # (N, 1, H + 10, W)
    step = max(1, _STRIP_PX // width)
    ends = [(top, min(top + step, height) + 2 * reach) for top in range(0, height, step)]
    return torch.cat([_similarity(x[:, :, top:end], y[:, :, top:end], light) for top, end in ends], 2)


def _similarity(x: Tensor, y: Tensor, light: bool) -> Tensor:
    """SSIM of lumas (N, 1, H, W) that bring half a window more above and below, (N, 1, H - 10, W)."""
    mean_x, mean_y, squares, xy = _blurred(torch.cat([x, y, x * x + y * y, x * y], 1)).split(1, 1)
    means = mean_x * mean_y
    mean_squares = mean_x * mean_x + mean_y * mean_y
    variances = (squares - mean_squares).clamp_min(0)
    structure = (2 * (xy - means) + _C2) / (variances + _C2)
    found: Tensor = structure * (2 * means + _C1) / (mean_squares + _C1) if light else structure
    return found


@torch.no_grad()
def edge_agreement(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """How far two pictures (1, 3, H, W) in [0, 1] have the same strong edges, in [0, 1].

    A strong edge is a pixel where the Sobel gradient of luma is longer than STRONG_EDGE. It is found again if the other
    picture has one at most TOLERANCE_PX to the side and as many up or down. The result is the F-measure: 2 p r / (p +
    r) with p the share of a's edges found in b, and r that of b's found in a; so edges that vanish count, and edges
    that appear. Neither has an edge: 1. `mask` (1, 1, H, W) weighs the pixels.
    """
    return _agreement(_strong_edges(a), _strong_edges(b), torch.ones_like(a[:, :1]) if mask is None else mask)


def _agreement(a: Tensor, b: Tensor, weight: Tensor) -> float:
    all_a, all_b = float((a * weight).sum()), float((b * weight).sum())
    found_a, found_b = (float((x * dilated(y, TOLERANCE_PX) * weight).sum()) for x, y in ((a, b), (b, a)))
    if all_a + all_b == 0:
        return 1.0
    if found_a * found_b == 0:
        return 0.0
    p, r = found_a / all_a, found_b / all_b
    return 2 * p * r / (p + r)


def _strong_edges(pixels: Tensor) -> Tensor:
    """bool (1, 1, H, W)."""
    across, down = gradient(luma(pixels), SOBEL)
    return across.square() + down.square() > STRONG_EDGE**2


def _blurred(t: Tensor) -> Tensor:
    """(N, C, H, W) through SSIM's window: rows reflected at the border, columns only as far as they go, (N, C, H - 10,
    W).
    """
    reach = _WINDOW_PX // 2
    window = gaussian_window(_SIGMA_PX, reach).tolist()
    across = _weighted(t, window, 2)
    return _weighted(across.index_select(3, _reflected(t.shape[3], reach, t.device)), window, 3)


def _weighted(t: Tensor, window: list[float], dim: int) -> Tensor:
    """Weighted means of neighbours along one dimension, which gets shorter by the window less one."""
    length = t.shape[dim] - len(window) + 1
    total = torch.zeros_like(t.narrow(dim, 0, length))
    for k, weight in enumerate(window):
        total.add_(t.narrow(dim, k, length), alpha=weight / sum(window))
    return total


def _reflected(n: int, reach: int, device: torch.device) -> Tensor:
    """Indices -reach to n + reach - 1, mirrored at the first and last pixel as often as it takes."""
    period = max(1, 2 * (n - 1))
    places = torch.arange(-reach, n + reach, device=device).remainder(period)
    return torch.minimum(places, period - places).clamp(0, n - 1)


def _at_most(t: Tensor) -> Tensor:
    """float32, of at most MOST_PX by averaging areas."""
    height, width = t.shape[-2:]
    scale = math.sqrt(MOST_PX / (height * width))
    if scale >= 1:
        return t.float()
    return F.interpolate(t, size=(max(1, int(height * scale)), max(1, int(width * scale))), mode="area").float()
