"""What each generator costs: parameters, and time as a multiple of `dcgan`'s.

All take their turn in one run, and the best of some rounds counts: what else the machine does slows all of them alike,
so that ratios hold where seconds would not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.contract.generate import GenerateRequest
from engine.evaluate.generation import ONE, PARAMETERS, WALL, Scores
from engine.evaluate.measures import times_in_turn
from engine.settings import ROOT

if TYPE_CHECKING:
    from engine import Studio
    from engine.weights import Network

UNIT = "dcgan"
DRAWING = ROOT / "gradio_ui" / "examples" / "drawing-handbag.png"


def measure(networks: Sequence[Network], studio: Studio, *, rounds: int = 3, count: int = 36) -> dict[str, Scores]:
    """The figures of each network by name; `UNIT` must be among them."""
    alone = times_in_turn({n.weight.name: _one(n) for n in networks}, rounds=4 * rounds)
    wall = times_in_turn({n.weight.name: partial(_wall, n, studio, count) for n in networks}, rounds)
    sizes = {n.weight.name: sum(p.numel() for p in n.module.parameters()) / 1e6 for n in networks}
    return {
        name: {PARAMETERS: size, ONE: alone[name] / alone[UNIT], WALL: wall[name] / wall[UNIT]}
        for name, size in sizes.items()
    }


def _one(network: Network) -> Callable[[], object]:
    """One picture by the network alone."""
    import torch

    module = network.module
    latent, label = (
        module.sample_latents((*module.categories, "")[0], 1, 1.0, torch.Generator().manual_seed(0)),
        torch.zeros(1, dtype=torch.long),
    )
    lines = (torch.zeros(1, 1, module.size_px, module.size_px),) if network.weight.task == "sketch" else ()
    return partial(network, *lines, latent, label)


def _wall(network: Network, studio: Studio, count: int) -> None:
    """`count` pictures at 128 px by the whole way of a request."""
    asked = GenerateRequest(count=count, network=network.weight.name, scale=max(1, 128 // network.module.size_px))
    if network.weight.task == "sketch":
        asked = replace(asked, category="handbag", sketch=str(DRAWING))
    for _ in studio.generate(asked):
        pass
