"""DCGAN's generator: what every generator must offer, and that its latents and pictures are what they are said to
be.
"""

import math

import pytest
import torch
from torch import nn

from engine.models.dcgan import DcganGenerator, from_state_dict


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DcganGenerator(width=4, latent_dim=12).eval().requires_grad_(False)


def drawn(network, count, truncation=1.0, seed=0):
    return network.sample_latents("shoe", count, truncation, torch.Generator().manual_seed(seed))


def test_codes_become_pictures_of_64_px_between_black_and_white(network):
    y = network(1000 * drawn(network, 3), torch.zeros(3, dtype=torch.long))
    assert y.shape == (3, 3, network.size_px, network.size_px) == (3, 3, 64, 64)
    assert 0 <= float(y.min()) < 0.1 < 0.9 < float(y.max()) <= 1
    assert network.categories == ()


def test_a_picture_does_not_depend_on_what_else_is_drawn(network):
    z = drawn(network, 5)
    torch.testing.assert_close(network(z)[2:3], network(z[2:3]), atol=1e-5, rtol=0)


def test_the_first_codes_do_not_depend_on_how_many_follow(network):
    assert torch.equal(drawn(network, 9)[:4], drawn(network, 4))
    assert not torch.equal(drawn(network, 4), drawn(network, 4, seed=1))


def test_truncation_clips_the_numbers_and_leaves_those_within(network):
    whole, half = drawn(network, 40), drawn(network, 40, 0.5)
    assert float(half.abs().max()) == 1.5 < float(whole.abs().max()) <= 3
    within = whole.abs() < 1.5
    assert torch.equal(half[within], whole[within])
    assert not drawn(network, 4, 0.0).any()


def test_mixing_goes_along_the_great_circle(network):
    a, b = torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    half = math.sqrt(2)
    torch.testing.assert_close(network.mix(a, b, 0.5), torch.tensor([[half, half], [1.0, 0.0]]))
    third = network.mix(a, b, 1 / 3)[0]
    torch.testing.assert_close(third, 2 * torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)]))
    x, y = drawn(network, 6).split(3)
    torch.testing.assert_close(network.mix(x, y, 0.0), x)
    torch.testing.assert_close(network.mix(x, y, 1.0), y)


def test_mixing_with_nothing_or_with_the_opposite_is_finite(network):
    x = drawn(network, 3)
    for other in (torch.zeros_like(x), -x):
        assert network.mix(x, other, 0.4).isfinite().all()


def test_a_state_names_its_own_widths(network):
    twin = from_state_dict(network.state_dict()).eval()
    assert twin.latent_dim == 12
    z = drawn(network, 2)
    assert torch.equal(twin(z), network(z))
    with pytest.raises(RuntimeError):
        from_state_dict(network.state_dict() | {"another": torch.zeros(1)})


def test_it_is_the_paper_s_network_in_small():
    layers = list(DcganGenerator(width=32).body)
    convolutions = [part for part in layers if isinstance(part, nn.ConvTranspose2d)]
    assert [part.out_channels for part in convolutions] == [256, 128, 64, 32, 3]
    assert {part.kernel_size for part in convolutions} == {(4, 4)}
    assert sum(isinstance(part, nn.BatchNorm2d) for part in layers) == 4
    assert sum(p.numel() for p in DcganGenerator(width=32).parameters()) * 2 < 2.5e6  # bytes in fp16
