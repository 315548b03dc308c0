"""Labels by agreement: closed forms, and from photos and masks to labelled photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.contract.errors import RequestError
from engine.train import labels, masks


def square(left: int, right: int, value: float = 1.0) -> np.ndarray:
    mask = np.zeros((20, 40), np.float32)
    mask[5:15, left:right] = value
    return mask


def test_two_that_agree_outvote_a_third() -> None:
    found = labels.agreement([square(5, 25), square(0, 40), square(5, 26)])
    assert found is not None
    label, weight = found
    np.testing.assert_allclose(label, (square(5, 25) + square(5, 26)) / 2)
    np.testing.assert_array_equal(weight == 0, square(25, 26) > 0)  # there the two are apart


def test_a_third_that_is_like_both_counts_as_well() -> None:
    found = labels.agreement([square(5, 25), square(5, 25, 0.7), square(5, 25, 0.85)])
    assert found is not None
    np.testing.assert_allclose(found[0], square(5, 25, 0.85), atol=1e-6)
    assert found[1].min() == 1


@pytest.mark.parametrize(
    "disagreed",
    [
        [],
        [square(5, 25)],
        [square(5, 25), square(10, 30)],
        [square(0, 1), square(0, 1)],
        [np.ones((20, 40), np.float32)] * 2,
    ],
    ids=["none", "alone", "apart", "dust", "everything"],
)
def test_otherwise_there_is_no_label(disagreed: list[np.ndarray]) -> None:
    assert labels.agreement(disagreed) is None


def test_photos_are_read_with_the_labels_of_their_masks(tmp_path: Path) -> None:
    photos, teachers = tmp_path / "photos", tmp_path / "masks"
    (photos / "shop").mkdir(parents=True)
    for name in ("one", "two"):
        Image.new("RGB", (80, 40), "navy").save(photos / "shop" / f"{name}.png")
    for teacher in ("a", "b"):
        (teachers / teacher).mkdir(parents=True)
        Image.fromarray((square(5, 25) * 255).astype(np.uint8)).resize((80, 40)).save(
            masks.mask_file(teachers / teacher, "shop/one.png")
        )
    found = labels.read([photos], teachers, tmp_path / "cache", most_px=40)
    assert found.names == ["shop/one.png"]
    assert found[0].shape == (5, 20, 40)
    assert found[0][:3, 0, 0].tolist() == [0, 0, 128]
    assert found[0][3, 10, 15] == 255
    assert found[0][3, 10, 35] == 0
    assert found[0][4].min() == 255
    again = labels.read([photos], teachers, tmp_path / "cache", most_px=40)
    assert again[0].equal(found[0])
    masks.mask_file(teachers / "b", "shop/one.png").unlink()
    with pytest.raises(RequestError, match="agree on no photo"):
        labels.read([photos], teachers, tmp_path / "cache")
