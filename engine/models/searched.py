"""A generator whose shape was found by search (engine/train/search.py), and the space it was found in.

It has the latent, the mixture and the start and end of `engine.models.generator`; what differs is the body between: how
wide each size is, how many residual blocks of which kind work there, how sizes are doubled, and by how much the last
layer enlarges at once. Blocks are steered by the latent as there. The kinds: two dense 3x3 convolutions; a bottleneck
around a grouped 3x3 (R3GAN, Huang et al. 2024); two depthwise-separable convolutions (MobileNet, Howard et al. 2017).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import names
from engine.models.generator import COLOUR_DIM, Generator
from engine.models.layers import pixel_norm

KINDS = ("dense", "bottleneck", "separable")
DOUBLINGS = ("nearest", "bilinear", "shuffle")
TAILS = (1, 2, 4)
WIDTHS = ((96, 128, 192), (64, 96, 128), (48, 64, 96), (24, 32, 48, 64))  # choices at 4, 8, 16 and 32 px
REPEATS = (1, 2)  # blocks at each size but the first
_GROUP = 16  # channels that see each other in a grouped convolution


@dataclass(frozen=True)
class Architecture:
    """widths: channels at 4 px and at each doubling after; repeats: blocks at each doubling; tail: the last enlargement
    at once.

    64 px come out: a tail of 1 has four doublings, of 2 three, of 4 two. ValueError for a shape outside the space.
    """

    widths: tuple[int, ...]
    repeats: tuple[int, ...]
    kind: str
    doubling: str
    tail: int

    def __post_init__(self) -> None:
        doublings = {1: 4, 2: 3, 4: 2}.get(self.tail, 0)
        if (
            self.kind not in KINDS
            or self.doubling not in DOUBLINGS
            or len(self.widths) != doublings + 1
            or len(self.repeats) != doublings
        ):
            raise ValueError(f"there is no architecture {self}")

    def __str__(self) -> str:
        return (
            f"{'-'.join(map(str, self.widths))} x{'-'.join(map(str, self.repeats))} {self.kind} {self.doubling}"
            f" tail{self.tail}"
        )


def parse(text: str) -> Architecture:
    """The architecture whose `str` is `text`."""
    widths, repeats, kind, doubling, tail = text.split(" ")
    return Architecture(
        _numbers(widths), _numbers(repeats.removeprefix("x")), kind, doubling, int(tail.removeprefix("tail"))
    )


def space() -> list[Architecture]:
    """Every architecture there is to find, in a fixed order: 16,524."""
    found = []
    for tail, kind, doubling in itertools.product(TAILS, KINDS, DOUBLINGS):
        sizes = 2 if tail == 4 else 3
        for widths in itertools.product(*WIDTHS[: sizes + 1]):
            for repeats in itertools.product(REPEATS, repeat=sizes):
                whole = (*widths, widths[-1] // 2) if tail == 1 else widths
                found.append(Architecture(whole, (*repeats, 1) if tail == 1 else repeats, kind, doubling, tail))
    return found


class SearchedBlock(nn.Module):
    """A residual block (N, inputs, H, W) -> (N, outputs, H, W), steered by a condition (N, condition_dim)."""

    def __init__(self, inputs: int, outputs: int, condition_dim: int, kind: str) -> None:
        super().__init__()
        middle = max(_GROUP, outputs // 2) if kind == "bottleneck" else outputs
        if kind == "dense":
            first, second = [nn.Conv2d(inputs, middle, 3, padding=1)], [nn.Conv2d(middle, outputs, 3, padding=1)]
        elif kind == "bottleneck":
            groups = max(1, middle // _GROUP)
            first = [nn.Conv2d(inputs, middle, 1), nn.Conv2d(middle, middle, 3, padding=1, groups=groups)]
            second = [nn.Conv2d(middle, outputs, 1)]
        else:
            first = [nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs), nn.Conv2d(inputs, middle, 1)]
            second = [nn.Conv2d(middle, middle, 3, padding=1, groups=middle), nn.Conv2d(middle, outputs, 1)]
        self.first, self.second = nn.Sequential(*first), nn.Sequential(*second)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.steer = nn.Linear(condition_dim, 2 * middle)

    def start_plain(self) -> None:
        """Weights with which the condition hardly steers and the branch adds nothing."""
        nn.init.normal_(self.steer.weight, std=0.02)
        for parameter in self.second[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, shift = self.steer(condition)[:, :, None, None].chunk(2, 1)
        y = pixel_norm(self.first(x)) * (1 + gain) + shift
        return F.leaky_relu(pixel_norm(self.skip(x) + self.second(F.leaky_relu(y, 0.2))), 0.2)


class Searched(Generator):
    """Latent (N, D) and category (N,) -> product pictures (N, 3, 64, 64) in [0, 1], by a body of `architecture`."""

    architecture_text: Tensor

    def __init__(
        self,
        categories: tuple[str, ...],
        architecture: Architecture,
        latent_dim: int = 96 + COLOUR_DIM,
        components: int | None = None,
    ) -> None:
        super().__init__(categories, latent_dim, (architecture.widths[0], 4), components)
        self.architecture = architecture
        condition_dim = latent_dim + self.embed.embedding_dim
        stages = []
        for (inputs, outputs), repeats in zip(
            itertools.pairwise(architecture.widths), architecture.repeats, strict=True
        ):
            inputs = inputs // 4 if architecture.doubling == "shuffle" else inputs
            stages.append(
                nn.ModuleList(
                    SearchedBlock(inputs if k == 0 else outputs, outputs, condition_dim, architecture.kind)
                    for k in range(repeats)
                )
            )
        self.blocks = nn.ModuleList(stages)
        del self.tail
        self.to_rgb = nn.Conv2d(architecture.widths[-1], 3 * architecture.tail**2, 3, padding=1)
        for module in (*self.blocks.modules(), self.to_rgb):
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, 0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.blocks.modules():
            if isinstance(module, SearchedBlock):
                module.start_plain()
        self.register_buffer("architecture_text", torch.tensor(list(str(architecture).encode()), dtype=torch.uint8))

    @property
    def size_px(self) -> int:
        return 64

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        condition = torch.cat([latents, self.embed(labels)], 1)
        x = self.start(condition).view(len(latents), -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(pixel_norm(x), 0.2)
        for stage in self.blocks:
            x = _doubled(x, self.architecture.doubling)
            for block in stage.children():
                x = block(x, condition)
        x = 0.8 + 0.2 * F.pixel_shuffle(self.to_rgb(x), self.architecture.tail)
        return x if self.training else x.clamp(0, 1)


def from_state_dict(state: dict[str, Tensor]) -> Searched:
    """The generator whose weights these are; its architecture is read from a buffer of it. Strict."""
    known = names.of_tensor(state["category_names"])
    components, latent_dim = state["means"].shape
    network = Searched(known, parse(bytes(state["architecture_text"].tolist()).decode()), latent_dim, components)
    network.load_state_dict(state)
    return network


def _doubled(x: Tensor, how: str) -> Tensor:
    if how == "shuffle":
        return F.pixel_shuffle(x, 2)
    return F.interpolate(x, scale_factor=2, mode=how, align_corners=False if how == "bilinear" else None)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("-")))
