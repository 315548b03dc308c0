"""Colours of the screen: the curve of sRGB, luma, CIELAB and OKLab. Each formula stands here and nowhere else.

- IEC 61966-2-1:1999, the transfer curve and the primaries of sRGB.
- Rec. ITU-R BT.601 and BT.709, luma: the first is JPEG's and what papers measure on, the second is that of sRGB's
  primaries.
- CIE 15:2004, CIELAB, with the exact fractions instead of the rounded ones.
- Ottosson, A perceptual color space for image processing, 2020: OKLab.
"""

from __future__ import annotations

import torch
from torch import Tensor

REC601 = (0.299, 0.587, 0.114)
REC709 = (0.2126, 0.7152, 0.0722)
# Luma and two differences of colours that are not scaled: a cheap space in which to weigh chroma apart from light.
CHROMA = ((*REC601,), (-0.5, 0.0, 0.5), (-0.5, 1.0, -0.5))

_XYZ = (  # of linear sRGB
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_CONES = (  # of linear sRGB, for OKLab
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OPPONENTS = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] of any shape as light in [0, 1]."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp_min(0) + 0.055) / 1.055).pow(2.4))


def from_linear(light: Tensor) -> Tensor:
    """Light of any shape as sRGB. What is above 1 stays above 1."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(1e-6).pow(1 / 2.4) - 0.055)


def luma(pixels: Tensor, weights: tuple[float, float, float] = REC601) -> Tensor:
    """The weighted sum of sRGB (N, 3, ...), as it is coded: (N, 1, ...), in the same range."""
    red, green, blue = pixels.split(1, 1)
    found: Tensor = weights[0] * red + weights[1] * green + weights[2] * blue
    return found


def to_lab(pixels: Tensor) -> Tensor:
    """CIELAB (D65) of sRGB (N, 3, H, W) in [0, 1]: L in [0, 100], a and b about [-128, 128]; same shape."""
    light = torch.where(pixels <= 0.04045, pixels / 12.92, _power((pixels.clamp_min(0.04045) + 0.055) / 1.055, 2.4))
    to_xyz = torch.tensor(_XYZ, device=pixels.device, dtype=pixels.dtype)
    # Relative to white, so that greys have no colour.
    xyz = torch.einsum("ij,njhw->nihw", to_xyz / to_xyz.sum(1, keepdim=True), light)
    f = torch.where(xyz > 216 / 24389, _power(xyz.clamp_min(1e-6), 1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _power(t: Tensor, exponent: float) -> Tensor:
    """Of positive numbers, in half the time of `**`: whole photos go through here."""
    return t.log().mul_(exponent).exp_()


def oklab(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] as OKLab: lightness in [0, 1] (0 black, 1 white) and two opponent colours within about +-0.3.

    (N, 3, H, W) in and out.
    """
    return _mixed(_OPPONENTS, _mixed(_CONES, to_linear(srgb)).clamp_min(0).pow(1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """OKLab (N, 3, H, W) as sRGB in [0, 1]. What no screen can show is brought in by taking colour off, not light."""
    lightness = lab[:, :1].clamp(0, 1)
    cones = _mixed(_inverse(_OPPONENTS), torch.cat([lightness, lab[:, 1:]], 1))
    linear = in_gamut(_mixed(_inverse(_CONES), cones * cones.square()), lightness.pow(3))
    return from_linear(linear).clamp(0, 1)


def in_gamut(rgb: Tensor, grey: Tensor) -> Tensor:
    """RGB (N, 3, H, W), moved straight towards a grey (N, 1, H, W) in [0, 1] as far as it takes to lie in [0, 1]."""
    colour = rgb - grey
    above, below = colour.amax(1, keepdim=True), -colour.amin(1, keepdim=True)
    share = torch.minimum((1 - grey) / above.clamp_min(1e-9), grey / below.clamp_min(1e-9)).clamp(max=1)
    return (grey + share * colour).clamp(0, 1)


def _mixed(matrix: tuple[tuple[float, ...], ...], pixels: Tensor) -> Tensor:
    return torch.einsum("dc,nchw->ndhw", torch.tensor(matrix, dtype=pixels.dtype, device=pixels.device), pixels)


def _inverse(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in torch.linalg.inv(torch.tensor(matrix, dtype=torch.float64)).tolist())
