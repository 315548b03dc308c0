"""From what was rendered to a picture: noise is averaged away, and light becomes sRGB."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.models.filters import box
from engine.models.srgb import from_linear


def denoise(a: Tensor, b: Tensor, variance: Tensor, features: Tensor, radius: int = 7) -> Tensor:
    """Mean of two halves of a rendering (3, H, W), noise averaged away over a window of 2 radius + 1.

    Non-local means with the weights of one half applied to the other, and with features (6, H, W) that keep
    drawn lines and creases (Rousselle et al. 2012, 2013). `variance` (3, H, W) is that of one half.
    """
    pad = torch.nn.ReflectionPad2d(radius)
    height, width = a.shape[1:]

    def tone(x: Tensor) -> Tensor:
        return x.clamp_min(0).sqrt()

    mean = (a + b) / 2
    spread = box(variance[None], 1, "nothing")[0] / (4 * mean.clamp_min(0.02))
    tones = [tone(a), tone(b)]
    padded = [pad(t[None])[0] for t in (*tones, spread, a, b, features)]
    total, weights = torch.zeros(2, *a.shape), torch.zeros(2, 1, height, width)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy > radius * radius + 1:
                continue
            at = (slice(None), slice(radius + dy, radius + dy + height), slice(radius + dx, radius + dx + width))
            other = padded[2][at]
            creases = ((features - padded[5][at]) ** 2).reshape(2, 3, height, width).sum(1)
            keep = torch.exp(-creases[0] / (2 * 0.02**2) - creases[1] / (2 * 0.10**2))
            for k in (0, 1):
                far = ((tones[k] - padded[k][at]) ** 2 - (spread + torch.minimum(spread, other))) / (
                    1e-7 + 0.45**2 * (spread + other)
                )
                patch = box(far.mean(0)[None, None], 2, "nothing")[0]
                w = torch.exp(-patch.clamp_min(0)) * keep
                total[1 - k] += w * padded[4 - k][at]
                weights[1 - k] += w
    return (total / weights.clamp_min(1e-6)).mean(0)


def develop(linear: np.ndarray, contrast: float = 0.0) -> np.ndarray:
    """Exposed linear RGB -> sRGB in [0, 1]: highlights roll off smoothly above 0.6, `contrast` adds an S curve."""
    knee = 0.6
    x = np.where(linear > knee, knee + (1 - knee) * (1 - np.exp(-(linear - knee) / (1 - knee))), linear)
    x = np.clip(x, 0, 1)
    srgb = from_linear(torch.from_numpy(x)).numpy()
    found: np.ndarray = (srgb + contrast * (srgb * srgb * (3 - 2 * srgb) - srgb)).astype(np.float32)
    return found
