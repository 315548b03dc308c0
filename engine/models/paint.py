"""Many artworks in one network, in one pass: conditional instance normalisation.

A feed-forward transformer network (Johnson, Alahi & Fei-Fei 2016) whose convolutions are shared by all styles; a style
is nothing but a scale and a shift of every normalised channel (Dumoulin, Shlens & Kudlur, "A Learned Representation
for Artistic Style", 2017). There is one such row per preset and per brush size, and rows mix linearly.
Where we leave the paper: photos enter by pixel unshuffle; the features of half the size also go straight to the end, so
that prints stay legible; and noise comes in, from which strokes grow on surfaces that have no texture of their own.
The statistics can be measured once on a small copy; with them the network is local, and tiles make the picture whole.
Most work happens at a quarter of the size: 50 kMAC per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE_CHANNELS = 4
STEP = 4  # sides are padded to multiples of it
EPSILON = 1e-4

# The rows of the table: PRESETS x BRUSHES, a preset's brushes side by side.
PRESETS = (
    "great-wave",
    "starry-night",
    "water-lilies",
    "the-scream",
    "composition-vii",
    "tableau",
    "woman-with-a-hat",
    "udnie",
    "haystacks",
    "grande-jatte",
    "basket-of-apples",
    "bedroom-in-arles",
    "cherry-tree",
    "shipwreck",
    "contrast-of-forms",
    "portrait-of-metzinger",
    "portrait-of-picasso",
    "lion-tapestry",
    "embroidery",
    "navajo-blanket",
    "madhubani",
    "pink-cloud",
    "the-visit",
    "black-figure-vase",
    "planes",
    "baby",
    "political-drama",
    "glazed-bricks",
)
BRUSHES = ("fine", "medium", "broad")


class Normal(NamedTuple):
    """What a channel is normalised by: its mean and one over its standard deviation, (N, C, 1, 1) each."""

    mean: Tensor
    rate: Tensor


def row(preset: str, brush: str, presets: Sequence[str] = PRESETS) -> int:
    """The row of the table that holds `preset` with `brush`."""
    return presets.index(preset) * len(BRUSHES) + BRUSHES.index(brush)


class _Norms:
    """Hands out scales and shifts layer by layer, and writes down, or takes, the statistics of each layer."""

    def __init__(self, widths: Sequence[int], scale: Tensor, shift: Tensor, given: Sequence[Normal] | None) -> None:
        self._parts = iter(zip(*(torch.split(part, list(widths), 1) for part in (scale, shift)), strict=True))
        self._given = iter(given) if given is not None else None
        self.seen: list[Normal] = []

    def __call__(self, x: Tensor) -> Tensor:
        """(x - mean) / deviation * scale + shift, channel by channel."""
        scale, shift = next(self._parts)
        normal = next(self._given) if self._given else _normal(x)
        self.seen.append(normal)
        factor = scale[:, :, None, None] * normal.rate
        return torch.addcmul((shift[:, :, None, None] - normal.mean * factor).to(x.dtype), x, factor.to(x.dtype))


def _normal(x: Tensor) -> Normal:
    x = x.float()
    mean = x.mean((2, 3), keepdim=True)  # `var_mean` takes four times as long on a CPU
    return Normal(mean, ((x - mean).square().mean((2, 3), keepdim=True) + EPSILON).rsqrt())


class Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), (N, width, H, W) in and out."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, dilation=dilation)
        self.second = _convolution(width, width, dilation=dilation)

    def forward(self, x: Tensor, norm: _Norms) -> Tensor:
        return x + norm(self.second(F.relu(norm(self.first(x)))))


class Paint(nn.Module):
    """(N, 3, H, W) in [0, 1], shares (N, rows) of the table's rows and noise (N, 4, ceil(H / 4), ceil(W / 4)) -> the
    painted picture, (N, 3, H, W) in [0, 1]. Noise of zeros is allowed: then smooth surfaces stay smooth."""

    def __init__(self, rows: int, fine: int = 32, width: int = 80, full: int = 12, blocks: int = 5) -> None:
        super().__init__()
        self.head = _convolution(12, fine)
        self.down = _convolution(fine, width, stride=2)
        self.speckle = nn.Conv2d(NOISE_CHANNELS, width, 1, bias=False)
        # Every other block looks further, for strokes longer than a few pixels.
        self.blocks = nn.ModuleList(Block(width, 1 + k % 2) for k in range(blocks))
        self.up = _convolution(width, fine)
        self.spread = _convolution(fine, 4 * full)
        self.tail = nn.Conv2d(full, 3, 5, padding=2, padding_mode="reflect")
        self.widths = (fine, width, *[width] * (2 * blocks), fine, fine, full)
        self.scale = nn.Parameter(torch.ones(rows, sum(self.widths)))
        self.shift = nn.Parameter(torch.zeros(rows, sum(self.widths)))
        self._begin_without_checkerboards()

    @torch.no_grad()
    def _begin_without_checkerboards(self) -> None:
        """The four channels that become one 2 x 2 square begin alike (ICNR, Aitken et al. 2017)."""
        self.spread.weight.copy_(self.spread.weight[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor, shares: Tensor, noise: Tensor, statistics: Sequence[Normal] | None = None) -> Tensor:
        """statistics: of `statistics`, measured elsewhere; by default those of x itself."""
        return self.painted(x, shares @ self.scale, shares @ self.shift, noise, statistics)[0]

    def statistics(self, x: Tensor, shares: Tensor, noise: Tensor) -> list[Normal]:
        """What x, perhaps a small copy of the picture, is normalised by in each layer."""
        return self.painted(x, shares @ self.scale, shares @ self.shift, noise)[1]

    def painted(
        self, x: Tensor, scale: Tensor, shift: Tensor, noise: Tensor, statistics: Sequence[Normal] | None = None
    ) -> tuple[Tensor, list[Normal]]:
        """The picture and its statistics, by scales and shifts (N, sum of `widths`)."""
        norm = _Norms(self.widths, scale, shift, statistics)
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % STEP, 0, -height % STEP), mode="replicate")
        half = F.relu(norm(self.head(F.pixel_unshuffle(2 * x - 1, 2))))  # (N, fine, H / 2, W / 2)
        y = F.relu(norm(self.down(half) + self.speckle(noise)))  # (N, width, H / 4, W / 4)
        for block in self.blocks:
            y = block(y, norm)
        y = norm(self.up(F.interpolate(y, scale_factor=2, mode="nearest")))
        y = F.relu(y + norm(half))
        y = F.relu(norm(F.pixel_shuffle(self.spread(y), 2)))
        return torch.sigmoid(self.tail(y))[..., :height, :width], norm.seen


def _convolution(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3 x 3, without a bias, which the normalisation behind it would take away."""
    return nn.Conv2d(
        inputs, outputs, 3, stride, padding=dilation, dilation=dilation, padding_mode="reflect", bias=False
    )


def from_state_dict(state: dict[str, Tensor]) -> Paint:
    """The network whose weights these are; sizes are read from the shapes. Strict."""
    blocks = sum(key.startswith("blocks.") and key.endswith("first.weight") for key in state)
    network = Paint(
        len(state["scale"]),
        state["head.weight"].shape[0],
        state["down.weight"].shape[0],
        state["tail.weight"].shape[1],
        blocks,
    )
    network.load_state_dict(state)
    return network
