"""A glazed ceramic mug printed with leaves, handle to the right."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from engine.showcase.scene import Camera, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import specks, sweep
from engine.showcase.shapes import (
    Drawing,
    Noise,
    box2,
    colour,
    column,
    length,
    moved,
    smooth_max,
    smooth_min,
    turned,
    where_rows,
)
from engine.showcase.vectors import smoothstep


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
        backdrop=sweep(),
        level=0.88,
    )
