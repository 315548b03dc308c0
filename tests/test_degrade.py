"""What photos suffer, as the recipes make it: kernels of blur and what they do to a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.train import degrade

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
