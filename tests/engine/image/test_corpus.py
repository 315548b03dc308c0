"""Hostile files of every format, in a process of their own: a picture or a sentence, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import corpus

from engine.settings import ROOT

CPU_S, MEMORY_MB = 5.0, 1000.0  # of a file; of the process, torch and all


def lines(*arguments: str) -> list[dict[str, object]]:
    command = [sys.executable, str(ROOT / "tests" / "support" / "tried.py"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, [row for row in found if str(row["came"]).startswith("raised")] or done.stderr[-2000:]
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures a process by Linux's /proc")
def test_each_is_a_picture_or_a_sentence_in_bounded_time_and_memory(tmp_path: Path) -> None:
    count = 0
    for name, data in corpus():
        (tmp_path / name).write_bytes(data)
        count += 1
    assert count >= 120
    found = lines(str(tmp_path))
    assert len(found) == count
    slow = [row for row in found if float(str(row["cpu_s"])) > CPU_S]
    assert slow == []
    assert max(float(str(row["most_mb"])) for row in found) < MEMORY_MB
    came = {str(row["file"]): row["came"] for row in found}
    assert all(came[name] == "picture" for name in came if "-whole." in name)
    for name in ("scans.jpg", "strips.tif", "profile.png"):
        assert came[name] != "picture" or name == "profile.png"


def test_flipped_files_are_never_more_than_a_sentence() -> None:
    """`make fuzz` tries 2,000."""
    assert len(lines("--fuzz", "60", "1")) == 60
