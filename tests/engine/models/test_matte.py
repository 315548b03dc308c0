"""The network that finds the product on any background, and the composites it learns on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine import image, product
from engine.models import matte
from engine.models.matte import Matte, small_matte
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import ROOT
from engine.train.recipes.matte import CUT_PX, composites, cut_out, largest_piece, overlap, seen_photo
from engine.weights import Weights


def small() -> Matte:
    torch.manual_seed(0)
    return Matte((8, 8, 8), deepest=1).eval()


@pytest.mark.parametrize("size", [(1, 1), (33, 700), (640, 480)])
def test_a_matte_has_the_shape_of_the_small_copy(size):
    pixels, found = small_matte(small(), torch.rand(1, 3, *size))
    assert pixels.shape[-2:] == found.shape[-2:]
    assert max(found.shape[-2:]) == min(max(size), matte.WORK_PX)
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_a_file_gives_its_network_back(slope):
    torch.manual_seed(0)
    network, x = Matte((8, 8, 8), deepest=1, slope=slope).eval(), torch.rand(1, 3, 64, 32)
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


def test_a_photo_is_known_by_its_one_product_on_an_even_background():
    rgba = np.asarray(seen_photo(photo_with((60, 80, 180, 240))))
    assert rgba.shape == (CUT_PX, CUT_PX, 4)
    known = rgba[..., 3] > 128
    assert known.mean() == pytest.approx(120 * 160 / (240 * 320), abs=0.03)
    assert (
        np.abs(rgba[~known][:, :3].astype(int) - (190, 170, 140)).max(axis=1).mean() < 12
    )  # the background is still there


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
    assert torch.equal(
        largest_piece(mask),
        torch.zeros_like(mask).index_put_((torch.arange(4, 8)[:, None], torch.arange(4, 9)), torch.tensor(True)),
    )


def test_composites_are_a_function_of_their_seed():
    cut_outs = torch.zeros(2, 4, 64, 64, dtype=torch.uint8)
    cut_outs[:, :, 16:48, 16:48] = 200
    backgrounds = [torch.randint(0, 255, (3, 80, 80), dtype=torch.uint8)]
    (x, m), (y, n) = (composites(cut_outs, backgrounds, [0], 6, 64, np.random.default_rng(5)) for _ in range(2))
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
        torch.where(truth > 0, torch.tensor([0.7, 0.1, 0.15]).view(1, 3, 1, 1), torch.tensor(0.6))
        + 0.03 * torch.randn(1, 3, 96, 128, generator=rng)
    ).clamp(0, 1)
    found = truth * torch.where(x < 0.6, 0.9, 0.35) + (1 - truth) * 0.05
    agreed = matte.agreed(picture, found)
    assert float(((agreed > 0.5) == (truth > 0.5)).float().mean()) > 0.98
    assert float(((found > 0.5) == (truth > 0.5)).float().mean()) < 0.92


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_matte_that_knows_one_side_only_stays(level):
    found = torch.full((1, 1, 20, 30), level)
    assert torch.equal(matte.agreed(torch.rand(1, 3, 20, 30), found), found)


def disc(side: int = 96, radius: float = 26) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side) - side / 2, torch.arange(side) - side / 2, indexing="ij")
    return (y.square() + x.square() < radius**2).float()[None, None]


def strip(rows: slice = slice(None), columns: slice = slice(None), side: int = 96) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., rows, columns] = 1
    return mask


def painted(parts: list[tuple[Tensor, float]], background: float = 0.46) -> Tensor:
    picture = torch.full((1, 3, 96, 96), background)
    for mask, level in parts:
        picture = torch.where(mask > 0, torch.tensor(level), picture)
    return picture


def seen(mask: Tensor, sure: float = 0.98) -> Tensor:
    """As a network sees it: never certain, and soft."""
    return torch.nn.functional.avg_pool2d((2 * sure - 1) * mask + 1 - sure, 5, 1, 2, count_include_pad=False)


def shared(a: Tensor, b: Tensor) -> float:
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


def test_a_seam_and_dirt_on_an_even_floor_are_no_product():
    """Dirt has the product's own colour, a seam runs into the product."""
    truth, seam, dirt = (
        disc(),
        strip(slice(46, 49)),
        torch.maximum(strip(slice(80, 84), slice(80, 84)), strip(slice(8, 11), slice(30, 34))),
    )
    plain = torch.stack([truth, seam, dirt]).amax(0)
    look = seen(truth)
    found = matte.reconciled(painted([(seam, 0.25), (dirt, 0.1), (truth, 0.1)]), plain, (look, look))
    assert shared(plain, truth) < 0.93
    assert shared(found, truth) > 0.95
    assert (found[dirt > 0] == 0).all()
    assert found[..., 46:49, :14].max() < 0.1
    assert found[..., 46:49, 82:].max() < 0.1


