"""The network that fills holes, what it starts from, and the holes that it learns on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.enhance.steps.inpaint import apart, filled
from engine.image import Picture
from engine.models import inpaint
from engine.models.inpaint import Inpaint, push_pull
from engine.runtime.tiles import Tiling
from engine.runtime.work import finished
from engine.train.recipes.inpaint import free_form


def small() -> Inpaint:
    torch.manual_seed(0)
    network = Inpaint((8, 8, 8)).eval()
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    return network


def hole(height: int = 32, width: int = 40) -> torch.Tensor:
    holes = torch.zeros(1, 1, height, width)
    holes[:, :, 8:20, 10:30] = 1
    return holes


def test_outside_the_holes_every_bit_stays():
    x = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        filled = small()(x, hole())
    outside = hole().expand(-1, 3, -1, -1) == 0
    assert torch.equal(filled[outside], x[outside])
    assert not torch.equal(filled, x)
    assert 0 <= filled.min() <= filled.max() <= 1


def test_what_stands_in_a_hole_is_not_looked_at():
    x, network = torch.rand(1, 3, 32, 40), small()
    other = torch.where(hole() > 0, torch.rand(1, 3, 32, 40), x)
    with torch.no_grad():
        assert torch.equal(network(x, hole()), network(other, hole()))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (32, 40)])
def test_push_pull_continues_a_constant_and_fills_all_hole_with_grey(size):
    flat = torch.full((1, 3, *size), 0.3)
    holes = (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    holes[..., 0, 0] = 0
    torch.testing.assert_close(push_pull(flat, holes), flat)
    torch.testing.assert_close(push_pull(flat, torch.ones(1, 1, *size)), torch.full_like(flat, 0.5))


def test_a_file_gives_its_network_back():
    network = small()
    x = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(inpaint.from_state_dict(network.state_dict())(x, hole(16, 24)), network(x, hole(16, 24)))


def test_holes_cover_about_the_share_that_was_asked():
    shares = [float(free_form(64, np.random.default_rng(seed), (0.2, 0.2)).mean()) for seed in range(20)]
    assert all(0.19 < share < 0.5 for share in shares)
    assert 0.19 < float(np.mean(shares)) < 0.3


def test_holes_far_apart_are_filled_one_by_one_and_near_ones_together():
    mask = torch.zeros(1, 1, 300, 400)
    mask[..., 10:12, 10:12] = mask[..., 30:32, 30:40] = mask[..., 250:260, 380:390] = 1
    assert apart(mask, 40) == [(10, 32, 10, 40), (250, 260, 380, 390)]
    assert apart(mask, 200) == [(10, 260, 10, 390)]
    assert apart(torch.ones(1, 1, 7, 5), 3) == [(0, 7, 0, 5)]


def test_two_small_holes_of_a_large_photo_are_filled_at_its_own_size(tmp_path):
    parts = []

    class Seen:
        weight = SimpleNamespace(tiling=Tiling(multiple_px=8, overlap_px=16, most_px=256, bytes_per_px=1))

        def __call__(self, x, holes):
            parts.append(tuple(x.shape[-2:]))
            return torch.where(holes > 0.5, torch.full_like(x, 0.5), x)

    pixels = torch.rand(1, 3, 600, 1500)
    mask = torch.zeros(1, 1, 600, 1500)
    mask[..., 20:40, 30:60] = mask[..., 550:580, 1400:1420] = 1
    how = SimpleNamespace(
        mask=mask, settings=SimpleNamespace(tile_memory=256 * 256), request=SimpleNamespace(network="auto"), remarks=[]
    )
    work = filled(Picture(pixels), Seen(), how)
    shares = []
    while True:
        try:
            shares.append(next(work))
        except StopIteration as end:
            result = end.value.pixels
            break
    assert torch.equal(result, torch.where(mask > 0.5, torch.full_like(pixels, 0.5), pixels))
    assert len(parts) == 2
    assert max(max(part) for part in parts) <= 256
    assert [done / total for done, total in shares] == sorted(done / total for done, total in shares)


@pytest.mark.parametrize(("wish", "smooth"), [("auto", True), ("embedded", True), ("inpaint", False)])
def test_a_hole_on_plain_background_is_filled_smoothly_unless_a_network_is_named(wish, smooth):
    class Black:
        weight = SimpleNamespace(tiling=Tiling(multiple_px=8, overlap_px=16, most_px=256, bytes_per_px=1))

        def __call__(self, x, holes):
            return torch.where(holes > 0.5, torch.zeros_like(x), x)

    pixels = torch.linspace(0.6, 0.9, 400).expand(1, 3, 300, 400).clone()
    pixels[..., 200:] = torch.rand(1, 3, 300, 200, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 300, 400)
    mask[..., 20:40, 30:60] = mask[..., 250:280, 320:340] = 1
    how = SimpleNamespace(
        mask=mask, settings=SimpleNamespace(tile_memory=256 * 256), request=SimpleNamespace(network=wish), remarks=[]
    )
    result = finished(filled(Picture(torch.where(mask > 0.5, 0.1, pixels)), Black(), how)).pixels
    assert float(result[..., 250:280, 320:340].abs().max()) == 0, "the network fills what is not plain"
    assert (float((result - pixels)[..., :200].abs().max()) < 0.5 / 255) == smooth
    assert bool(how.remarks) == smooth
