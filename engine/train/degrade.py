"""What happens to photos: noise of several kinds and JPEG, drawn at random for training, fixed for measuring.

Every function takes float pictures (N, 3, H, W) in [0, 1] and gives the same shape and range.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def gaussian_noise(x: Tensor, sigma: Tensor | float, rng: np.random.Generator) -> Tensor:
    """Add white Gaussian noise; sigma in units of 1/255, a number or (N, 1, 1, 1). Not clamped, as in the literature."""
    return x + torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * (sigma / 255)


def sensor_noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise as a phone leaves it: variance grows with light (Poisson), and demosaicing has smeared it over neighbours."""
    n = len(x)
    shot = torch.from_numpy(rng.uniform(0, 0.03, (n, 1, 1, 1)).astype(np.float32)) ** 1.5 * 3
    read = torch.from_numpy(rng.uniform(0, 0.08, (n, 1, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * (shot * x + read.square()).sqrt()
    smear = torch.from_numpy(rng.uniform(0, 1, (n, 1, 1, 1)).astype(np.float32))
    blurred = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="reflect"), 3, stride=1) * 2  # x2: about the energy it had
    return (x + smear * blurred + (1 - smear) * noise).clamp(0, 1)


def jpeg(x: Tensor, quality: int, *, subsampling: int = 2) -> Tensor:
    """Encode and decode one picture (3, H, W) with Pillow; subsampling 0 is 4:4:4, 2 is 4:2:0."""
    stream = io.BytesIO()
    pixels = (x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1).float().div(255)


def random_jpeg(x: Tensor, rng: np.random.Generator) -> Tensor:
    """JPEG at a random quality for each picture, low ones more often; one in four was compressed before, on a shifted grid (FBCNN)."""
    out = []
    for picture in x:
        if rng.uniform() < 0.25:
            dy, dx = rng.integers(0, 8, 2)
            once = _random_quality(picture.roll((-int(dy), -int(dx)), (1, 2)), rng, 20, 96)
            picture = once.roll((int(dy), int(dx)), (1, 2))
        out.append(_random_quality(picture, rng, 6, 96, skew=1.3))
    return torch.stack(out)


def _random_quality(picture: Tensor, rng: np.random.Generator, low: int, high: int, skew: float = 1.0) -> Tensor:
    """JPEG of one picture (3, H, W) between two qualities; skew above 1 makes low ones more frequent."""
    return jpeg(picture, int(low + (high - low) * rng.uniform() ** skew), subsampling=int(rng.choice([0, 2])))


def random_disturbance(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The mixture `restore` learns from: white noise 30 %, sensor noise 10 %, JPEG 52 %, noise under good JPEG 8 %.

    Noise under JPEG is what a phone hands out, at qualities of 60 and more. Below that it looks like texture under
    JPEG, and a network that learned to take it off takes texture with it.
    """
    kinds = np.searchsorted(np.cumsum([0.30, 0.10, 0.52]), rng.uniform(size=len(x)))
    out = x.clone()
    for kind in range(4):
        chosen = torch.from_numpy(np.flatnonzero(kinds == kind))
        if not len(chosen):
            continue
        part = x[chosen]
        if kind == 0:
            sigma = torch.from_numpy(rng.uniform(0, 55, (len(chosen), 1, 1, 1)).astype(np.float32))
            part = gaussian_noise(part, sigma, rng)
        elif kind == 1:
            part = sensor_noise(part, rng)
        elif kind == 2:
            part = random_jpeg(part, rng)
        else:
            part = torch.stack([_random_quality(picture, rng, 60, 96) for picture in sensor_noise(part, rng)])
        out[chosen] = part
    return out
