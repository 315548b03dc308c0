"""Recipe of `faststyle`: one pass is to give what `models/gatys.py` reaches by optimisation, for any pair of pictures.

Losses, each in units of the style's or the photo's own energy:
- style: squared 2-Wasserstein distance of the activations' Gaussians on `features`, as in `gatys`;
- content: squared distance of conv4 to that of the recoloured photo, as in `gatys`;
- distillation: L1 of pixels and activations to the output of MicroAST (Wang et al. 2023), fading out over the first
  part of the run: it shows early how strokes are laid, and its halos are unlearned afterwards;
- contrast: the distance of embeddings to one's own style over those to all of the batch (after MicroAST's contrastive
  loss);
- a PatchGAN (Isola et al. 2017) between patches of artworks and ours, conditioned on the style by projection (Miyato
  and Koyama 2018), hinge loss, in the last part of the run;
- patches and structure, in its last fifth: sliced Wasserstein distance of patches to the style's (Elnekave and Weiss
  2022), which compares how colours are spread where Gaussians compare their covariance, and SSIM of luma to the photo.
Styles are artworks, and for a quarter photos, so that any picture can serve as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.contract.errors import RequestError
from engine.models import gatys, gaussian
from engine.models.change import ssim_map
from engine.models.faststyle import NOISE_CHANNELS, FastStyle, embedding
from engine.models.features import Features
from engine.models.style_loss import Style
from engine.train import data, microast, sources
from engine.train.loop import Average, Recipe, descend, learning_rate
from engine.train.microast import MicroAst
from engine.train.muon import optimizers
from engine.train.objectives import hinge
from engine.train.options import Options, RecipePreset, option

BACKBONE = gatys.BACKBONES["features"]
DEPTH = BACKBONE.depth
PATCH_SHARE = 150.0
STRUCTURE_SHARE = 1.5


class PatchCritic(nn.Module):
    """How much each patch of (N, 3, H, W) looks like the style of an embedding (N, D): (N, 1, H / 8, W / 8)."""

    def __init__(self, embedding_dim: int, width: int = 32) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(i, o, 4, stride=2, padding=1))
            for i, o in ((3, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.verdict = nn.Conv2d(4 * width, 1, 3, padding=1)
        self.claim = nn.Linear(embedding_dim, 4 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        found: Tensor = self.verdict(x) + (x * self.claim(style)[:, :, None, None]).mean(1, keepdim=True)
        return found


class FastStyleRecipe(Recipe):
    """photos: what is painted; artworks: in whose style. taught, adversarial, closer: shares of the run, as the options
    say.
    """

    name = "faststyle"

    def __init__(
        self,
        features: Features,
        teacher: MicroAst,
        photos: data.Pictures,
        artworks: data.Pictures,
        *,
        steps: int,
        batch: int = 8,
        crop_px: int = 160,
        style_px: int = 176,
        peak: float = 1.5e-3,
        taught: float = 0.35,
        adversarial: float = 0.75,
        closer: float = 0.79,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.crop_px, self.style_px, self.peak, self.seed = (
            steps,
            batch,
            crop_px,
            style_px,
            peak,
            seed,
        )
        self.taught, self.adversarial, self.closer = taught, adversarial, closer
        self.features, self.teacher, self.photos, self.artworks = (
            features.eval().requires_grad_(False),
            teacher,
            photos,
            artworks,
        )
        self.photo_indices, self.photos_held_out = photos.split(crop_px)
        self.art_indices, self.art_held_out = artworks.split(style_px)
        self.network = FastStyle()
        self._standardise(np.random.default_rng(seed))
        self.network.to(memory_format=torch.channels_last)
        self.critic = PatchCritic(len(self.network.centre)).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=300)
        self.modules = {"network": self.network, "average": self.average.module, "critic": self.critic}
        self.optimizers = optimizers(self.network, peak) | {
            "critic_adam": torch.optim.Adam(self.critic.parameters(), 4e-4, betas=(0.0, 0.99))
        }

    @torch.no_grad()
    def _standardise(self, rng: np.random.Generator) -> None:
        embeddings = torch.cat([embeddings_of(self._measured(self._styles(self.batch, rng))) for _ in range(16)])
        self.network.centre.copy_(embeddings.mean(0))
        self.network.spread.copy_(embeddings.std(0) + 1e-3)

    def _standard(self, embeddings: Tensor) -> Tensor:
        return (embeddings - self.network.centre) / self.network.spread

    def _contents(self, count: int, indices: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Crops of photos; half of them magnified, as the photos of today's phones are at the pixel."""
        x = data.random_crops(self.photos, indices, count, self.crop_px, rng)
        if rng.uniform() < 0.5:
            side = int(rng.integers(self.crop_px // 3, self.crop_px))
            x = F.interpolate(
                x[..., :side, :side], (self.crop_px, self.crop_px), mode="bicubic", align_corners=False
            ).clamp(0, 1)
        return x

    def _styles(self, count: int, rng: np.random.Generator) -> Tensor:
        """Crops of artworks and of photos, (count, 3, style_px, style_px); some with their channels exchanged."""
        own = [i for i in self.photo_indices if min(self.photos[i].shape[1:]) >= self.style_px] if count >= 4 else []
        borrowed = count // 4 if own else 0
        crops = [data.random_crops(self.artworks, self.art_indices, count - borrowed, self.style_px, rng)]
        if borrowed:
            crops.append(data.random_crops(self.photos, own, borrowed, self.style_px, rng))
        x = torch.cat(crops)
        for i in range(count):
            if rng.uniform() < 0.3:
                x[i] = x[i, torch.from_numpy(rng.permutation(3))]
        return x

    @torch.no_grad()
    def _measured(self, styles: Tensor) -> list[Style]:
        return [gatys.measure(self.features, BACKBONE, style[None]) for style in styles]

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, optimizer.defaults["lr"], step, self.steps, hold=0.4)
        rng = self.rng(step)
        photos = self._contents(self.batch, self.photo_indices, rng)
        pictures = self._styles(self.batch, rng)
        styles = self._measured(pictures)
        embeddings = embeddings_of(styles)
        start = torch.cat(
            [gaussian.recoloured(p[None], s.colour) for p, s in zip(photos, styles, strict=True)]
        ).contiguous(memory_format=torch.channels_last)
        made = self.network(start, embeddings, _noise(rng, start))
        seen = self.features(made, DEPTH)
        with torch.no_grad():
            kept = self.features(start, DEPTH)[BACKBONE.content]
        sums = [channel_moments(a) for a in seen[: len(BACKBONE.style)]]
        style = style_distances(sums, styles).mean()
        content = (
            (seen[BACKBONE.content] - kept).square().mean((1, 2, 3)) / kept.var((1, 2, 3)).clamp(min=1e-3)
        ).mean()
        alike = contrast(self._standard(embeddings_of_moments(sums)), self._standard(embeddings))
        beyond = (made - made.clamp(0, 1)).abs().mean()
        loss = style + gatys.CONTENT_SHARE * content + 0.3 * alike + 10 * beyond
        row = {"style": float(style.detach()), "content": float(content.detach())}
        if (fade := 1 - step / (self.taught * self.steps)) > 0:
            taught = self._distillation(photos, pictures, made, seen)
            loss = loss + fade * taught
            row["taught"] = float(taught.detach())
        if step >= self.closer * self.steps:
            patches = patch_distances(made, pictures, rng).mean()
            structure = 1 - ssim_map(made, photos).mean()
            loss = loss + PATCH_SHARE * patches + STRUCTURE_SHARE * structure
            row |= {"patches": 1000 * float(patches.detach()), "structure": float(structure.detach())}
        if step >= self.adversarial * self.steps:
            row["critic"] = self._teach_critic(pictures, made.detach(), embeddings)
            loss = loss - 0.05 * self.critic(made, embeddings).mean()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for name, optimizer in self.optimizers.items():
            if name != "critic_adam":
                optimizer.step()
        self.average.update(self.network, step)
        return row

    def _distillation(self, photos: Tensor, pictures: Tensor, made: Tensor, seen: list[Tensor]) -> Tensor:
        with torch.no_grad():
            shown = self.teacher(
                photos.contiguous(memory_format=torch.channels_last),
                pictures.contiguous(memory_format=torch.channels_last),
            )
            target = self.features(shown, DEPTH)
        apart = sum(((a - b).abs().mean() / b.std() for a, b in zip(seen, target, strict=True)), torch.zeros(()))
        return 3 * (made - shown).abs().mean() + 0.3 * apart

    def _teach_critic(self, real: Tensor, made: Tensor, embeddings: Tensor) -> float:
        loss = hinge([self.critic(real, embeddings)], [self.critic(made, embeddings)])
        descend(loss, self.optimizers["critic_adam"])
        return float(loss.detach())

    def sample(self) -> Tensor:
        """Held-out photos, held-out styles, and the one painted in the other."""
        rng = np.random.default_rng(0)
        photos = data.random_crops(self.photos, self.photos_held_out, 8, self.crop_px, rng)
        pictures = data.random_crops(self.artworks, self.art_held_out, 8, self.style_px, rng)
        styles = self._measured(pictures)
        start = torch.cat([gaussian.recoloured(p[None], s.colour) for p, s in zip(photos, styles, strict=True)])
        with torch.no_grad():
            made = self.average.module(start, embeddings_of(styles), _noise(rng, start))
        return torch.cat([photos, F.interpolate(pictures, photos.shape[-2:]), made])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


def embeddings_of(styles: Sequence[Style]) -> Tensor:
    """(N, D)."""
    return torch.cat([embedding(style) for style in styles])


def embeddings_of_moments(seen: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """`embedding` of N pictures, given by the moments of their layers: (N, D)."""
    return torch.cat(
        [part for mean, covariance in seen for part in (mean, (covariance.diagonal(dim1=1, dim2=2) + 1e-8).sqrt())], 1
    )


def style_distances(seen: Sequence[tuple[Tensor, Tensor]], styles: Sequence[Style]) -> Tensor:
    """The weighted distance of each of N pictures, given by the moments of their layers, to its style: (N,).

    The style distance of `gatys.Objective`: per layer, squared 2-Wasserstein over the style's energy.
    """
    total = seen[0][0].new_zeros(len(styles))
    for k, (weight, (mean, covariance)) in enumerate(zip(BACKBONE.style, seen, strict=True)):
        own_mean = torch.stack([style.layers[k].mean for style in styles])
        own = torch.stack([style.layers[k].covariance for style in styles])
        half = matrix_root(own)
        overlap = matrix_root(half @ covariance @ half).diagonal(dim1=1, dim2=2).sum(1)
        traces = covariance.diagonal(dim1=1, dim2=2).sum(1) + own.diagonal(dim1=1, dim2=2).sum(1)
        energy = own_mean.square().sum(1) + own.diagonal(dim1=1, dim2=2).sum(1)
        total = total + weight * ((mean - own_mean).square().sum(1) + traces - 2 * overlap) / energy.clamp(min=1e-12)
    return total


def patch_distances(
    made: Tensor, artworks: Tensor, rng: np.random.Generator, *, size: int = 7, projections: int = 48, count: int = 2048
) -> Tensor:
    """Sliced Wasserstein distance of size x size patches of N pictures (N, 3, H, W) to those of their artworks, at
    three scales: (N,).

    Random directions are filters, so that patches are never gathered.
    """
    total = made.new_zeros(len(made))
    scales = 3
    for scale in range(scales):
        directions = torch.from_numpy(rng.standard_normal((projections, 3, size, size), dtype=np.float32))
        directions = directions / directions.flatten(1).norm(dim=1)[:, None, None, None]
        stride = 2 if scale == 0 else 1
        clouds = []
        for x in (made, artworks):
            seen = F.conv2d(F.avg_pool2d(x, 2**scale) if scale else x, directions, stride=stride).flatten(2)
            chosen = torch.from_numpy(rng.permutation(seen.shape[2])[:count])
            clouds.append(seen[:, :, chosen].sort(2).values)
        ours, theirs = clouds
        if theirs.shape[2] != ours.shape[2]:
            theirs = F.interpolate(theirs, ours.shape[2], mode="linear", align_corners=True)
        total = total + (ours - theirs).square().mean((1, 2))
    return total / scales


def channel_moments(activation: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (N, C) and covariance (N, C, C) of each picture's channels over its pixels."""
    a = activation.flatten(2)
    mean = a.mean(2)
    a = a - mean[:, :, None]
    return mean, a @ a.transpose(1, 2) / a.shape[2]


def contrast(embeddings: Tensor, styles: Tensor) -> Tensor:
    """Mean over N pictures of the distance to one's own style over the sum of those to all N styles: 0 at best, 1 / N
    by chance.
    """
    apart = torch.cdist(embeddings, styles).square()
    return (apart.diagonal() / apart.sum(1).clamp(min=1e-12)).mean()


def matrix_root(matrices: Tensor, iterations: int = 12) -> Tensor:
    """Square roots of positive matrices (N, C, C) by Newton-Schulz iteration (Higham 2008, eq. 6.35): matrix products
    only, and a slope that stays bounded where an eigenvalue is 0."""
    size = matrices.shape[-1]
    eye = torch.eye(size, dtype=matrices.dtype, device=matrices.device)
    norm = matrices.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-12)
    y, z = matrices / norm + 1e-5 * eye, eye.expand_as(matrices)
    for _ in range(iterations):
        t = (3 * eye - z @ y) / 2
        y, z = y @ t, t @ z
    found: Tensor = y * norm.sqrt()
    return found


def _noise(rng: np.random.Generator, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    return torch.from_numpy(rng.standard_normal((n, NOISE_CHANNELS, h // 4, w // 4), dtype=np.float32))


@dataclass(frozen=True)
class FastStyleOptions(Options):
    """The options of the recipe."""

    teacher: Path | None = option(None, "safetensors of the network to distil from", source=True)
    artworks: Path | None = option(None, "folder or tar of style pictures", source=True)
    batch: int = option(8, "pairs in a step")
    crop_px: int = option(160, "side of a crop of a photo")
    style_px: int = option(176, "side of a crop of an artwork")
    peak: float = option(1.5e-3, "highest learning rate")
    taught: float = option(0.35, "share of the run in which the teacher counts")
    adversarial: float = option(0.75, "share of the run before the discriminator joins in")
    closer: float = option(0.79, "share of the run before the style counts more")


def build(options: FastStyleOptions) -> FastStyleRecipe:
    """The recipe; RequestError without artworks and a teacher."""
    if options.teacher is None or options.artworks is None:
        raise RequestError(
            "The recipe of faststyle needs artworks (--artworks) and a teacher "
            "(--teacher; weights/faststyle.md says where it is)."
        )
    artworks = data.pack([options.artworks], options.packed, "artworks_400", data.shrink(1.0, 400))
    return FastStyleRecipe(
        sources.own_features(),
        microast.from_file(options.teacher),
        sources.photos(options),
        artworks,
        **options.hyperparameters(),
    )


PRESETS = {"default": RecipePreset(FastStyleOptions(steps=8000), build, "style distance 0.115, MicroAST 0.140")}
