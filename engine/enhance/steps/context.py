"""What all steps of a chain are given, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.image import Picture
from engine.runtime import tiles
from engine.runtime.preview import Preview
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


StepGenerator: TypeAlias = Generator[tuple[int, int], None, Picture]  # (done, total) while it works, then the picture


@dataclass(frozen=True, eq=False)
class PhotoPart:
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

        own, size = (
            values[..., self.top : self.top + self.height, self.left : self.left + self.width],
            (picture.height, picture.width),
        )
        return own if tuple(own.shape[2:]) == size else F.interpolate(own, size=size, mode="bilinear", antialias=True)


@dataclass
class StepContext:
    """What a step is given beside the picture and its network. mask: what is to be filled, (1, 1, H, W) at the photo's
    size.

    remarks: sentences for the result's note, which steps add to. part: where the picture lies, when it is not the whole
    photo. crisp: the network of the crisp variant, for a step that enlarges, where it is asked for. finder: loads the
    network that finds a product on any background; None where none comes with Vitrine.
    """

    request: EnhanceRequest
    settings: Settings
    preview: Preview
    mask: Tensor | None = None
    remarks: list[str] = field(default_factory=list)
    part: PhotoPart | None = None
    crisp: Network | None = None
    finder: Callable[[], Network | None] = lambda: None

    def option(self, name: str) -> Any:
        """The value of a setting that only this step knows."""
        return self.request.options[name]

    def whole(self, picture: Picture) -> Picture:
        """The whole photo, on which what concerns all of it has to be measured."""
        return self.part.whole if self.part else picture

    def seen(self, picture: Picture) -> Picture:
        """The whole photo as the chain has made it so far, perhaps a small copy: light and colour have to be measured
        on it.
        """
        return (self.part.seen or self.part.whole) if self.part else picture

    def part_of(self, picture: Picture) -> PhotoPart | None:
        """Where the picture lies on its whole photo, if the chain has not enlarged it:
        the two are of one scale then.
        """
        return self.part if self.part and picture.width == self.part.width else None

    def of_part(self, values: Tensor, picture: Picture) -> Tensor:
        """Values (1, C, H, W) of `whole(picture)` where the picture is."""
        return self.part.of(values, picture) if self.part else values


def needed(network: Network | None) -> Network:
    """The network of a step that has no other way."""
    if network is None:
        raise RequestError("No network for this step comes with Vitrine.")
    return network


def through(
    photo: Picture, network: Network, context: StepContext, call: Callable[[Tensor], Tensor] | None = None
) -> Generator[tuple[int, int], None, Tensor]:
    """A photo through a network tile by tile; call: instead of the network itself."""
    return tiles.run(
        call or network,
        photo.pixels,
        network.weight.tiling,
        memory=context.settings.tile_memory,
        preview=context.preview.pixels,
    )
