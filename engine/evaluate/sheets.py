"""The sheet of what Enhance does, on the app's own rendered examples: each step before, by a method without a network,
by ours, and as the picture was; and the sheet of cut-outs of any photos, to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from engine.evaluate import baselines
from engine.evaluate.filters import gaussian_filter
from engine.evaluate.measures import runner
from engine.evaluate.networks.inpaint import filled
from engine.models import segment, sharpen
from engine.models.cutout import decontaminated
from engine.models.tone import adjusted
from engine.product import by_network, detect
from engine.settings import ROOT
from engine.showcase.lettering import typeface
from engine.train import degrade
from engine.train.degrade import shrink
from engine.train.recipes.inpaint import free_form

if TYPE_CHECKING:
    from engine.weights import Network

EXAMPLES = ROOT / "gradio_ui" / "examples"
CELL_PX, CAPTION_PX = 256, 22
LAID_ON = torch.tensor([0.30, 0.52, 0.50]).view(
    1, 3, 1, 1
)  # what cut-outs are laid on: shows halos of light and dark backgrounds

Cells = list[tuple[str, Tensor]]  # a caption and a picture (1, 3, CELL_PX, CELL_PX) each


def write_enhance_sheet(networks: Sequence[Network], file: Path = ROOT / "docs" / "enhance.jpg") -> Path:
    """The rows of each of `networks` that is known here, in this order: restore, upscale-x4, deblur, tone, inpaint,
    matte.
    """
    known = {network.weight.name: network for network in networks}
    rows = [row(known[name]) for name, of_one in ROWS.items() if name in known for row in of_one]
    sheet = Image.new("RGB", (4 * CELL_PX, len(rows) * (CELL_PX + CAPTION_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, cells in enumerate(rows):
        for k, (caption, x) in enumerate(cells):
            top = i * (CELL_PX + CAPTION_PX)
            draw.text((k * CELL_PX + 6, top + 3), caption, "black", typeface(13))
            sheet.paste(_pil(x), (k * CELL_PX, top + CAPTION_PX))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, quality=88)
    return file


def write_cut_outs(network: Network, photos: Sequence[Tensor], file: Path, columns: int = 6) -> Path:
    """Photos (1, 3, H, W) above what the app cuts out of them, laid on one colour; pairs beside each other."""
    side, pairs = 200, []
    for photo in photos:
        known = detect(photo, network)
        for x in (photo, _laid(photo, known.mask if known else torch.ones_like(photo[:, :1]))):
            size = [max(1, round(length * side / max(x.shape[2:]))) for length in x.shape[2:]]
            pairs.append(_pil(F.interpolate(x, size, mode="area")))
    sheet = Image.new("RGB", (columns * side, -(-len(photos) // columns) * 2 * side), "white")
    for i, picture in enumerate(pairs):
        sheet.paste(picture, (i // 2 % columns * side, (i // 2 // columns * 2 + i % 2) * side))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)
    return file


def example(name: str, size_px: int = 2 * CELL_PX, part: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Tensor:
    """A square of an example, (1, 3, S, S); part: its left and top, and its side, as shares of the example's width."""
    picture = Image.open(EXAMPLES / f"{name}.jpg").convert("RGB")
    left, top, side = (round(share * picture.width) for share in part)
    square = picture.crop((left, top, left + side, top + side)).resize((size_px, size_px), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255


def photographed(x: Tensor, kernel: Tensor) -> Tensor:
    """A photo (1, 3, H, W) blurred by a kernel (K, K) and saved by a phone; its edges are continued."""
    edge = degrade.BLUR_PX // 2
    blurred = degrade.blurred(F.pad(x, (edge,) * 4, mode="replicate"), kernel[None])
    return degrade.jpeg(degrade.gaussian_noise(blurred, 2, np.random.default_rng(0))[0], 92)[None]


def elsewhere(product: Tensor, background: Tensor) -> Tensor:
    """A product on a plain background (1, 3, S, S) before another picture out of focus, as if it had been taken
    there.
    """
    mask = segment.product_mask(product).mask
    colours, alpha = decontaminated(product, mask)
    return degrade.jpeg(torch.lerp(gaussian_filter(background, 6.0), colours, alpha)[0], 92)[None]


def _restored(network: Network) -> Cells:
    x = example("handbag", CELL_PX, (0.15, 0.28, 0.42))
    spoiled = degrade.jpeg(degrade.gaussian_noise(x, 15, np.random.default_rng(0))[0], 75)[None]
    return [
        ("restore: noise and JPEG", spoiled),
        ("Gaussian filter", gaussian_filter(spoiled, 0.8)),
        ("ours", runner(network)(spoiled)),
        ("as it was", x),
    ]


def _enlarged(network: Network) -> Cells:
    x = example("perfume", CELL_PX, (0.33, 0.5, 0.36))
    small = shrink(x, 4)
    sizes = {mode: F.interpolate(small, scale_factor=4, mode=mode).clamp(0, 1) for mode in ("nearest", "bicubic")}
    return [
        ("upscale-x4: 64 x 64 pixels", sizes["nearest"]),
        ("bicubic", sizes["bicubic"]),
        ("ours", runner(network)(small)),
        ("as it was", x),
    ]


def _focused(network: Network) -> Cells:
    return _sharpened(network, "out of focus", example("watch", CELL_PX, (0.3, 0.35, 0.45)), degrade.disk_kernel(2.5))


def _steadied(network: Network) -> Cells:
    return _sharpened(
        network,
        "shaken by 7 px",
        example("perfume", CELL_PX, (0.33, 0.5, 0.36)),
        degrade.motion_kernel(7, np.random.default_rng(0)),
    )


def _sharpened(network: Network, how: str, x: Tensor, kernel: Tensor) -> Cells:
    spoiled = photographed(x, kernel)
    return [
        (f"deblur: {how}", spoiled),
        ("unsharp masking", sharpen.unsharp(spoiled)),
        ("ours", runner(network)(spoiled)),
        ("as it was", x),
    ]


def _lit(network: Network) -> Cells:
    x = example("mug", CELL_PX)
    spoiled = adjusted(x.flatten(2), torch.tensor([[-2.0, 0.4, 0, 0, 0, 0]])).view_as(x).clamp(0, 1)
    ours = network.module.lut(*network.module.propose(spoiled)).apply(spoiled)
    return [
        ("tone: two stops too dark, too warm", spoiled),
        ("gamma", baselines.gamma(spoiled)),
        ("ours", ours),
        ("as it was", x),
    ]


def _completed(network: Network) -> Cells:
    x = example("mug", CELL_PX, (0.2, 0.25, 0.5))
    holes = free_form(CELL_PX, np.random.default_rng(3), (0.12, 0.2))[None]
    shown = torch.where(holes > 0.5, 1.0, x)
    return [
        ("inpaint: holes", shown),
        ("smooth fill", filled(x, holes, None)),
        ("ours", filled(x, holes, network)),
        ("as it was", x),
    ]


def _cut(network: Network) -> Cells:
    x = elsewhere(example("handbag", CELL_PX), example("mug", CELL_PX, (0.2, 0.25, 0.5)))
    plain, matte = segment.product_mask(x).mask, by_network(x, network)
    shown = [
        ("mask by the background's colour", _laid(x, plain)),
        ("ours", _laid(x, matte)),
        ("the matte", matte.expand(-1, 3, -1, -1)),
    ]
    return [("cut-out: before a busy ground", x), *shown]


def _laid(x: Tensor, matte: Tensor) -> Tensor:
    colours, alpha = decontaminated(x, matte)
    return torch.lerp(LAID_ON.expand_as(x), colours, alpha)


def _pil(x: Tensor) -> Image.Image:
    return Image.fromarray((x[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


ROWS: dict[str, tuple[Callable[[Network], Cells], ...]] = {
    "restore": (_restored,),
    "upscale-x4": (_enlarged,),
    "deblur": (_focused, _steadied),
    "tone": (_lit,),
    "inpaint": (_completed,),
    "matte": (_cut,),
}


def card_rows(name: str, network: Network) -> Iterator[Tensor]:
    """The pictures of a step's rows on the sheet, for the card of its network."""
    yield from (x for row in ROWS[name] for _, x in row(network))
