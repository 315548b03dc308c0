"""Mood and colour transfer between photos, measured on few pixels and applied to any number of them by a look-up table.

- Reinhard, Ashikhmin, Gooch & Shirley, Color Transfer between Images, 2001.
- Pitie & Kokaram, The Linear Monge-Kantorovitch Linear Colour Mapping, 2007.
- Sliced transport: Pitie, Kokaram & Dahyot, N-dimensional probability density function transfer, 2005; Bonneel et al.,
  Sliced and Radon Wasserstein Barycenters of Measures, 2015.
- Luma only and the style in the photo's palette: Gatys et al., Preserving Color in Neural Artistic Style Transfer,
  2016.

Where this leaves the papers:
- Reinhard's moments are taken in OKLab (Ottosson 2020) instead of l-alpha-beta: as decorrelated, but without its
  logarithm, for which the noise of a black is the largest signal of all.
- Nothing is stretched by more than `MOST_GAIN` (in the space it is computed in), so that a smooth background shows no
  steps.
- Sliced transport is kept as a smooth correction of the linear map: what lies far from all colours of the photo
  follows the linear map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.filters import gaussian
from engine.models.gaussian import moments, transport
from engine.models.srgb import REC709, from_oklab, in_gamut, luma, oklab

NODES = 33  # of a look-up table, along each side
MOST_GAIN = 3.0  # of a transfer: one step of 8 bits becomes at most three
STRIP_PX = 1 << 18  # looked up at once
_THINNED_PX = 256  # the longer side of what is measured, at most
_CLOUD = 1 << 13  # points that take part in sliced transport, at most
_ROTATIONS = 24
_SCALES = (8.0, 4.0, 2.0)  # of the correction, in nodes: standard deviations of the Gaussians, coarse to fine
_DOUBT = 1e-5  # share of the photo's pixels around a node at which its correction is halved

_STRETCH = 1.206 / 1.03  # Ottosson's k3 for his k1 = 0.206 and k2 = 0.03


@dataclass(frozen=True, eq=False)
class Lut:
    """A look-up table of colours: `table` (3, 33, 33, 33) holds what becomes of the sRGB colour (r, g, b) / 32 at [:,
    b, g, r].

    Its values may leave [0, 1], so that a linear map is met exactly up to where it is cut off.
    """

    table: Tensor

    @torch.no_grad()
    def apply(self, pixels: Tensor, strength: float = 1.0) -> Tensor:
        """Pixels (N, 3, H, W) in [0, 1] of any size, looked up trilinearly: photo + strength x (looked up - photo), in
        [0, 1].

        Works in strips: beside the result it takes about 20 MB, whatever the size. A strip is looked up as a batch of
        as many parts as there are threads, because grid_sample shares its work between pictures and not within one.
        """
        threads = torch.get_num_threads()
        table = self.table.to(pixels.device, torch.float32).expand(threads, -1, -1, -1, -1)
        out = torch.empty_like(pixels)
        for strip in strips(pixels):
            photo = pixels[strip].float()
            colours = (
                photo.flatten(2)[0].T.mul(2).sub_(1)
            )  # (P, 3): grid_sample wants x (red), y (green), z (blue) in [-1, 1]
            places = F.pad(colours, (0, 0, 0, -len(colours) % threads)).view(threads, 1, 1, -1, 3)
            effect = F.grid_sample(table, places, mode="bilinear", padding_mode="border", align_corners=True)
            effect = effect.movedim(1, 0).reshape(3, -1)[:, : len(colours)].view_as(photo)
            out[strip] = effect.clamp_(0, 1).sub_(photo).mul_(strength).add_(photo).clamp_(0, 1).to(out.dtype)
        return out


def strips(pixels: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Indices that cut (N, C, H, W) into single pictures' strips of about STRIP_PX pixels."""
    rows = max(1, STRIP_PX // pixels.shape[3])
    for n in range(pixels.shape[0]):
        for top in range(0, pixels.shape[2], rows):
            yield slice(n, n + 1), slice(None), slice(top, top + rows)


def _baked(transfer: Callable[[Tensor], Tensor]) -> Lut:
    """The table of a function of pixels (1, 3, H, W)."""
    return Lut(transfer(grid().view(1, 3, NODES * NODES, NODES)).float().view(3, NODES, NODES, NODES))


def grid(nodes: int = NODES) -> Tensor:
    """The colours of a table's nodes, (3, blue, green, red)."""
    steps = torch.linspace(0, 1, nodes)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue])


