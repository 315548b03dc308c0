"""The steps of a chain that are one pass of a network: cleaning, sharpening, enlarging; and what all steps are given.

Enlarging has two tempers, faithful and crisp, which are blended as pictures: the way from one to the other is then a
straight line in every pixel, its ends are exactly the two networks, and these need not have been trained from one another,
as they must where weights are blended. Between the ends it costs both passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from engine import tiles
from engine.image import Picture
from engine.preview import Preview
from engine.request import EnhanceRequest, RequestError
from engine.settings import Settings
from engine.tiles import Tiling

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

_RESIZE_PX = 4  # of context that an antialiased resize of a tile needs beside the network's own

Parts: TypeAlias = Generator[tuple[int, int], None, Picture]  # (done, total) while it works, then the picture


@dataclass(frozen=True, eq=False)
class Part:
    """Where a picture that is worked on lies on its whole photo, which is as it was before the chain.

    seen: a small copy of the whole as the chain has made it so far, where that looks different.
    """

    whole: Picture
    left: int
    top: int
    width: int
    height: int
    seen: Picture | None = field(default=None, kw_only=True)

    def of(self, values: Tensor, picture: Picture) -> Tensor:
        """What there is of values (1, C, H, W) of the whole photo, at the size of the picture."""
        import torch.nn.functional as F

        own, size = values[..., self.top : self.top + self.height, self.left : self.left + self.width], (picture.height, picture.width)
        return own if tuple(own.shape[2:]) == size else F.interpolate(own, size=size, mode="bilinear", antialias=True)


@dataclass
class How:
    """What a step is given beside the picture and its network. mask: what is to be filled, (1, 1, H, W) at the photo's size.

    remarks: sentences for the result's note, which steps add to. part: where the picture lies, when it is not the whole
    photo. crisp: the network of the crisp temper, for a step that enlarges, where it is asked for. finder: loads the network
    that finds a product on any background; None where none comes with Vitrine.
    """

    request: EnhanceRequest
    settings: Settings
    preview: Preview
    mask: Tensor | None = None
    remarks: list[str] = field(default_factory=list)
    part: Part | None = None
    crisp: Network | None = None
    finder: Callable[[], Network | None] = lambda: None

    def whole(self, picture: Picture) -> Picture:
        """What the picture has to be judged by: the whole photo."""
        return self.part.whole if self.part else picture

    def seen(self, picture: Picture) -> Picture:
        """What light and colour have to be judged by: the whole as the chain has made it so far, perhaps a small copy."""
        return (self.part.seen or self.part.whole) if self.part else picture

    def part_of(self, picture: Picture) -> Part | None:
        """Where the picture lies on its whole photo, if the chain has not enlarged it: the two are of one scale then."""
        return self.part if self.part and picture.width == self.part.width else None

    def of_part(self, values: Tensor, picture: Picture) -> Tensor:
        """Values (1, C, H, W) of `whole(picture)` where the picture is."""
        return self.part.of(values, picture) if self.part else values


def restored(photo: Picture, network: Network | None, how: How) -> Parts:
    """photo + strength * (effect - photo); exactly the photo at 0. The effect is at most noise of the level that is given.

    The network of Vitrine is told which of its experts suits the whole photo, as it would otherwise choose one for each tile.
    """
    import torch

    from engine.models import restore

    given, sigma = needed(network), how.request.noise / 255
    clean: Callable[[Tensor], Tensor] = given
    if isinstance(given.module, restore.Restore):
        part = how.part_of(photo)
        expert = restore.best(partial(given.apply, given.module.gate), (part.whole if part else photo).pixels)
        clean = lambda x: given.apply(partial(given.module, expert=expert), x).clamp(0, 1)  # noqa: E731
    effect = yield from _through(photo, given, how, (lambda x: x - restore.at_most(x - clean(x), sigma)) if sigma else clean)
    return photo.with_pixels(torch.lerp(photo.pixels.to(effect.dtype), effect, how.request.strength, out=effect))


def sharpened(photo: Picture, network: Network | None, how: How) -> Parts:
    """Without blur; by unsharp masking where there is no network.

    The network of Vitrine is told what blur the whole photo has, as it would otherwise estimate one for each tile.
    """
    from engine.models import deblur, sharpen

    if network is None:
        tiling = Tiling(overlap_px=2 * sharpen.reach_px(), bytes_per_px=100, most_px=512)
        sharp = yield from tiles.run(sharpen.unsharp, photo.pixels, tiling, memory=how.settings.tile_memory, preview=how.preview.pixels)
        return photo.with_pixels(sharp)
    if not isinstance(network.module, deblur.Deblur):
        return photo.with_pixels((yield from _through(photo, network, how)))
    part = how.part_of(photo)
    blur, factor = deblur.fitting(partial(network.apply, network.module.blur_of), (part.whole if part else photo).pixels.float())
    if factor == 1:
        return photo.with_pixels((yield from _through(photo, network, how, lambda x: network(x, blur))))
    return (yield from _sharpened_small(photo, factor, lambda small: _through(small, network, how, lambda x: network(x, blur)), part))


def _sharpened_small(photo: Picture, factor: int, through: Callable[[Picture], Generator[tuple[int, int], None, Tensor]], part: Part | None) -> Parts:
    """The photo, and what `through` adds to a copy that is `factor` times smaller, where a blur is shorter: it has no finer
    detail to be brought back, and what is sharp along a motion stays."""
    import torch.nn.functional as F

    left, top = (part.left % factor, part.top % factor) if part else (0, 0)  # so that a part has the pixels of the whole's copy
    around = (left, -(left + photo.width) % factor, top, -(top + photo.height) % factor)
    small = F.avg_pool2d(F.pad(photo.pixels.float(), around, mode="replicate"), factor)
    sharp = yield from through(replace(photo, pixels=small, alpha=None))
    added = F.interpolate(sharp.float() - small, scale_factor=factor, mode="bicubic")
    pixels = added[..., top : top + photo.height, left : left + photo.width].add_(photo.pixels).clamp_(0, 1)
    return photo.with_pixels(pixels.to(photo.pixels.dtype))


def enlarged(scale: int) -> Callable[[Picture, Network | None, How], Parts]:
    """The step that makes a photo `scale` times as large, faithful and crisp to the shares that are asked for.

    A network that makes it larger than that is resized tile by tile, so that the larger picture is never held as a whole.
    """

    def step(photo: Picture, network: Network | None, how: How) -> Parts:
        import torch

        share, faithful = how.request.crispness, needed(network)
        tempers = [faithful] if how.crisp is None else [how.crisp] if share == 1 else [faithful, how.crisp]

        def blended(x: Tensor) -> Tensor:
            pictures = [_to_scale(one(x), x, scale) for one in tempers]
            return torch.lerp(pictures[0], pictures[1], share) if len(pictures) == 2 else pictures[0]

        tiling = _together([one.weight.tiling for one in tempers], scale)
        return photo.with_pixels((yield from tiles.run(blended, photo.pixels, tiling, memory=how.settings.tile_memory, preview=how.preview.pixels)))

    return step


def _to_scale(large: Tensor, x: Tensor, scale: int) -> Tensor:
    """What a network made of x, resized to `scale` times its size."""
    import torch.nn.functional as F

    size = (scale * x.shape[2], scale * x.shape[3])
    return large if tuple(large.shape[2:]) == size else F.interpolate(large, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def _together(tilings: Sequence[Tiling], scale: int) -> Tiling:
    """Tiles that suit all these networks, which run one after the other and whose pictures are kept till both are there."""
    most = max(tilings, key=lambda t: t.overlap_px)
    resize_px = _RESIZE_PX if any(t.scale != scale for t in tilings) else 0
    return replace(
        most,
        scale=scale,
        overlap_px=most.overlap_px + resize_px,
        multiple_px=math.lcm(*(t.multiple_px for t in tilings)),
        bytes_per_px=sum(t.bytes_per_px for t in tilings),
        most_px=min(t.most_px for t in tilings),
    )


def needed(network: Network | None) -> Network:
    """The network of a step that has no other way."""
    if network is None:
        raise RequestError("No network for this step comes with Vitrine.")
    return network


def _through(photo: Picture, network: Network, how: How, call: Callable[[Tensor], Tensor] | None = None) -> Generator[tuple[int, int], None, Tensor]:
    """A photo through a network tile by tile; call: instead of the network itself."""
    return tiles.run(call or network, photo.pixels, network.weight.tiling, memory=how.settings.tile_memory, preview=how.preview.pixels)
