"""Which category a product picture shows: logistic regression on pooled activations of `features`.

A linear probe (Alain & Bengio 2017): the convolutions are those of `features` and stay as they are, only the weights of
a linear layer on top are learned (`engine/train/recipes/categories.py`). The convolutions are part of the weight file,
so the probe keeps the activations that it was fitted on whatever becomes of `features.safetensors`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import features, names

SEEN_PX = 64  # pictures are brought to this size first, whatever theirs is
POOLED = (2, 3, 4)  # conv3 to conv5: parts and texture; the layers before them respond to colour and edges only


def pool(activations: list[Tensor]) -> Tensor:
    """Activations of `Features` -> (N, D): of conv3 to conv5 the mean, the deviation and the maxima of a 2 x 2 grid."""
    parts = []
    for x in (activations[k] for k in POOLED):
        parts += [x.mean((2, 3)), x.flatten(2).std(2), F.adaptive_max_pool2d(x, 2).flatten(1)]
    return torch.cat(parts, 1)


class Categories(nn.Module):
    """Product pictures on white (N, 3, H, W) in [0, 1], square, of any size -> logits (N, C) of `categories`.

    The softmax of the logits is the probability of each category, given that the picture shows one of them at all.
    """

    mean: Tensor
    spread: Tensor
    category_names: Tensor

    def __init__(self, categories: tuple[str, ...], backbone: features.Features) -> None:
        super().__init__()
        self.eyes = backbone
        width = 6 * sum(getattr(backbone, features.LAYERS[k]).out_channels for k in POOLED)
        self.linear = nn.Linear(width, len(categories))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        # What the pooled activations of training pictures are like: the linear layer sees them standardised.
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("category_names", names.as_tensor(categories))

    @property
    def categories(self) -> tuple[str, ...]:
        return names.of_tensor(self.category_names)

    def pooled(self, pictures: Tensor) -> Tensor:
        """Standardised activations (N, D)."""
        if pictures.shape[2:] != (SEEN_PX, SEEN_PX):
            pictures = F.interpolate(pictures, (SEEN_PX, SEEN_PX), mode="bilinear", antialias=True)
        return (pool(self.eyes(pictures)) - self.mean) / self.spread

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.linear(self.pooled(pictures))
        return found


def from_state_dict(state: dict[str, Tensor]) -> Categories:
    """The classifier whose weights these are; widths and names are read from the tensors. Strict."""
    known = names.of_tensor(state["category_names"])
    backbone = features.Features(tuple(state[f"eyes.{name}.weight"].shape[0] for name in features.LAYERS))
    network = Categories(known, backbone)
    network.load_state_dict(state)
    return network
