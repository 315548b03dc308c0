"""Sending a picture to another tab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from engine.contract import RequestError
from gradio_ui.sentences import spoken
from gradio_ui.wiring import Updates


def send(
    button: gr.Button, source: Any, tabs: gr.Tabs, verb: str, photo: gr.Image, others: Mapping[Any, Any] | None = None
) -> Callable[..., Any]:
    """Let a button open another tab with a picture as its photo, and `others` set; returns the trigger of what comes
    after.

    source: holds the picture's file, or the files of which it is the first.
    """

    def sent(held: Any) -> Updates:
        file = held[0] if isinstance(held, list) and held else held
        if not file:
            raise spoken(RequestError("Make the pictures first, then click the one to send."))
        return {tabs: gr.Tabs(selected=verb), photo: file} | dict(others or {})

    hidden: dict[str, Any] = {
        "queue": False,
        "show_progress": "hidden",
        "show_progress_on": photo,
        "api_visibility": "private",
    }  # not on the tabs, as in `recipes`
    arrived = button.click(sent, source, [tabs, photo, *(others or {})], **hidden)
    arrived.success(None, js="() => scrollTo(0, 0)")  # the button was far down, and the photo is at the top of its tab
    return arrived.success
