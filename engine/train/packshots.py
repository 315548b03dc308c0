"""Packshots: catalogue photos of one product on white, framed alike, and their colours.

What every recipe of a generator shares: cutting to the product, reading categories, leaving out what is of no use,
turning hues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.contract.errors import RequestError
from engine.image import squared
from engine.models.features import Features
from engine.models.srgb import luma
from engine.train import cleaning, data

SQUASHED = (
    4 / 3
)  # the catalogue that the shipped networks learned from was squashed from 3:4: the stretch that undoes it
LEAST_PICTURES = 16


def frame(size_px: int, margin: float = 0.06, threshold: int = 244, stretch: float = 1.0) -> Any:
    """Crop a packshot to its product, lay it in the middle of a white square with a margin, scale to `size_px`.

    stretch: how many times taller a picture is made first.
    """

    def prepare(picture: Image.Image) -> Image.Image:
        picture = picture.resize((picture.width, round(picture.height * stretch)), Image.Resampling.BICUBIC)
        box = picture.convert("L").point(lambda v: 255 * (v < threshold)).getbbox() or (0, 0, *picture.size)
        return squared(picture, box, size_px, margin)

    return prepare


@dataclass(frozen=True)
class Products:
    """Framed pictures uint8 (N, 3, S, S); of each its name, its category ("" where none is known) and what
    `cleaning.look` saw.
    """

    pictures: Tensor
    names: tuple[str, ...]
    categories: tuple[str, ...]
    looks: tuple[dict[str, Any], ...]

    def labels(self, categories: Sequence[str]) -> Tensor:
        """The index of each one's category among `categories`, (N,); -1 where it is none of them."""
        index = {name: i for i, name in enumerate(categories)}
        return torch.tensor([index.get(name, -1) for name in self.categories])

    def only(self, chosen: Sequence[int]) -> Products:
        """Those at the indices `chosen`."""
        names, categories = (tuple(of_all[i] for i in chosen) for of_all in (self.names, self.categories))
        return Products(self.pictures[list(chosen)], names, categories, tuple(self.looks[i] for i in chosen))

    def of(self, categories: Sequence[str]) -> Products:
        """Those that have one of `categories`."""
        return self.only([i for i, name in enumerate(self.categories) if name in categories])

    def cleaned(self, features: Features, report: Path) -> tuple[Products, str]:
        """What there is to learn from, without what is too small, not on white, or nearly the same as another; and a
        sentence about that.

        report: the csv to write with what was left out. RequestError when fewer than `LEAST_PICTURES` are left.
        """
        kept, left = cleaning.clean(list(self.names), list(self.looks), self.pictures, features)
        sentence = cleaning.report(left, len(self.names), report)
        if len(kept) < LEAST_PICTURES:
            raise RequestError(f"That is too few to learn from: {sentence}")
        return self.only(kept), sentence


def read_products(
    sources: Sequence[Path],
    table: Path | None,
    cache: Path,
    *,
    size_px: int = 64,
    stretch: float = 1.0,
    held_out: bool = False,
) -> Products:
    """The pictures of folders and tars, framed; to learn from, or held out (of a set so small that none is, the same
    ones).

    table: a csv of categories, or None. stretch: how many times taller pictures are made first.
    """
    packed = data.pack(
        sources, cache, f"products_{size_px}_{stretch:.3f}", frame(size_px, stretch=stretch), cleaning.look
    )
    known = data.read_categories(table) if table else {}
    chosen = packed.split()[held_out]
    names = tuple(packed.names[i] for i in chosen)
    return Products(
        torch.stack([packed[i] for i in chosen]),
        names,
        tuple(known.get(name, "") for name in names),
        tuple(packed.looks[i] for i in chosen),
    )


class Packshots:
    """What generators learn from: pictures uint8 (N, 3, S, S) and the index of each one's category (N,)."""

    def __init__(self, pictures: Tensor, labels: Tensor, categories: tuple[str, ...]) -> None:
        self.pictures, self.labels, self.categories = pictures, labels, categories
        # A category is drawn by the root of its size: ties are seen, and shoes still most often.
        counts = torch.bincount(labels, minlength=len(categories)).double().clamp(min=1)
        chances = counts.rsqrt()[labels]
        self.chances = (chances / chances.sum()).numpy()

    @property
    def size_px(self) -> int:
        return self.pictures.shape[-1]

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """`count` pictures, float in [0, 1], flipped and some turned in hue, and their categories."""
        chosen = torch.from_numpy(rng.choice(len(self.pictures), count, p=self.chances))
        x = self.pictures[chosen].float().div_(255)
        x = torch.where(torch.from_numpy(rng.uniform(size=count) < 0.2).view(-1, 1, 1, 1), x.flip(3), x)
        return recolour(x, rng).contiguous(memory_format=torch.channels_last), self.labels[chosen]


def recolour(x: Tensor, rng: np.random.Generator, chance: float = 0.3) -> Tensor:
    """Turn the hue of some pictures: products come in colours that few packshots show. White and grey stay."""
    n = len(x)
    angle = torch.from_numpy(rng.uniform(-np.pi, np.pi, n) * (rng.uniform(size=n) < chance)).float()
    grey = luma(x)
    axis = torch.full((3,), 3**-0.5)
    cross = torch.tensor([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    turn = (
        torch.eye(3) + angle.sin().view(-1, 1, 1) * cross + (1 - angle.cos()).view(-1, 1, 1) * (cross @ cross)
    )  # Rodrigues
    turned = torch.einsum("nij,njhw->nihw", turn, x - grey)
    turned = turned - luma(turned)
    return torch.where((angle == 0).view(-1, 1, 1, 1), x, (grey + turned).clamp(0, 1))
