"""The figures of the Hub's networks for the table of all steps of Enhance, where they can be had.

Ours and the baselines' are those that each step's own measurement left in the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from engine.evaluate.enhance_table import ENHANCE
from engine.evaluate.measures import Row, Sources, load
from engine.weights import TABLE, WeightsUnavailable
from engine.weights.table import hub_peers

if TYPE_CHECKING:
    from engine.weights import Network

Measure = Callable[["Network", Sources], Iterator[Row]]


def from_the_hub(measures: Mapping[str, Measure], sources: Sources) -> Iterator[tuple[str, dict[str, float]]]:
    """(name, headline -> figure) of each network of the Hub that can be loaded, measured as our network of that step
    is.

    measures: by the name of our network. What cannot be loaded is left out, and a sentence says why.
    """
    for name, hub in hub_peers(TABLE).items():
        if name not in measures or name not in ENHANCE:
            continue
        try:
            network = load(hub)
        except WeightsUnavailable as error:
            print(error)
            continue
        yield hub, dict(_figures(measures[name](network, sources), ENHANCE[name]))


def _figures(rows: Iterator[Row], headlines: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Of the headlines asked for; the measurement ends with the last of them."""
    wanted = set(headlines)
    for row in rows:
        if row.headline in wanted:
            wanted.discard(row.headline)
            yield row.headline, row.ours
        if not wanted:
            return
