"""What is left out of a training set, and why: too small, not on white, or nearly the same as another picture.

Near-duplicates are found twice: by a difference hash (neighbouring pixels compared, in colour), which finds a picture
that was saved again, and by their place in the embedding of `features`, which finds one that was cropped differently.
Of pictures that are alike the first stays.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.models.features import Features
from engine.train.distances import embed

WHITE = 235  # a pixel this light in every channel is white
LEAST_WHITE = 0.5  # of the border: products may reach it, tables and rooms fill it
MOST_BITS = 16  # of 384 that may differ between pictures that count as the same
LEAST_DISTANCE = 0.3  # in the embedding, as a share of the mean distance between two pictures
MOST_SHADE = (
    0.08  # difference of their thumbnails, as a share of what is not white in them: colour variants differ by more
)


@dataclass(frozen=True)
class LeftOut:
    """A picture that is not learned from. like: the name of the picture that it repeats, or nothing."""

    name: str
    why: str
    like: str = ""


def look(picture: Image.Image) -> dict[str, Any]:
    """What must be known of a picture before it is framed: its size, and the white share of its border."""
    small = np.asarray(picture.resize((64, 64), Image.Resampling.BOX))
    border = np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]])
    return {"size": picture.size, "white": float((border.min(1) >= WHITE).mean())}


def difference_hash(pictures: Tensor, side: int = 8) -> Tensor:
    """uint8 (N, 3, S, S) -> bool (N, 6 side^2): whether each cell is darker than its right and its lower neighbour, per
    channel.
    """
    cells = F.adaptive_avg_pool2d(pictures.float(), side + 1)
    # A step of up to three grey levels is noise of the coding, not a difference.
    across = cells[..., :-1, 1:] - cells[..., :-1, :-1] > 3
    down = cells[..., 1:, :-1] - cells[..., :-1, :-1] > 3
    return torch.cat([across.flatten(1), down.flatten(1)], 1)


def repeats(pictures: Tensor, features: Features) -> dict[int, int]:
    """Index of each near-duplicate -> index of the earlier picture that it repeats; uint8 (N, 3, S, S)."""
    hashes = difference_hash(pictures).float()
    shades = 1 - F.adaptive_avg_pool2d(pictures.float() / 255, 8).flatten(1)
    ink = shades.sum(1)
    places = torch.cat([embed(features, part.float() / 255) for part in pictures.split(512)])
    places = (places - places.mean(0)) / (places.std(0, correction=0) + 1e-6)
    typical = float(torch.cdist(places[::7], places[::11]).mean())
    found: dict[int, int] = {}
    for first in range(0, len(pictures), 512):
        rows = slice(first, first + 512)
        bits = hashes[rows].sum(1, keepdim=True) + hashes.sum(1) - 2 * hashes[rows] @ hashes.T
        shade = torch.cdist(shades[rows], shades, p=1) / (0.5 * (ink[rows, None] + ink) + 1e-6)
        same = (shade <= MOST_SHADE) & (
            (bits <= MOST_BITS) | (torch.cdist(places[rows], places) <= LEAST_DISTANCE * typical)
        )
        for i, j in same.nonzero().tolist():
            if j < first + i and j not in found:
                found.setdefault(first + i, j)
    return found


def clean(
    names: list[str], looks: list[dict[str, Any]], pictures: Tensor, features: Features
) -> tuple[list[int], list[LeftOut]]:
    """Indices to learn from, and what is left out; pictures are the framed ones, uint8 (N, 3, S, S)."""
    size_px = pictures.shape[-1]
    left = {
        i: LeftOut(name, f"smaller than {size_px} px")
        for i, name in enumerate(names)
        if min(looks[i]["size"]) < size_px
    }
    left |= {
        i: LeftOut(name, "not on white")
        for i, name in enumerate(names)
        if i not in left and looks[i]["white"] < LEAST_WHITE
    }
    rest = [i for i in range(len(names)) if i not in left]
    if len(rest) > 1:
        found = repeats(pictures[rest], features)
        left |= {
            rest[i]: LeftOut(names[rest[i]], "nearly the same as another", names[rest[j]]) for i, j in found.items()
        }
    return [i for i in range(len(names)) if i not in left], [left[i] for i in sorted(left)]


def report(left: list[LeftOut], total: int, file: Path) -> str:
    """Write what was left out as a csv (file, why, like); the sentence that sums it up."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("file", "why", "like"))
        rows.writerows((row.name, row.why, row.like) for row in left)
    counts = ", ".join(f"{n} {why}" for why, n in Counter(row.why for row in left).most_common())
    return f"{total - len(left)} of {total} pictures are learned from" + (
        f"; left out: {counts} ({file})." if left else "."
    )
