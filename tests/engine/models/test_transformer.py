"""Johnson's network of one style: its layers against the plain formula, its contract, and tiles that see the whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.transformer import REACH_PX, TransformerNet, from_state_dict
from engine.runtime import tiles
from engine.weights import TABLE

ROWS = [row for row in TABLE if row.name.startswith("johnson-")]


def network(widths: tuple[int, int, int] = (4, 6, 8), blocks: int = 2) -> TransformerNet:
    """Random in every parameter; its pictures are spread around grey."""
    torch.manual_seed(0)
    net = TransformerNet(widths, blocks)
    for name, parameter in net.named_parameters():
        if ".conv2d." not in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    net.eval().requires_grad_(False)
    state = net.state_dict()
    state["deconv3.conv2d.weight"] *= 60
    state["deconv3.conv2d.bias"] += 127
    return net


def photo(height: int, width: int) -> Tensor:
    """Dark at one corner and light at the other, with noise: tiles by themselves would differ."""
    ramp = torch.linspace(0, 0.6, height)[:, None] * torch.linspace(0.2, 1, width)
    return (ramp + 0.4 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))).clamp(0, 1)


def by_formula(state: dict[str, Tensor], x: Tensor, blocks: int) -> Tensor:
    """The network written out with torch's own functions."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv2d.weight"]
        reach = weight.shape[-1] // 2
        return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), weight, state[f"{name}.conv2d.bias"], stride)

    def norm(name: str, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"])

    y = norm("in1", conv("conv1", 255 * x)).relu()
    y = norm("in2", conv("conv2", y, 2)).relu()
    y = norm("in3", conv("conv3", y, 2)).relu()
    for k in range(1, blocks + 1):
        z = norm(f"res{k}.in1", conv(f"res{k}.conv1", y)).relu()
        y = y + norm(f"res{k}.in2", conv(f"res{k}.conv2", z))
    y = norm("in4", conv("deconv1", y.repeat_interleave(2, 2).repeat_interleave(2, 3))).relu()
    y = norm("in5", conv("deconv2", y.repeat_interleave(2, 2).repeat_interleave(2, 3))).relu()
    return (conv("deconv3", y) / 255).clamp(0, 1)


def test_the_layers_are_those_of_the_paper_s_supplement_with_instance_norms() -> None:
    net, x = network(), photo(24, 32)
    torch.testing.assert_close(net(x), by_formula(net.state_dict(), x, 2), atol=1e-5, rtol=0)


def test_it_has_the_names_and_the_size_of_the_hub_s_files() -> None:
    with torch.device("meta"):
        state = TransformerNet().state_dict()
    assert len(state) == 62
    numbers = sum(tensor.numel() for tensor in state.values())
    assert numbers == 1_679_235
    sizes = {row.size for row in ROWS}
    assert all(0 < size - 4 * numbers < 15_000 for size in sizes if size), "the rest of the file is its graph"
    assert {
        "conv1.conv2d.weight",
        "in1.weight",
        "res5.conv2.conv2d.bias",
        "res5.in2.bias",
        "deconv1.conv2d.weight",
        "in5.bias",
    } <= set(state)
    assert state["conv1.conv2d.weight"].shape == (32, 3, 9, 9)
    assert state["deconv2.conv2d.weight"].shape == (32, 64, 3, 3)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 20), (32, 8)])
def test_any_multiple_of_four_from_eight_up_keeps_its_size_and_its_range(height: int, width: int) -> None:
    net = network()
    net.deconv3.conv2d.weight *= 100
    y = net(photo(height, width))
    assert y.shape == (1, 3, height, width)
    assert y.amin() == 0
    assert y.amax() == 1


def test_a_network_is_rebuilt_from_its_weights_alone_also_from_half() -> None:
    net, x = network((2, 3, 5), 3), photo(16, 16)
    assert torch.equal(from_state_dict(net.state_dict())(x), net(x))
    half = from_state_dict({key: tensor.half() for key, tensor in net.state_dict().items()})
    torch.testing.assert_close(half(x), net(x), atol=0.01, rtol=0)


