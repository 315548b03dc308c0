"""Pictures drawn by a generator, for training, measuring and sheets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.contract.errors import RequestError
from engine.contract.generate import CATEGORIES


@torch.inference_mode()
def draw(
    generator: Any, labels: Tensor, truncation: float, categories: tuple[str, ...] = CATEGORIES, seed: int = 0
) -> Tensor:
    """A picture (N, 3, S, S) in [0, 1] for each label (N,), which indexes `categories`; a generator without categories
    draws of any.

    RequestError when the generator has not learned one of them.
    """
    known = tuple(generator.categories)
    if known and (missing := [categories[c] for c in labels.unique().tolist() if categories[c] not in known]):
        raise RequestError(f"The network has not learned {missing[0]}; it knows {', '.join(known)}.")
    rng = torch.Generator().manual_seed(seed)
    parts = []
    for part in labels.split(32):
        names = [categories[c] if known else "" for c in part.tolist()]
        latents = torch.cat([generator.sample_latents(name, 1, truncation, rng) for name in names])
        parts.append(
            generator(latents, torch.tensor([known.index(name) if known else 0 for name in names])).clamp(0, 1)
        )
    return torch.cat(parts)
