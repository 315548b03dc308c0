"""What happens to photos: noise of several kinds and JPEG, drawn at random for training, fixed for measuring.

Every function takes float pictures (N, 3, H, W) in [0, 1] and gives the same shape and range.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.models import filters


def gaussian_noise(x: Tensor, sigma: Tensor | float, rng: np.random.Generator) -> Tensor:
    """Add white Gaussian noise; sigma in units of 1/255, a number or (N, 1, 1, 1).

    Not clamped, as in the literature.
    """
    return x + torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * (sigma / 255)


def sensor_noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise as a phone leaves it: variance grows with light (Poisson),
    and demosaicing has smeared it over neighbours.
    """
    n = len(x)
    shot = torch.from_numpy(rng.uniform(0, 0.03, (n, 1, 1, 1)).astype(np.float32)) ** 1.5 * 3
    read = torch.from_numpy(rng.uniform(0, 0.08, (n, 1, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * (shot * x + read.square()).sqrt()
    smear = torch.from_numpy(rng.uniform(0, 1, (n, 1, 1, 1)).astype(np.float32))
    blurred = filters.box(noise, 1, "reflect") * 2  # x2: about the energy it had
    return (x + smear * blurred + (1 - smear) * noise).clamp(0, 1)


def jpeg(x: Tensor, quality: int, *, subsampling: int = 2) -> Tensor:
    """Encode and decode one picture (3, H, W) with Pillow; subsampling 0 is 4:4:4, 2 is 4:2:0."""
    stream = io.BytesIO()
    pixels = (x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1).float().div(255)


def random_jpeg(x: Tensor, rng: np.random.Generator) -> Tensor:
    """JPEG at a random quality for each picture, low ones more often; one in four was compressed before, on a shifted
    grid (FBCNN).
    """
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
    """Everything that `restore` is for: white noise up to sigma 55 30 %, sensor noise 10 %, JPEG 52 %, noise under good
    JPEG 8 %.

    Noise under JPEG is what a phone hands out, at qualities of 60 and more. Below that it looks like texture under
    JPEG, and a network that learned to take it off takes texture with it.
    """
    return one_of((white_noise, sensor_noise, random_jpeg, _noise_under_jpeg), (0.30, 0.10, 0.52, 0.08), x, rng)


def one_of(
    kinds: Sequence[Callable[[Tensor, np.random.Generator], Tensor]],
    shares: Sequence[float],
    x: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Each picture under one of `kinds`, as often as the `shares` of 1 say."""
    chosen = np.searchsorted(np.cumsum(shares[:-1]), rng.uniform(size=len(x)))
    out = x.clone()
    for kind, disturb in enumerate(kinds):
        where = torch.from_numpy(np.flatnonzero(chosen == kind))
        if len(where):
            out[where] = disturb(x[where], rng)
    return out


def white_noise(x: Tensor, rng: np.random.Generator, least: float = 0.0, most: float = 55.0) -> Tensor:
    """White noise as in the literature, of sigma `least` to `most` in units of 1/255."""
    return gaussian_noise(x, torch.from_numpy(rng.uniform(least, most, (len(x), 1, 1, 1)).astype(np.float32)), rng)


def _noise_under_jpeg(x: Tensor, rng: np.random.Generator) -> Tensor:
    return light_coding(sensor_noise(x, rng), rng)


def noise_under_coding(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A snapshot in a dim room that was sent on: sensor noise under JPEG of a quality of 35 and more."""
    return torch.stack([_random_quality(picture, rng, 35, 96) for picture in sensor_noise(x, rng)])


def any_noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What the experts for noise start from: white noise up to sigma 60 70 %, sensor noise 15 %, noise under good JPEG
    15 %.
    """
    return one_of((partial(white_noise, most=60.0), sensor_noise, _noise_under_jpeg), (0.70, 0.15, 0.15), x, rng)


def noise_in_files(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What the expert for noise learns from: white noise up to sigma 35 that ends at black and white 50 %, sensor noise
    25 %, noise under good JPEG 25 %.
    """
    return one_of(
        (partial(_cut_white, least=0.0, most=35.0), sensor_noise, _noise_under_jpeg), (0.50, 0.25, 0.25), x, rng
    )


def strong_noise_in_files(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What the expert for strong noise learns from: white noise of sigma 22 to 60 that ends at black and white."""
    return _cut_white(x, rng, 22.0, 60.0)


def _cut_white(x: Tensor, rng: np.random.Generator, least: float, most: float) -> Tensor:
    return white_noise(x, rng, least, most).clamp(0, 1)


def random_coding(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What the expert for JPEG learns from: JPEG 65 %, noise under it 35 %."""
    return one_of((random_jpeg, noise_under_coding), (0.65, 0.35), x, rng)


def light_coding(x: Tensor, rng: np.random.Generator) -> Tensor:
    """JPEG as phones and shops hand it out: coded once at a quality of 60 to 96."""
    return torch.stack([_random_quality(picture, rng, 60, 96) for picture in x])


def strong_coding(x: Tensor, rng: np.random.Generator) -> Tensor:
    """What the expert for strong JPEG learns from: coded once, from the first pixel on, at quality 5 to 59, three in
    four 4:2:0.
    """
    return torch.stack(
        [jpeg(picture, int(rng.integers(5, 60)), subsampling=int(rng.choice([0, 2], p=[0.25, 0.75]))) for picture in x]
    )


BLUR_PX = 25  # side of a blur kernel


def disk_kernel(radius: float) -> Tensor:
    """Defocus: an even disk with a soft edge, (BLUR_PX, BLUR_PX), sum 1; radius in pixels."""
    kernel = (radius + 0.5 - _distances()).clamp(0, 1)
    return kernel / kernel.sum()


def gaussian_kernel(sigma: float) -> Tensor:
    """(BLUR_PX, BLUR_PX), sum 1; sigma in pixels."""
    return filters.gaussian_kernel(sigma, BLUR_PX // 2)


def motion_kernel(length: float, rng: np.random.Generator) -> Tensor:
    """Camera motion: a path of `length` pixels, straight or bent, in a random direction, not always at an even pace."""
    t = np.linspace(-0.5, 0.5, 129)
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.8)
    pace = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * (rng.uniform(0.3, 1) * t + rng.uniform()))
    return _along(angle + bend * t, length, pace)


def straight_kernel(length: float, angle: float) -> Tensor:
    """Camera motion along a straight line at an even pace; angle in radians from the horizontal."""
    return _along(np.full(129, angle), length, np.ones(129))


def _along(heading: np.ndarray, length: float, pace: np.ndarray) -> Tensor:
    """The kernel of a path of `length` pixels that goes where `heading` says, staying where `pace` is high; (BLUR_PX,
    BLUR_PX), sum 1.
    """
    path = np.stack([np.cumsum(np.sin(heading)), np.cumsum(np.cos(heading))], 1) * length / len(heading)
    path -= path.mean(0)
    middle = BLUR_PX // 2
    place = np.clip(path + middle, 0, BLUR_PX - 1.001)
    low = place.astype(int)
    part = place - low
    kernel = np.zeros((BLUR_PX, BLUR_PX))
    for dy in (0, 1):
        for dx in (0, 1):
            share = (part[:, 0] if dy else 1 - part[:, 0]) * (part[:, 1] if dx else 1 - part[:, 1])
            np.add.at(kernel, (low[:, 0] + dy, low[:, 1] + dx), pace * share)
    return torch.from_numpy(kernel / kernel.sum()).float()


def random_kernel(rng: np.random.Generator) -> Tensor:
    """Defocus 35 %, Gaussian 20 %, camera motion up to 21 px 40 %, and one in twenty is sharp."""
    kind = rng.uniform()
    if kind < 0.35:
        return disk_kernel(rng.uniform(0.5, 4))
    if kind < 0.55:
        return gaussian_kernel(rng.uniform(0.5, 3))
    if kind < 0.95:
        return motion_kernel(rng.uniform(2, 21), rng)
    return disk_kernel(0.0)


def blurred(x: Tensor, kernels: Tensor) -> Tensor:
    """Each picture of (N, 3, H, W) under its own kernel (N, BLUR_PX, BLUR_PX); without the border that the kernel
    reaches over: (N, 3, H - 24, W - 24).
    """
    size = x.shape[-2:]
    around = torch.zeros(len(x), 1, *size)
    around[:, 0, :BLUR_PX, :BLUR_PX] = kernels.flip(1, 2)
    spectrum = torch.fft.rfft2(x) * torch.fft.rfft2(around)
    found: Tensor = torch.fft.irfft2(spectrum, s=size)[..., BLUR_PX - 1 :, BLUR_PX - 1 :]
    return found


def as_saved(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise of sigma up to 5, and one in four as a phone's JPEG."""
    sigma = torch.from_numpy(rng.uniform(0, 5, (len(x), 1, 1, 1)).astype(np.float32))
    noisy = gaussian_noise(x, sigma, rng).clamp(0, 1)
    return torch.stack(
        [_random_quality(picture, rng, 75, 97) if rng.uniform() < 0.25 else picture for picture in noisy]
    )


def _distances() -> Tensor:
    """How far each cell of a kernel is from its middle, in pixels."""
    line = torch.arange(BLUR_PX) - BLUR_PX // 2
    return (line[:, None].square() + line[None].square()).float().sqrt()


def shrink(x: Tensor, scale: int) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H / scale, W / scale) by antialiased bicubic, rounded to 8 bit as a file would be."""
    small = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    return (small.clamp(0, 1) * 255).round() / 255
