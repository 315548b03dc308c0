"""How near a picture comes to a reference, in closed forms and beside torchmetrics."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.fidelity import against, ms_ssim


def noise(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_a_picture_is_its_own_reference() -> None:
    assert against(noise(40, 50), noise(40, 50)) == pytest.approx(
        {"PSNR": 100.0, "SSIM": 1.0, "MS-SSIM": 1.0, "mean ΔE": 0.0}, abs=1e-4
    )


def test_psnr_is_that_of_the_mean_square() -> None:
    picture = torch.full((1, 3, 30, 30), 0.5)
    assert against(picture, picture + 0.1)["PSNR"] == pytest.approx(20.0, abs=1e-4)


def test_light_counts_at_the_coarsest_size_only() -> None:
    """Two even pictures differ in light alone: all of it is one factor with the exponent of the last size."""
    dark, light = torch.full((1, 3, 200, 200), 0.4), torch.full((1, 3, 200, 200), 0.6)
    term = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert ms_ssim(dark, light) == pytest.approx(term**0.1333, abs=1e-4)


def test_ms_ssim_is_near_that_of_torchmetrics() -> None:
    image = pytest.importorskip("torchmetrics.functional.image")
    a = (
        torch.nn.functional.interpolate(noise(30, 30), size=(240, 240), mode="bicubic")
        .clamp(0, 1)
        .mean(1, keepdim=True)
        .expand(-1, 3, -1, -1)
    )
    b = (a + 0.1 * (noise(240, 240, seed=1)[:, :1] - 0.5)).clamp(0, 1)
    theirs = float(image.multiscale_structural_similarity_index_measure(b[:, :1], a[:, :1], data_range=1.0))
    assert ms_ssim(a, b) == pytest.approx(theirs, abs=0.01)  # they leave the border out


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (23, 21)])
def test_small_pictures_use_fewer_sizes(size: tuple[int, int]) -> None:
    assert all(math.isfinite(value) for value in against(noise(*size), noise(*size, seed=2)).values())


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="sizes differ"):
        against(noise(4, 4), noise(4, 5))
