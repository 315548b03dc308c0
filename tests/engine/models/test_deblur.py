"""Blur is estimated from a photo and undone: what each part must do whatever has been learned."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from shelf import row
from torch import Tensor

from engine import image
from engine.contract.enhance import EnhanceRequest
from engine.enhance.auto import SPREAD_LEAST_PX
from engine.enhance.steps import deblur as step
from engine.enhance.steps.context import PhotoPart, StepContext
from engine.image import Picture
from engine.models import deblur
from engine.models.deblur import KERNEL_PX, WINDOW_PX, Deblur, Estimator, wiener, windows
from engine.models.unet import UNet
from engine.runtime.device import Device
from engine.runtime.preview import Preview
from engine.runtime.tiles import Tiling
from engine.runtime.work import finished
from engine.settings import ROOT, Settings
from engine.train.degrade import disk_kernel, gaussian_kernel, straight_kernel
from engine.train.recipes.kernel import pairs
from engine.weights import Network, Weights


def noise(side: int, seed: int = 0) -> Tensor:
    """A picture without structure, (1, 3, side, side)."""
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def kernel(*places: tuple[int, int]) -> Tensor:
    """(1, K, K): equal shares at (down, right) from the middle."""
    made = torch.zeros(1, KERNEL_PX, KERNEL_PX)
    for down, right in places:
        made[0, KERNEL_PX // 2 + down, KERNEL_PX // 2 + right] = 1 / len(places)
    return made


def small() -> Deblur:
    torch.manual_seed(0)
    made = Deblur(Estimator(8, 8, 8), UNet((8, 8, 8), pictures=3)).eval().requires_grad_(False)
    torch.nn.init.normal_(made.repair.to_block.weight, std=0.01)
    return made


LITTLE = torch.full((1, 1), -12.0)


def test_without_blur_and_noise_wieners_filter_changes_nothing() -> None:
    x = noise(64)
    assert torch.allclose(wiener(x, kernel((0, 0)), LITTLE)[:, 0], x, atol=1e-3)


def test_a_kernel_that_only_moves_is_moved_back() -> None:
    x = noise(96)
    moved = x.roll((2, -3), (2, 3))
    back = wiener(moved, kernel((2, -3)), LITTLE)[:, 0]
    inside = (..., slice(30, -30), slice(30, -30))
    assert torch.allclose(back[inside], x[inside], atol=0.02)


def test_wieners_filter_undoes_the_blur_that_it_is_told() -> None:
    x = noise(160)
    blurred = 0.2 * x.roll((1, 0), (2, 3)) + 0.6 * x + 0.2 * x.roll((0, 2), (2, 3))  # no frequency is lost
    told = 0.6 * kernel((0, 0)) + 0.4 * kernel((1, 0), (0, 2))
    inside = (..., slice(40, -40), slice(40, -40))
    before, after = ((y - x)[inside].square().mean() for y in (blurred, wiener(blurred, told, LITTLE)[:, 0]))
    assert after < before / 300


@pytest.mark.parametrize("side", [20, 96])
def test_a_picture_that_ends_bright_and_begins_dark_does_not_ring_at_its_edges(side: int) -> None:
    ramp = torch.linspace(0, 1, side).expand(1, 3, side, side)
    made = wiener(ramp, kernel((0, -2), (0, -1), (0, 0), (0, 1), (0, 2)), torch.tensor([[-4.0]]))[:, 0]
    assert float((made - ramp).abs().amax()) < 0.15


def test_more_noise_makes_the_filter_more_cautious() -> None:
    x = noise(64)
    bold, timid = wiener(x, kernel((0, -2), (0, 2)), torch.tensor([[-8.0, 2.0]]))[0]
    assert bold.var() > 2 * timid.var()
    assert float(timid.mean()) == pytest.approx(float(x.mean()), abs=1e-3)


def test_a_few_windows_cover_a_small_photo_and_the_busy_ones_stand_for_a_large_one() -> None:
    assert windows(noise(40)).shape == (1, 1, 3, WINDOW_PX, WINDOW_PX)
    assert windows(noise(144)).shape == (1, 4, 3, WINDOW_PX, WINDOW_PX)
    large = torch.full((1, 3, 900, 700), 0.5)
    large[..., 500:, 400:] = noise(400)[..., :300]
    found = windows(large)
    assert found.shape[:2] == (1, deblur._MOST_WINDOWS)
    assert float(found.std((2, 3, 4)).amin()) > 0.1


def test_the_autocorrelation_shows_how_far_a_photo_was_moved() -> None:
    """A double exposure, 5 px across and 3 down: its autocorrelation has a second peak there."""
    x = noise(WINDOW_PX + 8)
    twice = (x[..., 3:, 5:] + x[..., :-3, :-5])[..., :WINDOW_PX, :WINDOW_PX] / 2
    whitest = deblur._statistics(twice.mean(1, keepdim=True) - 0.5)[0, 2].clone()
    middle = deblur._LAG_PX
    whitest[middle - 2 : middle + 3, middle - 2 : middle + 3] = 0
    row, column = divmod(int(whitest.argmax()), whitest.shape[1])
    assert (abs(row - middle), abs(column - middle)) == (3, 5)
    assert (row - middle) * (column - middle) > 0


@pytest.mark.parametrize(
    "photo", [torch.full((1, 3, 200, 120), 1.0), torch.zeros(1, 3, 16, 16), noise(120)], ids=["white", "black", "noise"]
)
def test_an_estimate_is_a_kernel_whatever_the_photo(photo: Tensor) -> None:
    with torch.no_grad():
        kernels, level = Estimator(8, 8, 8)(windows(photo))
    assert kernels.shape == (1, KERNEL_PX, KERNEL_PX)
    assert bool((kernels >= 0).all())
    assert float(kernels.sum()) == pytest.approx(1, abs=1e-5)
    assert bool(level.isfinite().all())


def test_what_makes_the_sharp_photo_blurred_again_is_the_kernel() -> None:
    sharp, true = noise(160), 0.5 * kernel((0, 0)) + 0.5 * kernel((3, 4), (-2, 1))
    blurred = 0.5 * sharp + 0.25 * (sharp.roll((3, 4), (2, 3)) + sharp.roll((-2, 1), (2, 3)))
    edges, luma = deblur._gradients(sharp.mean(1, keepdim=True))[:, :, None], blurred.mean(1, keepdim=True)
    found = deblur._quotients(edges, luma, torch.ones(1, 1, 1))[0, 0]
    assert torch.allclose(found / found.amax(), true[0] / 0.5, atol=0.08)


def test_the_estimate_of_a_photo_holds_for_its_parts() -> None:
    network, photo = small(), noise(160)
    blur = network.blur_of(windows(photo))
    assert torch.equal(network(photo, blur), network(photo))
    part = photo[..., 32:64, 48:96]
    assert network(part, blur).shape == part.shape
    assert not torch.equal(network(part, blur), network(part))


def test_the_estimate_of_a_photo_turned_by_half_a_turn_is_turned() -> None:
    network, parts = small(), windows(torch.cat([noise(144, 1), noise(144, 2).square()]))
    upright, turned = network.blur_of(parts), network.blur_of(parts.flip(-2, -1))
    assert torch.allclose(
        turned[:, 1:].unflatten(1, (KERNEL_PX, KERNEL_PX)).flip(1, 2).flatten(1), upright[:, 1:], atol=1e-6
    )
    assert torch.allclose(turned[:, 0], upright[:, 0], atol=1e-5)
    assert torch.allclose(upright[:, 1:].sum(1), torch.ones(2), atol=1e-5)
    assert not torch.equal(upright[0], upright[1])


@pytest.mark.parametrize(
    ("kernel", "along", "across"),
    [
        (straight_kernel(12, 0.0), 12 / math.sqrt(12), 0.0),
        (straight_kernel(12, 0.7), 12 / math.sqrt(12), 0.4),
        (disk_kernel(5), 2.5, 2.5),
        (gaussian_kernel(1.5), 1.5, 1.5),
        (disk_kernel(0), 0.0, 0.0),
    ],
    ids=["level", "slanting", "disk", "Gaussian", "sharp"],
)
def test_how_far_a_blur_spreads_a_point(kernel: Tensor, along: float, across: float) -> None:
    found = deblur.spread(torch.cat([torch.tensor([-5.0]), kernel.flatten()])[None])
    assert found == pytest.approx((along, across), abs=0.15)


def told(along: float, across: float) -> Tensor:
    """What `blur_of` says of a blur that spreads a point so."""
    reach = torch.arange(-(KERNEL_PX // 2), KERNEL_PX // 2 + 1.0)
    kernel = torch.exp(-0.5 * ((reach / max(along, 0.1)) ** 2 + (reach[:, None] / max(across, 0.1)) ** 2))
    return torch.cat([torch.tensor([-5.0]), (kernel / kernel.sum()).flatten()])[None]


@pytest.mark.parametrize(
    ("said", "factor", "calls"),
    [
        ([(0.5, 0.5)], 1, 1),
        ([(1.4, 0.5)], 1, 1),
        ([(3.0, 0.4), (0.4, 0.3), (0.8, 0.3), (1.5, 0.4)], 1, 4),  # fits as it is
        ([(3.0, 2.0), (0.7, 0.3), (1.4, 0.3), (2.8, 0.4)], 2, 4),
        ([(2.2, 2.1), (2.0, 0.3), (4.0, 0.4)], 4, 3),
        ([(2.2, 2.1), (3.8, 0.4)], 8, 2),
        ([(2.4, 2.3), (0.6, 0.4), (1.2, 0.4), (2.3, 0.5)], 2, 4),  # the photo itself shows a shorter one than it has
        ([(2.4, 2.3), (0.9, 0.4), (1.8, 0.4), (1.2, 0.5)], 4, 4),
        ([(2.8, 2.6), (0.5, 0.5), (1.2, 1.2)], 4, 3),  # a disk of which twice as much was never learned
    ],
)
def test_a_blur_is_taken_from_the_largest_copy_on_which_it_fits(
    said: list[tuple[float, float]], factor: int, calls: int
) -> None:
    asked: list[Tensor] = []

    def blur_of(parts: Tensor) -> Tensor:
        asked.append(parts)
        return told(*said[len(asked) - 1])

    blur, found = deblur.fitting(blur_of, noise(16 * WINDOW_PX))
    assert (found, len(asked)) == (factor, calls)
    assert torch.equal(blur, told(*said[{1: 0, 8: 1, 4: 2, 2: 3}[factor]]))


def test_no_copy_is_so_small_that_little_of_it_is_seen() -> None:
    asked: list[Tensor] = []
    deblur.fitting(lambda parts: (asked.append(parts), told(3, 3))[1], noise(255))  # type: ignore[func-returns-value]
    assert len(asked) == 1
    assert deblur.fitting(lambda _: told(3, 3), noise(256))[1] == 2


def test_no_ringing_is_left_on_an_even_background() -> None:
    photo = torch.full((1, 3, 96, 160), 1.0)
    photo[..., 40:] = 0.97
    photo[..., :40] = noise(96)[..., :40]
    for dtype in (torch.float32, torch.bfloat16):
        given = photo.to(dtype)
        made = small().to(dtype)(given)
        assert made.dtype == dtype
        assert torch.equal(made[..., 44:], given[..., 44:])
        assert not torch.equal(made[..., :40], given[..., :40])


def test_a_batch_is_as_each_alone() -> None:
    network, both = small(), torch.cat([noise(144, 1), noise(144, 2).square()])
    assert torch.allclose(network(both), torch.cat([network(x[None]) for x in both]), atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_the_network_is_built_from_its_file(slope) -> None:
    torch.manual_seed(0)
    network = Deblur(Estimator(8, 12, 6, slope), UNet((8, 8, 16), (1, 1, 2, 1, 1), 3)).eval()
    again = deblur.from_state_dict(network.state_dict()).eval()
    x = noise(96)
    with torch.no_grad():
        assert torch.equal(network(x), again(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        deblur.from_state_dict({k: v for k, v in network.state_dict().items() if k != "estimator.last.weight"})


def test_a_photo_to_which_its_small_copy_adds_nothing_is_as_it_was() -> None:
    def nothing(small: Picture) -> Generator[tuple[int, int], None, Tensor]:
        assert (small.width, small.height, small.alpha) == (40, 51, None)
        yield 1, 1
        return small.pixels

    photo = Picture(noise(203)[..., :157], (noise(203)[:, :1, :, :157] > 0.5).float())
    same = finished(step._sharpened_small(photo, 4, nothing, None))
    assert torch.equal(same.pixels, photo.pixels)
    assert same.alpha is photo.alpha


def test_a_part_has_the_pixels_of_the_whole_also_by_a_small_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deblur, "fitting", lambda blur_of, x: (blur_of(windows(x)), 4))
    whole = Picture(F.interpolate(noise(48), size=(384, 384), mode="bicubic").clamp(0, 1))
    left, top, width, height = 61, 90, 250, 203
    part = Picture(whole.pixels[..., top : top + height, left : left + width])
    module = small()
    module.forward = lambda x, blur=None: 2 * x - F.avg_pool2d(x, 3, 1, 1)  # type: ignore[method-assign, assignment, misc]
    network = Network(
        row("deblur", "deblur", tiling=Tiling(overlap_px=8, multiple_px=8, blend=True, most_px=512)), module
    )
    made = []
    for photo, where in ((whole, None), (part, PhotoPart(whole, left, top, width, height))):
        made.append(
            finished(
                step.run(
                    photo,
                    network,
                    StepContext(
                        EnhanceRequest("photo.png", steps=("deblur",)), Settings(), Preview(photo.pixels), part=where
                    ),
                )
            )
        )
    inside = (..., slice(20, -20), slice(20, -20))
    difference = (made[1].pixels - made[0].pixels[..., top : top + height, left : left + width])[inside]
    assert float((made[0].pixels - whole.pixels).abs().max()) > 0.02
    assert float(difference.abs().max()) < 1e-5


def test_a_blur_that_is_longer_than_a_kernel_is_taken_off() -> None:
    sharp = image.load(str(ROOT / "gradio_ui/examples/handbag.jpg")).pixels
    reach = torch.arange(-9.0, 10)
    disk = (torch.hypot(reach, reach[:, None]) < 8.5).float()
    blurred = F.conv2d(
        F.pad(sharp, (9, 9, 9, 9), mode="replicate").transpose(0, 1), (disk / disk.sum())[None, None]
    ).transpose(0, 1)
    network = finished(Weights(Device(), Settings()).load("deblur"))
    mended = finished(
        step.run(
            Picture(blurred),
            network,
            StepContext(EnhanceRequest("photo.png", steps=("deblur",)), Settings(), Preview(blurred)),
        )
    )
    before, after = (float(-10 * (x - sharp).square().mean().log10()) for x in (blurred, mended.pixels))
    assert after > before + 3


def _sharpened(photo: Picture, part: PhotoPart | None = None) -> list[Tensor]:
    """What blur the network is told for each tile of a photo."""
    module, told = small(), []
    spied = module.forward
    module.forward = lambda x, blur=None: (told.append(blur), spied(x, blur))[1]  # type: ignore[method-assign, func-returns-value, misc]
    tiling = Tiling(overlap_px=8, multiple_px=8, blend=True, most_px=64)
    how = StepContext(EnhanceRequest("photo.png", steps=("deblur",)), Settings(), Preview(photo.pixels), part=part)
    finished(step.run(photo, Network(row("deblur", "deblur", tiling=tiling), module), how))
    return told


def test_every_tile_is_told_the_blur_of_the_whole_photo() -> None:
    photo = Picture(noise(150))
    told = _sharpened(photo)
    assert len(told) > 4
    assert all(torch.equal(blur, small().blur_of(windows(photo.pixels))) for blur in told)


def test_a_part_of_a_photo_is_told_the_blur_of_the_whole_unless_it_was_enlarged() -> None:
    whole = Picture(noise(150))
    blur = small().blur_of(windows(whole.pixels))
    part = Picture(whole.pixels[..., 10:74, 20:84])
    assert all(torch.equal(told, blur) for told in _sharpened(part, PhotoPart(whole, 20, 10, 64, 64)))
    large = part.resized(128, 128)
    assert not any(torch.equal(told, blur) for told in _sharpened(large, PhotoPart(whole, 20, 10, 64, 64)))


@pytest.mark.parametrize("side", [1, 9, 30])
def test_photos_smaller_than_a_kernel_are_taken(side: int) -> None:
    assert all(torch.isfinite(blur).all() for blur in _sharpened(Picture(noise(side))))


def test_what_is_learned_from_is_a_function_of_its_seed_and_the_kernel_is_what_blurred_it() -> None:
    photos = (
        (torch.rand(2, 1, 90, 100, generator=torch.Generator().manual_seed(0)) * 255).byte().expand(-1, 3, -1, -1)
    )  # JPEG blurs colours
    one, two = (pairs(photos, [0, 1], 4, 40, np.random.default_rng(3)) for _ in range(2))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    blurred, sharp, kernels = one
    assert blurred.shape == sharp.shape == (4, 3, 40, 40)
    assert 0 <= blurred.min() <= blurred.max() <= 1
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(4), atol=1e-5)
    inside = (..., slice(14, -14), slice(14, -14))
    for b, s, k in zip(blurred, sharp, kernels, strict=True):
        again = F.conv2d(s[:, None], k.flip(0, 1)[None, None], padding=KERNEL_PX // 2)[:, 0]
        assert float((again - b)[inside].abs().mean()) < 0.03  # noise and JPEG


def test_fine_stripes_are_not_taken_for_a_blur() -> None:
    network = finished(Weights(Device()).load("deblur"))
    bag = image.load(ROOT / "gradio_ui" / "examples" / "handbag.jpg").resized(400, 400).pixels[..., 80:336, 72:328]
    kept = []
    for period in (4, 6, 8):
        stripes = 1 - 0.5 * (torch.arange(256.0) / period % 1 < 0.5).float()
        for across in (stripes, stripes[:, None]):
            striped = bag * across
            assert (
                deblur.spread(network.module.blur_of(windows(striped)))[0] < SPREAD_LEAST_PX
            )  # Auto would leave it alone
            kept.append(float(-10 * (network(striped) - striped)[..., 12:-12, 12:-12].square().mean().log10()))
    assert sum(kept) / len(kept) > 32  # an estimate that had never seen a pattern left 17 of one of them


def test_a_strongly_blurred_transparent_photo_keeps_what_is_transparent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long blur is taken off by way of a smaller copy, which has no alpha of its own."""
    monkeypatch.setattr(deblur, "fitting", lambda blur_of, x: (blur_of(windows(x)), 2))
    alpha = (noise(160)[:, :1] > 0.5).float()
    photo = Picture(noise(160), alpha)
    tiling = Tiling(overlap_px=8, multiple_px=8, blend=True, most_px=512)
    context = StepContext(EnhanceRequest("photo.png", steps=("deblur",)), Settings(), Preview(photo.pixels))
    sharp = finished(step.run(photo, Network(row("deblur", "deblur", tiling=tiling), small()), context))
    assert sharp.alpha is not None
    assert torch.equal(sharp.alpha, alpha)
