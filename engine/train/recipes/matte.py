"""Recipe of `matte`: products cut from packshots are laid on other backgrounds, and the cut is to be found again.

Composites as in Deep Image Matting (Xu et al. 2017): a product with its soft mask over a crop of a photo, a gradient or
a flat colour, with a cast shadow, another light than the background's, noise and JPEG. The masks are those that
engine/models/segment.py finds on the packshots' plain background; where it is not certain, the packshot is left out. It
is certain of many photos as well, of clothes on a floor and things on a table: those lend products to the composites,
and every third picture is such a photo itself with the mask that was found (a pseudo-label, Lee 2013), so that the
network learns the easy real ones and carries that over to those on which the rule gives up. Losses: binary cross
entropy, L1 of the matte and of its gradients, and soft IoU (Rahman & Wang 2016).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.contract.errors import RequestError
from engine.models import filters, segment
from engine.models.matte import Matte, from_state_dict
from engine.train import data, degrade, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import DECAY, optimizers
from engine.train.options import Options, RecipePreset, option
from engine.train.packshots import recolour
from engine.train.revive import SLOPE, revive
from engine.weights.int8 import FEW_MOST, pack

CUT_PX = 192  # side of a packed cut-out
_SHOWN = 4  # batches that show what a network has lost
_CERTAIN = 0.6
_MOST_ON_EDGE = (
    0.4  # share of a photo's edge that its product may take: a carton seen from near is not recognised by its print
)
_LEAST_WHOLE = 0.85  # share of its mask that is one piece
USUAL, ANY_SIZE = (0.7, 1.25), (0.5, 1.7)  # sizes of products in composites, as multiples of those in the cut-outs


def cut_out(picture: Image.Image) -> Image.Image:
    """A packshot as RGBA: its mask where it is found for certain, else transparent throughout."""
    picture = picture.resize((CUT_PX * 3 // 4, CUT_PX), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (CUT_PX, CUT_PX), "white")
    square.paste(picture, ((CUT_PX - picture.width) // 2, 0))
    pixels = _tensor(square)
    found = segment.product_mask(pixels)
    known = found.certainty > _CERTAIN and 0.03 < float(found.mask.mean()) < 0.8
    # A rim of the old white would show the network every product: the mask is drawn in by a pixel, and white is taken
    # out of what is left.
    matte = _drawn_in(found.mask) * known
    colour = (1 - (1 - pixels) / found.mask.clamp(min=0.3)).clamp(0, 1)
    return _rgba(torch.where(matte > 0, colour, pixels), matte)


def seen_photo(picture: Image.Image) -> Image.Image:
    """A photo as RGBA, stretched to a square, opaque where its product is: one large piece on a background of one
    colour, found for certain.

    Else transparent throughout. Colours are the photo's own on both sides.
    """
    pixels = _tensor(picture.resize((CUT_PX, CUT_PX), Image.Resampling.LANCZOS))
    found = segment.product_mask(pixels)
    piece = largest_piece(found.mask[0, 0] > 0.5)
    edge = torch.cat([piece[0], piece[-1], piece[:, 0], piece[:, -1]]).float().mean()
    whole = float(piece.sum()) > _LEAST_WHOLE * float((found.mask > 0.5).sum())
    known = found.certainty > _CERTAIN and whole and 0.08 < float(piece.float().mean()) < 0.8 and edge < _MOST_ON_EDGE
    return _rgba(pixels, _drawn_in(found.mask * filters.dilated(piece, 2)) * known)


def largest_piece(mask: Tensor) -> Tensor:
    """The largest 4-connected piece of a mask, bool (h, w); all False where that is."""
    names = segment.components(mask)
    sizes = torch.bincount(names)
    sizes[0] = 0
    return ((names == sizes.argmax()) & mask.flatten()).view_as(mask)


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _rgba(pixels: Tensor, matte: Tensor) -> Image.Image:
    return Image.fromarray((torch.cat([pixels, matte], 1)[0] * 255).round().byte().permute(1, 2, 0).numpy())


def _drawn_in(mask: Tensor) -> Tensor:
    """Without its outermost pixel."""
    return filters.minimum(mask)


class CutOuts(NamedTuple):
    """What was cut out of some pictures."""

    pixels: Tensor  # uint8 (N, 4, S, S)
    names: list[str]  # of the pictures


def read_cut_outs(
    sources: Sequence[Path],
    cache: Path,
    *,
    held_out: bool = False,
    cut: Callable[[Image.Image], Image.Image] = cut_out,
    kind: str = "cut-outs",
) -> CutOuts:
    """Every picture to train or held out that `cut` can cut out; kept in `cache` under `kind`."""
    file = cache / f"{kind}_{CUT_PX}-{'held-out' if held_out else 'train'}-{data.digest(sources)}.u8"
    if not file.with_suffix(".json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        rows, names = [], []
        for source in sources:
            for name, picture in data.read_pictures(source):
                if data.is_held_out(name) == held_out:
                    rgba = np.asarray(cut(picture))
                    if rgba[..., 3].any():
                        rows.append(rgba.transpose(2, 0, 1))
                        names.append(name)
        np.array(rows, np.uint8).tofile(file)
        file.with_suffix(".json").write_text(json.dumps(names))
    pixels = torch.from_numpy(np.fromfile(file, np.uint8).reshape(-1, 4, CUT_PX, CUT_PX))
    return CutOuts(pixels, json.loads(file.with_suffix(".json").read_text()))


class MatteRecipe(Recipe):
    """cut_outs: of packshots by `cut_out`; seen: of photos by `seen_photo`, may be none; photos: what products are laid
    on.

    start: a network to go on from, which is changed; what it has lost begins anew.
    """

    name = "matte"

    def __init__(
        self,
        cut_outs: CutOuts,
        seen: CutOuts,
        photos: data.Pictures,
        *,
        steps: int,
        batch: int = 12,
        size_px: int = 160,
        peak: float = 1.5e-3,
        start: Matte | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.size_px, self.peak, self.seed = steps, batch, size_px, peak, seed
        self.cut_outs, self.seen, self.photos = cut_outs.pixels, seen.pixels, photos
        self.seen_count = batch // 3 if len(self.seen) else 0
        self.backgrounds, self.held_out = photos.split(size_px)
        # A photo with a product in its middle is background in its corners only, or products would be learned as
        # background.
        known = set(seen.names)
        self.whole_backgrounds = [i for i in self.backgrounds if photos.names[i] not in known] or self.backgrounds
        if start is not None:
            rng = np.random.default_rng(seed)
            revive(start, torch.cat([self._batch(rng)[0] for _ in range(_SHOWN)]))
        self.network = (start or Matte(slope=SLOPE)).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak, DECAY)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.7)
        x, matte = self._batch(self.rng(step))
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        found = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, matte)
        edges = torch.stack([(found.diff(dim=d) - matte.diff(dim=d)).abs().mean() for d in (2, 3)]).sum()
        iou = overlap(found, matte)
        loss = entropy + F.l1_loss(found, matte) + 2 * edges + (1 - iou).mean()
        descend(loss, *self.optimizers.values(), most_norm=1.0)
        self.average.update(self.network, step)
        return {"entropy": float(entropy.detach()), "edges": float(edges.detach()), "iou": float(iou.detach().mean())}

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        cut_outs = self.seen if self.seen_count and rng.uniform() < 0.3 else self.cut_outs
        made = composites(
            cut_outs,
            self.photos,
            self.whole_backgrounds,
            self.batch - self.seen_count,
            self.size_px,
            rng,
            sizes=ANY_SIZE,
            corners=self.backgrounds,
        )
        if not self.seen_count:
            return made
        own = [
            _photographed(self.seen[int(rng.integers(len(self.seen)))], self.size_px, rng)
            for _ in range(self.seen_count)
        ]
        x, matte = (torch.cat([a, *(pair[i] for pair in own)]) for i, a in enumerate(made))
        return x, matte

    def sample(self) -> Tensor:
        """Composites on held-out backgrounds, the mattes found, and the true ones."""
        x, matte = composites(self.cut_outs, self.photos, self.held_out, 16, self.size_px, np.random.default_rng(0))
        with torch.no_grad():
            found = torch.sigmoid(self.average.module(x))
        rows = zip(x.split(8), found.split(8), matte.split(8), strict=True)
        return torch.cat([p.expand(-1, 3, -1, -1) for row in rows for p in row])

    def export(self) -> dict[str, Tensor]:
        return pack(self.average.module.state_dict(), few=FEW_MOST)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Soft intersection over union of mattes (N, 1, H, W): (N,)."""
    both = torch.minimum(a, b).sum((1, 2, 3))
    return (both + 1e-3) / (torch.maximum(a, b).sum((1, 2, 3)) + 1e-3)


