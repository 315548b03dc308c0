"""What every family of generators is measured by: one table against held-out packshots.

All that is drawn is brought to 64 px and looked at through `features`. Beside a network stand other packshots, which
no generator can be nearer than, and packshots with their pixels shuffled: the right colours and no shape at all.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from engine.contract.errors import RequestError
from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.evaluate import inception
from engine.models import edges
from engine.models.categories import Categories
from engine.models.features import Features
from engine.train import distances
from engine.train.drawing import draw
from engine.train.packshots import SQUASHED, Products, read_products
from engine.train.recipes.categories import called

if TYPE_CHECKING:
    from engine.weights import Network, Weights

Scores = dict[str, float]

ROUNDS = 4  # as many times as there are held-out packshots is drawn, of the same categories
REAL, SHUFFLED = "other packshots", "shuffled pixels"
SHOWN = 16  # samples beside their nearest training pictures
BESIDE = (
    f"`python -m engine.evaluate NAME --data DIR` also writes runs/nearest/NAME.png: {SHOWN} samples, each beside its"
    " nearest training picture. Those are photographs of others, so the sheet is not here."
)

# How each measure is called on a card. The short name is the table's of all families.
MEASURES = {
    "kernel distance": "kernel distance on `features` x 1000 (not KID), less is better",
    "Frechet distance": "Fréchet distance on 64 axes of `features` (not FID), less is better",
    "precision": "precision: share of them that lies among the packshots",
    "recall": "recall: share of packshots that lies among them",
    "category %": "category, as `categories` calls it (%)",
    "diversity %": "mean distance of two of them, as % of two held-out packshots'",
    "nearest": "distance to the nearest training picture, median, as a multiple of held-out packshots'",
    "copies %": "nearer to a training picture than 99 % of held-out packshots are (%)",
}
PARAMETERS, ONE, WALL = "parameters M", "time x dcgan", "36 at 128 px x dcgan"
COSTS = {  # measured by engine/evaluate/costs.py
    PARAMETERS: "parameters (millions)",
    ONE: "time of the network for one picture, as a multiple of `dcgan`'s",
    WALL: "time of 36 pictures at 128 px, from request to result, as a multiple of `dcgan`'s",
}
LINES = (
    "It is given the lines of the held-out packshots and each one's category, and draws them in palettes of its own"
    " choice. So it is as varied as they are, and recall and diversity are left out; in all else, too, it comes nearer"
    " to them than a generator that starts from nothing can."
)
_GIVEN = ("recall", "diversity %")  # what the lines of held-out packshots already hold


class Reference:
    """Packshots to measure against: those held out, and those that generators have learned from.

    cache: folder for packed pictures. RequestError when `folder` has no packshots.tar and packshots.csv.
    """

    def __init__(
        self,
        folder: Path,
        cache: Path,
        features: Features,
        classifier: Categories,
        categories: tuple[str, ...] = CATEGORIES,
    ) -> None:
        self._sources, self._table, self._cache = [folder / "packshots.tar"], folder / "packshots.csv", cache
        if not (self._sources[0].exists() and self._table.exists()):
            raise RequestError(f"{folder} has no packshots.tar and packshots.csv.")
        self.categories, self.classifier = categories, classifier
        read = [self._read(distances.SEEN_PX, held_out=out) for out in (False, True)]
        (self.shown, shown_labels), (self.held_out, self.labels) = (
            (part.pictures, part.labels(categories)) for part in read
        )
        self._embed = distances.Embedding(features, self.shown)
        self._shown, self._held_out = self._embed(self.shown), self._embed(self.held_out)
        self._axes = distances.principal_axes(self._shown)
        self._own = distances.nearest(self._held_out, self._shown)[0]  # how near a picture comes that copies nothing
        self.wanted = self.labels.repeat(ROUNDS)
        self.baselines = self._baselines(shown_labels)

    def _read(self, size_px: int, *, held_out: bool) -> Products:
        return read_products(
            self._sources, self._table, self._cache, size_px=size_px, stretch=SQUASHED, held_out=held_out
        ).of(self.categories)

    def lines(self, size_px: int) -> Tensor:
        """The lines (N, 1, S, S) of the held-out packshots, once for each of `wanted`."""
        pictures = self._read(size_px, held_out=True).pictures
        return torch.cat([edges.from_photo(part.float() / 255) for part in pictures.split(32)]).repeat(ROUNDS, 1, 1, 1)

    def scores(self, pictures: Tensor, labels: Tensor | None = None) -> Scores:
        """Every measure of pictures (N, 3, H, W) drawn for `wanted`; labels: their categories, None if they have none
        to keep to.
        """
        return self._compared(self._embed(pictures)) | (
            {} if labels is None else {"category %": self._in_category(pictures, labels)}
        )

    def _in_category(self, pictures: Tensor, labels: Tensor) -> float:
        return 100 * float(
            (called(self.classifier, distances.at_size(pictures, distances.SEEN_PX)) == labels).float().mean()
        )

    def _compared(self, made: Tensor) -> Scores:
        axes, real = made @ self._axes, self._held_out @ self._axes
        rounds = [distances.precision_recall(part, real) for part in axes.split(len(real)) if len(part) == len(real)]
        near = distances.nearest(made, self._shown)[0]
        return {
            "kernel distance": 1000 * distances.kernel_distance(made, self._held_out),
            "Frechet distance": distances.frechet_distance(axes, real),
            "precision": statistics.fmean(p for p, _ in rounds),
            "recall": statistics.fmean(r for _, r in rounds),
            "diversity %": 100 * distances.diversity(axes[: len(real)]) / distances.diversity(real),
            "nearest": float(near.median() / self._own.median()),
            "copies %": 100 * float((near < self._own.quantile(0.01)).float().mean()),
        }

    def _baselines(self, shown_labels: Tensor) -> dict[str, Scores]:
        """Scores of training pictures in the place of drawn ones, and of the same with their pixels shuffled."""
        rng = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self.shown), generator=rng)
        queues = {c: order[shown_labels[order] == c].tolist() for c in self.labels.unique().tolist()}
        if missing := [self.categories[c] for c, queue in queues.items() if not queue]:
            raise RequestError(f"All packshots of {missing[0]} are held out; there is none to learn from.")
        seen: dict[int, int] = dict.fromkeys(queues, 0)
        chosen = []
        for c in self.wanted.tolist():
            chosen.append(queues[c][seen[c] % len(queues[c])])
            seen[c] += 1
        other = self.shown[chosen]
        places = torch.stack([torch.randperm(other[0, 0].numel(), generator=rng) for _ in other])
        shuffled = other.flatten(2).gather(2, places[:, None].expand(-1, 3, -1)).view_as(other)
        # Training pictures are their own nearest: here the held-out ones stand for pictures that copy nothing.
        real = self._compared(self._shown[chosen]) | {
            "nearest": 1.0,
            "copies %": 1.0,
            "category %": self._in_category(self.held_out, self.labels),
        }
        return {REAL: real, SHUFFLED: self.scores(shuffled, self.wanted)}

    def nearest(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The training pictures (N, 3, S, S) nearest to pictures, and how far as a multiple of held-out packshots'
        median.
        """
        distance, which = distances.nearest(self._embed(pictures), self._shown)
        return self.shown[which].float() / 255, distance / self._own.median()


