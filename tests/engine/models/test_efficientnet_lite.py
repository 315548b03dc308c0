"""EfficientNet-Lite0: shapes, the folded normalisation, TensorFlow's padding, and the package's file where it is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.efficientnet_lite import CHANNELS, EfficientNetLite0, InvertedResidual, Same, from_package


def as_package(network: EfficientNetLite0) -> dict[str, Tensor]:
    """The network's weights under the package's names, its biases as a batch normalisation of variance 1 - epsilon."""
    state: dict[str, Tensor] = {}

    def lay(convolution: Same, weights: str, norm: str) -> None:
        bias = convolution.bias
        assert bias is not None
        state[f"{weights}.weight"] = convolution.weight.detach() / 2
        state[f"{norm}.weight"] = torch.full_like(bias, 4.0).detach()
        state[f"{norm}.bias"] = bias.detach() + 6
        state[f"{norm}.running_mean"] = torch.full_like(bias, 3.0).detach()
        state[f"{norm}.running_var"] = torch.full_like(bias, 4.0 - 1e-3).detach()

    lay(network.stem, "_conv_stem", "_bn0")
    for k, block in enumerate(m for m in network.modules() if isinstance(m, InvertedResidual)):
        if block.expand is not None:
            lay(block.expand, f"_blocks.{k}._expand_conv", f"_blocks.{k}._bn0")
        lay(block.depthwise, f"_blocks.{k}._depthwise_conv", f"_blocks.{k}._bn1")
        lay(block.project, f"_blocks.{k}._project_conv", f"_blocks.{k}._bn2")
    return state


def test_each_size_is_half_of_the_last() -> None:
    seen = EfficientNetLite0()(torch.rand(1, 3, 64, 96))
    assert [tuple(t.shape) for t in seen] == [(1, c, 64 // 2**k, 96 // 2**k) for k, c in enumerate(CHANNELS, 1)]


def test_the_normalisation_of_the_package_is_folded_in() -> None:
    network = EfficientNetLite0()
    read = from_package(as_package(network))
    for name, parameter in network.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], parameter, msg=name)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(read(x), network(x))


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(KeyError):
        from_package({"head.weight": torch.zeros(1)})


@pytest.mark.parametrize(("kernel", "before", "after"), [(3, 0, 1), (5, 1, 2)])
def test_strides_pad_more_at_the_far_side(kernel: int, before: int, after: int) -> None:
    convolution = Same(2, 3, kernel, 2)
    x = torch.rand(1, 2, 8, 8)
    padded = F.pad(x, (before, after, before, after))
    expected = F.conv2d(padded, convolution.weight, convolution.bias, 2)
    torch.testing.assert_close(convolution(x), expected)


def test_black_and_white_are_minus_one_and_one() -> None:
    network = EfficientNetLite0()
    seen: list[Tensor] = []
    network.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)]))
    assert seen[0][0].unique().tolist() == [-1.0]
    assert seen[0][1].unique().tolist() == [1.0]


def test_only_blocks_of_one_size_and_width_are_residual() -> None:
    residual = [m.residual for m in EfficientNetLite0().modules() if isinstance(m, InvertedResidual)]
    firsts = {0, 1, 3, 5, 8, 11, 15}
    assert residual == [k not in firsts for k in range(16)]
    assert isinstance(EfficientNetLite0().stem, nn.Conv2d)
