"""`python -m engine.evaluate.draw_sheets`: the sheets of Enhance and of styles in docs/, drawn anew."""

from __future__ import annotations

from engine.evaluate import samples, sheets
from engine.evaluate.measures import load
from engine.weights import TABLE


def main() -> None:
    networks = [load(row.name) for row in TABLE if row.embedded and row.name in sheets.ROWS]
    sheets.write_enhance_sheet(networks)
    samples.write_style_sheets(load("faststyle"), load("features"))


if __name__ == "__main__":
    main()
