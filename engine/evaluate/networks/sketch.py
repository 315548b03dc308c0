"""`sketch`: held-out packshots drawn again from their lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, load, timed

if TYPE_CHECKING:
    from engine.weights import Network


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Held-out packshots drawn again from their lines, palette and category; asked colours; time for 16 pictures."""
    import torch

    from engine.evaluate import pairs
    from engine.train.distances import Embedding, kernel_distance
    from engine.train.packshots import SQUASHED, read_products
    from engine.train.recipes.sketch import labelled

    drawer, source = (
        network.module,
        ([sources.folder / "packshots.tar"], sources.folder / "packshots.csv", sources.cache),
    )
    parts = (read_products(*source, size_px=drawer.size_px, stretch=SQUASHED, held_out=out) for out in (False, True))
    known, held_out = (pairs.Pairs.of(part.pictures, labelled(part, drawer.categories)) for part in parts)
    truth, ours = held_out.pictures, pairs.redrawn(drawer, held_out)
    said = f"{len(truth)} held-out packshots"
    found, mean = pairs.nearest(held_out, known), pairs.mean_of_category(held_out, known)
    for name, other in (
        ("the nearest training picture by lines and palette", found),
        ("the category's mean picture", mean),
    ):
        (error, decibel), (their_error, their_decibel) = pairs.errors(ours, truth), pairs.errors(other, truth)
        yield Row(
            said, "mean absolute error (8-bit steps)", error, their_error, name, "error" if other is found else ""
        )
        yield Row(said, "PSNR (dB)", decibel, their_decibel, name, "PSNR" if other is found else "")
    embed = Embedding(load("features").module, known.pictures[::3])
    fit, seen, made, meant = (embed(x) for x in (known.pictures[::3], truth, ours, mean))
    distances = [1000 * kernel_distance(t, seen) for t in (made, fit, meant)]
    yield Row(
        said,
        "kernel distance on `features` x 1000 (not KID)",
        distances[0],
        distances[1],
        "real against real",
        "kernel distance",
    )
    yield Row(said, "the same", distances[0], distances[2], "the categories' mean pictures")
    few = pairs.Pairs(truth[::4], held_out.lines[::4], held_out.palettes[::4], held_out.labels[::4])
    for name, rgb in (("red", (0.75, 0.1, 0.1)), ("blue", (0.1, 0.25, 0.6)), ("white", (0.92, 0.92, 0.92))):
        yield Row(
            f"{len(few.labels)} of them, asked for {name}",
            "CIEDE2000 of the main colour",
            pairs.colour_error(drawer, few, torch.tensor(rgb)),
            10.0,
            "goal",
        )
    first = pairs.Pairs(truth[:16], held_out.lines[:16], held_out.palettes[:16], held_out.labels[:16])
    pairs.redrawn(drawer, first)
    yield Row(
        "this machine",
        f"16 pictures of {drawer.size_px} px (s)",
        timed(lambda: pairs.redrawn(drawer, first)),
        2.0,
        "goal",
    )
