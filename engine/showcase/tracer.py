"""A small path tracer for signed distance functions: light of a photo studio, a product on a seamless sweep.

Points and directions are float32 (3, N), y up, the camera on the +z side; the floor is the plane y = 0. Light comes
from an environment infinitely far away, so an empty floor is lit evenly. Methods: sphere tracing (Hart 1996), next
event estimation with the balance heuristic (Veach 1997), GGX with sampling of visible normals (Walter et al. 2007,
Heitz 2018), Schlick's Fresnel. Diffuse light through glass is straightened (a tinted shadow instead of caustics), which
keeps a picture free of noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine.models.filters import box
from engine.models.srgb import REC709, from_linear, luma

Distance = Callable[[Tensor], Tensor]  # points (3, N) -> signed distances (N,)
TOUCH = 6e-4  # a ray this near to a surface has hit it; products are about one unit large
PRIMES = [p for p in range(2, 400) if all(p % q for q in range(2, p))]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(3, N) x (3, N) -> (N,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def normalize(a: Tensor) -> Tensor:
    """Vectors (3, N) scaled to length one."""
    return a * torch.rsqrt(dot(a, a).clamp_min(1e-20))


def vector(*values: float) -> Tensor:
    """A column (3, 1), for arithmetic with (3, N)."""
    return torch.tensor(values, dtype=torch.float32).view(3, 1)


def luminance(rgb: Tensor) -> Tensor:
    """(3, N) linear RGB -> (N,), Rec. 709."""
    return luma(rgb[None], REC709)[0, 0]


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between; falls where low > high."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """a where weight = 0, b where weight = 1."""
    return a + (b - a) * weight


@dataclass
class Surface:
    """What a material is at N points; the defaults are grey plaster."""

    albedo: Tensor  # (3, N) linear, of the diffuse base
    f0: Tensor  # (3, N) reflectance at normal incidence: 0.04 for plastic and glaze, the colour of a metal
    roughness: Tensor  # (N,) GGX alpha
    sheen: Tensor  # (N,) extra light at grazing angles, of fabric


@dataclass(frozen=True)
class Glass:
    """A boundary between two clear media; `absorption` is per unit of length, (r, g, b)."""

    ior_inside: float = 1.5
    ior_outside: float = 1.0
    absorption: tuple[float, float, float] = (0.0, 0.0, 0.0)
    absorption_outside: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shadow: tuple[float, float, float] = (0.85, 0.85, 0.85)  # what its shadow lets through


@dataclass(frozen=True)
class Material:
    """Constants, or functions of the point (3, N) -> (3, N) or (N,); `height` is a relief that only bends normals."""

    albedo: Callable[[Tensor], Tensor] | tuple[float, float, float] = (0.5, 0.5, 0.5)
    f0: Callable[[Tensor], Tensor] | tuple[float, float, float] = (0.04, 0.04, 0.04)
    roughness: Callable[[Tensor], Tensor] | float = 0.3
    sheen: float = 0.0
    height: Callable[[Tensor], Tensor] | None = None
    height_step: float = 2e-3  # over which the slope of `height` is taken
    glass: Glass | None = None

    def at(self, p: Tensor) -> Surface:
        """The surface at points (3, N)."""
        n = p.shape[1]

        def colour(value: Callable[[Tensor], Tensor] | tuple[float, float, float]) -> Tensor:
            return value(p) if callable(value) else vector(*value).expand(3, n)

        roughness = self.roughness(p) if callable(self.roughness) else torch.full((n,), self.roughness)
        return Surface(colour(self.albedo), colour(self.f0), roughness, torch.full((n,), self.sheen))

    def bend(self, p: Tensor, normal: Tensor) -> Tensor:
        """The normal with the slope of `height` taken off (Blinn 1978)."""
        if self.height is None:
            return normal
        slope = gradient(self.height, p, self.height_step)
        slope = slope - normal * dot(slope, normal)
        return normalize(normal - slope)


def gradient(f: Distance, p: Tensor, step: float) -> Tensor:
    """Gradient (3, N) of a scalar field by differences at the corners of a tetrahedron."""
    total = torch.zeros_like(p)
    for corner in (vector(1, -1, -1), vector(-1, -1, 1), vector(-1, 1, -1), vector(1, 1, 1)):
        total += corner * f(p + corner * step)
    return total / (4 * step)


class Solid:
    """Things in a box: `distances` maps points to one signed distance per material, in the order of `materials`.

    A grid of interpolated distances takes rays through empty space, and to the end where no lens sees the difference.
    `relax` < 1 shortens the steps where blends and bends overestimate distances.
    """

    def __init__(
        self,
        distances: Callable[[Tensor], Sequence[Tensor]],
        materials: Sequence[Material],
        low: Sequence[float],
        high: Sequence[float],
        relax: float = 0.9,
    ) -> None:
        self.distances, self.materials, self.relax = distances, list(materials), relax
        self.low, self.high = vector(*low), vector(*high)

    def gridded(self, cells: int) -> Solid:
        """Fill the grid, `cells` along the longest side, and return this solid."""
        low, size = self.low[:, 0].tolist(), (self.high - self.low)[:, 0].tolist()
        self.cell = max(size) / cells
        shape = [max(2, math.ceil(s / self.cell) + 1) for s in size]
        axes = [a + torch.linspace(0, s, n) for a, s, n in zip(low, size, shape, strict=True)]
        z, y, x = (m.reshape(-1) for m in torch.meshgrid(*axes[::-1], indexing="ij"))
        corners = torch.stack([x, y, z]).split(65536, dim=1)
        self.grid = torch.cat([self.distance(chunk) for chunk in corners]).reshape(1, 1, *shape[::-1])
        return self

    def only(self, clear: bool) -> Solid:
        """The same box with nothing but its glass, or nothing but the rest; either casts shadows as if opaque."""
        chosen = [k for k, material in enumerate(self.materials) if bool(material.glass) == clear]
        low, high = self.low[:, 0].tolist(), self.high[:, 0].tolist()
        return Solid(
            lambda p: [self.distances(p)[k] for k in chosen], [Material()] * len(chosen), low, high, self.relax
        )

    def distance(self, p: Tensor) -> Tensor:
        """Distance (N,) to the nearest surface; inside it is negative, but not in glass, where rays go on."""
        nearest: Tensor | None = None
        for d, material in zip(self.distances(p), self.materials, strict=True):
            d = d.abs() if material.glass else d
            nearest = d if nearest is None else torch.minimum(nearest, d)
        assert nearest is not None
        return nearest

    def interpolated(self, p: Tensor) -> Tensor:
        """`distance` from the grid."""
        where = ((p - self.low) * (2 / (self.high - self.low)) - 1).T.reshape(1, 1, 1, -1, 3)
        return torch.nn.functional.grid_sample(self.grid, where, padding_mode="border", align_corners=True).flatten()

    def nearest_thing(self, p: Tensor) -> Tensor:
        """Index (N,) of the material whose surface is nearest."""
        return torch.stack([d.abs() for d in self.distances(p)]).argmin(0)

    def normal(self, p: Tensor, thing: Tensor) -> Tensor:
        """Outward normals (3, N) of the given things."""
        return normalize(gradient(lambda q: torch.stack(list(self.distances(q))).gather(0, thing[None])[0], p, 6e-4))

    def march(self, origin: Tensor, direction: Tensor, exact: bool = True) -> Tensor:
        """Distance (N,) along each ray to the first surface, inf where there is none.

        By the grid alone if not `exact`.
        """
        inverse = 1 / torch.where(direction.abs() < 1e-9, torch.full_like(direction, 1e-9), direction)
        a, b = (self.low - origin) * inverse, (self.high - origin) * inverse
        near, far = torch.minimum(a, b).amax(0).clamp_min(0), torch.maximum(a, b).amin(0)
        found = torch.full_like(near, math.inf)
        ids = (near < far).nonzero().squeeze(1)
        t, far, origin, direction = near[ids], far[ids], origin[:, ids], direction[:, ids]
        for _ in range(120):
            if not len(ids):
                break
            p = origin + direction * t
            d = self.interpolated(p)
            if exact:
                close = (d < 2 * self.cell).nonzero().squeeze(1)
                step = (d - 0.6 * self.cell) * self.relax
                d[close] = self.distance(p[:, close])
                step[close] = (d[close] * self.relax).clamp_min(TOUCH)
                hit = d < TOUCH
            else:
                step = (d * self.relax).clamp_min(0.4 * self.cell)
                hit = d < 0.1 * self.cell
            found[ids[hit]] = t[hit]
            t = t + step
            alive = ((t < far) & ~hit).nonzero().squeeze(1)
            if len(alive) < len(ids):
                ids, t, far, origin, direction = ids[alive], t[alive], far[alive], origin[:, alive], direction[:, alive]
        return found


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


@dataclass(frozen=True)
class Softbox:
    """A rectangular lamp seen under `half_width` x `half_height` (tangents), dimmer towards its rim, facing the
    product.
    """

    towards: tuple[float, float, float]
    half_width: float
    half_height: float
    power: float
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    edge: float = 0.08

    def radiance(self, d: Tensor) -> Tensor:
        """Linear RGB (3, N) seen in directions (3, N)."""
        axis = normalize(vector(*self.towards))
        right = normalize(torch.linalg.cross(vector(0, 1, 0), axis, dim=0))
        up = torch.linalg.cross(axis, right, dim=0)
        depth = dot(d, axis)
        x, y = dot(d, right) / depth.clamp_min(1e-4), dot(d, up) / depth.clamp_min(1e-4)
        inside = smoothstep(self.half_width + self.edge, self.half_width - self.edge, x.abs())
        inside = inside * smoothstep(self.half_height + self.edge, self.half_height - self.edge, y.abs())
        falloff = 1 - 0.35 * ((x / self.half_width) ** 2 + (y / self.half_height) ** 2).clamp_max(2) / 2
        return vector(*self.colour) * (inside * falloff * (depth > 0.02) * self.power)


@dataclass(frozen=True)
class Camera:
    """A lens at `position` looking at `target`; `aperture` is its radius, sharp at the target's distance."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    view_degrees: float = 24.0  # of the picture's longer side
    aperture: float = 0.0
    focus: float | None = None  # distance; None is the target's

    def rays(self, x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Origins and directions (3, N); x to the right and y up, the longer side spans [-1, 1]; u, v choose a point of
        the lens.
        """
        position = vector(*self.position)
        ahead = normalize(vector(*self.target) - position)
        right = normalize(torch.linalg.cross(ahead, vector(0, 1, 0), dim=0))
        up = torch.linalg.cross(right, ahead, dim=0)
        focus = self.focus or float((vector(*self.target) - position).norm())
        slope = math.tan(math.radians(self.view_degrees / 2))
        lens = self.aperture * u.sqrt()
        shift = right * (lens * (2 * math.pi * v).cos()) + up * (lens * (2 * math.pi * v).sin())
        seen = (ahead + right * (x * slope) + up * (y * slope)) * focus
        return position + shift, normalize(seen - shift)


@dataclass(frozen=True)
class Scene:
    """A product in a studio: everything a picture is rendered from."""

    solid: Solid
    camera: Camera
    lamps: Sequence[Softbox]
    floor: Material = field(default_factory=lambda: Material(albedo=(0.8, 0.8, 0.8), f0=(0.0, 0.0, 0.0)))
    backdrop: Callable[[Tensor], Tensor] | None = None  # direction (3, N) -> (3, N), 1 = as bright as the empty floor
    ambient: tuple[float, float, float] = (0.25, 0.25, 0.25)  # light of the room from all sides
    level: float = 0.82  # linear brightness of the empty floor in the picture
    fade: tuple[float, float] = (3.0, 9.0)  # distances from the middle over which the floor becomes the backdrop
    aspect: float = 1.0  # width / height
    bounces: int = 5


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


class Tracer:
    """Renders a scene: `render` adds up passes of one sample per pixel."""

    def __init__(self, scene: Scene, cells: int = 224, seed: int = 0) -> None:
        self.scene, self.solid, self.studio, self.seed = scene, scene.solid.gridded(cells), StudioLight(scene), seed
        self.environment = self.studio.environment
        self.lift = (
            0.8 * self.solid.cell
        )  # where light leaves a surface, so far that the grid does not take it for a hit
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
                error = self._variance(halves.sum(0), squares, taken) / (
                    4 * mean.clamp_min(0.02)
                )  # of the square root, as the eye has it
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
        radiance, weight = torch.zeros(3, count), torch.ones(3, count)
        ids, pdf = (
            torch.arange(count),
            torch.full((count,), math.inf),
        )  # inf: straight from the lens, or by mirrors only
        absorption, features = torch.zeros(3, count), torch.zeros(6, count)
        backdrop_features = torch.cat(
            [self.scene.floor.at(torch.zeros(3, 1)).albedo, vector(0, 1, 0)]
        )  # it continues the floor
        ceiling = 12 * float(luminance(self.studio.floor))
        depth = self.scene.bounces * (2 if self.clear else 1)
        for bounce in range(depth):
            if not len(ids):
                break
            t = self.solid.march(origin, direction, exact=bounce == 0 or self.clear)
            to_floor = torch.where(
                direction[1] < -1e-6, -origin[1] / direction[1].clamp_max(-1e-6), torch.full_like(t, math.inf)
            )
            on_floor = (to_floor < t) & (to_floor > 1e-4)
            t = torch.where(on_floor, to_floor, t)
            if self.clear:
                weight = weight * torch.exp(-absorption * torch.where(t.isinf(), torch.zeros_like(t), t))
            # far out, what the lens sees of the floor becomes the backdrop, so that there is no horizon
            p = origin + direction * t.clamp_max(1e4)
            away = smoothstep(*self.scene.fade, (p[0] ** 2 + p[2] ** 2).sqrt())
            gone = t.isinf() | (on_floor & pdf.isinf() & (number(4, ids) < away))
            light = self.studio.radiance(direction)
            share = torch.where(
                pdf.isinf(), torch.ones_like(pdf), pdf / (pdf + self.environment.pdf(direction)).clamp_min(1e-9)
            )
            seen = weight * light * share
            if bounce:
                seen = seen * (ceiling / luminance(seen).clamp_min(ceiling))
            radiance[:, ids[gone]] += seen[:, gone]
            if bounce == 0:
                features[:, ids[gone]] = backdrop_features
            keep = (~gone).nonzero().squeeze(1)
            ids, p, direction, weight, pdf = ids[keep], p[:, keep], direction[:, keep], weight[:, keep], pdf[keep]
            absorption, on_floor = absorption[:, keep], on_floor[keep]
            if not len(ids):
                break
            normal, bent, surface, part = self._surface(p, direction, on_floor, relief=bounce == 0)
            if bounce == 0:
                features[:, ids] = torch.cat([surface.albedo, bent])
            numbers = [number(5 + 5 * bounce + k, ids) for k in range(5)]
            next_origin, next_direction, next_weight, next_pdf = (
                p.clone(),
                direction.clone(),
                torch.ones_like(p),
                pdf.clone(),
            )
            clear = torch.zeros_like(on_floor)
            for k, material in enumerate(self.solid.materials):
                if material.glass:
                    here = (part == k).nonzero().squeeze(1)
                    clear[here] = True
                    if len(here):
                        self._cross(
                            material.glass,
                            here,
                            p,
                            normal,
                            bent,
                            direction,
                            numbers[2],
                            next_origin,
                            next_direction,
                            absorption,
                        )
            next_pdf[clear & pdf.isfinite()] = 0  # that light was counted by the shadow ray that went straight through
            solid = (~clear).nonzero().squeeze(1)
            if len(solid):
                some = Surface(
                    surface.albedo[:, solid], surface.f0[:, solid], surface.roughness[solid], surface.sheen[solid]
                )
                bsdf = Bsdf(some, bent[:, solid], -direction[:, solid])
                base = p[:, solid] + normal[:, solid] * self.lift
                lamp, lamp_pdf = self.environment.sample(numbers[0][solid], numbers[1][solid])
                value, own_pdf = bsdf.value(lamp)
                facing = (dot(normal[:, solid], lamp) > 1e-4) & (luminance(value) > 0)
                lit = torch.zeros(3, len(solid))
                lit[:, facing] = self._visible(base[:, facing], lamp[:, facing])
                direct = (
                    weight[:, solid] * value * lit * self.studio.radiance(lamp) / (lamp_pdf + own_pdf).clamp_min(1e-9)
                )
                if bounce:
                    direct = direct * (ceiling / luminance(direct).clamp_min(ceiling))
                radiance[:, ids[solid]] += direct
                onward = bsdf.sample(numbers[2][solid], numbers[3][solid], numbers[4][solid])
                value, own_pdf = bsdf.value(onward)
                good = (own_pdf > 1e-6) & (dot(onward, normal[:, solid]) > 0)
                next_weight[:, solid] = torch.where(good, value / own_pdf.clamp_min(1e-6), torch.zeros_like(value))
                next_direction[:, solid], next_origin[:, solid], next_pdf[solid] = onward, base, own_pdf
            weight = weight * next_weight
            keep = (weight.amax(0) > 0.004).nonzero().squeeze(1)
            ids, pdf, weight, absorption = ids[keep], next_pdf[keep], weight[:, keep], absorption[:, keep]
            origin, direction = next_origin[:, keep], next_direction[:, keep]
        return radiance, features

    def _surface(
        self, p: Tensor, direction: Tensor, on_floor: Tensor, relief: bool
    ) -> tuple[Tensor, Tensor, Surface, Tensor]:
        """Normal, bent normal, surface and index of the part (-1 is the floor) at points (3, N).

        Normals face the ray.
        """
        n = p.shape[1]
        normal = vector(0, 1, 0).repeat(1, n)
        surface = Surface(torch.zeros(3, n), torch.zeros(3, n), torch.zeros(n), torch.zeros(n))
        part = torch.full((n,), -1)
        off = (~on_floor).nonzero().squeeze(1)
        if len(off):
            there = p[:, off]
            part[off] = self.solid.nearest_thing(there)
            normal[:, off] = self.solid.normal(there, part[off])
        bent = normal.clone()
        for k in range(-1, len(self.solid.materials)):
            here = (part == k).nonzero().squeeze(1)
            if not len(here):
                continue
            material = self.scene.floor if k < 0 else self.solid.materials[k]
            there = p[:, here]
            if k >= 0 and not material.glass:
                normal[:, here] *= -torch.sign(dot(normal[:, here], direction[:, here]))
            bent[:, here] = material.bend(there, normal[:, here]) if relief else normal[:, here]
            got = material.at(there)
            surface.albedo[:, here], surface.f0[:, here] = got.albedo, got.f0
            surface.roughness[here], surface.sheen[here] = got.roughness, got.sheen
        return normal, bent, surface, part

    @staticmethod
    def _cross(
        glass: Glass,
        here: Tensor,
        p: Tensor,
        normal: Tensor,
        bent: Tensor,
        direction: Tensor,
        choice: Tensor,
        next_origin: Tensor,
        next_direction: Tensor,
        absorption: Tensor,
    ) -> None:
        """Reflect or refract the rays `here` at a boundary, by the chance of Fresnel's equations."""
        d, flat, n = direction[:, here], normal[:, here], bent[:, here]
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
        next_direction[:, here] = torch.where(reflected, mirrored, through)
        next_origin[:, here] = p[:, here] + flat * torch.where(reflected, 4 * TOUCH, -4 * TOUCH)
        inside, outside = vector(*glass.absorption), vector(*glass.absorption_outside)
        absorption[:, here] = torch.where(reflected, absorption[:, here], torch.where(entering, inside, outside))

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


def denoise(a: Tensor, b: Tensor, variance: Tensor, features: Tensor, radius: int = 7) -> Tensor:
    """Mean of two halves of a rendering (3, H, W), noise averaged away over a window of 2 radius + 1.

    Non-local means with the weights of one half applied to the other, and with features (6, H, W) that keep
    drawn lines and creases (Rousselle et al. 2012, 2013). `variance` (3, H, W) is that of one half.
    """
    pad = torch.nn.ReflectionPad2d(radius)
    height, width = a.shape[1:]

    def tone(x: Tensor) -> Tensor:
        return x.clamp_min(0).sqrt()

    mean = (a + b) / 2
    spread = box(variance[None], 1, "nothing")[0] / (4 * mean.clamp_min(0.02))
    tones = [tone(a), tone(b)]
    padded = [pad(t[None])[0] for t in (*tones, spread, a, b, features)]
    total, weights = torch.zeros(2, *a.shape), torch.zeros(2, 1, height, width)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy > radius * radius + 1:
                continue
            at = (slice(None), slice(radius + dy, radius + dy + height), slice(radius + dx, radius + dx + width))
            other = padded[2][at]
            creases = ((features - padded[5][at]) ** 2).reshape(2, 3, height, width).sum(1)
            keep = torch.exp(-creases[0] / (2 * 0.02**2) - creases[1] / (2 * 0.10**2))
            for k in (0, 1):
                far = ((tones[k] - padded[k][at]) ** 2 - (spread + torch.minimum(spread, other))) / (
                    1e-7 + 0.45**2 * (spread + other)
                )
                patch = box(far.mean(0)[None, None], 2, "nothing")[0]
                w = torch.exp(-patch.clamp_min(0)) * keep
                total[1 - k] += w * padded[4 - k][at]
                weights[1 - k] += w
    return (total / weights.clamp_min(1e-6)).mean(0)


def develop(linear: np.ndarray, contrast: float = 0.0) -> np.ndarray:
    """Exposed linear RGB -> sRGB in [0, 1]: highlights roll off smoothly above 0.6, `contrast` adds an S curve."""
    knee = 0.6
    x = np.where(linear > knee, knee + (1 - knee) * (1 - np.exp(-(linear - knee) / (1 - knee))), linear)
    x = np.clip(x, 0, 1)
    srgb = from_linear(torch.from_numpy(x)).numpy()
    found: np.ndarray = (srgb + contrast * (srgb * srgb * (3 - 2 * srgb) - srgb)).astype(np.float32)
    return found
