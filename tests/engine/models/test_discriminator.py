"""The discriminator that ranks: what is left of the training's own, and how its last layer is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.discriminator import Discriminator, Heads, from_state_dict
from engine.models.features import Features
from engine.models.generator import Generator
from engine.train import discriminator
from engine.weights.int8 import unpack

WIDTHS, HIDDEN = (4, 4, 8, 8, 8), (3, 4, 5, 4, 3)
NAMES = ("mug", "lamp")


def products(count: int = 4, side: int = 64) -> torch.Tensor:
    """Red blocks with stripes on white."""
    x = torch.ones(count, 3, side, side)
    x[:, 1:, side // 4 : -side // 4, side // 8 : -side // 8] = 0.1
    x[:, :, side // 4 : -side // 4 : 4, side // 8 : -side // 8] *= 0.5
    return x


@pytest.fixture
def trained(tmp_path):
    """Heads whose spectral normalisation has seen a few steps, in the checkpoint of a run."""
    torch.manual_seed(0)
    backbone, heads = Features(WIDTHS).eval(), Heads(2, WIDTHS, HIDDEN)
    for _ in range(3):
        heads(backbone(torch.rand(2, 3, 128, 128)), torch.tensor([0, 1]))
    torch.save({"state": {"heads": heads.state_dict()}}, tmp_path / "checkpoint.pt")
    return backbone, heads.eval(), tmp_path / "checkpoint.pt"


def test_heads_in_training_keep_the_names_of_their_checkpoints() -> None:
    keys = Heads(3, WIDTHS, HIDDEN).state_dict().keys()
    assert {
        "bodies.0.0.parametrizations.weight.original",
        "bodies.4.2.bias",
        "logits.4.weight",
        "embed.0.weight",
    } <= keys


@torch.no_grad()
def test_what_ships_sees_what_the_trained_heads_see(trained) -> None:
    backbone, heads, checkpoint = trained
    torch.manual_seed(0)
    made = discriminator.make(
        checkpoint, backbone, Generator(NAMES, latent_dim=8, widths=(16, 16, 8, 8)).eval(), count=3
    )
    network = from_state_dict(unpack(made), backbone).eval()
    assert network.categories == NAMES
    x = torch.rand(3, 3, 128, 128)
    assert [m.shape[2] for m in heads(backbone(x), torch.tensor([0, 1, 1]))] == [64, 32, 16, 16, 8]
    theirs = torch.cat([net(a).mean((2, 3)) for net, a in zip(heads.bodies, backbone(x), strict=True)], 1)
    assert torch.allclose(network.seen(x), theirs, atol=0.02 * float(theirs.abs().max()))
    assert torch.allclose(network(x), network.seen(x) @ made["verdict.weight"][0])


@torch.no_grad()
@pytest.mark.parametrize("side", [3, 64, 200])
def test_pictures_of_any_size_are_seen_at_the_size_of_the_training(side: int) -> None:
    network = Discriminator(NAMES, Features(WIDTHS), WIDTHS, HIDDEN).eval()
    assert torch.allclose(
        network(torch.full((2, 3, side, side), 0.7)), network(torch.full((2, 3, 128, 128), 0.7)), atol=1e-5
    )


def test_a_missing_and_an_unknown_tensor_are_refused() -> None:
    state = {
        k: v
        for k, v in Discriminator(NAMES, Features(WIDTHS), WIDTHS, HIDDEN).state_dict().items()
        if not k.startswith("eyes.")
    }
    from_state_dict(state, Features(WIDTHS))
    with pytest.raises(RuntimeError, match="Missing key"):
        from_state_dict({k: v for k, v in state.items() if k != "bodies.1.0.bias"}, Features(WIDTHS))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        from_state_dict(state | {"more": torch.zeros(1)}, Features(WIDTHS))


def test_the_fit_finds_the_number_that_tells_good_from_bad_and_its_sign() -> None:
    """Of three numbers only the second tells, by -0.5 on a deviation of 0.1, in two categories that differ by much
    more.
    """
    rng = torch.Generator().manual_seed(0)
    good = torch.randn(2, 40, 3, generator=rng) * torch.tensor([1.0, 0.1, 5.0]) + torch.tensor(
        [[[0.0, 0.0, 0.0]], [[9.0, 9.0, 9.0]]]
    )
    bad = torch.randn(4, 2, 40, 3, generator=rng) * torch.tensor([1.0, 0.1, 5.0]) + torch.tensor(
        [[[0.0, -0.5, 0.0]], [[9.0, 8.5, 9.0]]]
    )
    weight = discriminator.fit(good, bad, shrinkage=1e-4)
    told = (good @ weight)[None, :, :, None] > (bad @ weight)[:, :, None, :]
    assert float(told.float().mean()) > 0.98
    assert weight[1] > 10 * weight[[0, 2]].abs().max()


def test_shrinkage_pulls_the_fit_to_nothing() -> None:
    good, bad = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1, 9, 4)
    loose, tight = (discriminator.fit(good, bad, shrinkage=s).norm() for s in (1e-3, 1e3))
    assert tight < 1e-3 < loose


@pytest.mark.parametrize("how", discriminator.SPOILED)
def test_each_way_to_spoil_changes_products_visibly_and_alike_for_the_same_chance(how: str) -> None:
    x = products()
    spoil = discriminator.SPOILED[how]
    if how == "merged with another":
        x[1::2] = x[1::2].transpose(2, 3)
    once, again, other = (spoil(x, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == x.shape
    assert (once - x).abs().mean() > 0.005
    assert torch.equal(x[0], products()[0]), "the pictures themselves stay"


@pytest.mark.parametrize("how", discriminator.SPOILED)
def test_an_empty_page_stays_empty(how: str) -> None:
    page = torch.ones(2, 3, 32, 32)
    assert torch.allclose(discriminator.SPOILED[how](page, np.random.default_rng(0)), page, atol=1e-5)


@pytest.mark.parametrize("how", ["with a hole", "splashed with white", "faded", "cut off"])
def test_what_is_gone_is_white(how: str) -> None:
    x = products()
    assert bool((discriminator.SPOILED[how](x, np.random.default_rng(0)) >= x - 1e-6).all())
