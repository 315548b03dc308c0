"""The table of networks at the foot of the page."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from gradio_ui.words import said

_COLUMNS = ("name", "task", "network", "source", "size", "licence", "where", "measured")


def section(models: Callable[[], list[dict[str, Any]]]) -> None:
    """A closed section that fills itself when it is opened."""
    with gr.Accordion(said("networks"), open=False, elem_classes="v-catalogue") as opened:
        table = gr.HTML()
    opened.expand(
        lambda: rendered(models()), None, table, queue=False, show_progress="minimal", api_visibility="private"
    )


def rendered(models: list[dict[str, Any]]) -> str:
    """An HTML table with the columns that any row has."""
    columns = [c for c in _COLUMNS if any(m.get(c) not in (None, "", {}) for m in models)]
    head = "".join(f"<th>{c.capitalize()}</th>" for c in columns)
    rows = "".join("<tr>" + "".join(f"<td>{_cell(c, m.get(c))}</td>" for c in columns) + "</tr>" for m in models)
    return f'<div class="v-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(column: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if column == "size" and isinstance(value, int | float):
        return f"{value / 1e6:.1f} MB"
    if isinstance(value, Mapping):
        value = ", ".join(f"{k} {v}" for k, v in value.items())
    return html.escape(str(value))
