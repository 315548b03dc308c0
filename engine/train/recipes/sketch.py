"""Recipe of `sketch`: pix2pix on pairs of packshots and the lines in them, with the palette as condition.

The loss is L1 on pixels, product before white and chroma before luma; L1 through `features` (Johnson et al. 2016); and,
after a first part without it, an adversary that sees lines and picture (conditional hinge GAN), the picture only
through the fixed `features` (Projected GAN, Sauer et al. 2021). Lines are drawn anew every time. Products are coloured
anew, and then shown with another's palette, so that colour is read from the palette and not guessed from the lines.
The network is convolutional, so it learns first on small pictures among large ones, which costs less, and last on large
ones alone (progressive resizing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.contract.generate import CATEGORIES
from engine.models import edges
from engine.models.features import Features
from engine.models.sketch import ANY, PALETTE_DIM, Sketch, palette, palette_weight
from engine.models.srgb import CHROMA
from engine.train import muon, sources
from engine.train.loop import Average, descend, learning_rate
from engine.train.metrics import MeasuredRecipe
from engine.train.objectives import accuracy, hinge, hinge_fooled
from engine.train.options import RecipePreset, option
from engine.train.packshots import Products, recolour
from engine.train.perceptual import Perceptual
from engine.train.sources import ProductOptions

# Luma and two chroma differences (BT.601 without scaling), and how much each counts.
_YCC = torch.tensor(CHROMA)
_YCC_WEIGHT = torch.tensor([1.0, 1.5, 1.5]).view(1, 3, 1, 1)
_LAYERS = 4  # of features that the losses look at; the adversary also sees the fifth


def labelled(products: Products, categories: tuple[str, ...]) -> Tensor:
    """The index of each product's category (N,); that of the last, which is "any", for those without one of them."""
    labels = products.labels(categories)
    return torch.where(labels < 0, len(categories) - 1, labels)


class SketchHeads(nn.Module):
    """The trained half of the discriminator: on four layers of `features`, beside the lines, a PatchGAN's map of
    logits.

    Palette and category take part by projection (Miyato & Koyama 2018).
    """

    def __init__(self, categories: int, widths: Sequence[int] = (32, 64, 128, 256), hidden: int = 48) -> None:
        super().__init__()
        self.bodies = nn.ModuleList()
        for k, width in enumerate(widths):
            first = nn.Conv2d(width + 1, hidden, 4, 2, 1) if k < 2 else nn.Conv2d(width + 1, hidden, 3, 1, 1)
            second = nn.Conv2d(hidden, hidden, 3, 1, 1)
            layers = [nn.utils.parametrizations.spectral_norm(conv) for conv in (first, second)]
            self.bodies.append(nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2)))
        self.logits = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in widths)
        self.embed = nn.ModuleList(nn.Embedding(categories, hidden) for _ in widths)
        self.colour = nn.ModuleList(nn.Linear(PALETTE_DIM, hidden) for _ in widths)

    def forward(self, activations: list[Tensor], lines: Tensor, palettes: Tensor, labels: Tensor) -> list[Tensor]:
        """activations: the layers of `features` from the second on."""
        maps = []
        for x, body, logit, embed, colour in zip(
            activations, self.bodies, self.logits, self.embed, self.colour, strict=True
        ):
            h = body(torch.cat([x, F.adaptive_max_pool2d(lines, x.shape[-2:])], 1))
            wanted = embed(labels) + colour(2 * palettes - 1)
            maps.append(logit(h) + (h * wanted[:, :, None, None]).mean(1, keepdim=True))
        return maps


