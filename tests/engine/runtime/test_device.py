"""The device: one at work, the others wait, who leaves frees it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from engine.contract.events import Event, Progress
from engine.runtime.device import Device, configure, is_out_of_memory
from engine.settings import ROOT


def steps(log: list[str], name: str, count: int = 3) -> Iterator[Event]:
    try:
        for k in range(count):
            log.append(f"{name}{k}")
            yield Progress(k, count, name)
    finally:
        log.append(f"{name} ends")


def test_events_pass_through_unchanged() -> None:
    assert [e.done for e in Device().exclusively(steps([], "a"))] == [0, 1, 2]


def test_a_second_request_waits_and_says_so_until_the_first_ends() -> None:
    device, log = Device(), []
    first, second = device.exclusively(steps(log, "a")), device.exclusively(steps(log, "b"))
    next(first)
    assert "Waiting" in next(second).message
    assert log == ["a0"]
    assert len(list(first)) == 2
    assert next(second).message == "b"


def test_closing_the_first_lets_the_second_begin_at_once() -> None:
    device, log = Device(), []
    first, second = device.exclusively(steps(log, "a")), device.exclusively(steps(log, "b"))
    next(first)
    first.close()
    assert log == ["a0", "a ends"]
    assert next(second).message == "b"


def test_a_waiter_that_leaves_takes_nothing_with_it() -> None:
    device, log = Device(), []
    first, waiter = device.exclusively(steps(log, "a")), device.exclusively(steps(log, "b"))
    next(first)
    next(waiter)
    waiter.close()
    list(first)
    assert [e.message for e in device.exclusively(steps([], "c"))] == ["c"] * 3
    assert "b0" not in log


def test_an_error_frees_the_device() -> None:
    def failing() -> Iterator[Event]:
        yield Progress(0, 1, "soon")
        raise ZeroDivisionError

    device = Device()
    with pytest.raises(ZeroDivisionError):
        list(device.exclusively(failing()))
    assert len(list(device.exclusively(steps([], "a")))) == 3


def test_a_generator_may_be_resumed_and_closed_by_another_thread() -> None:
    device, log = Device(), []
    events = device.exclusively(steps(log, "a"))
    next(events)
    thread = threading.Thread(target=events.close)
    thread.start()
    thread.join(20)
    assert next(device.exclusively(steps(log, "b"))).message == "b"


def test_many_threads_never_work_at_the_same_time() -> None:
    device, working, most = Device(), [], []

    def work() -> Iterator[Event]:
        for k in range(20):
            working.append(k)
            most.append(len(working))
            yield Progress(k, 20, "working")
            working.pop()

    threads = [threading.Thread(target=lambda: list(device.exclusively(work()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 160
    assert set(most) == {1}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
            " allocate 4000000000000 bytes."
        ),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_running_out_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_torch_itself_reports_memory_in_a_way_that_is_recognised() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory"), KeyError("x")]
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_the_device_has_a_name_for_people() -> None:
    import torch

    device = Device()
    assert device.torch.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device.name == ("CPU" if not torch.cuda.is_available() else torch.cuda.get_device_name(0))


def test_settings_of_the_allocator_are_idempotent_and_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    configure()
    configure()
    import os

    assert os.environ.pop("OMP_WAIT_POLICY") == "PASSIVE"
    monkeypatch.setenv("VITRINE_ALLOCATOR", "default")
    configure()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_making_a_device_imports_no_torch() -> None:
    code = "import sys, engine.runtime.device as d; d.configure(); d.Device(); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
