"""The command: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from engine.device import configure
from engine.evaluate import cards
from engine.evaluate.faststyle import by_method
from engine.evaluate.measures import Row, Sources, load
from engine.request import RequestError
from engine.settings import ROOT
from engine.weights import TABLE, record

configure()

# name -> the module of this package that measures it
MEASURES = {
    "features": "features",
    "faststyle": "faststyle",
    "restore": "restore",
    "upscale-x2": "upscale",
    "upscale-x4": "upscale",
    "categories": "categories",
    "tone": "tone",
    "sketch": "sketch",
}
GENERATORS = tuple(row.name for row in TABLE if row.embedded and row.task == "generate")


def _evaluate(name: str, sources: Sources, *, write: bool) -> None:
    network = load(name)
    rows: list[Row] = list(import_module(f"engine.evaluate.{MEASURES[name]}").measure(network, sources))
    print(f"{name}\n{cards.table(rows)}\n")
    if not write:
        return
    if name == "faststyle":
        record(name, methods=by_method(rows))
    told = [r for r in rows if r.headline]
    cards.write(network, cards.table(rows), {r.headline: r.ours for r in told}, {r.headline: f"{r.against} {r.baseline:.4g}" for r in told})


def _evaluate_generators(names: Sequence[str], sources: Sources, nearest: Path, *, write: bool) -> None:
    """All of one table, so against one reference, which takes most of the time."""
    from engine import Studio
    from engine.train import generation

    reference = generation.Reference(sources.folder, sources.cache, load("features").module, load("categories").module)
    studio = Studio()
    for name in names:
        network = load(name)
        measured = generation.measure(network, reference, studio)
        nearest.mkdir(parents=True, exist_ok=True)
        measured.beside.save(nearest / f"{name}.png")
        print(f"{name}\n{generation.table(measured)}\n")
        if write:
            ours, real = measured.drawn, measured.baselines[generation.REAL]
            told = {k: v for k, v in ours.items() if k in ("kernel distance", "category %")}
            cards.write(network, generation.table(measured), told, {k: f"{generation.REAL} {real[k]:.4g}" for k in told})
            record(name, generation=measured.facts())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m engine.evaluate", description="Measure our networks on stated data, beside their baselines.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*MEASURES, *GENERATORS))}; all if none is given")
    parser.add_argument("--data", type=Path, required=True, help="folder of benchmarks.tar and of the training packs")
    parser.add_argument("--teacher", type=Path, help="safetensors that features was distilled from")
    parser.add_argument(
        "--pictures", type=Path, default=ROOT / "runs", help="folder for packed pictures and, in nearest/, samples beside their nearest training pictures"
    )
    parser.add_argument("--no-write", action="store_true", help="print only; leave cards and index as they are")
    args = parser.parse_args(arguments)
    try:
        if unknown := [name for name in args.names if name not in (*MEASURES, *GENERATORS)]:
            raise RequestError(f"There is no measure of {unknown[0]}; there is {', '.join((*MEASURES, *GENERATORS))}.")
        names = args.names or [*MEASURES, *GENERATORS]
        sources = Sources(args.data, args.pictures / "cache", args.teacher)
        for name in (name for name in names if name in MEASURES):
            _evaluate(name, sources, write=not args.no_write)
        if generators := [name for name in names if name in GENERATORS]:
            _evaluate_generators(generators, sources, args.pictures / "nearest", write=not args.no_write)
        return 0
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
