"""A steel watch on a leather strap, standing on its closed strap: blue sunburst dial, ten past ten.

Functions of `p` take points of the scene, functions of `q` points of the upright watch, of `c` points of its case: x to
the right, y up, z to the front.
"""

from __future__ import annotations

import functools
import math

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from engine.showcase.lettering import spaced
from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import sweep
from engine.showcase.shapes import (
    Drawing,
    Noise,
    box,
    box2,
    colour,
    column,
    cylinder,
    extruded,
    length,
    moved,
    smooth_min,
    turned,
    where_rows,
)
from engine.showcase.vectors import smoothstep

MIDDLE = (0.0, 0.66, 0.13)  # of the case
_NOISE = Noise(31)


def watch() -> Scene:
    return Scene(
        solid=Solid(
            _distances,
            [
                Material(albedo=(0.0, 0.0, 0.0), f0=(0.80, 0.80, 0.81), roughness=0.07),
                Material(albedo=_printed, f0=(0.05, 0.06, 0.08), roughness=0.22),
                Material(albedo=(0.0, 0.0, 0.0), f0=(0.86, 0.86, 0.87), roughness=0.10),
                Material(albedo=colour("#d8472b"), roughness=0.25),
                Material(
                    albedo=_hide,
                    roughness=0.38,
                    height=lambda p: 0.0016 * _NOISE(p, 42, 3) + 0.002 * _thread(p),
                    height_step=1e-3,
                ),
            ],
            (-0.75, 0.0, -1.05),
            (0.75, 1.42, 0.5),
            relax=0.85,
        ),
        camera=Camera((0.0, 1.15, 5.6), (0.0, 0.64, 0.0), 19.5, aperture=0.025, focus=5.5),
        lamps=[
            Softbox((-1.0, 0.7, 0.45), 0.35, 0.7, 8.0),
            Softbox((1.0, 0.35, 0.35), 0.16, 0.8, 7.0),
            Softbox((0.0, 1.0, 0.35), 0.5, 0.35, 6.0),
        ],
        floor=Material(albedo=(0.84, 0.85, 0.86), f0=(0.0, 0.0, 0.0)),
        backdrop=sweep(0.08),
        ambient=(0.12, 0.12, 0.12),
        level=0.95,
    )


def _placed(p: Tensor) -> Tensor:
    """Leaning back, its loop still on the floor."""
    return turned(turned(moved(p, 0, -0.037, 0), "y", 20), "x", 9)


def _distances(p: Tensor) -> list[Tensor]:
    """Case, face, polished metal, hand of the seconds, strap."""
    q = _placed(p)
    c = moved(q, *MIDDLE)
    return [_case(c), _face(c), _polished(c), _seconds(c), _strap(q, c)]


def _case(c: Tensor) -> Tensor:
    x, y, z = c[0], c[1], c[2]
    r = length(x, y)
    case = extruded(r - 0.425, z, 0.066, 0.022)
    lug = torch.stack([x.abs() - 0.185, y.abs() - 0.40, z + 0.020 + 0.75 * (y.abs() - 0.36).clamp_min(0)])
    case = smooth_min(case, box(lug, (0.042, 0.125, 0.042), 0.018) * 0.85, 0.03)
    bezel = box2(r - 0.388, z - 0.070 + 0.25 * (r - 0.388), 0.034, 0.022, 0.010)
    case = torch.minimum(case, bezel)
    case = torch.maximum(case, -box2(r, z - 0.12, 0.358, 0.085))
    pusher = moved(turned(c, "z", 90), 0, -0.475, 0)
    around = torch.atan2(pusher[2], pusher[0])
    crown = cylinder(pusher, 0.052, 0.038, 0.012) - 0.0035 * torch.cos(around * 26).clamp(-0.4, 1)
    return torch.minimum(torch.minimum(case, crown), cylinder(pusher, 0.03, 0.07))


def _face(c: Tensor) -> Tensor:
    face = extruded(length(c[0], c[1]) - 0.362, c[2] - 0.036, 0.008)
    return torch.maximum(face, -torch.maximum(_from_small_dial(c) - 0.068, 0.041 - c[2]))


def _from_small_dial(c: Tensor) -> Tensor:
    return length(c[0], c[1] + 0.150)


def _polished(c: Tensor) -> Tensor:
    """Markers, the ring of the small dial, the hands and the cap on their axis."""
    x, y, z = c[0], c[1], c[2]
    r, angle = length(x, y), torch.atan2(x, y)
    # Markers: one in each of twelve sectors, the topmost in two.
    sector = (angle / (math.pi / 6)).round()
    local = angle - sector * (math.pi / 6)
    u, v = r * local.sin(), r * local.cos()
    u = torch.where(sector.abs() < 0.5, u.abs() - 0.017, u)
    short = torch.where(sector.abs() > 5.5, 0.022, 0.0)
    metal = extruded(box2(u, v - 0.275 - short, 0.0115, 0.042 - short, 0.003), z - 0.052, 0.010, 0.004)
    metal = torch.minimum(metal, extruded((_from_small_dial(c) - 0.067).abs() - 0.0035, z - 0.045, 0.004))
    metal = torch.minimum(metal, _hand(c, 305, 0.05, 0.185, 0.020, 0.066))
    metal = torch.minimum(metal, _hand(c, 62, 0.06, 0.275, 0.016, 0.078))
    metal = torch.minimum(metal, _hand(moved(c, 0, -0.150, 0), 140, 0.012, 0.052, 0.005, 0.052))
    return torch.minimum(metal, extruded(r - 0.022, z - 0.082, 0.010, 0.004))


