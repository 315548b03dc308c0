"""The discriminator that `studio` is trained against, and the part of it that ranks pictures.

Projected GAN (Sauer et al. 2021): it sees pictures through the fixed `features` only; on each layer sits a small net of
its own that gives a map of logits. The category enters by projection (Miyato & Koyama 2018). In training the weights
are divided by their largest singular value (Miyato et al. 2018).

After that training its scores do not rank single pictures: it has learned that the generator's pictures are too plain,
and prefers torn or glaring ones to whole ones. So its last layer is fitted anew (engine/train/discriminator.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import names
from engine.models.features import Features

SEEN_PX = 128  # pictures are brought to this size first, whatever theirs is: the size at which it was trained
WIDTHS, HIDDEN = (
    (16, 32, 64, 128, 256),
    (24, 48, 64, 64, 64),
)  # channels of the layers of `features`, and of the small net on each


def body(layer: int, width: int, hidden: int, spectral: bool = False) -> nn.Sequential:
    """The small net on a layer of `features`: activations (N, width, H, W) -> (N, hidden, h, w), half the size on the
    first three.
    """
    stride = 2 if layer < 3 else 1
    layers = [
        nn.Conv2d(width, hidden, 4 if stride == 2 else 3, stride, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(hidden, hidden, 3, 1, 1),
        nn.LeakyReLU(0.2),
    ]
    return nn.Sequential(
        *[nn.utils.parametrizations.spectral_norm(m) if spectral and isinstance(m, nn.Conv2d) else m for m in layers]
    )


class Heads(nn.Module):
    """The trained half of the discriminator: on each layer of `features` a small net that gives a map of logits."""

    def __init__(self, categories: int, widths: Sequence[int] = WIDTHS, hidden: Sequence[int] = HIDDEN) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(
            body(k, width, h, spectral=True) for k, (width, h) in enumerate(zip(widths, hidden, strict=True))
        )
        self.logits = nn.ModuleList(nn.Conv2d(h, 1, 1) for h in hidden)
        self.embed = nn.ModuleList(nn.Embedding(categories, h) for h in hidden)

    def forward(self, activations: list[Tensor], labels: Tensor) -> list[Tensor]:
        maps = []
        for x, net, logit, embed in zip(activations, self.bodies, self.logits, self.embed, strict=True):
            h = net(x)
            maps.append(logit(h) + (h * embed(labels)[:, :, None, None]).mean(1, keepdim=True))
        return maps


class Discriminator(nn.Module):
    """Product pictures on white (N, 3, H, W) in [0, 1], square, of any size -> scores (N,), the higher the better.

    Only pictures of one category are to be compared: scores have no common zero, and watches have other ones than
    belts.
    """

    category_names: Tensor

    def __init__(
        self,
        categories: tuple[str, ...],
        features: Features,
        widths: Sequence[int] = WIDTHS,
        hidden: Sequence[int] = HIDDEN,
    ) -> None:
        super().__init__()
        self.eyes = features
        self.bodies = nn.ModuleList(body(k, width, h) for k, (width, h) in enumerate(zip(widths, hidden, strict=True)))
        self.verdict = nn.Linear(sum(hidden), 1, bias=False)
        self.register_buffer("category_names", names.as_tensor(categories))

    @property
    def categories(self) -> tuple[str, ...]:
        """Those that it was trained on."""
        return names.of_tensor(self.category_names)

    def seen(self, pictures: Tensor) -> Tensor:
        """The input of the last layer: the mean of each channel over the picture, (N, D)."""
        if pictures.shape[2:] != (SEEN_PX, SEEN_PX):
            pictures = F.interpolate(pictures, (SEEN_PX, SEEN_PX), mode="bilinear", antialias=True)
        return torch.cat([net(x).mean((2, 3)) for net, x in zip(self.bodies, self.eyes(pictures), strict=True)], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.verdict(self.seen(pictures))[:, 0]
        return found


def from_state_dict(state: dict[str, Tensor], features: Features) -> Discriminator:
    """The discriminator whose weights these are, over `features`.

    Widths and names are read from the tensors. Strict.
    """
    known = names.of_tensor(state["category_names"])
    layers = sum(key.startswith("bodies.") and key.endswith(".0.weight") for key in state)
    shapes = [state[f"bodies.{k}.0.weight"].shape for k in range(layers)]
    network = Discriminator(known, features, [s[1] for s in shapes], [s[0] for s in shapes])
    network.load_state_dict(state | {f"eyes.{key}": tensor for key, tensor in features.state_dict().items()})
    return network
