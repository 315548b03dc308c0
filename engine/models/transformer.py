"""One network per style, in one pass: the image transformation network of Johnson et al. 2016 (Perceptual Losses).

As in the files of the ONNX model zoo: instance normalisation (Ulyanov et al. 2016) where the paper has batch
normalisation, reflected borders, and nearest-neighbour enlargement before a convolution (Odena et al. 2016) where it
has transposed convolutions. Inside, pictures are 0 to 255. Where we leave them: a normalisation may be given the mean
and deviation of the whole picture, so that a tile is painted as if the rest of the picture were there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH_PX = 57  # how far a pixel sees when the statistics are given; 40 of it through the blocks
_EPSILON = 1e-5


class _Statistics:
    """Mean and deviation for each normalisation in its turn: what was given, or else those of the activations."""

    def __init__(self, given: Tensor | None = None) -> None:
        self._given = given
        self.used: list[Tensor] = []

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Two of (N, C, 1, 1) for activations (N, C, H, W)."""
        if self._given is None:
            # In float32, because sums over a picture overflow half; in two passes, a fifth of what torch.var_mean takes
            # on a CPU.
            mean = x.mean((2, 3), dtype=torch.float32)
            variance = (x - mean[..., None, None]).square_().mean((2, 3))
            used = torch.stack((mean, (variance + _EPSILON).sqrt()), 1)
        else:
            start = sum(u.shape[2] for u in self.used)
            used = self._given[:, :, start : start + x.shape[1]].float()
        self.used.append(used)
        return used[:, 0, :, None, None], used[:, 1, :, None, None]


class Conv(nn.Module):
    """A convolution that keeps the size, or halves it with stride 2; borders are reflected."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv2d(x)
        return found


class Normalise(nn.Module):
    """Instance normalisation with a learned scale and shift for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, statistics: _Statistics) -> Tensor:
        mean, deviation = statistics.of(x)
        scale = self.weight[:, None, None] / deviation
        shift = self.bias[:, None, None] - mean * scale
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), (N, width, H, W) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.in1 = Conv(width, width, 3), Normalise(width)
        self.conv2, self.in2 = Conv(width, width, 3), Normalise(width)

    def forward(self, x: Tensor, statistics: _Statistics) -> Tensor:
        y = F.relu(self.in1(self.conv1(x), statistics))
        found: Tensor = x + self.in2(self.conv2(y), statistics)
        return found


class TransformerNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> the picture in the style, same shape and range; H and W multiples of 4, at least 8.

    The statistics of its normalisations are the whole picture's: a tile by itself would get another contrast and other
    colours than its neighbour. So `measure` a copy that fits into memory and give the result to every tile; measured
    on the picture itself, tiles with REACH_PX of context around them are exactly the whole.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128), blocks: int = 5) -> None:
        super().__init__()
        full, half, quarter = widths
        self.conv1, self.in1 = Conv(3, full, 9), Normalise(full)
        self.conv2, self.in2 = Conv(full, half, 3, stride=2), Normalise(half)
        self.conv3, self.in3 = Conv(half, quarter, 3, stride=2), Normalise(quarter)
        for k in range(1, blocks + 1):
            setattr(self, f"res{k}", ResidualBlock(quarter))
        self.deconv1, self.in4 = Conv(quarter, half, 3), Normalise(half)
        self.deconv2, self.in5 = Conv(half, full, 3), Normalise(full)
        self.deconv3 = Conv(full, 3, 9)
        self._blocks = blocks
        self.channels = 2 * (full + half) + (1 + 2 * blocks) * quarter  # of all normalisations

    def forward(self, x: Tensor, statistics: Tensor | None = None) -> Tensor:
        """`statistics`: what `measure` gave, of one picture for all, or (N, 2, channels); by default those of `x`."""
        if statistics is not None and statistics.shape[1:] != (2, self.channels):
            raise ValueError(f"Statistics of (N, 2, {self.channels}) were expected, not {tuple(statistics.shape)}.")
        y = self._features(x, _Statistics(statistics))
        found: Tensor = (self.deconv3(y) / 255).clamp(0, 1)
        return found

    def measure(self, x: Tensor) -> Tensor:
        """Mean and deviation before each normalisation for (N, 3, H, W) in [0, 1]: (N, 2, channels), float32.

        A smaller copy has other statistics than the picture, because the brush keeps its size in pixels: the result
        is then close to the whole in one piece, and the same all over the picture.
        """
        statistics = _Statistics()
        self._features(x, statistics)
        return torch.cat(statistics.used, 2)

    def _features(self, x: Tensor, statistics: _Statistics) -> Tensor:
        """All but the last convolution: (N, full, H, W)."""
        y = F.relu(self.in1(self.conv1(x * 255), statistics))
        y = F.relu(self.in2(self.conv2(y), statistics))  # (N, half, H/2, W/2)
        y = F.relu(self.in3(self.conv3(y), statistics))  # (N, quarter, H/4, W/4)
        for k in range(1, self._blocks + 1):
            y = getattr(self, f"res{k}")(y, statistics)
        y = F.relu(self.in4(self.deconv1(F.interpolate(y, scale_factor=2)), statistics))
        return F.relu(self.in5(self.deconv2(F.interpolate(y, scale_factor=2)), statistics))


def from_state_dict(state: dict[str, Tensor]) -> TransformerNet:
    """The network whose weights these are; widths and depth are read from the keys and shapes. Strict."""
    widths = tuple(state[f"conv{k}.conv2d.weight"].shape[0] for k in (1, 2, 3))
    blocks = sum(key.startswith("res") and key.endswith(".conv1.conv2d.weight") for key in state)
    network = TransformerNet(widths, blocks)  # type: ignore[arg-type]
    network.load_state_dict(state)
    return network
