"""What a photo suffers from, measured: noise, JPEG, blur, light, colour cast, background.

Noise, JPEG and blur are of the size of a pixel, so they are measured on tiles at full size, spread over the photo and
none of them scaled; light, colour cast and background are measured on a small copy. The cost hardly depends on the
photo's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.filters import box, gaussian_blur, maximum
from engine.models.segment import product_mask, shrunk
from engine.models.srgb import REC601, to_lab
from engine.models.srgb import luma as luma_of

TILE_PX = 256
TILES_MOST = 9


def tiles(pixels: Tensor) -> Tensor:
    """Up to TILES_MOST tiles (N, 3, h, w) of a picture (1, 3, H, W), spread evenly; h, w are at most TILE_PX.

    Their corners are multiples of 8, so that JPEG's blocks lie in each as in the picture.
    """
    height, width = pixels.shape[-2:]
    h, w = min(TILE_PX, height), min(TILE_PX, width)
    rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
    if rows * columns > TILES_MOST:
        shrink = math.sqrt(TILES_MOST / (rows * columns))
        rows = min(TILES_MOST, max(1, int(rows * shrink)))
        columns = min(TILES_MOST // rows, max(1, int(columns * shrink)))
    return torch.cat(
        [
            pixels[:, :, y : y + h, x : x + w].float()
            for y in _starts(height - h, rows)
            for x in _starts(width - w, columns)
        ]
    )


def _starts(room: int, count: int) -> list[int]:
    """`count` places from 0 to `room`, evenly spread, in multiples of 8."""
    if count == 1:
        return [room // 2 // 8 * 8]
    return [round(room * i / (count - 1)) // 8 * 8 for i in range(count)]


# Noise, in the diagonal band of the Haar wavelet (Donoho & Johnstone 1994). Where noise was cut off at black or white,
# as it is on a white background, the share of the pixels there says how much of it is missing (Foi 2009).
_PATCH_PX = 16
_CUT_OFF_MOST = 0.75  # of a patch's pixels: beyond, what is left says too little of the rest
_CUT_OFF_LITTLE = 0.02
_SMOOTHEST = 0.15  # share of the patches that noise is read from
_ROUGH = 6.0
_UNEVEN = 2.5  # how much more noise than its quietest parts a photo has
_VECTORS_LEAST = 1000  # patches of 8 x 8: with fewer, the smallest eigenvalues fall below the noise
_FLAT_LEAST = 22  # dimensions: fewer are the fine end of a texture
_MOST = 127.5  # the deviation of half black and half white, and no values from 0 to 255 have more


def noise_sigma(tiles: Tensor) -> float:
    """Standard deviation of white Gaussian noise in a channel, in units of 1/255, of tiles (N, 3, h, w) in [0, 1].

    0 where detail hides all noise, and where what looks like noise is none: a drawing in two levels, dots of black and
    white that deviate by more than noise can. The lower of two: on the smoothest patches, and in the directions that a
    texture leaves flat; what is too rough to be read still bounds the other. Noise that neighbouring pixels share, as
    demosaicing and JPEG leave it, counts for less than it is.
    """
    if _has_two_levels(tiles):
        return 0.0
    patches = _patches(tiles * 255)
    cut_off = torch.maximum((patches >= 254.5).float().mean((1, 2)), (patches <= 0.5).float().mean((1, 2)))
    some, whole = patches[cut_off <= _CUT_OFF_MOST], patches[cut_off <= _CUT_OFF_LITTLE]
    bound, is_smooth = _sigma_of_smooth_patches(some, cut_off[cut_off <= _CUT_OFF_MOST])
    flat = _sigma_of_flat_directions(whole)
    found = min(bound, flat) if flat is not None else bound if is_smooth else 0.0
    return found if found <= _MOST else 0.0


def _has_two_levels(tiles: Tensor) -> bool:
    """Whether no channel of tiles (N, 3, h, w) has anything between its darkest and its lightest."""
    darkest, lightest = tiles.amin((0, 2, 3), keepdim=True), tiles.amax((0, 2, 3), keepdim=True)
    return bool(((tiles == darkest) | (tiles == lightest)).all())


def _sigma_of_smooth_patches(patches: Tensor, cut_off: Tensor) -> tuple[float, bool]:
    """Of patches (P, 16, 16) in grey levels, `cut_off` (P,) their shares of it; and whether these are smooth enough to
    tell.

    The diagonal difference of 2 x 2 pixels sees noise, and little else where the means of such cells are smooth. Under
    white noise the two are independent, so choosing patches by the means does not bias the differences.
    """
    if not len(patches):
        return 0.0, False
    cells = patches.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (P, 8, 2, 8, 2)
    diagonal = (cells[:, :, 0, :, 0] - cells[:, :, 0, :, 1] - cells[:, :, 1, :, 0] + cells[:, :, 1, :, 1]) / 2
    means = cells.mean((2, 4))
    left = _left_of_noise(cut_off)
    sigma = diagonal.square().mean((1, 2)).sqrt() / left
    roughness = (means.diff(dim=2).square().mean((1, 2)) + means.diff(dim=1).square().mean((1, 2))) / left.square()
    smoothest = roughness.argsort()[: max(8, int(_SMOOTHEST * len(roughness)))]
    # Noise is everywhere: where patches have none, what others have is detail.
    found = min(float(sigma[smoothest].median()), _UNEVEN * float(sigma.quantile(0.02)))
    # Noise alone makes the means as rough as its own variance.
    return found, float(roughness[smoothest].median()) < _ROUGH * (found**2 + 0.1)


def _sigma_of_flat_directions(patches: Tensor) -> float | None:
    """Chen, Zhu & Heng 2015, algorithm 1, of patches (P, 16, 16): those of a texture fill few of 64 dimensions, and
    noise all.

    The smallest eigenvalues of the patches' covariance are noise alone as soon as their mean is their median.
    None where these are too few.
    """
    vectors = patches.unflatten(2, (2, 8)).unflatten(1, (2, 8)).transpose(2, 3).reshape(-1, 64)
    if len(vectors) < _VECTORS_LEAST:
        return None
    eigenvalues = torch.linalg.eigvalsh(torch.cov(vectors.T)).clamp_min(0)
    for count in range(64, _FLAT_LEAST - 1, -1):
        smallest = eigenvalues[:count]
        if smallest.mean() <= (smallest[(count - 1) // 2] + smallest[count // 2]) / 2:
            return float(smallest.mean().sqrt())
    return None


def _patches(tiles: Tensor) -> Tensor:
    """(P, 16, 16): each channel's own."""
    p = _PATCH_PX
    height, width = tiles.shape[-2] // p * p, tiles.shape[-1] // p * p
    t = tiles[:, :, :height, :width].unflatten(3, (-1, p)).unflatten(2, (-1, p))
    found: Tensor = t.transpose(3, 4).reshape(-1, p, p)
    return found


