"""The recipe of matte_lite: its losses, its views of photos, a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend import trains_there_as_here

from engine.contract.errors import RequestError
from engine.models.matte_lite import MatteLite
from engine.train import labels
from engine.train.recipes import matte_lite
from engine.train.recipes.matte import CutOuts


def photos(folder: Path, count: int = 3) -> labels.Labelled:
    """Photos 48 x 32 of a square on grey, with its label."""
    photo = np.full((5, 48, 32), 90, np.uint8)
    photo[:, 12:36, 8:24] = 255
    photo[4] = 255
    file = folder / "photos.u8"
    np.stack([photo] * count).tofile(file)
    names = [f"{i}.png" for i in range(count)]
    file.with_suffix(".json").write_text(json.dumps({"names": names, "sizes": [(48, 32)] * count}))
    return labels.Labelled(file)


def recipe(folder: Path, **more: int) -> matte_lite.MatteLiteRecipe:
    cut_outs = CutOuts(torch.full((2, 4, 192, 192), 200, dtype=torch.uint8), ["a", "b"])
    torch.manual_seed(0)
    network = MatteLite((4, 4, 6, 6, 8))
    return matte_lite.MatteLiteRecipe(photos(folder), cut_outs, network, steps=4, batch=3, size_px=32, **more)


def test_the_label_itself_costs_nothing_and_its_opposite_much() -> None:
    label = torch.zeros(1, 1, 16, 16)
    label[..., 4:12, 4:12] = 1
    sure = 40 * (label - 0.5)
    right, _ = matte_lite.losses(sure, label, torch.ones_like(label))
    wrong, _ = matte_lite.losses(-sure, label, torch.ones_like(label))
    assert float(right) < 1e-3
    assert float(wrong) > 10


def test_pixels_without_weight_do_not_count_for_area_and_entropy() -> None:
    label, weight = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    weight[..., :8] = 1
    label[..., 2:6, 2:6] = 1
    logits = 40 * (label - 0.5)
    logits[..., 12:] = 20
    _, parts = matte_lite.losses(logits, label, weight)
    assert parts["entropy"] < 1e-3
    assert parts["iou"] > 0.999


def test_a_view_keeps_the_photo_s_proportions() -> None:
    photo = torch.zeros(5, 60, 30, dtype=torch.uint8)
    photo[:, 20:40, 5:25] = 255  # a square of 20
    rng = np.random.default_rng(1)
    view = matte_lite.viewed(photo, 120, rng, (1.0, 1.0), turn=0.0, outside="zeros")
    rows, columns = ((view[0, 3] > 0.5).any(dim).sum() for dim in (1, 0))
    assert view.shape == (1, 5, 120, 120)
    assert abs(int(rows) - 40) <= 2
    assert abs(int(columns) - 40) <= 2


def test_steps_move_what_is_to_learn_and_nothing_else(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    before = {name: p.detach().clone() for name, p in made.network.named_parameters()}
    parts = made.step(0)
    assert set(parts) == {"entropy", "slopes", "iou"}
    for name, parameter in made.network.named_parameters():
        assert parameter.equal(before[name]) == name.startswith(matte_lite.FROZEN) or name == "whole.weight", name
    assert 0 <= made.measure()["IoU"] <= 1
    assert made.sample().shape[1:] == (3, 32, 32)


def test_the_same_seed_gives_the_same_batch(tmp_path: Path) -> None:
    one, two, other = recipe(tmp_path), recipe(tmp_path), recipe(tmp_path, seed=1)
    assert one._batch(one.rng(3))[0].equal(two._batch(two.rng(3))[0])
    assert not one._batch(one.rng(3))[0].equal(other._batch(other.rng(3))[0])


def test_what_it_needs_is_said() -> None:
    with pytest.raises(RequestError, match="--masks of photos and --packshots"):
        matte_lite.build(matte_lite.MatteLiteOptions())
    some = Path("some")
    with pytest.raises(RequestError, match="begins with an --encoder"):
        matte_lite.build(matte_lite.MatteLiteOptions(masks=some, packshots=some))


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
def test_a_gpu_comes_to_the_weights_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trains_there_as_here(lambda: recipe(tmp_path), tmp_path, monkeypatch)
