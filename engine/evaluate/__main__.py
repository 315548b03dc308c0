"""The command: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.evaluate import cards, enhance
from engine.evaluate.measures import Row, Sources, load
from engine.evaluate.networks.faststyle import by_method
from engine.runtime.device import configure
from engine.settings import ROOT
from engine.weights import TABLE
from engine.weights.index import METHODS, read_index, record

configure()

if TYPE_CHECKING:
    from engine.weights import Network

# name -> the module in engine/evaluate/networks that measures it
MEASURES = {
    "features": "features",
    "faststyle": "faststyle",
    "restore": "restore",
    "upscale-x2": "upscale",
    "upscale-x4": "upscale",
    "upscale-x4-crisp": "crisp",
    "categories": "categories",
    "tone": "tone",
    "deblur": "deblur",
    "inpaint": "inpaint",
    "matte": "matte",
    "sketch": "sketch",
    "discriminator": "discriminator",
}
GENERATORS = tuple(row.name for row in TABLE if row.embedded and row.task == "generate")
# "enhance" is the Hub's networks of all steps of Enhance.
DRAWING = (*GENERATORS, "sketch")  # all of the one table
# "costs" is what all of them cost.
KNOWN = (
    *(name for name in MEASURES if any(row.name == name for row in TABLE)),
    *METHODS,
    "enhance",
    *GENERATORS,
    "costs",
)


def _measure(name: str, network: Network, sources: Sources) -> Iterator[Row]:
    found: Iterator[Row] = import_module(f"engine.evaluate.networks.{MEASURES[name]}").measure(network, sources)
    return found


def _evaluate(name: str, sources: Sources, *, write: bool) -> None:
    network = load(name)
    rows = list(_measure(name, network, sources))
    print(f"{name}\n{cards.table(rows)}\n")
    if not write:
        return
    if name == "faststyle":
        record(name, methods=by_method(rows))
    cards.write(network, cards.table(rows), *cards.headlines(rows))


def _evaluate_method(name: str, sources: Sources, *, write: bool) -> None:
    """A method without a file of weights, whose card lies in docs/."""
    rows: list[Row] = list(import_module(f"engine.evaluate.networks.{name}").measure(sources))
    print(f"{name}\n{cards.table(rows)}\n")
    if write:
        cards.write_card(ROOT / "docs" / f"{name}.md", cards.table(rows))
        cards.note(name, *cards.headlines(rows))


def _evaluate_hub(sources: Sources, *, write: bool) -> None:
    """The Hub's networks on what ours of the same step were measured on."""
    for name, figures in enhance.from_the_hub({name: partial(_measure, name) for name in MEASURES}, sources):
        print(f"{name}: {', '.join(f'{what} {figure:.4g}' for what, figure in figures.items())}")
        if write:
            record(name, measured={what: round(figure, 3) for what, figure in figures.items()})


def _evaluate_generators(names: Sequence[str], sources: Sources, nearest: Path, *, write: bool) -> None:
    """All of one table, so against one reference, which takes most of the time.

    What a network costs stays as it was measured.
    """
    from engine import Studio
    from engine.evaluate import generation

    reference = generation.Reference(sources.folder, sources.cache, load("features").module, load("categories").module)
    weights = Studio().weights
    for name in names:
        network = load(name)
        measured = generation.measure(network, reference, weights)
        nearest.mkdir(parents=True, exist_ok=True)
        measured.beside.save(nearest / f"{name}.png")
        before = read_index().get(name, {}).get("generation", {}).get("drawn", {})
        facts = measured.facts({what: before[what] for what in generation.COSTS if what in before})
        print(f"{name}\n{generation.table(facts)}\n")
        if not write:
            continue
        record(name, generation=facts)
        if name in GENERATORS:
            ours, real = measured.drawn, measured.baselines[generation.REAL]
            named = {k: v for k, v in ours.items() if k in ("kernel distance", "category %")}
            cards.write(network, generation.table(facts), named, {k: f"{generation.REAL} {real[k]:.4g}" for k in named})
        else:
            _write_drawn(name, generation.table(facts))


def _evaluate_costs(*, write: bool) -> None:
    """Of all generators in one run, in turn."""
    from engine import Studio
    from engine.evaluate import costs, generation

    for name, figures in costs.measure([load(name) for name in DRAWING], Studio()).items():
        print(f"{name}: {', '.join(f'{what} {figure:.4g}' for what, figure in figures.items())}")
        facts = read_index().get(name, {}).get("generation")
        if write and facts:
            facts["drawn"] |= {what: float(f"{figure:.3g}") for what, figure in figures.items()}
            record(name, generation=facts)
            _write_drawn(name, generation.table(facts))


def _write_drawn(name: str, table: str) -> None:
    """Into the card; that of `sketch` has a table of its own as well."""
    cards.write_card(ROOT / "weights" / f"{name}.md", table, mark="measured" if name in GENERATORS else "drawn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one sentence on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.evaluate", description="Measure our networks on stated data, beside their baselines."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)}; all if none is given")
    parser.add_argument("--data", type=Path, required=True, help="folder of benchmarks.tar and of the training packs")
    parser.add_argument("--teacher", type=Path, help="safetensors that features was distilled from")
    parser.add_argument(
        "--pictures",
        type=Path,
        default=ROOT / "runs",
        help="folder for packed pictures and, in nearest/, samples beside their nearest training pictures",
    )
    parser.add_argument("--no-write", action="store_true", help="print only; leave cards and index as they are")
    args = parser.parse_args(arguments)
    try:
        if unknown := [name for name in args.names if name not in KNOWN]:
            raise RequestError(f"There is no measure of {unknown[0]}; there is {', '.join(KNOWN)}.")
        names = args.names or KNOWN
        sources = Sources(args.data, args.pictures / "cache", args.teacher)
        for name in (name for name in names if name in MEASURES):
            _evaluate(name, sources, write=not args.no_write)
        for name in (name for name in names if name in METHODS):
            _evaluate_method(name, sources, write=not args.no_write)
        if "enhance" in names:
            _evaluate_hub(sources, write=not args.no_write)
        if generators := [name for name in names if name in DRAWING]:
            _evaluate_generators(generators, sources, args.pictures / "nearest", write=not args.no_write)
        if "costs" in names:
            _evaluate_costs(write=not args.no_write)
        return 0
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