@dataclass(frozen=True)
class Measured:
    """drawn: as the tab draws, untruncated: at truncation 1; beside: samples and their nearest training pictures.

    inception: the figures of the Hub's Inception for what the tab draws, or nothing, and the reason in `without`.
    """

    drawn: Scores
    untruncated: Scores
    baselines: Mapping[str, Scores]
    beside: Image.Image
    inception: Scores
    without: str

    def facts(self, costs: Scores) -> dict[str, Any]:
        """The figures for the index, with what the network costs."""
        return {
            "drawn": _rounded(self.drawn | costs | self.inception),
            "untruncated": _rounded(self.untruncated),
            "baselines": {what: _rounded(scores) for what, scores in self.baselines.items()},
            "without": self.without,
        }


def measure(network: Network, reference: Reference, weights: Weights) -> Measured:
    """Everything that is measured of the pictures of a generator: as the tab draws and untruncated, next to the
    baselines.
    """
    truncation, sketches = GenerateRequest().truncation, network.weight.task == "sketch"
    if sketches:
        lines = reference.lines(network.module.size_px)
        drawn, untruncated = (
            draw_lines(network.module, lines, reference.wanted, t, reference.categories) for t in (truncation, 1.0)
        )
    else:
        drawn, untruncated = (
            draw(network.module, reference.wanted, t, reference.categories) for t in (truncation, 1.0)
        )
    labels = reference.wanted if network.module.categories else None
    figures, without = inception.measure(drawn, reference.held_out, weights)
    samples = drawn[torch.linspace(0, len(reference.labels) - 1, SHOWN).long()]
    scores = [
        {k: v for k, v in reference.scores(x, labels).items() if not (sketches and k in _GIVEN)}
        for x in (drawn, untruncated)
    ]
    said = " ".join(filter(None, (LINES if sketches else "", without)))
    return Measured(
        scores[0], scores[1], reference.baselines, sheet(samples, *reference.nearest(samples)), figures, said
    )


