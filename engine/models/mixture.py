"""Where the latents of each category lie: a mixture of Gaussians, fitted to the latents of training pictures.

Sampling from what was fitted instead of from the standard normal prior is the second stage of a two-stage VAE (Dai &
Wipf 2019), here with a mixture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models import names


class LatentMixture(nn.Module):
    """A network's latents (N, D) by category, to be inherited from: the mixture stands in the network's own buffers, so
    that one weight file holds all that sampling needs.

    means (K, D) and spreads (C, D, D) lower triangular; component k belongs to category component_of[k] and is drawn
    with weight component_share[k].
    """

    means: Tensor
    spreads: Tensor
    component_of: Tensor
    component_share: Tensor
    category_names: Tensor

    def __init__(self, categories: tuple[str, ...], latent_dim: int, components: int | None = None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        k = components or len(categories)
        self.register_buffer("means", torch.zeros(k, latent_dim))
        self.register_buffer("spreads", torch.eye(latent_dim).expand(len(categories), -1, -1).clone())
        self.register_buffer("component_of", torch.arange(k) % len(categories))
        self.register_buffer("component_share", torch.ones(k))
        self.register_buffer("category_names", names.as_tensor(categories))

    @property
    def categories(self) -> tuple[str, ...]:
        return names.of_tensor(self.category_names)

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        """Latents (count, D) of a category, float32 on the CPU: mean of a component + truncation x its spread.

        The i-th latent depends on the generator's state and on i, not on `count`. ValueError for an unknown category.
        """
        c = self.categories.index(category)
        of_category = (self.component_of.cpu() == c).nonzero()[:, 0]
        shares = self.component_share.cpu()[of_category].float()
        latents = []
        for _ in range(count):
            k = of_category[torch.multinomial(shares, 1, generator=rng)[0]]
            noise = torch.randn(self.latent_dim, generator=rng)
            latents.append(self.means[k].cpu().float() + truncation * self.spreads[c].cpu().float() @ noise)
        return torch.stack(latents)

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Latents a part t of the way from `a` to `b`, (N, D): on a line, as the fitted mixture knows no sphere."""
        return torch.lerp(a, b, t)

    def covariance(self, category: str) -> Tensor:
        """Of the latents of a whole category, all its components together: (D, D), float32 on the CPU."""
        c = self.categories.index(category)
        of_category = (self.component_of == c).cpu()
        means, spread = self.means.cpu().float()[of_category], self.spreads[c].cpu().float()
        share = self.component_share.cpu().float()[of_category, None]
        share = share / share.sum()
        centred = means - (share * means).sum(0)
        found: Tensor = (share * centred).T @ centred + spread @ spread.T
        return found

    @torch.no_grad()
    def fit_latents(
        self, means: Tensor, variances: Tensor, labels: Tensor, per_component: int = 40, shrinkage: float = 0.1
    ) -> None:
        """Set the mixture from encoded pictures: posterior means and variances (N, D), categories (N,).

        k-means inside each category finds the components; the spread is the covariance inside components plus the
        posterior's own variance, pulled by `shrinkage` toward the mean variance of all directions (Ledoit & Wolf).
        Categories with few pictures lean on the spread of all categories together. Components with less than a third
        of their fair share are left out with their pictures: there sit the odd ones and the wrongly labelled.
        """
        centres, owners, shares, scatters, counts = [], [], [], [], []
        for c in range(len(self.categories)):
            latents, variance = means[labels == c], variances[labels == c].mean(0)
            k = max(1, len(latents) // per_component)
            centre, assigned = _kmeans(latents, k)
            common = torch.bincount(assigned, minlength=k) * 3 * k >= len(latents)
            latents = latents[common[assigned]]
            centre, assigned = _kmeans(latents, k := int(common.sum()))
            residual = latents - centre[assigned]
            scatters.append(residual.T @ residual / max(1, len(latents) - k) + torch.diag(variance))
            counts.append(len(latents))
            centres.append(centre)
            owners += [c] * k
            shares += torch.bincount(assigned, minlength=k).tolist()
        pooled = sum(n * s for n, s in zip(counts, scatters, strict=True)) / sum(counts)
        for c, (n, scatter) in enumerate(zip(counts, scatters, strict=True)):
            own = n / (n + 2 * self.latent_dim)
            mixed = own * scatter + (1 - own) * pooled
            mixed = (1 - shrinkage) * mixed + shrinkage * torch.diag(mixed.diagonal())
            self.spreads[c] = torch.linalg.cholesky(mixed)
        self.means = torch.cat(centres)
        self.component_of = torch.tensor(owners)
        self.component_share = torch.tensor(shares, dtype=torch.float32)


def _kmeans(x: Tensor, k: int, rounds: int = 30) -> tuple[Tensor, Tensor]:
    """Centres (k, D) and the index of each row's centre; starts from the farthest-first traversal of the rows."""
    chosen = [int((x - x.mean(0)).square().sum(1).argmin())]
    distance = (x - x[chosen[0]]).square().sum(1)
    for _ in range(k - 1):
        chosen.append(int(distance.argmax()))
        distance = distance.minimum((x - x[chosen[-1]]).square().sum(1))
    centres = x[chosen].clone()
    for _ in range(rounds):
        assigned = torch.cdist(x, centres).argmin(1)
        for j in range(k):
            if (assigned == j).any():
                centres[j] = x[assigned == j].mean(0)
    return centres, torch.cdist(x, centres).argmin(1)