def _left_of_noise(share: Tensor) -> Tensor:
    """The standard deviation of unit Gaussian noise of which `share` was cut off at one level, elementwise."""
    normal = torch.distributions.Normal(0.0, 1.0)
    a = normal.icdf((1 - share).clamp(1e-6, 1 - 1e-6))  # cut off above a
    density = torch.exp(-a.square() / 2) / math.sqrt(2 * math.pi)
    mean = -density + a * share  # of min(z, a)
    square = (1 - share) - a * density + a.square() * share
    found: Tensor = (square - mean.square()).clamp_min(1e-6).sqrt()
    return found


# JPEG. ITU T.81, table K.1: the luma table that the Independent JPEG Group's quality scales
LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_BIN = 0.25  # width of a bin of the histograms of DCT coefficients
_BINS = 4 * 400
# Standard deviation of a coefficient after its pixels were rounded to whole levels, and after a finer JPEG was made of
# them.
_ROUNDINGS = (0.45, 1.1)
_STRAY = 0.1  # share of the coefficients that lie anywhere: cut off colours, a drawn line
_EVIDENCE_LEAST = 30.0  # nats


def jpeg_quality(tiles: Tensor) -> int | None:
    """The quality (1 to 100, of the Independent JPEG Group's tables) at which tiles (N, 3, h, w) in [0, 1] were
    compressed, the lowest that shows if they were more than once; None where nothing shows that they were, as after a
    picture was resized.

    Each DCT coefficient of a decoded picture lies near a multiple of its table's entry (Fan & de Queiroz 2003). Of all
    qualities the likeliest is taken, against coefficients that lie anywhere. A photo that was cropped and saved again
    at a higher quality has the blocks of both, at two places.
    """
    luma = luma_of(tiles * 255)[:, 0] - 128
    dy, dx = _grid(luma)
    found = []
    for y, x in dict.fromkeys(((0, 0), (dy, dx))):
        evidence = _evidence(_coefficients(luma[:, y:, x:], tiles[:, :, y:, x:]))
        found += (evidence.argmax(1) + 1)[evidence.amax(1) > _EVIDENCE_LEAST].tolist()
    return min(found, default=None)


