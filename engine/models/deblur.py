"""Blind removal of blur: how the camera moved or missed its focus is estimated first, then undone, then repaired.

1. A kernel is estimated for the whole photo. Where a picture is blurred its spectrum is the sharp one's times the
kernel's, so the autocorrelation of its whitened pixels is about that of the kernel alone (Goldstein & Fattal 2012), and
its cepstrum shows how far it was moved (Rom 1975). Neither shows which way a path bends, nor which end of it is the
brighter: a small convolutional network estimates that from the pixels. 2. Wiener's filter undoes
that kernel, under the prior that natural pictures have a spectrum that falls with the square of the frequency (Levin et
al. 2007, their Gaussian one): all frequencies of a photo at once, however long the kernel. 3. The network of `restore`
takes from it the noise and the ringing that this costs, with the blurred photo beside it (Deep Wiener deconvolution,
Dong et al. 2020, where the kernel is given). 4. Where the blurred photo is even, it stays as it is: nothing was blurred
there, and ringing would be seen.

Convolutions alone would need to see as far as the kernel is long, and to learn each kernel's inverse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import unet
from engine.models.filters import box
from engine.models.unet import Residual, UNet, chain, leak_as

KERNEL_PX = 25  # side of a kernel
WINDOW_PX = 96  # side of the parts of a photo that its kernel is estimated from
_HOP_PX = 48  # from one of them to the next
_MOST_WINDOWS = 24
_LAG_PX = KERNEL_PX - 1  # how far the autocorrelation of a kernel reaches
_EDGE_PX = 2 * KERNEL_PX  # over which the opposite edges of a photo are faded into each other
_MAPS = 4  # statistics of a window, see `_statistics`
_DRAWN = 4  # maps that the pixels of a window contribute
_TRIED = 2  # kernels that are tried for sharp edges
_CAUTION = 0.05  # of the kernels that are tried
_MILD_PX = 1.5  # spread of a point: whatever more than this is seen on a photo may be a part of a longer blur
_MOST_ALONG_PX, _MOST_ACROSS_PX = (
    2.5,
    1.15,
)  # on a small copy: twice as much is still a blur that the network has learned
_SHRUNK, _COPY_PX = (8, 4, 2), 128  # how many times smaller a copy may be, and its shorter side at least
_SHARP_PX, _AGREED = 0.45, 0.85  # what a sharp copy is spread by; how much of the rest the next larger one has to show
_AROUND_PX, _EVEN, _UNEVEN = (
    3,
    0.4 / 255,
    1.2 / 255,
)  # standard deviations of luma around a pixel: nothing was blurred there, or something
_CAUTIOUS = 2.5  # how much larger the log of the noise is for the more cautious filter


class Estimator(nn.Module):
    """(N, M, 3, W, W) in [0, 1], M windows of each of N photos -> kernels (N, KERNEL_PX, KERNEL_PX), each of sum 1, in
    the order of a convolution's shifts (flipped for conv2d), and the log of the noise (N,) for `wiener`.

    slope: as of `Residual`.
    """

    def __init__(self, width: int = 32, maps: int = 48, basis: int = 64, slope: float = 0.0) -> None:
        super().__init__()
        self.pixels = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.ReLU(),
            Residual(width, slope),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.ReLU(),
            Residual(2 * width, slope),
            Residual(2 * width, slope),
        )
        self.weigh = nn.Linear(4 * width, 1)
        self.draw = nn.Linear(4 * width, basis)
        self.basis = nn.Parameter(0.02 * torch.randn(basis, _DRAWN * KERNEL_PX**2))
        self.edges = _Edges(width // 2)
        self.first = nn.Conv2d(5 * _MAPS + _DRAWN + _TRIED, maps, 3, padding=1)
        self.middle = chain(maps, 4, slope)
        self.last = nn.Conv2d(maps, 1, 3, padding=1)
        self.noise = nn.Linear(4 * width + maps, 1)
        nn.init.constant_(self.noise.bias, -4.0)

    def forward(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        n, m = parts.shape[:2]
        luma = _standard(parts.flatten(0, 1).mean(1, keepdim=True))
        seen = self.pixels(F.pixel_unshuffle(luma, 2))
        pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1).view(n, m, -1)
        share = torch.softmax(self.weigh(pooled), 1)  # (N, M, 1): flat windows show no blur
        pooled = (share * pooled).sum(1)
        maps = (share[..., None, None] * _statistics(luma).view(n, m, _MAPS, 2 * _LAG_PX + 1, 2 * _LAG_PX + 1)).sum(1)
        drawn = (self.draw(pooled) @ self.basis).view(n, _DRAWN, KERNEL_PX, KERNEL_PX)
        tried = _quotients(self.edges(luma), luma, share)
        # A kernel reaches half as far as its autocorrelation: lag 2 p lies at p, and lag p beside it.
        halves = F.pixel_unshuffle(F.pad(maps, (0, 1, 0, 1)), 2)
        half = _LAG_PX // 2
        x = self.middle(self.first(torch.cat([halves, maps[..., half:-half, half:-half], drawn, tried], 1)))
        kernels = torch.softmax(self.last(F.relu(x)).flatten(1), 1).view(n, KERNEL_PX, KERNEL_PX)
        return kernels, self.noise(torch.cat([pooled, x.mean((2, 3))], 1))[:, 0]


class _Edges(nn.Module):
    """(M, 1, W, W) -> the gradients that the sharp picture may have had, (M, 2, _TRIED, W, W): those of the blurred one
    and what is added to them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 8 * _TRIED, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        added = F.pixel_shuffle(self.layers(F.pixel_unshuffle(x, 2)), 2).unflatten(1, (2, _TRIED))
        found: Tensor = _gradients(x)[:, :, None] + added
        return found


