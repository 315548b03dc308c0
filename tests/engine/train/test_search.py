"""Architecture search: the space and its networks, the constraints, halving, and that a stop changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.models import searched
from engine.models.features import Features
from engine.models.searched import Architecture, Searched, parse, space
from engine.train import search
from engine.train.packshots import Packshots

NAMES = ("mug", "lamp")
SMALL = Architecture((16, 16, 16), (1, 1), "dense", "nearest", 4)


def blocks(count: int, seed: int = 0) -> Packshots:
    """Broad and tall blocks on white, 64 px."""
    colours = torch.randint(0, 200, (count, 3, 1, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    pictures = torch.full((count, 3, 64, 64), 255, dtype=torch.uint8)
    pictures[::2, :, 28:36, 8:56] = colours[::2]
    pictures[1::2, :, 8:56, 28:36] = colours[1::2]
    return Packshots(pictures, torch.arange(count) % 2, NAMES)


def test_the_space_holds_each_architecture_once_and_each_says_itself() -> None:
    every = space()
    assert len(every) == len(set(every)) == 16_524
    assert all(parse(str(architecture)) == architecture for architecture in every[::101])
    with pytest.raises(ValueError, match="no architecture"):
        Architecture((16, 16), (1,), "dense", "nearest", 4)


@pytest.mark.parametrize("kind", searched.KINDS)
@pytest.mark.parametrize(("doubling", "tail"), [("nearest", 1), ("bilinear", 2), ("shuffle", 4)])
def test_a_network_of_each_kind_draws_and_is_rebuilt_from_its_weights_alone(
    kind: str, doubling: str, tail: int
) -> None:
    doublings = {1: 4, 2: 3, 4: 2}[tail]
    torch.manual_seed(0)
    network = Searched(NAMES, Architecture((32,) * (doublings + 1), (2,) * doublings, kind, doubling, tail)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    again = searched.from_state_dict(network.state_dict()).eval()
    codes, labels = network.sample_latents("lamp", 2, 1.0, torch.Generator().manual_seed(0)), torch.tensor([0, 1])
    with torch.no_grad():
        pictures = network(codes, labels)
        assert pictures.shape == (2, 3, network.size_px, network.size_px)
        assert torch.equal(again(codes, labels), pictures)
        torch.testing.assert_close(network(codes[1:], labels[1:]), pictures[1:], atol=1e-5, rtol=1e-4)
    assert again.categories == NAMES
    state = network.state_dict()
    state.pop("to_rgb.bias")
    with pytest.raises(RuntimeError, match="Missing key"):
        searched.from_state_dict(state)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """A space of twelve architectures, and searches that train two, two and one of them."""
    every = [
        Architecture((16, w, 16), (1, r), kind, "nearest", 4)
        for w in (16, 32)
        for r in (1, 2)
        for kind in searched.KINDS
    ]
    monkeypatch.setattr(search, "space", lambda: every)
    monkeypatch.setattr(search, "RUNGS", ((2, 1), (2, 2), (1, 3)))
    monkeypatch.setattr(search, "RANDOM_DRAWN", 1)
    monkeypatch.setattr(search, "HAND_MADE_WIDTHS", (16, 16, 16, 16))
    monkeypatch.setattr(search, "SEARCHES", 1)
    monkeypatch.setattr(search, "ASIDE", 8)
    monkeypatch.setattr(search, "SAMPLES", 12)
    monkeypatch.setattr(search, "ENCODER_WIDTHS", (8, 8))
    monkeypatch.setattr(search, "latency_ms", lambda network: 1.0)
    return every


def small_search(folder: Path) -> search.Search:
    torch.manual_seed(3)
    eyes = Features((4, 4, 4, 4, 4)).requires_grad_(False)
    return search.Search(eyes, blocks(40), blocks(12, seed=1), search.Log(folder / "log.jsonl"), 1)


def without_time(file: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in file.read_text().splitlines()]


def test_a_search_goes_on_where_it_stopped_and_ends_as_if_it_never_had(
    tiny: list[Architecture], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    eyes = Features((4, 4, 4, 4, 4)).requires_grad_(False)

    def run(folder: Path) -> str:
        return search.run(eyes, blocks(40), blocks(12, seed=1), folder, budget_min=1e-6, seed=5)

    found = run(tmp_path / "whole")
    whole = (tmp_path / "whole" / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "log.jsonl").write_text("".join(whole[: len(whole) // 2]) + whole[len(whole) // 2][:20])
    assert run(tmp_path / "parts") == found
    assert without_time(tmp_path / "parts" / "log.jsonl") == without_time(tmp_path / "whole" / "log.jsonl")
    lines = [json.loads(line) for line in whole]
    assert {line["kind"] for line in lines} == {"plan", "by hand", "candidate", "trial"}
    assert len({json.dumps({k: line.get(k) for k in ("kind", "what", "steps", "seed")}) for line in lines}) == len(
        lines
    )
    report = (tmp_path / "whole" / "report.md").read_text()
    assert all(f"| {name} |" in report for name in ("halving", "random search", search.HAND_MADE))
    assert (tmp_path / "whole" / "search.png").stat().st_size > 1000
    assert run(tmp_path / "whole") == found
    assert (tmp_path / "whole" / "log.jsonl").read_text() == "".join(whole)


def test_what_breaks_a_constraint_is_refused_and_never_trained(
    tiny: list[Architecture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = str(tiny[4])
    pace = {slow: 1.5}
    monkeypatch.setattr(search, "latency_ms", lambda network: pace.get(str(getattr(network, "architecture", "")), 1.0))
    monkeypatch.setattr(
        search, "MOST_PARAMETERS", max(search.parameters(Searched(NAMES, a)) for a in tiny if a.kind != "dense")
    )
    searching = small_search(tmp_path)
    assert searching.refusal(tiny[4]) == "too slow"
    assert searching.refusal(tiny[9]) == "too many parameters"
    found = searching.candidates(0, 12)
    assert slow not in found
    assert {parse(what).kind for what in found} <= {"bottleneck", "separable", "dense"}
    assert all(search.parameters(Searched(NAMES, parse(what))) <= search.MOST_PARAMETERS for what in found)
    drawn = [line for line in searching.log.lines if line["kind"] == "candidate"]
    assert len(drawn) == 12 > len(found)


def test_halving_keeps_the_best_of_each_rung(
    tiny: list[Architecture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "RUNGS", ((12, 1), (4, 3), (2, 9)))
    searching = small_search(tmp_path)
    worth = {str(architecture): float(i) for i, architecture in enumerate(tiny)}
    asked: list[tuple[str, int, int]] = []

    def trial(what: str, length: int, seed: int) -> search.Trial:
        asked.append((what, length, seed))
        return search.Trial(what, length, seed, worth[what], 0.0, kernel=10 - worth[what] if length == 9 else 0.0)

    monkeypatch.setattr(searching, "trial", trial)
    won = searching.halving(7)
    best = [str(architecture) for architecture in tiny]
    assert [what for what, length, _ in asked if length == 3] == best[:4]
    assert [(what, seed) for what, length, seed in asked if length == 9] == [
        (best[0], 7),
        (best[0], 107),
        (best[1], 7),
        (best[1], 107),
    ]
    assert {t.what for t in won} == {best[1]}, "the last choice is by kernel distance"
    assert [t.seed for t in won] == [7, 107]


def test_the_budget_of_random_search_is_no_more_than_that_of_halving() -> None:
    halving = sum(n * k for n, k in search.RUNGS[:2]) + search.RUNGS[2][0] * search.RUNGS[2][1] * search.SEEDS
    at_random = search.RUNGS[2][1] * (search.RANDOM_DRAWN + search.SEEDS - 1)
    assert halving - search.RUNGS[2][1] < at_random <= halving


def test_kendalls_tau_is_known_for_known_orders() -> None:
    assert search.kendall([(1, 2), (2, 3), (3, 5)]) == 1
    assert search.kendall([(1, 5), (2, 3), (3, 2)]) == -1
    assert search.kendall([(1, 1), (2, 3), (3, 2)]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("ours", "said"),
    [(45.0, "better than what was made by hand by 5, more"), (55.0, "worse than"), (46.0, "no win to claim")],
)
def test_a_win_is_claimed_only_beyond_two_standard_deviations(ours: float, said: str) -> None:
    def trials(mean: float) -> list[search.Trial]:
        return [search.Trial("x", 1, 0, 0.0, 0.0, held_out=mean + d) for d in (-2.0, 2.0, -2.0, 2.0)]

    assert said in search.verdict({"halving": trials(ours), search.HAND_MADE: trials(50.0)})