def composites(
    cut_outs: Tensor,
    photos: Sequence[Tensor],
    backgrounds: Sequence[int],
    count: int,
    size_px: int,
    rng: np.random.Generator,
    *,
    sizes: tuple[float, float] = USUAL,
    corners: Sequence[int] = (),
) -> tuple[Tensor, Tensor]:
    """Products on other backgrounds (N, 3, S, S) and their mattes (N, 1, S, S).

    backgrounds: which of `photos` are shown whole; corners: those whose corners make backgrounds as well, a fifth of
    all.
    """
    pictures, mattes = [], []
    for _ in range(count):
        corner = bool(corners) and rng.uniform() < 0.2
        background = (
            corner_of(photos[corners[int(rng.integers(len(corners)))]], size_px, rng)
            if corner
            else _background(photos, backgrounds, size_px, rng)
        )
        product, matte = placed(cut_outs[int(rng.integers(len(cut_outs)))], size_px, rng, sizes)
        if rng.uniform() < 0.6:
            background = background * (1 - shadow_of(matte, rng))
        pictures.append(as_taken(torch.lerp(background, product, matte), rng))
        mattes.append(matte)
    return torch.cat(pictures), torch.cat(mattes)


def as_taken(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """With a camera's noise and a JPEG's blocks, at times."""
    if rng.uniform() < 0.5:
        picture = degrade.gaussian_noise(picture, float(rng.uniform(0, 8)), rng)
    picture = picture.clamp(0, 1)
    return degrade.jpeg(picture[0], int(rng.integers(55, 96)))[None] if rng.uniform() < 0.4 else picture


def _background(photos: Sequence[Tensor], backgrounds: Sequence[int], size_px: int, rng: np.random.Generator) -> Tensor:
    """A crop of a photo, often out of focus; a soft gradient; or a plain colour: (1, 3, S, S)."""
    kind = rng.uniform()
    if kind < 0.55:
        return defocused(data.random_crops(photos, backgrounds, 1, size_px, rng), rng)
    return plain(kind < 0.85, size_px, rng)


def defocused(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """Out of focus every other time."""
    size_px = crop.shape[-1]
    if rng.uniform() < 0.5:
        small = max(6, round(size_px / rng.uniform(2, 14)))
        crop = F.interpolate(F.interpolate(crop, (small, small), mode="area"), (size_px, size_px), mode="bicubic")
    return crop.clamp(0, 1)


def plain(gradient: bool, size_px: int, rng: np.random.Generator) -> Tensor:
    """A soft gradient, or nearly one colour: (1, 3, S, S)."""
    corners = torch.from_numpy(
        rng.uniform(0, 1, (1, 3, 1, 1)) + rng.normal(0, 0.12 if gradient else 0.01, (1, 3, 2, 2))
    ).float()
    if rng.uniform() < 0.4:  # mostly greys and whites, as of a table or a wall
        corners = corners.mean(1, keepdim=True) + 0.1 * (corners - corners.mean(1, keepdim=True))
        corners = 1 - (1 - corners) * float(rng.uniform(0.1, 1))
    return F.interpolate(corners, (size_px, size_px), mode="bilinear", align_corners=True).clamp(0, 1)


def corner_of(photo: Tensor, size_px: int, rng: np.random.Generator) -> Tensor:
    """The floor, bed or wall that most photos show in their corners, with its seams and folds, mirrored on all sides:
    (1, 3, S, S).
    """
    _, height, width = photo.shape
    side = max(2, round(float(rng.uniform(0.15, 0.3)) * min(height, width)))
    part = photo[:, -side:] if rng.uniform() < 0.5 else photo[:, :side]
    part = part[:, :, -side:] if rng.uniform() < 0.5 else part[:, :, :side]
    tile = torch.cat([part, part.flip(1)], 1)
    tile = torch.cat([tile, tile.flip(2)], 2)[None].float() / 255
    shown_px = size_px * float(rng.uniform(0.5, 1.0))  # of the tile, which repeats
    repeats = -(-size_px // max(1, round(shown_px)))
    tile = F.interpolate(tile, (max(1, round(shown_px)),) * 2, mode="bilinear", antialias=True)
    return tile.repeat(1, 1, repeats, repeats)[:, :, :size_px, :size_px].clamp(0, 1)


def placed(
    cut_out: Tensor, size_px: int, rng: np.random.Generator, sizes: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """A product turned, scaled, moved and in another light and hue: (1, 3, S, S) and its matte (1, 1, S, S)."""
    moved = _moved(cut_out, size_px, rng, turn=0.25, sizes=sizes, shift=0.25, padding="zeros")
    return lit(moved[:, :3], rng), moved[:, 3:]


def _photographed(seen: Tensor, size_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A photo (4, S, S) whose product is known, turned and cropped a little, in another light: (1, 3, S, S) and its
    matte (1, 1, S, S).
    """
    moved = _moved(seen, size_px, rng, turn=0.15, sizes=(0.85, 1.35), shift=0.15, padding="reflection")
    return as_taken(lit(moved[:, :3], rng), rng), moved[:, 3:]


def _moved(
    rgba: Tensor,
    size_px: int,
    rng: np.random.Generator,
    *,
    turn: float,
    sizes: tuple[float, float],
    shift: float,
    padding: str,
) -> Tensor:
    """uint8 (4, S, S) as (1, 4, size, size) in [0, 1], flipped by chance, turned by about `turn` radians, scaled and
    moved.
    """
    angle, size = rng.normal(0, turn), rng.uniform(*sizes)
    flip = -1.0 if rng.uniform() < 0.5 else 1.0
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    dx, dy = rng.uniform(-shift, shift, 2)
    affine = torch.tensor([[[flip * cos, -sin, dx], [flip * sin, cos, dy]]], dtype=torch.float32)
    where = F.affine_grid(affine, [1, 4, size_px, size_px], align_corners=False)
    return F.grid_sample(rgba[None].float() / 255, where, padding_mode=padding, align_corners=False)


def lit(colour: Tensor, rng: np.random.Generator) -> Tensor:
    """In another hue by chance, another light and contrast."""
    colour = recolour(colour, rng, chance=0.3)
    gains = torch.from_numpy(rng.normal(0, 0.06, (1, 3, 1, 1))).float() + float(rng.uniform(0.65, 1.1))
    return (colour * gains).clamp(0, 1).pow(float(rng.uniform(0.8, 1.25)))


def shadow_of(matte: Tensor, rng: np.random.Generator) -> Tensor:
    """A soft shadow of the product, (1, 1, S, S): how much light it takes."""
    size = matte.shape[-1]
    small = F.interpolate(matte, (max(4, round(size / rng.uniform(4, 24))),) * 2, mode="area")
    soft = F.interpolate(small, (size, size), mode="bilinear")
    dy, dx = int(rng.integers(0, size // 10)), int(rng.integers(-size // 10, size // 10))
    return F.pad(soft, (size, size, size, size))[:, :, size - dy : 2 * size - dy, size - dx : 2 * size - dx] * float(
        rng.uniform(0.1, 0.6)
    )


@dataclass(frozen=True)
class MatteOptions(Options):
    """The options of the recipe."""

    packshots: Path | None = option(None, "folder or tar of products on white", source=True)
    start: Path | None = option(None, "weights to go on from; what they have lost begins anew", source=True)
    batch: int = option(12, "composites in a step")
    size_px: int = option(160, "side of a composite")
    peak: float = option(1.5e-3, "highest learning rate")


def build(options: MatteOptions) -> MatteRecipe:
    """The recipe; RequestError without packshots."""
    if options.packshots is None:
        raise RequestError(
            "The recipe of matte cuts products out of packshots: give a folder or tar of them with --packshots."
        )
    seen = read_cut_outs(options.data, options.packed, cut=seen_photo, kind="seen")
    start = from_state_dict(sources.as_floats(options.start)) if options.start else None
    cut_outs = read_cut_outs([options.packshots], options.packed)
    return MatteRecipe(cut_outs, seen, sources.photos(options), start=start, **options.hyperparameters())


PRESETS = {
    "default": RecipePreset(
        MatteOptions(steps=11000),
        build,
        "mean IoU 0.91 on composites and 0.90 on photos, with 8,500 more by --start",
    )
}
