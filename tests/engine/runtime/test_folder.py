"""The folder of a server's pictures: private, swept by age, gone at the end, and after one that was killed."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from engine.runtime.folder import KEPT_S, end_on, private_folder, remove_ended, sweep


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_it_is_for_this_user_alone_and_gone_afterwards(root: Path) -> None:
    tempdir = tempfile.tempdir
    with private_folder() as own:
        assert own.parent == root
        assert os.environ["GRADIO_TEMP_DIR"] == str(own / "pictures")
        with tempfile.NamedTemporaryFile(delete=False) as file:
            written = Path(file.name)
        (own / "pictures" / "photo.jpg").write_bytes(b"x")
        assert written.is_relative_to(own)
        for path in own.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert list(root.iterdir()) == []
    assert os.environ["GRADIO_TEMP_DIR"] == str(root)
    assert tempfile.tempdir == tempdir


def test_it_is_gone_after_an_error_too(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), private_folder():
        raise KeyboardInterrupt
    assert list(root.iterdir()) == []


def test_what_is_older_than_an_hour_goes_under_whatever_name(root: Path) -> None:
    with private_folder() as own:
        names = ["pictures/a1b2/photo.jpg", "tmp/upload_broken_off", "pictures/stray", "tmp/deep/er/file"]
        for name in names:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(b"x")
        os.utime(own / "pictures/a1b2/photo.jpg", (0, 0))  # a copy that keeps its original's time
        assert sweep(own, time.time() - KEPT_S) == 0
        assert sweep(own, time.time() + 1) == len(names)
        assert sorted(path.name for path in own.iterdir()) == [".lock", "pictures", "tmp"]
        assert not [path for path in own.rglob("*") if path.name not in (".lock", "pictures", "tmp")]


def test_sweeps_go_on_while_uploads_arrive(root: Path) -> None:
    """Nothing new is ever taken, and no sweep fails."""
    with private_folder() as own:
        kept: list[Path] = []
        done = threading.Event()

        def upload() -> None:
            for k in range(300):
                folder = own / "pictures" / f"{k % 7}" / f"{k}"
                folder.mkdir(parents=True)
                (folder / "photo.jpg").write_bytes(b"x")
                kept.append(folder / "photo.jpg")
            done.set()

        threading.Thread(target=upload).start()
        while not done.is_set():
            sweep(own, time.time() - KEPT_S)
        assert all(file.exists() for file in kept)


def test_it_is_swept_by_itself_and_a_sweep_that_fails_is_not_the_last(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.runtime import folder

    calls = []

    def failing(own: Path, before: float) -> int:
        calls.append(before)
        if len(calls) == 1:
            raise OSError("no disk")
        return sweep(own, before)

    monkeypatch.setattr(folder, "sweep", failing)
    with private_folder(kept_s=-1, every_s=0.01) as own:
        (own / "pictures" / "photo.jpg").write_bytes(b"x")
        until = time.monotonic() + 10
        while (own / "pictures" / "photo.jpg").exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert not (own / "pictures" / "photo.jpg").exists()


def test_what_a_killed_server_left_is_removed_and_what_a_living_one_has_is_not(root: Path) -> None:
    with private_folder() as living:
        killed = root / "page-killed"
        (killed / "pictures").mkdir(parents=True)
        (killed / ".lock").touch()
        (killed / "pictures" / "photo.jpg").write_bytes(b"x")
        starting = root / "page-starting"
        starting.mkdir()
        (root / "somebody else's").mkdir()
        remove_ended(root)
        assert sorted(root.iterdir()) == sorted([living, starting, root / "somebody else's"])


def test_a_signal_ends_the_process_as_an_exception_would() -> None:
    handlers = {}
    end_on(signal.SIGTERM, handlers.__setitem__)
    with pytest.raises(SystemExit) as ended:
        handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert ended.value.code == 143
