"""Which networks a request of Style uses, and what is used where the Hub's cannot be had."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.contract.style import JOHNSON, StyleRequest
from engine.style import presets

if TYPE_CHECKING:
    from engine.weights import Network, Weights

FEATURES, VGG, FAST = "features", "vgg19", "faststyle"
STAND_INS: Mapping[str, str] = {
    "mosaic": "composition-vii",
    "candy": "woman-with-a-hat",
    "udnie": "udnie",
    "pointilism": "grande-jatte",
}
"""The preset that is used when a style's own network cannot be had from the Hub."""


def is_preset(style: str) -> bool:
    return style in presets.BY_NAME


@dataclass
class StyleNetworks:
    """What was loaded for a request. backbone: in which styles are compared; painter: what paints in one pass, if
    anything does; finder: what finds a product whose background is not plain.
    """

    method: str
    styles: tuple[str, ...]
    backbone: Network | None = None
    painter: Network | None = None
    finder: Network | None = None
    fallbacks: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[Network]:
        """Those that had a part in the picture, the painter first."""
        return [network for network in (self.painter, self.backbone) if network is not None]


def networks_for(request: StyleRequest, weights: Weights, *, on_gpu: bool) -> Generator[Progress, None, StyleNetworks]:
    """The networks of the method; where the Hub's cannot be had, another method is used and a sentence says so."""
    found = StyleNetworks(request.method, request.styles)
    if request.method == "johnson":
        yield from _find_johnson(request, weights, found)
    if found.method == "gatys":
        found.backbone, fallbacks = yield from weights.load_first(_backbones(request, found, on_gpu=on_gpu))
        found.fallbacks += fallbacks
        if request.start == "fast" and found.backbone.weight.name == FEATURES:
            found.painter = yield from weights.load(FAST)
        elif request.start == "fast":
            found.fallbacks.append(f"{FAST} takes a style from {FEATURES} alone, so the painting began with the photo.")
    elif found.method == "fast":
        if request.method == "fast" and request.network not in ("auto", "embedded", "hub", FAST, FEATURES):
            raise RequestError(
                f"There is no network {request.network[:40]!r} for the method fast; choose auto, embedded or {FAST}."
            )
        found.painter = yield from weights.load(FAST)
        if not all(is_preset(style) for style in found.styles):
            found.backbone = yield from weights.load(FEATURES)
    return found


def _find_johnson(request: StyleRequest, weights: Weights, found: StyleNetworks) -> Generator[Progress, None, None]:
    from engine.weights import WeightsUnavailable

    if request.style not in JOHNSON or request.more_styles:
        raise RequestError(f"The method johnson has the styles {', '.join(JOHNSON)}, one at a time.")
    try:
        found.painter = yield from weights.load(f"johnson-{request.style}")
    except WeightsUnavailable as error:
        stand_in = STAND_INS[request.style]
        found.method, found.styles = "fast", (stand_in,)
        found.fallbacks.append(
            f"{str(error).rstrip('.')}, so the method fast painted with the preset {stand_in} instead."
        )


def _backbones(request: StyleRequest, found: StyleNetworks, *, on_gpu: bool) -> tuple[str, ...]:
    """The networks to try for Gatys' method, the best first; a sentence is added to `found` when the one that was asked
    for cannot be used.
    """
    wish = request.network
    if wish not in ("auto", "embedded", "hub", FEATURES, VGG):
        raise RequestError(
            f"There is no network {wish[:40]!r} for styles; choose auto, embedded, hub, {FEATURES} or {VGG}."
        )
    if any(is_preset(style) for style in request.styles):  # a preset has no picture that another network could look at
        if wish in ("hub", VGG):
            found.fallbacks.append(f"The presets are made for {FEATURES}, so it was used instead of {VGG}.")
        return (FEATURES,)
    return (VGG, FEATURES) if wish in ("hub", VGG) or (wish == "auto" and on_gpu) else (FEATURES,)
