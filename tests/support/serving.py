"""A page on a free port, for the tests that ask it things."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import gradio_ui


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def served(studio: Any) -> Iterator[str]:
    """The page's address while it is served, with the options it is always served with."""
    demo = gradio_ui.build(studio)
    try:
        demo.launch(
            server_name="127.0.0.1",
            server_port=free_port(),
            prevent_thread_lock=True,
            quiet=True,
            **gradio_ui.launch_options(),
        )
        yield demo.local_url.rstrip("/")
    finally:
        demo.close(verbose=False)


def upload(url: str, file: Path) -> dict[str, Any]:
    """Send a file as a browser does; what names it in a request."""
    with file.open("rb") as stream:
        answer = httpx.post(f"{url}/gradio_api/upload", files={"files": (file.name, stream)}, timeout=60)
    answer.raise_for_status()
    return {"path": answer.json()[0], "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}


def called(url: str, endpoint: str, body: dict[str, Any]) -> tuple[str, Any]:
    """Call an endpoint by plain HTTP; the last event's name ("complete" or "error") and its data."""
    content = json.dumps(body)  # httpx's own json= refuses NaN, and a stranger's client may not
    answer = httpx.post(
        f"{url}/gradio_api/call/v2/{endpoint}",
        content=content,
        headers={"content-type": "application/json"},
        timeout=60,
    )
    if answer.status_code != 200:
        return str(answer.status_code), answer.json()
    with httpx.stream("GET", f"{url}/gradio_api/call/{endpoint}/{answer.json()['event_id']}", timeout=120) as stream:
        lines = [line for line in stream.iter_lines() if line]
    name = next(line for line in reversed(lines) if line.startswith("event: ")).removeprefix("event: ")
    data = next(line for line in reversed(lines) if line.startswith("data: ")).removeprefix("data: ")
    return name, json.loads(data)
