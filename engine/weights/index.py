"""`weights/index.json`: size, hash and measurements of the files in a folder of weights, read by the table and by
people.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.contract.errors import RequestError
from engine.settings import ROOT
from engine.weights.row import Weight

FOLDER = ROOT / "weights"
INDEX = "index.json"
METHODS = ("prior", "auto")  # in the index too, though there is no file of weights behind them


def read_index(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """name -> {size, sha256, measured} of the files in `folder`; empty where there is no index.

    RequestError when it is damaged.
    """
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise RequestError(f"{file} is damaged: it is not JSON.") from error
    if not isinstance(index, dict) or not all(isinstance(facts, dict) for facts in index.values()):
        raise RequestError(f"{file} is damaged: it does not list networks.")
    return index


def with_index(row: Weight, index: Mapping[str, Mapping[str, Any]]) -> Weight:
    """The row with what an index says of its file: size and hash where the file is embedded, and what it was measured
    at.
    """
    facts = index.get(row.name, {})
    known = ("size", "sha256", "measured") if row.embedded else ("measured",)
    return replace(row, **{key: facts[key] for key in known if key in facts})


def write_index(folder: Path, table: Sequence[Weight]) -> dict[str, dict[str, Any]]:
    """Write size and SHA-256 of the embedded files in `folder`.

    What was measured is kept while its file is the same.
    """
    old, new = read_index(folder), {}
    for row in table:
        file, entry = folder / row.local_file, old.get(row.name, {})
        if row.embedded and file.is_file():
            facts = {"size": file.stat().st_size, "sha256": sha256_of(file)}
            entry = {**entry, **facts} if entry.get("sha256", facts["sha256"]) == facts["sha256"] else facts
        elif row.embedded:
            entry = {}
        if entry:
            new[row.name] = entry
    return _save_index(new | {name: old[name] for name in METHODS if name in old}, folder)


def record(name: str, folder: Path = FOLDER, **facts: Mapping[str, Any]) -> None:
    """Write down what the network of this name was measured at; the tables take it from here.

    measured: figures by name, beside: what stands next to each, generation: what is drawn -> measure -> figure,
    methods: way to transfer a style -> measure -> figure.
    """
    index = read_index(folder)
    index.setdefault(name, {}).update({kind: dict(fact) for kind, fact in facts.items() if fact})
    _save_index(index, folder)


def _save_index(index: dict[str, dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    partial = folder / f"{INDEX}.partial"
    partial.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / INDEX)
    return index


def sha256_of(file: Path) -> str:
    """In hexadecimal, read in pieces of 1 MB."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
