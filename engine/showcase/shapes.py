"""Signed distances of simple bodies, ways to join them, and noise and drawings to cover them; points are (3, N)
tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.contract.fields import rgb_of
from engine.models.srgb import to_linear


def length(*parts: Tensor) -> Tensor:
    """Euclidean length of vectors given by their components."""
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return total.sqrt()


def moved(p: Tensor, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Tensor:
    """Points as seen from (x, y, z)."""
    return p - torch.tensor([x, y, z]).view(3, 1)


def turned(p: Tensor, axis: str, degrees: float) -> Tensor:
    """Points as seen by a body turned by `degrees` about the axis "x", "y" or "z"."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    out = p.clone()
    out[i], out[j] = c * p[i] + s * p[j], c * p[j] - s * p[i]
    return out


def smooth_min(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Union with a fillet of width k (Quilez's quadratic blend)."""
    h = (k - (a - b).abs()).clamp_min(0) / k
    return torch.minimum(a, b) - h * h * (k / 4)


def smooth_max(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Intersection with a rounded edge of width k."""
    return -smooth_min(-a, -b, k)


def box(p: Tensor, half: Sequence[float], radius: float = 0.0) -> Tensor:
    """Box of the given half sizes, edges rounded by `radius`."""
    q = [p[i].abs() - (half[i] - radius) for i in range(3)]
    outside = length(*(c.clamp_min(0) for c in q))
    return outside + torch.maximum(q[0], torch.maximum(q[1], q[2])).clamp_max(0) - radius


def rounded(a: Tensor, b: Tensor, radius: float | Tensor) -> Tensor:
    """Where both distances less `radius` are negative, the corner between them rounded by it."""
    return length(a.clamp_min(0), b.clamp_min(0)) + torch.maximum(a, b).clamp_max(0) - radius


def box2(x: Tensor, y: Tensor, half_x: float | Tensor, half_y: float | Tensor, radius: float = 0.0) -> Tensor:
    """Rectangle of the given half sizes, corners rounded by `radius`."""
    return rounded(x.abs() - half_x + radius, y.abs() - half_y + radius, radius)


def extruded(flat: Tensor, along: Tensor, half: float, radius: float = 0.0) -> Tensor:
    """A flat shape's distance drawn out to +-half, edges rounded by `radius`."""
    return rounded(flat + radius, along.abs() - half + radius, radius)


def cylinder(p: Tensor, radius: float, half: float, rounding: float = 0.0) -> Tensor:
    """Upright cylinder of the half height `half`."""
    return extruded(length(p[0], p[2]) - radius, p[1], half, rounding)


def capsule(p: Tensor, a: Sequence[float], b: Sequence[float], radius: float) -> Tensor:
    """Round rod from a to b."""
    start = torch.tensor(list(a)).view(3, 1)
    axis = torch.tensor(list(b)).view(3, 1) - start
    q = p - start
    h = ((q * axis).sum(0) / (axis * axis).sum()).clamp(0, 1)
    q = q - axis * h
    return length(q[0], q[1], q[2]) - radius


def ellipsoid(p: Tensor, radii: Sequence[float]) -> Tensor:
    """Ellipsoid; a bound near the surface, not the exact distance."""
    k0 = length(*(p[i] / radii[i] for i in range(3)))
    k1 = length(*(p[i] / radii[i] ** 2 for i in range(3)))
    return k0 * (k0 - 1) / k1.clamp_min(1e-6)


class Curve:
    """A smooth curve through (x, y) points, x ascending, flat beyond the ends (monotone cubic, Fritsch and Carlson
    1980).
    """

    def __init__(self, *points: tuple[float, float]) -> None:
        xs, ys = np.array(points, dtype=np.float64).T
        slope = np.diff(ys) / np.diff(xs)
        m = np.zeros(len(xs))
        both = slope[:-1] * slope[1:] > 0
        m[1:-1][both] = 2 / (1 / slope[:-1][both] + 1 / slope[1:][both])
        fine = np.linspace(xs[0], xs[-1], 512)
        i = np.clip(np.searchsorted(xs, fine, side="right") - 1, 0, len(xs) - 2)
        h = xs[i + 1] - xs[i]
        t = (fine - xs[i]) / h
        hermite = (
            (1 + 2 * t) * (1 - t) ** 2 * ys[i]
            + t * (1 - t) ** 2 * h * m[i]
            + t * t * (3 - 2 * t) * ys[i + 1]
            + t * t * (t - 1) * h * m[i + 1]
        )
        self.table = torch.from_numpy(hermite.astype(np.float32))
        self.start, self.scale = float(xs[0]), 511 / float(xs[-1] - xs[0])

    def __call__(self, x: Tensor) -> Tensor:
        """y at each x."""
        place = ((x - self.start) * self.scale).clamp(0, 510.999)
        low = place.long()
        return self.table[low] + (self.table[low + 1] - self.table[low]) * (place - low)


class Noise:
    """Smooth noise in [-1, 1] from a seeded lattice that repeats every 32 units."""

    def __init__(self, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.lattice = torch.rand(32**3, generator=rng) * 2 - 1

    def __call__(self, p: Tensor, frequency: float = 1.0, octaves: int = 1) -> Tensor:
        """Sum of `octaves` at points (3, N), each twice as fine and half as strong."""
        total, strength = torch.zeros_like(p[0]), 1.0
        for octave in range(octaves):
            total = total + strength * self._layer(p * (frequency * 2**octave) + 7.3 * octave)
            strength /= 2
        return total

    def _layer(self, q: Tensor) -> Tensor:
        cell = q.floor()
        f = q - cell
        f = f * f * (3 - 2 * f)
        i = cell.long()
        low, high = i & 31, (i + 1) & 31
        x0, x1, y0, y1, z0, z1 = low[0] * 1024, high[0] * 1024, low[1] * 32, high[1] * 32, low[2], high[2]
        v = self.lattice

        def along(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
            return a + (b - a) * t

        near = along(along(v[x0 + y0 + z0], v[x1 + y0 + z0], f[0]), along(v[x0 + y1 + z0], v[x1 + y1 + z0], f[0]), f[1])
        far = along(along(v[x0 + y0 + z1], v[x1 + y0 + z1], f[0]), along(v[x0 + y1 + z1], v[x1 + y1 + z1], f[0]), f[1])
        return along(near, far, f[2])


def cells(x: Tensor, y: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Worley noise in the plane: distance to the nearest grain, and to the border between the two nearest."""
    rng = np.random.default_rng(seed)
    offsets = torch.from_numpy(rng.random((2, 64, 64), dtype=np.float32))
    i, j = x.floor(), y.floor()
    first, second = torch.full_like(x, 9.0), torch.full_like(x, 9.0)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            u, v = (i + a).long() & 63, (j + b).long() & 63
            d = length(i + a + offsets[0, u, v] - x, j + b + offsets[1, u, v] - y)
            first, second = torch.minimum(first, d), torch.maximum(first, torch.minimum(second, d))
    return first, second - first


class Drawing:
    """A picture drawn with PIL, laid on a surface: u to the right and v upwards, both in [0, 1]."""

    def __init__(self, picture: Image.Image, linear: bool = False) -> None:
        rgb = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)
        self.texels = rgb if linear else to_linear(rgb)

    def __call__(self, u: Tensor, v: Tensor) -> Tensor:
        """Linear RGB (3, N), bilinear; beyond the rim the rim's colour."""
        _, h, w = self.texels.shape
        x, y = (u * w - 0.5).clamp(0, w - 1.001), ((1 - v) * h - 0.5).clamp(0, h - 1.001)
        i, j = x.long(), y.long()
        fx, fy = x - i, y - j
        flat = self.texels.reshape(3, -1)
        top = flat[:, j * w + i] * (1 - fx) + flat[:, j * w + i + 1] * fx
        bottom = flat[:, (j + 1) * w + i] * (1 - fx) + flat[:, (j + 1) * w + i + 1] * fx
        return top * (1 - fy) + bottom * fy


def colour(text: str) -> tuple[float, float, float]:
    """Linear RGB of a colour like "#c05a3c"."""
    rgb = to_linear(torch.tensor(rgb_of(text)))
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


def column(text: str) -> Tensor:
    """`colour` as (3, 1), for arithmetic with (3, N)."""
    return torch.tensor(colour(text)).view(3, 1)


def where_rows(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Columns of a where the mask (N,) in [0, 1] is 1, of b where it is 0, mixed between."""
    return b + (a - b) * mask
