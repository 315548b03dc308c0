"""The real huggingface_hub client against `tests/support/hub.py`: downloads, every way to fail, the cache, offline
mode, pinning.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hub import COMMIT, Hub, checkpoint, point_to, serve_hub  # noqa: F401 (the fixture)
from tint import BY_NAME, finish, load, refusal, shelf, tint_bytes, tint_row

from engine.runtime.tiles import Tiling
from engine.settings import ROOT
from engine.weights import Network, Weight
from engine.weights.__main__ import main

BIG = 3_000_000  # bytes: three seconds from a slow Hub


def test_a_download_is_heard_of_checked_and_kept_in_the_cache(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    row = hub.publish(tint_row(), tint_bytes(BIG // 10))
    network, heard = finish(shelf((row,), tmp_path).load("tint"))
    assert isinstance(network, Network)
    amounts = [event.done for event in heard if event.total == row.size]
    assert amounts == sorted(amounts)
    assert len({amount for amount in amounts if amount > 0}) > 3
    assert any(
        event.message.startswith("Downloading tint, ") and event.message.endswith("of 1.2 MB") for event in heard
    )
    requests = len(hub.requests)
    assert load(shelf((row,), tmp_path), "tint")
    assert len(hub.requests) == requests, "the cache answers without a question to the Hub"


def test_closing_the_generator_stops_the_download(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    weights = shelf((hub.publish(tint_row("long"), tint_bytes(BIG)),), tmp_path)
    work = weights.load("long")
    for event in work:
        if event.done:
            break
    work.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "download long" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "twelve megabytes would take 12 s"
        time.sleep(0.05)
    assert not list((tmp_path / "hub").rglob("*.incomplete"))
    assert weights.where("long") == "Hub"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (401, "the Hub wants a token (HTTP 401)"),
        (403, "the Hub does not give access (HTTP 403)"),
        (404, "the Hub does not have it (HTTP 404)"),
        (429, "the Hub has had too many requests (HTTP 429)"),
        (500, "the Hub is out of order (HTTP 500)"),
        (503, "the Hub is out of order (HTTP 503)"),
        (418, "the Hub refused (HTTP 418)"),
        ("foreign", "what answered is not the Hub"),
    ],
)
def test_a_hub_that_refuses_is_one_sentence_at_once(mode: str | int, reason: str, hub: Hub, tmp_path: Path) -> None:
    weights = shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path, hub_timeout_s=120)
    hub.mode = mode
    started = time.monotonic()
    assert refusal(weights, "tint") == f"tint could not be loaded because {reason}."
    assert time.monotonic() - started < 30, "no waiting for a Hub that has answered"
    hub.mode = "ok"
    assert load(weights, "tint")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("silent", "the Hub did not answer within 2 s"), ("stall", "the download stalled for 2 s after 1.5 of 3.0 MB")],
)
def test_a_hub_that_falls_silent_is_not_waited_for(mode: str, reason: str, hub: Hub, tmp_path: Path) -> None:
    rows = hub.publish(tint_row(), tint_bytes(BIG // 4)), tint_row("other", repo="some/other")
    weights = shelf(rows, tmp_path, hub_timeout_s=2)
    hub.mode, hub.body_mode = ("silent", "ok") if mode == "silent" else ("ok", mode)
    started = time.monotonic()
    assert refusal(weights, "tint") == f"tint could not be loaded because {reason}."
    assert time.monotonic() - started < 12
    requests = len(hub.requests)
    assert refusal(weights, "other") == f"other could not be loaded because {reason}."
    assert len(hub.requests) == requests, "the next network of a chain does not wait again"


def test_a_hub_that_drips_is_not_waited_for(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "drip"
    started = time.monotonic()
    assert "the download stalled for 2 s after 0.0 of" in refusal(
        shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path, hub_timeout_s=2), "tint"
    )
    assert time.monotonic() - started < 12


def test_a_slow_download_may_take_longer_than_the_timeout(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"  # 3 MB in 3 s
    assert load(shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path, hub_timeout_s=2), "tint")


@pytest.mark.parametrize(
    ("mode", "reason"), [("truncated", "the download stalled"), ("short", "the download broke off")]
)
def test_a_body_that_breaks_off_is_one_sentence(mode: str, reason: str, hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = mode
    weights = shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path, hub_timeout_s=3)
    assert reason in refusal(weights, "tint")
    assert weights.where("tint") == "Hub"


def test_a_refused_connection_is_one_sentence(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to("http://127.0.0.1:1", monkeypatch)
    assert (
        refusal(shelf((tint_row(),), tmp_path), "tint") == "tint could not be loaded because the Hub cannot be reached."
    )


def test_a_cache_that_cannot_be_written_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file where the cache should be")
    assert "the file could not be written" in refusal(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")


def test_a_wrong_hash_is_fetched_again_once(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "wrong-once"
    assert load(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")
    assert hub.downloads() == 2


@pytest.mark.parametrize("pinned", [True, False], ids=["hash in the table", "hash from the Hub"])
def test_a_hash_that_stays_wrong_is_said_and_nothing_is_kept(pinned: bool, hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "wrong"
    weights = shelf((hub.publish(tint_row(), tint_bytes(), pinned=pinned),), tmp_path)
    assert "tint.safetensors from the Hub does not have the SHA-256 it should have, also when fetched again" in refusal(
        weights, "tint"
    )
    assert hub.downloads() == 2
    assert weights.where("tint") == "Hub"
    assert not [file for file in (tmp_path / "hub").rglob("*") if file.is_file() and "blobs" in file.parts]


def test_a_file_that_rotted_in_the_cache_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    load(shelf((row,), tmp_path), "tint")
    [blob] = (tmp_path / "hub").rglob("blobs/*")
    blob.write_bytes(b"rotten")
    assert load(shelf((row,), tmp_path), "tint")
    assert hub.downloads() == 2


def test_a_file_stored_with_xet_comes_the_plain_way(hub: Hub, tmp_path: Path) -> None:
    hub.headers = {
        "X-Xet-Hash": "ab" * 32,
        "X-Xet-Refresh-Route": f"{hub.url}/api/models/some/tint/xet-read-token/main",
    }
    assert load(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")
    assert not [request for request in hub.requests if "xet" in request]


def test_offline_mode_asks_no_one_and_says_so(hub: Hub, tmp_path: Path) -> None:
    code = """
