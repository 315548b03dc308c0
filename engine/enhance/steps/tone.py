"""The step that corrects light and colour: what a network proposes, or amounts that a person gives."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import image
from engine.contract.enhance import ADJUSTMENTS
from engine.contract.events import Progress
from engine.contract.steps import Step
from engine.enhance.steps.context import StepContext, StepGenerator
from engine.image import Picture
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network, Weights

_NOTICED, _MORE, _MUCH = 0.04, 0.2, 0.5  # of the most that an amount may be: less than the first is not worth a word
_WORDS = {  # what is said of an amount below and above 0
    "exposure": ("darker", "lighter"),
    "temperature": ("cooler", "warmer"),
    "tint": ("less green", "greener"),
    "shadows": ("deeper in the shadows", "lighter in the shadows"),
    "contrast": ("softer in contrast", "stronger in contrast"),
    "saturation": ("paler in colour", "richer in colour"),
}

Amounts = tuple[float, ...]  # in the order of ADJUSTMENTS


def toned(photo: Picture, network: Network | None, context: StepContext) -> StepGenerator:
    """The photo with the amounts of the request, or with those that the network proposes."""
    import torch

    from engine.models import tone
    from engine.models.colour import Lut, grid

    amounts = context.request.adjust
    if network:
        proposed, weights = proposal(context.seen(photo), network)
        amounts = amounts or proposed
        weights = weights * _share(amounts, proposed)
        lut = Lut(network.apply(network.module.tables, torch.tensor([amounts]), weights)[0])
    else:
        colours = grid()
        lut = Lut(tone.adjusted(colours.flatten(1)[None], torch.tensor([amounts])).view_as(colours))
    context.remarks.append(spoken(amounts))
    yield 0, 1
    return photo.with_pixels(lut.apply(photo.pixels))


def proposal(photo: Picture, network: Network) -> tuple[Amounts, Tensor]:
    """What the network would do: amounts, and the weights (1, K) of the basis tables."""
    import torch

    from engine.models.tone import thumbnail

    found = network.apply(lambda x: torch.cat(network.module(x), 1), thumbnail(photo.on_white()))
    return tuple(round(float(a), 4) for a in found[0, : len(ADJUSTMENTS)]), found[:, len(ADJUSTMENTS) :]


def proposed_for(file: str | Path, weights: Weights, settings: Settings) -> Generator[Progress, None, Amounts | None]:
    """What the network that comes with Vitrine proposes for the photo in a file.

    None where there is no such network.
    """
    from engine.weights import WeightsUnavailable

    names = [row.name for row in weights.table if row.task == "tone" and row.embedded]
    if not names:
        return None
    yield (looking := Progress(0, 0, "Looking at the light"))
    photo = image.load(file, settings)
    try:
        network, _ = yield from weights.load_first(names)
    except WeightsUnavailable:
        return None
    yield looking
    return proposal(photo, network)[0]


def spoken(amounts: Amounts) -> str:
    """The amounts in a sentence: "The photo was made 0.8 stops lighter and a little warmer."."""
    said = []
    for (name, most), amount in zip(ADJUSTMENTS.items(), amounts, strict=True):
        if abs(amount) >= _NOTICED * most:
            word = _WORDS[name][amount > 0]
            size = "much " if abs(amount) >= _MUCH * most else "" if abs(amount) >= _MORE * most else "a little "
            said.append(f"{abs(amount):.1f} stops {word}" if name == "exposure" else size + word)
    if not said:
        return "Light and colour were left nearly as they are."
    return f"The photo was made {', '.join(said[:-1])}{' and ' if said[1:] else ''}{said[-1]}."


def _share(amounts: Amounts, proposed: Amounts) -> float:
    """How much of the network's own tables goes with a person's amounts: all at the proposal, nothing where all are 0.

    So sliders begin at what the network shows, and all of them at 0 give the photo as it is.
    """
    apart, whole = (
        sum((a / most) ** 2 for a, most in zip(v, ADJUSTMENTS.values(), strict=True)) ** 0.5
        for v in (_difference(amounts, proposed), proposed)
    )
    return 1.0 if apart == 0 else max(0.0, 1 - apart / whole) if whole else 0.0


def _difference(a: Amounts, b: Amounts) -> Amounts:
    return tuple(x - y for x, y in zip(a, b, strict=True))


STEP = Step(
    "tone",
    30,
    "Correcting light and colour",
    toned,
    instead=("the given amounts", "only the amounts that were given were applied"),
    advice=lambda request: "" if request.adjust else "so give the amounts of light and colour yourself",
    uses_light=True,
    settings=("adjust",),
)
