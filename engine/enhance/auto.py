"""What a photo needs: it is looked at, and a chain of steps is proposed, each with the measured reason for it.

Thresholds err on the side of leaving a photo alone. Colour and light are only moved where a plain, light background
says what neutral is, or where nothing is light: a warm room, a dark product or a dark backdrop may be meant so.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import image
from engine.contract.enhance import ADJUSTMENTS, EnhanceRequest
from engine.contract.events import EventStream, Notes, Progress, Result
from engine.contract.fields import hex_of
from engine.settings import DEFAULTS, Settings
from engine.weights import WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.image import Picture
    from engine.models.estimate import Background, ColourCast, Light
    from engine.runtime.device import Device
    from engine.weights import Network, Weights

log = logging.getLogger("vitrine")

_LOOKING = "Looking at the photo"

NOISE_LEAST = (
    5.0  # of 255 levels: below, the photo's own grain and weave look alike, and nobody sees it at arm's length
)
NOISE_FULL = 10.0  # from here on all of it is taken off
QUALITY_MOST = 80  # a JPEG of a higher quality shows no blocks
BLUR_LEAST_PX = 1.6  # spread of the sharper edges; also of photos that are soft because they are large
# Of a point, by the blur that the network sees (of 229 photos as taken two have 1.2, which are blurred, the others
# 0.9).
SPREAD_LEAST_PX = 1.25
_SHAKEN = 1.6  # how many times as far along as across
CAST_LEAST, CAST_MOST = 8.0, 30.0  # chroma of a light background: tinted by the light; beyond, coloured on purpose
CAST_LIGHTNESS = 88.0  # of 100: what is darker may be wood or cardboard
BLUE_LEAST, BLUE_MOST, BLUE_LIGHTNESS = 7.5, 20.0, 55.0  # the same towards blue: wood, cardboard and stone never are
# The peak of light: below, nothing in the photo is light (of 520 photos as they were taken, one; 2 stops darker, all).
DARK = 0.62
DIM = 0.75  # the same where the light has to be mended anyway
LIGHT = 0.93  # where the peak is brought: what lies above it is hardly cut off
STOPS_MOST = 3.0
# Of 100: a plain backdrop below is dark on purpose (white paper is 38 when 3 stops are missing), and what lies on it
# may be.
DARK_BACKGROUND = 16.0
# Of the photo: where so much is neutral and lighter than the background, the light is neutral and the background
# coloured on purpose.
WHITE_MOST = 0.01
LARGE_ENOUGH_PX, ENLARGED_PX = 500, 1000  # longer side: what marketplaces accept at least, and what they zoom into


@dataclass(frozen=True)
class Finding:
    """One thing that was measured. value: its number, in the unit that `text` says; None where it cannot be
    measured.
    """

    what: str
    value: float | None
    text: str


@dataclass(frozen=True)
class ProposedStep:
    """A step of the proposed chain, and why: one sentence with the measured number."""

    name: str
    reason: str


@dataclass(frozen=True)
class Look:
    """What was measured of a photo. jpeg: a quality from 1 to 100, the lower of what the file says and its pixels show.

    blur: the spread of its sharper edges, in pixels. spread: that of a point, along and across, by the kernel that a
    network sees (`deblur.spread`): edges along which a camera moved stay sharp.
    """

    width: int
    height: int
    noise: float
    jpeg: int | None
    blur: float | None
    light: Light
    cast: ColourCast
    background: Background
    spread: tuple[float, float] | None = None

    def findings(self) -> tuple[Finding, ...]:
        """The same in words."""
        light, background = self.light, self.background
        jpeg = "no traces of JPEG" if self.jpeg is None else f"JPEG of quality {self.jpeg}"
        blur, spread, _ = _blurring(self)
        levels = f"levels {255 * light.low:.0f} to {255 * light.high:.0f} of 255, {255 * light.mean:.0f} on average"
        cut_off = f"{light.white:.0%} cut off at white, {light.black:.0%} at black"
        tint = f"ΔE {self.cast.chroma:.1f}{_towards(self.cast.a, self.cast.b)}, by {self.cast.share:.0%} of the photo"
        kind = (
            "not plain"
            if not background.is_plain
            else "plain and white"
            if background.is_white
            else f"plain, of the colour {hex_of(background.rgb)}"
        )
        return (
            Finding("size", max(self.width, self.height), f"{self.width} x {self.height} pixels"),
            Finding("noise", round(self.noise, 2), f"deviation of {self.noise:.1f} of 255 levels"),
            Finding("JPEG", self.jpeg, jpeg),
            Finding("blur", blur, spread),
            Finding("exposure", round(light.mean, 3), f"{levels}; {cut_off}"),
            Finding("colour cast", round(self.cast.chroma, 2), tint),
            Finding("background", round(background.certainty, 2), f"{kind}, {background.certainty:.0%} certain"),
        )


@dataclass(frozen=True)
class Proposal:
    """A chain for a photo. steps: in order, none for a photo that is left alone. strength, adjust: as in
    EnhanceRequest.
    """

    findings: tuple[Finding, ...]
    steps: tuple[ProposedStep, ...]
    strength: float = 1.0
    adjust: tuple[float, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences for the notes."""
        return tuple(step.reason for step in self.steps) or (
            "Nothing in this photo needs mending, so it is left as it is.",
        )

    def request(self, asked: EnhanceRequest) -> EnhanceRequest:
        """`asked` with the proposed chain and its settings in the place of "auto"; ValueError where no step is
        proposed.
        """
        if not self.steps:
            raise ValueError("a photo that is left alone has no chain")
        return replace(
            asked,
            steps=tuple(step.name for step in self.steps),
            strength=asked.strength * self.strength,
            adjust=asked.adjust or self.adjust,
        )

    def report(self) -> dict[str, Any]:
        """As JSON-ready values."""
        chain = {"steps": [asdict(step) for step in self.steps], "strength": self.strength, "adjust": list(self.adjust)}
        return {"findings": [asdict(finding) for finding in self.findings]} | chain | {"reasons": list(self.reasons)}


