"""The product on any background, with soft edges: a matte.

A U-Net (Ronneberger et al. 2015) on a small copy, whose deepest level is also given the mean and the maxima of the
whole picture (squeeze and excitation, Hu et al. 2018): what the product is, is not a local question. Then colours are
compared, as in GrabCut (Rother et al. 2004): a plain sleeve that the network left out has the colour of the shirt that
it found. Where we leave the paper: colours are counted in smooth histograms instead of fitted by mixtures, and
neighbours are made to agree by a guided filter (engine/models/guided.py) instead of a graph cut. The full-size matte
follows from the small one by a guided filter as well (engine/models/segment.py), so the cost hardly depends on the
photo's size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import guided
from engine.models.filters import box, dilated, eroded
from engine.models.segment import components, flooded, shrunk
from engine.models.unet import chain, leak_as

WORK_PX = 192  # longer side of the small copy; about what the recipe shows it
MULTIPLE_PX = 32
MIDDLE_GREY = 0.46  # in sRGB: what reflects 18 % of the light, for which cameras expose
_BRIGHTEST = 0.95  # of a background that is exposed for: brighter ones would be pulled down with all their noise
# Logarithms of odds. That something stands out from an even background says little, as shadows and seams do, too; that
# it has just the background's colour says much, as of products only glass and chance matches have it.
_STANDS_OUT, _MATCHES = 1.0, 4.0
_CLEARLY = 0.9  # of a look: every product reaches it somewhere, dirt beside it does not
_BINS = 10  # of a histogram, along each of red, green and blue
_ROUNDS = 3
_COLOUR_WEIGHT = 1.0
_ODDS_MOST = 4.0  # of a colour, as a logarithm

Smooth = Callable[[Tensor, Tensor], Tensor]  # of a copy (1, 3, h, w) and a mask of it (1, 1, h, w) in [0, 1], the mask


class Matte(nn.Module):
    """(N, 3, H, W) in [0, 1] -> logits of the matte (N, 1, H, W).

    H and W are multiples of 32. slope: as of `Residual`.
    """

    def __init__(
        self, widths: tuple[int, ...] = (32, 56, 88, 128), blocks: int = 1, deepest: int = 3, slope: float = 0.0
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(48, widths[0], 3, padding=1)
        self.down = nn.ModuleList(chain(w, blocks, slope) for w in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(i, o, 2, stride=2) for i, o in itertools.pairwise(widths))
        self.deep = chain(widths[-1], deepest, slope)
        self.whole = nn.Linear(2 * widths[-1], widths[-1])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(o, i, 2, stride=2) for i, o in itertools.pairwise(widths))
        self.up = nn.ModuleList(chain(w, blocks, slope) for w in widths[:-1])
        self.tail = nn.Conv2d(widths[0], 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(F.pixel_unshuffle(2 * x - 1, 4))
        skips = []
        for down, shrink in zip(self.down, self.shrink, strict=True):
            y = down(y)
            skips.append(y)
            y = shrink(y)
        pooled = torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1)
        y = self.deep(y * torch.sigmoid(self.whole(pooled))[:, :, None, None] * 2)
        for up, grow, skip in zip(reversed(self.up), reversed(self.grow), reversed(skips), strict=True):
            y = up(grow(y) + skip)
        return F.pixel_shuffle(self.tail(y), 4)


def product_on(network: nn.Module, apply: Callable[..., Tensor], pixels: Tensor) -> tuple[Tensor, Tensor]:
    """A copy (1, 3, h, w) of a photo (1, 3, H, W) in [0, 1], and the matte (1, 1, h, w) of network and colours on it.

    network: gives logits as `Matte` does. apply: calls a function of it with inputs that are on the CPU.
    """
    small = shrunk(pixels, WORK_PX)
    return small, agreed(small, apply(partial(matte_of, network), small))


@torch.no_grad()
def small_matte(network: Matte, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The small copy (1, 3, h, w) of a photo (1, 3, H, W) in [0, 1], of any shape, and its matte (1, 1, h, w) in [0,
    1].
    """
    small = shrunk(pixels, WORK_PX)
    return small, agreed(small, matte_of(network, small))


@torch.no_grad()
def matte_of(network: nn.Module, small: Tensor) -> Tensor:
    """The matte (1, 1, h, w) in [0, 1] of a small copy (1, 3, h, w), of any shape."""
    height, width = small.shape[-2:]
    padding = (0, -width % MULTIPLE_PX, 0, -height % MULTIPLE_PX)
    padded = F.pad(small, padding, mode="replicate").contiguous(memory_format=torch.channels_last)
    return torch.sigmoid(network(padded))[:, :, :height, :width]


@torch.no_grad()
def agreed(small: Tensor, matte: Tensor, smooth: Smooth = guided.filtered) -> Tensor:
    """A matte (1, 1, h, w) in [0, 1] of (1, 3, h, w), corrected by the colours of both sides; as it is where there is
    one side only.

    smooth: makes neighbours agree.
    """
    if not 0.01 < float(matte.mean()) < 0.99:
        return matte
    return _with_colours(small, _mean_odds(matte, 0.02), matte, smooth)


