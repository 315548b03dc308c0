"""Lines out of pictures: what a drawing of a product would hold, so that a network can learn to colour drawings.

Line maps are float (N, 1, S, S) in [0, 1], 1 on a line. Three filters find them: the gradient's ridge (Canny 1986, with
Scharr's kernel, the strongest of the colour channels and scale-normalised, Lindeberg 1998), a difference of Gaussians
soft-thresholded as in XDoG (Winnemoeller et al. 2012; only the dark side of an edge, since their black fill is no
line), and the outline of what stands out from white. `sketched` mixes them by chance, with the faults of a hand.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.filters import SCHARR, across_kernel, gaussian_blur, maximum, opened, reach_of
from engine.models.segment import bounds
from engine.models.srgb import luma

LINE_PX = 1.6  # width of a clean line, at the size of the network's picture
MARGIN = 0.06  # of the product's longer side, white around it (the framing that the network learned)
_INK = 0.35  # from here a pixel of a drawing is a line
_ZOOM_MOST = 4.0  # what is drawn small is not blown up to fill the frame
_LEAST = 0.05  # of the page's longer side: what is drawn smaller is a dot, and no product


def from_photo(x: Tensor) -> Tensor:
    """Clean lines (N, 1, H, W) of pictures (N, 3, H, W) in [0, 1]: outline and inner edges, no chance."""
    return widened(torch.maximum(ridges(x, 1.0, 0.10), outline(x)), LINE_PX)


def from_drawing(x: Tensor, size_px: int) -> Tensor:
    """Lines (N, 1, S, S) of drawings (N, 3, H, W) in [0, 1], framed as the network learned.

    The paper's grey is the median of the drawing's border; strokes are darker, or lighter on dark paper (chalk). Filled
    areas count by their outline. Drawings without a stroke, or with a dot alone, give an empty map.
    """
    grey = x.mean(1, keepdim=True)
    border = torch.cat([grey[..., 0, :], grey[..., -1, :], grey[..., :, 0], grey[..., :, -1]], -1)
    paper = border.median(-1).values[..., None, None]
    contrast = torch.where(
        paper < 0.4, (grey - paper) / (1 - paper).clamp(min=0.1), (paper - grey) / paper.clamp(min=0.1)
    )
    ink = (contrast / 0.6).clamp(0, 1)
    return torch.cat([_thinned(framed(each, size_px)) for each in ink.split(1)])


def framed(lines: Tensor, size_px: int) -> Tensor:
    """One map (1, 1, H, W) with what is drawn in the middle of a square of `size_px`,
    with the margin of the packshots.
    """
    page = max(lines.shape[-2:])
    top, bottom, left, right = bounds(lines[0, 0] > _INK) or (0, 0, 0, 0)
    if max(bottom - top, right - left) <= _LEAST * page:
        return lines.new_zeros(1, 1, size_px, size_px)
    side = max(max(bottom - top, right - left) * (1 + 2 * MARGIN), page / _ZOOM_MOST)
    y0, x0 = (top + bottom - side) / 2, (left + right - side) / 2
    whole = [math.floor(v) for v in (x0, y0)]
    span = math.ceil(side)
    left_pad, top_pad = max(0, -whole[0]), max(0, -whole[1])
    right_pad, bottom_pad = max(0, whole[0] + span - lines.shape[-1]), max(0, whole[1] + span - lines.shape[-2])
    square = F.pad(lines, (left_pad, right_pad, top_pad, bottom_pad))[..., whole[1] + top_pad :, whole[0] + left_pad :][
        ..., :span, :span
    ]
    # The mean alone would pale a thin stroke on a large page until it is gone.
    double = 2 * size_px
    fine = (
        F.adaptive_max_pool2d(square, double)
        if span > double
        else F.interpolate(square, (double, double), mode="bilinear", align_corners=False)
    )
    return (1.6 * F.avg_pool2d(fine, 2)).clamp(0, 1)


def ridges(x: Tensor, sigma: float, threshold: float | Tensor) -> Tensor:
    """Lines one pixel wide where the gradient of (N, C, H, W) has its ridge, as 0 or 1: (N, 1, H, W).

    sigma: px of the Gaussian before it. threshold: height of the step that is seen, (N, 1, 1, 1) or one for all; steps
    of half that height are followed a little way from where the line is clear (hysteresis).
    """
    along_x, along_y = _gradient(x, sigma)
    strength = torch.hypot(along_x, along_y)
    ridge = _is_ridge(strength, along_x, along_y)
    candidates = (ridge & (strength > threshold / 2)).float()
    kept = (ridge & (strength > threshold)).float()
    for _ in range(4):
        kept = candidates * maximum(kept)
    return kept


def differences(x: Tensor, sigma: float, threshold: float | Tensor, steepness: float = 20.0) -> Tensor:
    """Lines (N, 1, H, W) on the dark side of edges:
    a difference of Gaussians, 0 below `threshold`, then a soft step.
    """
    grey = luma(x)
    dark = blurred(grey, 1.6 * sigma) - blurred(grey, sigma)
    return torch.tanh(steepness * (dark - threshold).clamp(min=0))


def outline(x: Tensor, sigma: float = 1.0) -> Tensor:
    """The line around what stands out from white, one pixel wide: (N, 1, H, W). A larger sigma cuts corners."""
    return ridges(product(x), sigma, 0.5)


def product(x: Tensor) -> Tensor:
    """Soft mask (N, 1, H, W) of what is not white: 0 to 3 % below it, which is JPEG's noise, 1 from 15 % in any
    channel.
    """
    return ((0.97 - x.amin(1, keepdim=True)) / 0.12).clamp(0, 1)


def widened(lines: Tensor, width_px: float) -> Tensor:
    """Lines of one pixel drawn about `width_px` wide, with soft sides."""
    sigma = 0.25 + 0.35 * width_px
    return (blurred(lines, sigma) * (1.3 * math.sqrt(2 * math.pi) * sigma)).clamp(0, 1)


def sketched(x: Tensor, rng: torch.Generator) -> Tensor:
    """Lines (N, 1, S, S) as if someone had drawn the packshots (N, 3, S, S) on white, by chance, from `rng` alone.

    A call chooses the filters and the width of the pen; each picture its thresholds, gaps, wobble and what is left out.
    """
    n, size_px = len(x), x.shape[-1]
    threshold = _uniform(n, 0.06, 0.3, rng)
    fine, coarse = (float(_uniform(1, *between, rng)) for between in ((0.7, 1.2), (1.4, 2.4)))
    kind, around_kind, pen = torch.randint(3, (3,), generator=rng).tolist()
    inside = (
        lambda: ridges(x, fine, threshold),
        lambda: ridges(x, coarse, threshold),
        lambda: differences(x, fine, threshold / 6),
    )[kind]()
    inside = inside * _patches(n, size_px, 5, _uniform(n, -2.5, 0.6, rng), rng)
    around = (lambda: outline(x, 1.0), lambda: outline(x, coarse), lambda: ridges(x, coarse, 0.12))[around_kind]()
    around = around * _patches(n, size_px, 16, _uniform(n, -4.0, -1.2, rng), rng)
    # A quarter of drawings are an outline alone.
    lines = torch.maximum(around, inside * (_uniform(n, 0, 1, rng) < 0.75))
    lines = widened(lines, (1.1, LINE_PX, 2.4)[pen])
    clean = (_uniform(n, 0, 1, rng) < 0.3).float()
    lines = _wobbled(lines, size_px / 128 * _uniform(n, 0, 2.2, rng) * (1 - clean), rng)
    return lines * _uniform(n, 0.7, 1.0, rng)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of standard deviation `sigma` px, each channel, over two and a half of it; the border goes on as it
    is.
    """
    return gaussian_blur(x, sigma, reach_of(sigma, 2.5))


