"""Progress as a line under the stage, at a pace that a browser can follow."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator

from engine.contract import Event, Result

PACE_S = 0.15  # a page that is told more often than this only draws, and the network waits


def paced(events: Iterator[Event]) -> Iterator[Event]:
    """The events a page has time for: the first, every picture, the result, and progress at PACE_S."""
    last = -PACE_S
    for event in events:
        if (
            isinstance(event, Result)
            or event.preview is not None
            or event.made is not None
            or time.monotonic() - last >= PACE_S
        ):
            yield event
            last = time.monotonic()


def status(message: str, done: int = 0, total: int = 0, *, kind: str = "") -> str:
    """The line under the stage, with a bar as far along as the work."""
    share = f"{100 * min(done / total, 1):.0f}%" if total > 0 else ""
    bar = (
        f'<div class="v-bar{"" if share else " v-busy"}"><div style="width:{share or "30%"}"></div></div>'
        if not kind
        else ""
    )
    return (
        f'<div class="v-status {kind}" role="status">{bar}<span>{html.escape(message)}</span><span'
        f' class="v-share">{share if not kind else ""}</span></div>'
    )
