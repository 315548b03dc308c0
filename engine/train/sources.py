"""What recipes learn from and start with: packed pictures, products, trained networks of other runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.contract.errors import RequestError
from engine.contract.generate import CATEGORIES
from engine.settings import ROOT
from engine.train import data
from engine.train.options import Options, option, ratio
from engine.train.packshots import Packshots, Products, read_products

if TYPE_CHECKING:
    from engine.models.features import Features


@dataclass(frozen=True)
class ProductOptions(Options):
    """The options of recipes of generators that concern their pictures of products."""

    categories: Path | None = option(None, "csv with the columns file and category", source=True)
    stretch: float = option(
        1.0, "how many times taller the pictures are made first, such as 4/3", source=True, read=ratio
    )


def photos(options: Options) -> data.Pictures:
    """Photos, made smaller so that no noise of their own JPEG is left."""
    return data.pack(options.data, options.packed, "photos_1.6", data.shrink(1.6, 560))


def own_features() -> Features:
    """The network `features` that ships."""
    from engine.models.features import from_state_dict

    return from_state_dict(as_floats(ROOT / "weights" / "features.safetensors"))


def as_floats(file: Path) -> dict[str, Any]:
    """The weights in a file of ours, in float32 whatever they are stored in."""
    from engine.weights.network import read_tensors

    return {k: v.float() if v.is_floating_point() else v for k, v in read_tensors(file, ()).items()}


def average(run: Path) -> dict[str, Any] | None:
    """The averaged weights of a run's network; None where there is no such run."""
    checkpoint = run / "checkpoint.pt"
    if not checkpoint.exists():
        return None
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)["state"]["average"]
    return state


def trained(options: Options, run: str, otherwise: str) -> dict[str, Any]:
    """The averaged weights of a run's network; RequestError with the sentence `otherwise` where there is no such
    run.
    """
    if (state := average(options.runs / run)) is None:
        raise RequestError(otherwise)
    return state


def products(options: ProductOptions, size_px: int, *, held_out: bool = False) -> Products:
    """Pictures of products at `size_px`, to learn from or held out."""
    return read_products(
        options.data,
        options.categories,
        options.packed,
        size_px=size_px,
        stretch=options.stretch,
        held_out=held_out,
    )


def cleaned(options: ProductOptions, name: str, found: Products) -> Products:
    """What `name` learns from; says what is left out."""
    kept, sentence = found.cleaned(own_features(), options.runs / name / "left_out.csv")
    print(sentence, file=sys.stderr)
    return kept


def packshots(options: ProductOptions, name: str, size_px: int) -> tuple[Packshots, Packshots]:
    """Pictures of the page's categories: what `name` learns from, and held out."""
    if options.categories is None:
        raise RequestError(
            "This recipe needs the category of each picture: "
            "give a csv with the columns file and category with --categories."
        )
    every, held_out = (products(options, size_px, held_out=out).of(CATEGORIES) for out in (False, True))
    if not every.names:
        raise RequestError(
            f"{options.categories} gives none of the pictures a category of these: {', '.join(CATEGORIES)}."
        )
    shown = cleaned(options, name, every)
    known = tuple(c for c in CATEGORIES if c in shown.categories)
    held_out = held_out.of(known)
    return (
        Packshots(shown.pictures, shown.labels(known), known),
        Packshots(held_out.pictures, held_out.labels(known), known),
    )