@torch.inference_mode()
def draw_lines(
    sketch: Any,
    lines: Tensor,
    labels: Tensor,
    truncation: float,
    categories: tuple[str, ...] = CATEGORIES,
    seed: int = 0,
) -> Tensor:
    """A picture (N, 3, S, S) in [0, 1] from each of lines (N, 1, S, S), of the category of its label (N,), in a palette
    by chance.
    """
    rng = torch.Generator().manual_seed(seed)
    known = tuple(sketch.categories)
    parts = []
    for some, part in zip(lines.split(32), labels.split(32), strict=True):
        names = [categories[c] for c in part.tolist()]
        latents = torch.cat([sketch.sample_latents(name, 1, truncation, rng) for name in names])
        parts.append(sketch(some, latents, torch.tensor([known.index(name) for name in names])).clamp(0, 1))
    return torch.cat(parts)


def sheet(samples: Tensor, near: Tensor, distance: Tensor, columns: int = 4) -> Image.Image:
    """Samples (N, 3, H, W), to the right of each the nearest training picture and below both how far that is."""
    side, line = 96, 14
    rows = -(-len(samples) // columns)
    page = Image.new("RGB", (columns * (2 * side + 12), rows * (side + line + 6)), "white")
    pen = ImageDraw.Draw(page)
    for i, (ours, theirs) in enumerate(
        zip(distances.at_size(samples, side), distances.at_size(near, side), strict=True)
    ):
        x, y = i % columns * (2 * side + 12) + 6, i // columns * (side + line + 6)
        for k, picture in enumerate((ours, theirs)):
            page.paste(Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()), (x + k * side, y))
        pen.text((x + 4, y + side), f"{float(distance[i]):.2f}", fill="black")
    return page


def table(facts: Mapping[str, Any]) -> str:
    """Markdown for the card of a network, by the index."""
    drawn, baselines = facts["drawn"], facts["baselines"]
    columns = {
        f"as the tab draws (truncation {GenerateRequest().truncation:g})": drawn,
        "untruncated": facts["untruncated"],
        **baselines,
    }
    lines = [f"| measure | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    lines += [
        f"| {said} | {' | '.join(_figure(scores.get(name)) for scores in columns.values())} |"
        for name, said in MEASURES.items()
    ]
    alone = {COSTS.get(name, name): figure for name, figure in drawn.items() if name not in MEASURES}
    lines += [f"| {said} | {_figure(figure)} |{' |' * (len(columns) - 1)}" for said, figure in alone.items()]
    return "\n".join(lines + [f"\n{said}" for said in (BESIDE, facts.get("without", "")) if said])


def _rounded(scores: Scores) -> Scores:
    return {name: float(f"{value:.4g}") for name, value in scores.items()}


def _figure(value: float | None) -> str:
    return "not applicable" if value is None else f"{value:.4g}"
