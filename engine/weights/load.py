"""Each network of a table found, checked, loaded once when first asked for, and kept while there is room."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.runtime.device import is_out_of_memory, multiplies_bf16
from engine.settings import DEFAULTS, Settings
from engine.weights import hub
from engine.weights.index import FOLDER, read_index, sha256_of, with_index
from engine.weights.network import Network, build, format_on
from engine.weights.row import Weight, WeightsUnavailable
from engine.weights.table import TABLE

if TYPE_CHECKING:
    from engine.runtime.device import Device

log = logging.getLogger("vitrine")

_PAUSE_S = 60.0  # after the Hub did not answer, it is not asked again for this long: a chain of steps waits once


class Weights:
    """The networks of a table, each loaded when first asked for. Constructing it imports no torch and no Hub."""

    def __init__(self, device: Device, settings: Settings = DEFAULTS, table: Sequence[Weight] = TABLE) -> None:
        self.table = tuple(table)
        self.device = device
        self._settings = settings
        self._rows = {row.name: row for row in self.table}
        # Plain locks: a generator may be resumed, and closed, by another thread than the one that started it.
        self._loading = {name: threading.Lock() for name in self._rows}
        self._guard = threading.Lock()
        self._loaded: OrderedDict[str, Network] = OrderedDict()
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._silent: tuple[float, str] | None = None  # until when the Hub is not asked, and why

    def find(self, name: str) -> Weight:
        """The row of this name; RequestError when there is none."""
        if name not in self._rows:
            raise RequestError(f"There is no network {name!r}; the networks are {', '.join(self._rows)}.")
        return self._rows[name]

    def embedded(self, task: str) -> Weight:
        """The row that serves `task` without a network connection; RequestError when there is none."""
        for row in self.table:
            if row.embedded and row.task == task:
                return row
        raise RequestError(f"No network for {task} comes with Vitrine.")

    def where(self, name: str) -> str:
        """Where `name` would come from now: "memory", "weights/" or another folder, "cache", "Hub" or "missing"."""
        row = self.find(name)
        with self._guard:
            if name in self._loaded:
                return "memory"
        places = [self._place_of(part) for part in self._parts(row)]
        return "Hub" if "Hub" in places else places[0]

    def _place_of(self, row: Weight) -> str:
        for folder in self._folders():
            if (folder / row.local_file).is_file():
                return "weights/" if folder == FOLDER else str(folder)
        if row.embedded:
            return "missing"
        return "cache" if hub.cached(row) else "Hub"

    def _parts(self, row: Weight) -> tuple[Weight, ...]:
        """The row, and its companion after it."""
        return (row, self.find(row.companion)) if row.companion else (row,)

    def load(self, name: str) -> Generator[Progress, None, Network]:
        """The network of this name; yields Progress (bytes of a download) while it is fetched and built.

        Happens once however many threads ask. Close the generator to stop a download. Raises WeightsUnavailable,
        at the latest when the Hub has been silent for `hub_timeout_s`.
        """
        row, lock = self.find(name), self._loading[name]
        while not lock.acquire(timeout=hub.POLL_S):
            yield Progress(0, 0, f"Waiting for {name}, which is being loaded")
        try:
            if network := self._remembered(name):
                return network
            files = []
            for part in self._parts(row):
                files.append((part, (yield from self._fetch(part))))
            yield Progress(0, 0, f"Loading {name}")
            companions = [build(part, file).module for part, file in files[1:]]
            network = self._place(build(row, files[0][1], *companions))
            self._remember(network)
            return network
        finally:
            lock.release()

    def load_first(self, names: Sequence[str]) -> Generator[Progress, None, tuple[Network, tuple[str, ...]]]:
        """The first of `names` that can be had, and a sentence for each before it that could not.

        WeightsUnavailable when none can be had: the sentence of the last.
        """
        failures: list[WeightsUnavailable] = []
        for name in names:
            try:
                network = yield from self.load(name)
            except WeightsUnavailable as error:
                failures.append(error)
            else:
                return network, tuple(f"{str(error).rstrip('.')}, so {name} was used instead." for error in failures)
        raise failures[-1]

    def _remembered(self, name: str) -> Network | None:
        with self._guard:
            if name in self._loaded:
                self._loaded.move_to_end(name)
            return self._loaded.get(name)

    def _remember(self, network: Network) -> None:
        with self._guard:
            self._loaded[network.weight.name] = network
            while (
                len(self._loaded) > 1 and sum(n.memory for n in self._loaded.values()) > self._settings.network_memory
            ):
                self._loaded.popitem(last=False)

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys([self._settings.weights, FOLDER]))

    def _fetch(self, row: Weight) -> Generator[Progress, None, Path]:
        """A file that holds what the table says."""
        reason = f"{row.local_file} is not in {' or '.join(map(str, self._folders()))}"
        for folder in self._folders():
            file = folder / row.local_file
            if not file.is_file():
                continue
            known = replace(row, size=None, sha256="") if row.embedded else row  # what is embedded is listed beside it
            if (problem := self._problem(file, with_index(known, read_index(folder)))) is None:
                return file
            reason = f"{file} {problem}"
            log.warning("%s is not used: it %s.", file, problem)
        if row.embedded:
            raise WeightsUnavailable(row.name, reason)
        return (yield from self._fetch_from_hub(row))

    def _fetch_from_hub(self, row: Weight) -> Generator[Progress, None, Path]:
        problem = None
        for _ in range(2):
            file = hub.cached(row) or (yield from self._download(row))
            if (problem := self._problem(file, hub.with_etag(row, file))) is None:
                return file
            log.warning("%s is deleted: it %s.", file, problem)
            hub.delete(file)
        raise WeightsUnavailable(row.name, f"{row.file} from the Hub {problem}, also when fetched again")

    def _download(self, row: Weight) -> Generator[Progress, None, Path]:
        if self._silent and time.monotonic() < self._silent[0]:
            raise WeightsUnavailable(row.name, self._silent[1])
        try:
            return (yield from hub.Download(row, self._settings.hub_timeout_s).events())
        except hub.HubUnreachable as error:
            self._silent = time.monotonic() + _PAUSE_S, error.reason
            raise

    def _problem(self, file: Path, row: Weight) -> str | None:
        """What is wrong with `file`, after "it"; None if it has the size and hash that are known."""
        status = file.stat()
        if row.size is not None and status.st_size != row.size:
            return f"has {status.st_size} bytes instead of {row.size}"
        key = (str(file.resolve()), status.st_mtime_ns, status.st_size)
        if row.sha256 and key not in self._hashes:
            self._hashes[key] = sha256_of(file)
        return "does not have the SHA-256 it should have" if row.sha256 and self._hashes[key] != row.sha256 else None

    def _place(self, network: Network) -> Network:
        """Move to the device; when its memory is full, let go of the other networks, then stay on the CPU."""
        import torch

        target = self.device.torch
        for last_try in (False, True):
            try:
                network.to(target, format_on(network.weight, target))
                network.mixed = self._settings.mixed and network.weight.mixed and multiplies_bf16()
                break
            except Exception as error:
                if not is_out_of_memory(error) or target.type == "cpu":
                    raise
                network.to_cpu()
                if last_try:
                    log.warning("%s stays on the CPU: the GPU's memory is full.", network.weight.name)
                with self._guard:
                    self._loaded.clear()
                torch.cuda.empty_cache()
        return network
