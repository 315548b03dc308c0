"""Deep image prior on drawn pictures: what must come out, what must stay, seeds, parts, stopping."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from shelf import finish, shelf
from torch import Tensor

from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Progress, Result
from engine.enhance.enhance import enhance
from engine.image import Picture, load
from engine.models import prior
from engine.models.prior import Iterate
from engine.runtime.device import Device
from engine.settings import Settings


def drawn(side: int = 64) -> Tensor:
    """A disc and stripes on a slope of colours, (1, 3, side, side)."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    ground = torch.stack([0.3 + 0.5 * x, 0.6 - 0.3 * y, 0.4 + 0.2 * x * y])
    disc = ((x - 0.4) ** 2 + (y - 0.45) ** 2 < 0.09).float()
    stripes = ((x > 0.7) & ((y * 5).int() % 2 == 0)).float()
    picture = torch.lerp(ground, torch.tensor([0.85, 0.2, 0.15])[:, None, None].expand_as(ground), disc)
    return torch.lerp(picture, torch.full_like(picture, 0.1), stripes)[None]


def decibels(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    error = (a - b).square()
    return -10 * math.log10(float(error.mean() if where is None else error[where.expand_as(error)].mean()))


def last(steps: object) -> Iterate:
    return list(steps)[-1]  # type: ignore[call-overload]


def noisy(picture: Tensor, sigma: float) -> Tensor:
    return (picture + sigma / 255 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(5))).clamp(0, 1)


def test_noise_is_taken_off() -> None:
    truth = drawn()
    given = noisy(truth, 25)
    steps = [step.picture for step in prior.denoise(given, steps=60)]
    assert steps[-1].shape == truth.shape
    assert decibels(steps[-1], truth) > decibels(given, truth) + 6
    assert (
        decibels(steps[-1], truth) > decibels(steps[0], truth) + 1.5
    )  # by the network, not by the blur that it begins with


@pytest.mark.parametrize("level", [0.0, 0.37, 1.0])
def test_a_flat_picture_stays(level: float) -> None:
    flat = torch.full((1, 3, 40, 33), level)
    hole = torch.zeros(1, 1, 40, 33)
    hole[..., 10:20, 10:20] = 1
    for steps in (prior.denoise(flat, steps=12), prior.complete(flat, hole, steps=12), prior.enlarge(flat, steps=12)):
        assert (last(steps).picture - level).abs().max() < 0.5 / 255


def test_completion_leaves_known_pixels_bit_identical_and_ignores_what_was_in_the_hole() -> None:
    truth = drawn(48).double().float()
    hole = torch.zeros(1, 1, 48, 48)
    hole[..., 20:28, 12:26] = 1
    spoiled = torch.where(hole > 0.5, torch.rand_like(truth), truth)
    made = [step.picture for step in prior.complete(spoiled, hole, steps=30)]
    assert all(
        torch.equal(picture[(hole < 0.5).expand_as(truth)], truth[(hole < 0.5).expand_as(truth)]) for picture in made
    )
    again = last(prior.complete(truth, hole, steps=30)).picture
    assert torch.equal(made[-1], again)
    assert decibels(made[-1], truth, hole > 0.5) > 17


def test_what_is_filled_meets_the_picture_around_it() -> None:
    slope = torch.linspace(0.2, 0.8, 48).expand(1, 3, 48, 48).contiguous()
    hole = torch.zeros(1, 1, 48, 48)
    hole[..., 16:32, 16:32] = 1
    made = last(prior.complete(slope, hole, steps=30)).picture
    assert (made - slope)[..., 16:32, 16:32].abs().max() < 0.12
    assert (made - slope)[..., 16:32, 16].abs().mean() < 0.02