class Deblur(nn.Module):
    """(N, 3, H, W) in [0, 1] -> the sharp photos, same shape; H and W are multiples of 8. Not clamped."""

    def __init__(self, estimator: Estimator | None = None, repair: UNet | None = None) -> None:
        super().__init__()
        self.estimator = estimator or Estimator()
        self.repair = repair or UNet(pictures=3)

    def forward(self, x: Tensor, blur: Tensor | None = None) -> Tensor:
        """blur: `blur_of` the windows of the photos that x is a part of; of x's own windows if not given."""
        blur = self.blur_of(windows(x)) if blur is None else blur
        return _where_uneven(self.repair(undone(x, blur)), x)

    def for_photo(
        self, apply: Callable[..., Tensor], photo: Tensor
    ) -> tuple[Callable[..., Tensor], tuple[Tensor, ...], int]:
        """What takes the blur of the whole photo (1, 3, H, W) off its tiles, and on how small a copy that has to be
        done.
        """
        blur, factor = fitting(partial(apply, self.blur_of), photo.float())
        return self, (blur,), factor

    def blur_of(self, parts: Tensor) -> Tensor:
        """The `Estimator`'s blur by windows, in one row for each photo, (N, 1 + KERNEL_PX^2): the noise, then the
        kernel.

        A photo turned by half a turn has the same statistics and is blurred by the kernel turned. The mean of both
        estimates is taken, because which end of a path is which is uncertain in each.
        """
        kernels, noise = self.estimator(torch.cat([parts, parts.flip(-2, -1)]))
        upright, turned = kernels.chunk(2)
        return torch.cat(
            [torch.stack(noise.chunk(2), 1).mean(1, keepdim=True), (upright + turned.flip(-2, -1)).flatten(1) / 2], 1
        )


def _where_uneven(sharp: Tensor, x: Tensor) -> Tensor:
    """What was made of photos x, both (N, 3, H, W), but x itself where that is even all around: an edge that was
    blurred into a pixel has left it uneven, so all that is added there is the ringing of edges further away, which is
    seen on white.
    """
    luma = x.float().mean(1, keepdim=True) - 0.5  # half formats have no such small variances
    mean, square = box(torch.cat([luma, luma.square()], 1), _AROUND_PX, "reflect").split(1, 1)
    deviation = (square - mean.square()).clamp_min(0).sqrt()
    return torch.lerp(x, sharp, ((deviation - _EVEN) / (_UNEVEN - _EVEN)).clamp(0, 1).to(sharp.dtype))


def undone(x: Tensor, blur: Tensor) -> Tensor:
    """(N, 9, H, W): photos (N, 3, H, W) of the blur (N, 1 + KERNEL_PX^2) under Wiener's filter, under a more cautious
    one, and as they are.
    """
    noise, kernels = blur[:, 0], blur[:, 1:].unflatten(1, (KERNEL_PX, KERNEL_PX))
    both = wiener(x, kernels, torch.stack([noise, noise + _CAUTIOUS], 1))
    return torch.cat([both.flatten(1, 2).to(x.dtype), x], 1)


