"""`auto`: what is measured of photos that were spoiled by a known amount, and that clean photos are left alone."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, mean, psnr

if TYPE_CHECKING:
    from torch import Tensor

    from engine.enhance.auto import Proposal
    from engine.weights import Network

CLEAN, SPOILED = 50, 24  # held-out photos
LEAST_PX = 200  # of both sides
UNSEEN_DB = 42.0
NEAR_NOISE, NEAR_QUALITY, NEAR_BLUR, NEAR_CAST = 0.2, 10, 0.2, 3.0


def measure(sources: Sources) -> Iterator[Row]:
    """Estimators on held-out photos that are scaled down to be clean, then the whole of Auto on more of them."""
    photos = _photos(sources, CLEAN)
    few = photos[:: max(1, len(photos) // SPOILED)][:SPOILED]
    yield from _noise(few)
    yield from _quality(few)
    yield from _blur(few)
    yield from _shake(few)
    yield from _light(few)
    yield from _tint(few)
    yield from _left_alone(photos)


def _photos(sources: Sources, count: int) -> list[Tensor]:
    """Held-out photos (1, 3, H, W) in [0, 1] in 8 bits, spread over all."""
    import numpy as np

    pictures = sources.photos()
    _, held_out = pictures.split(LEAST_PX)
    chosen = np.linspace(0, len(held_out) - 1, min(count, len(held_out))).round().astype(int)
    return [pictures[held_out[k]][None].float() / 255 for k in chosen]


def _noise(photos: Sequence[Tensor]) -> Iterator[Row]:
    import numpy as np

    from engine.models import estimate
    from engine.train.degrade import gaussian_noise

    rng = np.random.default_rng(0)
    for sigma in (5, 10, 20, 40):
        found = [estimate.noise_sigma(estimate.tiles(_saved(gaussian_noise(x, sigma, rng)))) for x in photos]
        yield _share(
            photos,
            f"noise of sigma {sigma} found within 20 % (% of them)",
            [abs(f / sigma - 1) <= NEAR_NOISE for f in found],
            f"noise {sigma} %",
        )
        yield Row(
            _said(photos), f"noise of sigma {sigma}, middle of what was found", _middle(found), sigma, "what it is"
        )


def _quality(photos: Sequence[Tensor]) -> Iterator[Row]:
    from engine.models import estimate
    from engine.train.degrade import jpeg

    for quality in (20, 40, 60, 80, 90):
        found = [estimate.jpeg_quality(estimate.tiles(jpeg(x[0], quality)[None])) for x in photos]
        near = [f is not None and abs(f - quality) <= NEAR_QUALITY for f in found]
        yield _share(photos, f"JPEG of quality {quality} found within 10 (% of them)", near, f"JPEG {quality} %")


def _blur(photos: Sequence[Tensor]) -> Iterator[Row]:
    """The spread of edges adds in squares: what is expected is the photo's own, and the blur."""
    from engine.enhance.auto import BLUR_LEAST_PX
    from engine.evaluate.filters import gaussian_filter
    from engine.models import estimate

    own = [estimate.blur_sigma(estimate.tiles(x)) for x in photos]
    for sigma in (1.5, 2.5):
        seen = [(x, b) for x, b in zip(photos, own, strict=True) if b is not None]
        found = [
            (estimate.blur_sigma(estimate.tiles(_saved(gaussian_filter(x, sigma)))), math.hypot(b, sigma))
            for x, b in seen
        ]
        near = [f is not None and abs(f / expected - 1) <= NEAR_BLUR for f, expected in found]
        yield _share(
            [x for x, _ in seen], f"blur of sigma {sigma} found within 20 % (% of them)", near, f"blur {sigma} %"
        )
    sharp = [b is None or b <= BLUR_LEAST_PX for b in own]
    yield _share(photos, "not called blurred as they are, by their edges (% of them)", sharp)


def _shake(photos: Sequence[Tensor]) -> Iterator[Row]:
    """Whether Auto sharpens what is blurred, and not what is sharp; blurred ones have a phone's noise and JPEG."""
    import numpy as np

    from engine.train import degrade

    rng = np.random.default_rng(1)
    kinds: dict[str, Callable[[], Tensor]] = {
        "shaken by 6 px": lambda: degrade.motion_kernel(6, rng),
        "shaken by 12 px": lambda: degrade.motion_kernel(12, rng),
        "out of focus, radius 3 px": lambda: degrade.disk_kernel(3),
    }
    for said, draw in kinds.items():
        found = [_has("deblur", _saved(degrade.as_saved(degrade.blurred(x, draw()[None]), rng))) for x in photos]
        yield _share(photos, f"{said}, and sharpened by Auto (% of them)", found, f"{said.split(',')[0]} %")
    yield _share(photos, "as they are, and not sharpened by Auto (% of them)", [not _has("deblur", x) for x in photos])


