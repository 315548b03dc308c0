"""Each network is loaded once, from the first place that has it, checked, and kept while there is room."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hub import Hub, serve_hub  # noqa: F401 (the fixture)
from tint import BY_NAME, Tint, finish, load, refusal, shelf, tint_bytes, tint_from_state_dict, tint_row
from torch import Tensor

from engine.contract.errors import RequestError
from engine.settings import ROOT, Settings
from engine.weights import Network, Weights, WeightsUnavailable
from engine.weights.index import sha256_of, write_index

BIG = 3_000_000  # bytes: three seconds from a slow Hub


def test_neither_torch_nor_the_hub_is_imported_before_a_network_is_asked_for() -> None:
    code = (
        "import sys; from engine.runtime.device import Device; from engine.weights import Weights; Weights(Device());"
        "print([m for m in ('torch', 'huggingface_hub', 'spandrel') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_eight_threads_that_ask_at_once_load_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(state: dict[str, Tensor]) -> Tint:
        built.append(threading.current_thread())
        time.sleep(0.5)
        return tint_from_state_dict(state)

    monkeypatch.setitem(sys.modules, "counting", SimpleNamespace(build=build))
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    weights = shelf((tint_row(builder="counting:build"),), tmp_path)
    networks: list[Network] = []
    threads = [threading.Thread(target=lambda: networks.append(load(weights, "tint"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(networks) == 8
    assert len({id(network) for network in networks}) == 1


def test_a_load_that_is_closed_by_another_thread_leaves_the_way_free(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    weights = shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path)
    work = weights.load("tint")
    next(work)
    closer = threading.Thread(target=work.close)
    closer.start()
    closer.join()
    hub.body_mode = "ok"
    assert load(weights, "tint")


def test_the_least_recently_used_network_leaves_and_stays_valid_for_its_user(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.safetensors").write_bytes(tint_bytes(100_000))
    weights = shelf(tuple(tint_row(name) for name in "abc"), tmp_path, network_memory=900_000)
    a, b = load(weights, "a"), load(weights, "b")
    assert load(weights, "a") is a
    load(weights, "c")
    assert [weights.where(name) for name in "abc"] == ["memory", str(tmp_path), "memory"]
    assert b(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)
    assert load(weights, "a") is a
    assert load(weights, "b") is not b


def test_a_network_larger_than_the_budget_is_loaded_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes(1000))
    weights = shelf((tint_row(),), tmp_path, network_memory=10)
    assert load(weights, "tint") is load(weights, "tint")


class Crowded(Tint):
    """A network that fits on no device but the CPU."""

    def to(self, *place: Any, **how: Any) -> Crowded:
        if torch.device(place[0]).type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().to(*place, **how)


def test_a_network_that_does_not_fit_on_the_gpu_stays_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "crowded", SimpleNamespace(build=lambda state: Crowded()))
    for name in ("tint", "other"):
        (tmp_path / f"{name}.safetensors").write_bytes(tint_bytes())
    device = SimpleNamespace(torch=torch.device("cpu"))
    weights = Weights(
        device, Settings(weights=tmp_path), (tint_row(builder="crowded:build", half=True), tint_row("other"))
    )
    load(weights, "other")
    device.torch = torch.device("meta")  # stands for a GPU
    network = load(weights, "tint")
    assert network.device.type == "cpu"
    assert network.dtype == torch.float32
    assert weights.where("other") != "memory", "the others made room first"
    assert network(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)


def test_a_file_in_the_folder_of_the_settings_is_taken_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    (tmp_path / "tint.safetensors").write_bytes(hub.files["some/tint/tint.safetensors"])
    weights = shelf((row,), tmp_path)
    assert weights.where("tint") == str(tmp_path)
    assert load(weights, "tint")
    assert not hub.requests


def test_a_spoiled_file_in_the_folder_is_passed_over_but_left_alone(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    (tmp_path / "tint.safetensors").write_bytes(bytes(row.size or 0))
    assert load(shelf((row,), tmp_path), "tint")
    assert hub.downloads() == 1
    assert (tmp_path / "tint.safetensors").read_bytes() == bytes(row.size or 0)


def test_an_embedded_file_is_checked_against_the_index_beside_it(tmp_path: Path) -> None:
    row = tint_row(repo="")
    weights = shelf((row,), tmp_path)
    assert weights.where("tint") == "missing"
    assert "tint.safetensors is not in" in refusal(weights, "tint")
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    assert write_index(tmp_path, (row,))["tint"]["size"] == (tmp_path / "tint.safetensors").stat().st_size
    assert load(weights, "tint")
    spoiled = bytearray((tmp_path / "tint.safetensors").read_bytes())
    spoiled[-1] ^= 1
    (tmp_path / "tint.safetensors").write_bytes(spoiled)
    assert "does not have the SHA-256 it should have" in refusal(shelf((row,), tmp_path), "tint")
    (tmp_path / "tint.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "has 43 bytes instead of" in refusal(shelf((row,), tmp_path), "tint")


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    true_hash = sha256_of
    monkeypatch.setattr("engine.weights.load.sha256_of", lambda file: hashed.append(file) or true_hash(file))
    file = tmp_path / "tint.safetensors"
    file.write_bytes(tint_bytes())
    weights = shelf((), tmp_path)
    row = tint_row(sha256=true_hash(file))
    assert [weights._problem(file, row) for _ in range(3)] == [None] * 3
    assert len(hashed) == 1
    os.utime(file, (1, 1))
    assert weights._problem(file, row) is None
    assert len(hashed) == 2


def test_the_next_name_answers_when_the_hub_does_not(hub: Hub, tmp_path: Path) -> None:
    hub.mode = 500
    (tmp_path / "restore.safetensors").write_bytes(tint_bytes())
    weights = shelf((BY_NAME["scunet"], tint_row("restore", repo="")), tmp_path)
    (network, sentences), _ = finish(weights.load_first(["scunet", "restore"]))
    assert network.weight.name == "restore"
    assert sentences == (
        "scunet could not be loaded because the Hub is out of order (HTTP 500), so restore was used instead.",
    )
    assert finish(weights.load_first(["restore", "scunet"]))[0][1] == ()
    with pytest.raises(WeightsUnavailable, match="scunet could not"):
        finish(weights.load_first(["scunet"]))


def test_an_unknown_name_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no network 'magic'; the networks are tint"):
        load(shelf((tint_row(),), tmp_path), "magic")


def test_the_sentence_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(WeightsUnavailable("tint", "it rains")))
    assert str(error) == "tint could not be loaded because it rains."
