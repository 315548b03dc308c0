"""What goes wrong, as one sentence for a person."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

from engine.contract import EngineFailure, RequestError

T = TypeVar("T")

log = logging.getLogger("vitrine")

UNEXPECTED = "Something went wrong here that is not your fault; the server's log says what. Please try again."


def in_sentences(work: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
    """Let what goes wrong in a generator reach a person as one sentence; the unexpected is logged in full first."""

    @functools.wraps(work)
    def careful(*values: Any) -> Iterator[T]:
        try:
            yield from work(*values)
        except Exception as error:
            raise spoken(error) from None

    return careful


def spoken(error: Exception) -> gr.Error:
    """The error for a person: a RequestError's own sentence, or a general one for what is logged here."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, RequestError | EngineFailure):  # a failure has been logged where it happened
        return _Sentence(str(error))
    log.error("A request failed.", exc_info=error)
    return _Sentence(UNEXPECTED)


class _Sentence(gr.Error):
    """One sentence in Gradio's error box, which takes HTML."""

    def __init__(self, sentence: str) -> None:
        super().__init__(html.escape(sentence, quote=False), title="Vitrine", print_exception=False)
        self.sentence = sentence
