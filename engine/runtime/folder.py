"""The folder of a server's uploads and results: its own, open to nobody else, swept by age, gone when the server ends.

Uploads and results lie in files while a page works on them. Here is the promise that none is left: a sweep removes what
is older than an hour, whoever wrote it and under whatever name, broken-off uploads included; the end of the server,
also by SIGTERM, removes all; what a killed server left, the next one removes before it answers.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("vitrine")

KEPT_S, EVERY_S = 3600.0, 300.0
_VARIABLE = "GRADIO_TEMP_DIR"  # where Gradio puts what arrives and what it serves
_LOCK = ".lock"  # held as long as its server lives


@contextmanager
def private_folder(kept_s: float = KEPT_S, every_s: float = EVERY_S) -> Iterator[Path]:
    """A new folder for everything that this process writes on behalf of its visitors, while it serves.

    It lies in the folder that GRADIO_TEMP_DIR names, or in one of this user's own among the temporary ones. Files are
    for this user alone. To be entered before gradio is imported, which reads the variable once.
    """
    before, umask, tempdir = os.environ.get(_VARIABLE), os.umask(0o077), tempfile.tempdir
    root = Path(before or Path(tempfile.gettempdir(), f"vitrine-{os.getuid() if hasattr(os, 'getuid') else 'pages'}"))
    root.mkdir(parents=True, exist_ok=True)
    remove_ended(root)
    own = Path(tempfile.mkdtemp(prefix="page-", dir=root)).resolve()
    pictures, passing = own / "pictures", own / "tmp"
    for folder in (pictures, passing):
        folder.mkdir()
    lock = (own / _LOCK).open("w")
    _hold(lock.fileno())
    os.environ[_VARIABLE], tempfile.tempdir = str(pictures), str(passing)
    ended = threading.Event()
    threading.Thread(target=_sweeping, args=(own, kept_s, every_s, ended), name="sweep", daemon=True).start()
    try:
        yield own
    finally:
        ended.set()
        tempfile.tempdir = tempdir
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
        lock.close()
        shutil.rmtree(own, ignore_errors=True)
        os.umask(umask)


def _sweeping(own: Path, kept_s: float, every_s: float, ended: threading.Event) -> None:
    while not ended.wait(every_s):
        try:
            sweep(own, time.time() - kept_s)
        except Exception:  # one sweep that fails must not end those after it
            log.exception("a sweep of old pictures failed; the next one tries again")


def sweep(own: Path, before: float) -> int:
    """Remove the files that nobody has written, moved or touched since `before` (seconds as of `time.time`), then the
    folders that are empty since; how many files went.

    What is being written is newer than that. A folder that something is put into at this moment cannot be removed, and
    one that was just made for it is too new.
    """
    gone = 0
    fixed = {own, own / "pictures", own / "tmp"}
    for place, _, names in os.walk(own, topdown=False):
        folder = Path(place)
        for name in names:
            file = folder / name
            if name != _LOCK and _last_use(file) < before:
                with suppress(OSError):
                    file.unlink()
                    gone += 1
        if folder not in fixed and _last_use(folder) < before:
            with suppress(OSError):
                folder.rmdir()
    return gone


def _last_use(path: Path) -> float:
    """A copy may keep its original's time of change, but not that of its own status."""
    try:
        status = path.lstat()
    except OSError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)


def remove_ended(root: Path) -> None:
    """Remove the folders of servers that have ended without doing so, as after SIGKILL."""
    for folder in root.glob("page-*"):
        if _is_free(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            return _hold(file.fileno())
    except FileNotFoundError:  # it has not got so far, or is being removed
        return _last_use(lock.parent) < time.time() - KEPT_S
    except OSError:
        return False


def _hold(file: int) -> bool:
    """Whether the lock is now ours; it is until the file is closed, or the process ends in whatever way."""
    try:
        import fcntl
    except ImportError:  # Windows removes no file that is open
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Ended(SystemExit):
    """A signal asked the process to end; the exit status says which."""


def end_on(signal_number: int, handle: Callable[[int, Callable[..., None]], object]) -> None:
    """Let a signal end the process as an exception would, so that what is opened is closed. handle: `signal.signal`."""

    def end(number: int, _: object) -> None:
        raise Ended(128 + number)

    handle(signal_number, end)
