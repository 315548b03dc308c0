"""`tone`: photos that were badly exposed and tinted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.evaluate.measures import Row, Sources, mean, psnr, time_beside, timed

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network


def measure(network: Network, sources: Sources, count: int = 200) -> Iterator[Row]:
    """PSNR of held-out photos that were badly exposed and tinted, beside what is done without a network; whites; 12 Mpx
    in seconds.
    """
    import numpy as np
    import torch

    from engine.evaluate import baselines
    from engine.models.tone import Tone
    from engine.train import data
    from engine.train.recipes.tone import small, spoiled

    assert isinstance(network.module, Tone)
    rng = np.random.default_rng(0)
    pictures = data.pack(sources.photo_packs(), sources.cache, "photos_1.6_256", data.shrink(1.6, 256))
    held_out = [i for i in range(len(pictures)) if data.is_held_out(pictures.names[i])]
    right = small(pictures, held_out[:count], 192).float() / 255
    packed = data.pack(
        [sources.folder / "packshots.tar"], sources.cache, "packshots_unframed_128", data.shrink(1.0, 128)
    )
    on_white = (
        small(packed, [i for i in range(len(packed)) if data.is_held_out(packed.names[i])][:count], 96).float() / 255
    )
    wrong = spoiled(right, rng)
    touched = (wrong - right).abs().amax((1, 2, 3)) > 0.01  # one in ten is left as it was
    spoilt = list(zip(wrong[touched].split(1), right[touched].split(1), strict=True))

    def ours(x: Tensor) -> Tensor:
        adjustments, weights = network.module.propose(x)
        found: Tensor = network.module.lut(adjustments, weights).apply(x)
        return found

    methods = {"as it is": lambda x: x, "gamma": baselines.gamma, "grey world": baselines.grey_world}
    methods |= {"CLAHE": baselines.clahe, "white patch": baselines.white_patch}
    decibels = {name: mean(psnr(method(x), y) for x, y in spoilt) for name, method in methods.items()}
    mine = mean(psnr(ours(x), y) for x, y in spoilt)
    for name, value in decibels.items():
        headline = "spoiled photos dB" if value == max(decibels.values()) else ""
        yield Row(f"{len(spoilt)} held-out photos, spoiled", "PSNR (dB)", mine, value, name, headline)
    worse = 100 * mean(psnr(ours(x), y) < psnr(x, y) for x, y in spoilt)
    worse_by_whites = 100 * mean(psnr(baselines.white_patch(x), y) < psnr(x, y) for x, y in spoilt)
    yield Row(
        f"{len(spoilt)} held-out photos, spoiled",
        "further from the truth than before (%)",
        worse,
        worse_by_whites,
        "white patch",
    )
    kept = mean(psnr(ours(x), x) for x in right.split(1))
    yield Row(f"{len(right)} held-out photos as they are", "PSNR to themselves (dB)", kept, float("inf"), "as it is")
    tinted = spoiled(on_white, rng)
    corners = torch.cat([ours(x)[:, :, :8, :8] for x in tinted.split(1)])
    before = tinted[:, :, :8, :8]
    cast = [100 * float((x.mean((2, 3)).amax(1) - x.mean((2, 3)).amin(1)).mean()) for x in (corners, before)]
    yield Row(
        f"{len(on_white)} held-out packshots, spoiled",
        "cast of the white background (largest channel less smallest, %)",
        cast[0],
        cast[1],
        "as it is",
        "white cast %",
    )
    large = torch.rand(1, 3, 3000, 4000)
    one = torch.rand(1, 3, 1024, 1024)
    yield time_beside("1 Mpx", lambda: ours(one), lambda: baselines.gamma(one), "gamma")
    yield Row("this machine", "12 Mpx (s)", timed(lambda: ours(large)), 1.0, "goal")
