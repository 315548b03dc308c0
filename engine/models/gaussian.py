"""Gaussians that stand for clouds of colours or activations: their moments, the map from one to another, their
distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (C,) and covariance (C, C) of C channels over all pixels."""

    mean: Tensor
    covariance: Tensor

    def to(self, device: torch.device) -> Moments:
        return Moments(self.mean.to(device), self.covariance.to(device))


def moments(activation: Tensor) -> Moments:
    """Mean and covariance of the channels of (1, C, H, W)."""
    a = rows(activation)
    mean = a.mean(0)
    a = a - mean
    return Moments(mean, a.T @ a / len(a))


def rows(activation: Tensor) -> Tensor:
    """(1, C, H, W) as (H W, C): without a copy in channels-last order, in which networks are held here."""
    return activation.movedim(1, -1).flatten(0, 2)


def root(covariance: Tensor, power: float = 0.5, floor: float = 0.0) -> Tensor:
    """The symmetric power of a covariance (C, C), in float64; `floor` is added to its eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance.double())
    found: Tensor = (vectors * (values.clamp(min=0) + floor).pow(power)) @ vectors.T
    return found


def transport(own: Moments, target: Moments, floor: float = 1e-3) -> Tensor:
    """The symmetric matrix (C, C), in float64, that takes a covariance to another and moves the points least.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 with A the covariance of `own` and B the target's (Monge-Kantorovich between
    Gaussians). `floor` is a variance added to both, so that the noise of an almost flat photo is not raised to the
    contrast of an artwork.
    """
    half = root(own.covariance, 0.5, floor)
    inverse = root(own.covariance, -0.5, floor)
    wanted = target.covariance.double() + floor * torch.eye(len(half), dtype=torch.float64, device=half.device)
    return inverse @ root(half @ wanted @ half) @ inverse


def recoloured(photo: Tensor, colour: Moments, floor: float = 1e-3, *, like: Tensor | None = None) -> Tensor:
    """The photo (1, 3, H, W) moved to the colour moments of a style by the linear map that moves colours least; `floor`
    as in `transport`.

    like: what the photo's own moments are taken from, such as a smaller copy; the photo itself if not given.
    """
    own = moments(photo if like is None else like)
    matrix = transport(own, colour, floor).to(photo.dtype)
    moved = matrix @ (photo.flatten(2)[0] - own.mean[:, None]) + colour.mean[:, None]
    return moved.view_as(photo).clamp(0, 1)


def wasserstein(mean: Tensor, covariance: Tensor, target_mean: Tensor, target_root: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance between two Gaussians: |m - n|^2 + tr(A + B - 2 (B^1/2 A B^1/2)^1/2).

    target_root: B^1/2. Scalar, float64, with a gradient by mean (C,) and covariance (C, C).
    """
    trace = target_root.square().sum()
    values = torch.linalg.eigvalsh(target_root @ covariance @ target_root)
    least = (1e-3 * trace / len(values)).square()  # where the slope of the square root would go to infinity
    found: Tensor = (
        (mean - target_mean).square().sum()
        + covariance.trace()
        + trace
        - 2 * values.clamp(min=float(least) + 1e-30).sqrt().sum()
    )
    return found
