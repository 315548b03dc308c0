"""Many styles in one network: mixing, sizes, batches, statistics; and the losses' network, from its packed file."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import paint, vgg_original
from engine.weights import int8

ROWS = 4


@pytest.fixture
def network() -> paint.Paint:
    """As it is after training: rows differ."""
    torch.manual_seed(0)
    painter = paint.Paint(ROWS, fine=8, width=16, full=4, blocks=2).eval()
    torch.nn.init.normal_(painter.scale, 1, 0.3)
    torch.nn.init.normal_(painter.shift, 0, 0.3)
    torch.nn.init.normal_(painter.tail.weight, std=0.3)
    return painter


def one(*rows: int) -> Tensor:
    return F.one_hot(torch.tensor(rows), ROWS).float()


def noise(height: int, width: int, count: int = 1) -> Tensor:
    size = (count, paint.NOISE_CHANNELS, -(-height // 4), -(-width // 4))
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def test_it_is_as_small_as_the_issue_asks() -> None:
    shipped = paint.Paint(len(paint.PRESETS) * len(paint.BRUSHES))
    packed = int8.pack(shipped.state_dict(), few=int8.FEW_MOST, keep=("scale", "shift"))
    assert sum(t.numel() * (1 if t.dtype == torch.int8 else 2) for t in packed.values()) <= 3_000_000
    weights = {name: m.weight.numel() for name, m in shipped.named_modules() if isinstance(m, torch.nn.Conv2d)}
    half = sum(weights.pop(name) for name in ("head", "up", "spread"))
    assert weights.pop("tail") + half / 4 + sum(weights.values()) / 16 <= 60_000


def test_every_preset_and_brush_has_a_row_of_its_own() -> None:
    rows = [paint.row(preset, brush) for preset in paint.PRESETS for brush in paint.BRUSHES]
    assert rows == list(range(len(paint.PRESETS) * len(paint.BRUSHES)))
    assert len(set(paint.PRESETS)) >= 24


@torch.no_grad()
def test_a_share_of_one_is_that_style_alone(network: paint.Paint) -> None:
    x, grain = torch.rand(1, 3, 24, 32), noise(24, 32)
    alone = network.painted(x, network.scale[2:3], network.shift[2:3], grain)[0]
    torch.testing.assert_close(network(x, one(2), grain), alone)
    assert not torch.allclose(network(x, one(1), grain), alone, atol=1e-2)


@torch.no_grad()
def test_mixed_styles_are_the_style_of_the_mixed_rows(network: paint.Paint) -> None:
    x, grain = torch.rand(1, 3, 24, 32), noise(24, 32)
    scale, shift = (0.25 * part[0:1] + 0.75 * part[3:4] for part in (network.scale, network.shift))
    mixed = network(x, 0.25 * one(0) + 0.75 * one(3), grain)
    torch.testing.assert_close(mixed, network.painted(x, scale, shift, grain)[0])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 19), (30, 33), (21, 40)])
@torch.no_grad()
def test_any_size_goes_in_and_comes_out(network: paint.Paint, height: int, width: int) -> None:
    made = network(torch.rand(1, 3, height, width), one(0), noise(height, width))
    assert made.shape == (1, 3, height, width)
    assert 0 <= made.min() <= made.max() <= 1


@torch.no_grad()
def test_a_batch_of_two_is_two_of_one(network: paint.Paint) -> None:
    x, shares, grain = torch.rand(2, 3, 24, 20), one(1, 3), noise(24, 20, 2)
    both = network(x, shares, grain)
    for k in range(2):
        torch.testing.assert_close(both[k : k + 1], network(x[k : k + 1], shares[k : k + 1], grain[k : k + 1]))


@torch.no_grad()
def test_a_channel_is_normalised_then_scaled_and_shifted() -> None:
    x, scale, shift = torch.rand(2, 3, 9, 8), torch.tensor([[2.0, 1, 3]] * 2), torch.tensor([[0.0, 5, -1]] * 2)
    y = paint._Norms([3], scale, shift, None)(x)
    torch.testing.assert_close(y.mean((2, 3)), shift)
    deviation = x.var((2, 3), correction=0)
    torch.testing.assert_close(y.std((2, 3), correction=0), scale * (deviation / (deviation + paint.EPSILON)).sqrt())


@torch.no_grad()
def test_with_its_own_statistics_it_gives_the_same_picture(network: paint.Paint) -> None:
    x, grain = torch.rand(1, 3, 24, 32), noise(24, 32)
    seen = network.statistics(x, one(1), grain)
    torch.testing.assert_close(network(x, one(1), grain, seen), network(x, one(1), grain))


@torch.no_grad()
def test_tiles_with_statistics_measured_once_are_the_picture_whole(network: paint.Paint) -> None:
    x, grain = torch.rand(1, 3, 32, 256), noise(32, 256)
    small = F.interpolate(x, (16, 128), mode="bilinear", antialias=True)
    seen = network.statistics(small, one(1), noise(16, 128))
    whole = network(x, one(1), grain, seen)
    left = network(x[..., :176], one(1), grain[..., :44], seen)
    right = network(x[..., 80:], one(1), grain[..., 20:], seen)
    torch.testing.assert_close(torch.cat([left[..., :128], right[..., 48:]], 3), whole, atol=1e-5, rtol=1e-4)
    alone = network(x[..., :176], one(1), grain[..., :44])
    assert (alone[..., :128] - whole[..., :128]).abs().max() > 1e-3  # by their own statistics tiles would differ


@torch.no_grad()
def test_weights_say_their_sizes(network: paint.Paint) -> None:
    again = paint.from_state_dict(network.state_dict())
    x, grain = torch.rand(1, 3, 16, 16), noise(16, 16)
    torch.testing.assert_close(again(x, one(3), grain), network(x, one(3), grain))
    with pytest.raises(RuntimeError):
        paint.from_state_dict({**network.state_dict(), "more": torch.zeros(1)})


def packed_vgg(width: int = 2) -> dict[str, Tensor]:
    """A stand-in for the file, with few channels: 8-bit indices, a table of numbers and biases."""
    generator, state, inputs = torch.Generator().manual_seed(0), {}, 3
    for block, count in enumerate(vgg_original.BLOCKS, 1):
        for k in range(1, count + 1):
            name = f"block{block}_conv{k}"
            state[f"{name}_W_q"] = torch.randint(256, (width, inputs, 3, 3), generator=generator, dtype=torch.uint8)
            state[f"{name}_W_table"] = torch.randn(256, generator=generator) / 100
            state[f"{name}_b"] = torch.randn(width, generator=generator)
            inputs = width
    return state


@torch.no_grad()
def test_the_first_layer_sees_what_caffe_would() -> None:
    state = packed_vgg()
    network = vgg_original.from_state_dict(vgg_original.unpacked(state))
    x = torch.rand(1, 3, 16, 16)
    bgr = 255 * x.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    weight = state["block1_conv1_W_table"][state["block1_conv1_W_q"].long()]
    first = F.relu(F.conv2d(bgr, weight, state["block1_conv1_b"], padding=1))
    torch.testing.assert_close(network(x, 1)[0], first, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_layers_halve_and_depth_stops_early() -> None:
    state = packed_vgg()
    x = torch.rand(1, 3, 32, 48)
    seen = vgg_original.frozen(state)(x)
    assert [tuple(a.shape[-2:]) for a in seen] == [(32 >> k, 48 >> k) for k in range(5)]
    again = vgg_original.from_state_dict(vgg_original.unpacked(state))(x, 2)
    assert len(again) == 2
    for ours, theirs in zip(again, seen, strict=False):
        torch.testing.assert_close(ours, theirs)
