"""Products as a person would draw them with a mouse: a few strokes, unsteady, not quite closed.

They show on the card of `sketch` what it makes of lines that came from no photo, and two are examples on the page.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from engine.settings import ROOT

# Strokes of each drawing as points (x, y) in a square of 100; a stroke is a smooth curve through them, unless it is
# named
# in _STRAIGHT, whose corners stay.
DRAWINGS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "shoe": (
        ((8, 46), (12, 38), (20, 36), (30, 42), (40, 48), (52, 40), (58, 44), (70, 56), (84, 60), (93, 66), (94, 74)),
        ((8, 46), (7, 58), (8, 70)),
        ((6, 70), (30, 72), (60, 71), (94, 73)),
        ((6, 70), (5, 79), (30, 81), (62, 80), (92, 81), (95, 73)),
        ((52, 40), (46, 54), (48, 70)),
        ((55, 50), (62, 45)),
        ((60, 55), (67, 50)),
        ((66, 60), (73, 55)),
        ((76, 72), (78, 63), (86, 60)),
    ),
    "heel": (
        ((10, 32), (18, 30), (30, 44), (46, 62), (60, 68), (74, 66), (86, 70), (93, 78), (84, 82), (62, 80)),
        ((10, 32), (9, 44), (14, 52), (28, 58), (42, 74), (62, 81)),
        ((11, 50), (13, 66), (14, 82), (18, 82), (20, 66), (24, 56)),
        ((18, 30), (28, 48), (44, 64), (58, 70), (72, 66)),
    ),
    "handbag": (
        ((16, 44), (84, 44), (90, 88), (10, 88), (16, 44)),
        ((30, 44), (32, 22), (42, 11), (58, 11), (68, 22), (70, 44)),
        ((35, 44), (37, 26), (44, 17), (56, 17), (63, 26), (65, 44)),
        ((15, 52), (40, 62), (60, 62), (85, 52)),
        ((46, 58), (54, 58), (54, 67), (46, 67), (46, 58)),
    ),
    "watch": (
        ((50, 32), (63, 37), (68, 50), (63, 63), (50, 68), (37, 63), (32, 50), (37, 37), (50, 32)),
        ((50, 37), (59, 41), (63, 50), (59, 59), (50, 63), (41, 59), (37, 50), (41, 41), (50, 37)),
        ((40, 35), (41, 8), (59, 8), (60, 35)),
        ((40, 65), (41, 93), (59, 93), (60, 65)),
        ((50, 50), (50, 42)),
        ((50, 50), (56, 53)),
        ((68, 48), (72, 48), (72, 53), (68, 53)),
    ),
    "t-shirt": (
        (
            (36, 14),
            (20, 20),
            (6, 40),
            (18, 48),
            (26, 40),
            (26, 88),
            (74, 88),
            (74, 40),
            (82, 48),
            (94, 40),
            (80, 20),
            (64, 14),
        ),
        ((36, 14), (42, 22), (50, 24), (58, 22), (64, 14)),
        ((33, 15), (40, 26), (50, 29), (60, 26), (67, 15)),
    ),
    "sunglasses": (
        ((8, 42), (26, 38), (44, 42), (42, 58), (28, 63), (13, 57), (8, 42)),
        ((56, 42), (74, 38), (92, 42), (87, 57), (72, 63), (58, 58), (56, 42)),
        ((44, 46), (50, 43), (56, 46)),
        ((8, 42), (4, 40), (5, 46)),
        ((92, 42), (96, 40), (95, 46)),
    ),
    "mug": (
        ((22, 22), (45, 17), (68, 22), (45, 28), (22, 22)),
        ((22, 22), (24, 60), (28, 82), (45, 86), (62, 82), (66, 60), (68, 22)),
        ((67, 34), (84, 33), (88, 48), (80, 62), (65, 64)),
        ((67, 41), (78, 40), (80, 48), (75, 56), (66, 57)),
    ),
}
EXAMPLES = ("shoe", "handbag")  # on the page
_STRAIGHT = {("handbag", 0), ("handbag", 4), ("watch", 2), ("watch", 3), ("watch", 6), ("t-shirt", 0)}


def drawing(name: str, size_px: int = 512, pen_px: float = 6, wobble: float = 0.7, seed: int = 0) -> Image.Image:
    """One of DRAWINGS as a grey picture, black on white; `wobble` is how unsteady the hand is, in hundredths of the
    side.
    """
    rng = np.random.default_rng((seed, *name.encode()))
    fine = 2  # drawn at twice the size, for soft edges
    page = Image.new("L", (size_px * fine, size_px * fine), 255)
    pen = ImageDraw.Draw(page)
    for i, stroke in enumerate(DRAWINGS[name]):
        points = np.array(stroke, dtype=float) + rng.normal(0, wobble, (len(stroke), 2))
        curve = _through(points, corners=(name, i) in _STRAIGHT)
        tremor = np.cumsum(rng.normal(0, 0.12 * wobble, curve.shape), axis=0)
        curve += tremor - np.linspace(tremor[0], tremor[-1], len(curve))  # a hand comes back to where it wanted to go
        path = [tuple(point) for point in curve * size_px * fine / 100]
        pen.line(path, fill=0, width=round(pen_px * fine), joint="curve")
        r = pen_px * fine / 2
        for x, y in (path[0], path[-1]):
            pen.ellipse((x - r, y - r, x + r, y + r), fill=0)
    return page.resize((size_px, size_px), Image.Resampling.BOX)


def make(out: Path = ROOT / "gradio_ui" / "examples") -> list[Path]:
    """Draw the page's examples into the folder `out`: drawing-NAME.png."""
    files = [out / f"drawing-{name}.png" for name in EXAMPLES]
    for name, file in zip(EXAMPLES, files, strict=True):
        drawing(name).save(file, optimize=True)
    return files


def _through(points: np.ndarray, corners: bool, steps: int = 12) -> np.ndarray:
    """Points (P, 2) on the Catmull-Rom spline through `points`, or on the straight lines between them."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    before = np.concatenate([points[:1], points[:-2]])
    start, end = points[:-1], points[1:]
    after = np.concatenate([points[2:], points[-1:]])
    parts = []
    for p, a, b, q in zip(before, start, end, after, strict=True):
        line = a + (b - a) * t
        bend = 0.5 * (2 * a + (b - p) * t + (2 * p - 5 * a + 4 * b - q) * t**2 + (3 * a - p - 3 * b + q) * t**3)
        parts.append(line if corners else bend)
    return np.concatenate([*parts, points[-1:]])