@pytest.mark.parametrize("key", ["conv1.conv2d.weight", "res2.in1.bias", "deconv3.conv2d.bias"])
def test_a_missing_or_surplus_tensor_is_refused(key: str) -> None:
    state = network().state_dict()
    with pytest.raises(RuntimeError, match="Unexpected"):
        from_state_dict(state | {f"{key}.more": torch.zeros(1)})
    del state[key]
    with pytest.raises((RuntimeError, KeyError), match=r"Missing|conv1"):
        from_state_dict(state)


def test_a_batch_of_two_equals_two_batches_of_one() -> None:
    net, x = network(), torch.cat((photo(16, 24), 0.5 * photo(16, 24).flip(3)))
    torch.testing.assert_close(net(x), torch.cat([net(x[:1]), net(x[1:])]), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        net.measure(x), torch.cat([net.measure(x[:1]), net.measure(x[1:])]), atol=1e-3, rtol=1e-4
    )


def test_its_own_statistics_change_nothing_and_those_of_another_picture_do() -> None:
    net, x = network(), photo(24, 24)
    statistics = net.measure(x)
    assert statistics.shape == (1, 2, net.channels)
    torch.testing.assert_close(net(x, statistics), net(x), atol=1e-6, rtol=0)
    assert (net(x, net.measure(0.3 * x)) - net(x)).abs().mean() > 0.02
    both = net(torch.cat((x, x.flip(2))), statistics)
    torch.testing.assert_close(both[:1], net(x), atol=1e-5, rtol=0)


def test_the_first_statistics_are_the_mean_and_deviation_of_the_first_convolution() -> None:
    net, x = network(), photo(24, 24)
    activations = net.conv1(255 * x).double().flatten(2)
    mean, deviation = net.measure(x)[0, :, :4]
    torch.testing.assert_close(mean, activations.mean(2)[0].float(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(
        deviation, (activations.var(2, correction=0) + 1e-5).sqrt()[0].float(), atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_flat_picture_stays_finite_and_flat_inside(grey: float) -> None:
    y = network()(torch.full((1, 3, 16, 16), grey))
    assert y.isfinite().all()
    assert y.std((2, 3)).amax() < 0.2


def test_a_pixel_sees_as_far_as_is_said_and_no_farther() -> None:
    net, x = network(blocks=5), photo(128, 8)
    statistics = net.measure(x)
    reach = 0
    for row in range(124, 128):
        other = x.clone()
        other[:, :, row - 64 :] = 1 - other[:, :, row - 64 :]
        changed = (net(other, statistics) - net(x, statistics)).abs().amax((0, 1, 3)).nonzero()
        reach = max(reach, row - 64 - int(changed.min()))
    assert 40 < reach <= REACH_PX
    assert all(row.tiling.overlap_px >= REACH_PX for row in ROWS)


def test_tiles_with_the_statistics_of_the_whole_are_the_whole() -> None:
    net = network(blocks=5)
    tiling = ROWS[0].tiling
    x = photo(100, 420)
    padded = F.pad(x, (0, 4, 0, 4), mode="reflect")  # what the tiler does to reach a multiple of 8
    statistics, whole = net.measure(padded), net(padded)[:, :, :100, :420]
    assert (painted(net, x, tiling, statistics) - whole).abs().amax() < 2 / 255
    assert (painted(net, x, tiling, None) - whole).abs().amax() > 8 / 255, (
        "without them every tile has its own contrast"
    )


def test_statistics_of_a_smaller_copy_leave_no_seam() -> None:
    net = network(blocks=5)
    tiling = ROWS[0].tiling
    x = photo(416, 96)
    statistics = net.measure(F.interpolate(x, size=(208, 48), mode="bilinear", antialias=True))
    assert (painted(net, x, tiling, statistics) - net(x, statistics)).abs().amax() < 2 / 255


def painted(net: TransformerNet, x: Tensor, tiling: tiles.Tiling, statistics: Tensor | None) -> Tensor:
    """In tiles as small as the tiling allows."""
    work = tiles.run(lambda tile: net(tile, statistics), x, tiling, memory=0)
    count = 0
    while True:
        try:
            count = next(work)[1]
        except StopIteration as end:
            assert count >= 3
            return end.value
