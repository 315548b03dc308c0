"""Colour variants of one product: its main colour becomes another; shading, other colours and background stay.

Everything happens in OKLab (Ottosson 2020, engine.models.colour.oklab). There light that is k times as strong makes
all three numbers k^(1/3) times as large, so shading is a factor; and a highlight, like the edge of a white print, lies
between the product's colour and white (the dichromatic model of Shafer, Using Color to Separate Reflection Components,
1985). So a pixel is taken apart as

    pixel = dye x source + light x white + rest

and the source in it is replaced by the target. The amount of dye is read from the pixel's chroma where the source has
enough of it for that, and from its lightness where it has not: black, white, grey, and dark colours made light.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.colour import strips
from engine.models.srgb import from_oklab, oklab

_THINNED_PX = 256  # the longer side of what is measured, at most
_LIGHTNESS_WEIGHT = 0.4  # against chroma when colours are told apart: light and shadow are one colour
_DARKEST = 0.25  # lightness that is added before chroma is divided by it: the hue of a black is noise
_SAME = 0.06  # colours nearer than this are one
_LEAST_SHARE = 0.01  # of a main colour
_ROUNDS = 12  # of k-means
_HUES = (0.3, 0.65)  # radians from the source's hue: full membership, none
_CHROMA_NOISE = 0.008  # chroma across the source's hue that says nothing
_NEUTRAL = (0.03, 0.07)  # chroma away from a grey source: full membership, none
_PALE = (0.15, 0.5)  # saturation against the source's: its lightness says nothing, says all
_NEARLY_BLACK = 1e-3  # lightness that is added before it is divided by
# Lightness of a black and of a white product in a photo; only a flat picture becomes more so.
_BLACK, _WHITE = 0.22, 0.9


def main_colours(pixels: Tensor, mask: Tensor, count: int = 3, seed: int = 0) -> list[tuple[Tensor, float]]:
    """The most frequent colours of `pixels` (1, 3, H, W) in [0, 1] where `mask` (1, 1, H, W) is above 0.5.

    At most `count` pairs of a colour, sRGB (3,), and its share of the mask in (0, 1], the largest first; none if the
    mask is empty. Light and shadow of one dye count as one colour. k-means (Lloyd, started by k-means++) of more
    clusters than asked for, which are then joined as Ward does. seed: of the start.
    """
    lab = _inside(pixels, mask)
    if not len(lab):
        return []
    features = torch.cat([_LIGHTNESS_WEIGHT * lab[:, :1], lab[:, 1:] / (lab[:, :1] + _DARKEST)], 1)
    members = _clusters(features, 2 * count + 4, torch.Generator().manual_seed(seed))
    members = _joined(features, members, count)
    found = []
    for k in members.unique().tolist():
        own = lab[members == k]
        colour = from_oklab(own.median(0)[0].view(1, 3, 1, 1)).flatten()
        found.append((colour, len(own) / len(lab)))
    found.sort(key=lambda pair: -pair[1])
    return [pair for pair in found if pair[1] >= _LEAST_SHARE]


def _inside(pixels: Tensor, mask: Tensor) -> Tensor:
    """The OKLab colours (P, 3) of some of the pixels inside a mask, on the CPU."""
    down, across = (-(-side // _THINNED_PX) for side in pixels.shape[2:])
    some, inside = (t[:, :, ::down, ::across].cpu().float() for t in (pixels, mask))
    return oklab(some).movedim(1, -1)[inside[:, 0] > 0.5]


def _clusters(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """For each of the points (P, C) the number of its cluster, (P,)."""
    centres = points[torch.randint(len(points), (1,), generator=generator)]
    for _ in range(count - 1):
        far = torch.cdist(points, centres).amin(1).square().double() + 1e-12
        place = torch.rand(1, generator=generator, dtype=torch.float64) * far.sum()
        centres = torch.cat([centres, points[torch.searchsorted(far.cumsum(0), place).clamp(max=len(points) - 1)]])
    for _ in range(_ROUNDS):
        members = torch.cdist(points, centres).argmin(1)
        sizes = torch.zeros(count).index_add_(0, members, torch.ones(len(points)))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, members, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return torch.cdist(points, centres).argmin(1)


def _joined(points: Tensor, members: Tensor, count: int) -> Tensor:
    """Clusters joined, those first whose joining adds the least variance, until `count` are left and all differ."""
    members = members.clone()
    while True:
        names = members.unique()
        if len(names) == 1:
            return members
        centres = torch.stack([points[members == k].mean(0) for k in names])
        sizes = torch.stack([(members == k).float().mean() for k in names])
        apart = torch.cdist(centres, centres)
        cost = apart.square() * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
        if len(names) <= count:
            cost = cost.where(apart < _SAME, torch.inf)
        cost.fill_diagonal_(torch.inf)
        if not cost.isfinite().any():
            return members
        a, b = divmod(int(cost.argmin()), len(names))
        members[members == names[b]] = names[a]


@torch.no_grad()
def recolour(pixels: Tensor, mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Pixels (1, 3, H, W) in [0, 1] whose colour `source` becomes `target`, both sRGB (3,), where `mask` (1, 1, H, W)
    in [0, 1] lets it.

    source: may be several, (K, 3), which all become the target, each with its own shading. What the mask gives 0 stays
    bit for bit. What is lighter or darker than the source stays so by as much as suits the target; a shaded product
    never becomes quite black or quite white, a flat one becomes the target itself.
    """
    *olds, new = (oklab(colour.float().cpu().view(1, 3, 1, 1)).flatten() for colour in (*source.view(-1, 3), target))
    inside = _inside(pixels, mask)
    changes = [
        _Change(_Source(old.to(pixels.device)), _within_reach(inside, old, new).to(pixels.device)) for old in olds
    ]
    out = pixels.clone()
    for strip in strips(pixels):
        share = mask[strip].float()
        if share.any():
            photo = pixels[strip].float()
            lab = oklab(photo)
            parts = [change.source.membership(lab) for change in changes]
            most = torch.stack(parts).sum(0).clamp_min(1)  # what belongs to two sources is shared out
            moved = sum(
                part * (from_oklab(change.replaced(lab)) - photo) for part, change in zip(parts, changes, strict=True)
            )
            out[strip] = (photo + share * moved / most).clamp(0, 1).to(out.dtype)
    return out