def spread(blur: Tensor) -> tuple[float, float]:
    """How far one photo's blur (1, 1 + KERNEL_PX^2) spreads a point, as standard deviations in pixels: along the
    direction in which that is most, and across it. Motion by n pixels has n / sqrt(12) along it, a disk of radius r has
    r / 2.
    """
    kernel = blur[0, 1:].view(KERNEL_PX, KERNEL_PX).double().cpu()
    place = torch.stack(torch.meshgrid(*[torch.arange(KERNEL_PX, dtype=torch.float64)] * 2, indexing="ij")).flatten(1)
    covariance = torch.cov(place, correction=0, aweights=kernel.flatten())
    across, along = torch.linalg.eigvalsh(covariance).clamp_min(0).sqrt().tolist()
    return along, across


def fitting(blur_of: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, int]:
    """The blur of a photo (1, 3, H, W), as `blur_of` estimates it from `windows`, and how many times smaller the copy
    is on which it was estimated: 1, 2, 4 or 8.

    A blur that is longer than a kernel shows as some shorter one, while on a copy of half the size it is half as long.
    So where there is more than a mild one, it is estimated on small copies first, and on larger ones as long as it
    still fits and the estimates agree.
    """
    blur = blur_of(windows(x))
    seen_px = spread(blur)[0]
    if seen_px <= _MILD_PX:
        return blur, 1
    fitted, least_px = (
        (blur, 1),
        0.0,
    )  # what was seen last; how far the next larger copy has to show it, in pixels of the photo
    for factor in (f for f in _SHRUNK if min(x.shape[2:]) >= f * _COPY_PX):
        smaller = blur_of(windows(F.avg_pool2d(x, factor)))
        along, across = spread(smaller)
        if factor * along < least_px:
            return fitted
        fitted, least_px = (smaller, factor), _AGREED * factor * math.sqrt(max(0.0, along**2 - _SHARP_PX**2))
        if along > _MOST_ALONG_PX or across > _MOST_ACROSS_PX:
            return fitted
    return fitted if seen_px < least_px else (blur, 1)


