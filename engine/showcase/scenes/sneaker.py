"""A running shoe, toe to the left: knit upper, leather overlays, laces, a white midsole on a gum outsole.

Functions of `p` take points of the scene, functions of `q` points of the shoe: x from toe to heel, y up, z across.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import sweep
from engine.showcase.shapes import (
    Curve,
    Noise,
    box,
    box2,
    capsule,
    colour,
    column,
    ellipsoid,
    length,
    moved,
    rounded,
    smooth_max,
    smooth_min,
    turned,
    where_rows,
)
from engine.showcase.vectors import smoothstep

RED, NAVY, LEATHER, THREAD = "#cf3f2e", "#27324a", "#e8e4da", "#c9c3b6"
RUBBER, GUM, LACE = "#e6e2d8", "#b0713a", "#ebe7dd"
LACES_AT = [-0.33 + 0.083 * k for k in range(7)]

_NOISE = Noise(9)
_TOPS = Curve(  # how high the upper is
    (-1.05, 0.26),
    (-0.85, 0.33),
    (-0.6, 0.39),
    (-0.35, 0.48),
    (-0.1, 0.62),
    (0.12, 0.75),
    (0.24, 0.78),
    (0.40, 0.68),
    (0.58, 0.61),
    (0.74, 0.65),
    (0.90, 0.80),
    (0.98, 0.82),
)
_ROUNDS = Curve((-1.05, 0.19), (-0.5, 0.17), (0.0, 0.13), (0.3, 0.055), (1.1, 0.05))  # radius of its upper edge


def sneaker() -> Scene:
    return Scene(
        solid=Solid(
            _distances,
            [
                Material(albedo=_rubber, roughness=0.35, height=lambda p: 0.0006 * _NOISE(p, 70, 2)),
                Material(
                    albedo=_knit, f0=(0.01, 0.01, 0.01), roughness=0.7, sheen=0.10, height=lambda p: 0.0032 * _weave(p)
                ),
                Material(
                    albedo=_leather,
                    roughness=0.32,
                    height=lambda p: 0.0011 * _NOISE(p, 52, 3) + 0.003 * _stitch(_placed(p)),
                ),
                Material(
                    albedo=colour(NAVY),
                    f0=(0.01, 0.01, 0.01),
                    roughness=0.7,
                    sheen=0.10,
                    height=lambda p: 0.002 * _NOISE(p, 80),
                ),
                Material(
                    albedo=colour(LACE), f0=(0.01, 0.01, 0.01), roughness=0.7, height=lambda p: 0.0012 * _strand(p)
                ),
            ],
            (-1.15, 0.0, -0.75),
            (1.15, 1.12, 0.75),
            relax=0.8,
        ),
        camera=Camera((-0.5, 2.3, 6.0), (0.0, 0.36, 0.0), 23.0, aperture=0.02, focus=6.2),
        lamps=[
            Softbox((-0.7, 0.9, 0.7), 0.35, 0.35, 11.0, (1.0, 0.98, 0.95)),
            Softbox((0.9, 0.6, 0.5), 0.3, 0.5, 3.0),
            Softbox((0.0, 1.0, -0.3), 0.8, 0.4, 3.0),
        ],
        floor=Material(albedo=(0.86, 0.86, 0.86), f0=(0.0, 0.0, 0.0)),
        backdrop=sweep(0.05),
        level=1.0,
        aspect=1.25,
    )


def _placed(p: Tensor) -> Tensor:
    """Turned to the lens and bent as a shoe is: toe and heel lifted."""
    q = turned(p, "y", 30)
    lift = 0.075 * smoothstep(-0.35, -1.1, q[0]) + 0.02 * smoothstep(0.7, 1.05, q[0])
    return torch.stack([q[0], q[1] - lift, q[2] + 0.07 * q[0] * q[0] - 0.02])


def _distances(p: Tensor) -> list[Tensor]:
    """Sole, upper, leather, tongue, laces."""
    q = _placed(p)
    flat = _footprint(q)
    upper = _upper(q, flat)
    # The opening for the foot, and the slit that is laced.
    hole = smooth_max(flat + 0.085 + 0.12 * (q[1] - 0.2), 0.20 + 0.35 * (q[1] - 0.6) - q[0], 0.12)
    hole = torch.maximum(hole, 0.30 - q[1])
    slit = torch.maximum(_throat(q), upper.abs() - 0.05)
    shell = torch.maximum(smooth_max(smooth_max(upper, -hole, 0.06), -slit, 0.012), 0.165 - q[1])
    leather = smooth_max(upper.abs() - 0.011, _overlays(q), 0.012)
    leather = torch.maximum(torch.maximum(leather, -hole + 0.012), 0.15 - q[1])
    return [_sole(q, flat), shell, leather, _tongue(q, upper), _laces(q, upper)]


def _footprint(q: Tensor) -> Tensor:
    x, z = q[0], q[2]
    rear = _tapered(x, z, -0.42, 0.70, 0.345, 0.265)
    front = _tapered(x, z, -0.78, -0.42, 0.255, 0.345)
    return smooth_min(rear, front, 0.1) + 0.03 * torch.exp(-(((x - 0.22) / 0.22) ** 2))


def _tapered(x: Tensor, z: Tensor, start: float, end: float, r_start: float, r_end: float) -> Tensor:
    """Two circles on the x axis and their common tangents."""
    h = end - start
    b = (r_start - r_end) / h
    a = math.sqrt(1 - b * b)
    along, side = x - start, z.abs()
    k = along * a - side * b
    middle = side * a + along * b - r_start
    return torch.where(
        k < 0, length(along, side) - r_start, torch.where(k > a * h, length(along - h, side) - r_end, middle)
    )


def _sole(q: Tensor, flat: Tensor) -> Tensor:
    x, y = q[0], q[1]
    top = 0.175 + 0.055 * smoothstep(-0.1, 0.8, x) + 0.02 * smoothstep(-0.7, -1.05, x)
    groove = 0.009 * torch.exp(-(((y - 0.10 - 0.03 * smoothstep(-0.1, 0.8, x)) / 0.007) ** 2))
    side = flat + 0.03 - 0.03 * smoothstep(0.2, 0.02, y) + groove + 0.03
    tread = (torch.sin(x * 58).clamp(-0.2, 0.2) + 0.2) * 0.035 * smoothstep(0.05, 0.03, y)
    return rounded(side, (y - top / 2).abs() - top / 2 + 0.03, 0.03) * 0.9 + tread


def _upper(q: Tensor, flat: Tensor) -> Tensor:
    r = _ROUNDS(q[0])
    return rounded(flat + 0.035 + 0.12 * (q[1] - 0.2) + r, (q[1] - _TOPS(q[0])) * 0.85 + r, r) * 0.92


def _throat(q: Tensor) -> Tensor:
    """Seen from above, what the laces close."""
    return box2(q[0] + 0.06, q[2], 0.34, 0.068, 0.06)


def _overlays(q: Tensor) -> Tensor:
    """Distance in the surface to the border of the leather: negative on it."""
    x, y = q[0], q[1]
    toe = torch.maximum(x + 0.66 - 0.55 * (y - 0.18), -(x + 2))
    guard = y - 0.235 - 0.05 * smoothstep(-0.2, -0.7, x) - 0.10 * smoothstep(0.45, 0.8, x)
    heel = -(x - 0.64 + 0.42 * (y - 0.25) - 0.22 * smoothstep(0.45, 0.85, y))
    stay = torch.maximum(_throat(q) - 0.085, -(_throat(q) - 0.004))
    wave = 0.10 * torch.sin((y - 0.3) * 5)
    bar1 = (x - 0.06 - 0.45 * (y - 0.3) - wave).abs() - 0.052
    bar2 = (x - 0.24 - 0.45 * (y - 0.3) - wave).abs() - 0.030
    bars = torch.minimum(bar1, bar2) * 0.85
    bars = torch.maximum(bars, -(_throat(q) - 0.05))
    return torch.minimum(torch.minimum(toe * 0.85, guard), torch.minimum(torch.minimum(heel * 0.85, stay), bars))


def _tongue(q: Tensor, upper: Tensor) -> Tensor:
    inside = torch.maximum(upper + 0.022, _throat(q) - 0.03)
    w = turned(moved(q, 0.225, 0.80, 0), "z", -52)
    w = torch.stack([w[0], w[1] + 0.35 * w[0] * w[0] + 2.2 * w[2] * w[2], w[2]])
    return torch.maximum(smooth_min(inside, box(w, (0.18, 0.022, 0.115), 0.021), 0.03), 0.3 - q[1])


def _laces(q: Tensor, upper: Tensor) -> Tensor:
    x, z = q[0], q[2]
    laces = torch.full_like(x, 9.0)
    for k, at in enumerate(LACES_AT):
        slant = (0.20 if k % 2 else -0.20) * z
        strip = box2(upper - 0.020 - 0.010 * smoothstep(0.10, 0.0, z.abs()), x - at - slant, 0.011, 0.027, 0.010)
        laces = torch.minimum(laces, torch.maximum(strip, z.abs() - 0.128))
    bow = torch.full_like(x, 9.0)
    for side in (-1.0, 1.0):
        c = moved(q, 0.13, 0.80, 0.13 * side)
        c = turned(turned(c, "x", 28 * side), "z", -35)
        ring = length(c[0] * 1.9, c[2]) - 0.105
        bow = torch.minimum(bow, length(ring * 0.6, c[1]) - 0.017)
        bow = torch.minimum(bow, capsule(q, (0.12, 0.80, 0.0), (-0.02, 0.62, 0.27 * side), 0.014))
    knot = ellipsoid(moved(q, 0.12, 0.81, 0), (0.035, 0.03, 0.045))
    return smooth_min(laces, torch.minimum(bow, knot) * 0.8, 0.006)


def _rubber(p: Tensor) -> Tensor:
    q = _placed(p)
    gum = smoothstep(0.047, 0.044, q[1])
    line = smoothstep(0.012, 0.009, (q[1] - 0.10 - 0.03 * smoothstep(-0.1, 0.8, q[0])).abs())
    midsole = where_rows(line, column(NAVY).expand_as(p), column(RUBBER).expand_as(p))
    return where_rows(gum, column(GUM).expand_as(p), midsole)


def _knit(p: Tensor) -> Tensor:
    q = _placed(p)
    inside = smoothstep(-0.066, -0.074, _footprint(q) + 0.12 * (q[1] - 0.2)) * (q[1] > 0.45) * (q[0] > 0.15)
    body = column(RED) * (0.80 + 0.35 * _weave(p))
    return where_rows(inside, column(NAVY) * (0.9 + 0.2 * _NOISE(p, 60)), body)


def _weave(p: Tensor) -> Tensor:
    q = _placed(p)
    u, v = q[0] * 150, (q[1] + q[2] * 0.6) * 105
    v = v + 0.9 * torch.sin(u).abs()
    return (0.5 + 0.5 * torch.sin(v * 2)) * (0.55 + 0.45 * torch.sin(u).abs())


def _leather(p: Tensor) -> Tensor:
    q = _placed(p)
    navy = smoothstep(0.60, 0.62, q[0] + 0.42 * (q[1] - 0.25)) * (q[1] > 0.3)
    base = where_rows(navy, column(NAVY).expand_as(p), column(LEATHER).expand_as(p))
    thread = where_rows(navy, column(RED).expand_as(p), column(THREAD).expand_as(p))
    holes = torch.ones_like(q[0])
    for at in LACES_AT:
        holes = holes * smoothstep(0.010, 0.016, length(q[0] - at, q[2].abs() - 0.128))
    return where_rows(_stitch(q), thread, base) * (0.15 + 0.85 * holes)


def _stitch(q: Tensor) -> Tensor:
    """Threads near the border of the leather, in [0, 1]."""
    near = smoothstep(0.005, 0.002, (_overlays(q) + 0.022).abs())
    return near * smoothstep(-0.1, 0.3, torch.sin((q[0] + q[1] * 0.6) * 190))


def _strand(p: Tensor) -> Tensor:
    q = _placed(p)
    return torch.sin((q[2] + q[0] * 0.5) * 420) * torch.sin((q[0] - q[2] * 0.5) * 420)
