"""Weights in a byte each."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from engine.weights.int8 import pack, unpack
from engine.weights.network import read_tensors


def state() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    loud = torch.tensor([0.1, 1.0, 50.0, 0.0]).view(-1, 1, 1, 1)
    return {
        "a.weight": loud * torch.randn(4, 3, 3, 3, generator=rng),
        "a.bias": torch.randn(4, generator=rng),
        "names": torch.tensor([7, 9], dtype=torch.uint8),
    }


def test_each_channel_is_off_by_at_most_half_of_its_own_step() -> None:
    plain = state()
    again = unpack(pack(plain))
    assert again.keys() == plain.keys()
    step = plain["a.weight"].flatten(1).abs().amax(1) / 127
    off = (again["a.weight"] - plain["a.weight"]).flatten(1).abs().amax(1)
    assert bool((off <= 0.6 * step).all())  # a scale is rounded to fp16
    assert bool((again["a.weight"][3] == 0).all())


def test_vectors_and_whole_numbers_stay_as_they_are() -> None:
    plain = state()
    packed = pack(plain)
    assert packed["a.weight"].dtype == torch.int8
    for key in ("a.bias", "names"):
        assert torch.equal(packed[key], plain[key])


def test_what_is_small_or_named_stays_as_it_is() -> None:
    plain = {"small": torch.ones(2, 5), "large": torch.ones(2, 50), "named": torch.ones(2, 50)}
    packed = pack(plain, few=10, keep=("named",))
    assert packed["large"].dtype == torch.int8
    assert packed["small"] is plain["small"]
    assert packed["named"] is plain["named"]


def test_weights_that_are_whole_steps_come_back_exactly() -> None:
    whole = {"w": torch.tensor([[127.0, -3.0, 0.0], [-127.0, 64.0, 1.0]]) * torch.tensor([[0.5], [2.0]])}
    assert torch.equal(unpack(pack(whole))["w"], whole["w"])


def test_a_state_that_was_not_packed_passes_as_it_is() -> None:
    """A scale of its own is a parameter like any other."""
    plain = {"norm": torch.ones(2, 2), "norm.scale": torch.ones(2), "codes": torch.ones(2, 2, dtype=torch.int8)}
    again = unpack(plain)
    assert again.keys() == plain.keys()
    assert all(again[key] is plain[key] for key in plain)


def test_a_file_is_read_as_the_weights_it_stands_for(tmp_path) -> None:
    save_file(pack(state()), tmp_path / "some.safetensors")
    read = read_tensors(tmp_path / "some.safetensors", ())
    assert torch.equal(read["a.weight"], unpack(pack(state()))["a.weight"])
    assert "a.weight.scale" not in read
