"""What photos suffer, as the recipes make it: kernels of blur and what they do to a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.train import degrade
from engine.train.recipes.restore import KINDS

KERNELS = {
    "disk": lambda rng: degrade.disk_kernel(3.0),
    "gaussian": lambda rng: degrade.gaussian_kernel(2.0),
    "motion": lambda rng: degrade.motion_kernel(17.0, rng),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_keeps_the_light_and_stays_in_its_middle(name):
    kernel = KERNELS[name](np.random.default_rng(0))
    line = torch.arange(degrade.BLUR_PX) - degrade.BLUR_PX // 2
    assert kernel.shape == (degrade.BLUR_PX, degrade.BLUR_PX)
    assert kernel.min() >= 0
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    assert abs(float((kernel * line[:, None]).sum())) < 3
    assert abs(float((kernel * line[None]).sum())) < 3


def test_a_gaussian_kernel_has_its_sigma_and_a_disk_its_radius():
    line = (torch.arange(degrade.BLUR_PX) - degrade.BLUR_PX // 2).float()
    assert float((degrade.gaussian_kernel(2.0) * line.square()).sum()) ** 0.5 == pytest.approx(2.0, rel=0.01)
    disk = degrade.disk_kernel(4.0)
    assert float((disk / disk.max()).sum()) == pytest.approx(np.pi * 16, rel=0.1)


def test_motion_is_as_long_as_was_asked():
    for seed in range(8):
        lit = (degrade.motion_kernel(15.0, np.random.default_rng(seed)) > 1e-6).nonzero().float()
        assert 9 < float(torch.cdist(lit, lit).max()) < 18  # a bent path ends nearer


def test_blurring_is_the_convolution_with_the_kernel():
    rng = np.random.default_rng(1)
    x = torch.rand(2, 3, 40, 36)
    kernels = torch.stack([degrade.motion_kernel(15.0, rng), degrade.disk_kernel(0.0)])
    y = degrade.blurred(x, kernels)
    plain = F.conv2d(x[:1].transpose(0, 1), kernels[:1, None]).transpose(0, 1)
    torch.testing.assert_close(y[:1], plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(y[1], x[1, :, 12:-12, 12:-12], atol=1e-5, rtol=0)


def test_each_kind_of_disturbance_is_drawn_as_often_as_its_share():
    kinds = [lambda x, rng, k=k: torch.full_like(x, k) for k in range(3)]
    drawn = degrade.one_of(kinds, (0.5, 0.3, 0.2), torch.zeros(4000, 1, 1, 1), np.random.default_rng(0)).flatten()
    assert [float((drawn == k).float().mean()) for k in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


def test_experts_for_noise_start_from_white_noise_of_all_levels():
    x = torch.full((300, 3, 16, 16), 0.5)
    noise = degrade.any_noise(x, np.random.default_rng(0)) - x
    deviations = noise.std((1, 2, 3)) * 255
    assert 50 < float(deviations.max()) < 66
    assert float((noise.abs() > 0.5).any(3).any(2).any(1).float().mean()) > 0.1  # not cut off at black and white


@pytest.mark.parametrize(("kind", "least", "most"), [("white-noise", 12, 45), ("strong-white-noise", 36, 60)])
def test_experts_for_white_noise_share_its_levels_and_see_it_as_the_literature_has_it(kind, least, most):
    noise = KINDS[kind](torch.full((200, 3, 16, 16), 0.98), np.random.default_rng(0)) - 0.98
    deviations = noise.std((1, 2, 3)) * 255
    assert float(deviations.min()) == pytest.approx(least, rel=0.25)
    assert float(deviations.max()) == pytest.approx(most, rel=0.15)
    assert bool((noise.amax((1, 2, 3)) > 0.02).all()), "it goes on above white"


@pytest.mark.parametrize(("kind", "most"), [("noise", 40), ("strong-noise", 65)])
def test_experts_for_noise_in_files_see_it_end_at_black_and_white(kind, most):
    seen = KINDS[kind](torch.full((200, 3, 16, 16), 0.5), np.random.default_rng(0))
    assert 0 <= float(seen.min()) < float(seen.max()) <= 1
    assert 25 < float(seen.std((1, 2, 3)).max()) * 255 < most
    white = KINDS[kind](torch.full((200, 3, 16, 16), 1.0), np.random.default_rng(0))
    assert float(white.max()) == 1
    assert float(white.mean((1, 2, 3)).min()) < 0.95, "what ends at white is darker than it"


def test_the_expert_for_strong_noise_sees_no_weak_one():
    deviations = (KINDS["strong-noise"](torch.full((200, 3, 16, 16), 0.5), np.random.default_rng(0)) - 0.5).std(
        (1, 2, 3)
    ) * 255
    assert 20 < float(deviations.min()) < 26


def test_the_expert_for_strong_jpeg_sees_qualities_below_60():
    texture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).expand(60, -1, -1, -1)
    off = (KINDS["strong-jpeg"](texture, np.random.default_rng(0)) - texture).square().mean((1, 2, 3)).sqrt()
    least, most = (
        float((degrade.jpeg(texture[0], quality, subsampling=way) - texture[0]).square().mean().sqrt())
        for quality, way in ((60, 0), (5, 2))
    )
    assert least < float(off.min()) < float(off.max()) <= most + 1e-6
