"""What a network must offer to draw pictures for `engine.generate.generate`, and what it may offer besides.

A network of the task "generate" is a module with the members of `Generative`; one of the task "sketch" has the same
but for `forward`, which takes the lines first: forward(lines (N, 1, S, S) in [0, 1], 1 on a line, latents, labels).
Abilities beyond that are members of their own (`Encoding`, `Colouring`, `Steerable`); `able` says which network has
which. Shapes: N pictures, D numbers of a latent, S pixels a side, K directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Generative(Protocol):
    """Latents become pictures."""

    categories: tuple[str, ...]  # that it was trained on; () if it was trained without
    size_px: int  # S
    latent_dim: int  # D

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        """Latents (count, D), float32 on the CPU; the i-th depends on the state of `rng` and on i, not on `count`.

        truncation: 0 gives the most typical latent, 1 the full variety. ValueError for another category.
        """
        ...

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Latents (N, D) a part `t` of the way from a to b, along which the pictures stay as good as at its ends."""
        ...

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Latents (N, D) and indices into `categories` (N,) -> pictures (N, 3, S, S), in [0, 1] in eval mode."""
        ...


class Encoding(Protocol):
    """Has an encoder, and can draw a photo of one's own again."""

    def encode(self, pictures: Tensor) -> Tensor:
        """Products on white (N, 3, S, S) in [0, 1] -> their latents (N, D)."""
        ...


class Colouring(Protocol):
    """Its latents hold the product's colour apart from the shape."""

    colours: bool  # True

    def with_colour(self, latents: Tensor, rgb: Tensor) -> Tensor:
        """The same products (N, D) in the colour rgb (3,), sRGB in [0, 1]."""
        ...


class Steerable(Protocol):
    """Has directions in the space of its latents along which one property of a category's products changes; their names
    stand in the table of weights.
    """

    def directions(self, category: str) -> Tensor:
        """(K, D), float32 on the CPU; one length along a direction is a clear but modest step."""
        ...


_ABILITIES: dict[str, Callable[[Any], bool]] = {
    "photo": lambda module: callable(getattr(module, "encode", None)),
    "colour": lambda module: bool(getattr(module, "colours", False)),
    "directions": lambda module: callable(getattr(module, "directions", None)),
}


def able(module: Any, ability: str) -> bool:
    """Whether a network has one of the abilities "photo" (Encoding),
    "colour" (Colouring) and "directions" (Steerable).
    """
    return _ABILITIES[ability](module)
