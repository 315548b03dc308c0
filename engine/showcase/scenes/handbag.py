"""A satchel of grained leather with a flap, a turn lock, a top handle and a shoulder strap.

Functions of `p` take points of the scene, functions of `q` points of the bag: x to the right, y up, z to the front.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import sweep
from engine.showcase.shapes import (
    Noise,
    box2,
    capsule,
    cells,
    colour,
    column,
    cylinder,
    ellipsoid,
    extruded,
    length,
    moved,
    rounded,
    smooth_max,
    smooth_min,
    turned,
    where_rows,
)
from engine.showcase.vectors import mix, smoothstep

HEIGHT = 0.98
STRAP = (  # points that the shoulder strap goes through
    (0.77, 0.79, 0.0), (0.84, 0.76, 0.02), (0.93, 0.58, 0.08), (0.96, 0.28, 0.17), (1.00, 0.06, 0.28),
    (0.95, 0.028, 0.44), (0.74, 0.028, 0.58), (0.46, 0.028, 0.60), (0.22, 0.028, 0.52), (-0.02, 0.028, 0.56),
    (-0.25, 0.028, 0.48), (-0.36, 0.028, 0.36),
)  # fmt: skip
_NOISE = Noise(21)


def handbag() -> Scene:
    return Scene(
        solid=Solid(
            _distances,
            [
                Material(
                    albedo=_hide,
                    roughness=0.34,
                    height=lambda p: 0.0075 * _grain(p) + 0.003 * _seam(_placed(p)) + 0.003 * _NOISE(p, 5, 2),
                    height_step=1.5e-3,
                ),
                Material(albedo=(0.0, 0.0, 0.0), f0=colour("#e6c274"), roughness=0.14),
            ],
            (-1.15, 0.0, -0.75),
            (1.25, 1.42, 1.05),
            relax=0.8,
        ),
        camera=Camera((0.0, 1.45, 6.2), (0.06, 0.60, 0.0), 22.5, aperture=0.02, focus=5.9),
        lamps=[
            Softbox((-0.8, 0.65, 0.65), 0.30, 0.50, 14.0, (1.0, 0.97, 0.92)),
            Softbox((0.75, 0.40, 0.70), 0.35, 0.45, 6.0, (0.97, 0.98, 1.0)),
            Softbox((0.1, 1.0, -0.35), 0.7, 0.35, 4.0),
        ],
        floor=Material(albedo=colour("#cfd8de"), f0=(0.0, 0.0, 0.0)),
        backdrop=sweep(0.2),
        level=0.72,
        aspect=1.0,
    )


def _placed(p: Tensor) -> Tensor:
    return turned(p, "y", 22)


def _outline(q: Tensor) -> Tensor:
    """Of the bag seen from the front."""
    return box2(q[0], q[1] - HEIGHT / 2 - 0.02, 0.80 - 0.10 * q[1], HEIGHT / 2, 0.13)


def _depth(q: Tensor) -> Tensor:
    """Half of how thick it is."""
    return 0.27 - 0.13 * q[1] + 0.018 * torch.cos(q[0] * 1.9).clamp_min(0)


def _body(q: Tensor) -> Tensor:
    sag = 0.006 * _NOISE(q, 2.2)
    return rounded(_outline(q) + 0.045, q[2].abs() - _depth(q) + 0.045, 0.045) * 0.95 + sag


def _flap_border(q: Tensor) -> Tensor:
    """Negative on the flap: it covers the top and hangs in front to a soft point."""
    edge = 0.43 + 0.16 * (q[0].abs() / 0.72) ** 2.6
    front = (edge - q[1]) * 0.9
    front = smooth_max(front, q[0].abs() - 0.70, 0.12)
    return torch.maximum(front, torch.minimum(-q[2] - 0.05, 0.93 - q[1]))


def _distances(p: Tensor) -> list[Tensor]:
    q = _placed(p)
    return [_leather(q), _metal(q)]


def _leather(q: Tensor) -> Tensor:
    """Body with its piping, flap, two tabs, the handle and the strap."""
    x, y, z = q[0], q[1], q[2]
    body = _body(q)
    piping = length(_outline(q) + 0.006, z.abs() - _depth(q) + 0.012) - 0.019
    skin = smooth_min(body, piping * 0.95, 0.012)
    flap = smooth_max((body - 0.018).abs() - 0.016, _flap_border(q), 0.016)
    tab = box2(x.abs() - 0.33, y - 0.88, 0.055, 0.085, 0.035)
    tabs = smooth_max((body - 0.036).abs() - 0.015, torch.maximum(tab, -z), 0.012)
    arch = length(length(x * 1.02, (y - 0.98) * 0.93) - 0.335, (z - 0.135) * 1.1)
    handle = torch.maximum(arch - 0.036 - 0.008 * smoothstep(1.15, 1.3, y), 1.0 - y) * 0.9
    rope = torch.full_like(x, 9.0)
    for a, b in itertools.pairwise(_spline(STRAP)):
        rope = torch.minimum(rope, capsule(q, a, b, 0.024))
    return torch.minimum(torch.minimum(skin, flap), torch.minimum(tabs, torch.minimum(handle, rope)))


def _metal(q: Tensor) -> Tensor:
    """Rings, lock, studs and feet."""
    x, y, z = q[0], q[1], q[2]
    both_sides = torch.stack([x.abs(), y, z])
    ring = moved(both_sides, 0.334, 0.965, 0.150)
    metal = length(length(ring[0], ring[1]) - 0.050, ring[2]) - 0.0115
    metal = torch.minimum(metal, cylinder(moved(both_sides, 0.338, 1.035, 0.135), 0.043, 0.022, 0.008))
    lock = moved(q, 0, 0.535, float(0.27 - 0.13 * 0.535) + 0.055)
    plate = extruded(box2(lock[0], lock[1], 0.085, 0.062, 0.03), lock[2], 0.014, 0.008)
    knob = capsule(lock, (-0.034, 0, 0.03), (0.034, 0, 0.03), 0.017)
    metal = torch.minimum(metal, torch.minimum(plate, knob))
    stud = moved(both_sides, 0.33, 0.845, float(0.27 - 0.13 * 0.845) + 0.068)
    metal = torch.minimum(metal, ellipsoid(stud, (0.017, 0.017, 0.012)))
    side = moved(q, 0.755, 0.82, 0.0)
    metal = torch.minimum(metal, length(length(side[0], side[1]) - 0.042, side[2]) - 0.011)
    feet = moved(torch.stack([x.abs(), y, z.abs()]), 0.62, 0.012, 0.17)
    return torch.minimum(metal, ellipsoid(feet, (0.03, 0.016, 0.03)))


def _seam(q: Tensor) -> Tensor:
    """Threads along the flap, the tabs and the rim of the body, in [0, 1]."""
    on_flap = smoothstep(0.005, 0.002, (_flap_border(q) + 0.035).abs()) * (_body(q) > 0.02) * (q[2] > 0.05)
    on_body = smoothstep(0.005, 0.002, (_outline(q) + 0.06).abs()) * (_body(q) < 0.012) * (q[2] > 0.05)
    dash = smoothstep(-0.3, 0.1, torch.sin((q[0] + 0.8 * q[1]) * 150))
    return torch.maximum(on_flap, on_body) * dash


def _grain(p: Tensor) -> Tensor:
    """Pebbles: cells in two planes, blended by position so that none is stretched."""
    warped = p + 0.012 * _NOISE(p, 9)
    _, xy = cells(warped[0] * 48, warped[1] * 48, 1)
    _, yz = cells(warped[2] * 48, warped[1] * 48, 2)
    front = smoothstep(0.62, 0.70, _placed(p)[0].abs())
    return mix(xy, yz, front).clamp(0, 0.30)


def _hide(p: Tensor) -> Tensor:
    q = _placed(p)
    body = column("#96491f") * (1 + 0.07 * _NOISE(p, 4, 3) - 0.35 * smoothstep(0.12, 0.0, _grain(p)))
    edge = smoothstep(0.010, 0.004, _flap_border(q).abs()) * (_body(q) > 0.004) * (_body(q) < 0.05) * (q[2] > 0)
    body = where_rows(edge * 0.9, column("#3b1c0e").expand_as(p), body)
    return where_rows(_seam(q), column("#e8cda4").expand_as(p), body)


def _spline(points: Sequence[tuple[float, float, float]], steps: int = 4) -> list[list[float]]:
    """Points on a smooth line through the given ones (Catmull and Rom 1974)."""
    p = np.array([points[0], *points, points[-1]])
    line = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        for t in np.arange(steps) / steps:
            line.append(
                (
                    b + t * (c - a) / 2 + t * t * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
                ).tolist()
            )
    return [*line, list(points[-1])]
