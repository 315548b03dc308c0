"""Which networks may be used for a step, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.generate import categories_of
from engine.runtime.device import Device

if TYPE_CHECKING:
    from engine.weights import Network, Weight


def choose(
    tasks: Sequence[str], wish: str, table: Sequence[Weight], *, on_gpu: bool, behind: bool = True
) -> dict[str, tuple[str, ...]]:
    """The names to try for each of `tasks`, the best first; an empty tuple means that no network is allowed.

    wish: "auto" tries the Hub's networks first on a GPU, and on a CPU only where nothing is embedded; "embedded" and
    "hub" are those alone, with the embedded network behind the Hub's; names from the table, separated by
    commas, each come first for the task they serve, with the embedded one behind them where `behind`. RequestError for
    a name that serves none of the tasks. A GPU makes no difference to "generate": the Hub's generator draws other
    pictures, not the same ones better.
    """
    serving = {row.name: row.task for row in table if row.task in tasks}
    ours = {row.name for row in table if row.embedded}
    names = [] if wish in ("auto", "embedded", "hub") else [name.strip() for name in wish.split(",")]
    for name in names:
        if name not in serving:
            raise RequestError(
                f"No network {name!r} serves {' or '.join(tasks)}; choose auto, embedded, hub, or from"
                f" {', '.join(serving)}."
            )

    def candidates(task: str) -> tuple[str, ...]:
        embedded = [name for name in serving if serving[name] == task and name in ours]
        hub = [name for name in serving if serving[name] == task and name not in ours]
        if named := [name for name in names if serving[name] == task]:
            return tuple(dict.fromkeys(named + embedded * behind))
        if wish == "embedded":
            return tuple(embedded)
        if wish == "hub" or (on_gpu and task != "generate") or not embedded:
            return tuple(hub + embedded)
        return tuple(embedded)

    return {task: candidates(task) for task in tasks}


def knowing(category: str, wish: str, table: Sequence[Weight]) -> tuple[Weight, ...]:
    """The table without the generators that have not learned `category`; RequestError where `wish` names one, or leaves
    none.
    """
    left = tuple(row for row in table if row.task != "generate" or category in categories_of(row.name))
    lost = {row.name for row in table} - {row.name for row in left}
    for name in (name.strip() for name in wish.split(",")):
        if name in lost:
            raise RequestError(
                f"The network {name} has not learned {category}; it knows {', '.join(categories_of(name))}."
            )
    if not any(row.task == "generate" and (row.embedded or wish != "embedded") for row in left):
        raise RequestError(f"No network that comes with Vitrine has learned {category}.")
    return left


def place(networks: Iterable[Network], device: Device) -> str:
    """Where these ran, for people: the device's name, or "CPU" when all of them are there."""
    return device.name if any(network.device.type != "cpu" for network in networks) else "CPU"
