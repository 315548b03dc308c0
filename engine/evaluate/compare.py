"""`faststyle` beside its teacher, Gatys' method and plain colour transfer: style, structure and time on held-out pairs.

Used by `python -m engine.evaluate faststyle`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.contract.style import StyleRequest
from engine.models import colour, faststyle, gatys, gaussian
from engine.models.srgb import luma
from engine.models.style_loss import Style
from engine.train import data
from engine.train.microast import MicroAst
from engine.train.recipes.faststyle import BACKBONE, DEPTH
from engine.weights import Network

PAIRS = 64
PHOTO_PX, STYLE_PX = 320, 384


@dataclass(frozen=True, eq=False)
class StylePair:
    """A photo (1, 3, H, W), sides multiples of 4, and a style picture (1, 3, h, w)."""

    photo: Tensor
    artwork: Tensor


def held_out_pairs(photos: Sequence[Path], artworks: Path, count: int = PAIRS) -> list[StylePair]:
    """Photos and artworks that no recipe has seen: each photo with the next artwork, and round again."""
    kept = [
        _pixels(picture, PHOTO_PX)
        for pack in photos
        for name, picture in data.read_pictures(pack)
        if data.is_held_out(name) and min(picture.size) >= 256
    ]
    styles = [_pixels(picture, STYLE_PX) for name, picture in data.read_pictures(artworks) if data.is_held_out(name)]
    order = np.random.default_rng(0).permutation(len(kept))[:count]
    return [StylePair(kept[i], styles[k % len(styles)]) for k, i in enumerate(order)]


def _pixels(picture: object, longer_px: int) -> Tensor:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    scale = longer_px / max(picture.size)
    width, height = (max(64, round(side * scale / 4) * 4) for side in picture.size)
    small = np.array(picture.resize((width, height), Image.Resampling.LANCZOS))
    return torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255


def methods(
    network: Network, features: Network, teacher: MicroAst, *, steps: int = 60
) -> dict[str, Callable[[StylePair], Tensor]]:
    """Each method by its name: a pair in, the painted photo out."""

    def ours(pair: StylePair) -> Tensor:
        style = gatys.measure(features.module, BACKBONE, pair.artwork)
        return painted(network, pair.photo, style)

    def tidy(pair: StylePair) -> Tensor:
        style = gatys.measure(features.module, BACKBONE, pair.artwork)
        return painted(network, pair.photo, style, strokes=StyleRequest.strokes)

    def optimised(pair: StylePair) -> Tensor:
        style = gatys.measure(features.module, BACKBONE, pair.artwork)
        *_, last = gatys.paint(features.module, BACKBONE, pair.photo, style, steps=steps)
        return last.picture.detach()

    return {
        "the photo": lambda pair: pair.photo,
        "Reinhard": lambda pair: colour.reinhard(pair.photo, pair.artwork).apply(pair.photo),
        "MicroAST": lambda pair: teacher(pair.photo, pair.artwork),
        "faststyle": ours,
        f"faststyle with {StyleRequest.strokes:g} of its strokes": tidy,
        "Gatys": optimised,
    }


@dataclass(frozen=True)
class Effort:
    """What an optimisation took. steps, of all scales; work: pixels that went through the network with gradients, in
    all passes together; seconds of the processor; loss at its end."""

    steps: int
    work: int
    seconds: float
    loss: float


def effort(
    features: Network,
    pair: StylePair,
    *,
    begin: Callable[[], Tensor] | None = None,
    goal: float = float("-inf"),
    steps: int = 80,
    **options: str,
) -> Effort:
    """Run Gatys' method on a pair until the loss at the finest scale is at most `goal`, or to its end.

    begin: paints what it starts from; the photo's own colours moved where it is not given. options: of `gatys.paint`.
    """
    work = 0

    def counting(x: Tensor, depth: int) -> list[Tensor]:
        nonlocal work
        work += x.shape[2] * x.shape[3] if torch.is_grad_enabled() else 0
        found: list[Tensor] = features.module(x, depth)
        return found

    style = gatys.measure(features.module, BACKBONE, pair.artwork)
    started = time.process_time()
    start = begin() if begin else None
    for step in gatys.paint(counting, BACKBONE, pair.photo, style, steps=steps, start=start, **options):  # type: ignore[arg-type]
        if step.done > step.total - steps and step.loss <= goal:
            break
    return Effort(step.done, work, time.process_time() - started, step.loss)


@dataclass(frozen=True)
class Saved:
    """What is needed from `faststyle`'s painting to the loss that the full run from the photo ends with, as shares of
    what that run took; reached: pairs that got there at all.
    """

    steps: float
    work: float
    seconds: float
    reached: int


def saved(
    network: Network, features: Network, pairs: Sequence[StylePair], *, optimizer: str = "adam", steps: int = 80
) -> Saved:
    """From the photo by Adam, `steps` at each scale; from the painting by `optimizer`, at most twice as many at its one
    scale, which count in full where the loss is not reached.
    """
    whole, begun = [], []
    for pair in pairs:
        style = gatys.measure(features.module, BACKBONE, pair.artwork)
        whole.append(effort(features, pair, steps=steps))

        def begin(pair: StylePair = pair, style: Style = style) -> Tensor:
            return painted(network, pair.photo, style)

        begun.append(effort(features, pair, begin=begin, goal=whole[-1].loss, steps=2 * steps, optimizer=optimizer))

    def share(what: Callable[[Effort], float]) -> float:
        return sum(map(what, begun)) / sum(map(what, whole))

    reached = sum(b.loss <= w.loss for b, w in zip(begun, whole, strict=True))
    return Saved(share(lambda e: e.steps), share(lambda e: e.work), share(lambda e: e.seconds), reached)


def painted(network: Network, photo: Tensor, style: Style, seed: int = 0, strokes: float = 1.0) -> Tensor:
    """`photo` (1, 3, H, W) through `faststyle` in one piece,
    in a margin as a request of that many `strokes` paints it.
    """
    start, (top, left) = gatys.framed(gaussian.recoloured(photo, style.colour), 4)
    noise = torch.randn(
        1,
        faststyle.NOISE_CHANNELS,
        start.shape[2] // 4,
        start.shape[3] // 4,
        generator=torch.Generator().manual_seed(seed),
    )
    return network(start, faststyle.embedding(style), strokes * noise)[
        :, :, top : top + photo.shape[2], left : left + photo.shape[3]
    ]


@dataclass(frozen=True)
class Score:
    """Means over the pairs. style: Bures distance on `features` relative to the style's energy; patches: sliced
    Wasserstein distance of 7x7 patches x 1000; ssim: of luma to the photo; seconds of the processor for one pair."""

    style: float
    patches: float
    ssim: float
    seconds: float


def score(method: Callable[[StylePair], Tensor], pairs: Sequence[StylePair], features: Network) -> Score:
    """Run a method on all pairs."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    def ssim(a: Tensor, b: Tensor, data_range: float) -> Tensor:
        found = structural_similarity_index_measure(a, b, data_range=data_range)
        return found if isinstance(found, Tensor) else found[0]

    rows, spent = [], 0.0
    for pair in pairs:
        started = time.process_time()
        with torch.no_grad():
            made = method(pair).clamp(0, 1)
        spent += time.process_time() - started
        ours, photo = luma(made).clamp(0, 1), luma(pair.photo).clamp(0, 1)
        alike = float(ssim(ours, photo, data_range=1.0))
        rows.append([style_distance(features, made, pair.artwork), patch_distance(made, pair.artwork), alike])
    style, patches, alike = np.mean(rows, 0).tolist()
    return Score(style, patches, alike, spent / len(pairs))