def _within_reach(lab: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """The target, less extreme by as much as the colours (P, 3) of the product are shaded around the source."""
    if not len(lab):
        return new
    members = lab[_Source(old).membership(lab.T[None, :, :, None]).flatten() > 0.5]
    if not len(members):
        return new
    dark, light = (float(members[:, 0].float().quantile(q)) for q in (0.05, 0.95))
    lowest = min(_BLACK, 2 * (light - dark))
    highest = max(_WHITE, 1 - 0.5 * max(0.0, light - float(old[0])))
    lightness = float(new[0])
    if lightness < lowest:
        lightness = min(lowest, max(lightness, float(old[0])))
    elif lightness > highest:
        lightness = max(highest, min(lightness, float(old[0])))
    return torch.cat([torch.tensor([lightness]), new[1:]])


class _Source:
    """The colour that is replaced, OKLab (3,), and how much of it a pixel has. Pixels below are OKLab (1, 3, h, w)."""

    def __init__(self, colour: Tensor) -> None:
        self.colour, self.lightness, self.chroma = colour, float(colour[0]), float(colour[1:].norm())
        self.coloured = _smoothstep(torch.tensor(self.chroma), 0.02, 0.05)  # 0 for a grey, 1 for a colour

    def membership(self, lab: Tensor) -> Tensor:
        """How much of each pixel may change, (1, 1, h, w) in [0, 1]."""
        along, across = self.along_and_across(lab)
        angle = torch.atan2((across.abs() - _CHROMA_NOISE).clamp_min(0), along)
        by_hue = 1 - _smoothstep(angle, *_HUES)
        by_grey = 1 - _smoothstep(
            (lab[:, 1:] - self.shade(lab) * _ab(self.colour)).norm(dim=1, keepdim=True), *_NEUTRAL
        )
        return self.coloured * by_hue + (1 - self.coloured) * by_grey

    def along_and_across(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """Chroma along the source's hue and across it, (1, 1, h, w)."""
        a, b = (self.colour[1:] / max(self.chroma, 1e-6)).tolist()
        return a * lab[:, 1:2] + b * lab[:, 2:], a * lab[:, 2:] - b * lab[:, 1:2]

    def shade(self, lab: Tensor) -> Tensor:
        """The amount of dye by lightness: less in the shadow, and less where it whitens to a highlight."""
        lightness = lab[:, :1]
        above = (1 - lightness) / max(1 - self.lightness, 1e-3)
        below = (lightness + _NEARLY_BLACK) / (self.lightness + _NEARLY_BLACK)
        return torch.where(lightness <= self.lightness, below, above).clamp(0, 1)


class _Change:
    """How pixels change when a source becomes the colour `new`, OKLab (3,): by the dye that their chroma shows where
    the source has enough chroma for that, and by their lightness where it has not.
    """

    def __init__(self, source: _Source, new: Tensor) -> None:
        self.source, self._new = source, new
        self._old_l, self._new_l = source.lightness, float(new[0])
        # Noise of the chroma becomes noise of the lightness by this much.
        noise = torch.tensor(source.chroma / (abs(self._new_l - self._old_l) + 0.1))
        self._by_chroma = _smoothstep(noise, 0.15, 0.4) * source.coloured

    def replaced(self, lab: Tensor) -> Tensor:
        """Each pixel with all its dye replaced."""
        source = self.source
        along, across = source.along_and_across(lab)
        dye = along.clamp_min(0) / max(source.chroma, 1e-6)
        shade = source.shade(lab)
        # Where there is next to no dye at all, lightness says nothing about it: a white print on a dark red shirt.
        pale = 1 - _smoothstep(dye * self._old_l / lab[:, :1].clamp_min(1e-3), *_PALE)
        by_chroma = self._by_chroma + (1 - self._by_chroma) * source.coloured * pale
        coloured = torch.cat([self._lightness_by_dye(lab, dye), self._hue_by_dye(along, across)], 1)
        shaded = torch.cat([self._lightness_by_shade(lab), self._hue_by_shade(lab, dye, shade)], 1)
        return by_chroma * coloured + (1 - by_chroma) * shaded

    def _lightness_by_dye(self, lab: Tensor, dye: Tensor) -> Tensor:
        lightness = lab[:, :1]
        dye = torch.minimum(dye, lightness / max(self._old_l, 1e-6))  # a shadow of strong colour is a shadow
        moved = lightness + dye * (self._new_l - self._old_l)
        if self._new_l <= self._old_l:
            return moved
        # What is lighter than the source stays below the line from the target to white, so that nothing burns out.
        line = self._new_l + (lightness - self._old_l) * (1 - self._new_l) / max(1 - self._old_l, 1e-3)
        return torch.minimum(moved, line).where(lightness > self._old_l, moved)

    def _hue_by_dye(self, along: Tensor, across: Tensor) -> Tensor:
        """The chroma turned from the source's hue to the target's, and stretched."""
        a, b = (self._new[1:] / max(self.source.chroma, 1e-6)).tolist()
        return torch.cat([a * along - b * across, b * along + a * across], 1)

    def _lightness_by_shade(self, lab: Tensor) -> Tensor:
        """A rising curve through (0, 0) or above, (source, target), and (1, 1) or below.

        In the shadow it is a factor; a product that becomes lighter is also lit by itself, so its shadows are softer.
        Above the source it begins as the same factor and ends in white, so that highlights stay highlights.
        """
        old, new, lightness = self._old_l, self._new_l, lab[:, :1]
        lit = 1e-6 + 0.4 * max(0.0, new - old)
        shadow = new * (lightness + lit) / (old + lit)
        room = max(1 - old, 1e-3)
        # In a white product made black, not each white is a highlight.
        rise = min(1 - new, 2 * room) if new < old else 1 - new
        diffuse = min(room * (new + _NEARLY_BLACK) / (old + _NEARLY_BLACK), rise)
        u = ((lightness - old) / room).clamp(0, 1)
        return torch.where(lightness <= old, shadow, new + diffuse * u + (rise - diffuse) * u.square())

    def _hue_by_shade(self, lab: Tensor, dye: Tensor, shade: Tensor) -> Tensor:
        """The chroma with the shade's worth of the target in place of the source.

        A colour that becomes quite another one goes by the dye there is, so that neither its own tint nor the opposite
        one is left; so does its spread across the hue, as far as the target is greyer.
        """
        source = self.source
        gone = source.coloured * _smoothstep((self._new - source.colour).norm(), 0.0, 0.2)
        removed = shade + gone * (dye - shade)
        rest = lab[:, 1:] - removed * _ab(source.colour)
        spread = 1 - gone * (1 - min(1.0, float(self._new[1:].norm()) / max(source.chroma, 1e-6)))
        return spread * rest + shade * _ab(self._new)


def _ab(colour: Tensor) -> Tensor:
    return colour[1:].view(1, 2, 1, 1)


def _smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    """0 up to low, 1 from high, smooth in between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