def _gradient(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """d/dx and d/dy (N, 1, H, W) of the channel that changes most; a step of height 1 measures about 1 at any sigma."""
    n, c, h, w = x.shape
    flat = F.pad(blurred(x, sigma).reshape(n * c, 1, h, w), (1, 1, 1, 1), mode="replicate")
    scharr = across_kernel(SCHARR).to(x) * math.sqrt(2 * math.pi) * math.hypot(sigma, 0.6)
    both = F.conv2d(flat, torch.stack([scharr, scharr.T])[:, None]).view(n, c, 2, h, w)
    strongest = both.square().sum(2).argmax(1)[:, None, None].expand(-1, 1, 2, -1, -1)
    along = both.gather(1, strongest)[:, 0]
    return along[:, :1], along[:, 1:]


def _is_ridge(strength: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
    """Whether a pixel is the strongest of the three across the edge, whose direction is rounded to 45 degrees."""
    h, w = strength.shape[-2:]
    # Where two pixels are equal but for rounding, the first is the line.
    room = F.pad(strength, (1, 1, 1, 1))
    direction = (torch.atan2(along_y, along_x) / (math.pi / 4)).round().long() % 4
    ridge = torch.zeros_like(strength, dtype=torch.bool)
    for turn, (dx, dy) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        before = room[..., 1 - dy : 1 - dy + h, 1 - dx : 1 - dx + w]
        after = room[..., 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        ridge |= (direction == turn) & (strength > before + 1e-5) & (strength >= after - 1e-5)
    return ridge


def _thinned(ink: Tensor) -> Tensor:
    """Strokes as they are; areas wider than a stroke by their outline."""
    areas = opened(ink, 3)  # opening: what a square of 7 px fits into
    around = widened(ridges(areas, 1.0, 0.4), LINE_PX)
    return torch.maximum((ink - maximum(areas)).clamp(min=0), around)


def _uniform(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)


def _patches(n: int, size_px: int, cells: int, below: Tensor, rng: torch.Generator) -> Tensor:
    """1 with smooth holes where a field of noise of `cells` cells is under `below`."""
    noise = F.interpolate(
        torch.randn(n, 1, cells, cells, generator=rng), (size_px, size_px), mode="bicubic", align_corners=False
    )
    return ((noise - below) * 6).clamp(0, 1)


def _wobbled(lines: Tensor, most_px: Tensor, rng: torch.Generator) -> Tensor:
    """Lines moved by a smooth field of up to about `most_px` (N, 1, 1, 1)."""
    n, _, h, w = lines.shape
    field = sum(
        F.interpolate(torch.randn(n, 2, k, k, generator=rng), (h, w), mode="bicubic", align_corners=True) / i
        for i, k in enumerate((4, 11), 1)
    )
    step = torch.tensor([2 / w, 2 / h]).view(1, 2, 1, 1)
    still = F.affine_grid(torch.eye(2, 3).expand(n, -1, -1), [n, 1, h, w], align_corners=False)
    moved = still + (field * most_px / 2 * step).permute(0, 2, 3, 1)
    return F.grid_sample(lines, moved, padding_mode="zeros", align_corners=False)
