"""The generator of DCGAN (Radford et al. 2016): a latent of normal numbers becomes a picture by transposed
convolutions.

Where we leave the paper: the latent is drawn from N(0, 1), not from a uniform distribution, so that a path on the
sphere between two latents stays where the network was trained; the picture comes out in [0, 1], which is the paper's
tanh moved there. WGAN and WGAN-GP ship the same network, trained by another objective.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

LATENT_DIM = 100
CLIPPED_AT = 3.0  # standard deviations, at truncation 1: one number in 370 is larger


class DcganGenerator(nn.Module):
    """Latents (N, D) -> product pictures (N, 3, 64, 64) in [0, 1]; it was trained without categories, so labels are
    ignored.

    width: channels before the last layer; the first has eight times as many.
    """

    categories: tuple[str, ...] = ()
    size_px = 64

    def __init__(self, width: int = 32, latent_dim: int = LATENT_DIM) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        widths = (latent_dim, 8 * width, 4 * width, 2 * width, width)
        layers: list[nn.Module] = []
        for k, (i, o) in enumerate(itertools.pairwise(widths)):
            stride, padding = (1, 0) if k == 0 else (2, 1)
            layers += [
                nn.ConvTranspose2d(i, o, 4, stride, padding, bias=False),
                nn.BatchNorm2d(o),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        x = latents[:, :, None, None].contiguous(memory_format=torch.channels_last)
        found: Tensor = 0.5 + 0.5 * self.body(x)
        return found

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        """Latents (count, D), float32 on the CPU: normal numbers, clipped at 3 x `truncation` (after Brock et al.
        2019).

        Scaling them instead would take every latent from the sphere near which all latents of the training lie.
        The i-th latent depends on the generator's state and on i, not on `count`. The category is ignored.
        """
        latents = torch.stack([torch.randn(self.latent_dim, generator=rng) for _ in range(count)])
        return latents.clamp(-CLIPPED_AT * truncation, CLIPPED_AT * truncation)

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Latents (N, D) a share `t` of the way from a to b, along the great circle (White 2016)."""
        cosine = torch.nn.functional.cosine_similarity(a, b, dim=1, eps=1e-8).clamp(-1, 1)[:, None]
        angle = cosine.acos()
        sine = angle.sin()
        along = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine.clamp(min=1e-4)
        # Latents on one line through 0 have no great circle of their own: between them the way is straight.
        return torch.where(sine < 1e-4, (1 - t) * a + t * b, along)


def from_state_dict(state: dict[str, Tensor]) -> DcganGenerator:
    """The generator whose weights these are; its widths are read from the shapes. Strict."""
    first = state["body.0.weight"]
    network = DcganGenerator(first.shape[1] // 8, first.shape[0])
    network.load_state_dict(state)
    return network
