"""A drawing becomes a product: image-to-image translation with a conditional GAN (pix2pix, Isola et al. 2017).

A U-Net (Ronneberger et al. 2015) whose decoder is steered by a latent. Where we leave the papers:
- One drawing has many products. BicycleGAN (Zhu et al. 2017) learns the latent that tells them apart; ours is given,
  since what a drawing leaves open is colour: a latent is a palette, the main colour, the accent and the main colour's
  share. So a colour can be asked for, and a photo's own palette can be measured.
- The latent and the category steer every block of the decoder by a gain and a shift per channel (StyleGAN, Karras et
  al. 2019). The category may be "any".
- Each pixel's channels are scaled to unit mean square (ProGAN, Karras et al. 2018) instead of batch normalisation: a
  picture does not depend on what else is in its batch.
- The first halving is a pixel unshuffle and the last doubling a pixel shuffle, so nothing wide runs at full size.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import edges, names
from engine.models.filters import minimum
from engine.models.layers import doubled, pixel_norm
from engine.models.srgb import REC601

ANY = "any"  # the category of a drawing that may be of any
PALETTE_DIM = 7  # main colour (3), accent (3), share of the main colour
_CANDIDATES = 400  # palettes of a category that are considered to be kept


class Up(nn.Module):
    """(N, inputs, H, W) and the encoder's (N, beside, 2H, 2W) -> (N, outputs, 2H, 2W), steered by a
    condition (N, condition_dim)."""

    def __init__(self, inputs: int, beside: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(inputs + beside, outputs, 3, padding=1)
        self.steer = nn.Linear(condition_dim, 2 * outputs)
        nn.init.normal_(self.steer.weight, std=0.02)

    def forward(self, x: Tensor, beside: Tensor, condition: Tensor) -> Tensor:
        gain, shift = self.steer(condition)[:, :, None, None].chunk(2, 1)
        x = pixel_norm(self.merge(torch.cat([doubled(x), beside], 1)))
        return F.leaky_relu(x * (1 + gain) + shift, 0.2)


class Sketch(nn.Module):
    """Lines (N, 1, S, S), palettes (N, 7) and category index (N,) -> product pictures (N, 3, S, S) in [0, 1].

    S is a multiple of 2 ** (widths); the network learned at `size_px`. The last of `categories` is "any". Palettes
    that were seen in training lie in a buffer, most typical first: palettes (C, K, 7).
    """

    palettes: Tensor
    category_names: Tensor
    trained_px: Tensor
    colours = True

    def __init__(
        self,
        categories: tuple[str, ...],
        widths: tuple[int, ...] = (32, 64, 96, 128, 128),
        seen: int = 48,
        size_px: int = 128,
    ) -> None:
        super().__init__()
        self.widths = widths
        self.embed = nn.Embedding(len(categories), 24)
        condition_dim = 64
        self.code = nn.Sequential(
            nn.Linear(PALETTE_DIM + 24, condition_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(condition_dim, condition_dim),
            nn.LeakyReLU(0.2),
        )
        self.start = nn.Conv2d(4, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in itertools.pairwise(widths))
        self.middle = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        upward = widths[::-1]
        self.up = nn.ModuleList(Up(i, o, o, condition_dim) for i, o in itertools.pairwise(upward))
        self.tail = nn.Conv2d(widths[0], 32, 3, padding=1)
        self.to_rgb = nn.Conv2d(8 + 1, 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.register_buffer("palettes", torch.full((len(categories), seen, PALETTE_DIM), 0.5))
        self.register_buffer("category_names", names.as_tensor(categories))
        self.register_buffer("trained_px", torch.tensor(size_px))

    @property
    def categories(self) -> tuple[str, ...]:
        return names.of_tensor(self.category_names)

    @property
    def size_px(self) -> int:
        return int(self.trained_px)

    @property
    def latent_dim(self) -> int:
        return PALETTE_DIM

    def forward(self, edges: Tensor, latents: Tensor, labels: Tensor) -> Tensor:
        condition = self.code(torch.cat([4 * latents - 2, self.embed(labels)], 1))
        x = F.leaky_relu(self.start(F.pixel_unshuffle(edges, 2).contiguous(memory_format=torch.channels_last)), 0.2)
        levels = [x]
        for down in self.down:
            levels.append(F.leaky_relu(down(levels[-1]), 0.2))
        x = F.leaky_relu(self.middle(levels.pop()), 0.2)
        for up in self.up:
            x = up(x, levels.pop(), condition)
        x = F.pixel_shuffle(F.leaky_relu(self.tail(x), 0.2), 2)
        # Linear while it learns: most pixels are white, and a clamp has no gradient there.
        x = 0.8 + 0.2 * self.to_rgb(torch.cat([x, edges], 1))
        found: Tensor = x if self.training else x.clamp(0, 1)
        return found

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        """Palettes (count, 7) of a category, float32 on the CPU: one of those kept, of which the share `truncation`,
        most typical first.

        The i-th depends on the generator's state and on i, not on `count`. ValueError for an unknown category.
        """
        seen = self.palettes[self.categories.index(category)].cpu().float()
        usual = max(1, min(len(seen), round(truncation * len(seen))))
        drawn = [
            (int(torch.randint(usual, (1,), generator=rng)), torch.randn(PALETTE_DIM, generator=rng))
            for _ in range(count)
        ]
        return torch.stack([(seen[i] + 0.03 * min(truncation, 1.0) * noise).clamp(0, 1) for i, noise in drawn])

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Palettes between `a` (t = 0) and `b` (t = 1): linear, as colours are."""
        return torch.lerp(a, b, t)

    def with_colour(self, latents: Tensor, rgb: Tensor) -> Tensor:
        """The same palettes with `rgb` (3,) in [0, 1] as main colour.

        An accent that was like the old one moves along.
        """
        wanted = rgb.to(latents).expand(len(latents), 3)
        main, accent, share = latents.split((3, 3, 1), 1)
        like = (1 - (accent - main).norm(dim=1, keepdim=True) / 0.5).clamp(0, 1)
        return torch.cat([wanted, (accent + like * (wanted - main)).clamp(0, 1), share.clamp(min=0.6)], 1)

    @torch.no_grad()
    def fit_palettes(self, palettes: Tensor, labels: Tensor, seed: int = 0) -> None:
        """Keep palettes (N, 7) of pictures with category index (N,) to draw from; "any" draws from all.

        They are chosen one by one from a chance sample so that the mean distance from a picture to the nearest kept one
        falls most (greedy facility location): the first is the most typical, and the first few already differ. Hue
        counts for more than lightness, or most of those kept would be greys.
        """
        rng = torch.Generator().manual_seed(seed)
        last, keep = len(self.categories) - 1, self.palettes.shape[1]
        for c in range(last + 1):
            own = palettes if c == last else palettes[labels == c]
            if not len(own):
                continue
            candidates = own[torch.randperm(len(own), generator=rng)[:_CANDIDATES]]
            distances, reached, order = (
                torch.cdist(_as_seen(candidates), _as_seen(own)),
                torch.full((len(own),), torch.inf),
                [],
            )
            for _ in range(min(keep, len(candidates))):
                order.append(int(distances.minimum(reached).mean(1).argmin()))
                reached = reached.minimum(distances[order[-1]])
            self.palettes[c] = candidates[[order[i % len(order)] for i in range(keep)]]


