"""A small path tracer: light of a photo studio, a product on a seamless sweep.

Paths are drawn with next event estimation and the balance heuristic (Veach 1997). Diffuse light through glass is
straightened (a tinted shadow instead of caustics), which keeps a picture free of noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.models.filters import box
from engine.showcase.bsdf import Bsdf
from engine.showcase.developing import denoise
from engine.showcase.light import StudioLight
from engine.showcase.scene import TOUCH, Glass, Scene, Surface
from engine.showcase.vectors import dot, luminance, normalize, smoothstep, vector

PRIMES = [p for p in range(2, 400) if all(p % q for q in range(2, p))]


@dataclass
class _Rays:
    """Rays under way, N of them."""

    ids: Tensor  # (N,) the pixels that they belong to
    origin: Tensor  # (3, N)
    direction: Tensor  # (3, N)
    weight: Tensor  # (3, N) how much of the light that they meet arrives at the lens
    density: Tensor  # (N,) with which their direction was drawn; inf: straight from the lens, or by mirrors only
    absorption: Tensor  # (3, N) of the medium they are in, per unit of length

    def kept(self, which: Tensor) -> _Rays:
        """Those at the given places."""
        return _Rays(
            self.ids[which],
            self.origin[:, which],
            self.direction[:, which],
            self.weight[:, which],
            self.density[which],
            self.absorption[:, which],
        )


@dataclass
class _Hit:
    """Where N rays met something."""

    points: Tensor  # (3, N)
    normal: Tensor  # (3, N) of the shape, facing the ray unless it is glass
    bent: Tensor  # (3, N) with the relief of the material
    surface: Surface
    part: Tensor  # (N,) the index of the material; -1 is the floor


class Tracer:
    """Renders a scene: `render` adds up passes of one sample per pixel."""

    def __init__(self, scene: Scene, cells: int = 224, seed: int = 0) -> None:
        self.scene, self.solid, self.studio, self.seed = scene, scene.solid.gridded(cells), StudioLight(scene), seed
        self.environment = self.studio.environment
        # Where light leaves a surface: so far from it that the grid does not take it for a hit.
        self.lift = 0.8 * self.solid.cell
        self.clear = any(material.glass for material in self.solid.materials)
        self.blockers = self.solid.only(False).gridded(cells) if self.clear else self.solid
        self.panes = self.solid.only(True).gridded(cells) if self.clear else None

    def render(
        self,
        width: int,
        height: int,
        passes: int,
        tolerance: float = 0.004,
        progress: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Linear RGB float32 (height, width, 3), exposed and cleaned of noise.

        Every pixel gets eight paths; then only those go on, up to `passes`, whose error is above `tolerance` of full
        brightness.
        """
        count = height * width
        halves, squares, features = torch.zeros(2, 3, count), torch.zeros(3, count), torch.zeros(6, count)
        taken, active = torch.zeros(count), torch.arange(count)
        for i in range(passes):
            for number, ids in enumerate(active.split(196608)):
                light, seen = self._pass(ids, width, height, i, number)
                light = light * self.studio.exposure
                halves[i % 2][:, ids] += light
                squares[:, ids] += light * light
                features[:, ids] += seen
                taken[ids] += 1
            if i % 8 == 7:
                mean = halves.sum(0) / taken
                # Of the square root, which is how differences of light are seen.
                error = self._variance(halves.sum(0), squares, taken) / (4 * mean.clamp_min(0.02))
                error = box(error.mean(0).reshape(1, 1, height, width), 3, "nothing")
                active = (error.flatten() > tolerance**2).nonzero().squeeze(1)
                progress(i + 1)
        shape = (-1, height, width)
        variance = self._variance(halves.sum(0), squares, taken)
        means = halves / (taken / 2).clamp_min(0.5)
        clean = denoise(
            means[0].reshape(shape),
            means[1].reshape(shape),
            variance.reshape(shape) * 2,
            (features / taken).reshape(shape),
        )
        return clean.permute(1, 2, 0).contiguous().numpy()

    @staticmethod
    def _variance(total: Tensor, squares: Tensor, taken: Tensor) -> Tensor:
        """Variance of the mean of `taken` samples."""
        return ((squares / taken - (total / taken) ** 2).clamp_min(0) / (taken - 1).clamp_min(1)) + 1e-7

    def _pass(self, ids: Tensor, width: int, height: int, index: int, chunk: int) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + chunk)
        shifts = torch.rand((5 + 5 * self.scene.bounces * (2 if self.clear else 1), len(ids)), generator=rng)

        def number(dimension: int, of: Tensor) -> Tensor:
            """A Kronecker sequence with irrational steps, shifted per pixel: even in every pixel, different between
            them.
            """
            return (shifts[dimension, of] + (index * math.sqrt(PRIMES[dimension])) % 1.0) % 1.0

        every = torch.arange(len(ids))
        longer = max(width, height)

        def tent(u: Tensor) -> Tensor:
            return torch.where(u < 0.5, (2 * u).sqrt() - 1, 1 - (2 - 2 * u).clamp_min(0).sqrt())

        x = ((ids % width) + 0.5 + 0.75 * tent(number(0, every))) * 2 - width
        y = height - (torch.div(ids, width, rounding_mode="floor") + 0.5 + 0.75 * tent(number(1, every))) * 2
        origin, direction = self.scene.camera.rays(x / longer, y / longer, number(2, every), number(3, every))
        origin = origin.expand_as(direction).contiguous()
        return self._paths(origin, direction, number)

    def _paths(
        self, origin: Tensor, direction: Tensor, number: Callable[[int, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Radiance (3, N) that reaches the lens along each ray; colour and normal (6, N) of what it meets first."""
        count = origin.shape[1]
        radiance, features = torch.zeros(3, count), torch.zeros(6, count)
        rays = _Rays(
            torch.arange(count),
            origin,
            direction,
            torch.ones(3, count),
            torch.full((count,), math.inf),
            torch.zeros(3, count),
        )
        # Of the backdrop, as it continues the floor.
        beyond = torch.cat([self.scene.floor.at(torch.zeros(3, 1)).albedo, vector(0, 1, 0)])
        for bounce in range(self.scene.bounces * (2 if self.clear else 1)):
            if not len(rays.ids):
                break
            length, on_floor = self._first_hit(rays, exact=bounce == 0 or self.clear)
            if self.clear:
                inside = torch.where(length.isinf(), torch.zeros_like(length), length)
                rays.weight = rays.weight * torch.exp(-rays.absorption * inside)
            points = rays.origin + rays.direction * length.clamp_max(1e4)
            # Far out, what the lens sees of the floor becomes the backdrop, so that there is no horizon.
            away = smoothstep(*self.scene.fade, (points[0] ** 2 + points[2] ** 2).sqrt())
            gone = length.isinf() | (on_floor & rays.density.isinf() & (number(4, rays.ids) < away))
            radiance[:, rays.ids[gone]] += self._bounded(self._light_beyond(rays), bounce)[:, gone]
            if bounce == 0:
                features[:, rays.ids[gone]] = beyond
            keep = (~gone).nonzero().squeeze(1)
            rays, points, on_floor = rays.kept(keep), points[:, keep], on_floor[keep]
            if not len(rays.ids):
                break
            hit = self._hit(points, rays.direction, on_floor, relief=bounce == 0)
            if bounce == 0:
                features[:, rays.ids] = torch.cat([hit.surface.albedo, hit.bent])
            numbers = [number(5 + 5 * bounce + k, rays.ids) for k in range(5)]
            onward, solid = self._through_glass(rays, hit, numbers[2])
            if len(solid):
                direct = self._off_surfaces(rays, hit, solid, numbers, onward)
                radiance[:, rays.ids[solid]] += self._bounded(direct, bounce)
            rays = onward.kept((onward.weight.amax(0) > 0.004).nonzero().squeeze(1))
        return radiance, features

    def _first_hit(self, rays: _Rays, exact: bool) -> tuple[Tensor, Tensor]:
        """How far each ray goes to what it meets first, inf for nothing, and whether that is the floor: (N,) both."""
        t = self.solid.march(rays.origin, rays.direction, exact)
        to_floor = torch.where(
            rays.direction[1] < -1e-6,
            -rays.origin[1] / rays.direction[1].clamp_max(-1e-6),
            torch.full_like(t, math.inf),
        )
        on_floor = (to_floor < t) & (to_floor > 1e-4)
        return torch.where(on_floor, to_floor, t), on_floor

    def _light_beyond(self, rays: _Rays) -> Tensor:
        """What arrives (3, N) of the light in the rays' directions, shared out with the shadow rays that were sent to
        it as well (balance heuristic).
        """
        drawn = rays.density
        share = torch.where(
            drawn.isinf(),
            torch.ones_like(drawn),
            drawn / (drawn + self.environment.pdf(rays.direction)).clamp_min(1e-9),
        )
        return rays.weight * self.studio.radiance(rays.direction) * share

    def _bounded(self, light: Tensor, bounce: int) -> Tensor:
        """Light (3, N); after a bounce none brighter than a dozen floors, as such rare paths are seen as white dots."""
        if not bounce:
            return light
        ceiling = 12 * float(luminance(self.studio.floor))
        return light * (ceiling / luminance(light).clamp_min(ceiling))

    def _hit(self, points: Tensor, direction: Tensor, on_floor: Tensor, relief: bool) -> _Hit:
        n = points.shape[1]
        normal = vector(0, 1, 0).repeat(1, n)
        surface = Surface(torch.zeros(3, n), torch.zeros(3, n), torch.zeros(n), torch.zeros(n))
        part = torch.full((n,), -1)
        off = (~on_floor).nonzero().squeeze(1)
        if len(off):
            there = points[:, off]
            part[off] = self.solid.nearest_thing(there)
            normal[:, off] = self.solid.normal(there, part[off])
        bent = normal.clone()
        for k in range(-1, len(self.solid.materials)):
            here = (part == k).nonzero().squeeze(1)
            if not len(here):
                continue
            material = self.scene.floor if k < 0 else self.solid.materials[k]
            there = points[:, here]
            if k >= 0 and not material.glass:
                normal[:, here] *= -torch.sign(dot(normal[:, here], direction[:, here]))
            bent[:, here] = material.bend(there, normal[:, here]) if relief else normal[:, here]
            got = material.at(there)
            surface.albedo[:, here], surface.f0[:, here] = got.albedo, got.f0
            surface.roughness[here], surface.sheen[here] = got.roughness, got.sheen
        return _Hit(points, normal, bent, surface, part)

    def _through_glass(self, rays: _Rays, hit: _Hit, choice: Tensor) -> tuple[_Rays, Tensor]:
        """The rays as they go on, those at glass already on their way, and the places of those that met no glass."""
        onward = _Rays(
            rays.ids,
            hit.points.clone(),
            rays.direction.clone(),
            rays.weight.clone(),
            rays.density.clone(),
            rays.absorption.clone(),
        )
        clear = torch.zeros_like(hit.part, dtype=torch.bool)
        for k, material in enumerate(self.solid.materials):
            if material.glass:
                here = (hit.part == k).nonzero().squeeze(1)
                clear[here] = True
                if len(here):
                    self._cross(material.glass, here, rays, hit, choice, onward)
        # That light was counted by the shadow ray that went straight through.
        onward.density[clear & rays.density.isfinite()] = 0
        return onward, (~clear).nonzero().squeeze(1)

    @staticmethod
    def _cross(glass: Glass, here: Tensor, rays: _Rays, hit: _Hit, choice: Tensor, onward: _Rays) -> None:
        """Reflect or refract the rays `here` at a boundary, by the chance of Fresnel's equations."""
        d, flat, n = rays.direction[:, here], hit.normal[:, here], hit.bent[:, here]
        entering = dot(d, flat) < 0
        n, flat = torch.where(entering, n, -n), torch.where(entering, flat, -flat)
        eta = torch.where(entering, glass.ior_outside / glass.ior_inside, glass.ior_inside / glass.ior_outside)
        cosine = (-dot(d, n)).clamp(1e-3, 1)
        k = 1 - eta * eta * (1 - cosine * cosine)
        inner = k.clamp_min(0).sqrt()
        r_s = (eta * cosine - inner) / (eta * cosine + inner)
        r_p = (cosine - eta * inner) / (cosine + eta * inner)
        chance = torch.where(k > 0, (r_s * r_s + r_p * r_p) / 2, torch.ones_like(k))
        reflected = choice[here] < chance
        mirrored = d + n * (2 * cosine)
        through = normalize(d * eta + n * (eta * cosine - inner))
        onward.direction[:, here] = torch.where(reflected, mirrored, through)
        onward.origin[:, here] = hit.points[:, here] + flat * torch.where(reflected, 4 * TOUCH, -4 * TOUCH)
        inside, outside = vector(*glass.absorption), vector(*glass.absorption_outside)
        onward.absorption[:, here] = torch.where(
            reflected, rays.absorption[:, here], torch.where(entering, inside, outside)
        )

    def _off_surfaces(self, rays: _Rays, hit: _Hit, solid: Tensor, numbers: Sequence[Tensor], onward: _Rays) -> Tensor:
        """What arrives (3, M) by the lamps at the `solid` places of the hits, which are then sent on their way."""
        at = hit.surface
        surface = Surface(at.albedo[:, solid], at.f0[:, solid], at.roughness[solid], at.sheen[solid])
        normal, numbers = hit.normal[:, solid], [drawn[solid] for drawn in numbers]
        bsdf = Bsdf(surface, hit.bent[:, solid], -rays.direction[:, solid])
        base = hit.points[:, solid] + normal * self.lift
        lamp, lamp_density = self.environment.sample(numbers[0], numbers[1])
        value, density = bsdf.value(lamp)
        facing = (dot(normal, lamp) > 1e-4) & (luminance(value) > 0)
        lit = torch.zeros(3, len(solid))
        lit[:, facing] = self._visible(base[:, facing], lamp[:, facing])
        weight = rays.weight[:, solid]
        direct = weight * value * lit * self.studio.radiance(lamp) / (lamp_density + density).clamp_min(1e-9)
        away = bsdf.sample(numbers[2], numbers[3], numbers[4])
        value, density = bsdf.value(away)
        good = (density > 1e-6) & (dot(away, normal) > 0)
        onward.weight[:, solid] = weight * torch.where(good, value / density.clamp_min(1e-6), torch.zeros_like(value))
        onward.direction[:, solid], onward.origin[:, solid], onward.density[solid] = away, base, density
        return direct

    def _visible(self, origin: Tensor, direction: Tensor) -> Tensor:
        """Part of the light (3, N) that arrives: 0 behind something, tinted behind glass."""
        free = (self.blockers.march(origin, direction, exact=False).isinf() & (direction[1] > 0)).float()
        if self.panes is None:
            return free.expand(3, -1)
        t = self.panes.march(origin, direction, exact=False)
        tint = torch.ones_like(origin)
        crossed = t.isfinite().nonzero().squeeze(1)
        if len(crossed):
            which = self.panes.nearest_thing(origin[:, crossed] + direction[:, crossed] * t[crossed])
            shadows = torch.stack(
                [vector(*material.glass.shadow)[:, 0] for material in self.solid.materials if material.glass], dim=1
            )
            tint[:, crossed] = shadows[:, which]
        return tint * free
