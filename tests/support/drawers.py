"""Stand-ins for the networks that draw products, and for the one that tells their categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from shelf import Plain, Shelf, enlarge, row
from torch import Tensor

from engine.runtime.tiles import Tiling
from engine.weights import Weight

SIDE = 32


class Drawer(Plain):
    """Each latent (red, green, blue) becomes a square of its colour on white; the label moves the square down."""

    size_px, latent_dim = SIDE, 3

    def __init__(self, categories: tuple[str, ...] = ("shoe", "handbag")) -> None:
        super().__init__(lambda latents, labels: squares(latents, labels))
        self.categories = categories

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        return truncation * torch.stack([torch.randn(3, generator=rng) for _ in range(count)])

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        return torch.lerp(a, b, t)


class Painter(Drawer):
    """Knows colours."""

    colours = True

    def with_colour(self, latents: Tensor, rgb: Tensor) -> Tensor:
        return rgb.expand(len(latents), 3).clamp(0.01, 0.99).logit()


class Photographer(Drawer):
    """Has an encoder: the colour in the middle of the photo."""

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures[:, :, SIDE // 2, SIDE // 2].clamp(0.01, 0.99).logit()


class Printer(Drawer):
    """Has no encoder of its own: it draws the latents of `vae`, its colours turned around."""

    def __init__(self) -> None:
        super().__init__()
        self.function = lambda latents, labels: squares(latents.flip(1), labels)


class Tailor(Drawer):
    """Knows two directions: redder and bluer."""

    def directions(self, category: str) -> Tensor:
        return torch.eye(3)[[0, 2]]


class Colourist(Drawer):
    """Fills what is below the lines of a sketch with the latent's colour."""

    def __init__(self) -> None:
        super().__init__(("shoe", "handbag", "any"))
        self.function = lambda lines, latents, labels: (
            1 - lines.cumsum(2).clamp(0, 1) * (1 - torch.sigmoid(latents)[:, :, None, None])
        )


class Sorter(Plain):
    """A classifier: reddish squares are shoes, all others are handbags."""

    categories = ("shoe", "handbag")

    def __init__(self) -> None:
        super().__init__(lambda x: 20 * torch.stack([redness(x), -redness(x)], 1))


class Critic(Plain):
    """A discriminator: the bluer the middle is, the better."""

    categories = ("shoe", "handbag")

    def __init__(self) -> None:
        super().__init__(lambda x: 1000 * blueness(x))


def blueness(x: Tensor) -> Tensor:
    """How much bluer than green pictures are in their middle, (N,)."""
    return x[:, 2, SIDE // 2, SIDE // 2] - x[:, 1, SIDE // 2, SIDE // 2]


def redness(x: Tensor) -> Tensor:
    """How much redder than green pictures are in their middle, (N,)."""
    return x[:, 0, SIDE // 2, SIDE // 2] - x[:, 1, SIDE // 2, SIDE // 2]


def squares(latents: Tensor, labels: Tensor) -> Tensor:
    """Colours' latents (N, 3) as pictures (N, 3, SIDE, SIDE)."""
    colours = torch.sigmoid(latents)[:, :, None, None].expand(-1, -1, 12, 12)
    return torch.stack(
        [F.pad(c, (10, 10, 10 + 2 * int(k), 10 - 2 * int(k)), value=1.0) for c, k in zip(colours, labels, strict=True)]
    )


def _row(name: str, network: Any) -> Weight:
    names = {"shoe": ("redder", "bluer")} if isinstance(network, Tailor) else {}
    encoder = "vae" if isinstance(network, Printer) else ""
    return replace(row(name, "sketch" if name == "sketch" else "generate"), directions=names, encoder=encoder)


def drawers(*, sorter: bool = True, critic: bool = True, **networks: Any) -> Shelf:
    """A shelf with generators by their names, `sketch` by its task, the classifier, the discriminator and the
    enlargers.
    """
    rows = [(_row(name, network), network) for name, network in networks.items()]
    rows += [
        (row(f"upscale-x{k}", f"upscale-x{k}", tiling=Tiling(scale=k, overlap_px=4, most_px=64)), Plain(enlarge(k)))
        for k in (2, 4)
    ]
    classifiers = (
        (row("categories", "classify"), Sorter() if sorter else None),
        (row("discriminator", "rank"), Critic() if critic else None),
    )
    return Shelf(*rows, *classifiers)