def look(
    file: str | Path, weights: Weights | None = None, settings: Settings = DEFAULTS
) -> Generator[Progress, None, Proposal]:
    """Look at a photo file and propose; without `weights` blur is measured without a network.

    RequestError as `image.load`.
    """
    yield Progress(0, 0, _LOOKING)
    photo = image.load(file, settings)
    network = (yield from finder(weights)) if weights else None
    return propose((yield from measure(photo, image.luma_table(file, settings), network)))


def finder(weights: Weights) -> Generator[Progress, None, Network | None]:
    """The network of Vitrine that estimates how a photo is blurred; None where it cannot be had."""
    names = [row.name for row in weights.table if row.task == "deblur" and row.embedded]
    try:
        return (yield from weights.load_first(names))[0] if names else None
    except WeightsUnavailable as error:
        log.warning("Blur is measured on edges alone: %s", error)
        return None


def measure(
    photo: Picture, table: tuple[int, ...] | None = None, network: Network | None = None
) -> Generator[Progress, None, Look]:
    """Everything that is measured of a photo; yields between measurements, each of which may take a second of a large
    photo. table: of the JPEG file it came from; network: that of `finder`.
    """
    from engine.models import estimate

    yield Progress(0, 4, _LOOKING)
    pixels = photo.pixels if photo.alpha is None else photo.on_white()
    tiles = estimate.tiles(pixels)
    noise = estimate.noise_sigma(tiles)
    qualities = [estimate.jpeg_quality(tiles), estimate.quality_of_table(table) if table else None]
    blur = estimate.blur_sigma(tiles, noise)
    yield Progress(1, 4, _LOOKING)
    light, cast = estimate.light(pixels), estimate.colour_cast(pixels)
    yield Progress(2, 4, _LOOKING)
    background = estimate.background(pixels)
    yield Progress(3, 4, _LOOKING)
    return Look(
        photo.width,
        photo.height,
        noise,
        min((quality for quality in qualities if quality is not None), default=None),
        blur,
        light,
        cast,
        background,
        _spread(pixels, noise, blur, network) if network else None,
    )


