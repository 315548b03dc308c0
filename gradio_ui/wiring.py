"""What the page's events have in common: the device queue, and what they are given and give back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias

from engine.contract import Event, Requests

DEVICE_QUEUE: dict[str, Any] = {
    "concurrency_id": "device",
    "concurrency_limit": 1,
}  # every heavy event waits in this one

QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}  # done at once
Run: TypeAlias = Callable[[Requests], Generator[Event, None, Any]]  # closing it stops the work

Sent: TypeAlias = Mapping[str, Any] | None  # a file as the browser sends it

Values: TypeAlias = Mapping[Any, Any]  # component -> its value, as the browser sends it

Updates: TypeAlias = dict[Any, Any]  # component -> its new value; the others stay as they are
