"""Recipe of `matte`: products cut from packshots are laid on other grounds, and the cut is to be found again.

Composites as in Deep Image Matting (Xu et al. 2017): a product with its soft mask over a crop of a photo, a gradient or
a flat colour, with a cast shadow, another light than the ground's, noise and JPEG. The masks are those that
engine/models/segment.py finds on the packshots' plain ground; where it is not certain, the packshot is left out.
Losses: binary cross entropy, L1 of the matte and of its gradients, and soft IoU (Rahman & Wang 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.models import segment
from engine.models.matte import Matte
from engine.train import data, degrade
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.muon import optimizers
from engine.train.packshots import recolour

CUT_PX = 192  # side of a packed cut-out
_CERTAIN = 0.6


def cut_out(picture: Image.Image) -> Image.Image:
    """A packshot as RGBA: its mask where it is found for certain, else transparent throughout."""
    picture = picture.resize((CUT_PX * 3 // 4, CUT_PX), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (CUT_PX, CUT_PX), "white")
    square.paste(picture, ((CUT_PX - picture.width) // 2, 0))
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255
    found = segment.product_mask(pixels)
    known = found.certainty > _CERTAIN and 0.03 < float(found.mask.mean()) < 0.8
    # A rim of the old white would give every product away: the mask is drawn in by a pixel, and white is taken out of what is left.
    matte = -F.max_pool2d(-found.mask, 3, 1, 1) * known
    colour = (1 - (1 - pixels) / found.mask.clamp(min=0.3)).clamp(0, 1)
    rgba = torch.cat([torch.where(matte > 0, colour, pixels), matte], 1)
    return Image.fromarray((rgba[0] * 255).round().byte().permute(1, 2, 0).numpy())


def read_cut_outs(sources: Sequence[Path], cache: Path, *, held_out: bool = False) -> Tensor:
    """Cut-outs uint8 (N, 4, S, S), to train or held out; kept in `cache`."""
    file = cache / f"cut-outs_{CUT_PX}-{'held-out' if held_out else 'train'}.u8"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        rows = []
        for source in sources:
            for name, picture in data.read_pictures(source):
                if data.is_held_out(name) == held_out:
                    rgba = np.asarray(cut_out(picture))
                    if rgba[..., 3].any():
                        rows.append(rgba.transpose(2, 0, 1))
        np.stack(rows).tofile(file)
    return torch.from_numpy(np.fromfile(file, np.uint8).reshape(-1, 4, CUT_PX, CUT_PX))


class MatteRecipe(Recipe):
    """cut_outs: uint8 (N, 4, S, S); photos: what they are laid on."""

    name = "matte"

    def __init__(
        self, cut_outs: Tensor, photos: data.Pictures, *, steps: int, batch: int = 12, size_px: int = 160, peak: float = 1.5e-3, seed: int = 0
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.size_px, self.peak, self.seed = steps, batch, size_px, peak, seed
        self.cut_outs, self.photos = cut_outs, photos
        self.grounds, self.held_out = photos.split(size_px)
        self.network = Matte().to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "average": self.average.module}
        self.optimizers = optimizers(self.network, peak)

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, hold=0.7)
        x, matte = composites(self.cut_outs, self.photos, self.grounds, self.batch, self.size_px, self.rng(step))
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        found = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, matte)
        edges = torch.stack([(found.diff(dim=d) - matte.diff(dim=d)).abs().mean() for d in (2, 3)]).sum()
        iou = overlap(found, matte)
        loss = entropy + F.l1_loss(found, matte) + 2 * edges + (1 - iou).mean()
        descend(loss, *self.optimizers.values(), most_norm=1.0)
        self.average.update(self.network, step)
        return {"entropy": float(entropy.detach()), "edges": float(edges.detach()), "iou": float(iou.detach().mean())}

    def sample(self) -> Tensor:
        """Composites on held-out grounds, the mattes found, and the true ones."""
        x, matte = composites(self.cut_outs, self.photos, self.held_out, 16, self.size_px, np.random.default_rng(0))
        with torch.no_grad():
            found = torch.sigmoid(self.average.module(x))
        rows = zip(x.split(8), found.split(8), matte.split(8), strict=True)
        return torch.cat([p.expand(-1, 3, -1, -1) for row in rows for p in row])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Soft intersection over union of mattes (N, 1, H, W): (N,)."""
    both = torch.minimum(a, b).sum((1, 2, 3))
    return (both + 1e-3) / (torch.maximum(a, b).sum((1, 2, 3)) + 1e-3)


