"""Tiles: exactness with an identity, seams with local networks, memory, and running out of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.runtime import tiles
from engine.runtime.tiles import Tiling
from engine.runtime.work import finished

GIGABYTE = 10**9


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def local_network(scale: int = 1) -> Callable[[Tensor], Tensor]:
    """Six 3x3 convolutions: every output pixel sees 6 input pixels to each side."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1)]
    for _ in range(4):
        layers += [nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)]
    layers += [nn.ReLU(), nn.Conv2d(8, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale), nn.Sigmoid()]
    return torch.inference_mode()(nn.Sequential(*layers).eval())


def halving_network() -> Callable[[Tensor], Tensor]:
    """Takes multiples of 8 only, and is not the same when its grid is shifted."""
    torch.manual_seed(1)
    convolution = nn.Conv2d(3, 3, 3, padding=1)

    def network(x: Tensor) -> Tensor:
        small = F.avg_pool2d(x, 8)
        return (0.5 * x + 0.5 * F.interpolate(convolution(small), scale_factor=8)).clamp(0, 1)

    return torch.inference_mode()(network)


@pytest.mark.parametrize("blend", [False, True])
@pytest.mark.parametrize("multiple_px", [1, 8, 64])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 1000), (1000, 3), (64, 64), (65, 129), (200, 333), (7, 63)])
def test_an_identity_returns_the_photo_exactly(height: int, width: int, multiple_px: int, blend: bool) -> None:
    x = photo(height, width)
    y = finished(
        tiles.run(
            lambda tile: tile,
            x,
            Tiling(overlap_px=6, multiple_px=multiple_px, blend=blend, most_px=64),
            memory=GIGABYTE,
        )
    )
    assert torch.equal(x, y)


@pytest.mark.parametrize("blend", [False, True])
def test_nearest_neighbour_enlargement_is_exact_at_every_scale(blend: bool) -> None:
    x = photo(150, 203)
    for scale in (2, 3, 4):
        y = finished(
            tiles.run(
                lambda t, s=scale: F.interpolate(t, scale_factor=s),
                x,
                Tiling(scale=scale, overlap_px=4, blend=blend, most_px=64),
                memory=GIGABYTE,
            )
        )
        assert torch.equal(y, F.interpolate(x, scale_factor=scale))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_local_network_shows_no_seams_when_the_overlap_covers_its_sight(scale: int) -> None:
    x, network = photo(170, 301), local_network(scale)
    y = finished(tiles.run(network, x, Tiling(scale=scale, overlap_px=6, most_px=96), memory=GIGABYTE))
    assert (network(x) - y).abs().max() < 1e-5


def test_a_local_network_differs_by_less_than_two_grey_levels_when_blended() -> None:
    x, network = photo(170, 301), local_network()
    y = finished(tiles.run(network, x, Tiling(overlap_px=16, blend=True, most_px=96), memory=GIGABYTE))
    assert (network(x) - y).abs().max() <= 2 / 255


def test_without_overlap_the_seams_are_seen_by_this_test() -> None:
    x, network = photo(170, 301), local_network()
    y = finished(tiles.run(network, x, Tiling(overlap_px=0, most_px=96), memory=GIGABYTE))
    assert (network(x) - y).abs().max() > 2 / 255


def test_tiles_start_on_the_networks_own_grid() -> None:
    x, network = photo(256, 320), halving_network()
    y = finished(tiles.run(network, x, Tiling(overlap_px=16, multiple_px=8, most_px=96), memory=GIGABYTE))
    assert (network(x) - y).abs().max() < 1e-6


def test_every_tile_has_a_side_the_network_takes_and_fits_the_memory() -> None:
    sizes = []

    def network(tile: Tensor) -> Tensor:
        sizes.append(tuple(tile.shape[-2:]))
        return tile

    finished(
        tiles.run(
            network, photo(500, 701), Tiling(overlap_px=8, multiple_px=8, bytes_per_px=1000, most_px=256), memory=10**7
        )
    )
    assert all(h % 8 == 0 and w % 8 == 0 for h, w in sizes)
    assert max(h * w for h, w in sizes) * 1000 <= 10**7
    assert len(set(sizes)) == 1  # equal tiles: one shape to prepare for


def test_progress_counts_every_tile_up_to_the_total() -> None:
    steps = list(tiles.run(lambda t: t, photo(300, 300), Tiling(overlap_px=4, most_px=64), memory=GIGABYTE))
    total = steps[0][1]
    assert total > 9
    assert steps == [(k + 1, total) for k in range(total)]


def test_the_largest_tile_that_fits_is_taken() -> None:
    tiling = Tiling(overlap_px=8, multiple_px=8, bytes_per_px=1000, most_px=512)
    assert tiling.side_px(GIGABYTE) == 512
    assert tiling.side_px(200 * 200 * 1000) == 200
    assert tiling.side_px(199 * 200 * 1000) == 192
    assert tiling.side_px(0) == tiling.least_px == 32


