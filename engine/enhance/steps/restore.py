"""The step that cleans: noise and JPEG artefacts are taken off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator, needed, through
from engine.image import Picture

if TYPE_CHECKING:
    from engine.weights import Network


def run(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """photo + strength * (effect - photo); exactly the photo at 0. The effect is at most noise of the level that is
    given.

    The network of Vitrine is given the expert that suits the whole photo, as it would otherwise choose one for each
    tile.
    """
    import torch

    from engine.models import restore

    given, sigma = needed(network), context.request.noise / 255
    part = context.part_of(photo)
    clean, _ = given.for_photo((part.whole if part else photo).pixels)
    effect = yield from through(
        photo, given, context, (lambda x: x - restore.at_most(x - clean(x), sigma)) if sigma else clean
    )
    return photo.with_pixels(torch.lerp(photo.pixels.to(effect.dtype), effect, context.request.strength, out=effect))


STEP = Step("restore", 10, "Cleaning", run, settings=("strength", "noise"))
