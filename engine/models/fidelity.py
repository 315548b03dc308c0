"""How near a picture comes to a reference: PSNR, SSIM, MS-SSIM and CIEDE2000."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.change import MOST_PX, delta_e_2000, ssim_map

_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents of Wang, Simoncelli & Bovik 2003, finest first
_LEAST_PX = 11  # SSIM's window: coarser scales than this are left out
_MOST_DB = 100.0  # of two pictures that are the same


@torch.no_grad()
def against(picture: Tensor, reference: Tensor) -> dict[str, float]:
    """Measures of two pictures (1, 3, H, W) in [0, 1] of one size; ValueError if they are not.

    "PSNR": of RGB, in dB, at most 100. "SSIM": mean, of luma. "MS-SSIM": `ms_ssim`. "mean ΔE": CIEDE2000, 1 just
    visible. PSNR is of every pixel; the others of the middle MOST_PX at full resolution where the picture is larger.
    """
    if picture.shape != reference.shape:
        raise ValueError(f"sizes differ: {tuple(picture.shape)}, {tuple(reference.shape)}")
    error = float((picture - reference).square().mean())
    psnr = min(_MOST_DB, -10 * math.log10(error)) if error > 0 else _MOST_DB
    a, b = _middle(picture), _middle(reference)
    return {
        "PSNR": psnr,
        "SSIM": float(ssim_map(a, b).mean()),
        "MS-SSIM": ms_ssim(a, b),
        "mean ΔE": float(delta_e_2000(a, b).mean()),
    }


@torch.no_grad()
def ms_ssim(a: Tensor, b: Tensor) -> float:
    """Contrast and structure at up to five sizes, each half of the last, and light at the smallest, in [0, 1]; of luma.

    Wang, Simoncelli & Bovik 2003, eq. 7 with its exponents. A picture too small for all five uses fewer, their
    exponents scaled to the same sum.
    """
    means = []
    for k in range(len(_SCALES)):
        last = k == len(_SCALES) - 1 or min(a.shape[2:]) < 2 * _LEAST_PX
        means.append(max(0.0, float(ssim_map(a, b, light=last).mean())))
        if last:
            break
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    weights = _SCALES[: len(means)]
    found: float = math.prod(mean ** (weight / sum(weights)) for mean, weight in zip(means, weights, strict=True))
    return found


def _middle(t: Tensor) -> Tensor:
    """The middle of a picture, at most MOST_PX of it in its shape: measured at full resolution."""
    height, width = t.shape[2:]
    share = min(1.0, math.sqrt(MOST_PX / (height * width)))
    rows, columns = max(1, int(share * height)), max(1, int(share * width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return t[:, :, top : top + rows, left : left + columns]