def _light(photos: Sequence[Tensor]) -> Iterator[Row]:
    """Whether Auto lights what is too dark, and not what is right."""
    for stops in (0, -2, -3):
        lit = [_has("tone", _exposed(x, stops)) for x in photos]
        said = (
            f"{-stops} stops too dark, and lit by Auto (% of them)"
            if stops
            else "as they are, and not lit by Auto (% of them)"
        )
        yield _share(
            photos, said, lit if stops else [not is_lit for is_lit in lit], f"dark by {-stops} %" if stops else ""
        )


def _has(step: str, x: Tensor) -> bool:
    """Whether Auto proposes a step for a photo."""
    return any(proposed.name == step for proposed in _proposal(x).steps)


def _proposal(x: Tensor) -> Proposal:
    from engine.enhance import auto
    from engine.image import Picture
    from engine.runtime.work import finished

    return auto.propose(finished(auto.measure(Picture(x), network=_network())))


@cache
def _network() -> Network | None:
    """The network by which Auto measures blur."""
    from engine import Studio
    from engine.enhance import auto
    from engine.runtime.work import finished

    return finished(auto.finder(Studio().weights))


def _tint(photos: Sequence[Tensor]) -> Iterator[Row]:
    """The colour cast of near-neutral pixels, against what the tint made of those that are near neutral in the photo as
    it was.
    """
    import torch

    from engine.models import estimate
    from engine.models.srgb import to_lab
    from engine.models.tone import adjusted

    for temperature in (-0.4, 0.4):
        errors = []
        for x in photos:
            tinted = adjusted(x.flatten(2), torch.tensor([[0, temperature, 0, 0, 0, 0]])).view_as(x).clamp(0, 1)
            before, after = to_lab(x)[0].flatten(1), to_lab(tinted)[0].flatten(1)
            grey = (
                (torch.hypot(before[1], before[2]) < 6) & (before[0] > 20) & (tinted[0].flatten(1).amax(0) < 252 / 255)
            )
            if grey.float().mean() < 0.2:
                continue  # nothing in it is grey, so the colour of the light cannot be measured
            found, true = estimate.colour_cast(_saved(tinted)), after[1:, grey].mean(1).tolist()
            errors.append(math.hypot(found.a - true[0], found.b - true[1]))
        near = [error <= NEAR_CAST for error in errors]
        what = f"temperature {temperature:+g}: cast found within ΔE {NEAR_CAST:g} (% of them)"
        yield Row(
            f"{len(errors)} held-out photos with greys in them",
            what,
            100 * mean(near),
            100.0,
            "all",
            f"cast {temperature:+g} %",
        )


def _left_alone(photos: Sequence[Tensor]) -> Iterator[Row]:
    """The whole of Auto, from file to result, against the photo itself."""
    found = [_after_auto(x) for x in photos]
    untouched = [math.isinf(decibels) for decibels in found]
    yield _share(photos, "clean, and left as they are to the last bit by Auto (% of them)", untouched, "untouched %")
    yield _share(
        photos,
        f"clean, and at least {UNSEEN_DB:g} dB from themselves after Auto (% of them)",
        [d >= UNSEEN_DB for d in found],
        "unchanged %",
    )
    yield Row(_said(photos), "the most changed one against itself, PSNR (dB)", min(found), UNSEEN_DB, "goal")


def _after_auto(x: Tensor) -> float:
    """PSNR of a photo after Auto against itself, in dB; infinite where nothing was done.

    These small copies are rightly offered to be enlarged: that step is left out.
    """
    from engine import Studio
    from engine.contract.enhance import EnhanceRequest
    from engine.contract.events import Result
    from engine.image import Picture

    proposal = _proposal(x)
    proposal = replace(proposal, steps=tuple(step for step in proposal.steps if not step.name.startswith("upscale")))
    if not proposal.steps:
        return math.inf
    with tempfile.TemporaryDirectory() as folder:
        file = Picture(x).save(Path(folder) / "photo.png")
        *_, result = Studio().run(proposal.request(EnhanceRequest(str(file), network="embedded")))
    assert isinstance(result, Result)
    return psnr(result.pictures[0].pixels, x)


def _exposed(x: Tensor, stops: float) -> Tensor:
    """As by a shorter exposure: light is halved by each stop, in linear light, and saved in 8 bits."""
    from engine.models.srgb import from_linear, to_linear

    return _saved(from_linear(to_linear(x) * 2**stops))


def _saved(x: Tensor) -> Tensor:
    """In 8 bits."""
    return (x.clamp(0, 1) * 255).round() / 255


def _share(photos: Sequence[Tensor], what: str, held: Sequence[bool], headline: str = "") -> Row:
    return Row(_said(photos), what, 100 * mean(held), 100.0, "all", headline)


def _said(photos: Sequence[Tensor]) -> str:
    return f"{len(photos)} held-out photos"


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