def test_a_shadow_that_the_network_knows_is_no_product():
    truth, shadow = disc(), disc(radius=33).roll(6, 2) * (1 - disc())
    found = matte.reconciled(painted([(shadow, 0.36), (truth, 0.1)]), truth + shadow, (seen(truth), seen(truth)))
    assert shared(found, truth) > 0.93


def test_a_pale_part_that_is_seen_at_either_exposure_is_kept():
    truth = disc()
    lost = truth * strip(columns=slice(0, 40))
    dark = painted([(truth, 0.1), (lost, 0.6)])
    for looks in ((seen(truth - lost), seen(truth)), (seen(truth), seen(truth - lost))):
        assert shared(matte.agreed(dark, looks[0] * looks[1]), truth) < 0.9
        assert shared(matte.reconciled(dark, truth, looks), truth) > 0.95


def test_a_pale_middle_that_no_look_sees_is_kept_and_a_bay_is_not():
    truth, middle, bay = disc(), disc(radius=10), disc() * strip(slice(44, 52), slice(70, 96))
    look = seen(truth - middle - bay, 0.998)
    found = matte.reconciled(painted([(truth, 0.1), (middle + bay, 0.46)]), truth, (look, look))
    assert (found[middle > 0] > 0.5).all()
    assert found[..., 46:50, 70:].max() < 0.5


def test_a_clear_middle_comes_back_and_a_gap_that_one_look_bridges_does_not():
    ring, whole = disc() * (1 - disc(radius=12)), disc()
    picture = painted([(ring, 0.1)])
    sure = seen(whole, 0.999)
    assert shared(matte.reconciled(picture, ring, (sure, sure)), whole) > 0.95
    assert shared(matte.reconciled(picture, ring, (seen(ring), sure)), ring) > 0.93


def test_exposure_brings_a_pale_background_to_a_middle_grey_and_keeps_what_is_brighter_brighter():
    background = disc() == 0
    picture = painted([(disc(), 0.97)], 0.9) * torch.tensor([1.0, 0.95, 0.8]).view(1, 3, 1, 1)
    dark = matte.exposed(picture, background)
    for channel in dark[0]:
        assert channel[background[0, 0]].unique().item() == pytest.approx(matte.MIDDLE_GREY, abs=0.01)
        assert channel[~background[0, 0]].min() > matte.MIDDLE_GREY + 0.05
    night = painted([(disc(), 0.8)], 0.2)
    assert torch.allclose(matte.exposed(night, background), night)


@pytest.mark.parametrize(
    ("background", "rough", "seen_columns", "source"),
    [
        (0.7, 0.1, slice(20, 55), "seen"),
        (0.7, 0.1, slice(16, 70), "seen"),
        (0.7, 0.1, slice(20, 40), "reconciled"),
        (0.7, 0.0, slice(20, 55), "reconciled"),
        (0.7, 0.0, slice(20, 62), "seen"),
        (1.0, 0.0, slice(20, 62), "plain"),
    ],
    ids=[
        "on a floor",
        "more of it",
        "half of it lost",
        "a part lost on an even background",
        "a fold left out on an even background",
        "on white",
    ],
)
def test_which_mask_is_taken_on_a_plain_background(monkeypatch, background, rough, seen_columns, source):
    texture = rough * (torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0)) - 0.5)
    pixels = torch.where(strip(slice(20, 60), slice(20, 60), 80) > 0, torch.tensor(0.2), background + texture)
    plain, network = (
        strip(slice(20, 60), columns, 80) for columns in (slice(20, 64), seen_columns)
    )  # the rule keeps a fold of the background
    both = strip(slice(20, 60), slice(20, 61), 80)
    monkeypatch.setattr(product, "_look", lambda *_: network)
    monkeypatch.setattr(matte, "agreed", lambda small, look, smooth: look)
    monkeypatch.setattr(matte, "reconciled", lambda *_: both)
    monkeypatch.setattr("engine.models.segment.to_full_size", lambda pixels, small, matte: matte)
    monkeypatch.setattr("engine.models.segment.corrected", lambda pixels, mask, small, matte: matte)
    assert product.with_network(pixels, plain, None) is {"seen": network, "reconciled": both, "plain": plain}[source]


def test_the_handle_of_a_pale_mug_on_a_pale_background_stays_open():
    weights = Weights(Device())
    mug = image.load(ROOT / "gradio_ui" / "examples" / "mug.jpg").resized(500, 500)
    found = product.detect(mug.pixels, finished(weights.load("matte")))
    assert found is not None
    assert float(found.mask[0, 0, 280, 355]) < 0.1
    assert float(found.mask[0, 0, 260, 390]) > 0.9
