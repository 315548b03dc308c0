"""The bench: fresh processes in turn, and a ratio."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from engine import bench
from engine.weights import TABLE


def test_processes_take_turns_and_the_ratio_is_that_of_the_medians(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = []

    def process(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--times" in command
        assert "OMP_WAIT_POLICY" not in env
        kinds.append(env["VITRINE_ALLOCATOR"])
        times = [3.0, 2.9, 99.0] if kinds[-1] == "default" else [1.5, 1.4, 1.6]
        return subprocess.CompletedProcess(command, 0, json.dumps(times))

    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(subprocess, "run", process)
    assert bench.main(["allocator", "--rounds", "2"]) == 0
    assert kinds == ["default", "tuned"] * 4
    said = "restore, 1000 x 1000 px, {}: 3.00 s by default, 1.50 s tuned, 2.00x\n"
    assert capsys.readouterr().out == said.format("alone") + said.format("beside a busy process")
    assert bench.main(["allocator", "--json"]) == 0
    ratio = {"default_s": 3.0, "tuned_s": 1.5, "ratio": 2.0}
    assert json.loads(capsys.readouterr().out) == {"alone": ratio, "beside a busy process": ratio}


def test_the_neighbour_is_there_while_it_is_measured_and_gone_after(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Process:
        def __init__(self, command: list[str]) -> None:
            started.append(self)
            self.killed = False

        def kill(self) -> None:
            self.killed = True

        def wait(self) -> None:
            pass

    monkeypatch.setattr(subprocess, "Popen", Process)
    with bench._busy(False):
        assert not started
    with bench._busy(True):
        assert not started[0].killed
    assert started[0].killed


def test_a_process_measures_each_picture_but_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--times", "--size", "40", "--runs", "3"]) == 0
    times = json.loads(capsys.readouterr().out)
    assert len(times) == 3
    assert all(0 < seconds < 60 for seconds in times)


def test_formats_are_compared_on_the_calls_of_one_request(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "restore", "matte", "--size", "96", "--rounds", "1", "--json"]
    assert bench.main(only) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["restore", "matte"]
    for row in found.values():
        assert row["fp32_s"] / row["bf16_s"] == row["ratio"]
        assert 0 < row["moved"] < 1
        assert row["taken"] == "fp32"  # as conftest says of every processor


def test_every_network_that_makes_pictures_is_known_to_the_bench() -> None:
    missed = [row.name for row in TABLE if row.embedded and bench._asked(row, "photo.png", "mask.png") is None]
    assert missed == ["features"]  # called for its gradients
