"""Taking blur off without anything learned, by a kernel that is given: what `deblur` is measured beside."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.models.deblur import response
from engine.train import degrade


def wiener(x: Tensor, kernels: Tensor, noise: float) -> Tensor:
    """Wiener filters of a picture (1, 3, H, W), one for each kernel (N, K, K): (N, 3, H, W) in [0, 1].

    noise: the power of the noise over that of the picture, at all frequencies alike.
    """
    blurs = response(kernels, _size(x))[:, None]
    filters = blurs.conj() / (blurs.abs().square() + noise)
    return _inside(torch.fft.irfft2(torch.fft.rfft2(_mirrored(x)) * filters, s=_size(x)), x).clamp(0, 1)


def richardson_lucy(x: Tensor, kernel: Tensor, iterations: int) -> Iterator[Tensor]:
    """The estimates (1, 3, H, W) after each iteration (Richardson 1972, Lucy 1974) of a picture blurred by a kernel (K,
    K).
    """
    blur = response(kernel[None], _size(x))
    seen = _mirrored(x).clamp_min(1e-3)
    guess = seen
    for _ in range(iterations):
        again = torch.fft.irfft2(torch.fft.rfft2(guess) * blur, s=_size(x)).clamp_min(1e-3)
        guess = guess * torch.fft.irfft2(torch.fft.rfft2(seen / again) * blur.conj(), s=_size(x)).clamp_min(0)
        yield _inside(guess, x).clamp(0, 1)


def family() -> Tensor:
    """Kernels that blur may come by, (N, BLUR_PX, BLUR_PX): out of focus, Gaussian, straight motion in eight
    directions, none.
    """
    disks = [degrade.disk_kernel(radius) for radius in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)]
    gaussians = [degrade.gaussian_kernel(sigma) for sigma in (0.7, 1.1, 1.6, 2.2, 3.0)]
    angles = torch.arange(8) * torch.pi / 8
    motions = [degrade.straight_kernel(length, float(angle)) for length in (4.0, 8.0, 13.0, 19.0) for angle in angles]
    return torch.stack([*disks, *gaussians, *motions])


def _mirrored(x: Tensor) -> Tensor:
    """The picture and its mirror images, which meet without a step: (1, 3, 2H, 2W)."""
    wide = torch.cat([x, x.flip(3)], 3)
    return torch.cat([wide, wide.flip(2)], 2)


def _size(x: Tensor) -> tuple[int, int]:
    return 2 * x.shape[2], 2 * x.shape[3]


def _inside(x: Tensor, like: Tensor) -> Tensor:
    return x[..., : like.shape[2], : like.shape[3]]