def luma_table(quality: int) -> Tensor:
    """The quantisation table of a quality from 1 to 100, (8, 8), as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(LUMA_TABLE) * scale + 50) // 100).clamp(1, 255)


def quality_of_table(table: Sequence[int]) -> int:
    """The quality whose luma table is nearest to one of 64 entries in rows, by the mean ratio; camera makers have
    tables of their own.
    """
    tables = torch.stack([luma_table(quality).flatten() for quality in range(1, 101)])
    return int((torch.tensor(table, dtype=torch.float32).clamp_min(1).log() - tables.log()).abs().mean(1).argmin()) + 1


def _grid(luma: Tensor) -> tuple[int, int]:
    """Where the corner of the first whole 8 x 8 block lies, (rows, columns), by the steps between blocks of (N, h,
    w).
    """
    corner = []
    for t in (luma.transpose(1, 2), luma):
        d = t.diff(dim=2).abs()
        step = (d[:, :, 1:-1] - (d[:, :, :-2] + d[:, :, 2:]) / 2).clamp(-4, 4).mean((0, 1))  # of column k + 1 to k + 2
        length = len(step) // 8 * 8
        corner.append((int(step[:length].view(-1, 8).mean(0).argmax()) + 2) % 8 if length else 0)
    return corner[0], corner[1]


def _coefficients(luma: Tensor, tiles: Tensor) -> Tensor:
    """DCT coefficients (B, 8, 8) of the 8 x 8 blocks in which no channel is cut off at black or white."""
    blocks = _blocks(luma[:, None])[:, 0]
    whole = _blocks(tiles).flatten(1)
    blocks = blocks[(whole.amax(1) < 254.5 / 255) & (whole.amin(1) > 0.5 / 255)]
    k = torch.arange(8.0)
    basis = torch.cos(math.pi * (k[None] + 0.5) * k[:, None] / 8) / 2
    basis[0] /= math.sqrt(2)
    return basis @ blocks @ basis.T


def _blocks(t: Tensor) -> Tensor:
    """(B, C, 8, 8) of (N, C, h, w)."""
    height, width = t.shape[-2] // 8 * 8, t.shape[-1] // 8 * 8
    t = t[:, :, :height, :width].unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # (N, C, y, 8, x, 8)
    return t.permute(0, 2, 4, 1, 3, 5).reshape(-1, t.shape[1], 8, 8)


def _evidence(coefficients: Tensor) -> Tensor:
    """Log likelihood of each quality from 1 to 100 against no JPEG at all, for each of `_ROUNDINGS`, (R, 100).

    Coefficients near 0 are left out, and one whose nearest multiple is 0 may speak against a quality but not for it:
    the fine coefficients of a blurred photo are near a multiple of everything coarse.
    """
    bins = (coefficients.abs() / _BIN).round().long().flatten(1).clamp(max=_BINS)  # (B, 64)
    bins = bins + torch.arange(64) * (_BINS + 1)
    histograms = torch.bincount(bins.flatten(), minlength=64 * (_BINS + 1)).view(64, -1)[:, :_BINS].float()
    value = torch.arange(_BINS) * _BIN
    histograms[:, value < 2] = 0
    histograms[0] = 0  # the mean of a block
    step = torch.arange(1.0, 122)[:, None]
    rest = value - step * (value / step).round()
    rounding = torch.tensor(_ROUNDINGS).view(-1, 1, 1)
    density = torch.exp(-rest.square() / (2 * rounding**2)) / (rounding * math.sqrt(2 * math.pi))
    gain = ((1 - _STRAY) * step * density + _STRAY).log()  # (R, 121, bins), of each step against none
    gain = torch.where(value < step / 2, gain.clamp(max=0), gain)
    per_step = histograms @ gain.mT  # (R, 64, 121)
    tables = torch.stack([luma_table(quality).flatten() for quality in range(1, 101)])  # (100, 64)
    known = (tables <= 121).float()
    entries = (tables.clamp(max=121).T - 1).expand(len(per_step), -1, -1)
    return (per_step.gather(2, entries).mT * known).sum(2)


# Blur.
_REBLUR_PX = 2.0
_WINDOW_PX = 6  # on either side of an edge
_STEP_LIKE = 0.8  # of all that changes in the window, what leads from one side to the other; a thin line leads nowhere
_CONTRAST_LEAST = 8.0  # grey levels per px
_EDGES_LEAST = 30
_SHARPEST = 0.7  # quantile: some edges of a sharp photo lie out of focus, and shadows have none


def blur_sigma(tiles: Tensor, noise: float = 0.0) -> float | None:
    """How far the sharper edges of tiles (N, 3, h, w) in [0, 1] are spread: the standard deviation in pixels of the
    Gaussian that would have blurred a perfect step so. 0.5 is pin sharp, 1 usual at full size. None where there are too
    few edges.

    Blurring an edge again lowers its gradient the less, the more it was blurred before (Zhuo & Sim 2011).
    noise: `noise_sigma` of the tiles, in units of 1/255; where there is some, it is smoothed first, by a known width.
    """
    if min(tiles.shape[-2:]) < 2 * _WINDOW_PX:
        return None
    luma = luma_of(tiles * 255)
    smoothed = min(3.0, 0.15 * noise) if noise > 2 else 0.0
    least = _CONTRAST_LEAST
    if smoothed:
        luma = gaussian_blur(luma, smoothed)
        least = max(
            least, 8 * noise / (smoothed**2 * math.sqrt(8 * math.pi))
        )  # 8 deviations of what noise leaves of gradients
    again = gaussian_blur(luma, _REBLUR_PX)
    ratios = torch.cat([_steepness(luma, again, least), _steepness(luma.mT, again.mT, least)])
    return _sigma_of(float(ratios.quantile(_SHARPEST)), smoothed) if len(ratios) >= _EDGES_LEAST else None


def _steepness(luma: Tensor, again: Tensor, least: float) -> Tensor:
    """How much steeper upright edges of (N, 1, h, w) are than after they were blurred again, each at its steepest
    pixel, (E,).
    """
    across, less = ((t[:, :, 1:-1, 2:] - t[:, :, 1:-1, :-2]) / 2 for t in (luma, again))
    down = (luma[:, :, 2:, 1:-1] - luma[:, :, :-2, 1:-1]) / 2
    steep = across.abs()
    window = (0, _WINDOW_PX)  # along a row
    least = max(least, 0.25 * float(steep.flatten()[::7].quantile(0.995)))
    edge = (steep > least) & (steep > 2 * down.abs()) & (steep >= maximum(steep, window))
    edge &= box(across, window, "zeros").abs() > _STEP_LIKE * box(steep, window, "zeros")
    return steep[edge] / less.abs()[edge].clamp_min(1e-3)


def _sigma_of(ratio: float, smoothed: float) -> float:
    """The spread of a step whose central difference, erf(1 / (sigma sqrt 2)) of it, is lowered by `ratio`."""
    sigma = torch.linspace(0.1, 10, 1000)
    steepness = [
        torch.erf(1 / (math.sqrt(2) * (sigma.square() + more).sqrt()))
        for more in (smoothed**2, smoothed**2 + _REBLUR_PX**2)
    ]
    return float(sigma[(steepness[0] / steepness[1] - ratio).abs().argmin()])


# Light, colour cast and background.
_LOOKED_AT_PX = 400  # longer side of the copies


@dataclass(frozen=True)
class Light:
    """Levels of luma in [0, 1], as they are seen (sRGB); white, black: the share of pixels cut off there in all
    channels.

    peak: the level of the largest channel that a hundredth of the photo is above. Lamps and glints are smaller, and
    noise is averaged away.
    """

    mean: float
    low: float  # a twentieth of the photo is darker
    high: float  # a twentieth is lighter
    white: float
    black: float
    peak: float


_PEAK_PX = 160


def light(pixels: Tensor) -> Light:
    """Of a picture (1, 3, H, W) in [0, 1]: its peak by a small copy, the rest by pixels picked from it evenly."""
    rgb = picked(pixels)[0].flatten(1)
    luma = torch.tensor(REC601) @ rgb
    low, high = luma.quantile(torch.tensor([0.05, 0.95])).tolist()
    white, black = (rgb.amin(0) > 254.5 / 255).float().mean(), (rgb.amax(0) < 0.5 / 255).float().mean()
    peak = shrunk(pixels, _PEAK_PX)[0].amax(0).quantile(0.99)
    return Light(float(luma.mean()), low, high, float(white), float(black), float(peak))


def picked(pixels: Tensor) -> Tensor:
    """Every k-th pixel of (1, 3, H, W), as they are: averages would hide what was cut off."""
    step = max(1, round(max(pixels.shape[-2:]) / _LOOKED_AT_PX))
    return pixels[:, :, step // 2 :: step, step // 2 :: step].float() if step > 1 else pixels.float()


_NEAR_NEUTRAL = 14.0  # chroma
_WHITE_MOST = 4.0  # chroma of a white under neutral light


@dataclass(frozen=True)
class ColourCast:
    """The colour that the light (the illuminant) gives to a neutral grey, in CIELAB: a above 0 is magenta, below green;
    b above 0 yellow, below blue. share: of the pixels that it was measured on.
    """

    a: float
    b: float
    share: float

    @property
    def chroma(self) -> float:
        """How strong it is, as delta E: 2 can be seen beside a neutral picture."""
        return math.hypot(self.a, self.b)


def colour_cast(pixels: Tensor) -> ColourCast:
    """Of a picture (1, 3, H, W) in [0, 1]: grey world (Buchsbaum 1980) over near-neutral pixels, the mean colour of
    what is neither dark, cut off, nor coloured.
    """
    rgb = picked(pixels)
    lab = to_lab(rgb)[0].flatten(1)
    seen = (rgb[0].flatten(1).amax(0) < 252 / 255) & (lab[0] > 20)
    a = b = 0.0
    for _ in range(4):
        near = seen & (torch.hypot(lab[1] - a, lab[2] - b) < _NEAR_NEUTRAL)
        if not near.any():
            return ColourCast(0.0, 0.0, 0.0)
        a, b = lab[1][near].mean().item(), lab[2][near].mean().item()
    return ColourCast(a, b, float(near.float().mean()))


@dataclass(frozen=True)
class Background:
    """certainty in [0, 1]: how plain it is (`segment.product_mask`). rgb: its median colour, sRGB in [0, 1]; lab: the
    same in CIELAB. product: the share of the picture that is not background; white: that of what is not, is lighter,
    and is neutral without being cut off.
    """

    certainty: float
    rgb: tuple[float, float, float]
    lab: tuple[float, float, float]
    product: float
    white: float = 0.0

    @property
    def is_plain(self) -> bool:
        return self.certainty >= 0.5

    @property
    def is_white(self) -> bool:
        return self.is_plain and self.lab[0] > 95 and self.chroma < 3

    @property
    def chroma(self) -> float:
        return math.hypot(self.lab[1], self.lab[2])


def background(pixels: Tensor) -> Background:
    """Of a picture (1, 3, H, W) in [0, 1]."""
    small = shrunk(pixels)
    found = product_mask(small)
    outside = (found.mask < 0.05)[0, 0]
    colours = small[0, :, outside] if outside.any() else small[0].flatten(1)
    rgb = colours.median(1).values
    lab = to_lab(rgb.view(1, 3, 1, 1)).flatten()
    inside, (lightness, a, b) = found.mask[0, 0] > 0.95, to_lab(small)[0]
    white = inside & (lightness > lab[0] + 4) & (torch.hypot(a, b) < _WHITE_MOST) & (small[0].amax(0) < 252 / 255)
    return Background(
        found.certainty, tuple(rgb.tolist()), tuple(lab.tolist()), float(found.mask.mean()), float(white.float().mean())
    )