def _spread(pixels: Tensor, noise: float, edges: float | None, network: Network) -> tuple[float, float] | None:
    """How far the blur of a photo (1, 3, H, W) spreads a point; None where the network cannot estimate it, or nothing
    has an edge. edges: `estimate.blur_sigma` of the photo; a long blur leaves none but on a small copy.
    """
    import torch.nn.functional as F

    from engine.models import deblur, estimate

    if not hasattr(network.module, "blur_of") or min(pixels.shape[2:]) < deblur.WINDOW_PX:
        return None
    blur, factor = deblur.fitting(partial(network.apply, network.module.blur_of), pixels.float())
    if factor > 1:
        edges = estimate.blur_sigma(estimate.tiles(F.avg_pool2d(pixels.float(), factor)), noise / factor)
    if edges is None:
        return None
    along, across = deblur.spread(blur)
    return factor * along, factor * across


def propose(seen: Look) -> Proposal:
    """The chain that what was seen asks for."""
    steps = []
    strength, cleaning = _cleaning(seen)
    if cleaning:
        steps.append(ProposedStep("restore", cleaning))
    if sharpening := _blurring(seen)[2]:
        steps.append(ProposedStep("deblur", sharpening))
    adjust, lighting = _lighting(seen)
    if lighting:
        steps.append(ProposedStep("tone", lighting))
    if (longer := max(seen.width, seen.height)) < LARGE_ENOUGH_PX:
        scale = next((s for s in (2, 3, 4) if s * longer >= ENLARGED_PX), 4)
        steps.append(
            ProposedStep(
                f"upscale-x{scale}",
                f"Its longer side has {longer} pixels, and marketplaces want at least {LARGE_ENOUGH_PX}: it is"
                " enlarged.",
            )
        )
    return Proposal(seen.findings(), tuple(steps), strength, adjust)


def enhanced(
    request: EnhanceRequest,
    run: Callable[[EnhanceRequest], EventStream],
    weights: Weights,
    device: Device,
    settings: Settings,
) -> EventStream:
    """Look at the request's photo in the device's turn, and `run` the chain that it needs; the notes say the reasons.

    The recipe stays the one that was asked for: on another photo it proposes anew. All of the photo is looked at, also
    where only a part is worked on.
    """
    started = time.monotonic()
    image.check(request.photo, settings).cropped(request.crop)
    proposal = yield from device.exclusively(look(request.photo, weights, settings))
    if not proposal.steps:
        photo = image.load(request.photo, settings)
        photo = photo.cropped(*request.crop) if request.crop else photo
        yield Result(
            (photo,), request.recipe(), Notes((), "CPU", remarks=proposal.reasons), time.monotonic() - started, photo
        )
        return
    with closing(run(proposal.request(request))) as events:
        for event in events:
            if isinstance(event, Result):
                notes = replace(event.notes, remarks=(*proposal.reasons, *event.notes.remarks))
                event = replace(event, recipe=request.recipe(), notes=notes, seconds=time.monotonic() - started)
            yield event


def _cleaning(seen: Look) -> tuple[float, str]:
    """How much of `restore`, and why; "" for not at all."""
    reasons, strength = [], 0.0
    if seen.noise >= NOISE_LEAST:
        reasons.append(f"noise has a deviation of {seen.noise:.0f} of 255 levels")
        strength = min(1.0, seen.noise / NOISE_FULL)
    if seen.jpeg is not None and seen.jpeg < QUALITY_MOST:
        reasons.append(f"JPEG of quality {seen.jpeg} has left blocks")
        strength = 1.0
    if not reasons:
        return 1.0, ""
    sentence = " and ".join(reasons)
    return round(strength, 2), f"{sentence[0].upper()}{sentence[1:]}: it is cleaned."


