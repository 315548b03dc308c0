"""The light of a scene: from an environment infinitely far away, so an empty floor is lit evenly."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from engine.showcase.scene import Scene
from engine.showcase.vectors import luminance, mix, smoothstep, vector


class Environment:
    """Light from infinitely far: `radiance` maps directions (3, N) to linear RGB (3, N), tabulated for sampling."""

    def __init__(self, radiance: Callable[[Tensor], Tensor], rows: int = 160) -> None:
        self.radiance, self.rows, self.columns = radiance, rows, 2 * rows
        theta = (torch.arange(rows) + 0.5) * (math.pi / rows)
        phi = (torch.arange(2 * rows) + 0.5) * (math.pi / rows)
        theta, phi = (m.reshape(-1) for m in torch.meshgrid(theta, phi, indexing="ij"))
        self.directions = torch.stack([theta.sin() * phi.cos(), theta.cos(), theta.sin() * phi.sin()])
        self.solid_angle = theta.sin() * (math.pi / rows) ** 2
        upward = (self.directions[1] > 0).float()  # the floor hides the lower half
        power = (luminance(radiance(self.directions)) + 1e-3) * self.solid_angle * upward
        self.cumulative = power.double().cumsum(0)
        self.total = float(self.cumulative[-1])
        self.density = (power / self.total / self.solid_angle).float()  # per solid angle

    def irradiance(self) -> Tensor:
        """Light (3,) on an empty floor."""
        return (self.radiance(self.directions) * (self.directions[1].clamp_min(0) * self.solid_angle)).sum(1)

    def sample(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Directions (3, N) drawn in proportion to the light, and their density (N,) per solid angle.

        U, v in [0, 1).
        """
        target = u.double() * self.total
        index = torch.searchsorted(self.cumulative, target, right=True).clamp_max(len(self.cumulative) - 1)
        before = torch.where(index > 0, self.cumulative[(index - 1).clamp_min(0)], torch.zeros_like(target))
        within = ((target - before) / (self.cumulative[index] - before).clamp_min(1e-30)).clamp(0, 0.9999).float()
        theta = (torch.div(index, self.columns, rounding_mode="floor") + v) * (math.pi / self.rows)
        phi = (index % self.columns + within) * (math.pi / self.rows)
        return torch.stack([theta.sin() * phi.cos(), theta.cos(), theta.sin() * phi.sin()]), self.density[index]

    def pdf(self, d: Tensor) -> Tensor:
        """Density (N,) with which `sample` draws the directions (3, N)."""
        row = (d[1].clamp(-1, 1).acos() * (self.rows / math.pi)).long().clamp(0, self.rows - 1)
        column = (torch.atan2(d[2], d[0]) % (2 * math.pi) * (self.rows / math.pi)).long().clamp(0, self.columns - 1)
        return self.density[row * self.columns + column]


class StudioLight:
    """The light of a scene, with the backdrop as bright as the floor it continues."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        lights = Environment(lambda d: self._lamps(d) * (1 - self._backdrop_mask(d)))
        back = Environment(lambda d: self._back(d) * self._backdrop_mask(d))
        albedo = scene.floor.at(torch.zeros(3, 1)).albedo[:, 0]
        # floor = albedo / pi * (lamps + k * floor), with k the light that a backdrop of radiance one throws on the
        # floor
        self.floor = albedo / math.pi * lights.irradiance() / (1 - albedo / math.pi * back.irradiance()).clamp_min(0.1)
        self.environment = Environment(self.radiance)
        self.exposure = scene.level / float(luminance(self.floor))

    def radiance(self, d: Tensor) -> Tensor:
        """Linear RGB (3, N) in directions (3, N): lamps, room and backdrop."""
        return mix(self._lamps(d), self.floor[:, None] * self._back(d), self._backdrop_mask(d))

    def _lamps(self, d: Tensor) -> Tensor:
        room = vector(*self.scene.ambient) * (0.55 + 0.45 * d[1])
        for lamp in self.scene.lamps:
            room = room + lamp.radiance(d)
        return room

    def _back(self, d: Tensor) -> Tensor:
        return self.scene.backdrop(d) if self.scene.backdrop else torch.ones_like(d)

    @staticmethod
    def _backdrop_mask(d: Tensor) -> Tensor:
        """1 where the sweep hangs behind the product: 50 degrees up, 60 to both sides."""
        sideways = torch.atan2(d[0].abs(), -d[2])
        return smoothstep(0.80, 0.68, d[1]) * smoothstep(1.25, 0.95, sideways)
