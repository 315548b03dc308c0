"""What the page's events have in common: the device queue, and what they are given and give back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

from engine.contract import Answer, Event, Progress, Question, Requests

T = TypeVar("T")

DEVICE_QUEUE: dict[str, Any] = {
    "concurrency_id": "device",
    "concurrency_limit": 1,
}  # every heavy event waits in this one

QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}  # done at once
Run: TypeAlias = Callable[[Requests], Generator[Event, None, Any]]  # closing it stops the work

Sent: TypeAlias = Mapping[str, Any] | None  # a file as the browser sends it

Values: TypeAlias = Mapping[Any, Any]  # component -> its value, as the browser sends it

Updates: TypeAlias = dict[Any, Any]  # component -> its new value; the others stay as they are


def heard(question: Question[T], told: Callable[[Progress], Any]) -> Generator[Any, None, T]:
    """What a question is answered; `told` makes of its progress what the page is given meanwhile. Closing this closes
    the question: Gradio closes generators of who leaves or presses Stop, and nothing else.

    It closes them only once they have yielded. One that is still at its first step is forgotten, as it stands, until
    the thread that made that step makes another; so the first yield comes before any work.
    """
    yield told(Progress(0, 0, "Looking at the photo"))
    with closing(question):
        for event in question:
            if isinstance(event, Answer):
                return event.value
            yield told(event)
    raise RuntimeError("a question ended without an answer")
