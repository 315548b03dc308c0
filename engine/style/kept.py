"""What of a photo stays when it is repainted: one side of the product's outline, what is protected, colours, and what
strength leaves.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import product
from engine.contract.style import StyleRequest
from engine.image import Picture
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network

_PROTECTED_EDGE_PX = (
    2.0  # over which the effect comes in at least around what is protected; a brush has no soft edge of its own
)


@dataclass(frozen=True, eq=False)
class _Cut:
    """A product apart from its background: its colours (1, 3, H, W) and alpha (1, 1, H, W), and the alpha softened by
    the feather, if any.
    """

    colours: Tensor
    alpha: Tensor
    soft: Tensor | None

    def at_size(self, photo: Picture) -> _Cut:
        colours = Picture(self.colours).resized(photo.width, photo.height).pixels
        return _Cut(
            colours,
            product.to_size(self.alpha, photo),
            None if self.soft is None else product.to_size(self.soft, photo),
        )


class Kept:
    """What of the photo stays. product: the mask of the product (1, 1, H, W), None where none was found.

    finder: the network that finds a product whose background is not plain. remarks: sentences are added to them.
    """

    def __init__(
        self, request: StyleRequest, photo: Picture, finder: Network | None, settings: Settings, remarks: list[str]
    ) -> None:
        self.request, self.photo, self._remarks = request, photo, remarks
        self.product = self._product(finder, settings)
        self._cut = (
            self._cut_out(self.product) if request.apply_to != "everything" and self.product is not None else None
        )
        self._protected = product.given(request.protect, photo, settings, "protected area") if request.protect else None
        self._note_if_nothing_is_left()

    def _product(self, finder: Network | None, settings: Settings) -> Tensor | None:
        if self.request.mask:
            return product.given(self.request.mask, self.photo, settings, "mask")
        mask = product.of(self.photo, finder)
        if mask is None and self.request.apply_to != "everything":
            self._remarks.append(
                "The product could not be told from its background, so everything was repainted; give a mask of it."
            )
        return mask

    def _cut_out(self, mask: Tensor) -> _Cut:
        """By the mask, without the rim of the old background that would shine before a new one."""
        from engine.models import cutout, filters

        pixels, own = self.photo.pixels.float(), self.photo.alpha
        see_through = own is not None and bool((own < 0.5).any())  # its edges have no background in them
        colours, alpha = (pixels, mask) if see_through else cutout.decontaminated(pixels, mask)
        return _Cut(
            colours, alpha, filters.feathered(alpha, self.request.feather_px) if self.request.feather_px else None
        )

    def _note_if_nothing_is_left(self) -> None:
        if self._protected is not None and bool((self._protected > 0.5).all()):
            self._remarks.append("Nothing was repainted: all of the photo is protected.")
        elif self._cut is not None and not bool(
            (self._cut.alpha > 0 if self.request.apply_to == "product" else self._cut.alpha < 1).any()
        ):
            self._remarks.append(f"Nothing was repainted: the mask leaves no {self.request.apply_to}.")

    def small(self, photo: Picture) -> Kept:
        """The same for a smaller copy of the photo."""
        kept = copy.copy(self)
        kept.photo = photo
        kept._cut = self._cut and self._cut.at_size(photo)
        kept._protected = None if self._protected is None else product.to_size(self._protected, photo)
        return kept

    def put_back(self, painted: Tensor) -> Tensor:
        """photo + strength x (effect - photo); exactly the photo where the strength is 0, on the side that is not
        repainted, and where it is protected.
        """
        import torch

        from engine.models import colour, filters

        pixels = self.photo.pixels.float()
        if self.request.colours == "photo":
            painted = colour.keep_colours(self.photo.on_white(), painted)
        result = torch.lerp(pixels, self._on_its_side(pixels, painted), self.request.strength).clamp_(0, 1)
        if self._protected is None:
            return result
        inside = (self._protected > 0.5).float()
        soft = torch.maximum(inside, filters.feathered(inside, max(_PROTECTED_EDGE_PX, self.request.feather_px)))
        return torch.where(inside > 0, pixels, torch.lerp(result, pixels, soft))

    def _on_its_side(self, pixels: Tensor, painted: Tensor) -> Tensor:
        """The effect on the product or on its background.

        On the background the product is laid over it in its own colours, and with a feather the old background
        remains around it for a few pixels.
        """
        import torch

        cut = self._cut
        if cut is None:
            return painted
        if self.request.apply_to == "product":
            return torch.lerp(pixels, painted, cut.alpha if cut.soft is None else torch.minimum(cut.alpha, cut.soft))
        background = painted if cut.soft is None else torch.lerp(painted, pixels, cut.soft)
        return torch.lerp(background, cut.colours, cut.alpha)
