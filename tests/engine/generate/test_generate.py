"""Generate: the seed, the count, the size; with a stand-in generator of flat colours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shelf import Plain, Shelf, TinyGenerator, finish, row, shelf

from engine.contract.errors import RequestError
from engine.contract.events import Progress, Result
from engine.contract.generate import GenerateRequest
from engine.generate import generate as module
from engine.generate.generate import columns, generate
from engine.runtime.device import Device
from engine.settings import Settings


def run(weights: Shelf | None = None, **request: Any) -> Result:
    return finish(generate(GenerateRequest(**{"scale": 1} | request), weights or shelf(), Device(), Settings()))  # type: ignore[arg-type]


def pixels(result: Result) -> torch.Tensor:
    return torch.cat([picture.pixels for picture in result.pictures])


def test_there_is_one_picture_for_each_product() -> None:
    result = run(count=5, category="handbag", seed=3)
    assert [picture.name for picture in result.pictures] == [f"handbag-3-0{k}" for k in range(1, 6)]
    assert pixels(result).shape == (5, 3, 8, 8)
    assert result.recipe == GenerateRequest(category="handbag", count=5, seed=3, scale=1).recipe()
    assert result.notes.networks == ("studio",)


def test_asking_for_more_adds_to_the_end() -> None:
    assert torch.equal(pixels(run(count=9, seed=7))[:4], pixels(run(count=4, seed=7)))


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others() -> None:
    first, again, other = (pixels(run(count=3, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_pictures_of_one_seed_differ_from_each_other() -> None:
    assert len({tuple(p[:, 0, 0].tolist()) for p in pixels(run(count=36))}) == 36


def test_chance_outside_the_request_changes_nothing() -> None:
    torch.manual_seed(5)
    first = pixels(run(count=2))
    torch.manual_seed(6)
    assert torch.equal(first, pixels(run(count=2)))


def test_truncation_zero_gives_the_most_typical_product_each_time() -> None:
    drawn = pixels(run(count=4, truncation=0.0))
    assert torch.equal(drawn[0], drawn[3])
    assert run(count=4, truncation=1.0).pictures[0].pixels.std() > 0


def test_the_category_is_handed_to_the_network() -> None:
    shoe, bag = (pixels(run(count=1, category=c, truncation=0.0)) for c in ("shoe", "handbag"))
    assert torch.allclose(shoe, torch.sigmoid(torch.tensor(0.0)))
    assert torch.allclose(bag, torch.sigmoid(torch.tensor(1.0)))


@pytest.mark.parametrize("scale", [2, 4])
def test_pictures_are_enlarged_by_the_networks_for_it(scale: int) -> None:
    result = run(count=2, scale=scale)
    assert {(p.width, p.height) for p in result.pictures} == {(8 * scale, 8 * scale)}
    assert result.notes.networks == ("studio", f"upscale-x{scale}")


def test_a_category_the_network_has_not_learned_is_one_sentence() -> None:
    with pytest.raises(RequestError, match=r"has not learned tie; it knows shoe, handbag\.$"):
        run(category="tie")


def test_an_enlarger_of_the_hub_is_replaced_with_a_note() -> None:
    result = run(count=1, scale=4, network="realesrgan-x4")
    assert result.notes.networks == ("studio", "upscale-x4")
    assert "realesrgan-x4 could not be loaded" in result.notes.fallbacks[0]


def test_a_missing_generator_is_one_sentence() -> None:
    with pytest.raises(RequestError, match="studio could not be loaded"):
        run(Shelf((row("studio", "generate"), None)))


def test_progress_counts_the_pictures_and_shows_the_first_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREVIEW_EVERY_S", 0.0)
    weights = shelf()
    heard = [
        e
        for e in generate(GenerateRequest(count=5, scale=4), weights, Device(), Settings())
        if isinstance(e, Progress) and e.total
    ]  # type: ignore[arg-type]
    assert [(e.done, e.total) for e in heard] == [(k, 5) for k in range(1, 6)]
    assert [(e.preview.width, e.preview.height) for e in heard if e.preview] == [
        (32, 32),
        (68, 32),
        (68, 68),
        (68, 68),
        (104, 68),
    ]


def test_a_preview_is_small_however_large_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREVIEW_PX", 40)
    weights = Shelf((row("studio", "generate"), TinyGenerator()), (row("upscale-x4", "upscale-x4"), Plain(lambda x: x)))
    previews = [
        e.preview
        for e in generate(GenerateRequest(count=36, scale=1), weights, Device(), Settings())
        if isinstance(e, Progress) and e.preview
    ]  # type: ignore[arg-type]
    assert max(max(p.width, p.height) for p in previews) <= 40


def test_closing_between_two_pictures_frees_the_device() -> None:
    device, weights = Device(), shelf()
    events = generate(GenerateRequest(count=9), weights, device, Settings())  # type: ignore[arg-type]
    while not next(events).total:  # type: ignore[union-attr]
        pass
    events.close()  # type: ignore[attr-defined]
    heard = list(generate(GenerateRequest(count=1), weights, device, Settings()))  # type: ignore[arg-type]
    assert not [e for e in heard if "Waiting" in getattr(e, "message", "")]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (36, 6)])
def test_a_grid_is_as_square_as_can_be(count: int, expected: int) -> None:
    assert columns(count) == expected