def _thinned(pixels: Tensor) -> Tensor:
    """Every n-th pixel of (1, 3, H, W), on the CPU: fewer, but of no new colour, as the mean of several would be."""
    down, across = (-(-side // _THINNED_PX) for side in pixels.shape[2:])
    return pixels[:, :, ::down, ::across].cpu().float()


@torch.no_grad()
def reinhard(photo: Tensor, style: Tensor, floor: float = 1e-4) -> Lut:
    """The photo's mean and deviation of lightness and of each opponent colour (OKLab) become the style's.

    Both (1, 3, H, W) in [0, 1], of any sizes. `floor` is a variance added to both: a flat photo stays almost flat.
    """
    own, target = moments(_evened(oklab(_thinned(photo)))), moments(_evened(oklab(_thinned(style))))
    gain = ((target.covariance.diag() + floor) / (own.covariance.diag() + floor)).sqrt().clamp(max=MOST_GAIN)
    return _baked(
        lambda pixels: from_oklab(
            _unevened((_evened(oklab(pixels)) - _column(own.mean)) * _column(gain) + _column(target.mean))
        )
    )


def _evened(lab: Tensor) -> Tensor:
    """OKLab, shortened towards black so that its lightness is the one that Ottosson gives for it in 2021.

    Cube roots begin upright at black: a grey level of noise there would be a large colour once it is lifted to the
    light.
    """
    lightness = lab[:, :1].clamp_min(1e-6)
    bent = _STRETCH * lightness - 0.206
    return lab * (0.5 * (bent + (bent.square() + 0.12 * _STRETCH * lightness).sqrt()) / lightness)


def _unevened(lab: Tensor) -> Tensor:
    """Back again."""
    even = lab[:, :1].clamp(0, 1)
    return torch.cat([even, lab[:, 1:]], 1) * ((even + 0.206) / (_STRETCH * (even + 0.03)))


@torch.no_grad()
def monge_kantorovich(photo: Tensor, style: Tensor, floor: float = 1e-3) -> Lut:
    """The photo's mean and covariance of sRGB become the style's, by the linear map that moves colours least.

    Both (1, 3, H, W) in [0, 1], of any sizes. `floor`: see `engine.models.gaussian.transport`.
    """
    return _baked(_linear(_thinned(photo), _thinned(style), floor))


def _linear(photo: Tensor, style: Tensor, floor: float) -> Callable[[Tensor], Tensor]:
    own, target = moments(photo), moments(style)
    gains, directions = torch.linalg.eigh(transport(own, target, floor))
    matrix = ((directions * gains.clamp(max=MOST_GAIN)) @ directions.T).float()
    return lambda pixels: torch.einsum("dc,nchw->ndhw", matrix, pixels - _column(own.mean)) + _column(target.mean)


@torch.no_grad()
def sliced_transport(photo: Tensor, style: Tensor, seed: int = 0) -> Lut:
    """The photo's whole distribution of sRGB colours moves to the style's: along random axes, each by sorting.

    Both (1, 3, H, W) in [0, 1], of any sizes. seed: of the axes.
    """
    linear = _linear(_thinned(photo), _thinned(style), 1e-3)
    colours, target = _cloud(photo), _cloud(style)
    start = linear(colours.T[None, :, :, None])[0, :, :, 0].T
    generator = torch.Generator().manual_seed(seed)
    moved = start
    for _ in range(_ROTATIONS):
        axes = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
        moved = moved + _along(moved @ axes, target @ axes) @ axes.T
    return Lut(_fitted(_baked(linear).table, colours, moved.clamp(0, 1) - start))


def _cloud(pixels: Tensor) -> Tensor:
    """At most _CLOUD colours of a picture, (P, 3)."""
    colours = _thinned(pixels).flatten(2)[0].T
    return colours[:: -(-len(colours) // _CLOUD)]


def _along(a: Tensor, b: Tensor) -> Tensor:
    """How far each value of the columns of a (P, C) has to go so that they are distributed like those of b (Q, C)."""
    ranks = a.argsort(0)
    wanted = F.interpolate(b.sort(0)[0].T[None], len(a), mode="linear", align_corners=False)[
        0
    ].T  # quantiles: the same where P = Q
    return torch.empty_like(a).scatter_(0, ranks, wanted) - a


def _fitted(table: Tensor, colours: Tensor, shifts: Tensor) -> Tensor:
    """A table (3, 33, 33, 33), smoothly corrected by the shifts (P, 3) that scattered colours (P, 3) take.

    Each scale fits what the coarser ones have left over, by a normalised convolution that fades to 0 where no colours
    are. Of each only so much is taken that the table goes on rising along each axis, and nowhere too steeply.
    """
    places = (colours * (NODES - 1)).round().long()
    cells = (places[:, 2] * NODES + places[:, 1]) * NODES + places[:, 0]
    share = torch.zeros(NODES**3).index_add_(0, cells, torch.full((len(cells),), 1 / len(cells)))
    sums = torch.zeros(NODES**3, 3).index_add_(0, cells, shifts / len(cells))
    weights, wanted = share.view(1, NODES, NODES, NODES), sums.T.reshape(3, NODES, NODES, NODES)
    field = torch.zeros_like(wanted)
    for deviation in _SCALES:
        more = _blurred(wanted - weights * field, deviation) / (_blurred(weights, deviation) + _DOUBT)
        field = next(
            (field + part * more for part in (1, 0.75, 0.5, 0.25) if _is_calm(table + field + part * more)), field
        )
    return table + field


def _is_calm(table: Tensor) -> bool:
    """Whether each channel rises with itself, and by at most MOST_GAIN."""
    slopes = torch.stack([table[channel].movedim(2 - channel, 0).diff(dim=0) * (NODES - 1) for channel in range(3)])
    return float(slopes.min()) >= 0 and float(slopes.max()) <= MOST_GAIN


def _blurred(volume: Tensor, deviation: float) -> Tensor:
    """(C, 33, 33, 33) under a Gaussian; nothing lies outside."""
    at = torch.arange(NODES, dtype=volume.dtype)
    kernel = gaussian(at[:, None] - at, deviation) / (deviation * (2 * torch.pi) ** 0.5)
    for _ in range(3):  # one side after the other; each turns the last side to the front
        volume = (volume @ kernel).movedim(3, 1)
    return volume


def keep_colours(photo: Tensor, painted: Tensor) -> Tensor:
    """The luma of `painted` with the chroma of `photo`, both (N, 3, H, W) in [0, 1] of one size; so is the result.

    Luma and chroma of video (Y'CbCr, Rec. 709): straight sums of sRGB values, so the luma is met exactly. Where it is
    too light or too dark for the chroma, chroma is taken off: white stays white.
    """
    out = torch.empty_like(painted)
    for strip in strips(painted):
        before, after = photo[strip].float(), painted[strip].float()
        grey = _luma(after)
        out[strip] = in_gamut(before - _luma(before) + grey, grey).to(out.dtype)
    return out


def matched(style: Tensor, photo: Tensor) -> Tensor:
    """The style picture (1, 3, h, w) in the colours of the photo (1, 3, H, W), so that a photo can be painted in its
    own palette.
    """
    return monge_kantorovich(style, photo).apply(style)


def _luma(pixels: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1]."""
    return luma(pixels, REC709).clamp(0, 1)


def _column(values: Tensor) -> Tensor:
    return values.float().view(1, 3, 1, 1)
