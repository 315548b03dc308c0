"""The example pictures of the page: products that exist nowhere, rendered here, so that anybody may use them for
anything.

`python -m engine.showcase` writes them; the same seed gives the same pictures.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from engine.settings import ROOT
from engine.showcase.developing import develop
from engine.showcase.scene import Camera, Glass, Material, Scene, Softbox, Solid
from engine.showcase.shapes import (
    Curve,
    Drawing,
    Noise,
    box,
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
    smooth_max,
    smooth_min,
    turned,
    where_rows,
)
from engine.showcase.tracer import Tracer
from engine.showcase.vectors import mix, smoothstep

log = logging.getLogger("vitrine")


def sweep(colour_text: str, glow: float = 0.25) -> Callable[[Tensor], Tensor]:
    """A backdrop a little darker to the top, relative to the floor."""

    def seen(d: Tensor) -> Tensor:
        return torch.ones_like(d) * (1.0 + 0.06 - glow * smoothstep(-0.25, 0.6, d[1]))

    return seen


def specks(p: Tensor, per_unit: float, size: float) -> Tensor:
    """Iron spots of fired clay, in [0, 1]: a grain in each cell of a wrapped plane,
    most of them too small to be seen.
    """
    angle = torch.atan2(p[2], p[0])
    u, v = angle * (0.4 * per_unit), (p[1] + 0.6 * length(p[0], p[2])) * per_unit
    grain, _ = cells(u, v, seed=2)
    large = torch.sin(u.floor() * 12.9 + v.floor() * 78.2).abs()
    return smoothstep(1.0, 0.6, grain / (size * (0.15 + 0.85 * large**3)))


# --- a glazed mug ---


def _leaves() -> Drawing:
    """Branches with leaves around a mug: as wide as its circumference."""
    w, h = 3072, 1024
    picture = Image.new("RGB", (w, h), "#f4efe6")
    draw = ImageDraw.Draw(picture)
    rng = np.random.default_rng(4)
    inks = ["#1f4e4a", "#c8643c", "#d9a441", "#2f6b5e"]

    def leaf(x: float, y: float, angle: float, size: float, ink: str) -> None:
        t = np.linspace(0, math.pi, 24)
        along = size * (1 - np.cos(t)) / 2
        half = size * 0.21 * np.sin(t) ** 1.2
        for x_turn in (-w, 0, w):
            upper = [
                (x + x_turn + a * math.cos(angle) - b * math.sin(angle), y + a * math.sin(angle) + b * math.cos(angle))
                for a, b in zip(along, half, strict=True)
            ]
            lower = [
                (x + x_turn + a * math.cos(angle) + b * math.sin(angle), y + a * math.sin(angle) - b * math.cos(angle))
                for a, b in zip(along, half, strict=True)
            ]
            draw.polygon(upper + lower[::-1], fill=ink)
            draw.line(
                [(x + x_turn, y), (x + x_turn + 0.8 * size * math.cos(angle), y + 0.8 * size * math.sin(angle))],
                fill="#f4efe6",
                width=4,
            )

    for k in range(12):
        x0, ink = (k + 0.5) * w / 12, inks[k % 4]
        tip = 190 + 90 * (k % 2)
        bend = rng.uniform(-40, 40)
        stem = [(x0 + bend * math.sin((y - tip) / 260), y) for y in range(tip, 900, 8)]
        draw.line(stem, fill=ink, width=7, joint="curve")
        for m, (x, y) in enumerate(stem[4::9]):
            side = 1 if m % 2 else -1
            leaf(x, y, -math.pi / 2 + side * rng.uniform(0.75, 1.0), rng.uniform(105, 135), ink)
        leaf(stem[0][0], stem[0][1] + 30, -math.pi / 2, 130, ink)
    for _ in range(90):
        left, top, size = rng.uniform(0, w), rng.uniform(130, 900), rng.uniform(10, 20)
        if picture.getpixel((int(left), int(top))) == (244, 239, 230):
            draw.ellipse([left, top, left + size, top + size], fill=inks[int(rng.integers(4))])
    draw.rectangle([0, 936, w, 952], fill="#c8643c")
    draw.rectangle([0, 966, w, 972], fill="#1f4e4a")
    return Drawing(picture)


def mug() -> Scene:
    """A glazed ceramic mug printed with leaves, handle to the right."""
    height, radius, wall = 1.02, 0.46, 0.045
    drawing, noise = _leaves(), Noise(1)

    def body(p: Tensor) -> Tensor:
        r = length(p[0], p[2])
        outline = radius - 0.012 * ((p[1] / height - 0.5) * 2) ** 2
        outer = box2(r, p[1] - height / 2, outline, height / 2, 0.05)
        q = moved(turned(p, "y", -32), radius - 0.02, 0.53)
        ring = length(q[0] * 1.02, q[1] * 0.88)
        handle = box2(ring - 0.285, q[2], 0.036, 0.068, 0.034)
        shape = smooth_min(outer, handle, 0.07)
        inner = box2(r, p[1] - (0.07 + height), outline - wall, height, 0.12)
        foot = box2(r, p[1], 0.33, 0.02, 0.01)
        return smooth_max(smooth_max(shape, -inner, 0.035), -foot, 0.02)

    def glaze(p: Tensor) -> Tensor:
        r, q = length(p[0], p[2]), turned(p, "y", -32)
        u = torch.atan2(-q[2], -q[0]) / (2 * math.pi) + 0.5
        printed = drawing(u, p[1] / height * 0.97 + 0.015)
        plain = column("#ebe4d8") * (1 + 0.015 * noise(p, 6, 2))
        on_side = (
            smoothstep(radius - 0.024, radius - 0.018, r)
            * smoothstep(radius + 0.012, radius + 0.006, r)
            * (p[1] < height - 0.03)
        )
        speck = specks(p, 11, 0.16) * 0.5
        rim = smoothstep(height - 0.016, height - 0.010, p[1] + 0.004 * noise(p, 9))
        glazed = where_rows(on_side, 0.86 * printed, plain)
        glazed = where_rows(rim, column("#a9713f").expand_as(p), glazed)
        return where_rows(speck, column("#8a6a4a").expand_as(p), glazed)

    ceramic = Material(
        albedo=glaze, f0=(0.05, 0.05, 0.05), roughness=0.045, height=lambda p: 0.0022 * noise(p, 7, 2), height_step=4e-3
    )
    return Scene(
        solid=Solid(lambda p: [body(p)], [ceramic], (-0.85, 0.0, -0.85), (0.85, 1.06, 0.85)),
        camera=Camera((0.25, 1.75, 4.6), (0.10, 0.50, 0.0), 23.0, aperture=0.02, focus=4.4),
        lamps=[
            Softbox((-1.0, 0.75, 0.75), 0.22, 0.55, 26.0, (1.0, 0.97, 0.93)),
            Softbox((1.0, 0.55, 0.5), 0.16, 0.75, 4.5, (0.94, 0.97, 1.0)),
            Softbox((0.0, 1.0, -0.25), 0.8, 0.4, 2.5),
        ],
        floor=Material(albedo=colour("#e9e2d8"), f0=(0.0, 0.0, 0.0)),
        backdrop=sweep("#e9e2d8"),
        level=0.88,
    )


# --- a bottle of perfume ---


def typeface(size: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _spaced(draw: ImageDraw.ImageDraw, middle: float, y: float, text: str, size: int, ink: str, gap: float) -> None:
    """Text with letters set apart, centred on `middle`."""
    font = typeface(size)
    widths = [draw.textlength(letter, font=font) for letter in text]
    x = middle - (sum(widths) + gap * (len(text) - 1)) / 2
    for letter, width in zip(text, widths, strict=True):
        draw.text((x, y), letter, fill=ink, font=font)
        x += width + gap


def _perfume_label() -> Drawing:
    picture = Image.new("RGB", (900, 720), "#f6f1e7")
    draw = ImageDraw.Draw(picture)
    draw.rectangle([26, 26, 874, 694], outline="#b08d4a", width=5)
    draw.rectangle([40, 40, 860, 680], outline="#b08d4a", width=2)
    _spaced(draw, 450, 90, "MAISON", 46, "#8d7035", 22)
    draw.line([300, 180, 600, 180], fill="#b08d4a", width=3)
    _spaced(draw, 450, 235, "VERANO", 138, "#22201c", 18)
    draw.line([300, 440, 600, 440], fill="#b08d4a", width=3)
    _spaced(draw, 450, 480, "EAU DE PARFUM", 50, "#22201c", 10)
    _spaced(draw, 450, 580, "50 ml  1.7 fl. oz", 36, "#6a655a", 4)
    return Drawing(picture)


def perfume() -> Scene:
    """A bottle of thick glass with amber perfume, a gold collar and a dark cap."""
    label = _perfume_label()
    half, middle = (0.40, 0.46, 0.20), 0.46
    grain = Noise(3)

    def turn(p: Tensor) -> Tensor:
        return turned(p, "y", 14)

    def body(p: Tensor) -> Tensor:
        q = moved(turn(p), 0, middle, 0)
        shoulder = cylinder(moved(turn(p), 0, 0.94, 0), 0.12, 0.05, 0.02)
        return smooth_min(box(q, half, 0.055), shoulder, 0.06)

    def liquid(p: Tensor) -> Tensor:
        return box(moved(turn(p), 0, middle + 0.015, 0), (half[0] - 0.055, half[1] - 0.085, half[2] - 0.055), 0.07)

    def paper(p: Tensor) -> Tensor:
        return box(moved(turn(p), 0, 0.44, half[2] + 0.001), (0.275, 0.22, 0.004), 0.003)

    def paper_colour(p: Tensor) -> Tensor:
        q = turn(p)
        return label((q[0] + 0.275) / 0.55, (q[1] - 0.22) / 0.44)

    def collar(p: Tensor) -> Tensor:
        q = moved(turn(p), 0, 1.035, 0)
        groove = 0.004 * torch.cos(q[1] * 150).clamp(-0.3, 1)
        return cylinder(q, 0.135, 0.055, 0.012) - groove

    def cap(p: Tensor) -> Tensor:
        return cylinder(moved(turn(p), 0, 1.265, 0), 0.165, 0.17, 0.02)

    gold, gloss = colour("#e0b866"), colour("#16130f")
    return Scene(
        solid=Solid(
            lambda p: [body(p), liquid(p), paper(p), collar(p), cap(p)],
            [
                Material(glass=Glass(shadow=(0.80, 0.66, 0.45))),
                Material(glass=Glass(1.36, 1.5, absorption=(0.4, 1.6, 4.6), shadow=(1.0, 0.9, 0.8))),
                Material(albedo=paper_colour, roughness=0.5, height=lambda p: 0.0012 * grain(p, 60, 2)),
                Material(albedo=(0, 0, 0), f0=gold, roughness=0.12),
                Material(albedo=gloss, f0=(0.05, 0.05, 0.05), roughness=0.05),
            ],
            (-0.56, 0.0, -0.45),
            (0.56, 1.46, 0.45),
        ),
        camera=Camera((0.0, 1.05, 5.2), (0.0, 0.71, 0.0), 21.0),
        lamps=[
            Softbox((-1.0, 0.55, 0.35), 0.35, 0.9, 7.0),
            Softbox((1.0, 0.5, 0.1), 0.25, 0.9, 6.0, (1.0, 0.96, 0.9)),
            Softbox((0.0, 1.0, 0.25), 0.7, 0.5, 3.0),
            Softbox((-0.35, 0.9, 1.0), 0.3, 0.3, 6.0),
            Softbox((0.66, 0.12, 1.0), 0.05, 0.9, 5.0, edge=0.03),
        ],
        floor=Material(albedo=colour("#f0d9cf"), roughness=0.12, f0=(0.04, 0.04, 0.04)),
        backdrop=sweep("", 0.15),
        level=0.88,
        bounces=7,
    )


# --- a vase with dried stems ---


def vase() -> Scene:
    """A stoneware vase, throwing rings and a dipped glaze, with dried stems."""
    noise = Noise(5)
    outline = Curve(
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

    def body(p: Tensor) -> Tensor:
        r = length(p[0], p[2]) + 0.0022 * torch.sin(p[1] * 105 + 1.5 * noise(p, 3))
        profile = outline(p[1])
        outer = smooth_max((r - profile) * 0.8, (p[1] - 0.61).abs() - 0.61, 0.02)
        inner = torch.maximum((r - profile + 0.032) * 0.8, 0.9 - p[1])
        return smooth_max(outer, -inner, 0.02)

    def clay(p: Tensor) -> Tensor:
        line = 0.66 + 0.05 * torch.sin(torch.atan2(p[2], p[0]) * 2 + 0.6) + 0.02 * noise(p, 6, 2)
        dipped = smoothstep(-0.006, 0.006, p[1] - line)
        raw = column("#b98763") * (1 + 0.10 * noise(p, 9, 3)) * (1 - 0.5 * specks(p, 15, 0.20))
        glaze = column("#efe7da") * (1 + 0.03 * noise(p, 6, 2)) * (1 - 0.4 * specks(p, 13, 0.15))
        return where_rows(dipped, glaze, raw)

    def rough(p: Tensor) -> Tensor:
        line = 0.66 + 0.05 * torch.sin(torch.atan2(p[2], p[0]) * 2 + 0.6) + 0.02 * noise(p, 6, 2)
        return torch.where(p[1] > line, 0.16, 0.55)

    rng = np.random.default_rng(12)
    stems = [
        (float(angle), float(lean), float(top), float(rng.uniform(0, 6)))
        for angle, lean, top in [
            (200, 0.42, 2.35),
            (340, 0.46, 2.30),
            (265, 0.10, 2.62),
            (30, 0.30, 2.12),
            (150, 0.66, 2.02),
            (300, 0.25, 1.95),
            (10, 0.72, 1.90),
        ]
    ]

    def along(p: Tensor, stem: tuple[float, float, float, float]) -> tuple[Tensor, Tensor, Tensor]:
        """Points in a frame that follows a bent stem: sideways, up, depth."""
        angle, lean, top, phase = stem
        q = turned(p, "y", angle)
        s = ((q[1] - 0.5) / (top - 0.5)).clamp_min(0)
        x = q[0] - lean * s**2.2 + 0.015 * torch.sin(5 * s + phase)
        return x, q[1], q[2] - 0.02 * torch.sin(4 * s + 2 * phase)

    def stalks(p: Tensor) -> Tensor:
        nearest = torch.full_like(p[0], 9.0)
        for stem in stems:
            x, y, z = along(p, stem)
            rod = torch.maximum(length(x, z) - 0.0085, (y - (stem[2] + 0.3) / 2).abs() - (stem[2] - 0.3) / 2)
            nearest = torch.minimum(nearest, rod)
        return nearest * 0.75

    def seeds(p: Tensor) -> Tensor:
        nearest = torch.full_like(p[0], 9.0)
        pitch = 0.040
        for stem in stems:
            x, y, z = along(p, stem)
            start, top = stem[2] - 0.62, stem[2] + 0.02
            for side in (0.0, 0.5):
                k = ((y - start) / pitch - side).round().clamp(0, (top - start) / pitch)
                turn = k * 2.4 + side * 6.28 + stem[3]
                c, s = turn.cos(), turn.sin()
                u, w, v = c * x + s * z, c * z - s * x, y - start - (k + side) * pitch
                size = 0.55 + 0.45 * torch.sin(((k + side) * pitch / (top - start)).clamp(0, 1) * 2.9)
                u, v = (u - 0.030 * size) * 0.8 + v * 0.6, v * 0.8 - (u - 0.030 * size) * 0.6
                q = torch.stack([v / size, u / size, w / size])
                nearest = torch.minimum(nearest, ellipsoid(q, (0.040, 0.019, 0.019)) * size)
        return nearest * 0.55

    def straw(p: Tensor) -> Tensor:
        return column("#c49a5f") * (1 + 0.25 * noise(p, 12, 2))

    def husk(p: Tensor) -> Tensor:
        return where_rows(
            (0.5 + 0.6 * noise(p, 7, 2)).clamp(0, 1), column("#d9b77e").expand_as(p), column("#a9703f").expand_as(p)
        )

    return Scene(
        solid=Solid(
            lambda p: [body(p), stalks(p), seeds(p)],
            [
                Material(albedo=clay, roughness=rough, height=lambda p: 0.0016 * noise(p, 45, 2)),
                Material(albedo=straw, roughness=0.5),
                Material(albedo=husk, roughness=0.5, sheen=0.15),
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
        backdrop=sweep("", 0.3),
        level=0.74,
        aspect=0.8,
    )


# --- a sneaker ---


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


def sneaker() -> Scene:
    """A running shoe, toe to the left: knit upper, leather overlays, laces, a white midsole on a gum outsole."""
    noise = Noise(9)
    tops = Curve(
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
    rounds = Curve((-1.05, 0.19), (-0.5, 0.17), (0.0, 0.13), (0.3, 0.055), (1.1, 0.05))
    lace_at = [-0.33 + 0.083 * k for k in range(7)]

    def placed(p: Tensor) -> Tensor:
        q = turned(moved(p, 0.0, 0, 0), "y", 30)
        lift = 0.075 * smoothstep(-0.35, -1.1, q[0]) + 0.02 * smoothstep(0.7, 1.05, q[0])
        return torch.stack([q[0], q[1] - lift, q[2] + 0.07 * q[0] * q[0] - 0.02])

    def footprint(q: Tensor) -> Tensor:
        x, z = q[0], q[2]
        rear = _tapered(x, z, -0.42, 0.70, 0.345, 0.265)
        front = _tapered(x, z, -0.78, -0.42, 0.255, 0.345)
        return smooth_min(rear, front, 0.1) + 0.03 * torch.exp(-(((x - 0.22) / 0.22) ** 2))

    def upper_of(q: Tensor, flat: Tensor) -> Tensor:
        r = rounds(q[0])
        a = flat + 0.035 + 0.12 * (q[1] - 0.2) + r
        b = (q[1] - tops(q[0])) * 0.85 + r
        return (length(a.clamp_min(0), b.clamp_min(0)) + torch.maximum(a, b).clamp_max(0) - r) * 0.92

    def throat(q: Tensor) -> Tensor:
        return box2(q[0] + 0.06, q[2], 0.34, 0.068, 0.06)

    def overlays(q: Tensor, upper: Tensor) -> Tensor:
        """Distance in the surface to the border of the leather: negative on it."""
        x, y = q[0], q[1]
        toe = torch.maximum(x + 0.66 - 0.55 * (y - 0.18), -(x + 2))
        guard = y - 0.235 - 0.05 * smoothstep(-0.2, -0.7, x) - 0.10 * smoothstep(0.45, 0.8, x)
        heel = -(x - 0.64 + 0.42 * (y - 0.25) - 0.22 * smoothstep(0.45, 0.85, y))
        stay = torch.maximum(throat(q) - 0.085, -(throat(q) - 0.004))
        wave = 0.10 * torch.sin((y - 0.3) * 5)
        bar1 = (x - 0.06 - 0.45 * (y - 0.3) - wave).abs() - 0.052
        bar2 = (x - 0.24 - 0.45 * (y - 0.3) - wave).abs() - 0.030
        bars = torch.minimum(bar1, bar2) * 0.85
        bars = torch.maximum(bars, -(throat(q) - 0.05))
        return torch.minimum(torch.minimum(toe * 0.85, guard), torch.minimum(torch.minimum(heel * 0.85, stay), bars))

    def distances(p: Tensor) -> list[Tensor]:
        q = placed(p)
        x, y, z = q[0], q[1], q[2]
        flat = footprint(q)
        top = 0.175 + 0.055 * smoothstep(-0.1, 0.8, x) + 0.02 * smoothstep(-0.7, -1.05, x)
        a = (
            flat
            + 0.03
            - 0.03 * smoothstep(0.2, 0.02, y)
            + 0.009 * torch.exp(-(((y - 0.10 - 0.03 * smoothstep(-0.1, 0.8, x)) / 0.007) ** 2))
            + 0.03
        )
        b = (y - top / 2).abs() - top / 2 + 0.03
        sole = (length(a.clamp_min(0), b.clamp_min(0)) + torch.maximum(a, b).clamp_max(0) - 0.03) * 0.9
        tread = (torch.sin(x * 58).clamp(-0.2, 0.2) + 0.2) * 0.035 * smoothstep(0.05, 0.03, y)
        sole = sole + tread
        upper = upper_of(q, flat)
        # the opening for the foot
        hole = smooth_max(flat + 0.085 + 0.12 * (y - 0.2), 0.20 + 0.35 * (y - 0.6) - x, 0.12)
        hole = torch.maximum(hole, 0.30 - y)
        slit = torch.maximum(throat(q), upper.abs() - 0.05)
        shell = torch.maximum(smooth_max(smooth_max(upper, -hole, 0.06), -slit, 0.012), 0.165 - y)
        cover = overlays(q, upper)
        leather = smooth_max(upper.abs() - 0.011, cover, 0.012)
        leather = torch.maximum(torch.maximum(leather, -hole + 0.012), 0.15 - y)
        tongue_in = torch.maximum(upper + 0.022, throat(q) - 0.03)
        w = turned(moved(q, 0.225, 0.80, 0), "z", -52)
        w = torch.stack([w[0], w[1] + 0.35 * w[0] * w[0] + 2.2 * w[2] * w[2], w[2]])
        tongue = smooth_min(tongue_in, box(w, (0.18, 0.022, 0.115), 0.021), 0.03)
        tongue = torch.maximum(tongue, 0.3 - y)
        laces = torch.full_like(x, 9.0)
        for k, at in enumerate(lace_at):
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
        laces = smooth_min(laces, torch.minimum(bow, knot) * 0.8, 0.006)
        return [sole, shell, leather, tongue, laces]

    def stitch(p: Tensor) -> Tensor:
        """Threads near the border of the leather, in [0, 1]."""
        q = placed(p)
        border = overlays(q, q[0])
        return smoothstep(0.005, 0.002, (border + 0.022).abs()) * smoothstep(
            -0.1, 0.3, torch.sin((q[0] + q[1] * 0.6) * 190)
        )

    def rubber(p: Tensor) -> Tensor:
        q = placed(p)
        gum = smoothstep(0.047, 0.044, q[1])
        return where_rows(
            gum,
            column("#b0713a").expand_as(p),
            where_rows(
                smoothstep(0.012, 0.009, (q[1] - 0.10 - 0.03 * smoothstep(-0.1, 0.8, q[0])).abs()),
                column("#27324a").expand_as(p),
                column("#e6e2d8").expand_as(p),
            ),
        )

    def knit(p: Tensor) -> Tensor:
        q = placed(p)
        inside = smoothstep(-0.066, -0.074, footprint(q) + 0.12 * (q[1] - 0.2)) * (q[1] > 0.45) * (q[0] > 0.15)
        thread = 0.80 + 0.35 * weave(p)
        body = column("#cf3f2e") * thread
        return where_rows(inside, column("#27324a") * (0.9 + 0.2 * noise(p, 60)), body)

    def weave(p: Tensor) -> Tensor:
        q = placed(p)
        u, v = q[0] * 150, (q[1] + q[2] * 0.6) * 105
        v = v + 0.9 * torch.sin(u).abs()
        return (0.5 + 0.5 * torch.sin(v * 2)) * (0.55 + 0.45 * torch.sin(u).abs())

    def leather_colour(p: Tensor) -> Tensor:
        q = placed(p)
        navy = smoothstep(0.60, 0.62, q[0] + 0.42 * (q[1] - 0.25)) * (q[1] > 0.3)
        base = where_rows(navy, column("#27324a").expand_as(p), column("#e8e4da").expand_as(p))
        thread = where_rows(navy, column("#cf3f2e").expand_as(p), column("#c9c3b6").expand_as(p))
        holes = torch.ones_like(q[0])
        for at in lace_at:
            holes = holes * smoothstep(0.010, 0.016, length(q[0] - at, q[2].abs() - 0.128))
        return where_rows(stitch(p), thread, base) * (0.15 + 0.85 * holes)

    def strand(p: Tensor) -> Tensor:
        q = placed(p)
        return torch.sin((q[2] + q[0] * 0.5) * 420) * torch.sin((q[0] - q[2] * 0.5) * 420)

    return Scene(
        solid=Solid(
            distances,
            [
                Material(albedo=rubber, roughness=0.35, height=lambda p: 0.0006 * noise(p, 70, 2)),
                Material(
                    albedo=knit, f0=(0.01, 0.01, 0.01), roughness=0.7, sheen=0.10, height=lambda p: 0.0032 * weave(p)
                ),
                Material(
                    albedo=leather_colour, roughness=0.32, height=lambda p: 0.0011 * noise(p, 52, 3) + 0.003 * stitch(p)
                ),
                Material(
                    albedo=colour("#27324a"),
                    f0=(0.01, 0.01, 0.01),
                    roughness=0.7,
                    sheen=0.10,
                    height=lambda p: 0.002 * noise(p, 80),
                ),
                Material(
                    albedo=colour("#ebe7dd"), f0=(0.01, 0.01, 0.01), roughness=0.7, height=lambda p: 0.0012 * strand(p)
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
        backdrop=sweep("", 0.05),
        level=1.0,
        aspect=1.25,
    )


# --- a handbag ---


def _spline(points: list[tuple[float, float, float]], steps: int = 4) -> list[list[float]]:
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


def handbag() -> Scene:
    """A satchel of grained leather with a flap, a turn lock, a top handle and a shoulder strap."""
    noise = Noise(21)
    height = 0.98
    strap = _spline(
        [
            (0.77, 0.79, 0.0), (0.84, 0.76, 0.02), (0.93, 0.58, 0.08), (0.96, 0.28, 0.17), (1.00, 0.06, 0.28),
            (0.95, 0.028, 0.44), (0.74, 0.028, 0.58), (0.46, 0.028, 0.60), (0.22, 0.028, 0.52), (-0.02, 0.028, 0.56),
            (-0.25, 0.028, 0.48), (-0.36, 0.028, 0.36),
        ]
    )  # fmt: skip

    def placed(p: Tensor) -> Tensor:
        return turned(p, "y", 22)

    def outline(q: Tensor) -> Tensor:
        return box2(q[0], q[1] - height / 2 - 0.02, 0.80 - 0.10 * q[1], height / 2, 0.13)

    def depth(q: Tensor) -> Tensor:
        return 0.27 - 0.13 * q[1] + 0.018 * torch.cos(q[0] * 1.9).clamp_min(0)

    def body_of(q: Tensor) -> Tensor:
        sag = 0.006 * noise(q, 2.2)
        a, b = outline(q) + 0.045, q[2].abs() - depth(q) + 0.045
        return (length(a.clamp_min(0), b.clamp_min(0)) + torch.maximum(a, b).clamp_max(0) - 0.045) * 0.95 + sag

    def flap_border(q: Tensor) -> Tensor:
        """Negative on the flap: it covers the top and hangs in front to a soft point."""
        edge = 0.43 + 0.16 * (q[0].abs() / 0.72) ** 2.6
        front = (edge - q[1]) * 0.9
        front = smooth_max(front, q[0].abs() - 0.70, 0.12)
        return torch.maximum(front, torch.minimum(-q[2] - 0.05, 0.93 - q[1]))

    def distances(p: Tensor) -> list[Tensor]:
        q = placed(p)
        x, y, z = q[0], q[1], q[2]
        body = body_of(q)
        piping = length(outline(q) + 0.006, z.abs() - depth(q) + 0.012) - 0.019
        skin = smooth_min(body, piping * 0.95, 0.012)
        flap = smooth_max((body - 0.018).abs() - 0.016, flap_border(q), 0.016)
        tab = box2(x.abs() - 0.33, y - 0.88, 0.055, 0.085, 0.035)
        tabs = smooth_max((body - 0.036).abs() - 0.015, torch.maximum(tab, -z), 0.012)
        arch = (
            length(length(x * 1.02, (y - 0.98) * 0.93) - 0.335, (z - 0.135) * 1.1)
            - 0.036
            - 0.008 * smoothstep(1.15, 1.3, y)
        )
        handle = torch.maximum(arch, 1.0 - y) * 0.9
        rope = torch.full_like(x, 9.0)
        for a, b in itertools.pairwise(strap):
            rope = torch.minimum(rope, capsule(q, a, b, 0.024))
        leather = torch.minimum(torch.minimum(skin, flap), torch.minimum(tabs, torch.minimum(handle, rope)))
        # metal: rings, lock, studs and feet
        ring = moved(torch.stack([x.abs(), y, z]), 0.334, 0.965, 0.150)
        metal = length(length(ring[0], ring[1]) - 0.050, ring[2]) - 0.0115
        metal = torch.minimum(
            metal, cylinder(moved(torch.stack([x.abs(), y, z]), 0.338, 1.035, 0.135), 0.043, 0.022, 0.008)
        )
        lock = moved(q, 0, 0.535, float(0.27 - 0.13 * 0.535) + 0.055)
        plate = extruded(box2(lock[0], lock[1], 0.085, 0.062, 0.03), lock[2], 0.014, 0.008)
        knob = capsule(lock, (-0.034, 0, 0.03), (0.034, 0, 0.03), 0.017)
        metal = torch.minimum(metal, torch.minimum(plate, knob))
        stud = moved(torch.stack([x.abs(), y, z]), 0.33, 0.845, float(0.27 - 0.13 * 0.845) + 0.068)
        metal = torch.minimum(metal, ellipsoid(stud, (0.017, 0.017, 0.012)))
        side = moved(q, 0.755, 0.82, 0.0)
        metal = torch.minimum(metal, length(length(side[0], side[1]) - 0.042, side[2]) - 0.011)
        feet = moved(torch.stack([x.abs(), y, z.abs()]), 0.62, 0.012, 0.17)
        metal = torch.minimum(metal, ellipsoid(feet, (0.03, 0.016, 0.03)))
        return [leather, metal]

    def seam(p: Tensor) -> Tensor:
        """Threads along the flap, the tabs and the rim of the body, in [0, 1]."""
        q = placed(p)
        on_flap = smoothstep(0.005, 0.002, (flap_border(q) + 0.035).abs()) * (body_of(q) > 0.02) * (q[2] > 0.05)
        on_body = smoothstep(0.005, 0.002, (outline(q) + 0.06).abs()) * (body_of(q) < 0.012) * (q[2] > 0.05)
        dash = smoothstep(-0.3, 0.1, torch.sin((q[0] + 0.8 * q[1]) * 150))
        return torch.maximum(on_flap, on_body) * dash

    def grain(p: Tensor) -> Tensor:
        """Pebbles: cells in three planes, blended by position so that none is stretched."""
        warped = p + 0.012 * noise(p, 9)
        _, xy = cells(warped[0] * 48, warped[1] * 48, 1)
        _, yz = cells(warped[2] * 48, warped[1] * 48, 2)
        front = smoothstep(0.62, 0.70, placed(p)[0].abs())
        return mix(xy, yz, front).clamp(0, 0.30)

    def hide(p: Tensor) -> Tensor:
        q = placed(p)
        body = column("#96491f") * (1 + 0.07 * noise(p, 4, 3) - 0.35 * smoothstep(0.12, 0.0, grain(p)))
        edge = smoothstep(0.010, 0.004, flap_border(q).abs()) * (body_of(q) > 0.004) * (body_of(q) < 0.05) * (q[2] > 0)
        body = where_rows(edge * 0.9, column("#3b1c0e").expand_as(p), body)
        return where_rows(seam(p), column("#e8cda4").expand_as(p), body)

    return Scene(
        solid=Solid(
            distances,
            [
                Material(
                    albedo=hide,
                    roughness=0.34,
                    height=lambda p: 0.0075 * grain(p) + 0.003 * seam(p) + 0.003 * noise(p, 5, 2),
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
        backdrop=sweep("", 0.2),
        level=0.72,
        aspect=1.0,
    )


# --- a wrist watch ---


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
    _spaced(draw, 700, 400, "MERIDIAN", 78, "white", 12)
    _spaced(draw, 700, 492, "AUTOMATIC", 34, "#c8c8c8", 8)
    draw.ellipse([570, 850, 830, 1110], outline="#d0d0d0", width=4)
    for k in range(12):
        angle = k * math.pi / 6
        c, s = math.cos(angle), math.sin(angle)
        draw.line([700 + 108 * c, 980 + 108 * s, 700 + 126 * c, 980 + 126 * s], fill="white", width=5)
    _spaced(draw, 700, 1190, "100 m", 32, "#c8c8c8", 4)
    return Drawing(picture, linear=True)


def watch() -> Scene:
    """A steel watch on a leather strap, standing on its closed strap: blue sunburst dial, ten past ten."""
    noise, dial = Noise(31), _dial()
    middle = (0.0, 0.66, 0.13)

    def placed(p: Tensor) -> Tensor:
        return turned(turned(moved(p, 0, -0.037, 0), "y", 20), "x", 9)  # leaning back, its loop still on the floor

    def hand(c: Tensor, degrees: float, tail: float, reach: float, wide: float, z: float) -> Tensor:
        h = turned(c, "z", -degrees)
        taper = wide * (1 - 0.55 * ((h[1] + tail) / (reach + tail)).clamp(0, 1))
        flat = torch.maximum(h[0].abs() - taper, (h[1] - (reach - tail) / 2).abs() - (reach + tail) / 2)
        return extruded(flat, h[2] - z, 0.005, 0.002)

    def distances(p: Tensor) -> list[Tensor]:
        q = placed(p)
        c = moved(q, *middle)
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
        case = torch.minimum(torch.minimum(case, crown), cylinder(pusher, 0.03, 0.07))
        face = extruded(r - 0.362, z - 0.036, 0.008)
        sub = length(x, y + 0.150)
        face = torch.maximum(face, -torch.maximum(sub - 0.068, 0.041 - z))
        # markers: one in each of twelve sectors, the topmost in two
        angle = torch.atan2(x, y)
        sector = (angle / (math.pi / 6)).round()
        local = angle - sector * (math.pi / 6)
        u, v = r * local.sin(), r * local.cos()
        u = torch.where(sector.abs() < 0.5, u.abs() - 0.017, u)
        short = torch.where(sector.abs() > 5.5, 0.022, 0.0)
        marks = extruded(box2(u, v - 0.275 - short, 0.0115, 0.042 - short, 0.003), z - 0.052, 0.010, 0.004)
        metal = torch.minimum(marks, extruded((sub - 0.067).abs() - 0.0035, z - 0.045, 0.004))
        metal = torch.minimum(metal, hand(c, 305, 0.05, 0.185, 0.020, 0.066))
        metal = torch.minimum(metal, hand(c, 62, 0.06, 0.275, 0.016, 0.078))
        metal = torch.minimum(metal, hand(moved(c, 0, -0.150, 0), 140, 0.012, 0.052, 0.005, 0.052))
        metal = torch.minimum(metal, extruded(r - 0.022, z - 0.082, 0.010, 0.004))
        seconds = torch.minimum(hand(c, 210, 0.08, 0.30, 0.0048, 0.092), extruded(r - 0.013, z - 0.094, 0.006, 0.003))
        # the strap: an upright oval loop, narrower away from the case
        a, b = 0.635, 0.50
        sy, sz = q[1] - 0.655, q[2] + 0.350
        k0, k1 = length(sy / a, sz / b), length(sy / a**2, sz / b**2)
        loop = k0 * (k0 - 1) / k1.clamp_min(1e-4)
        wide = 0.178 - 0.035 * smoothstep(0.2, -0.7, q[2])
        puff = 0.012 * smoothstep(1.0, 0.4, q[0].abs() / 0.17)
        strap = box2(loop, q[0], 0.020 + puff, wide, 0.012) * 0.85
        strap = torch.maximum(strap, -torch.maximum(r - 0.40, -0.2 - z))
        return [case, face, metal, seconds, strap]

    def printed(p: Tensor) -> Tensor:
        c = moved(placed(p), *middle)
        r, angle = length(c[0], c[1]), torch.atan2(c[0], c[1])
        rays = (
            0.62 + 0.55 * torch.cos(angle * 2 - 1.1) ** 2 + 0.05 * torch.sin(angle * 190) + 0.04 * torch.sin(angle * 77)
        )
        base = column("#123a6b") * rays * (1.15 - 1.3 * r * r / 0.13 * 0.36)
        ink = dial(c[0] / 0.724 + 0.5, c[1] / 0.724 + 0.5)[0]
        return where_rows(ink, column("#eef0f2").expand_as(p), base)

    def thread(p: Tensor) -> Tensor:
        q = placed(p)
        wide = 0.178 - 0.035 * smoothstep(0.2, -0.7, q[2])
        along = torch.atan2(q[1] - 0.655, q[2] + 0.350)
        return smoothstep(0.006, 0.003, (q[0].abs() - wide + 0.028).abs()) * smoothstep(
            -0.3, 0.1, torch.sin(along * 110)
        )

    def hide(p: Tensor) -> Tensor:
        body = column("#8a4f2a") * (1 + 0.12 * noise(p, 7, 3))
        return where_rows(thread(p), column("#ead9ba").expand_as(p), body)

    return Scene(
        solid=Solid(
            distances,
            [
                Material(albedo=(0.0, 0.0, 0.0), f0=(0.80, 0.80, 0.81), roughness=0.07),
                Material(albedo=printed, f0=(0.05, 0.06, 0.08), roughness=0.22),
                Material(albedo=(0.0, 0.0, 0.0), f0=(0.86, 0.86, 0.87), roughness=0.10),
                Material(albedo=colour("#d8472b"), roughness=0.25),
                Material(
                    albedo=hide,
                    roughness=0.38,
                    height=lambda p: 0.0016 * noise(p, 42, 3) + 0.002 * thread(p),
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
        backdrop=sweep("", 0.08),
        ambient=(0.12, 0.12, 0.12),
        level=0.95,
    )


SCENES: dict[str, Callable[[], Scene]] = {
    "mug": mug,
    "perfume": perfume,
    "vase": vase,
    "sneaker": sneaker,
    "handbag": handbag,
    "watch": watch,
}


@dataclass(frozen=True)
class Phone:
    """What a hurried phone does to a picture."""

    size_px: int
    noise: float  # deviation in a middle grey, sRGB
    cast: tuple[float, float, float]  # factors on linear red, green, blue
    blur_px: float
    quality: int  # of the JPEG


SNAPSHOTS = {
    "sneaker": Phone(288, 0.045, (0.80, 0.70, 0.50), 0.5, 25),
    "handbag": Phone(560, 0.030, (0.50, 0.54, 0.60), 0.9, 40),
}


def render(name: str, size_px: int, passes: int) -> Image.Image:
    """One product picture, its longer side `size_px`; a pixel gets 8 to `passes` paths."""
    with torch.no_grad():
        scene = SCENES[name]()
        width, height = (
            (size_px, round(size_px / scene.aspect)) if scene.aspect >= 1 else (round(size_px * scene.aspect), size_px)
        )
        tracer = Tracer(scene, cells=min(224, max(48, size_px // 4)))
        linear = tracer.render(
            width, height, passes, progress=lambda done: log.info("%s: %d of %d passes", name, done, passes)
        )
    grain = np.random.default_rng(0).triangular(-1, 0, 1, size=linear.shape)  # keeps the soft backdrops free of steps
    return Image.fromarray(np.clip(develop(linear, 0.15) * 255 + 0.5 + grain, 0, 255).astype(np.uint8))


def snapshot(picture: Image.Image, phone: Phone, seed: int = 0) -> Image.Image:
    """The picture as a phone takes it in a dim room: small, soft, tinted, noisy; its JPEG comes with saving."""
    small = picture.copy()
    small.thumbnail((phone.size_px, phone.size_px), Image.Resampling.LANCZOS)
    light = (
        np.asarray(small.filter(ImageFilter.GaussianBlur(phone.blur_px)), dtype=np.float32) / 255
    ) ** 2.2 * np.array(phone.cast, dtype=np.float32)
    rng = np.random.default_rng(seed)
    shot = rng.normal(size=light.shape).astype(np.float32) * np.sqrt(light + 0.02) * (phone.noise * 1.5)
    seen = np.clip(light + shot, 0, 1) ** (1 / 2.2)
    return Image.fromarray((seen * 255 + 0.5).astype(np.uint8))


def make(out: Path = ROOT / "gradio_ui" / "examples", size_px: int = 1000, passes: int = 32) -> list[Path]:
    """Render every example into the folder `out` and return the files written, JPEGs below 200 kB."""
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name in SCENES:
        picture = render(name, size_px, passes)
        files.append(out / f"{name}.jpg")
        picture.save(files[-1], quality=90, optimize=True)
        if phone := SNAPSHOTS.get(name):
            files.append(out / f"snapshot-{name}.jpg")
            snapshot(picture, phone).save(files[-1], quality=phone.quality)
    return files