from engine import Studio
from engine.weights import WeightsUnavailable
try:
    list(Studio().weights.load("scunet"))
except WeightsUnavailable as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VITRINE_WEIGHTS": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    reason = "the machine is set to offline (HF_HUB_OFFLINE) and the file is not in the Hub's cache"
    assert answer.stdout.strip() == f"scunet could not be loaded because {reason}."
    assert not hub.requests


def test_offline_mode_still_uses_the_cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    load(shelf((row,), tmp_path), "tint")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load(shelf((row,), tmp_path), "tint")


def test_pin_prints_the_row_to_paste(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    pinned = hub.publish(BY_NAME["vgg19"], checkpoint("vgg19"))
    assert main(["pin", "vgg19"]) == 0
    printed = capsys.readouterr().out
    row = eval(printed.strip().removesuffix(","), {"Weight": Weight, "Tiling": Tiling})
    assert row == replace(pinned, revision=COMMIT, measured={})
    assert f'revision="{COMMIT}"' in printed
    assert len(hub.requests) == 1


def test_pin_says_in_one_sentence_why_not(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.mode = 404
    assert main(["pin", "scunet"]) == 2
    assert capsys.readouterr().err == "scunet could not be pinned because the Hub does not have it (HTTP 404).\n"
    hub.mode = "ok"
    hub.files["deepinv/scunet/other.pth"] = b""
    assert main(["pin", "scunet"]) == 2
    assert capsys.readouterr().err == "deepinv/scunet has no file scunet_color_real_psnr.pth.\n"
    with pytest.raises(SystemExit):
        main(["pin", "features"])
