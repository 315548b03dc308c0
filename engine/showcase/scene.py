"""What a picture is rendered from: materials, solids, lamps, a camera.

Points and directions are float32 (3, N), y up, the camera on the +z side; the floor is the plane y = 0. Solids are
signed distance functions, met by sphere tracing (Hart 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.showcase.vectors import dot, normalize, smoothstep, vector

Distance = Callable[[Tensor], Tensor]  # points (3, N) -> signed distances (N,)
TOUCH = 6e-4  # a ray this near to a surface has hit it; products are about one unit large


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
