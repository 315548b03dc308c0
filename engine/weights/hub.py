"""The Hub and its cache: whether a file is there, how it comes, and why it does not; the only place that imports
huggingface_hub. Where both are (HF_ENDPOINT, HF_HUB_CACHE) the library reads from the environment itself.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.weights.row import Weight, WeightsUnavailable

log = logging.getLogger("vitrine")

POLL_S = 0.2  # how often a download or a wait reports, and can be cancelled
_LEAST_BYTES = 1 << 16  # a download that brings less than this within the timeout has stalled
_counting = threading.Lock()
_downloads = 0
_before: tuple[Any, Any] = (None, None)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HubUnreachable(WeightsUnavailable):
    """The Hub as a whole did not answer: another file would wait just as long."""


def _client() -> ModuleType:
    """huggingface_hub, imported when first needed."""
    import huggingface_hub

    return huggingface_hub


@contextmanager
def _watched() -> Iterator[None]:
    """While any download is on: bytes are handed on as they arrive, and Xet's threads are not used.

    In pieces of 10 MB progress would stand still on a slow line, a stall would look like slowness, and a stop
    would wait for the piece. Xet's transfers run in threads that Python cannot stop; the plain way has the same files.
    The library has these as constants of its module alone; they are as they were when the last download has ended.
    """
    from huggingface_hub import constants

    global _downloads, _before
    with _counting:
        if not _downloads:
            _before = (constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET)
            constants.DOWNLOAD_CHUNK_SIZE = None  # type: ignore[assignment]
            constants.HF_HUB_DISABLE_XET = True
        _downloads += 1
    try:
        yield
    finally:
        with _counting:
            _downloads -= 1
            if not _downloads:
                constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET = _before


def cached(row: Weight) -> Path | None:
    """The file in the Hub's cache, whether or not it is sound."""
    found = _client().try_to_load_from_cache(row.repo, row.file, revision=row.revision)
    return Path(found) if isinstance(found, str) else None


def with_etag(row: Weight, file: Path) -> Weight:
    """Where the table knows no hash, the Hub's own: the cache names a large file after its SHA-256."""
    name = file.resolve().name
    return replace(row, sha256=name) if not row.sha256 and _SHA256.fullmatch(name) else row


def delete(file: Path) -> None:
    """Remove a file of the Hub's cache and all that its links lead to, or the next download would find it again."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


class _Stopped(Exception):
    """Raised inside huggingface_hub's progress bar to end a download that no one waits for."""


class Download:
    """One file on its way from the Hub, in a thread that stops when its caller leaves."""

    def __init__(self, row: Weight, timeout_s: float) -> None:
        self.row, self.timeout_s = row, timeout_s
        self.done, self.total = 0, row.size or 0
        self._file: Path | None = None
        self._error: BaseException | None = None
        self._finished, self._stopped = threading.Event(), threading.Event()

    def events(self) -> Generator[Progress, None, Path]:
        """Progress in bytes until the file is there; WeightsUnavailable, with the reason, when it will not come."""
        threading.Thread(target=self._run, name=f"download {self.row.name}", daemon=True).start()
        mark, since = 0, time.monotonic()
        try:
            while not self._finished.wait(POLL_S):
                if self.done - mark >= _LEAST_BYTES:
                    mark, since = self.done, time.monotonic()
                elif time.monotonic() - since > self.timeout_s:
                    raise HubUnreachable(self.row.name, self._silence())
                yield Progress(self.done, self.total, self._message())
        finally:
            self._stopped.set()
        if self._file is None:
            raise self._unavailable(self._error) from self._error
        return self._file

    def _run(self) -> None:
        try:
            client, row = _client(), self.row
            # Asked for by itself first: hf_hub_download repeats for half a minute before it reports what was wrong.
            client.get_hf_file_metadata(
                client.hf_hub_url(row.repo, row.file, revision=row.revision), timeout=self.timeout_s
            )
            with _watched():
                found = client.hf_hub_download(
                    row.repo,
                    row.file,
                    revision=row.revision,
                    etag_timeout=self.timeout_s,
                    tqdm_class=self._bar(),
                )
            self._file = Path(found)
        except BaseException as error:
            self._error = error
        finally:
            self._finished.set()

    def _bar(self) -> type:
        download = self

        class Bar:
            """As much of a tqdm as huggingface_hub uses. A server that ignores ranges begins again: `done` stays the
            most that was reached.
            """

            def __init__(self, *, total: int | None = None, initial: int = 0, **_: Any) -> None:
                download.total = total or download.total
                self.position = initial
                self.update(0)

            def update(self, count: int = 1) -> None:
                if download._stopped.is_set():
                    raise _Stopped
                self.position += count
                download.done = max(download.done, self.position)

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None:
                pass

        return Bar

    def _message(self) -> str:
        if not self.done:
            return f"Asking the Hub for {self.row.name}"
        return f"Downloading {self.row.name}, {self._amount()}"

    def _amount(self) -> str:
        return f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB" if self.total else f"{self.done / 1e6:.1f} MB"

    def _silence(self) -> str:
        if not self.done:
            return f"the Hub did not answer within {self.timeout_s:g} s"
        return f"the download stalled for {self.timeout_s:g} s after {self._amount()}"

    def _unavailable(self, error: BaseException | None) -> WeightsUnavailable:
        reason, unreachable = reason_of(error)
        return (HubUnreachable if unreachable else WeightsUnavailable)(self.row.name, reason or self._silence())


_ANSWERS = {
    401: "wants a token",
    403: "does not give access",
    404: "does not have it",
    429: "has had too many requests",
}


def reason_of(error: BaseException | None) -> tuple[str, bool]:
    """Why the Hub gave no file, after "because" ("" for a timeout), and whether the Hub as a whole is out of reach."""
    from huggingface_hub import errors

    causes = list(_causes(error))
    # The HTTP client has changed under huggingface_hub more than once; the names of its errors have not.
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    statuses = [
        status
        for cause in causes
        if isinstance(status := getattr(getattr(cause, "response", None), "status_code", None), int)
    ]
    if "OfflineModeIsEnabled" in kinds:
        return "the machine is set to offline (HF_HUB_OFFLINE) and the file is not in the Hub's cache", False
    if statuses:
        answer = _ANSWERS.get(statuses[0], "is out of order" if statuses[0] >= 500 else "refused")
        return f"the Hub {answer} (HTTP {statuses[0]})", False
    if kinds & {"TimeoutException", "TimeoutError"}:
        return "", True
    if kinds & {"ConnectError", "ProxyError"}:
        return "the Hub cannot be reached", True
    if "TransportError" in kinds or any("Consistency check" in str(cause) for cause in causes):
        return "the download broke off", False
    if any(isinstance(cause, errors.FileMetadataError) for cause in causes):
        return "what answered is not the Hub", False
    if denials := [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]:
        return f"the file could not be written ({denials[0]})", False
    log.error("A download failed", exc_info=error)
    return f"of an unexpected error ({type(error).__name__})", False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def pin(row: Weight) -> Weight:
    """The row with the revision, size and hash that the Hub has for it now: one call."""
    info = _client().HfApi().model_info(row.repo, files_metadata=True, timeout=30)
    found = next((file for file in info.siblings or () if file.rfilename == row.file), None)
    if found is None:
        raise RequestError(f"{row.repo} has no file {row.file}.")
    return replace(row, revision=info.sha, size=found.size, sha256=found.lfs.sha256 if found.lfs else "")
