"""`python -m engine.train NAME`: run one recipe, going on where its run folder stopped.

The trained file lands in the run folder; `--install` copies it into weights/ at the end. `NAME --help` shows the
options of that recipe, `NAME --preset ROW --help` those of a row of its table.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from engine.contract.errors import RequestError
from engine.runtime.device import configure
from engine.settings import ROOT
from engine.train import options as run_options
from engine.train.options import Options, RecipePreset

# Each is a file in engine/train/recipes with a table PRESETS.
NAMES = (
    "features",
    "restore",
    "deblur",
    "tone",
    "matte",
    "matte_lite",
    "inpaint",
    "upscale",
    "faststyle",
    "paint",
    "categories",
    "vae",
    "gan",
    "sketch",
)


def presets_of(name: str) -> Mapping[str, RecipePreset]:
    """A recipe's table; the first row is what is run unless another is asked for."""
    presets: Mapping[str, RecipePreset] = import_module(f"engine.train.recipes.{name}").PRESETS
    return presets


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one sentence on stderr; 130 after Ctrl-C, with a checkpoint saved."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        name, preset = _chosen(given)
        presets = presets_of(name)
        row = preset or next(iter(presets))
        if row not in presets:
            raise RequestError(f"{name} has the presets {', '.join(presets)}, not {row}.")
        options = run_options.from_arguments(_parser(name, row, presets).parse_args(given), presets[row].options)
        options.check()
        return _train(name, row, presets[row], options)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130


def _chosen(given: Sequence[str]) -> tuple[str, str | None]:
    """Which recipe, and which row of its table: these say which other arguments there are."""
    first = run_options.Parser(
        prog="python -m engine.train",
        description="Train a network of Vitrine. The options of a recipe: python -m engine.train NAME --help",
        add_help=not given or given[0].startswith("-"),
        allow_abbrev=False,
    )
    first.add_argument("name", choices=NAMES)
    first.add_argument("--preset")
    found, _ = first.parse_known_args(given)
    return found.name, found.preset


def _parser(name: str, row: str, presets: Mapping[str, RecipePreset]) -> argparse.ArgumentParser:
    rows = "\n".join(f"  {key:20}{preset.reached}" for key, preset in presets.items())
    parser = run_options.Parser(
        prog=f"python -m engine.train {name}",
        description=f"The options of the recipe {name}, with the defaults of its preset {row}.",
        epilog=f"presets, and what each reached:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=[name], help=argparse.SUPPRESS)
    parser.add_argument("--preset", choices=list(presets), default=row, help=f"a row of the table below; now {row}")
    parser.add_argument("--bf16", dest="precision", action="store_const", const="bf16", help=argparse.SUPPRESS)
    run_options.add_arguments(parser, presets[row].options)
    return parser


def _train(name: str, row: str, preset: RecipePreset, options: Options) -> int:
    configure()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    import torch

    from engine.train import loop, placing

    # The momentum of weights that get no gradient fades into numbers so small that the processor is many times slower.
    torch.set_flush_denormal(True)
    if options.threads:
        torch.set_num_threads(options.threads)
    placing.chosen(options.device, options.precision)  # before minutes of reading pictures
    recipe = preset.build(options)
    loop.place(recipe, options.device, options.precision)
    run = options.runs / recipe.name
    record = run_options.record(name, row, options)
    run_options.write(run, record, options)
    print(f"{recipe.name}: {recipe.steps} steps, run folder {run}", file=sys.stderr)
    loop.report(recipe, loop.train(recipe, run, stop_at=options.stop_at, record=record))
    if options.install:
        shutil.copy(run / f"{recipe.name}.safetensors", ROOT / "weights")
        print(
            f"weights/{recipe.name}.safetensors is new: run `python -m engine.evaluate {recipe.name}`, "
            "`python -m engine.weights index` and `python -m engine.evaluate.tables`.",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