def wiener(x: Tensor, kernels: Tensor, noise: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) without the blur of kernels (N, K, K) -> (N, L, 3, H, W), float32, for L levels of noise
    (N, L).

    noise: the log of how much the square of the gradient counts beside the square of the error.
    """
    height, width = x.shape[2:]
    wrapped = _wrapped(_wrapped(x.float(), 3), 2)
    size = wrapped.shape[2:]
    blurs = response(kernels.float(), size)
    rough = sum(_steps(size, x.device))
    filters = blurs.conj()[:, None] / (
        blurs.abs().square()[:, None] + noise.float().exp()[..., None, None] * rough + 1e-6
    )
    spectrum = torch.fft.rfft2(wrapped)
    found: Tensor = torch.fft.irfft2(spectrum[:, None] * filters[:, :, None], s=size)[..., :height, :width]
    return found


def windows(x: Tensor) -> Tensor:
    """(N, M, 3, WINDOW_PX, WINDOW_PX): parts of photos (N, 3, H, W) of any size that overlap, those with the most edges
    where there are many.
    """
    height, width = x.shape[2:]
    x = F.pad(x, (0, max(0, WINDOW_PX - width), 0, max(0, WINDOW_PX - height)), mode="replicate")
    top, left = ((length - WINDOW_PX) % _HOP_PX // 2 for length in x.shape[2:])
    x = x[..., top:, left:]
    green = x[:, 1:2]  # the channel of the least noise
    edges = green.diff(dim=-1)[..., 1:, :].abs() + green.diff(dim=-2)[..., 1:].abs()
    busy = F.avg_pool2d(F.pad(edges, (0, 1, 0, 1)), WINDOW_PX, _HOP_PX)
    chosen = busy.flatten(1).topk(min(_MOST_WINDOWS, busy[0].numel()), 1).indices.sort(1).values
    rows, columns = (_HOP_PX * (chosen // busy.shape[3])).tolist(), (_HOP_PX * (chosen % busy.shape[3])).tolist()
    parts = [
        x[i, :, y : y + WINDOW_PX, z : z + WINDOW_PX]
        for i in range(len(x))
        for y, z in zip(rows[i], columns[i], strict=True)
    ]
    found: Tensor = torch.stack(parts).unflatten(0, (len(x), -1))
    return found


def _statistics(luma: Tensor) -> Tensor:
    """(M, 1, W, W) -> (M, 4, 2 L + 1, 2 L + 1), L = _LAG_PX, of each lag: the autocorrelations of the differences
    across, down and of both again (whiter still), and the cepstrum.
    """
    tapered = _tapered(luma.float()[:, 0])
    power = torch.fft.rfft2(tapered).abs().square()
    across, down = _steps(tapered.shape[-2:], luma.device)
    planes = torch.stack([power * across, power * down, power * (across + down).square()], 1)
    planes = planes / (planes.mean((2, 3), keepdim=True) + 1e-6)
    logs = (power / (power.mean((1, 2), keepdim=True) + 1e-6) + 1e-7).log()
    planes = torch.cat([planes, 0.2 * (logs - logs.mean((1, 2), keepdim=True))[:, None]], 1)
    return 30 * _lags(torch.fft.irfft2(planes, s=tapered.shape[-2:]), _LAG_PX).to(luma.dtype)


def _quotients(edges: Tensor, luma: Tensor, share: Tensor) -> Tensor:
    """(N, T, KERNEL_PX, KERNEL_PX): the kernels that best make the gradients of the windows luma (N M, 1, W, W) out of
    `edges` (N M, 2, T, W, W), by least squares over all windows of a photo (the quotient layer of Schuler et al. 2014).
    Frequencies that the edges hardly have are held back."""
    n, m = share.shape[:2]
    sharp = torch.fft.rfft2(_tapered(edges.float()))
    blurred = torch.fft.rfft2(_tapered(_gradients(luma.float())))[:, :, None]
    weight = share.float().view(n, m, 1, 1, 1)
    above = (weight * (sharp.conj() * blurred).sum(1).unflatten(0, (n, m))).sum(1)
    below = (weight * sharp.abs().square().sum(1).unflatten(0, (n, m))).sum(1)
    kernels = torch.fft.irfft2(above / (below + _CAUTION * below.mean((2, 3), keepdim=True) + 1e-3), s=luma.shape[-2:])
    return 10 * _lags(kernels, KERNEL_PX // 2).to(luma.dtype)


def _gradients(x: Tensor) -> Tensor:
    """(M, 1, H, W) -> (M, 2, H, W): differences to the next pixel across and down; 0 at the far edge."""
    return torch.cat([F.pad(x.diff(dim=3), (0, 1)), F.pad(x.diff(dim=2), (0, 0, 0, 1))], 1)


def _tapered(x: Tensor) -> Tensor:
    """(..., W, W) fading to 0 at the edges, which a Fourier transform takes for neighbours."""
    taper = torch.hann_window(x.shape[-1], device=x.device)
    return x * taper * taper[:, None]


def _lags(x: Tensor, most: int) -> Tensor:
    """(..., W, W) with lag 0 at the corner -> (..., 2 most + 1, 2 most + 1) with lag 0 in the middle."""
    return x.roll((most, most), (-2, -1))[..., : 2 * most + 1, : 2 * most + 1]


def _standard(x: Tensor) -> Tensor:
    """Each picture without its mean, its contrast one."""
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)


def _steps(size: tuple[int, int] | torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """|1 - exp(i w)|^2 along x and along y, of every frequency of rfft2."""
    down = 2 - 2 * torch.cos(2 * torch.pi * torch.fft.fftfreq(size[0], device=device))[:, None]
    across = 2 - 2 * torch.cos(2 * torch.pi * torch.fft.rfftfreq(size[1], device=device))[None]
    return across, down


def response(kernels: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Spectra (N, H, W / 2 + 1) of kernels (N, K, K) whose middle lies at the picture's corner."""
    around = kernels.new_zeros(len(kernels), *size)
    around[:, : kernels.shape[1], : kernels.shape[2]] = kernels
    middle = kernels.shape[-1] // 2
    found: Tensor = torch.fft.rfft2(around.roll((-middle, -middle), (1, 2)))
    return found


def _wrapped(x: Tensor, dim: int) -> Tensor:
    """x longer by _EDGE_PX along dim: behind its end its mirror image fades into the one before its start, since a
    Fourier transform takes the two for neighbours. A mirror image that is too short goes on with its last value."""
    length = x.shape[dim]
    fade = ((torch.arange(_EDGE_PX, device=x.device) + 0.5) / _EDGE_PX).view(
        [-1 if k == dim else 1 for k in range(x.dim())]
    )
    inwards = torch.arange(_EDGE_PX, device=x.device).clamp(max=length - 1)
    behind, before = x.index_select(dim, length - 1 - inwards), x.index_select(dim, inwards.flip(0))
    return torch.cat([x, torch.lerp(behind, before, fade)], dim)


def from_state_dict(state: dict[str, Tensor]) -> Deblur:
    """The network whose weights these are; all sizes are read from their shapes. Strict."""
    width, maps, basis = (len(state[f"estimator.{name}"]) for name in ("pixels.0.weight", "first.weight", "basis"))
    repair = unet.from_state_dict(
        {key.removeprefix("repair."): value for key, value in state.items() if key.startswith("repair.")}
    )
    network = Deblur(Estimator(width, maps, basis), repair)
    leak_as(network, state)
    network.load_state_dict(state)
    return network
