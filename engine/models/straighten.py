"""By how much a product leans, measured on its mask, and turning it upright.

Two cues are used. What stands on a table touches it along a straight line, so the lower outline is searched for the
longest one; the straight sides beside it must lean as much (left and right together, as things taper). And what is
symmetric is so about one upright axis. The cues must not contradict each other: a box seen across its corner has a base
that runs downhill and sides that stand upright, and is straight already.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_DEGREES = 8.0  # a product that leans by more was laid so
LEAST_DEGREES = 0.3  # less is not seen, and turning costs sharpness
_AGREED = 1.5  # degrees that two cues may be apart
_LOOKED_AT_PX = 384
_SLACK = 0.006  # of the product's longer side: how far from a straight line its outline may be
_BASE, _BASE_ALONE, _SIDE = 0.55, 0.75, 0.5  # of the product's width or height: how long a line must be to count
_DENSE = 0.6  # of a line: how much of it the outline must touch; ragged masks touch less
_LEAST_BY_SYMMETRY = 0.8  # degrees: a ragged mask may be off by half of one
_MIRRORED_PX = 160  # longer side of the copy that is compared with its mirror image
# Intersection over union of the product and its mirror image: a bottle with a ragged mask has 0.9, a mug with its
# handle 0.8.
_SYMMETRIC = 0.88
_SEARCHED_DEGREES = MOST_DEGREES + 4.0
_ASIDE, _DISTINCT = (
    4,
    0.02,
)  # degrees beside the axis, and by how much less symmetric a product must be there: a round thing has no axis


class _Line(NamedTuple):
    """A straight stretch of an outline: degrees off its axis, its length and how much of it is touched,
    both as shares.
    """

    degrees: float
    length: float
    touched: float


@torch.no_grad()
def tilt(mask: Tensor) -> float:
    """How far the product of `mask`, (1, 1, H, W) in [0, 1], leans clockwise, in degrees; 0 unless that is certain,
    and at most MOST_DEGREES either way."""
    shrink = min(1.0, _LOOKED_AT_PX / max(mask.shape[2:]))
    size = [max(1, round(side * shrink)) for side in mask.shape[2:]]
    small = F.interpolate(mask.float().cpu(), size, mode="area")[0, 0]
    if int((small > 0.5).sum()) < 64:
        return 0.0
    base, axis = _by_base(small), _by_symmetry(small)
    if base is not None and axis is not None and abs(base - axis) > _AGREED:
        return 0.0
    degrees = next((d for d in (base, axis) if d is not None), 0.0)
    least = LEAST_DEGREES if base is not None else _LEAST_BY_SYMMETRY
    return degrees if least <= abs(degrees) <= MOST_DEGREES else 0.0


def turned(planes: Tensor, degrees: float) -> Tensor:
    """Planes (1, C, H, W) turned counterclockwise about their middle, on a canvas that holds all of them; bicubic, 0
    beyond.
    """
    height, width = planes.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    tall, wide = math.ceil(height * cos + width * abs(sin)) + 2, math.ceil(width * cos + height * abs(sin)) + 2
    y = torch.arange(tall, device=planes.device)[:, None] - (tall - 1) / 2
    x = torch.arange(wide, device=planes.device)[None] - (wide - 1) / 2
    grid = torch.stack([(x * cos - y * sin) * 2 / width, (x * sin + y * cos) * 2 / height], -1)[None]
    return F.grid_sample(planes, grid.to(planes), mode="bicubic", padding_mode="zeros", align_corners=False)


def _by_base(mask: Tensor) -> float | None:
    """Degrees by what it stands on, and by its sides; None where there is no line, or they contradict each other."""
    outlines = {"bottom": mask, "left": mask.T.flip(0), "right": mask.T}
    positions, depths = zip(*(_outline(turn) for turn in outlines.values()), strict=True)
    slack = max(1.0, _SLACK * max(map(len, positions)))
    base, left, right = (_longest_line(p, d, slack) for p, d in zip(positions, depths, strict=True))
    if base.length < _BASE or base.touched < _DENSE:
        return None
    sides = [
        sign * line.degrees
        for sign, line in ((1, left), (-1, right))
        if line.length >= _SIDE and line.touched >= _DENSE
    ]
    if sides:
        return base.degrees if abs(base.degrees - sum(sides) / len(sides)) <= _AGREED else None
    return base.degrees if base.length >= _BASE_ALONE else None


def _outline(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The lower outline of a mask (h, w): the columns that have any of it, and how far down it reaches in each, to
    fractions of a pixel.
    """
    solid = mask > 0.5
    columns = solid.any(0).nonzero()[:, 0]
    last = mask.shape[0] - 1 - solid.flip(0).float().argmax(0)[columns]
    padded = F.pad(mask, (0, 0, 1, 2))  # row r is row r + 1 there
    return columns.double(), last + torch.stack([padded[last + k, columns] for k in range(4)]).sum(0).double()


