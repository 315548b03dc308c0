"""Muon: what its update is, and that it goes downhill."""

from __future__ import annotations

import pytest
import torch

from engine.train.muon import Muon, optimizers, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (6, 40), (40, 6)])
def test_the_singular_values_of_an_update_are_about_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    torch.testing.assert_close(orthogonalised(1000 * matrix), orthogonalised(matrix), atol=1e-4, rtol=1e-3)


def test_a_step_is_as_long_as_one_of_adam() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn_like(weight)
    Muon([weight], lr=1e-2).step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2 * 1e-2, rel=0.25)
    assert float((weight.detach() * weight.grad).sum()) < 0


def test_a_weight_without_gradient_stays() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=1.0).step()
    assert torch.equal(weight.detach(), torch.ones(4, 4))


def test_decay_takes_its_part_off_a_weight_whatever_the_gradient() -> None:
    weight = torch.nn.Parameter(torch.full((4, 4), 2.0))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=0.1, decay=0.5).step()
    torch.testing.assert_close(weight.detach(), torch.full((4, 4), 1.9))


def test_a_checkpoint_from_before_there_was_decay_goes_on_without() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    saved = Muon([weight], lr=1.0).state_dict()
    del saved["param_groups"][0]["decay"]
    muon = Muon([weight], lr=1.0, decay=0.5)
    muon.load_state_dict(saved)
    muon.step()
    assert torch.equal(weight.detach(), torch.ones(4, 4))


def test_decay_bounds_the_walk_of_weights_whose_gradient_is_noise() -> None:
    def walked(decay: float) -> float:
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.zeros(8, 8))
        muon = Muon([weight], lr=0.1, decay=decay)
        for _ in range(400):
            weight.grad = torch.randn(8, 8)
            muon.step()
        return float(weight.detach().square().mean().sqrt())

    assert walked(0.5) < 0.4 * walked(0.0)


def test_every_parameter_has_one_optimizer_and_learns() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    both = optimizers(network, 2e-2)
    assert sum(len(g["params"]) for o in both.values() for g in o.param_groups) == len(list(network.parameters()))
    x = torch.randn(64, 4)
    wanted = x.sum(1, keepdim=True)
    losses = []
    for _ in range(80):
        loss = (network(x) - wanted).square().mean()
        losses.append(float(loss.detach()))
        network.zero_grad()
        loss.backward()
        for optimizer in both.values():
            optimizer.step()
    assert losses[-1] < 0.1 * losses[0]
