"""Lines out of pictures: closed forms, chance from the generator alone, and drawings that are none."""

import pytest
import torch

from engine.models import edges

SIZE = 64


def disc(radius: float = 20.0, value: float = 0.2) -> torch.Tensor:
    """A dark disc in the middle of a white picture (1, 3, 64, 64)."""
    along = torch.arange(SIZE) - (SIZE - 1) / 2
    return torch.where((along[:, None] ** 2 + along**2).sqrt() < radius, value, 1.0).expand(1, 3, -1, -1).clone()


def step() -> torch.Tensor:
    """Dark on the left, light from column 30 on."""
    x = torch.full((1, 3, SIZE, SIZE), 0.8)
    x[..., :30] = 0.2
    return x


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_picture_has_no_line(value: float) -> None:
    x = torch.full((2, 3, SIZE, SIZE), value)
    for lines in (edges.ridges(x, 1.0, 0.1), edges.differences(x, 1.0, 0.01), edges.outline(x), edges.from_photo(x)):
        assert lines.shape == (2, 1, SIZE, SIZE)
        assert not lines.any()


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.4])
def test_a_step_gives_one_line_one_pixel_wide_at_its_place(sigma: float) -> None:
    lines = edges.ridges(step(), sigma, 0.3)[0, 0]
    columns = lines.sum(0).nonzero()[:, 0].tolist()
    assert len(columns) == 1
    assert columns[0] in (29, 30)
    assert bool((lines[:, columns[0]] == 1).all())


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.4])
def test_the_threshold_is_the_height_of_the_step_at_any_sigma(sigma: float) -> None:
    assert edges.ridges(step(), sigma, 0.45).any()
    assert not edges.ridges(step(), sigma, 0.75).any()


def test_colours_of_equal_luma_have_an_edge_between_them() -> None:
    x = torch.zeros(1, 3, SIZE, SIZE)
    x[:, 0, :, :30], x[:, 1, :, 30:] = 0.587, 0.299
    assert edges.ridges(x, 1.0, 0.2).sum() >= SIZE


def test_a_weak_edge_is_followed_where_it_goes_on_from_a_clear_one() -> None:
    x = torch.full((1, 3, SIZE, SIZE), 0.5)
    x[..., :32, :30] = 0.1  # above: a clear step; below: one of less than the threshold, more than its half
    x[..., 32:, :30] = 0.3
    lines = edges.ridges(x, 1.0, 0.25)[0, 0, :, 29:31].amax(1)
    assert lines[:31].all()
    assert lines[33:35].all()
    assert not lines[45:].any()


def test_a_difference_of_gaussians_draws_on_the_dark_side() -> None:
    lines = edges.differences(step(), 1.0, 0.01)[0, 0, 20]
    assert lines[27:30].max() > 0.5
    assert lines[31:].max() == 0


def test_the_outline_of_a_disc_is_a_ring() -> None:
    lines = edges.outline(disc())[0, 0]
    y, x = lines.nonzero().T
    radii = torch.hypot(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2)
    assert 18.5 < radii.min() <= radii.max() < 21.5
    turns = torch.atan2(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2).sort().values
    assert turns.diff().max() < 0.15  # no gap


def test_a_line_is_widened_to_about_its_width() -> None:
    line = torch.zeros(1, 1, SIZE, SIZE)
    line[..., 30] = 1
    for width in (1.1, 1.6, 2.4):
        profile = edges.widened(line, width)[0, 0, 20]
        assert profile.max() == 1
        assert width - 0.5 < profile.sum() < width + 1.5


def test_a_sketch_is_a_function_of_the_generator_and_differs_with_it() -> None:
    x = disc().repeat(3, 1, 1, 1)
    again = [edges.sketched(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])
    assert again[0].shape == (3, 1, SIZE, SIZE)
    assert 0 <= again[0].min() <= again[0].max() <= 1
    assert not torch.equal(again[0][0], again[0][1])


def test_sketches_keep_near_the_true_outline() -> None:
    far = edges.widened(edges.outline(disc()), 12.0) == 0
    for seed in range(6):
        lines = edges.sketched(disc(), torch.Generator().manual_seed(seed))
        assert lines.sum() > 30
        assert (lines * far).sum() < 0.02 * lines.sum()


def test_a_drawing_is_framed_as_the_packshots_were() -> None:
    page = torch.ones(1, 3, 300, 400)
    page[..., 40:44, 30:110] = page[..., 80:84, 30:110] = 0
    page[..., 40:84, 30:34] = page[..., 40:84, 106:110] = 0
    lines = edges.from_drawing(page, SIZE)
    assert lines.shape == (1, 1, SIZE, SIZE)
    rows, columns = (lines[0, 0] > 0.5).any(1).nonzero()[:, 0], (lines[0, 0] > 0.5).any(0).nonzero()[:, 0]
    assert 2 <= columns[0] <= 7
    assert 2 <= SIZE - 1 - columns[-1] <= 7
    assert abs(int(rows[0] + rows[-1]) - (SIZE - 1)) <= 2
    assert lines[0, 0, 28:36, 28:36].max() == 0


def test_strokes_are_seen_on_a_grey_background() -> None:
    page = torch.full((1, 3, 100, 100), 0.6)
    page[..., 20:80, 48:52] = 0.1
    assert edges.from_drawing(page, SIZE).sum() > 30


def test_a_thin_stroke_on_a_large_page_is_not_lost() -> None:
    page = torch.ones(1, 3, 2000, 2000)
    page[..., 100:1900, 1000:1003] = 0
    assert (edges.from_drawing(page, SIZE)[0, 0].amax(1) > 0.4).sum() > 50


def test_a_filled_area_counts_by_its_outline() -> None:
    lines = edges.from_drawing(disc(value=0.0), SIZE)[0, 0]
    assert lines[28:36, 28:36].max() == 0
    assert (lines > 0.5).sum() > 60


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 700), (64, 64)])
def test_a_page_of_one_colour_has_no_line(value: float, shape: tuple[int, int]) -> None:
    lines = edges.from_drawing(torch.full((2, 3, *shape), value), SIZE)
    assert lines.shape == (2, 1, SIZE, SIZE)
    assert not lines.any()


@pytest.mark.parametrize("width", [1, 3, 12])
def test_a_dot_is_no_drawing(width: int) -> None:
    page = torch.ones(1, 3, 256, 256)
    page[..., 10 : 10 + width, 10 : 10 + width] = 0
    assert not edges.from_drawing(page, SIZE).any()


def test_what_is_drawn_small_is_enlarged_but_not_to_fill_the_frame() -> None:
    page = torch.ones(1, 3, 256, 256)
    page[..., 100:103, 100:120] = 0
    lines = edges.from_drawing(page, SIZE)[0, 0]
    assert 15 < (lines > 0.5).any(0).sum() < 30


def test_chalk_on_a_blackboard_is_read_like_ink_on_paper() -> None:
    page = torch.ones(1, 3, 100, 100)
    page[..., 20:80, 48:52] = 0
    torch.testing.assert_close(edges.from_drawing(1 - page, SIZE), edges.from_drawing(page, SIZE))
