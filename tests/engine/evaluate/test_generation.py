"""Distances between sets of pictures, in closed form.

And the one table that every family of generators is measured by.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shelf import Shelf, TinyGenerator, row

from engine import Studio
from engine.contract.errors import RequestError
from engine.evaluate import costs, generation
from engine.evaluate.tables import generation_markdown
from engine.models.categories import Categories
from engine.models.features import Features
from engine.models.sketch import Sketch
from engine.settings import Settings
from engine.train import distances
from engine.weights import Network


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


# Distances


def test_a_set_is_at_no_distance_from_itself() -> None:
    x = normal(60, 5)
    assert distances.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert distances.precision_recall(x, x) == (1, 1)
    assert distances.kernel_distance(x, x) < 0  # without bias: the pairs of a row with itself count between, not within
    assert abs(distances.kernel_distance(x, normal(60, 5, seed=1))) < 0.3


def test_two_gaussians_have_the_known_frechet_distance() -> None:
    # Scaled and moved so that the moments are exact: |m|^2 + sum of (s - 1)^2 for commuting covariances.
    x = normal(500, 3).double()
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    scale, shift = torch.tensor([1.0, 2.0, 0.5], dtype=torch.double), torch.tensor([3.0, 0.0, -1.0], dtype=torch.double)
    assert distances.frechet_distance(x, x * scale + shift) == pytest.approx(10 + 1 + 0.25)
    turn = torch.linalg.qr(normal(3, 3, seed=2).double()).Q
    assert distances.frechet_distance(x @ turn, (x * scale + shift) @ turn) == pytest.approx(11.25)
    assert distances.frechet_distance(x * scale, x) == pytest.approx(distances.frechet_distance(x, x * scale))


def test_kernel_distance_has_no_bias_and_sees_a_shift() -> None:
    same = [distances.kernel_distance(normal(50, 4, seed=2 * k), normal(50, 4, seed=2 * k + 1)) for k in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 40**0.5
    # The means' difference of x.y / D alone adds |shift|^2 / D times three, the kernel's slope at zero; the cube adds
    # more.
    assert distances.kernel_distance(normal(400, 4), normal(400, 4, seed=1) + 1) > 3


def test_disjoint_sets_share_nothing() -> None:
    assert distances.precision_recall(normal(40, 4), normal(40, 4, seed=1) + 100) == (0, 0)


def test_what_repeats_one_picture_is_precise_and_recalls_next_to_nothing() -> None:
    real = normal(80, 2)
    precision, recall = distances.precision_recall(real[:1] + 1e-4 * normal(80, 2, seed=1), real)
    assert precision == 1
    assert recall < 1.5 / 80
    precision, recall = distances.precision_recall(torch.cat([real[:40], real[40:] + 100]), real)
    assert 0.5 <= precision < 0.6
    assert recall > 0.5


def test_reach_is_the_distance_to_the_third_neighbour() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0]])
    assert distances._reach(line).tolist() == [6, 5, 3, 5, 9]


def test_axes_are_orthonormal_and_the_first_is_the_longest() -> None:
    x = normal(200, 4) * torch.tensor([1.0, 9.0, 3.0, 0.1])
    axes = distances.principal_axes(x, 2)
    torch.testing.assert_close(axes.T @ axes, torch.eye(2), atol=1e-5, rtol=0)
    assert int(axes[:, 0].abs().argmax()) == 1
    assert distances.principal_axes(x).shape == (4, 4)


def test_nearest_and_diversity() -> None:
    x, y = torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.tensor([[5.0, 4.0], [3.0, 4.0], [0.0, 1.0]])
    distance, which = distances.nearest(x, y)
    assert distance.tolist() == [1, 1]
    assert which.tolist() == [2, 0]
    assert distances.diversity(x) == pytest.approx(50**0.5)


def test_the_embedding_is_the_same_for_a_picture_at_any_size_and_in_bytes() -> None:
    torch.manual_seed(0)
    colours = torch.rand(6, 3, 1, 1).mul(255).round() / 255
    small, large = (colours.expand(-1, -1, side, side) for side in (64, 150))
    embed = distances.Embedding(Features((4, 4, 8, 8, 8)), small)
    torch.testing.assert_close(embed(large), embed(small), atol=1e-3, rtol=0)
    torch.testing.assert_close(embed((small * 255).byte()), embed(small), atol=1e-3, rtol=0)
    assert embed(small).mean(0).abs().max() < 1e-3


# The table


NAMES = ("shoe", "handbag")


@pytest.fixture(scope="module")
def packshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packshots.tar and packshots.csv: broad and tall blocks of many colours."""
    import tarfile

    folder = tmp_path_factory.mktemp("packs")
    rng = np.random.default_rng(0)
    with (folder / "packshots.csv").open("w", newline="") as stream, tarfile.open(folder / "packshots.tar", "w") as tar:
        table = csv.writer(stream)
        table.writerow(["file", "category"])
        for i in range(160):
            pixels = np.full((48, 64, 3), 255, np.uint8)
            block = pixels[20:28, 6:58] if i % 2 else pixels[4:44, 24:40]
            block[:] = rng.integers(0, 220, 3) + rng.integers(0, 30, block.shape)
            Image.fromarray(pixels).save(folder / f"{i}.png")
            tar.add(folder / f"{i}.png", f"{i}.png")
            table.writerow([f"{i}.png", NAMES[i % 2]])
    return folder


@pytest.fixture(scope="module")
def reference(packshots: Path, tmp_path_factory: pytest.TempPathFactory) -> generation.Reference:
    torch.manual_seed(0)
    backbone = Features((4, 4, 8, 8, 8)).requires_grad_(False)
    return generation.Reference(
        packshots, tmp_path_factory.mktemp("cache"), backbone, Categories(NAMES, backbone), NAMES
    )


