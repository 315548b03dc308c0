"""The teacher of `faststyle`: MicroAST (Wang et al., AAAI 2023), rebuilt from its description to give pictures to learn
from.

Nothing here is shipped or loaded by the app; the recipe and the measuring are given the teacher's file with --teacher.
Every convolution is preceded by reflection padding; activations are ReLU.
"""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

STRIDES = ((0, 1), (2, 2), (4, 1), (6, 2), (8, 1))  # (key in the file, stride) of an encoder's convolutions
UPS = ((1, 3), (6, 8))  # keys of the decoder's pairs after each enlargement


class MicroAst:
    """(photo, style) -> the photo in that style; both (N, 3, H, W) in [0, 1], sides of the photo multiples of 4."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self._state = state

    def __call__(self, photo: Tensor, style: Tensor) -> Tensor:
        content, manner = self.encode("content_encoder", photo), self.encode("style_encoder", style)
        gains = [self._mean_of(f"modulator.weight{k + 1}.0", level) for k, level in enumerate(manner)]
        shifts = [self._mean_of(f"modulator.bias{k + 1}.0", level) for k, level in enumerate(manner)]
        x = self._modulated("decoder.dec1", _adain(content[1], manner[1]), gains[1], shifts[1])
        x = self._modulated("decoder.dec2", _adain(x, manner[0]), gains[0], shifts[0])
        for wide, narrow in UPS:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.relu(self._conv(f"decoder.dec3.{wide}", x))
            x = F.relu(self._conv(f"decoder.dec3.{narrow}", x))
        return self._conv("decoder.dec3.10", x).clamp(0, 1)

    def encode(self, part: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both levels of an encoder, (N, 64, H / 4, W / 4) each."""
        for key, stride in STRIDES:
            x = F.relu(self._conv(f"{part}.enc1.{key}", x, stride))
        first = self._residual(f"{part}.enc1.10", x)
        return first, self._residual(f"{part}.enc2.0", first)

    def _conv(self, key: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = (self._state[f"{key}.conv_layer.{part}"] for part in ("weight", "bias"))
        pad = weight.shape[-1] // 2
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        return F.conv2d(x, weight, bias, stride=stride, groups=x.shape[1] // weight.shape[1])

    def _residual(self, key: str, x: Tensor) -> Tensor:
        return x + self._conv(f"{key}.conv2", F.relu(self._conv(f"{key}.conv1", x)))

    def _modulated(self, key: str, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        y = F.relu(gain * self._conv(f"{key}.conv1", x) + shift * x)
        return x + gain * self._conv(f"{key}.conv2", y) + shift * y

    def _mean_of(self, key: str, level: Tensor) -> Tensor:
        return self._conv(key, level).mean((2, 3), keepdim=True)


def _adain(content: Tensor, style: Tensor) -> Tensor:
    """AdaIN (Huang and Belongie, ICCV 2017): the content's channels take the style's mean and deviation."""

    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True) + 1e-5).sqrt()

    (mean, deviation), (style_mean, style_deviation) = statistics(content), statistics(style)
    return (content - mean) / deviation * style_deviation + style_mean


def from_file(file: Path) -> MicroAst:
    """The teacher whose weights lie in a safetensors file with the authors' keys, each part's name in front."""
    return MicroAst({key: tensor.float() for key, tensor in load_file(file).items()})