def test_when_memory_runs_out_the_tiles_are_halved_until_they_fit() -> None:
    seen = []

    def network(tile: Tensor) -> Tensor:
        seen.append(max(tile.shape[-2:]))
        if seen[-1] > 100:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return tile

    x = photo(400, 400)
    assert torch.equal(finished(tiles.run(network, x, Tiling(overlap_px=8, most_px=400), memory=GIGABYTE)), x)
    assert seen[0] == 400
    assert max(seen[-5:]) <= 100


def test_when_even_the_smallest_tile_does_not_fit_the_error_is_raised() -> None:
    def network(tile: Tensor) -> Tensor:
        raise RuntimeError("CUDA out of memory.")

    with pytest.raises(RuntimeError, match="out of memory"):
        finished(tiles.run(network, photo(300, 300), Tiling(), memory=GIGABYTE))


@pytest.mark.parametrize(
    ("wrong", "error"), [(lambda t: t[..., 1:], ValueError), (lambda t: t / 0 * 0, FloatingPointError)]
)
def test_a_network_that_breaks_its_contract_is_not_laid_into_the_picture(
    wrong: Callable[[Tensor], Tensor], error: type[Exception]
) -> None:
    with pytest.raises(error):
        finished(tiles.run(wrong, photo(40, 40), Tiling(), memory=GIGABYTE))


def test_the_result_is_clamped() -> None:
    y = finished(tiles.run(lambda t: 3 * t - 1, photo(70, 70), Tiling(most_px=64), memory=GIGABYTE))
    assert y.min() == 0
    assert y.max() == 1


def test_large_results_are_kept_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "HALF_ABOVE_PX", 100 * 100)
    seen = set()

    def network(tile: Tensor) -> Tensor:
        seen.add(tile.dtype)
        return tile

    x = photo(101, 100).half()
    y = finished(tiles.run(network, x, Tiling(overlap_px=4, blend=True, most_px=32), memory=GIGABYTE))
    assert y.dtype == torch.float16
    assert torch.equal(x, y)
    assert seen == {torch.float32}


def test_the_preview_shows_what_is_finished() -> None:
    preview = torch.zeros(1, 3, 30, 40)
    shown: list[Any] = []
    for _ in tiles.run(
        torch.ones_like, photo(300, 401), Tiling(overlap_px=8, most_px=64), memory=GIGABYTE, preview=preview
    ):
        shown.append(float(preview.mean()))
    assert shown == sorted(shown)
    assert shown[0] < 0.1
    assert shown[-1] == 1


def test_neighbours_fade_into_each_other_linearly() -> None:
    """The first tile is black and the second white; between them the picture is a straight ramp."""
    shades = iter([0.0, 1.0])
    y = finished(
        tiles.run(
            lambda t: torch.full_like(t, next(shades)),
            photo(10, 100),
            Tiling(overlap_px=16, blend=True, most_px=64),
            memory=GIGABYTE,
        )
    )
    row = y[0, 0, 5]
    ramp = row[(row > 0) & (row < 1)]
    assert len(ramp) >= 16
    assert torch.allclose(ramp.diff(), torch.tensor(1 / len(ramp)))


@pytest.mark.parametrize("multiple_px", [1, 8, 48])
@pytest.mark.parametrize("blend", [False, True])
def test_tiles_cover_every_length_on_the_grid_with_enough_overlap(multiple_px: int, blend: bool) -> None:
    tiling = Tiling(overlap_px=10, multiple_px=multiple_px, blend=blend, most_px=208)
    for length in [*range(1, 700, 7), 4999]:
        cuts = tiles._cuts(length, tiling, tiling.side_px(GIGABYTE))
        assert cuts[0][0] == 0
        assert length <= cuts[-1][1] < length + multiple_px
        assert all(start % multiple_px == 0 and end % multiple_px == 0 for start, end in cuts)
        assert all(here[1] - there[0] >= (10 if blend else 20) for here, there in pairwise(cuts))
        assert len({end - start for start, end in cuts}) == 1


@pytest.mark.parametrize(("height", "width"), [(13, 16), (16, 13), (9, 11)])
def test_what_lies_beyond_the_far_edge_is_the_mirror_image_without_the_edge_itself(height: int, width: int) -> None:
    """A blur sees beyond the edge: it must find the second row from it there, not the edge once more."""
    x, seen = photo(height, width), []

    def blur(tile: Tensor) -> Tensor:
        seen.append(tile)
        return F.avg_pool2d(tile, 3, 1, 1, count_include_pad=False)

    finished(tiles.run(blur, x, Tiling(multiple_px=8, most_px=64), memory=GIGABYTE))
    down, across = -height % 8, -width % 8
    assert torch.equal(seen[0], F.pad(x, (0, across, 0, down), mode="reflect"))
