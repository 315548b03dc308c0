"""`python app.py` as a host runs it: what visitors sent is gone when it ends, however it ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image
from serving import free_port, upload

from engine.settings import ROOT


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The app, once it answers, with its pictures in a folder below `folder`."""
    port = free_port()
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder), "VITRINE_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                httpx.get(url, timeout=30)
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < until, "it does not answer"
                time.sleep(0.1)
        yield process, url
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="of signals and permissions")
def test_what_was_uploaded_is_gone_after_sigterm_and_after_a_kill_with_the_next_start(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), "red").save(photo)
    folder = tmp_path / "pages"
    folder.mkdir()
    with running(folder) as (process, url):
        there = Path(upload(url, photo)["path"])
        assert there.is_relative_to(folder)
        assert stat.S_IMODE(there.stat().st_mode) == 0o600
        assert stat.S_IMODE(there.parent.stat().st_mode) == 0o700
        assert httpx.get(url, headers={"host": "attacker.example"}).status_code == 403
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert there.exists()
    with running(folder) as (process, url):
        assert not there.exists()
        there = Path(upload(url, photo)["path"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        assert list(folder.iterdir()) == []
