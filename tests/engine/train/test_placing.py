"""Where a recipe's arithmetic happens: batches follow the network, formats are asked for and not guessed."""

from __future__ import annotations

import pytest
import torch
from pretend import GPU, gpu
from torch import nn

from engine.contract import RequestError
from engine.models.features import Features
from engine.runtime.device import multiplies_bf16
from engine.train import loop, placing
from engine.train.perceptual import Perceptual


def test_a_batch_on_the_cpu_follows_the_network_to_its_device() -> None:
    """The device `meta` stands in for a GPU: it has shapes and places, and no numbers."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to("meta")
    with placing.arithmetic(torch.device("meta"), torch.float32):
        made = network(torch.rand(2, 3, 8, 8))
        mixed = torch.cat([made, torch.zeros(2, 4, 6, 6)])
        alone = torch.rand(3) + torch.rand(3)
    assert made.device.type == mixed.device.type == "meta"
    assert alone.device.type == "cpu", "what meets nothing on the device stays"


def test_what_is_written_into_stays_where_it_is() -> None:
    into = torch.zeros(3, 2)
    with gpu(), placing.beside(GPU):
        there = torch.ones(2).to(GPU)
        into[0] = there
        into[1].copy_(there)
        into[2].add_(there)
        there[torch.tensor([True, False])] = torch.zeros(1)
        assert there.tolist() == [0, 1]
    assert into.tolist() == [[1, 1]] * 3


def test_all_networks_of_a_recipe_are_found_also_within_what_it_holds() -> None:
    recipe, held = loop.Recipe(), [nn.Linear(1, 1) for _ in range(3)]
    recipe.modules = {"network": held[0]}
    recipe.teacher = [held[1]]  # type: ignore[attr-defined]
    recipe.loss = Perceptual(Features((1, 1, 1, 1, 1)), torch.rand(2, 3, 32, 32))  # type: ignore[attr-defined]
    recipe.others = {"a": (held[2], recipe)}  # type: ignore[attr-defined]
    assert set(placing.networks_of(recipe)) == {*held, recipe.loss.features}  # type: ignore[attr-defined]


def test_bf16_is_of_products_alone() -> None:
    x = torch.rand(1, 3, 8, 8)
    with placing.arithmetic(torch.device("cpu"), torch.bfloat16):
        made = nn.Conv2d(3, 4, 3)(x)
        loss = torch.nn.functional.mse_loss(made, torch.zeros_like(made))
    assert made.dtype == torch.bfloat16
    assert loss.dtype == torch.float32


def test_auto_asks_the_processor() -> None:
    wanted = torch.bfloat16 if multiplies_bf16() else torch.float32
    assert placing.chosen("cpu", "auto") == (torch.device("cpu"), wanted)
    assert placing.chosen("cpu", "bf16")[1] == torch.bfloat16
    assert placing.chosen("cpu", "fp32")[1] == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(RequestError, match="no GPU that PyTorch can use"):
        placing.chosen("cuda", "fp32")
