"""`python -m engine.train.search --budget MINUTES --seed N`: look for a generator, and measure what it is worth.

Constraints first: an architecture drawn at random from the space (engine/models/searched.py) is refused when it has
more than 1.2 M parameters or takes longer for a picture, measured here and now, than the generator made by hand. Then
successive halving (Jamieson & Talwalkar 2016): twelve are trained shortly as conditional autoencoders under the loss
of `vae`; the four that reconstruct unseen packshots best are trained three times as long, and of these the best two
nine times as long, under two seeds. Only then do samples mean anything: the one is found whose samples have the least
kernel distance on `features` to unseen packshots.

Beside it stand random search, which spends the same number of training steps on five architectures trained to the
full length at once, and the generator made by hand. What chooses are packshots set aside from the training set; what is
compared at the end are the held-out ones, which chose nothing. The budget is processor time of one core, so that a
busy machine searches as far as an idle one, only later. Each trial is a line of the log and a function of its
architecture, seed and steps: the same command goes on where it stopped, and ends as if it never had.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from engine.contract.errors import RequestError
from engine.models.features import Features
from engine.models.generator import Encoder, Generator
from engine.models.searched import Architecture, Searched, parse, space
from engine.runtime.device import configure
from engine.settings import ROOT
from engine.train import loop, muon, sources
from engine.train.distances import Embedding, kernel_distance
from engine.train.drawing import draw
from engine.train.loop import Average, descend, learning_rate
from engine.train.options import Parser, add_arguments, from_arguments, option
from engine.train.packshots import Packshots
from engine.train.recipes.vae import Distance, FittedRecipe, plain_latents, warmed_up
from engine.train.sources import ProductOptions

MOST_PARAMETERS = 1_200_000
HAND_MADE = "by hand"
HAND_MADE_WIDTHS = (192, 128, 64, 48)  # of engine.models.generator at 64 px: 1.0 M parameters
ENCODER_WIDTHS = (32, 64, 96, 128)  # small, as it is thrown away
RUNGS = ((12, 1), (4, 3), (2, 9))  # how many architectures, and how many times the shortest training
RANDOM_DRAWN = 5  # trained to the full length: 5 * 9 + 9 units, against 12 + 4 * 3 + 2 * 2 * 9 of halving
SEARCHES = 2  # whole searches of each kind, under seeds of their own
SEEDS = 2  # trainings of what is compared
ASIDE = 128  # packshots to choose by
SAMPLES = 256  # drawn for a kernel distance
_TRAINING = 0.85  # share of the budget; the rest goes into scores
_UNITS = SEARCHES * (sum(n * k for n, k in RUNGS[:2]) + 2 * 9 * SEEDS + 9 * RANDOM_DRAWN + 9) + 9 * SEEDS * SEARCHES


def build(what: str, categories: tuple[str, ...]) -> Generator:
    """A new generator of 64 px: by the text of its architecture, or the one made by hand."""
    return Generator(categories, widths=HAND_MADE_WIDTHS) if what == HAND_MADE else Searched(categories, parse(what))


class SearchedRecipe(FittedRecipe):
    """A generator of 64 px trained as the decoder of a conditional autoencoder; only the decoder is kept."""

    name = "searched"
    sample_every = 500

    def __init__(
        self,
        features: Features,
        packshots: Packshots,
        what: str,
        *,
        steps: int,
        batch: int = 16,
        peak: float = 1.2e-3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps, self.batch, self.peak, self.seed, self.packshots = steps, batch, peak, seed, packshots
        self.network = build(what, packshots.categories).to(memory_format=torch.channels_last)
        self.encoder = Encoder(self.network.latent_dim, packshots.size_px, ENCODER_WIDTHS).to(
            memory_format=torch.channels_last
        )
        self.average, self.encoder_average = Average(self.network, 100), Average(self.encoder, 100)
        both = torch.nn.ModuleList([self.network, self.encoder])
        self.optimizers = dict(muon.optimizers(both, peak))
        self.modules = {"both": both, "average": self.average.module, "encoder_average": self.encoder_average.module}
        self.distance = Distance(features, packshots.batch(self.rng(0), 64)[0])
        self.features, self.real = features, packshots.pictures

    def step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            learning_rate(optimizer, self.peak, step, self.steps, warm_up=min(50, self.steps // 4 + 1), hold=0.4)
        loss, logged = self.autoencode(
            self.network, self.encoder, self.rng(step), self.batch, warmed_up(0.0012, step, self.steps)
        )
        descend(loss, *self.optimizers.values())
        self.average.update(self.network, step)
        self.encoder_average.update(self.encoder, step)
        return logged

    def averages(self) -> tuple[Generator, Encoder]:
        return self.average.module, self.encoder_average.module

    @torch.no_grad()
    def reconstruction_distance(self, packshots: Packshots) -> float:
        """How far packshots come back from what they were, as the loss counts it without its KL."""
        x = packshots.pictures.float() / 255
        perceptual, pixel = self.distance(
            self.average.module(plain_latents(self.encoder_average.module, x), packshots.labels), x
        )
        return float(perceptual + 4 * pixel)


def latency_ms(network: Generator, tries: int = 10) -> float:
    """Milliseconds of processor time for one picture, the least of some: what the machine does beside counts little."""
    latent, label = torch.zeros(1, network.latent_dim), torch.zeros(1, dtype=torch.long)
    network = network.eval().to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(tries):
            started = time.thread_time()
            network(latent, label)
            times.append(time.thread_time() - started)
    return 1000 * min(times)


def parameters(network: Generator) -> int:
    return sum(p.numel() for p in network.parameters())


@dataclass(frozen=True)
class Trial:
    """One training: of what, for how many steps, under which seed, and what came of it."""

    what: str
    steps: int
    seed: int
    reconstruction: float  # distance of unseen packshots to what comes back of them
    seconds: float  # of processor time
    # After the longest trainings only:
    kernel: float = math.inf  # distance of samples to the same packshots, x 1000
    held_out: float = math.inf  # distance of samples to held-out packshots, x 1000: compared, never chosen by


class Log:
    """A file of JSON lines, each of a kind; what is in it is not done again.

    A line that was being written when it stopped is.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        whole, _, torn = file.read_text().rpartition("\n") if file.exists() else ("", "", "")
        if torn:
            file.write_text(whole + "\n" * bool(whole))
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def once(self, key: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The line that begins with `key`; made and written down where there is none."""
        for line in self.lines:
            if key.items() <= line.items():
                return line
        line = key | make()
        with self.file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        self.lines.append(line)
        return line


class Search:
    """One kind of search after another over `packshots` (64 px), written down in `log`.

    unit_steps: length of the shortest training.
    """

    def __init__(
        self, features: Features, packshots: Packshots, held_out: Packshots, log: Log, unit_steps: int
    ) -> None:
        order = torch.randperm(len(packshots.pictures), generator=torch.Generator().manual_seed(0))
        self.unseen, self.learned = (
            Packshots(packshots.pictures[i], packshots.labels[i], packshots.categories)
            for i in (order[:ASIDE], order[ASIDE:])
        )
        self.features, self.held_out, self.log, self.unit_steps = features, held_out, log, unit_steps
        self.embed = Embedding(features, self.learned.pictures[::3])
        made = log.once({"kind": "by hand"}, lambda: self._facts(build(HAND_MADE, packshots.categories)))
        self.most_ms = made["latency_ms"]

    def trial(self, what: str, length: int, seed: int) -> Trial:
        """Train and score, unless the log has it."""
        key = {"kind": "trial", "what": what, "steps": length * self.unit_steps, "seed": seed}
        line = self.log.once(key, lambda: self._trained(what, length, seed))
        return Trial(**{k: v for k, v in line.items() if k != "kind"})

    def _trained(self, what: str, length: int, seed: int) -> dict[str, float]:
        started = time.thread_time()
        recipe = SearchedRecipe(self.features, self.learned, what, steps=length * self.unit_steps, seed=seed)
        for step in range(recipe.steps):
            recipe.step(step)
        scores = {"reconstruction": recipe.reconstruction_distance(self.unseen)}
        if length == RUNGS[-1][1]:
            recipe.most_fitted = 1000
            network = recipe.fitted()
            scores |= {
                "kernel": self._distance(network, self.unseen, seed),
                "held_out": self._distance(network, self.held_out, seed),
            }
        return scores | {"seconds": round(time.thread_time() - started, 2)}

    def _distance(self, network: Generator, packshots: Packshots, seed: int) -> float:
        """Kernel distance of samples, of the categories that the packshots have, to the packshots."""
        labels = packshots.labels[torch.arange(SAMPLES) % len(packshots.labels)]
        made = draw(network, labels, 1.0, packshots.categories, seed)
        return 1000 * kernel_distance(self.embed(made), self.embed(packshots.pictures))

    def candidates(self, seed: int, count: int) -> list[str]:
        """Architectures drawn at random that keep the constraints; what was refused stands in the log, too."""
        every, rng = space(), np.random.default_rng(seed)
        found: list[str] = []
        for i in rng.permutation(len(every)):
            text = str(every[i])
            if self.refusal(every[i]) == "":
                found.append(text)
            if len(found) == count:
                break
        return found

    def refusal(self, architecture: Architecture) -> str:
        """Which constraint it breaks, or ""."""
        facts = self.log.once(
            {"kind": "candidate", "what": str(architecture)},
            lambda: self._facts(Searched(self.learned.categories, architecture)),
        )
        if facts["parameters"] > MOST_PARAMETERS:
            return "too many parameters"
        return "too slow" if facts["latency_ms"] > self.most_ms else ""

    @staticmethod
    def _facts(network: Generator) -> dict[str, Any]:
        return {"parameters": parameters(network), "latency_ms": round(latency_ms(network), 3)}

    def halving(self, seed: int) -> list[Trial]:
        """The trainings of the winner at full length."""
        (first, short), (second, middle), (third, long) = RUNGS
        rung = [self.trial(what, short, seed) for what in self.candidates(seed, first)]
        kept = [t.what for t in best(rung, second, lambda t: t.reconstruction)]
        kept = [
            t.what for t in best([self.trial(what, middle, seed) for what in kept], third, lambda t: t.reconstruction)
        ]
        last = [[self.trial(what, long, s) for s in _seeds(seed)] for what in kept]
        return min(last, key=lambda trials: statistics.fmean(t.kernel for t in trials))

    def at_random(self, seed: int) -> list[Trial]:
        """The same for as many steps without halving: all at full length, the best of one training taken."""
        drawn = self.candidates(seed + 1000, RANDOM_DRAWN)
        (won,) = best([self.trial(what, RUNGS[-1][1], seed) for what in drawn], 1, lambda t: t.kernel)
        return [self.trial(won.what, RUNGS[-1][1], s) for s in _seeds(seed)]

    def by_hand(self, seed: int) -> list[Trial]:
        return [self.trial(HAND_MADE, RUNGS[-1][1], s) for s in _seeds(seed)]


def _seeds(seed: int) -> list[int]:
    return [seed + 100 * k for k in range(SEEDS)]


def best(trials: list[Trial], count: int, score: Callable[[Trial], float]) -> list[Trial]:
    """Those with the least score, the least first."""
    return sorted(trials, key=score)[:count]


def kendall(pairs: list[tuple[float, float]]) -> float:
    """Kendall's rank correlation (tau-a): 1 where both are in the same order, -1 in the reverse; NaN of fewer than two
    pairs.
    """
    signs = [np.sign(a - c) * np.sign(b - d) for (a, b), (c, d) in itertools.combinations(pairs, 2)]
    return float(np.mean(signs)) if signs else math.nan


def unit_steps(features: Features, packshots: Packshots, budget_min: float) -> int:
    """How long the shortest training may be, by the pace of the generator made by hand."""
    recipe = SearchedRecipe(features, packshots, HAND_MADE, steps=1000)
    recipe.step(0)
    started = time.thread_time()
    for step in range(1, 5):
        recipe.step(step)
    pace = (time.thread_time() - started) / 4
    return max(1, round(_TRAINING * 60 * budget_min / pace / _UNITS))


def run(
    features: Features, packshots: Packshots, held_out: Packshots, folder: Path, *, budget_min: float, seed: int
) -> str:
    """Search, compare, plot (`search.png`) and write `report.md` into `folder`; returns the architecture that halving
    found.
    """
    log = Log(folder / "log.jsonl")
    plan = log.once(
        {"kind": "plan", "budget_min": budget_min, "seed": seed},
        lambda: {"unit_steps": unit_steps(features, packshots, budget_min)},
    )
    search = Search(features, packshots, held_out, log, plan["unit_steps"])
    results: dict[str, list[Trial]] = {"halving": [], "random search": [], HAND_MADE: []}
    for s in range(seed, seed + SEARCHES):
        for name, method in (
            ("halving", search.halving),
            ("random search", search.at_random),
            (HAND_MADE, search.by_hand),
        ):
            results[name] += method(s)
            print(
                f"search seed {s}, {name}: {results[name][-1].what}, held-out kernel distance"
                f" {results[name][-1].held_out:.4g}",
                file=sys.stderr,
                flush=True,
            )
    (folder / "report.md").write_text(report(search, results, budget_min), encoding="utf-8")
    plot(search, results).save(folder / "search.png")
    found = {
        t.what: statistics.fmean(u.kernel for u in results["halving"] if u.what == t.what) for t in results["halving"]
    }
    return min(found, key=lambda what: found[what])


def report(search: Search, results: dict[str, list[Trial]], budget_min: float) -> str:
    """What came of it, in Markdown, with the verdict that the figures allow."""
    facts = {line["what"]: line for line in search.log.lines if line["kind"] == "candidate"} | {
        HAND_MADE: next(line for line in search.log.lines if line["kind"] == "by hand")
    }
    trials = [line for line in search.log.lines if line["kind"] == "trial"]
    refused = sum(
        f["parameters"] > MOST_PARAMETERS or f["latency_ms"] > search.most_ms
        for what, f in facts.items()
        if what != HAND_MADE
    )
    lines = [
        (
            f"{len(space()):,} architectures; {len(facts) - 1} drawn, {refused} refused by the constraints (at most"
            f" {MOST_PARAMETERS / 1e6:g} M parameters and {search.most_ms:.2f} ms of one core for a picture);"
            f" {len(trials)} trainings, {sum(t['seconds'] for t in trials) / 60:.1f} minutes of one core (budget"
            f" {budget_min:g}). Trainings of {', '.join(str(k * search.unit_steps) for _, k in RUNGS)} steps of 16"
            " pictures."
        ),
        "",
        "| method | found | parameters M | ms | kernel distance to held-out packshots, mean ± sd of trainings |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in results.items():
        whats = list(dict.fromkeys(t.what for t in found))
        sizes, paces = (
            ", ".join(f"{facts[what][key] * scale:.2f}" for what in whats)
            for key, scale in (("parameters", 1e-6), ("latency_ms", 1.0))
        )
        mean, sd = _mean_sd([t.held_out for t in found])
        lines.append(
            f"| {name} | {'; '.join(f'`{what}`' for what in whats)} | {sizes} | {paces} | {mean:.0f} ± {sd:.0f}"
            f" ({len(found)}) |"
        )
    lines += [
        "",
        f"Does a short training predict a long one? Kendall's tau between {_correlations(search)}.",
        verdict(results),
    ]
    return "\n".join(lines) + "\n"


def verdict(results: dict[str, list[Trial]]) -> str:
    """Whether what was found is better than what was made by hand by more than two standard deviations of their
    trainings.
    """
    (ours, sd), (theirs, their_sd) = (_mean_sd([t.held_out for t in results[name]]) for name in ("halving", HAND_MADE))
    most = 2 * ((sd**2 + their_sd**2) / 2) ** 0.5
    order = "better" if ours < theirs else "worse"
    said = f"In the mean, what was found is {order} than what was made by hand by {abs(ours - theirs):.0f}"
    if abs(ours - theirs) <= most:
        return f"{said}; that is within two standard deviations ({most:.0f}): no win to claim."
    return f"{said}, more than two standard deviations ({most:.0f})."


def _mean_sd(values: list[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _correlations(search: Search) -> str:
    """How well one score predicts the next, over the architectures that have both."""
    trials = [line for line in search.log.lines if line["kind"] == "trial"]
    short, middle, long = (
        {line["what"]: line for line in trials if line["steps"] == k * search.unit_steps} for _, k in RUNGS
    )
    pairs = {
        "reconstruction after the shortest and after the next": [
            (short[w]["reconstruction"], middle[w]["reconstruction"]) for w in short if w in middle
        ],
        "that and reconstruction after the longest": [
            (middle[w]["reconstruction"], long[w]["reconstruction"]) for w in middle if w in long
        ],
        "reconstruction and kernel distance after the longest": [
            (line["reconstruction"], line["kernel"]) for line in long.values()
        ],
    }
    return "; ".join(f"{said}: {kendall(both):.2f} of {len(both)}" for said, both in pairs.items())


def plot(search: Search, results: dict[str, list[Trial]], size: tuple[int, int] = (960, 420)) -> Image.Image:
    """Left: every training's reconstruction over its steps, a line for each architecture; right: what is compared, mean
    and sd.
    """
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    bottom = size[1] - 40
    trials = [line for line in search.log.lines if line["kind"] == "trial"]
    y = _axis([line["reconstruction"] for line in trials], bottom)
    columns = {k * search.unit_steps: 70 + 190 * i for i, (_, k) in enumerate(RUNGS)}
    for steps, x in columns.items():
        pen.text((x - 20, bottom + 16), f"{steps} steps", fill="black")
    for what in dict.fromkeys(line["what"] for line in trials):
        points = sorted((columns[line["steps"]], y(line["reconstruction"])) for line in trials if line["what"] == what)
        colour = "#d62728" if what == HAND_MADE else "#1f77b4"
        pen.line(points if len(points) > 1 else points * 2, fill=colour, width=1)
        for px, py in points:
            pen.ellipse((px - 3, py - 3, px + 3, py + 3), fill=colour)
    pen.text((20, 8), "reconstruction distance to packshots set aside; red: made by hand", fill="black")
    y = _axis([t.held_out for found in results.values() for t in found], bottom)
    for i, (name, found) in enumerate(results.items()):
        x, (mean, sd) = 620 + 120 * i, _mean_sd([t.held_out for t in found])
        pen.line((x, y(mean - sd), x, y(mean + sd)), fill="black", width=2)
        pen.line((x - 16, y(mean), x + 16, y(mean)), fill="black", width=3)
        for t in found:
            pen.ellipse((x + 20, y(t.held_out) - 3, x + 26, y(t.held_out) + 3), fill="#2ca02c")
        pen.text((x - 30, bottom + 16), name, fill="black")
        pen.text((x - 30, 26), f"{mean:.0f} ± {sd:.0f}", fill="black")
    pen.text((560, 8), "kernel distance of samples to held-out packshots, mean and sd", fill="black")
    return page


def _axis(values: list[float], bottom: float, top: float = 60) -> Callable[[float], float]:
    """Where a value stands, in px: the least at the bottom, the most at the top."""
    low, high = min(values), max(values)
    return lambda value: bottom - (value - low) / ((high - low) or 1) * (bottom - top)


@dataclass(frozen=True)
class SearchOptions(ProductOptions):
    """The options of a search. steps: of the training of what was found."""

    steps: int = option(1500, "optimisation steps of what was found, trained for longer")
    budget: float = option(40.0, "minutes of one core's time for the search", source=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m engine.train.search`: search, then train what was found; both go on where they stopped."""
    parser = Parser(prog="python -m engine.train.search", allow_abbrev=False)
    add_arguments(parser, SearchOptions())
    try:
        options = from_arguments(parser.parse_args(arguments), SearchOptions())
        options.check()
        if not 0 < options.budget < math.inf:
            raise RequestError(f"--budget must be a number above 0, not {options.budget}.")
        _search(options)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _search(options: SearchOptions) -> None:
    configure()
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads or 1)  # the processor time of the budget is that of one thread
    shown, held_out = sources.packshots(options, "search", 64)
    if len(shown.pictures) < 2 * ASIDE:
        raise RequestError(
            f"A search sets {ASIDE} pictures aside to choose by, "
            f"so it needs at least {2 * ASIDE}, not {len(shown.pictures)}."
        )
    features = sources.own_features()
    found = run(features, shown, held_out, options.runs / "search", budget_min=options.budget, seed=options.seed)
    recipe = SearchedRecipe(features, shown, found, steps=options.steps, seed=options.seed)
    loop.place(recipe, options.device, options.precision)
    loop.report(recipe, loop.train(recipe, options.runs / recipe.name, stop_at=options.stop_at))
    if options.install:
        shutil.copy(options.runs / recipe.name / f"{recipe.name}.safetensors", ROOT / "weights")


if __name__ == "__main__":
    sys.exit(main())
