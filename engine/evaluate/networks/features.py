"""`features`: how far it is from the network that it was distilled from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.evaluate.measures import Row, Sources

if TYPE_CHECKING:
    from engine.weights import Network


def measure(network: Network, sources: Sources) -> Iterator[Row]:
    """Relative error of each layer's activations on held-out photos, against an untrained network of the same shape."""
    import numpy as np
    import torch

    from engine.models.features import LAYERS, Features, relative_error
    from engine.train import data
    from engine.train.recipes.features import teacher_from_file

    if sources.teacher is None:
        raise RequestError("Measuring features needs the network it was distilled from: give its file with --teacher.")
    held_out = [
        np.asarray(data.shrink(2.0)(p))
        for pack in sources.photo_packs()
        for name, p in data.read_pictures(pack)
        if data.is_held_out(name)
    ]
    target = teacher_from_file(sources.teacher)
    torch.manual_seed(0)
    untrained = Features()
    errors, others = [], []
    with torch.inference_mode():
        for pixels in held_out:
            x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            wanted = target(x)
            errors.append(relative_error(network.module(x), wanted))
            others.append(relative_error(untrained(x), wanted))
    ours, theirs = torch.stack(errors).mean(0), torch.stack(others).mean(0)
    for name, error, other in zip(LAYERS, ours.tolist(), theirs.tolist(), strict=True):
        yield Row(
            f"{len(held_out)} held-out photos",
            f"{name}, mean relative activation error (%)",
            100 * error,
            100 * other,
            "untrained",
            f"{name} error %",
        )
