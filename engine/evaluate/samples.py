"""The sample picture on each weight's card, made from the app's own rendered examples and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.contract.style import StyleRequest
from engine.evaluate import sheets
from engine.evaluate.compare import painted
from engine.models import edges, gatys
from engine.models.sketch import ANY
from engine.models.style_loss import Style
from engine.models.tone import adjusted
from engine.settings import ROOT, Settings
from engine.showcase.drawings import DRAWINGS, drawing
from engine.style import presets
from engine.train import degrade
from engine.train.degrade import shrink
from engine.train.drawing import draw
from engine.train.loop import contact_sheet

if TYPE_CHECKING:
    from engine.weights import Network

EXAMPLES = ROOT / "gradio_ui" / "examples"
SHEET_PX = 144  # side of a picture on the sheets of styles


def write(name: str, network: Network, run: Callable[[Tensor], Tensor], folder: Path) -> Path:
    """Write FOLDER/NAME.jpg, a few pictures side by side. `run` takes pictures through the network, (1, 3, H, W)."""
    if network.weight.task == "generate":
        sheet = contact_sheet(
            draw(network.module, torch.arange(64) % len(CATEGORIES), GenerateRequest().truncation), columns=8
        )
    elif name == "sketch":
        sheet = contact_sheet(sketch_samples(network), columns=8)
    elif name == "faststyle":
        sheet = style_sheet(lambda photo, style: painted(network, photo, style, strokes=StyleRequest.strokes))
    elif name in ("deblur", "inpaint", "matte"):
        sheet = contact_sheet(torch.cat(list(sheets.card_rows(name, network))), columns=4)
    else:
        rows = {"features": _features_row, "restore": _restore_row, "tone": _tone_row}.get(name, _upscale_row)
        crops = [_crop(file, 256) for file in sorted(EXAMPLES.glob("*.jpg")) if not file.name.startswith("snapshot")][
            :3
        ]
        shown = [rows(network, run, crop) for crop in crops]
        sheet = contact_sheet(torch.cat([p for row in shown for p in row]), columns=len(shown[0]))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.jpg"
    sheet.save(file, quality=90)
    return file


def write_style_sheets(fast: Network, features: Network, folder: Path = ROOT / "docs", *, steps: int = 40) -> None:
    """Write FOLDER/styles-NAME.jpg: our products in eight presets,
    by `faststyle` and by Gatys' method with few steps.
    """

    def optimised(photo: Tensor, style: Style) -> Tensor:
        *_, last = gatys.paint(features.module, gatys.BACKBONES["features"], photo, style, steps=steps)
        return last.picture.detach()

    folder.mkdir(parents=True, exist_ok=True)
    ways: dict[str, Callable[[Tensor, Style], Tensor]] = {
        "faststyle": lambda photo, style: painted(fast, photo, style, strokes=StyleRequest.strokes),
        "gatys": optimised,
    }
    for name, paint in ways.items():
        style_sheet(paint, size_px=SHEET_PX).save(folder / f"styles-{name}.jpg", quality=82)


def style_sheet(paint: Callable[[Tensor, Style], Tensor], presets_shown: int = 8, size_px: int = 192) -> Image.Image:
    """Our example products, each as it is and in the first presets: a row for each product, painted at twice the size
    shown.
    """
    chosen = [preset.name for preset in presets.PRESETS[:presets_shown]]
    pictures = []
    for file in sorted(EXAMPLES.glob("*.jpg")):
        if file.name.startswith("snapshot"):
            continue
        picture = Image.open(file).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side)).resize(
            (2 * size_px, 2 * size_px), Image.Resampling.LANCZOS
        )
        photo = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255
        pictures += [photo, *(paint(photo, presets.load(name, Settings())) for name in chosen)]
    small = F.interpolate(torch.cat(pictures), (size_px, size_px), mode="bilinear", antialias=True)
    return contact_sheet(small, columns=1 + presets_shown)


def sketch_samples(network: Network, coloured: int = 6, seed: int = 0) -> Tensor:
    """Our drawings, a row each: its lines, the product in palettes that were seen, and in red; (N, 3, S, S)."""
    drawer, rng = network.module, torch.Generator().manual_seed(seed)
    rows = []
    for name in DRAWINGS:
        page = torch.from_numpy(np.array(drawing(name))).float()[None, None].expand(-1, 3, -1, -1) / 255
        lines = edges.from_drawing(page, drawer.size_px)
        category = name if name in drawer.categories else ANY
        latents = drawer.sample_latents(category, coloured + 1, 1.0, rng)
        latents[coloured:] = drawer.with_colour(latents[coloured:], torch.tensor([0.75, 0.1, 0.1]))
        labels = torch.full((len(latents),), drawer.categories.index(category))
        with torch.inference_mode():
            rows += [1 - lines.expand(-1, 3, -1, -1), drawer(lines.expand(len(latents), -1, -1, -1), latents, labels)]
    return torch.cat(rows)


def _crop(file: Path, size_px: int) -> Tensor:
    """The middle of an example at half size, where its detail is: (1, 3, S, S)."""
    picture = Image.open(file).convert("RGB")
    picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    x, y = (picture.width - size_px) // 2, (picture.height - size_px) // 2
    pixels = np.asarray(picture.crop((x, y, x + size_px, y + size_px)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def _features_row(network: Network, run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        maps = [F.interpolate(m.mean(1, keepdim=True), x.shape[-1]) for m in network.module(x)[:4]]
    return [x, *(((m - m.amin()) / (m.amax() - m.amin())).expand(-1, 3, -1, -1) for m in maps)]


def _restore_row(network: Network, run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    noisy = degrade.gaussian_noise(x, 15, np.random.default_rng(0))
    spoiled = degrade.jpeg(noisy[0], 75)[None]  # as phones save
    return [spoiled, run(spoiled), x]


def _tone_row(network: Network, run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Two stops too dark and too warm; ours; as it was."""
    spoiled = adjusted(x.flatten(2), torch.tensor([[-2.0, 0.4, 0, 0, 0, 0]])).view_as(x).clamp(0, 1)
    adjustments, weights = network.module.propose(spoiled)
    return [spoiled, network.module.lut(adjustments, weights).apply(spoiled), x]


def _upscale_row(network: Network, run: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    scale = network.weight.tiling.scale
    small = shrink(x, scale)
    return [F.interpolate(small, scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1), run(small), x]