@torch.no_grad()
def exposed(small: Tensor, background: Tensor) -> Tensor:
    """The copy (1, 3, h, w) as a camera would have taken it whose exposure and white balance were set on the
    background, bool (1, 1, h, w).

    A curve per channel brings the background to a middle grey: what is nearly as bright as a pale background then
    stands out from it, and is brighter than it, as before the backgrounds that the network was trained on. A background
    that is darker stays as it is.
    """
    levels = torch.stack([channel[background[0, 0]].median() for channel in small[0]]).clamp(MIDDLE_GREY, _BRIGHTEST)
    return small.clamp(0, 1) ** (math.log(MIDDLE_GREY) / levels.log()).view(1, 3, 1, 1)


@torch.no_grad()
def reconciled(dark: Tensor, plain: Tensor, looks: tuple[Tensor, Tensor]) -> Tensor:
    """The matte (1, 1, h, w) in [0, 1] of a product on an even background, from two estimates whose errors differ.

    plain: what stands out from the background's colour, (1, 1, h, w) in [0, 1]. It takes shadows, seams and dirt along,
    but hardly ever loses a part. looks: what the network sees on the copy as it is and on `dark`, the `exposed` one.
    What stands out need only be seen on one of them; what has the background's colour has to be seen on both, and
    clearly.
    """
    odds = [_mean_odds(look, 0.002) for look in looks]
    prior = torch.lerp(torch.minimum(*odds) - _MATCHES, torch.maximum(*odds) + _STANDS_OUT, plain)
    now = _with_colours(dark, prior, torch.sigmoid(prior), guided.by_brightness)
    now = now * _body(now[0, 0] > 0.5, torch.maximum(*looks)[0, 0])
    return torch.maximum(now, _enclosed(now > 0.5, plain > 0.5).float())


def _enclosed(mask: Tensor, plain: Tensor) -> Tensor:
    """What of `plain` is not in a mask, both bool (1, 1, h, w), but cannot be reached from the background around it: a
    pale middle of the product.
    """
    outside = ~mask[0, 0]
    return (outside & ~flooded(~plain[0, 0], outside))[None, None]


def _body(mask: Tensor, look: Tensor) -> Tensor:
    """A mask, bool (h, w), and its rim, without seams, which are thin and low in the network's look (h, w), and without
    parts that the look is not high in anywhere, such as dirt.
    """
    mask = mask & (dilated(eroded(mask, 1), 1) | (look > 0.5))
    names = components(mask)
    holds = torch.zeros(int(names.max()) + 1, dtype=torch.bool)
    holds[names[(look > _CLEARLY).flatten()]] = True
    holds[0] = False
    return dilated(holds[names].view_as(mask), 1)[None, None]


def _mean_odds(matte: Tensor, least: float) -> Tensor:
    """Log odds of a matte that is clamped to [least, 1 - least], as means of neighbours."""
    return box(torch.logit(matte.clamp(least, 1 - least)), 3, "nothing")


def _with_colours(small: Tensor, prior: Tensor, now: Tensor, smooth: Smooth) -> Tensor:
    """The matte (1, 1, h, w) of (1, 3, h, w) by prior odds, as logarithms, and by how frequent each pixel's colour is
    on either side of the matte as it is `now`.
    """
    cells, shares = _bins(small)
    for _ in range(_ROUNDS):
        odds = _colour_odds(cells, shares, now).clamp(-_ODDS_MOST, _ODDS_MOST)
        now = smooth(small, torch.sigmoid(prior + _COLOUR_WEIGHT * odds))
    return now


def _bins(small: Tensor) -> tuple[Tensor, Tensor]:
    """The eight cells of a histogram around each pixel's colour, and how much of the pixel each is given: (8, h w)
    both.
    """
    place = small[0].clamp(0, 1).flatten(1).T * (_BINS - 1)
    low = place.floor().long().clamp(max=_BINS - 2)
    part = place - low
    corners = torch.cartesian_prod(*[torch.arange(2)] * 3)
    steps = torch.tensor([_BINS * _BINS, _BINS, 1])
    cells = torch.stack([((low + corner) * steps).sum(1) for corner in corners])
    return cells, torch.stack([torch.where(corner > 0, part, 1 - part).prod(1) for corner in corners])


def _colour_odds(cells: Tensor, shares: Tensor, matte: Tensor) -> Tensor:
    """log of how much more frequent each pixel's colour is in the product than around it, (1, 1, h, w)."""
    window = torch.tensor([0.25, 0.5, 0.25])
    window = (window[:, None, None] * window[None, :, None] * window)[None, None]
    sides = []
    for side in (matte.flatten(), 1 - matte.flatten()):
        counts = torch.bincount(cells.flatten(), (shares * side).flatten(), minlength=_BINS**3)
        smooth = F.conv3d(
            F.pad(counts.view(1, 1, _BINS, _BINS, _BINS).float(), (1,) * 6, mode="replicate"), window
        ).flatten()
        sides.append(smooth / smooth.sum() + 2e-5)
    odds = (sides[0] / sides[1]).log()
    return (odds[cells] * shares).sum(0).view_as(matte)


def from_state_dict(state: dict[str, Tensor]) -> Matte:
    """The network whose weights these are; widths and depths are read from the keys and shapes. Strict."""
    levels = sum(key.startswith("shrink.") and key.endswith(".weight") for key in state)
    widths = (state["head.weight"].shape[0], *(state[f"shrink.{i}.weight"].shape[0] for i in range(levels)))
    count = {
        name: sum(key.startswith(f"{name}.") and key.endswith("first.weight") for key in state)
        for name in ("down.0", "deep")
    }
    network = Matte(widths, count["down.0"], count["deep"])
    leak_as(network, state)
    network.load_state_dict(state)
    return network