def composites(cut_outs: Tensor, photos: Sequence[Tensor], grounds: Sequence[int], count: int, size_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Products on other grounds (N, 3, S, S) and their mattes (N, 1, S, S)."""
    pictures, mattes = [], []
    for _ in range(count):
        ground = _ground(photos, grounds, size_px, rng)
        product, matte = _placed(cut_outs[int(rng.integers(len(cut_outs)))], size_px, rng)
        if rng.uniform() < 0.6:
            ground = ground * (1 - _shadow(matte, rng))
        picture = torch.lerp(ground, product, matte)
        if rng.uniform() < 0.5:
            picture = degrade.gaussian_noise(picture, float(rng.uniform(0, 8)), rng)
        picture = picture.clamp(0, 1)
        if rng.uniform() < 0.4:
            picture = degrade.jpeg(picture[0], int(rng.integers(55, 96)))[None]
        pictures.append(picture)
        mattes.append(matte)
    return torch.cat(pictures), torch.cat(mattes)


def _ground(photos: Sequence[Tensor], grounds: Sequence[int], size_px: int, rng: np.random.Generator) -> Tensor:
    """A crop of a photo, often out of focus; a soft gradient; or a plain colour: (1, 3, S, S)."""
    kind = rng.uniform()
    if kind < 0.55:
        crop = data.random_crops(photos, grounds, 1, size_px, rng)
        if rng.uniform() < 0.5:
            small = max(6, round(size_px / rng.uniform(2, 14)))
            crop = F.interpolate(F.interpolate(crop, (small, small), mode="area"), (size_px, size_px), mode="bicubic")
        return crop.clamp(0, 1)
    corners = torch.from_numpy(rng.uniform(0, 1, (1, 3, 1, 1)) + rng.normal(0, 0.12 if kind < 0.85 else 0.01, (1, 3, 2, 2))).float()
    if rng.uniform() < 0.4:  # mostly greys and whites, as of a table or a wall
        corners = corners.mean(1, keepdim=True) + 0.1 * (corners - corners.mean(1, keepdim=True))
        corners = 1 - (1 - corners) * float(rng.uniform(0.1, 1))
    return F.interpolate(corners, (size_px, size_px), mode="bilinear", align_corners=True).clamp(0, 1)


def _placed(cut_out: Tensor, size_px: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A product turned, scaled, moved and in another light and hue: (1, 3, S, S) and its matte (1, 1, S, S)."""
    x = cut_out[None].float() / 255
    angle, size = rng.normal(0, 0.25), rng.uniform(0.7, 1.25)
    flip = -1.0 if rng.uniform() < 0.5 else 1.0
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    shift = rng.uniform(-0.25, 0.25, 2)
    affine = torch.tensor([[[flip * cos, -sin, shift[0]], [flip * sin, cos, shift[1]]]], dtype=torch.float32)
    where = F.affine_grid(affine, [1, 4, size_px, size_px], align_corners=False)
    placed = F.grid_sample(x, where, padding_mode="zeros", align_corners=False)
    colour, matte = placed[:, :3], placed[:, 3:]
    colour = recolour(colour, rng, chance=0.3)
    gains = torch.from_numpy(rng.normal(0, 0.06, (1, 3, 1, 1))).float() + float(rng.uniform(0.65, 1.1))
    return (colour * gains).clamp(0, 1).pow(float(rng.uniform(0.8, 1.25))), matte


def _shadow(matte: Tensor, rng: np.random.Generator) -> Tensor:
    """A soft shadow of the product, (1, 1, S, S): how much light it takes."""
    size = matte.shape[-1]
    small = F.interpolate(matte, (max(4, round(size / rng.uniform(4, 24))),) * 2, mode="area")
    soft = F.interpolate(small, (size, size), mode="bilinear")
    dy, dx = int(rng.integers(0, size // 10)), int(rng.integers(-size // 10, size // 10))
    return F.pad(soft, (size, size, size, size))[:, :, size - dy : 2 * size - dy, size - dx : 2 * size - dx] * float(rng.uniform(0.1, 0.6))