def test_packshots_stand_at_the_floor_and_shuffled_pixels_at_the_ceiling(reference: generation.Reference) -> None:
    real, shuffled = reference.baselines[generation.REAL], reference.baselines[generation.SHUFFLED]
    assert real.keys() == shuffled.keys() == generation.MEASURES.keys()
    assert real["kernel distance"] < 0.01 * shuffled["kernel distance"]
    assert real["Frechet distance"] < 0.2 * shuffled["Frechet distance"]
    assert real["precision"] > 0.6 > 0.1 > shuffled["precision"]
    assert real["diversity %"] == pytest.approx(100, abs=15)


def test_held_out_packshots_themselves_score_perfectly(reference: generation.Reference) -> None:
    scores = reference.scores(reference.held_out.repeat(generation.ROUNDS, 1, 1, 1), reference.wanted)
    assert scores["Frechet distance"] < 0.2 * reference.baselines[generation.REAL]["Frechet distance"]
    assert (scores["precision"], scores["recall"]) == (1, 1)
    assert scores["diversity %"] == pytest.approx(100)
    assert scores["nearest"] == pytest.approx(1)


def test_training_pictures_that_are_copied_are_noticed(reference: generation.Reference) -> None:
    copies = reference.shown[torch.arange(len(reference.wanted)) % len(reference.shown)]
    scores = reference.scores(copies)
    assert scores["copies %"] == 100
    assert scores["nearest"] < 0.01
    assert "category %" not in scores
    near, distance = reference.nearest(copies[:5])
    torch.testing.assert_close(near, copies[:5].float() / 255)
    assert float(distance.max()) < 0.01


def test_a_generator_draws_each_label_by_the_name_that_it_knows_it_by() -> None:
    network = TinyGenerator().eval()
    assert network.categories == ("shoe", "handbag")
    drawn = generation.draw(network, torch.tensor([1, 0, 1]), 0.0, ("handbag", "shoe"))
    bag, shoe = (torch.sigmoid(torch.tensor(float(k))) for k in (1, 0))
    torch.testing.assert_close(drawn.mean((1, 2, 3)), torch.stack([shoe, bag, shoe]))
    with pytest.raises(RequestError, match="has not learned tie; it knows shoe, handbag"):
        generation.draw(network, torch.tensor([0]), 0.5, ("tie",))
    network.categories = ()
    network.sample_latents = lambda category, count, truncation, rng: torch.randn(count, 3, generator=rng)  # type: ignore[method-assign]
    assert generation.draw(network, torch.tensor([0, 0]), 0.5, ("tie",)).shape == (2, 3, 8, 8)


def test_a_table_says_what_was_measured_and_what_does_not_apply(
    reference: generation.Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        generation.inception, "measure", lambda made, real, weights: ({}, "Inception was not to be had.")
    )
    network = Network(row("studio", "generate"), TinyGenerator())
    network.module.size_px = 128  # so that nothing need be enlarged
    shelf = Shelf((network.weight, network.module), (row("dcgan", "generate"), TinyGenerator()))
    dcgan = Network(row("dcgan", "generate"), network.module)
    spent = costs.measure([network, dcgan], Studio(Settings(), shelf), rounds=1, count=2)  # type: ignore[arg-type]
    measured = generation.measure(network, reference, shelf)  # type: ignore[arg-type]
    facts = measured.facts(spent["studio"])
    text = generation.table(facts)
    assert all(
        said in text
        for said in (*generation.MEASURES.values(), *generation.COSTS.values(), "Inception was not to be had.")
    )
    assert "not applicable" not in text
    assert measured.beside.width > measured.beside.height > 200
    assert facts["drawn"]["parameters M"] == 1e-6
    assert spent["dcgan"][generation.ONE] == spent["dcgan"][generation.WALL] == 1
    assert spent["studio"][generation.WALL] > 0
    del facts["drawn"]["category %"]
    table = generation_markdown({"studio": {"generation": facts}, "features": {}})
    lines = table.splitlines()
    assert lines[0].startswith("| drawn by | kernel distance |")
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["`studio`", generation.REAL, generation.SHUFFLED]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert generation_markdown({"features": {}}) == ""


def test_a_sketch_is_drawn_from_held_out_lines_and_not_praised_for_them(
    reference: generation.Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation.inception, "measure", lambda made, real, weights: ({}, ""))
    network = Network(row("sketch", "sketch"), Sketch((*NAMES, "any"), (4, 8), seen=3, size_px=32))
    lines = reference.lines(32)
    assert lines.shape == (len(reference.wanted), 1, 32, 32)
    assert torch.equal(lines[: len(reference.labels)], lines[-len(reference.labels) :])
    assert 0.01 < float(lines.mean()) < 0.5
    first, again, other = (
        generation.draw_lines(network.module, lines[:9], reference.wanted[:9], 1.0, NAMES, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    measured = generation.measure(network, reference, Shelf())  # type: ignore[arg-type]
    assert measured.drawn.keys() == generation.MEASURES.keys() - {"recall", "diversity %"}
    text = generation.table(measured.facts({}))
    assert text.count("not applicable") == 4
    assert generation.LINES in text
    table = generation_markdown({"sketch": {"generation": measured.facts({})}})
    assert "| | |" in next(line for line in table.splitlines() if line.startswith("| `sketch`"))


def test_no_packshots_is_one_sentence(tmp_path: Path) -> None:
    backbone = Features((4, 4, 8, 8, 8))
    with pytest.raises(RequestError, match=r"has no packshots\.tar"):
        generation.Reference(tmp_path, tmp_path, backbone, Categories(NAMES, backbone), NAMES)
