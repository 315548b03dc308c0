"""How much was changed: published pairs, closed forms, and the other implementation of SSIM."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from engine.models import change
from engine.models.change import delta_e_2000, edge_agreement, lab_delta_e_2000, measures, ssim_map, to_lab

# Sharma, Wu & Dalal 2005, table 1.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def square(side_px: int = 60, of: int = 120, at: int = 30) -> Tensor:
    """Black on white."""
    picture = torch.ones(1, 3, of, of)
    picture[..., at : at + side_px, at : at + side_px] = 0
    return picture


@pytest.mark.parametrize(("a", "b", "expected"), SHARMA)
def test_the_published_pairs_of_ciede2000(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    one, two = (torch.tensor(lab, dtype=torch.float64).view(1, 3, 1, 1) for lab in (a, b))
    assert float(lab_delta_e_2000(one, two)) == pytest.approx(expected, abs=6e-5)
    assert float(lab_delta_e_2000(two, one)) == pytest.approx(expected, abs=6e-5)


def test_colour_difference_is_zero_for_the_same_and_the_same_both_ways() -> None:
    a, b = noise(40, 50), noise(40, 50, seed=1)
    assert delta_e_2000(a, b).shape == (1, 1, 40, 50)
    assert delta_e_2000(a, a).max() == 0
    assert torch.allclose(delta_e_2000(a, b), delta_e_2000(b, a), atol=1e-2)
    assert delta_e_2000(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)) == pytest.approx(100, abs=1e-3)


def test_lab_of_known_colours() -> None:
    red, white, grey = torch.tensor([1.0, 0, 0]), torch.ones(3), torch.full((3,), 119 / 255)
    lab = to_lab(torch.stack([red, white, grey])[:, :, None, None])[:, :, 0, 0]
    assert torch.allclose(lab[0], torch.tensor([53.24, 80.09, 67.20]), atol=0.02)
    assert torch.allclose(lab[1], torch.tensor([100.0, 0, 0]), atol=1e-3)
    assert torch.allclose(lab[2], torch.tensor([50.03, 0, 0]), atol=0.02)


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = noise(37, 50), noise(37, 50, seed=1)
    whole = delta_e_2000(a, b), ssim_map(a, b)
    monkeypatch.setattr(change, "_STRIP_PX", 300)
    assert torch.allclose(delta_e_2000(a, b), whole[0], atol=1e-4)
    assert torch.allclose(ssim_map(a, b), whole[1], atol=1e-6)


def test_ssim_is_that_of_torchmetrics_inside() -> None:
    a = noise(48, 64)
    b = (a + 0.2 * noise(48, 64, seed=1)).clamp(0, 1)
    grey_a, grey_b = (torch.einsum("c,nchw->nhw", torch.tensor([0.299, 0.587, 0.114]), t)[:, None] for t in (a, b))
    _, theirs = structural_similarity_index_measure(
        grey_a, grey_b, data_range=1.0, gaussian_kernel=True, sigma=1.5, return_full_image=True
    )
    assert torch.allclose(ssim_map(a, b)[..., 5:-5, 5:-5], theirs[..., 5:-5, 5:-5], atol=1e-4)


def test_ssim_of_plain_pictures_is_the_term_of_their_means() -> None:
    a, b = torch.full((1, 3, 20, 20), 0.3), torch.full((1, 3, 20, 20), 0.6)
    expected = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    assert torch.allclose(ssim_map(a, b), torch.full((1, 1, 20, 20), expected), atol=3e-4)
    assert torch.allclose(ssim_map(a, a), torch.ones(1, 1, 20, 20), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (3, 700), (5, 2)])
def test_pictures_smaller_than_the_window(size: tuple[int, int]) -> None:
    found = measures(noise(*size), noise(*size, seed=1), torch.rand(1, 1, *size))
    assert all(math.isfinite(value) for value in found.values())


def test_edges_of_the_same_picture_agree_and_vanished_ones_do_not() -> None:
    assert edge_agreement(square(), square()) == 1
    assert edge_agreement(square(), torch.ones(1, 3, 120, 120)) == 0
    assert edge_agreement(torch.zeros(1, 3, 9, 9), torch.ones(1, 3, 9, 9)) == 1


def test_edges_are_found_again_within_the_tolerance_and_not_beyond() -> None:
    # An edge is two pixels wide: moved by 4 px its near pixel is 3 px away.
    straight = torch.ones(1, 3, 40, 60)
    straight[..., 20:] = 0
    assert edge_agreement(straight, straight.roll(2, 3).index_fill(3, torch.arange(3), 1)) == 1
    assert edge_agreement(straight, straight.roll(4, 3).index_fill(3, torch.arange(5), 1)) == 0


def test_new_edges_count_as_much_as_lost_ones() -> None:
    two = square(20, at=10).minimum(square(20, at=80))
    assert edge_agreement(square(20, at=10), two) == pytest.approx(2 / 3, abs=0.01)
    assert edge_agreement(two, square(20, at=10)) == pytest.approx(2 / 3, abs=0.01)


def test_a_grey_level_less_contrast_than_a_strong_edge_is_no_edge() -> None:
    for contrast, expected in ((0.11, 1.0), (0.13, 0.0)):
        step = torch.full((1, 3, 20, 20), 0.5)
        step[..., 10:] += contrast
        assert edge_agreement(step, torch.full_like(step, 0.5)) == expected


def test_measures_tell_the_product_from_the_background() -> None:
    mask = 1 - square()[:, :1]
    before = square() * 0.8 + 0.1
    after = torch.where(mask > 0, before, 1 - before)
    found = measures(before, after, mask)
    assert list(found) == [
        name + side for side in ("", " product", " background") for name in ("mean ΔE", "SSIM", "edges kept")
    ]
    assert found["mean ΔE product"] == 0
    assert found["mean ΔE background"] > 50
    assert found["mean ΔE"] == pytest.approx(0.75 * found["mean ΔE background"], rel=1e-3)
    assert found["SSIM product"] > found["SSIM background"]


def test_no_change_is_no_change_and_an_empty_side_is_left_out() -> None:
    picture = square()
    same = {"mean ΔE": 0.0, "SSIM": pytest.approx(1), "edges kept": 1.0}
    assert measures(picture, picture) == same
    assert measures(picture, picture, torch.zeros(1, 1, 120, 120)) == same | {
        f"{k} background": v for k, v in same.items()
    }
    assert measures(picture, picture, torch.ones(1, 1, 120, 120)) == same | {f"{k} product": v for k, v in same.items()}


def test_large_pictures_are_measured_on_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "MOST_PX", 60 * 60)
    chequered = (torch.arange(120)[:, None] + torch.arange(120)).remainder(2).float().expand(1, 3, -1, -1)
    assert measures(chequered, 1 - chequered, torch.ones(1, 1, 120, 120))["mean ΔE product"] == pytest.approx(
        0, abs=1e-3
    )


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="sizes differ"):
        measures(noise(4, 5), noise(5, 4))
    with pytest.raises(ValueError, match="mask"):
        measures(noise(4, 5), noise(4, 5), torch.ones(1, 1, 5, 4))
