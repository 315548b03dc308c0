"""Work that reports while it goes on: generators that yield progress and return what they made."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def finished(work: Generator[object, None, T]) -> T:
    """What a generator returns; its reports are dropped."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
