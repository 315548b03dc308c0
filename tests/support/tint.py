"""The smallest network, its rows and files, and what tests of `engine.weights` do with them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from engine.contract.events import Progress
from engine.runtime.device import Device
from engine.settings import Settings
from engine.weights import TABLE, Network, Weight, Weights, WeightsUnavailable

HUB_ROWS = [row for row in TABLE if not row.embedded]
BY_NAME = {row.name: row for row in TABLE}


class Tint(nn.Module):
    """The smallest network: a 1x1 convolution and a lot of padding, so that its file has some size."""

    def __init__(self, floats: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.ballast = nn.Parameter(torch.zeros(floats))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def tint_from_state_dict(state: dict[str, Tensor]) -> Tint:
    network = Tint(len(state["ballast"]))
    network.load_state_dict(state)
    return network


def tint_row(name: str = "tint", **facts: Any) -> Weight:
    common = {"task": "restore", "network": "tint", "file": "tint.safetensors", "licence": "MIT", "credit": "no one"}
    return Weight(
        **{"name": name, **common, "builder": f"{__name__}:tint_from_state_dict", "repo": "some/tint", **facts}
    )


def tint_bytes(floats: int = 1) -> bytes:
    return save(Tint(floats).state_dict())


def shelf(table: tuple[Weight, ...], folder: Path, **limits: Any) -> Weights:
    return Weights(Device(), Settings(weights=folder, **limits), table)


def finish(work: Generator[Progress, None, Any]) -> tuple[Any, list[Progress]]:
    heard = []
    while True:
        try:
            heard.append(next(work))
        except StopIteration as end:
            return end.value, heard


def load(weights: Weights, name: str) -> Network:
    return finish(weights.load(name))[0]


def refusal(weights: Weights, name: str) -> str:
    with pytest.raises(WeightsUnavailable) as caught:
        load(weights, name)
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} could not be loaded because ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence
