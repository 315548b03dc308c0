"""Chains of Enhance over stand-ins for networks, and the photos they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from shelf import Plain, Shelf, enlarge, finish, invert, row
from torch import Tensor, nn

from engine.contract import EnhanceRequest, Result
from engine.enhance.enhance import enhance
from engine.models.tone import MOST, Tone
from engine.runtime.device import Device
from engine.runtime.tiles import Tiling
from engine.settings import Settings


def run(weights: Shelf, photo: str, settings: Settings | None = None, **request: Any) -> Result:
    return finish(enhance(EnhanceRequest(photo, **request), weights, Device(), settings or Settings()))  # type: ignore[arg-type]


def product_photo(file: Path, size: tuple[int, int] = (240, 180), mode: str = "RGB") -> str:
    """A dark red disc on light grey, its outline drawn at four times the size."""
    width, height = size
    large = Image.new("RGB", (4 * width, 4 * height), (225, 226, 228))
    y, x = np.mgrid[0 : 4 * height, 0 : 4 * width]
    disc = np.hypot(x - 2 * width, y - 2 * height) < 1.2 * min(size)
    large.paste((150, 30, 40), mask=Image.fromarray((255 * disc).astype(np.uint8)))
    large.resize(size, Image.Resampling.BOX).convert(mode).save(file)
    return str(file)


def everything() -> Shelf:
    """A network for every step; the matte takes the left half for the product."""

    def left(x: Tensor) -> Tensor:
        return torch.where(torch.arange(x.shape[3]) < x.shape[3] // 2, 20.0, -20.0).expand(x.shape[0], 1, *x.shape[2:])

    rows = {
        "restore": invert,
        "deblur": invert,
        "matte": left,
        "upscale-x2": enlarge(2),
        "upscale-x4": enlarge(4),
        "inpaint": lambda x, mask: x * (1 - mask),
    }
    modules: list[Any] = []
    for name, function in rows.items():
        tiling = Tiling(scale=int(name[-1]) if name.startswith("upscale") else 1, overlap_px=4, most_px=4096)
        modules.append((row(name, "cut-out" if name == "matte" else name, tiling=tiling), Plain(function)))
    network = with_tone((0.5, 0.2, 0.0, 0.1, 0.0, 0.3))[1]
    return Shelf(*modules, (row("tone", "tone"), network))


def with_tone(amounts: tuple[float, ...], basis: float = 0.0) -> tuple[Shelf, Tone]:
    """A shelf whose network proposes the same amounts for every photo."""
    torch.manual_seed(0)
    network = Tone((4, 4), 2)
    most = torch.tensor(MOST)
    nn.init.zeros_(network.weights.weight)
    nn.init.ones_(network.weights.bias)
    network.amounts.bias.data = most * torch.atanh(torch.tensor(amounts) / most)
    network.basis.data.fill_(basis)
    return Shelf((row("tone", "tone"), network)), network
