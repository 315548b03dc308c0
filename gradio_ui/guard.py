"""The page's own doorman: what Gradio lets through and this page has no use for.

Gradio's `max_file_size` holds for uploads only, so a picture inside a JSON body would pass it; its file route fetches
any public address for whoever asks, and so does a "path" in a request. All three are refused here. So is what Gradio
would answer with an error of its own, or never: a call that is no JSON object, an endpoint or an answer that is not
there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON_BYTES = 2_000_000  # settings and file names, with room for a small picture as a data URL
UPLOAD_BYTES = 110_000_000  # four files of the largest size in one upload
_ANSWER = re.compile(r"/call/(?:v2/)?[^/]+/([^/]+)/?$")  # the address of a call's answer
NO_ENDPOINT = "There is no such endpoint; the page's API view lists them."


class TooLarge(Exception):
    """The body went over its limit."""


class Guard:
    """ASGI middleware. hosts: the names by which the page may be asked for; any where none is given."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.hosts and _host_of(scope) not in self.hosts:
            # A stranger's page can give its own name this machine's address (DNS rebinding), and read what it asks for.
            sentence = "This page is not served under that name; VITRINE_HOSTS can name it."
            await _refuse(403, sentence, scope, receive, send)
            return
        if _fetches(scope["path"]):
            await _refuse(403, "This server does not fetch other addresses.", scope, receive, send)
            return
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            if (
                scope["method"] == "GET"
                and (answer := _ANSWER.search(scope["path"]))
                and not _is_awaited(scope["app"], answer[1])
            ):
                await _refuse(404, "There is no such call here, or its answer has been fetched.", scope, receive, send)
                return
            await self.app(scope, receive, send)
            return
        named = [(name, value) for name, value in scope["headers"] if name in (b"content-length", b"content-type")]
        headers = dict(named)
        if len(headers) < len(named):  # one program would read the first and another the last
            await _refuse(400, "Content-Type and Content-Length are sent once each.", scope, receive, send)
            return
        upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        limit = UPLOAD_BYTES if upload else JSON_BYTES
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await _refuse(413, "This request is too large.", scope, receive, send)
            return
        if upload:
            await self._upload(scope, _counted(receive, limit), send)
            return
        try:
            body = await _whole(receive, limit)
        except TooLarge:
            await _refuse(413, "This request is too large.", scope, receive, send)
            return
        sent = _parsed(body)
        if _names_address(sent):
            await _refuse(400, "Send the picture itself, not its address.", scope, receive, send)
            return
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if "/call/" in scope["path"] and (mistake := _mistake(sent, kind, by_name="/call/v2/" in scope["path"])):
            await _refuse(422, mistake, scope, receive, send)
            return
        await self._call(scope, _replayed(body, receive), send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """With what Gradio raises before it has answered told in a sentence."""
        path = scope["path"]
        try:
            await self.app(scope, receive, send)
        except TypeError as error:  # a parameter that it does not know
            if "/call/v2/" not in path:
                raise
            await _refuse(422, str(error).split(". ")[0] + ".", scope, receive, send)
        except (FnIndexInferError, KeyError):  # an endpoint that it does not know, by its name or its number
            if "/call/" not in path and not path.endswith("/queue/join"):
                raise
            await _refuse(404, NO_ENDPOINT, scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except TypeError:  # a file without a name
            await _refuse(
                400, "A file is sent under the name files, with a file name of its own.", scope, receive, send
            )


def _host_of(scope: Scope) -> str:
    """The name in the address, without the port; "" where there is none, or several."""
    names = [value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == b"host"]
    if len(names) != 1:
        return ""
    return re.sub(r":\d*$", "", names[0]).rstrip(".")


def _fetches(path: str) -> bool:
    """Whether the path asks Gradio to fetch another address: .../file=http://... or .../proxy=..."""
    name, _, rest = path.partition("=")
    return (
        name.endswith("/proxy")
        or (name.endswith("/file") and "://" in rest.replace(":/", "://"))
        or "/file/http" in path
    )


def _is_awaited(app: Any, event: str) -> bool:
    """Whether the answer of that call is still to be fetched: Gradio lets who asks for another wait without end."""
    queue = app.get_blocks()._queue
    return event in queue.event_ids_to_events or any(
        event in events for events in queue.pending_event_ids_session.values()
    )


def _parsed(body: bytes) -> Any:
    """What a JSON body says; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _mistake(sent: Any, kind: bytes, *, by_name: bool) -> str:
    """Why a call cannot be read, in a sentence; nothing where it can."""
    if not isinstance(sent, dict) or kind != b"application/json":
        return "Send the settings as a JSON object, with the content type application/json."
    if not by_name and not isinstance(sent.get("data"), list):
        return 'Send the values as {"data": [...]}, or by name to /call/v2/.'
    return ""


def _names_address(sent: Any) -> bool:
    """Whether an address is given as a file's path, however deep."""
    waiting = [sent]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "://" in path[:12]:
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


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
