"""`faststyle` beside its teacher, Gatys' method and colour transfer, on pairs that no recipe has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.style import OPTIMIZERS
from engine.evaluate.measures import Row, Sources, load

if TYPE_CHECKING:
    from engine.weights import Network

PAIRS = "held-out pairs"
STARTED = 3  # of them, for the optimisation from `faststyle`'s painting


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Style and structure on held-out pairs, and time, beside the teacher, Gatys' method, colour transfer and the photo
    itself.
    """
    from engine.evaluate import compare, memory
    from engine.train.microast import from_file

    if sources.teacher is None:
        raise RequestError("Measuring faststyle needs the network it learned from: give its file with --teacher.")
    artworks = sources.folder / "artworks.tar"
    if not artworks.exists():
        raise RequestError(f"{sources.folder} has no artworks.tar.")
    features, peer = load("features"), from_file(sources.teacher)
    pairs = compare.held_out_pairs(sources.photo_packs(), artworks)
    methods = compare.methods(network, features, peer)
    scores = {name: compare.score(method, pairs, features) for name, method in methods.items()}
    ours = scores.pop("faststyle")
    said = f"{len(pairs)} {PAIRS}"
    for name, other in scores.items():
        short = name == "MicroAST"
        yield Row(
            said,
            "style distance (Bures on `features`), less is better",
            ours.style,
            other.style,
            name,
            "style distance" if short else "",
        )
        yield Row(
            said,
            "patch sliced-Wasserstein x 1000, less is better",
            ours.patches,
            other.patches,
            name,
            "patch distance" if short else "",
        )
        yield Row(said, "SSIM of luma to the photo", ours.ssim, other.ssim, name, "SSIM" if short else "")
        yield Row(said, "seconds of the processor", ours.seconds, other.seconds, name)
    few = pairs[:STARTED]
    for optimizer in OPTIMIZERS:
        saved = compare.saved(network, features, few, optimizer=optimizer)
        to = f"{len(few)} held-out pairs, {saved.reached} of which get there by {optimizer}"
        headline = "work left" if optimizer == OPTIMIZERS[0] else ""
        yield Row(
            to,
            "work that Gatys needs from here to the loss it ends with from the photo (pixels x looks)",
            saved.work,
            1.0,
            "from the photo",
            headline,
        )
        yield Row(to, "steps for the same", saved.steps, 1.0, "from the photo")
        yield Row(to, "seconds of the processor for the same", saved.seconds, 1.0, "from the photo")
    times = dict(compare.times_at(1024, network, features, peer))
    yield Row(
        "1024 x 1024 px, this machine",
        "time, as multiples of the other's",
        times["faststyle"] / times["MicroAST"],
        1.0,
        "MicroAST",
        "time ratio",
    )
    yield Row("3840 x 2160 px, a whole request", "memory above the model (GB)", memory.peak_gb(), 1.5, "goal", "4K GB")


def by_method(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """`faststyle` and what stands beside it, each with its figures on the held-out pairs, the largest of the first
    figure first; empty for rows of other networks.
    """
    methods: dict[str, dict[str, float]] = {}
    for row in (row for row in rows if row.data.endswith(PAIRS)):
        methods.setdefault(row.against, {})[row.measure] = float(f"{row.baseline:.4g}")
        methods.setdefault("`faststyle`", {})[row.measure] = float(f"{row.ours:.4g}")
    return dict(sorted(methods.items(), key=lambda method: -next(iter(method[1].values()))))
