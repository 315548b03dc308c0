"""How surfaces scatter light: GGX with sampling of visible normals (Walter et al. 2007, Heitz 2018), and the Fresnel
reflectance of Schlick 1994.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.showcase.scene import Surface
from engine.showcase.vectors import dot, luminance, normalize


def ggx(cosine: Tensor, alpha: Tensor) -> Tensor:
    """Density of microfacet normals at the cosine to the mean normal."""
    a2 = alpha * alpha
    return a2 / (math.pi * ((cosine * cosine) * (a2 - 1) + 1) ** 2).clamp_min(1e-9)


def smith(cosine: Tensor, alpha: Tensor) -> Tensor:
    """Part of the microfacets visible at this cosine."""
    a2 = alpha * alpha
    return 2 * cosine / (cosine + (a2 + (1 - a2) * cosine * cosine).sqrt()).clamp_min(1e-6)


def schlick(f0: Tensor, cosine: Tensor) -> Tensor:
    """Fresnel reflectance (3, N); what reflects less than 2 % head-on is taken as matt at grazing angles too."""
    return f0 + ((50 * f0).clamp_max(1) - f0).clamp_min(0) * (1 - cosine.clamp(0, 1)) ** 5


def frame(n: Tensor) -> tuple[Tensor, Tensor]:
    """Two tangents of each normal (Duff et al. 2017)."""
    sign = torch.where(n[2] >= 0, 1.0, -1.0)
    a = -1 / (sign + n[2])
    b = n[0] * n[1] * a
    return torch.stack([1 + sign * n[0] ** 2 * a, sign * b, -sign * n[0]]), torch.stack(
        [b, sign + n[1] ** 2 * a, -n[1]]
    )


class Bsdf:
    """A diffuse base under a GGX coat at N points; v and l point away from the surface."""

    def __init__(self, surface: Surface, normal: Tensor, v: Tensor) -> None:
        self.s, self.n, self.v = surface, normal, v
        self.alpha = surface.roughness.clamp_min(0.012)
        self.nv = dot(normal, v).clamp_min(1e-3)
        self.fresnel_v = schlick(surface.f0, self.nv)
        coat = luminance(self.fresnel_v)
        base = luminance(surface.albedo) * (1 - coat)
        self.coat_chance = (coat / (coat + base).clamp_min(1e-6)).clamp(0.15, 1.0)

    def value(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """BSDF times cosine (3, N) and the density (N,) of `sample` for directions (3, N)."""
        nl = dot(self.n, light)
        up = nl > 1e-4
        nl = nl.clamp_min(1e-4)
        half = normalize(light + self.v)
        vh, nh = dot(self.v, half).clamp_min(1e-4), dot(self.n, half).clamp(0, 1)
        d, g1 = ggx(nh, self.alpha), smith(self.nv, self.alpha)
        coat = schlick(self.s.f0, vh) * (d * g1 * smith(nl, self.alpha) / (4 * self.nv * nl))
        base = self.s.albedo * (1 - self.fresnel_v) / math.pi
        sheen = self.s.sheen * (1 - vh).clamp(0, 1) ** 4 / math.pi
        density = self.coat_chance * d * g1 / (4 * self.nv) + (1 - self.coat_chance) * nl / math.pi
        return (coat + base + sheen) * (nl * up), density * up

    def sample(self, choice: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Directions (3, N) for uniform numbers in [0, 1)."""
        t, b = frame(self.n)
        r, phi = u.sqrt(), 2 * math.pi * v
        x, y = r * phi.cos(), r * phi.sin()
        cosine = t * x + b * y + self.n * (1 - u).clamp_min(0).sqrt()
        # visible normals: stretch the view, sample the half disk, unstretch (Heitz 2018)
        view = normalize(torch.stack([self.alpha * dot(self.v, t), self.alpha * dot(self.v, b), self.nv]))
        t1 = torch.stack([-view[1], view[0], torch.zeros_like(u)]) * torch.rsqrt(
            (view[0] ** 2 + view[1] ** 2).clamp_min(1e-12)
        )
        t2 = torch.linalg.cross(view, t1, dim=0)
        s = 0.5 * (1 + view[2])
        y2 = (1 - s) * (1 - x * x).clamp_min(0).sqrt() + s * y
        h = t1 * x + t2 * y2 + view * (1 - x * x - y2 * y2).clamp_min(0).sqrt()
        h = normalize(torch.stack([self.alpha * h[0], self.alpha * h[1], h[2].clamp_min(1e-6)]))
        half = t * h[0] + b * h[1] + self.n * h[2]
        mirrored = half * (2 * dot(self.v, half)) - self.v
        return torch.where(choice < self.coat_chance, mirrored, cosine)
