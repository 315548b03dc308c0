"""The step that cleans: noise and JPEG artefacts are taken off."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator, needed, through
from engine.image import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


def run(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """photo + strength * (effect - photo); exactly the photo at 0. The effect is at most noise of the level that is
    given.

    The network of Vitrine is told which of its experts suits the whole photo, as it would otherwise choose one for each
    tile.
    """
    import torch

    from engine.models import restore

    given, sigma = needed(network), context.request.noise / 255
    clean: Callable[[Tensor], Tensor] = given
    if isinstance(given.module, restore.Restore):
        part = context.part_of(photo)
        expert = restore.best(partial(given.apply, given.module.gate), (part.whole if part else photo).pixels)
        clean = lambda x: given.apply(partial(given.module, expert=expert), x).clamp(0, 1)  # noqa: E731
    effect = yield from through(
        photo, given, context, (lambda x: x - restore.at_most(x - clean(x), sigma)) if sigma else clean
    )
    return photo.with_pixels(torch.lerp(photo.pixels.to(effect.dtype), effect, context.request.strength, out=effect))


STEP = Step("restore", 10, "Cleaning", run, settings=("strength", "noise"))
