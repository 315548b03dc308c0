"""A product is taken off white: the outline by how white it is, its colour without the white."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.models.cutout import off_white


def disc(side: int = 240, radius: float = 70.0, soft: float = 2.0) -> Tensor:
    """The true alpha (1, 1, S, S) of a disc with a soft outline."""
    at = torch.arange(side) - (side - 1) / 2
    return ((radius - torch.hypot(at[:, None], at[None])) / soft + 0.5).clamp(0, 1)[None, None]


def on(colour: Tensor, alpha: Tensor, background: float = 1.0) -> Tensor:
    return alpha * colour.view(1, 3, 1, 1) + (1 - alpha) * background


@pytest.mark.parametrize("colour", [(0.1, 0.1, 0.1), (0.8, 0.2, 0.1), (0.2, 0.3, 0.7), (0.9, 0.7, 0.2)])
def test_what_was_mixed_with_white_is_unmixed(colour: tuple[float, float, float]) -> None:
    truth, own = disc(soft=4.0), torch.tensor(colour)
    colours, alpha = off_white(on(own, truth), (truth > 0.5).float())
    assert float((alpha - truth).abs().max()) < 0.15
    assert float((on(own, truth, 0.0) - alpha * colours).abs().max()) < 0.15, "a light rim on a dark background"


def test_laid_on_white_again_it_is_as_it_was() -> None:
    truth = disc(soft=4.0)
    pixels = on(torch.tensor([0.3, 0.2, 0.5]), truth)
    colours, alpha = off_white(pixels, truth)
    assert float((alpha * colours + 1 - alpha - pixels).abs().max()) < 0.1


def test_a_thin_handle_keeps_its_colour() -> None:
    line = torch.zeros(1, 1, 240, 240)
    line[..., 116:120, :] = 1
    colours, alpha = off_white(on(torch.tensor([0.1, 0.1, 0.1]), line), line)
    assert float(alpha[..., 116:120, :].min()) > 0.95
    assert float(colours[..., 116:120, :].max()) < 0.15
    assert float(alpha[..., :110, :].max()) == 0.0


def test_the_haze_around_a_product_goes_though_the_mask_holds_it() -> None:
    truth = disc(radius=60.0)
    pixels = torch.minimum(on(torch.tensor([0.1, 0.1, 0.1]), truth), torch.full((1, 3, 240, 240), 0.97))
    _, alpha = off_white(pixels, (disc(radius=66.0) > 0.5).float())
    assert float(alpha[disc(radius=64.0) < 0.01].max()) < 0.05


def test_a_white_product_stays_by_its_mask() -> None:
    truth = disc()
    _, alpha = off_white(on(torch.tensor([0.97, 0.97, 0.97]), truth), (truth > 0.5).float())
    assert float(alpha[disc(radius=60.0) > 0.99].min()) > 0.95
    assert float(alpha[disc(radius=80.0) < 0.01].max()) == 0.0


def test_an_empty_picture_is_all_background() -> None:
    colours, alpha = off_white(torch.ones(1, 3, 40, 30), torch.zeros(1, 1, 40, 30))
    assert float(alpha.max()) == 0.0
    assert bool(colours.isfinite().all())