@torch.no_grad()
def style_distance(features: Network, made: Tensor, artwork: Tensor) -> float:
    """Squared 2-Wasserstein (Bures) distance of the activations' Gaussians over the style's energy, mean of four
    layers.
    """
    total = 0.0
    for ours, theirs in zip(features.module(made, DEPTH), features.module(artwork, DEPTH), strict=True):
        a, b = gaussian.moments(ours), gaussian.moments(theirs)
        energy = float(b.mean.square().sum() + b.covariance.trace())
        total += (
            float(
                gaussian.wasserstein(
                    a.mean.double(), a.covariance.double(), b.mean.double(), gaussian.root(b.covariance)
                )
            )
            / energy
        )
    return total / DEPTH


def patch_distance(
    made: Tensor, artwork: Tensor, *, size: int = 7, projections: int = 64, count: int = 4096, scales: int = 3
) -> float:
    """Sliced Wasserstein distance of size x size patches (Elnekave & Weiss 2022), mean over scales of one half,
    x 1000.
    """
    rng = torch.Generator().manual_seed(0)
    total = 0.0
    for scale in range(scales):
        sides = [F.avg_pool2d(x, 2**scale) if scale else x for x in (made, artwork)]
        directions = torch.randn(3 * size * size, projections, generator=rng)
        directions = directions / directions.norm(dim=0)
        clouds = []
        for x in sides:
            patches = F.unfold(x, size)[0].T
            clouds.append((patches[torch.randint(len(patches), (count,), generator=rng)] @ directions).sort(0).values)
        total += float((clouds[0] - clouds[1]).square().mean())
    return 1000 * total / scales


def times_at(
    size_px: int, network: Network, features: Network, teacher: MicroAst, rounds: int = 3
) -> Iterator[tuple[str, float]]:
    """Seconds for one picture of size_px squared, the style already known; the best of some rounds, in turn, channels-
    last.
    """
    photo = torch.rand(1, 3, size_px, size_px).contiguous(memory_format=torch.channels_last)
    artwork = torch.rand(1, 3, STYLE_PX, STYLE_PX).contiguous(memory_format=torch.channels_last)
    style = gatys.measure(features.module, BACKBONE, artwork)
    runs: dict[str, Callable[[], object]] = {
        "faststyle": lambda: painted(network, photo, style),
        "MicroAST": lambda: teacher(photo, artwork),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            with torch.inference_mode():
                run()
            best[name] = min(best[name], time.perf_counter() - started)
    yield from best.items()
