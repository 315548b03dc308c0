"""The network that finds the product on any ground, and the composites it learns on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from engine import product
from engine.models import matte
from engine.models.matte import Matte, small_matte
from engine.train.matte import CUT_PX, composites, cut_out, largest_piece, overlap, seen_photo


def small() -> Matte:
    torch.manual_seed(0)
    return Matte((8, 8, 8), deepest=1).eval()


@pytest.mark.parametrize("size", [(1, 1), (33, 700), (640, 480)])
def test_a_matte_has_the_shape_of_the_small_copy(size):
    pixels, found = small_matte(small(), torch.rand(1, 3, *size))
    assert pixels.shape[-2:] == found.shape[-2:]
    assert max(found.shape[-2:]) == min(max(size), matte.WORK_PX)
    assert 0 <= found.min() <= found.max() <= 1


def test_a_file_gives_its_network_back():
    network, x = small(), torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(matte.from_state_dict(network.state_dict())(x), network(x))


def test_overlap_is_one_for_the_same_and_none_for_others():
    a, b = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    a[..., :4], b[..., 4:] = 1, 1
    assert float(overlap(a, a)) == pytest.approx(1)
    assert float(overlap(a, b)) == pytest.approx(0, abs=1e-3)
    assert float(overlap(a, torch.ones_like(a))) == pytest.approx(0.5, abs=1e-3)


def test_a_product_on_white_is_cut_out_without_its_white_rim():
    packshot = Image.new("RGB", (224, 224), "white")
    packshot.paste((30, 60, 160), (60, 70, 170, 160))
    rgba = np.asarray(cut_out(packshot))
    assert rgba.shape == (CUT_PX, CUT_PX, 4)
    inside = rgba[..., 3] > 128
    assert 0.1 < inside.mean() < 0.3
    assert np.abs(rgba[inside][:, :3].astype(int) - (30, 60, 160)).max() < 40


def photo_with(*boxes: tuple[int, int, int, int]) -> Image.Image:
    photo = Image.new("RGB", (240, 320), (190, 170, 140))
    for box in boxes:
        photo.paste((30, 60, 160), box)
    return photo


def test_a_photo_is_known_by_its_one_product_on_an_even_ground():
    rgba = np.asarray(seen_photo(photo_with((60, 80, 180, 240))))
    assert rgba.shape == (CUT_PX, CUT_PX, 4)
    known = rgba[..., 3] > 128
    assert known.mean() == pytest.approx(120 * 160 / (240 * 320), abs=0.03)
    assert np.abs(rgba[~known][:, :3].astype(int) - (190, 170, 140)).max(axis=1).mean() < 12  # the ground is still there


@pytest.mark.parametrize(
    "boxes",
    [(), ((20, 40, 80, 120), (150, 200, 210, 280)), ((0, 0, 240, 200),)],
    ids=["nothing", "two things", "what the edge cuts off"],
)
def test_a_photo_that_the_rule_may_get_wrong_teaches_nothing(boxes):
    assert not np.asarray(seen_photo(photo_with(*boxes)))[..., 3].any()


def test_the_largest_piece_is_found():
    mask = torch.zeros(8, 9, dtype=torch.bool)
    assert not largest_piece(mask).any()
    mask[1:3, 1:3] = mask[4:8, 4:9] = True
    assert torch.equal(largest_piece(mask), torch.zeros_like(mask).index_put_((torch.arange(4, 8)[:, None], torch.arange(4, 9)), torch.tensor(True)))


def test_composites_are_a_function_of_their_seed():
    cut_outs = torch.zeros(2, 4, 64, 64, dtype=torch.uint8)
    cut_outs[:, :, 16:48, 16:48] = 200
    grounds = [torch.randint(0, 255, (3, 80, 80), dtype=torch.uint8)]
    (x, m), (y, n) = (composites(cut_outs, grounds, [0], 6, 64, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(x, y)
    assert torch.equal(m, n)
    assert x.shape == (6, 3, 64, 64)
    assert m.shape == (6, 1, 64, 64)
    assert all(0.02 < float(part.mean()) < 0.9 for part in m)


def test_the_colours_of_what_was_found_bring_back_what_was_left_out():
    """A red sleeve that the network left half of, on a grey wall."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 128), indexing="ij")
    truth = ((x > 0.25) & (x < 0.75) & (y > 0.2) & (y < 0.9)).float()[None, None]
    rng = torch.Generator().manual_seed(0)
    picture = (
        torch.where(truth > 0, torch.tensor([0.7, 0.1, 0.15]).view(1, 3, 1, 1), torch.tensor(0.6)) + 0.03 * torch.randn(1, 3, 96, 128, generator=rng)
    ).clamp(0, 1)
    found = truth * torch.where(x < 0.6, 0.9, 0.35) + (1 - truth) * 0.05
    agreed = matte.agreed(picture, found)
    assert float(((agreed > 0.5) == (truth > 0.5)).float().mean()) > 0.98
    assert float(((found > 0.5) == (truth > 0.5)).float().mean()) < 0.92


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_matte_that_knows_one_side_only_stays(level):
    found = torch.full((1, 1, 20, 30), level)
    assert torch.equal(matte.agreed(torch.rand(1, 3, 20, 30), found), found)


@pytest.mark.parametrize(
    ("ground", "rough", "seen_columns", "believed"),
    [
        (0.7, 0.1, slice(20, 55), True),
        (0.7, 0.1, slice(16, 70), True),
        (0.7, 0.1, slice(20, 40), False),
        (0.7, 0.0, slice(20, 55), False),
        (0.7, 0.0, slice(20, 62), True),
        (1.0, 0.0, slice(20, 62), False),
    ],
    ids=["on a floor", "more of it", "half of it lost", "a part lost on an even ground", "a fold left out on an even ground", "on white"],
)
def test_whether_a_network_is_believed_on_a_plain_ground(monkeypatch, ground, rough, seen_columns, believed):
    def box(columns):
        mask = torch.zeros(1, 1, 80, 80)
        mask[..., 20:60, columns] = 1
        return mask

    texture = rough * (torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0)) - 0.5)
    pixels = torch.where(box(slice(20, 60)) > 0, torch.tensor(0.2), ground + texture)
    plain, seen = box(slice(20, 64)), box(seen_columns)  # the rule keeps a fold of the ground
    monkeypatch.setattr(product, "_small", lambda *_: pixels)
    monkeypatch.setattr(product, "_seen", lambda *_: seen)
    monkeypatch.setattr("engine.models.segment.to_full_size", lambda pixels, small, matte: matte)
    assert product.settled(pixels, plain, None) is (seen if believed else plain)
