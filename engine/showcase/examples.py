"""The example pictures of the page: products that exist nowhere, rendered here, so that anybody may use them for
anything.

`python -m engine.showcase` writes them; the same seed gives the same pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from engine.settings import ROOT
from engine.showcase.developing import develop
from engine.showcase.scene import Scene
from engine.showcase.scenes.handbag import handbag
from engine.showcase.scenes.mug import mug
from engine.showcase.scenes.perfume import perfume
from engine.showcase.scenes.sneaker import sneaker
from engine.showcase.scenes.vase import vase
from engine.showcase.scenes.watch import watch
from engine.showcase.tracer import Tracer

log = logging.getLogger("vitrine")


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
    tint: tuple[float, float, float]  # factors on linear red, green, blue
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
    ) ** 2.2 * np.array(phone.tint, dtype=np.float32)
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
