"""What the table holds of one file of weights, and the error that says why a network cannot be had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.contract.errors import RequestError
from engine.runtime.tiles import Tiling

_PLAIN = Tiling()


class WeightsUnavailable(RequestError):
    """A network that cannot be had; the message says which and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} could not be loaded because {reason}.")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[Any, ...]:  # a Space's GPU worker hands its errors over pickled
        return type(self), (self.name, self.reason)


@dataclass(frozen=True)
class Weight:
    """A row of the table: one file of weights and all there is to know about it.

    builder: "module:function" that takes the state dict and returns the network, or "spandrel:ARCHITECTURE". ignored:
    tensors whose names begin so are not read (a classifier that nobody needs). companion: the row of another file that
    the network also needs; the builder is given the network in it as well. encoder: the row of a network whose latents
    mean the same to this one, and that can encode photos. directions: what changes along the directions of each
    category, as seen (engine/models/generative.py). half, bfloat16: the formats that the arithmetic stands on a GPU;
    float32 otherwise. mixed: on a CPU that multiplies bfloat16 it is faster so, and moves no picture by more than 1 of
    255 on average (`python -m engine.bench`). sha256 is "" and size None where they are not known.
    """

    name: str
    task: str  # the step it serves, or generate, sketch, style, classify, rank, features, metrics, or part of another
    network: str
    file: str
    licence: str
    credit: str
    builder: str
    repo: str = ""  # "" is embedded: the file lies in weights/
    revision: str = "main"
    size: int | None = None
    sha256: str = ""
    ignored: tuple[str, ...] = ()
    companion: str = ""
    encoder: str = ""
    directions: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    tiling: Tiling = _PLAIN
    half: bool = False
    bfloat16: bool = False
    mixed: bool = False
    measured: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def embedded(self) -> bool:
        return not self.repo

    @property
    def local_file(self) -> str:
        """The file's name in a folder of weights; on the Hub many are called model.safetensors."""
        return self.name + Path(self.file).suffix


def source(row: Weight) -> str:
    """The row as it stands in engine/weights/table.py."""
    lines = [
        f"        {f.name}={_literal(getattr(row, f.name))},\n"
        for f in fields(Weight)
        if f.name != "measured" and not _is_default(row, f)
    ]
    return f"    Weight(\n{''.join(lines)}    ),"


def _literal(value: Any) -> str:
    if isinstance(value, Tiling):
        named = (f"{f.name}={getattr(value, f.name)!r}" for f in fields(value) if not _is_default(value, f))
        return f"Tiling({', '.join(named)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _is_default(row: Any, f: Any) -> bool:
    return f.default is not MISSING and getattr(row, f.name) == f.default