def _seconds(c: Tensor) -> Tensor:
    cap = extruded(length(c[0], c[1]) - 0.013, c[2] - 0.094, 0.006, 0.003)
    return torch.minimum(_hand(c, 210, 0.08, 0.30, 0.0048, 0.092), cap)


def _hand(c: Tensor, degrees: float, tail: float, reach: float, wide: float, z: float) -> Tensor:
    h = turned(c, "z", -degrees)
    taper = wide * (1 - 0.55 * ((h[1] + tail) / (reach + tail)).clamp(0, 1))
    flat = torch.maximum(h[0].abs() - taper, (h[1] - (reach - tail) / 2).abs() - (reach + tail) / 2)
    return extruded(flat, h[2] - z, 0.005, 0.002)


def _strap(q: Tensor, c: Tensor) -> Tensor:
    """An upright oval loop, narrower away from the case, with a gap where the case is."""
    a, b = 0.635, 0.50
    sy, sz = q[1] - 0.655, q[2] + 0.350
    k0, k1 = length(sy / a, sz / b), length(sy / a**2, sz / b**2)
    loop = k0 * (k0 - 1) / k1.clamp_min(1e-4)
    puff = 0.012 * smoothstep(1.0, 0.4, q[0].abs() / 0.17)
    strap = box2(loop, q[0], 0.020 + puff, _half_width(q), 0.012) * 0.85
    return torch.maximum(strap, -torch.maximum(length(c[0], c[1]) - 0.40, -0.2 - c[2]))


def _half_width(q: Tensor) -> Tensor:
    """Of the strap."""
    return 0.178 - 0.035 * smoothstep(0.2, -0.7, q[2])


def _printed(p: Tensor) -> Tensor:
    c = moved(_placed(p), *MIDDLE)
    r, angle = length(c[0], c[1]), torch.atan2(c[0], c[1])
    rays = 0.62 + 0.55 * torch.cos(angle * 2 - 1.1) ** 2 + 0.05 * torch.sin(angle * 190) + 0.04 * torch.sin(angle * 77)
    base = column("#123a6b") * rays * (1.15 - 1.3 * r * r / 0.13 * 0.36)
    ink = _dial()(c[0] / 0.724 + 0.5, c[1] / 0.724 + 0.5)[0]
    return where_rows(ink, column("#eef0f2").expand_as(p), base)


def _hide(p: Tensor) -> Tensor:
    body = column("#8a4f2a") * (1 + 0.12 * _NOISE(p, 7, 3))
    return where_rows(_thread(p), column("#ead9ba").expand_as(p), body)


def _thread(p: Tensor) -> Tensor:
    """Stitches along both rims of the strap, in [0, 1]."""
    q = _placed(p)
    along = torch.atan2(q[1] - 0.655, q[2] + 0.350)
    near = smoothstep(0.006, 0.003, (q[0].abs() - _half_width(q) + 0.028).abs())
    return near * smoothstep(-0.3, 0.1, torch.sin(along * 110))


@functools.cache
def _dial() -> Drawing:
    """What is printed on a dial: white is printed, black is not."""
    picture = Image.new("RGB", (1400, 1400))
    draw = ImageDraw.Draw(picture)
    for k in range(240):
        angle = k * math.pi / 120
        inner = 640 if k % 20 == 0 else 650 if k % 4 == 0 else 668
        width = 9 if k % 20 == 0 else 5 if k % 4 == 0 else 3
        c, s = math.cos(angle), math.sin(angle)
        draw.line([700 + inner * c, 700 + inner * s, 700 + 685 * c, 700 + 685 * s], fill="white", width=width)
    spaced(draw, 700, 400, "MERIDIAN", 78, "white", 12)
    spaced(draw, 700, 492, "AUTOMATIC", 34, "#c8c8c8", 8)
    draw.ellipse([570, 850, 830, 1110], outline="#d0d0d0", width=4)
    for k in range(12):
        angle = k * math.pi / 6
        c, s = math.cos(angle), math.sin(angle)
        draw.line([700 + 108 * c, 980 + 108 * s, 700 + 126 * c, 980 + 126 * s], fill="white", width=5)
    spaced(draw, 700, 1190, "100 m", 32, "#c8c8c8", 4)
    return Drawing(picture, linear=True)