def _as_seen(palettes: Tensor) -> Tensor:
    """Palettes (N, 7) as numbers (N, 7) whose distances tell how different products look:
    luma, three times the chroma.
    """
    main, accent, share = palettes.split((3, 3, 1), 1)
    apart = [c - (c @ c.new_tensor(REC601))[:, None] for c in (main, accent)]
    return torch.cat([main + 2 * apart[0], 0.5 * (accent + 2 * apart[1]), 0.3 * share], 1)


def palette(x: Tensor) -> Tensor:
    """Palettes (N, 7) of products (N, 3, H, W) in [0, 1] on white: two colours by k-means over the product's pixels.

    The two start as the means of what is darker and what is lighter than the mean; the larger is the main colour.
    share x main + (1 - share) x accent is the mean colour. The rim, mixed with white, hardly counts; an empty picture
    is all white.
    """
    weight = palette_weight(x)
    pixels, weight = x.flatten(2).transpose(1, 2), weight.flatten(1)[..., None]  # (N, P, 3), (N, P, 1)
    luma = pixels @ x.new_tensor(REC601)[:, None]
    whole = _mean(luma, weight)
    is_second = (luma > whole).float()
    for _ in range(4):
        first, second = _mean(pixels, weight * (1 - is_second)), _mean(pixels, weight * is_second)
        is_second = (
            (pixels - second).square().sum(2, keepdim=True) < (pixels - first).square().sum(2, keepdim=True)
        ).float()
    sizes = torch.cat([(weight * (1 - is_second)).sum(1), (weight * is_second).sum(1)], 1)
    first, second = _mean(pixels, weight * (1 - is_second))[:, 0], _mean(pixels, weight * is_second)[:, 0]
    larger = sizes[:, 1:] > sizes[:, :1]
    share = torch.where(
        sizes.sum(1, keepdim=True) > 0,
        sizes.amax(1, keepdim=True) / sizes.sum(1, keepdim=True).clamp(min=1e-6),
        torch.ones_like(sizes[:, :1]),
    )
    main, accent = torch.where(larger, second, first), torch.where(larger, first, second)
    return torch.cat([main, torch.where(share > 0.999, main, accent), share], 1)


def palette_weight(x: Tensor) -> Tensor:
    """How much each pixel of products (N, 3, H, W) counts in their palette: (N, 1, H, W)."""
    mask = edges.product(x)
    return minimum(mask) + 0.02 * mask


def from_state_dict(state: dict[str, Tensor]) -> Sketch:
    """The network whose weights these are; every width is read from the shapes. Strict."""
    known = names.of_tensor(state["category_names"])
    downs = sum(key.startswith("down.") and key.endswith(".weight") for key in state)
    widths = (state["start.weight"].shape[0], *(state[f"down.{i}.weight"].shape[0] for i in range(downs)))
    network = Sketch(known, widths, state["palettes"].shape[1])
    network.load_state_dict(state)
    return network


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean (N, 1, C) of values (N, P, C); 1 where nothing has weight."""
    total = weight.sum(1, keepdim=True)
    return torch.where(
        total > 0, (values * weight).sum(1, keepdim=True) / total.clamp(min=1e-6), torch.ones_like(total)
    )