def test_enlarging_beats_bicubic() -> None:
    truth = drawn()
    small = F.interpolate(truth, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
    bicubic = F.interpolate(small, scale_factor=2, mode="bicubic").clamp(0, 1)
    made = last(prior.enlarge(small, steps=50)).picture
    assert made.shape == truth.shape
    assert decibels(made, truth) > decibels(bicubic, truth) + 0.15


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    given = noisy(drawn(32), 25)
    torch.manual_seed(1)
    one = last(prior.denoise(given, steps=20, seed=3)).picture
    torch.manual_seed(2)
    same, other = (last(prior.denoise(given, steps=20, seed=seed)).picture for seed in (3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_no_draw_is_taken_from_anybody_else() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    last(prior.denoise(drawn(16), steps=2))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("size", "steps"), [((64, 64), 500), ((256, 256), 500), ((512, 256), 250), ((512, 512), 125)])
def test_a_larger_picture_gets_fewer_steps(size: tuple[int, int], steps: int) -> None:
    assert prior._affordable(500, (1, 3, *size)) == steps
    assert prior._affordable(85, (1, 3, *size)) == 85


@pytest.mark.parametrize("task", ["denoise", "enlarge", "complete"])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (17, 16)])
def test_pictures_of_any_size_pass_through(task: str, size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    steps = (
        prior.complete(picture, torch.ones(1, 1, *size), steps=2)
        if task == "complete"
        else getattr(prior, task)(picture, steps=2)
    )
    made = last(steps).picture
    assert tuple(made.shape[2:]) == tuple((2 if task == "enlarge" else 1) * side for side in size)
    assert bool(made.isfinite().all())


def test_nothing_runs_between_two_steps() -> None:
    steps = prior.denoise(drawn(32), steps=1000)
    seen = [next(steps) for _ in range(3)]
    assert [step.done for step in seen] == [1, 2, 3]
    assert seen[0].total == 1000
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    steps.close()  # type: ignore[attr-defined]
    assert list(steps) == []


def test_pictures_that_were_heard_do_not_change_with_later_steps() -> None:
    steps = prior.denoise(noisy(drawn(32), 25), steps=5)
    first = next(steps).picture
    kept = first.clone()
    list(steps)
    assert torch.equal(first, kept)


def test_the_fit_ends_where_the_variance_was_least() -> None:
    watch = prior._Watch()
    variances = [*torch.linspace(0, 8, 150), *torch.linspace(8, 2, 60), *torch.linspace(2.01, 5, 300)]
    for k, variance in enumerate(variances):
        watch.see(float(variance), torch.tensor(k))
        if watch.idle >= prior.PATIENCE:
            break
    assert int(watch.best) == 209  # type: ignore[arg-type]
    assert k == 209 + prior.PATIENCE


# The step of a chain


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps instead of hundreds."""
    for name in ("denoise", "complete", "enlarge"):
        whole = getattr(prior, name)
        monkeypatch.setattr(
            prior, name, lambda *pictures, whole=whole, **settings: whole(*pictures, **settings, steps=3)
        )


def saved(file: Path, height: int, width: int) -> str:
    return str(Picture(F.interpolate(drawn(), size=(height, width))).save(file))


def request(photo: str, task: str, **more: object) -> EnhanceRequest:
    return EnhanceRequest(photo, steps=("prior",), prior_task=task, **more)  # type: ignore[arg-type]


def run(asked: EnhanceRequest) -> Result:
    return finish(enhance(asked, shelf(), Device(), Settings()))  # type: ignore[arg-type]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("task", "size"), [("denoise", (40, 30)), ("enlarge", (80, 60)), ("fill", (40, 30))])
def test_the_step_does_what_is_asked(tmp_path: Path, task: str, size: tuple[int, int]) -> None:
    photo = saved(tmp_path / "photo.png", 40, 30)
    mask = torch.zeros(1, 3, 40, 30)
    mask[..., 10:20, 10:20] = 1
    result = run(request(photo, task, mask=str(Picture(mask).save(tmp_path / "mask.png"))))
    made = result.pictures[0]
    assert (made.height, made.width) == size
    assert result.notes.networks == ("deep image prior",)
    assert result.notes.fallbacks == result.notes.remarks == ()
    if task == "fill":
        outside = (mask < 0.5).expand_as(made.pixels)
        assert torch.equal(made.pixels[outside], load(photo).pixels[outside])


@pytest.mark.usefixtures("short")
def test_a_photo_that_is_too_large_is_made_smaller_or_refused_in_one_sentence(tmp_path: Path) -> None:
    photo = saved(tmp_path / "photo.png", 600, 800)
    result = run(request(photo, "denoise"))
    assert (result.pictures[0].width, result.pictures[0].height) == (591, 443)
    assert result.notes.remarks == (
        "The deep image prior works on at most 512 x 512 pixels, so the photo was made smaller first, 591 x 443.",
    )
    with pytest.raises(
        RequestError,
        match=(
            r"^The deep image prior enlarges photos of up to 256 x 256 pixels, and this one has 800 x 600; use"
            r" upscale-x2\.$"
        ),
    ):
        run(request(photo, "enlarge"))


@pytest.mark.usefixtures("short")
def test_only_what_lies_around_a_hole_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    complete = prior.complete
    monkeypatch.setattr(
        prior,
        "complete",
        lambda part, holes, **settings: (seen.append(tuple(part.shape[2:])), complete(part, holes, **settings))[1],
    )
    photo = saved(tmp_path / "photo.png", 900, 1200)
    mask = torch.zeros(1, 3, 900, 1200)
    mask[..., 300:360, 400:420] = 1
    assert run(request(photo, "fill", mask=str(Picture(mask).save(tmp_path / "mask.png")))).notes.remarks == ()
    mask[..., 700:710, :] = 1
    remarks = run(request(photo, "fill", mask=str(Picture(mask).save(tmp_path / "mask.png")))).notes.remarks
    assert seen == [(180, 140), (384, 512)]
    assert remarks == (
        "The holes reach over more than 512 pixels, so they were filled at a smaller size and enlarged.",
    )


def test_a_step_that_is_stopped_has_shown_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runtime.preview.PREVIEW_EVERY_S", 0.0)
    events = enhance(request(saved(tmp_path / "photo.png", 40, 30), "denoise"), shelf(), Device(), Settings())  # type: ignore[arg-type]
    heard = [e for e in (next(events) for _ in range(5)) if isinstance(e, Progress)]
    assert heard[-1].message == "Learning from the photo alone with deep image prior: 4 of 250"
    assert heard[-1].preview is not None
    assert (heard[-1].preview.width, heard[-1].preview.height) == (30, 40)
    events.close()  # type: ignore[attr-defined]
    assert list(events) == []
