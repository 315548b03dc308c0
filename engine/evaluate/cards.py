"""Where measurements go: a table in Markdown, the card of the network with its sample picture, and the index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.evaluate.measures import Row, runner
from engine.settings import ROOT
from engine.weights.index import record

if TYPE_CHECKING:
    from engine.weights import Network


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| data | measure | ours | baseline | which |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(
        lines + [f"| {r.data} | {r.measure} | {r.ours:.4g} | {r.baseline:.4g} | {r.against} |" for r in rows]
    )


def write_card(card: Path, measured: str, mark: str = "measured") -> None:
    """Put a table between the marks of the card; RequestError when the card or its marks are missing."""
    marks = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)", re.DOTALL)
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    if not marks.search(text):
        raise RequestError(f"{card} has no place for the measured numbers.")
    card.write_text(marks.sub(lambda m: f"{m[1]}{measured}\n{m[2]}", text), encoding="utf-8")


def write(network: Network, text: str, measured: dict[str, float], beside: dict[str, str]) -> None:
    """The card with its table and its sample picture, and the index."""
    from engine.evaluate import samples

    name = network.weight.name
    if network.weight.task not in ("classify", "rank"):
        samples.write(name, network, runner(network), ROOT / "weights" / "samples")
    write_card(ROOT / "weights" / f"{name}.md", text)
    note(name, measured, beside)


def headlines(rows: Sequence[Row]) -> tuple[dict[str, float], dict[str, str]]:
    """What goes into the index: ours, and what stands beside it, by headline."""
    named = [r for r in rows if r.headline]
    return {r.headline: r.ours for r in named}, {r.headline: f"{r.against} {r.baseline:.4g}" for r in named}


def note(name: str, measured: dict[str, float], beside: dict[str, str]) -> None:
    """Into the index."""
    record(name, measured={k: round(v, 3) for k, v in measured.items()}, beside=beside)
