"""The larger matte network: any size of multiples of 32, logits at full size, a state that comes back."""

from __future__ import annotations

import torch

from engine.models.matte_lite import MatteLite, from_state_dict


def test_logits_have_the_photo_s_size() -> None:
    assert MatteLite((4, 4, 6, 6, 8))(torch.rand(2, 3, 64, 96)).shape == (2, 1, 64, 96)


def test_a_state_comes_back() -> None:
    network = MatteLite()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(from_state_dict(network.state_dict())(x), network(x))


def test_what_is_far_away_is_heard_of() -> None:
    network = MatteLite((4, 4, 6, 6, 8))
    x = torch.rand(1, 3, 64, 320, requires_grad=True)
    network(x)[0, 0, 10, 10].backward()
    assert x.grad is not None
    assert x.grad[..., 310:].abs().sum() > 0