def _blurring(seen: Look) -> tuple[float | None, str, str]:
    """How blurred a photo is, in pixels and in words, and why it is sharpened; "" for not at all."""
    if seen.spread and seen.spread[0] > SPREAD_LEAST_PX:
        along, across = seen.spread
        if along > _SHAKEN * across:
            moved = round(math.sqrt(12) * along)
            return (
                moved,
                f"shaken by about {moved} pixels",
                f"The camera moved by about {moved} pixels while it took the photo: it is sharpened.",
            )
        spot = round(4 * along)
        return (
            spot,
            f"out of focus, points are spots of about {spot} pixels",
            f"The photo is out of focus by about {spot} pixels: it is sharpened.",
        )
    if seen.blur is None:
        return None, "too few edges to tell", ""
    edges = f"spread over {_pixels(seen.blur)} pixels"
    too_far = (
        f"The sharpest edges are {edges}, and up to {BLUR_LEAST_PX:g} are sharp: they are sharpened."
        if seen.blur > BLUR_LEAST_PX
        else ""
    )
    return round(seen.blur, 2), f"edges {edges}, {_sharpness(seen.blur)}", too_far


def _lighting(seen: Look) -> tuple[tuple[float, ...], str]:
    """The amounts of `tone`, and why; "" for not at all."""
    amounts, reasons = dict.fromkeys(ADJUSTMENTS, 0.0), []
    background = seen.background
    is_tinted = _is_tinted(background)
    if is_tinted:
        amounts |= _neutral(background.rgb)
        tint = f"{_towards(*background.lab[1:])} by ΔE {background.chroma:.0f}"
        reasons.append(f"the plain background is tinted{tint}: it becomes neutral")
    if 0 < seen.light.peak < (DIM if is_tinted else DARK) and not _is_dark(background):
        stops = min(STOPS_MOST, math.log2(_linear(LIGHT) / _linear(seen.light.peak)))
        amounts["exposure"] += stops
        reasons.append(
            f"hardly anything in the photo is lighter than level {255 * seen.light.peak:.0f} of 255: it is lit by"
            f" {stops:.1f} stops"
        )
    if not reasons:
        return (), ""
    sentence = ", and ".join(reasons)
    bounded = tuple(round(max(-most, min(most, amounts[name])), 3) for name, most in ADJUSTMENTS.items())
    return bounded, f"{sentence[0].upper()}{sentence[1:]}."


def _is_tinted(background: Background) -> bool:
    """Whether the colour of a plain background is that of the light rather than its own."""
    if not background.is_plain or background.white > WHITE_MOST:
        return False
    lightness, a, b = background.lab
    is_pale = lightness >= CAST_LIGHTNESS and CAST_LEAST <= background.chroma <= CAST_MOST
    is_blue = b < -abs(a) and lightness >= BLUE_LIGHTNESS and BLUE_LEAST <= background.chroma <= BLUE_MOST
    return is_pale or is_blue


def _is_dark(background: Background) -> bool:
    return background.is_plain and background.lab[0] < DARK_BACKGROUND


def _neutral(rgb: tuple[float, float, float]) -> dict[str, float]:
    """What makes a colour grey, as light as its lightest channel."""
    red, green, blue = (max(_linear(channel), 1e-4) for channel in rgb)
    middle = math.sqrt(red * blue)
    return {
        "temperature": math.log2(blue / red),
        "tint": math.log2(middle / green),
        "exposure": math.log2(max(red, green, blue) / middle),
    }


def _linear(level: float) -> float:
    """Of one channel of sRGB in [0, 1]."""
    import torch

    from engine.models.srgb import to_linear

    return float(to_linear(torch.tensor(level, dtype=torch.float64)))


def _pixels(blur: float) -> str:
    """Rounded up, so that a blur just over its bound is not written as the bound."""
    return f"{math.ceil(10 * blur) / 10:.1f}"


def _sharpness(blur: float) -> str:
    return "sharp" if blur <= BLUR_LEAST_PX else "soft" if blur <= 2.5 else "blurred"


def _towards(a: float, b: float) -> str:
    """The direction of a tint in words; nothing where there is none to be seen."""
    if math.hypot(a, b) < 2:
        return ""
    hues = ("magenta", "orange", "yellow", "green", "green", "cyan", "blue", "purple")
    return f" towards {hues[round(math.degrees(math.atan2(b, a)) / 45) % 8]}"
