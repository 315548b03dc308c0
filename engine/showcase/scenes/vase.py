"""A stoneware vase, throwing rings and a dipped glaze, with dried stems."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import specks, sweep
from engine.showcase.shapes import (
    Curve,
    Noise,
    colour,
    column,
    ellipsoid,
    length,
    smooth_max,
    turned,
    where_rows,
)
from engine.showcase.vectors import smoothstep


class Stem(NamedTuple):
    """A dried stem and how it leans."""

    angle: float  # degrees about the vase
    lean: float  # how far its top is from the middle
    top: float  # height
    phase: float  # of its bends


_NOISE = Noise(5)
_OUTLINE = Curve(
    (0.0, 0.20),
    (0.06, 0.245),
    (0.30, 0.37),
    (0.52, 0.405),
    (0.74, 0.33),
    (0.92, 0.165),
    (1.04, 0.12),
    (1.14, 0.125),
    (1.22, 0.16),
)
_CHANCE = np.random.default_rng(12)
STEMS = [
    Stem(angle, lean, top, float(_CHANCE.uniform(0, 6)))
    for angle, lean, top in [
        (200.0, 0.42, 2.35),
        (340.0, 0.46, 2.30),
        (265.0, 0.10, 2.62),
        (30.0, 0.30, 2.12),
        (150.0, 0.66, 2.02),
        (300.0, 0.25, 1.95),
        (10.0, 0.72, 1.90),
    ]
]


def vase() -> Scene:
    return Scene(
        solid=Solid(
            lambda p: [_body(p), _stalks(p), _seeds(p)],
            [
                Material(albedo=_clay, roughness=_rough, height=lambda p: 0.0016 * _NOISE(p, 45, 2)),
                Material(albedo=_straw, roughness=0.5),
                Material(albedo=_husk, roughness=0.5, sheen=0.15),
            ],
            (-0.95, 0.0, -0.95),
            (0.95, 2.75, 0.95),
            relax=0.85,
        ),
        camera=Camera((0.0, 1.75, 7.4), (0.0, 1.28, 0.0), 23.5, aperture=0.02, focus=7.2),
        lamps=[
            Softbox((-1.0, 0.8, 0.35), 0.45, 0.6, 12.0, (1.0, 0.95, 0.88)),
            Softbox((0.9, 0.5, 0.6), 0.3, 0.6, 1.8, (0.9, 0.95, 1.0)),
        ],
        floor=Material(albedo=colour("#dfe0d6"), f0=(0.0, 0.0, 0.0)),
        backdrop=sweep(0.3),
        level=0.74,
        aspect=0.8,
    )


def _body(p: Tensor) -> Tensor:
    r = length(p[0], p[2]) + 0.0022 * torch.sin(p[1] * 105 + 1.5 * _NOISE(p, 3))
    profile = _OUTLINE(p[1])
    outer = smooth_max((r - profile) * 0.8, (p[1] - 0.61).abs() - 0.61, 0.02)
    inner = torch.maximum((r - profile + 0.032) * 0.8, 0.9 - p[1])
    return smooth_max(outer, -inner, 0.02)


def _dipped_to(p: Tensor) -> Tensor:
    """The height from which the vase is glazed."""
    return 0.66 + 0.05 * torch.sin(torch.atan2(p[2], p[0]) * 2 + 0.6) + 0.02 * _NOISE(p, 6, 2)


def _clay(p: Tensor) -> Tensor:
    dipped = smoothstep(-0.006, 0.006, p[1] - _dipped_to(p))
    raw = column("#b98763") * (1 + 0.10 * _NOISE(p, 9, 3)) * (1 - 0.5 * specks(p, 15, 0.20))
    glaze = column("#efe7da") * (1 + 0.03 * _NOISE(p, 6, 2)) * (1 - 0.4 * specks(p, 13, 0.15))
    return where_rows(dipped, glaze, raw)


def _rough(p: Tensor) -> Tensor:
    return torch.where(p[1] > _dipped_to(p), 0.16, 0.55)


def _along(p: Tensor, stem: Stem) -> tuple[Tensor, Tensor, Tensor]:
    """Points in a frame that follows a bent stem: sideways, up, depth."""
    q = turned(p, "y", stem.angle)
    s = ((q[1] - 0.5) / (stem.top - 0.5)).clamp_min(0)
    x = q[0] - stem.lean * s**2.2 + 0.015 * torch.sin(5 * s + stem.phase)
    return x, q[1], q[2] - 0.02 * torch.sin(4 * s + 2 * stem.phase)


def _stalks(p: Tensor) -> Tensor:
    nearest = torch.full_like(p[0], 9.0)
    for stem in STEMS:
        x, y, z = _along(p, stem)
        rod = torch.maximum(length(x, z) - 0.0085, (y - (stem.top + 0.3) / 2).abs() - (stem.top - 0.3) / 2)
        nearest = torch.minimum(nearest, rod)
    return nearest * 0.75


def _seeds(p: Tensor) -> Tensor:
    nearest = torch.full_like(p[0], 9.0)
    pitch = 0.040
    for stem in STEMS:
        x, y, z = _along(p, stem)
        start, top = stem.top - 0.62, stem.top + 0.02
        for side in (0.0, 0.5):
            k = ((y - start) / pitch - side).round().clamp(0, (top - start) / pitch)
            turn = k * 2.4 + side * 6.28 + stem.phase
            c, s = turn.cos(), turn.sin()
            u, w, v = c * x + s * z, c * z - s * x, y - start - (k + side) * pitch
            size = 0.55 + 0.45 * torch.sin(((k + side) * pitch / (top - start)).clamp(0, 1) * 2.9)
            u, v = (u - 0.030 * size) * 0.8 + v * 0.6, v * 0.8 - (u - 0.030 * size) * 0.6
            q = torch.stack([v / size, u / size, w / size])
            nearest = torch.minimum(nearest, ellipsoid(q, (0.040, 0.019, 0.019)) * size)
    return nearest * 0.55


def _straw(p: Tensor) -> Tensor:
    return column("#c49a5f") * (1 + 0.25 * _NOISE(p, 12, 2))


def _husk(p: Tensor) -> Tensor:
    share = (0.5 + 0.6 * _NOISE(p, 7, 2)).clamp(0, 1)
    return where_rows(share, column("#d9b77e").expand_as(p), column("#a9703f").expand_as(p))
