"""How well `sketch` draws held-out packshots again from their lines, and what a look-up would reach.

It is given their lines, their palette and their category. Two baselines are given the same: the training picture whose
lines and palette are nearest, and the mean picture of the category.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import edges
from engine.models.change import delta_e_2000
from engine.models.sketch import Sketch, palette

PART = 32  # pictures at a time


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures float (N, 3, S, S) in [0, 1], their lines (N, 1, S, S), palettes (N, 7) and category index (N,)."""

    pictures: Tensor
    lines: Tensor
    palettes: Tensor
    labels: Tensor

    @classmethod
    def of(cls, pictures: Tensor, labels: Tensor) -> Pairs:
        """Of uint8 pictures (N, 3, S, S), with clean lines."""
        x = pictures.float().div(255)
        parts = x.split(PART)
        return cls(x, torch.cat([edges.from_photo(p) for p in parts]), torch.cat([palette(p) for p in parts]), labels)


@torch.inference_mode()
def redrawn(network: Sketch, pairs: Pairs) -> Tensor:
    """What the network makes of the lines, palettes and categories of `pairs`."""
    parts = zip(pairs.lines.split(PART), pairs.palettes.split(PART), pairs.labels.split(PART), strict=True)
    return torch.cat([network(lines, latents, labels) for lines, latents, labels in parts])


def nearest(pairs: Pairs, known: Pairs) -> Tensor:
    """For each pair the known picture with the nearest lines, softened to 16 x 16, and palette."""

    def seen(p: Pairs) -> Tensor:
        soft = F.adaptive_avg_pool2d(p.lines, 16).flatten(1)
        return torch.cat([soft / soft.norm(dim=1, keepdim=True).clamp(min=1e-6), 0.3 * p.palettes], 1)

    return known.pictures[torch.cdist(seen(pairs), seen(known)).argmin(1)]


def mean_of_category(pairs: Pairs, known: Pairs) -> Tensor:
    """For each pair the mean picture of its category; of all where the category has no known picture."""
    labels = [int(c) for c in pairs.labels.unique()]
    means = {
        c: known.pictures[known.labels == c].mean(0) if bool((known.labels == c).any()) else known.pictures.mean(0)
        for c in labels
    }
    return torch.stack([means[int(c)] for c in pairs.labels])


def errors(ours: Tensor, truth: Tensor) -> tuple[float, float]:
    """Mean absolute error in 8-bit steps, and the mean of the pictures' PSNR in dB."""
    ours, truth = ((t.clamp(0, 1) * 255).round() for t in (ours, truth))
    squares = (ours - truth).square().mean((1, 2, 3)).clamp(min=1e-2)
    return float((ours - truth).abs().mean()), float((10 * torch.log10(255**2 / squares)).mean())


def colour_error(network: Sketch, pairs: Pairs, rgb: Tensor) -> float:
    """Mean CIEDE2000 between a colour that is asked of every pair and the main colour of what comes."""
    asked = Pairs(pairs.pictures, pairs.lines, network.with_colour(pairs.palettes, rgb), pairs.labels)
    came = palette(redrawn(network, asked))[:, :3, None, None]
    return float(delta_e_2000(came, rgb.view(1, 3, 1, 1).expand_as(came)).mean())
