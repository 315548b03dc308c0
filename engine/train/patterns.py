"""Regular patterns printed over photos: stripes, checks and dots, as on fabrics, baskets and grilles.

Photographs have few of them, and an estimator of blur that never saw one takes its repetition for that of a shaken
camera.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def patterned(x: Tensor, rng: np.random.Generator, share: float = 0.15) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1], about `share` of them printed over, all or in part; the others as they were."""
    chosen = rng.uniform(size=len(x)) < share
    return torch.stack([printed(picture, rng) if one else picture for picture, one in zip(x, chosen, strict=True)])


def printed(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """One picture (3, H, W) under an ink of a random colour, in a pattern that repeats every 4 to 32 px, straight or a
    little wavy.
    """
    height, width = picture.shape[1:]
    down, across = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    period_px = 4 * 8 ** rng.uniform()
    angle = rng.uniform(0, math.pi)
    u = (across * math.cos(angle) + down * math.sin(angle)) / period_px
    v = (down * math.cos(angle) - across * math.sin(angle)) / (period_px * 1.5 ** rng.uniform(-1, 1))
    # Cloth is never flat: lines wander by a share of their distance, over many of them.
    u = u + rng.uniform(0, 0.7) ** 2 * torch.sin(2 * math.pi * (v / rng.uniform(5, 20) + rng.uniform()))
    ink = _pattern(u, v, period_px, rng) * rng.uniform(0.15, 1) * _region(down / height, across / width, rng)
    colour = torch.from_numpy(rng.uniform(0, 1, (3, 1, 1)).astype(np.float32))
    dyed = picture * colour if rng.uniform() < 0.5 else colour.expand_as(picture)
    return torch.lerp(picture, dyed, ink)


def _pattern(u: Tensor, v: Tensor, period_px: float, rng: np.random.Generator) -> Tensor:
    """Ink in [0, 1], repeating with each whole number of u and v: stripes, checks (both ways one over the other) or
    dots.
    """
    share = rng.uniform(0.25, 0.75)
    sharp = period_px / rng.uniform(1, 3)  # an edge is 1 to 3 px wide
    from_middle = [(t - t.floor() - 0.5).abs() for t in (u, v)]
    kind = rng.uniform()
    if kind < 0.75:
        lines = [((share / 2 - t) * sharp + 0.5).clamp(0, 1) for t in from_middle]
        return lines[0] if kind < 0.45 else (lines[0] + lines[1]) / 2
    radius = (from_middle[0].square() + from_middle[1].square()).sqrt()
    return ((share / 1.5 - radius) * sharp + 0.5).clamp(0, 1)


def _region(down: Tensor, across: Tensor, rng: np.random.Generator) -> Tensor:
    """Where the ink is, 1 there and 0 elsewhere: everywhere, or on one side of an edge."""
    if rng.uniform() < 0.5:
        return torch.ones_like(down)
    angle = rng.uniform(0, 2 * math.pi)
    return (((across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)) > rng.uniform(-0.3, 0.3)).float()