def _longest_line(p: Tensor, d: Tensor, slack: float) -> _Line:
    """Of all lines that an outline lies behind, the one that it touches over the longest stretch.

    p, d: (N,) where along the product, and how far out its outline is there.
    """
    angles = torch.arange(-20, 20.05, 0.25).double().deg2rad()[:, None]
    out = d * angles.cos() - p * angles.sin()
    touching = out > out.amax(1, keepdim=True) - slack
    first, last = torch.where(touching, p, torch.inf).amin(1), torch.where(touching, p, -torch.inf).amax(1)
    longest = int(((last - first) - 1e-3 * angles[:, 0].abs()).argmax())
    touched = touching[longest]
    if int(touched.sum()) < 2:
        return _Line(0.0, 0.0, 0.0)
    length = float(last[longest] - first[longest]) + 1
    about, deep = p[touched] - p[touched].mean(), d[touched] - d[touched].mean()
    slope = float((about * deep).sum() / about.square().sum())
    return _Line(math.degrees(math.atan(slope)), length / len(p), int(touched.sum()) / length)


def _by_symmetry(mask: Tensor) -> float | None:
    """Degrees by the upright axis about which the product is its own mirror image, left and right; None where there is
    no such axis, or where any would do, as of a round thing.
    """
    shrink = min(1.0, _MIRRORED_PX / max(mask.shape))
    small = F.interpolate(mask[None, None], [max(1, round(side * shrink)) for side in mask.shape], mode="area")
    steps = torch.arange(-_SEARCHED_DEGREES, _SEARCHED_DEGREES + 0.1, 1.0).tolist()
    alike = [_mirrored(small, degrees) for degrees in steps]
    best = max(range(len(steps)), key=alike.__getitem__)
    aside = [alike[k] for k in (best - _ASIDE, best + _ASIDE) if 0 <= k < len(steps)]
    if best in (0, len(steps) - 1) or alike[best] < _SYMMETRIC or alike[best] - sum(aside) / len(aside) < _DISTINCT:
        return None
    # The overlap falls off on both sides alike and about linearly, so the middle of two level points is the axis.
    before, after = alike[best - 1], alike[best + 1]
    found: float | None = steps[best] + 0.5 * (after - before) / max(alike[best] - min(before, after), 1e-6)
    return found


def _mirrored(mask: Tensor, degrees: float) -> float:
    """Intersection over union of a mask (1, 1, h, w), turned, and its mirror image about the best upright axis."""
    upright = turned(mask, degrees)[0, 0].clamp(0, 1)
    columns = (upright > 0.5).any(0).nonzero()[:, 0]
    upright = upright[:, int(columns[0]) : int(columns[-1]) + 1]
    reach, width = max(1, upright.shape[1] // 24), upright.shape[1]
    found = 0.0
    for shift in range(-reach, reach + 1):  # a tag or a ragged edge on one side moves the middle
        part = upright[:, max(0, shift) : width + min(0, shift)]
        both = float(torch.minimum(part, part.flip(1)).sum())
        found = max(found, both / max(1.0, 2 * float(upright.sum()) - both))
    return found