class SketchRecipe(MeasuredRecipe):
    """pictures: uint8 (N, 3, S, S); labels: (N,) category indices, the last category is "any"; shown: uint8, held out,
    for samples.
    """

    name = "sketch"
    saturates = True

    def __init__(
        self,
        features: Features,
        pictures: Tensor,
        labels: Tensor,
        shown: Tensor,
        categories: tuple[str, ...],
        *,
        steps: int,
        batch: int = 8,
        large_share: float = 0.2,
        alone_share: float = 0.3,
        strangers: int = 2,
        peak: float = 1.2e-3,
        adversarial_weight: float = 0.2,
        most_norm: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if categories[-1] != ANY:
            raise ValueError(f'The last category must be "{ANY}", not {categories[-1]}.')
        torch.manual_seed(seed)
        self.steps, self.batch, self.peak, self.seed = steps, batch, peak, seed
        self.large_steps, self.alone_steps = round(steps * large_share), round(steps * alone_share)
        self.strangers, self.adversarial_weight, self.most_norm = strangers, adversarial_weight, most_norm
        self.pictures, self.labels, self.shown = pictures, labels, shown
        # A category is drawn by the root of its size: ties are seen, and shoes still most often.
        chances = torch.bincount(labels, minlength=len(categories)).double().clamp(min=1).rsqrt()[labels]
        self.chances = (chances / chances.sum()).numpy()
        self.features = features
        self.network = Sketch(categories, size_px=pictures.shape[-1]).to(memory_format=torch.channels_last)
        self.network.fit_palettes(palettes_of(pictures), labels)
        self.heads = SketchHeads(
            len(categories), [getattr(features, f"conv{k}").out_channels for k in (2, 3, 4, 5)]
        ).to(memory_format=torch.channels_last)
        self.average = Average(self.network, half_life_steps=400)
        self.heads_optimizer = torch.optim.Adam(self.heads.parameters(), lr=peak, betas=(0.0, 0.99))
        self.modules = {"network": self.network, "heads": self.heads, "average": self.average.module}
        self.network_optimizers = muon.optimizers(self.network, peak)
        self.optimizers = self.network_optimizers | {"heads_optimizer": self.heads_optimizer}
        self.perceptual = Perceptual(features, self._batch(self.rng(0), 32)[0], _LAYERS)
        self.real = pictures

    def step(self, step: int) -> dict[str, float]:
        rng = self.rng(step)
        adversarial = step >= self.alone_steps
        for optimizer in self.network_optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, warm_up=100, hold=0.5)
        x, lines, palettes, labels = self._batch(rng, self.batch, self._size_px(rng, step))
        # Strangers have another's palette: there is no true picture of them, only their lines and their colour.
        own = self.batch - self.strangers if adversarial else self.batch
        asked = torch.cat([palettes[:own], palettes[own:].roll(1, 0) if self.strangers > 1 else palettes[:1]])[
            : self.batch
        ]
        ours = self.network(lines, asked, labels)
        depth = _LAYERS + adversarial
        with torch.no_grad():
            seen_theirs = self.features(x, depth)
        seen_ours = self.features(ours, depth)
        perceptual = self.perceptual([a[:own] for a in seen_ours], [b[:own] for b in seen_theirs])
        pixel = _pixel_distance(ours[:own], x[:own])
        colour = _colour_distance(ours, asked, palette_weight(x))
        loss = perceptual + 6 * pixel + 2 * colour
        losses = {
            "perceptual": float(perceptual.detach()),
            "pixel": float(pixel.detach()),
            "colour": float(colour.detach()),
        }
        if adversarial:
            learning_rate(self.heads_optimizer, self.peak / 3, step - self.alone_steps, self.steps - self.alone_steps)
            heads, right = self._teach_heads(
                seen_theirs[1:], [a.detach() for a in seen_ours[1:]], lines, palettes, asked, labels
            )
            self.heads.requires_grad_(False)
            fooled = hinge_fooled(self.heads(seen_ours[1:], lines, asked, labels))
            self.heads.requires_grad_(True)
            loss = loss + self.adversarial_weight * fooled
            losses |= {"heads": heads, "fooled": float(fooled.detach())} | right
        descend(loss, *self.network_optimizers.values(), most_norm=self.most_norm)
        self.average.update(self.network, step)
        return losses

    def _teach_heads(
        self, theirs: list[Tensor], ours: list[Tensor], lines: Tensor, palettes: Tensor, asked: Tensor, labels: Tensor
    ) -> tuple[float, dict[str, float]]:
        """One step of the discriminator: the hinge loss, and how often either kind is recognised."""
        real, fake = self.heads(theirs, lines, palettes, labels), self.heads(ours, lines, asked, labels)
        loss = hinge(real, fake)
        descend(loss, self.heads_optimizer, most_norm=self.most_norm)
        return float(loss.detach()), accuracy(real, fake)

    def _size_px(self, rng: np.random.Generator, step: int) -> int:
        """Half, three quarters or the whole of the pictures' side: mostly half at first, only the whole in the last
        steps.
        """
        whole, done = self.pictures.shape[-1], step / max(1, self.steps - self.large_steps)
        return (
            whole
            if done >= 1
            else int(
                rng.choice(
                    [whole // 2, whole * 3 // 4, whole], p=[0.7 - 0.4 * done, 0.2 + 0.2 * done, 0.1 + 0.2 * done]
                )
            )
        )

    def _batch(
        self, rng: np.random.Generator, count: int, size_px: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures, their lines, their palettes, their labels.

        A fifth of the labels say "any", and a tenth are wrong: where drawing and category disagree, the drawing is
        right.
        """
        chosen = torch.from_numpy(rng.choice(len(self.pictures), count, p=self.chances))
        chance = torch.Generator().manual_seed(int(rng.integers(2**31)))
        x = _moved(self.pictures[chosen].float().div_(255), size_px or self.pictures.shape[-1], chance)
        x = tinted(recolour(x, rng), chance)
        lines = edges.sketched(x, chance)
        any_label = len(self.network.categories) - 1
        fate, wrong = torch.rand(count, generator=chance), torch.randint(any_label, (count,), generator=chance)
        labels = torch.where(fate < 0.2, any_label, torch.where(fate < 0.3, wrong, self.labels[chosen]))
        return x.contiguous(memory_format=torch.channels_last), lines, palette(x), labels

    def sample(self) -> Tensor:
        """Held-out pictures, their clean lines, ours with their own palette, then with two palettes that were seen."""
        x = self.shown.float().div(255)
        lines, labels = edges.from_photo(x), torch.full((len(x),), len(self.network.categories) - 1)
        rng = torch.Generator().manual_seed(0)
        latents = [palette(x), *(self.average.module.sample_latents(ANY, len(x), 1.0, rng) for _ in range(2))]
        hand = edges.sketched(x, rng)
        with torch.no_grad():
            rows = [self.average.module(lines, latent, labels) for latent in latents]
            rows += [1 - hand.expand(-1, 3, -1, -1), self.average.module(hand, latents[1], labels)]
        return torch.cat([x, 1 - lines.expand(-1, 3, -1, -1), *rows])

    @torch.no_grad()
    def drawn(self, count: int) -> Tensor:
        """Training pictures drawn again from their clean lines, palette and category."""
        every = slice(None, None, -(-len(self.pictures) // count))
        parts = zip(self.pictures[every].split(32), self.labels[every].split(32), strict=True)
        shown = ((x.float().div(255), labels) for x, labels in parts)
        return torch.cat([self.average.module(edges.from_photo(x), palette(x), labels) for x, labels in shown])

    def export(self) -> dict[str, Tensor]:
        return self.average.module.state_dict()


@torch.no_grad()
def palettes_of(pictures: Tensor) -> Tensor:
    """Palettes (N, 7) of uint8 pictures (N, 3, S, S)."""
    parts = (F.avg_pool2d(part.float().div(255), 2) for part in pictures.split(128))
    return torch.cat([palette(x) for x in parts])


def tinted(x: Tensor, rng: torch.Generator, chance: float = 0.3) -> Tensor:
    """Some products lighter or darker by a power, then dyed by a chance colour; white stays white by the product's
    mask.

    Turning the hue leaves black, grey and white as they are, and those are most products.
    """
    n = len(x)
    mask = edges.product(x)
    power = torch.exp2(1.6 * torch.rand(n, 1, 1, 1, generator=rng) - 1.1)
    dye = 1 - 0.75 * torch.rand(n, 1, 1, 1, generator=rng) * torch.rand(n, 3, 1, 1, generator=rng)
    chosen = torch.rand(n, 1, 1, 1, generator=rng) < chance
    return torch.where(chosen, x + mask * (x.clamp(min=0.02).pow(power) * dye - x), x)


def _moved(x: Tensor, size_px: int, rng: torch.Generator) -> Tensor:
    """Flipped, scaled, turned and shifted a little, at `size_px`; beyond the border is white."""
    n = len(x)
    scale = (1 + 0.15 * torch.rand(n, generator=rng)) * (torch.randint(2, (n,), generator=rng) * 2 - 1)
    tall = 1 + 0.15 * torch.rand(n, generator=rng)
    turn = 0.1 * torch.randn(n, generator=rng).clamp(-2, 2)
    shift = 0.12 * torch.rand(n, 2, generator=rng) - 0.06
    rows = [
        torch.stack([scale * turn.cos(), -scale * turn.sin(), shift[:, 0]], 1),
        torch.stack([tall * turn.sin(), tall * turn.cos(), shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 3, size_px, size_px], align_corners=False)
    return 1 - F.grid_sample(1 - x, grid, padding_mode="zeros", align_corners=False)


def _pixel_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """L1 of luma and weighted chroma; a pixel of the product counts three times one of the white around it."""
    difference = torch.einsum("ij,njhw->nihw", _YCC, ours - theirs).abs() * _YCC_WEIGHT
    weight = 1 + 2 * edges.product(theirs)
    return (difference * weight).mean() / weight.mean()


def _colour_distance(ours: Tensor, palettes: Tensor, weight: Tensor) -> Tensor:
    """L1 between the mean colour where the product is, by `weight` (N, 1, S, S), and what the palette gives for it."""
    main, accent, share = palettes.split((3, 3, 1), 1)
    mean = (ours * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1)
    return F.l1_loss(mean, share * main + (1 - share) * accent)


@dataclass(frozen=True)
class SketchOptions(ProductOptions):
    """The options of the recipe."""

    batch: int = option(8, "pairs in a step")
    large_share: float = option(0.2, "share of steps at the full size")
    alone_share: float = option(0.3, "share of pairs without a category")
    strangers: int = option(2, "pairs in a step whose palette is another picture's")
    peak: float = option(1.2e-3, "highest learning rate")
    adversarial_weight: float = option(0.2, "of the discriminator's part of the loss")
    most_norm: float = option(0.0, "gradients that are longer are shortened to it; 0 leaves them")


def build(options: SketchOptions) -> SketchRecipe:
    """The recipe."""
    categories = (*CATEGORIES, ANY)
    shown = sources.cleaned(options, SketchRecipe.name, sources.products(options, 128))
    held_out = sources.products(options, 128, held_out=True).pictures[:8]
    return SketchRecipe(
        sources.own_features(),
        shown.pictures,
        labelled(shown, categories),
        held_out,
        categories,
        **options.hyperparameters(),
    )


PRESETS = {
    "default": RecipePreset(
        SketchOptions(steps=3000),
        build,
        "12.7 steps of error on held-out packshots, the nearest picture 21.0",
    )
}
