"""How far two sets of pictures are apart, measured on the activations of `features`.

The embedding is our own, so these distances compare our networks with each other, and are not FID or KID.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.features import Features

SEEN_PX = 64  # every picture is brought to this size first, so that networks of different sizes are measured alike
NEIGHBOURS = 3  # of precision and recall, as in the paper


class Embedding:
    """What `embed` gives, standardised by the pictures (N, 3, H, W) that it is fitted to."""

    def __init__(self, features: Features, pictures: Tensor) -> None:
        self.features = features.eval()
        plain = embed(self.features, pictures)
        self.mean, self.spread = plain.mean(0), plain.std(0, correction=0) + 1e-6

    def __call__(self, pictures: Tensor) -> Tensor:
        return (embed(self.features, pictures) - self.mean) / self.spread


@torch.no_grad()
def embed(features: Features, pictures: Tensor) -> Tensor:
    """Pictures (N, 3, H, W), float in [0, 1] or uint8 -> (N, D): mean and a 2 x 2 grid of maxima of conv3 to conv5 at
    64 px.
    """
    parts = []
    for batch in pictures.split(128):
        maps = features(at_size(batch, SEEN_PX))[2:]
        parts.append(
            torch.cat([part for m in maps for part in (m.mean((2, 3)), F.adaptive_max_pool2d(m, 2).flatten(1))], 1)
        )
    return torch.cat(parts).float()


def at_size(pictures: Tensor, size_px: int) -> Tensor:
    """Pictures (N, 3, H, W), float in [0, 1] or uint8, as float (N, 3, size_px, size_px) in [0, 1]."""
    x = pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
    return (
        x
        if x.shape[2:] == (size_px, size_px)
        else F.interpolate(x, (size_px, size_px), mode="bilinear", antialias=True).clamp(0, 1)
    )


def principal_axes(x: Tensor, count: int = 64) -> Tensor:
    """The directions (D, count) in which the rows of x (N, D) vary most, orthonormal; fewer if N or D is smaller."""
    found: Tensor = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][:count].T
    return found


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of rows x (N, D) and y (M, D) under (x.y / D + 1)^3 (Binkowski et al.

    2018).
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    def within(k: Tensor) -> Tensor:
        return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))

    return float(within(kernel(x, x)) + within(kernel(y, y)) - 2 * kernel(x, y).mean())


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared Wasserstein-2 distance of the Gaussians with the moments of rows x (N, D) and y (M, D) (Heusel et al.
    2017).

    |m - n|^2 + tr(A + B - 2 (A B)^(1/2)). It is above zero for two samples of one distribution, the more so the fewer.
    """
    x, y = x.double(), y.double()
    a, b = torch.cov(x.T), torch.cov(y.T)
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # A B and the symmetric root B root have the same eigenvalues.
    shared = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * shared)


def precision_recall(made: Tensor, real: Tensor) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of rows made (N, D) against real (M, D), N about M.

    precision: the share of made that lies among the real ones; recall: the share of real that lies among the made.
    "Among" is nearer to one of them than its third nearest neighbour of its own kind.
    """
    between = torch.cdist(made, real)
    inside_real = between <= _reach(real)
    inside_made = between <= _reach(made)[:, None]
    return float(inside_real.any(1).float().mean()), float(inside_made.any(0).float().mean())


def _reach(x: Tensor) -> Tensor:
    """Distance of each row to its third nearest other row."""
    own = torch.cdist(x, x)
    own.fill_diagonal_(-1.0)  # rounding must not put a row behind its own twin
    return own.kthvalue(min(NEIGHBOURS + 1, len(x)), 1).values


def diversity(x: Tensor) -> float:
    """Mean distance of two different rows."""
    return float(torch.pdist(x).mean())


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of x the distance to the nearest row of y, and which that is: (N,) and (N,)."""
    found = torch.cdist(x, y).min(1)
    return found.values, found.indices
