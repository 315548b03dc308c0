"""The tables for people: of all weights in `weights/README.md`, and of what was measured in `docs/measured.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.contract.errors import RequestError
from engine.evaluate.enhance_table import enhance_markdown
from engine.settings import ROOT
from engine.weights.index import FOLDER, read_index, with_index
from engine.weights.row import Weight
from engine.weights.table import ROWS, hub_peers

MEASURED = ROOT / "docs" / "measured.md"  # what the networks reach, for people


def table_markdown(table: Sequence[Weight]) -> str:
    """The table of weights for people."""
    head = ("name", "task", "network", "source", "size", "SHA-256", "licence", "credit", "measured")
    rows = [head, ("---",) * len(head), *map(_cells, table)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(row: Weight) -> tuple[str, ...]:
    pinned = "" if row.revision == "main" else f" @ `{row.revision[:7]}`"
    place = (
        f"`weights/{row.local_file}`"
        if row.embedded
        else f"[{row.repo}](https://huggingface.co/{row.repo}) `{row.file}`{pinned}"
    )
    size = "" if row.size is None else f"{row.size / 1e6:.1f} MB"
    measured = ", ".join(f"{what} {value:g}" for what, value in row.measured.items())
    return (
        row.name,
        row.task,
        row.network,
        place,
        size,
        f"`{row.sha256[:12]}`" if row.sha256 else "",
        row.licence,
        row.credit,
        measured,
    )


def embedded_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """What comes with Vitrine, for a page in `docs/`: each network and its figures next to what they must beat."""
    lines = ["| network | what it is | size | measured, and next to it |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        facts = index.get(row.name, {})
        if row.embedded and facts:
            beside = facts.get("beside", {})
            figures = [
                f"{name} {value:.4g}" + (f" ({beside[name]})" if name in beside else "")
                for name, value in facts.get("measured", {}).items()
            ]
            lines.append(
                f"| [`{row.name}`](../weights/{row.name}.md) | {row.network} | {facts['size'] / 1e6:.1f} MB |"
                f" {', '.join(figures)} |"
            )
    return "\n".join(lines) + "\n"


def generation_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """Every family of generators that was measured, next to each other and next to packshots themselves; "" if there is
    none.
    """
    families = {name: facts["generation"] for name, facts in index.items() if "generation" in facts}
    if not families:
        return ""
    rows = {f"`{name}`": facts["drawn"] for name, facts in families.items()}
    for facts in families.values():
        rows |= facts["baselines"]
    names = list(dict.fromkeys(name for scores in reversed(rows.values()) for name in scores))
    lines = ["| drawn by |" + "".join(f" {name} |" for name in names), "| --- |" + " --- |" * len(names)]
    lines += [
        f"| {what} |" + "".join(f" {scores[name]:g} |" if name in scores else " |" for name in names)
        for what, scores in rows.items()
    ]
    return "\n".join(lines) + "\n"


def methods_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """Ways to transfer a style next to each other, each with its figures on held-out pairs.

    "" if nothing was measured.
    """
    methods = {name: figures for facts in index.values() for name, figures in facts.get("methods", {}).items()}
    if not methods:
        return ""
    names = list(next(iter(methods.values())))
    lines = ["| |" + "".join(f" {name} |" for name in names), "| --- |" + " --- |" * len(names)]
    lines += [
        f"| {method} |" + "".join(f" {figures[name]:.3g} |" for name in names) for method, figures in methods.items()
    ]
    return "\n".join(lines) + "\n"


def write_readme(file: Path = FOLDER / "README.md", folder: Path = FOLDER) -> str:
    """Write the table of weights between its marks in `file`; returns the new text."""
    return _write_between(file, table_markdown([with_index(row, read_index(folder)) for row in ROWS]), "table")


def write_tables() -> None:
    """Every table, in `weights/README.md` and in `docs/measured.md`, from the index as it is now."""
    write_readme()
    index = read_index()
    _write_between(MEASURED, embedded_markdown(index), "table")
    _write_between(MEASURED, methods_markdown(index), "methods")
    _write_between(MEASURED, enhance_markdown(index, hub_peers(ROWS)), "enhance")
    for page in (MEASURED, FOLDER / "README.md"):
        _write_between(page, generation_markdown(index), "generation")


def marks(name: str) -> tuple[str, str]:
    """The lines on a page between which the table of this name stands: table, methods, enhance or generation."""
    return f"<!-- {name}: written by python -m engine.evaluate.tables -->", f"<!-- end of {name} -->"


def _write_between(file: Path, table: str, name: str) -> str:
    begins, ends = marks(name)
    before, _, rest = file.read_text(encoding="utf-8").partition(begins)
    _, mark, after = rest.partition(ends)
    if not mark:
        raise RequestError(f"{file} has no marks for the table: {begins} and {ends}.")
    text = f"{before}{begins}\n{table}{ends}{after}"
    file.write_text(text, encoding="utf-8")
    return text


if __name__ == "__main__":
    write_tables()
