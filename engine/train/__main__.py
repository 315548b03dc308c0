"""`python -m engine.train NAME`: run one recipe, going on where its run folder stopped.

The trained file lands in the run folder; `--install` copies it into weights/ at the end.
"""

from __future__ import annotations

import argparse
import logging
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.contract.errors import RequestError
from engine.contract.generate import CATEGORIES
from engine.runtime.device import configure
from engine.settings import ROOT
from engine.weights import TABLE

if TYPE_CHECKING:
    from engine.train.loop import Recipe
    from engine.train.packshots import Packshots, Products


@dataclass(frozen=True)
class Preset:
    """A row: which recipe with which settings, and what it reached (see the card of the weight)."""

    recipe: Callable[[argparse.Namespace, dict[str, Any]], Recipe]
    settings: dict[str, Any]
    reached: str


def _photos(args: argparse.Namespace) -> Any:
    from engine.train import data

    return data.pack(args.data, args.cache, "photos_1.6", data.shrink(1.6, 560))


def _features(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.features import FeaturesRecipe, teacher_from_file

    if args.teacher is None:
        raise RequestError(
            "The recipe of features learns from a teacher: give its file with --teacher (weights/features.md says where it is)."
        )
    return FeaturesRecipe(teacher_from_file(args.teacher), _photos(args), seed=args.seed, **settings)


def _restore(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.restore import RestoreRecipe

    recipe = RestoreRecipe(_photos(args), seed=args.seed, **settings)
    recipe.name = "restore-both"
    return recipe


def _restore_expert(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.restore import ExpertRecipe

    settings = dict(settings)
    source = settings.pop("source")
    start = _trained(
        args,
        f"restore-{source}",
        f"It starts from another network: run `python -m engine.train restore --preset {source}` first.",
    )
    return ExpertRecipe(_photos(args), start=start, further=_further(args), bf16=args.bf16, seed=args.seed, **settings)


def _restore_gate(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.restore import EXPERTS, UNBOUNDED, GateRecipe

    said = "The gate chooses between experts: run `python -m engine.train restore --preset {}` first."
    states = [_trained(args, f"restore-{kind}", said.format(kind)) for kind in EXPERTS]
    return GateRecipe(
        _photos(args), states, unbounded=UNBOUNDED, further=_further(args), bf16=args.bf16, seed=args.seed, **settings
    )


def _further(args: argparse.Namespace) -> Any:
    """Pictures of other things than products, where some are given."""
    from engine.train import data

    return data.pack(args.further, args.cache, "further_1.7", data.shrink(1.7, 1500)) if args.further else None


def _kernel(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.kernel import KernelRecipe

    return KernelRecipe(_photos(args), start=_deblur_before(args, "estimator"), seed=args.seed, **settings)


def _deblur(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.deblur import DeblurRecipe, begin

    before = _deblur_before(args, "repair")
    network = begin(before.state_dict() if before else _average(args.runs / "restore-both"))
    return DeblurRecipe(_estimator(args), _photos(args), network=network, seed=args.seed, **settings)


def _deblur_before(args: argparse.Namespace, part: str) -> Any:
    """A part of the network in the file of --start; None where there is none."""
    from engine.models import deblur

    return getattr(deblur.from_state_dict(_as_floats(args.start)), part) if args.start else None


def _estimator(args: argparse.Namespace) -> Any:
    from engine.models.deblur import Estimator
    from engine.models.unet import leak_as

    if args.start and not (args.runs / "kernel" / "checkpoint.pt").exists():
        return _deblur_before(args, "estimator")
    state = _trained(
        args,
        "kernel",
        "The recipe of deblur needs an estimator of blur: run `python -m engine.train deblur --preset kernel` first.",
    )
    estimator = Estimator()
    leak_as(estimator, state)
    estimator.load_state_dict(state)
    return estimator


def _trained(args: argparse.Namespace, run: str, otherwise: str) -> dict[str, Any]:
    """The averaged weights of a run's network; RequestError with a sentence where there is no such run."""
    if (state := _average(args.runs / run)) is None:
        raise RequestError(otherwise)
    return state


def _average(run: Path) -> dict[str, Any] | None:
    """The averaged weights of a run's network; None where there is no such run."""
    import torch

    checkpoint = run / "checkpoint.pt"
    return torch.load(checkpoint, weights_only=True)["state"]["average"] if checkpoint.exists() else None


def _tone(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.tone import ToneRecipe

    return ToneRecipe(_photos(args), seed=args.seed, **settings)


def _matte(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.models.matte import from_state_dict
    from engine.train.recipes.matte import MatteRecipe, read_cut_outs, seen_photo

    if args.packshots is None:
        raise RequestError(
            "The recipe of matte cuts products out of packshots: give a folder or tar of them with --packshots."
        )
    seen = read_cut_outs(args.data, args.cache, cut=seen_photo, kind="seen")
    start = from_state_dict(_as_floats(args.start)) if args.start else None
    return MatteRecipe(
        read_cut_outs([args.packshots], args.cache), seen, _photos(args), start=start, seed=args.seed, **settings
    )


def _inpaint(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.inpaint import InpaintRecipe

    return InpaintRecipe(_own_features(), _photos(args), seed=args.seed, **settings)


def _upscale(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.models.upscale import Upscale
    from engine.train.recipes.upscale import UpscaleRecipe

    settings = dict(settings)
    name = settings.pop("name")
    start = _average(args.runs / "upscale-x4-rich") if name != "upscale-x4-rich" else None
    if start is not None and name == "upscale-x2":
        start = {k: v for k, v in start.items() if not k.startswith("tail.")}
    elif start is not None:
        rich = Upscale(settings["scale"], rich=True)
        rich.load_state_dict(start)
        start = rich.folded()
    recipe = UpscaleRecipe(_photos(args), seed=args.seed, start=start, **settings)
    recipe.name = name
    return recipe


def _crisp(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.crisp import CrispRecipe

    start = _trained(
        args,
        "upscale-x4",
        "The crisp network starts from the faithful one: run `python -m engine.train upscale` first.",
    )
    return CrispRecipe(_own_features(), _photos(args), start, seed=args.seed, **settings)


def _faststyle(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train import data
    from engine.train.microast import from_file
    from engine.train.recipes.faststyle import FastStyleRecipe

    if args.teacher is None or args.artworks is None:
        raise RequestError(
            "The recipe of faststyle needs artworks (--artworks) and a teacher (--teacher; weights/faststyle.md says where it is)."
        )
    artworks = data.pack([args.artworks], args.cache, "artworks_400", data.shrink(1.0, 400))
    return FastStyleRecipe(
        _own_features(), from_file(args.teacher), _photos(args), artworks, seed=args.seed, **settings
    )


def _as_floats(file: Path) -> dict[str, Any]:
    """The weights in a file of ours, in float32 whatever they are stored in."""
    from engine.weights.network import read_tensors

    return {k: v.float() if v.is_floating_point() else v for k, v in read_tensors(file, ()).items()}


def _own_features() -> Any:
    from engine.models.features import from_state_dict

    return from_state_dict(_as_floats(ROOT / "weights" / "features.safetensors"))


def _products(args: argparse.Namespace, size_px: int, *, held_out: bool = False) -> Products:
    from engine.train.packshots import read_products

    return read_products(
        args.data, args.categories, args.cache, size_px=size_px, stretch=args.stretch, held_out=held_out
    )


def _cleaned(args: argparse.Namespace, name: str, products: Products) -> Products:
    """What `name` learns from; says what is left out."""
    kept, sentence = products.cleaned(_own_features(), args.runs / name / "left_out.csv")
    print(sentence, file=sys.stderr)
    return kept


def _packshots(args: argparse.Namespace, name: str, size_px: int) -> tuple[Packshots, Packshots]:
    """Pictures of the page's categories: what `name` learns from, and held out."""
    from engine.train.packshots import Packshots

    if args.categories is None:
        raise RequestError(
            "This recipe needs the category of each picture: give a csv with the columns file and category with --categories."
        )
    every, held_out = (_products(args, size_px, held_out=out).of(CATEGORIES) for out in (False, True))
    if not every.names:
        raise RequestError(
            f"{args.categories} gives none of the pictures a category of these: {', '.join(CATEGORIES)}."
        )
    shown = _cleaned(args, name, every)
    known = tuple(c for c in CATEGORIES if c in shown.categories)
    held_out = held_out.of(known)
    return Packshots(shown.pictures, shown.labels(known), known), Packshots(
        held_out.pictures, held_out.labels(known), known
    )


def _vae(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    import torch

    from engine.train.recipes.vae import VaeRecipe

    settings = dict(settings)
    size_px = settings.pop("size_px")
    name = "vae" if size_px == 128 else f"vae-{size_px}"
    start = None
    if size_px == 128 and (half := args.runs / "vae-64" / "checkpoint.pt").exists():
        start = torch.load(half, weights_only=True)["state"]["average"]
    recipe = VaeRecipe(_own_features(), _packshots(args, name, size_px)[0], start=start, seed=args.seed, **settings)
    recipe.name = name
    return recipe


def _gan(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:

    from engine.models.generator import Autoencoder, from_state_dict
    from engine.train.recipes.gan import GanRecipe

    packshots = _packshots(args, GanRecipe.name, 128)[0]
    if not (start := args.runs / "vae" / "vae.safetensors").exists():
        raise RequestError("The generator starts from the autoencoder: run `python -m engine.train vae` first.")
    # From the file that ships, not from the last step: the codes of `vae` are to mean the same to `studio`.
    autoencoder = from_state_dict(_as_floats(start))
    assert isinstance(autoencoder, Autoencoder)
    if autoencoder.categories != packshots.categories:
        raise RequestError(
            f"The autoencoder knows {', '.join(autoencoder.categories)}, but the pictures are of {', '.join(packshots.categories)}."
        )
    return GanRecipe(_own_features(), packshots, autoencoder, seed=args.seed, **settings)


def _sketch(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.models.sketch import ANY
    from engine.train.recipes.sketch import SketchRecipe, labelled

    categories = (*CATEGORIES, ANY)
    shown = _cleaned(args, SketchRecipe.name, _products(args, 128))
    held_out = _products(args, 128, held_out=True).pictures[:8]
    return SketchRecipe(
        _own_features(), shown.pictures, labelled(shown, categories), held_out, categories, seed=args.seed, **settings
    )


def _categories(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.recipes.categories import CategoriesRecipe

    return CategoriesRecipe(_own_features(), *_packshots(args, CategoriesRecipe.name, 64), seed=args.seed, **settings)


def _adversarial(args: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    from engine.train.objectives import OBJECTIVES
    from engine.train.recipes.adversarial import AdversarialRecipe

    settings = dict(settings)
    objective = OBJECTIVES[settings.pop("objective")]
    products = _products(args, 64)
    if args.categories:
        products = products.of([name for name in set(products.categories) if name])
        if not products.names:
            raise RequestError(f"{args.categories} gives no category to any of the pictures.")
    return AdversarialRecipe(
        objective, _cleaned(args, objective.name, products).pictures, _own_features(), seed=args.seed, **settings
    )


_ON: dict[str, Any] = {"peak": 1e-3, "hold": 0.0}  # of a network that has learned before

PRESETS: dict[str, dict[str, Preset]] = {
    "features": {"default": Preset(_features, {"steps": 2600}, "0.34 % error in conv5")},
    "restore": {
        "gate": Preset(_restore_gate, {"steps": 3000}, "loses 0.05 dB to the best expert"),
        "noise": Preset(
            _restore_expert,
            {"kind": "noise", "source": "any-noise", "steps": 3000, **_ON},
            "held-out photos, sigma 15 in a file: 39.2 dB",
        ),
        "strong-noise": Preset(
            _restore_expert,
            {"kind": "strong-noise", "source": "any-noise", "steps": 6000, **_ON},
            "held-out photos, sigma 50 in a file: 33.8 dB",
        ),
        "white-noise": Preset(
            _restore_expert,
            {"kind": "white-noise", "source": "any-noise", "steps": 12000, **_ON},
            "BSD68 sigma 15, 25: 33.64, 31.02 dB",
        ),
        "strong-white-noise": Preset(
            _restore_expert,
            {"kind": "strong-white-noise", "source": "white-noise", "steps": 1800, **_ON},
            "BSD68 sigma 50: 27.83 dB",
        ),
        "strong-jpeg": Preset(
            _restore_expert,
            {"kind": "strong-jpeg", "source": "both", "steps": 35000, **_ON, "hold": 0.4},
            "1.4 dB over BSD68 as JPEG",
        ),
        "jpeg": Preset(
            _restore_expert,
            {"kind": "jpeg", "source": "strong-jpeg", "steps": 5000, **_ON},
            "1.3 dB over BSD68 as JPEG, and noise under it",
        ),
        "any-noise": Preset(
            _restore_expert, {"kind": "any-noise", "source": "both", "steps": 8500}, "BSD68 sigma 15: 33.50 dB"
        ),
        "both": Preset(_restore, {"steps": 44000, "batch": 6, "crop_px": 112}, "BSD68 sigma 25: 30.51 dB"),
    },
    "deblur": {
        "repair": Preset(_deblur, {"steps": 13000}, "3.7 dB over the blurred photo"),
        "kernel": Preset(_kernel, {"steps": 20250}, ""),
    },
    "tone": {"default": Preset(_tone, {"steps": 4000}, "")},
    "matte": {
        "default": Preset(
            _matte, {"steps": 11000}, "mean IoU 0.91 on composites and 0.90 on photos, with 8,500 more by --start"
        )
    },
    "inpaint": {"default": Preset(_inpaint, {"steps": 8800}, "2.8 dB over the smooth fill")},
    "upscale": {
        "x4": Preset(
            _upscale,
            {"name": "upscale-x4", "scale": 4, "steps": 24000, "batch": 24, "crop_px": 160},
            "Set5 31.33 dB, bicubic 28.62",
        ),
        "x4-rich": Preset(
            _upscale, {"name": "upscale-x4-rich", "scale": 4, "steps": 27000, "rich": True}, "Set5 31.23 dB"
        ),
        "x2": Preset(
            _upscale,
            {"name": "upscale-x2", "scale": 2, "steps": 3500, "crop_px": 128, "rich": True},
            "Set5 37.26 dB, bicubic 33.94",
        ),
        "crisp": Preset(_crisp, {"steps": 2600}, ""),
    },
    "faststyle": {"default": Preset(_faststyle, {"steps": 8000}, "style distance 0.115, MicroAST 0.140")},
    "categories": {"default": Preset(_categories, {"steps": 400}, "94 % of held-out packshots")},
    "vae": {
        "128": Preset(_vae, {"steps": 2000, "size_px": 128, "batch": 16}, "kernel distance 608"),
        "64": Preset(_vae, {"steps": 3600, "size_px": 64, "widths": (256, 224, 128, 64)}, ""),
    },
    "gan": {
        # Neither turns nor scales what is judged: `turn_deg` and `scale` would make it another objective than that of the shipped weights.
        "studio": Preset(_gan, {"steps": 1600}, "kernel distance 162"),
        "dcgan": Preset(_adversarial, {"objective": "dcgan", "steps": 3000, "smoothing": 0.1}, "kernel distance 424"),
        # The papers' five critic steps and small rates are for runs a hundred times as long as an hour of a processor allows.
        "wgan-gp": Preset(
            _adversarial,
            {"objective": "wgan-gp", "steps": 1500, "critic_steps": 2, "critic_width": 24, "peak": 2e-4},
            "kernel distance 1,746",
        ),
        "wgan": Preset(
            _adversarial, {"objective": "wgan", "steps": 1200, "critic_steps": 2, "peak": 2e-4}, "kernel distance 1,037"
        ),
    },
    "sketch": {
        "default": Preset(
            _sketch, {"steps": 3000}, "12.7 steps of error on held-out packshots, the nearest picture 21.0"
        )
    },
}


CLIPPED = ("vae", "gan", "sketch")  # recipes whose gradients are as long as they come, unless asked otherwise


def _ratio(text: str) -> float:
    """A number such as 1.25 or 5/4."""
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0.1 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0.1 to 10, such as 4/3.")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one sentence on stderr; 130 after Ctrl-C, with a checkpoint saved."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.train",
        description="Train a network of Vitrine, take the discriminator out of a run, or make presets, examples and sheets of styles and of Enhance.",
    )
    parser.add_argument("name", choices=[*PRESETS, "search", "presets", "examples", "sheets", "discriminator"])
    parser.add_argument("--preset", help="a row of the recipe's table; the first if not given")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="folders or tars of pictures")
    parser.add_argument("--categories", type=Path, help="csv with the columns file and category")
    parser.add_argument(
        "--stretch",
        type=_ratio,
        default=1.0,
        help="of pictures of products, how many times taller they are made first, such as 4/3",
    )
    parser.add_argument(
        "--most-norm",
        type=float,
        default=0.0,
        help="of vae, gan and sketch: gradients that are longer are shortened to it; 0 leaves them",
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="of matte and deblur: the file of weights to go on from; what it has lost begins anew",
    )
    parser.add_argument("--teacher", type=Path, help="safetensors of the network to distil from")
    parser.add_argument("--packshots", type=Path, help="folder or tar of products on white")
    parser.add_argument(
        "--further",
        type=Path,
        nargs="+",
        default=[],
        help="of the parts of restore: folders or tars of pictures of other things than products",
    )
    parser.add_argument("--artworks", type=Path, help="folder or tar of style pictures")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the run folders")
    parser.add_argument("--cache", type=Path, help="folder for packed pictures; RUNS/cache if not given")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--budget", type=float, default=40.0, help="of search: minutes of one core's time")
    parser.add_argument("--stop-at", type=int, help="stop at this step; the same command goes on from there")
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="of restore: work in bfloat16, for processors that have it (AVX512-BF16, AMX)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the processor; all if not given")
    parser.add_argument("--install", action="store_true", help="copy the trained file into weights/ at the end")
    args = parser.parse_args(arguments)
    args.cache = args.cache or args.runs / "cache"
    try:
        if missing := [
            str(p)
            for p in (*args.data, *args.further, *(p for p in (args.start, args.teacher, args.categories) if p))
            if not p.exists()
        ]:
            raise RequestError(f"There is no {missing[0]}.")
        for name in ("steps", "stop_at", "threads", "budget"):
            if (number := getattr(args, name)) is not None and not 0 < number < math.inf:
                raise RequestError(f"--{name.replace('_', '-')} must be a number above 0, not {number}.")
        if args.name == "search":
            return _search(args)
        return _make(args) if args.name not in PRESETS else _train(args)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130


def _search(args: argparse.Namespace) -> int:
    """Search, then train what was found for longer; both go on where they stopped."""
    if not args.data:
        raise RequestError("Give the pictures to learn from with --data, folders or tars.")
    configure()
    import torch

    from engine.train import loop, search

    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads or 1)  # the processor time of the budget is that of one thread
    packshots, held_out = _packshots(args, "search", 64)
    if len(packshots.pictures) < 2 * search.ASIDE:
        raise RequestError(
            f"A search sets {search.ASIDE} pictures aside to choose by, so it needs at least {2 * search.ASIDE}, not {len(packshots.pictures)}."
        )
    found = search.run(
        _own_features(), packshots, held_out, args.runs / "search", budget_min=args.budget, seed=args.seed
    )
    recipe = search.SearchedRecipe(_own_features(), packshots, found, steps=args.steps or 1500, seed=args.seed)
    loop.report(recipe, loop.train(recipe, args.runs / recipe.name, stop_at=args.stop_at))
    if args.install:
        shutil.copy(args.runs / recipe.name / f"{recipe.name}.safetensors", ROOT / "weights")
    return 0


def _train(args: argparse.Namespace) -> int:
    if not args.data:
        raise RequestError("Give the pictures to learn from with --data, folders or tars.")
    presets = PRESETS[args.name]
    chosen = args.preset or next(iter(presets))
    if chosen not in presets:
        raise RequestError(f"{args.name} has the presets {', '.join(presets)}, not {chosen}.")
    configure()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    import torch

    from engine.train import loop

    # The momentum of weights that get no gradient fades into numbers so small that the processor is many times slower.
    torch.set_flush_denormal(True)
    if args.threads:
        torch.set_num_threads(args.threads)
    preset = presets[chosen]
    asked: dict[str, Any] = {"steps": args.steps} if args.steps else {}
    if args.most_norm:
        if args.name not in CLIPPED or not args.most_norm > 0:
            raise RequestError(f"--most-norm is a length above 0, for {', '.join(CLIPPED)}.")
        asked["most_norm"] = args.most_norm
    recipe = preset.recipe(args, preset.settings | asked)
    run = args.runs / recipe.name
    print(f"{recipe.name}: {recipe.steps} steps, run folder {run}", file=sys.stderr)
    loop.report(recipe, loop.train(recipe, run, stop_at=args.stop_at))
    if args.install:
        shutil.copy(run / f"{recipe.name}.safetensors", ROOT / "weights")
        print(
            f"weights/{recipe.name}.safetensors is new: run `python -m engine.evaluate {recipe.name}` and `python -m engine.weights index` and `python -m engine.evaluate.tables`.",
            file=sys.stderr,
        )
    return 0


def _make(args: argparse.Namespace) -> int:
    configure()
    if args.name == "examples":
        from engine.showcase import drawings, examples

        drawings.make()
        examples.make()
    elif args.name == "discriminator":
        _make_discriminator(args)
    elif args.name == "sheets":
        from engine.evaluate import samples, sheets
        from engine.evaluate.measures import load

        sheets.write_enhance_sheet([load(row.name) for row in TABLE if row.embedded and row.name in sheets.ROWS])
        samples.write_style_sheets(load("faststyle"), load("features"))
    else:
        from engine.train import presets

        if len(args.data) != 1:
            raise RequestError("Give the folder or tar of artworks with --data.")
        presets.make(args.data[0])
    return 0


def _make_discriminator(args: argparse.Namespace) -> None:
    """From the run of `studio`: its trained discriminator, with the last layer fitted to rank."""

    from engine.models.generator import from_state_dict
    from engine.train.loop import save_weights
    from engine.train.recipes import discriminator
    from engine.train.recipes.gan import GanRecipe

    run = args.runs / GanRecipe.name
    checkpoint, drawn_by, file = (
        run / "checkpoint.pt",
        run / f"{GanRecipe.name}.safetensors",
        run / "discriminator.safetensors",
    )
    if not (checkpoint.exists() and drawn_by.exists()):
        raise RequestError(
            "The discriminator is that of studio: run `python -m engine.train gan --preset studio` first."
        )
    generator = from_state_dict(_as_floats(drawn_by)).eval()
    save_weights(
        discriminator.make(checkpoint, _own_features().eval(), generator, seed=args.seed), file, seed=str(args.seed)
    )
    if args.install:
        shutil.copy(file, ROOT / "weights")


if __name__ == "__main__":
    sys.exit(main())
