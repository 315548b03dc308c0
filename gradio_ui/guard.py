"""The page's own doorman: what Gradio lets through and this page has no use for.

Gradio's `max_file_size` holds for uploads only, so a picture inside a JSON body would pass it; its file route fetches
any public address for whoever asks, and so does a "path" in a request. All three are refused here.
"""

from __future__ import annotations

import json
from typing import Any

from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON_BYTES = 2_000_000  # settings and file names, with room for a small picture as a data URL
UPLOAD_BYTES = 110_000_000  # four files of the largest size in one upload


class TooLarge(Exception):
    """The body went over its limit."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _fetches(scope["path"]):
            await _refuse(403, "This server does not fetch other addresses.", scope, receive, send)
            return
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in (b"content-length", b"content-type")}
        upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        limit = UPLOAD_BYTES if upload else JSON_BYTES
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await _refuse(413, "This request is too large.", scope, receive, send)
            return
        if upload:
            await self.app(scope, _counted(receive, limit), send)
            return
        try:
            body = await _whole(receive, limit)
        except TooLarge:
            await _refuse(413, "This request is too large.", scope, receive, send)
            return
        if _names_address(body):
            await _refuse(400, "Send the picture itself, not its address.", scope, receive, send)
            return
        try:
            await self.app(scope, _replayed(body, receive), send)
        except TypeError as error:  # how Gradio refuses a parameter that it does not know, before it has answered
            if "/call/v2/" not in scope["path"]:
                raise
            await _refuse(422, str(error).split(". ")[0] + ".", scope, receive, send)
        except FnIndexInferError:  # the same for an endpoint
            await _refuse(404, "There is no such endpoint; the page's API view lists them.", scope, receive, send)


def _fetches(path: str) -> bool:
    """Whether the path asks Gradio to fetch another address: .../file=http://... or .../proxy=..."""
    name, _, rest = path.partition("=")
    return name.endswith("/proxy") or (name.endswith("/file") and "://" in rest.replace(":/", "://")) or "/file/http" in path


def _names_address(body: bytes) -> bool:
    """Whether a JSON body gives an address as a file's path. A body that is not JSON is for Gradio to refuse."""
    try:
        return _any_address(json.loads(body)) if body else False
    except (ValueError, RecursionError):
        return False


def _any_address(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path[:12]) or any(_any_address(v) for v in value.values())
    return isinstance(value, list) and any(_any_address(v) for v in value)


async def _whole(receive: Receive, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return again


def _counted(receive: Receive, limit: int) -> Receive:
    size = 0

    async def counting() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= limit else {"type": "http.disconnect"}

    return counting


async def _refuse(status: int, sentence: str, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"error": sentence, "detail": sentence}, status_code=status)(scope, receive, send)
