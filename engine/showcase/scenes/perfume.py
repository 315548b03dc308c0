"""A bottle of thick glass with amber perfume, a gold collar and a dark cap."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from engine.showcase.lettering import spaced
from engine.showcase.scene import Camera, Glass, Material, Scene, Softbox, Solid
from engine.showcase.scenes.surroundings import sweep
from engine.showcase.shapes import Drawing, Noise, box, colour, cylinder, moved, smooth_min, turned


def _perfume_label() -> Drawing:
    picture = Image.new("RGB", (900, 720), "#f6f1e7")
    draw = ImageDraw.Draw(picture)
    draw.rectangle([26, 26, 874, 694], outline="#b08d4a", width=5)
    draw.rectangle([40, 40, 860, 680], outline="#b08d4a", width=2)
    spaced(draw, 450, 90, "MAISON", 46, "#8d7035", 22)
    draw.line([300, 180, 600, 180], fill="#b08d4a", width=3)
    spaced(draw, 450, 235, "VERANO", 138, "#22201c", 18)
    draw.line([300, 440, 600, 440], fill="#b08d4a", width=3)
    spaced(draw, 450, 480, "EAU DE PARFUM", 50, "#22201c", 10)
    spaced(draw, 450, 580, "50 ml  1.7 fl. oz", 36, "#6a655a", 4)
    return Drawing(picture)


def perfume() -> Scene:
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
        backdrop=sweep(0.15),
        level=0.88,
        bounces=7,
    )
