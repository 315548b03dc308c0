"""Masks of teachers: how a network is asked, what is left out, what a stopped run leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.contract.errors import RequestError
from engine.train import masks


def test_a_network_is_asked_as_it_wants() -> None:
    seen: list[np.ndarray] = []

    def run(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x[:, :1] * 0.229 + 0.485

    photo = torch.linspace(0, 1, 50).expand(1, 3, 30, 50)
    mask = masks.seen_by(run, masks.INPUTS["u2netp"])(photo)
    assert seen[0].shape == (1, 3, 320, 320)
    assert mask.shape == (1, 1, 30, 50)
    torch.testing.assert_close(mask, photo[:, :1], atol=0.02, rtol=0)  # there and back by resampling
    grey = masks.seen_by(lambda x: x[:, :1], masks.INPUTS["isnet"])(torch.full((1, 3, 8, 8), 0.75))
    torch.testing.assert_close(grey, torch.full((1, 1, 8, 8), 0.25))


def test_what_is_there_is_not_asked_again(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in "abc":
        Image.new("RGB", (6, 4), "white").save(photos / f"{name}.png")
    asked: list[Tensor] = []

    def look(photo: Tensor) -> Tensor:
        asked.append(photo)
        return photo[:, :1] / 2

    assert sorted(masks.collect(look, [photos], out, lambda name: name != "b.png")) == ["a.png", "c.png"]
    assert np.asarray(Image.open(masks.mask_file(out, "a.png"))).tolist() == [[128] * 6] * 4
    assert list(masks.collect(look, [photos], out, lambda _: True)) == ["b.png"]
    assert len(asked) == 3


def test_overlap_is_that_of_areas(tmp_path: Path) -> None:
    for folder, right in (("one", 10), ("two", 15)):
        (tmp_path / folder).mkdir()
        mask = np.zeros((10, 20), np.uint8)
        mask[:, :right] = 255
        Image.fromarray(mask).save(masks.mask_file(tmp_path / folder, "a.jpg"))
    assert masks.overlap(tmp_path / "one", tmp_path / "two", "a.jpg") == pytest.approx(10 / 15)
    assert masks.overlap(tmp_path / "one", tmp_path / "two", "b.jpg") == 0


def test_a_teacher_without_a_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RequestError, match="needs its ONNX file"):
        masks.teacher("isnet", None)
    assert masks.main(["isnet", "--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "The teacher isnet needs its ONNX file: --file FILE.\n"
