"""The options of a training: typed, the command line that is derived from them, and what is written down.

Each recipe has a dataclass of its own that adds to `Options`. Every run writes its options into options.json, and
carries them in the header of its weights; going on with other options is refused, so that a run is of one kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import platform
import subprocess
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from engine.contract.errors import RequestError
from engine.settings import ROOT

if TYPE_CHECKING:
    from engine.train.loop import Recipe

FILE = "options.json"
OptionsT = TypeVar("OptionsT", bound="Options")
Precision = Literal["auto", "fp32", "bf16"]


def option(
    default: Any,
    about: str,
    *,
    source: bool = False,
    may_change: bool = False,
    read: Callable[[str], Any] | None = None,
) -> Any:
    """A field of options. source: it names files, and is no number of the recipe's. may_change: between two goes of a
    run. read: what turns an argument's text into a value, where that is not its type.
    """
    return field(default=default, metadata={"about": about, "source": source, "may_change": may_change, "read": read})


def ratio(text: str) -> float:
    """A number such as 1.25 or 5/4, from 0.1 to 10."""
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0.1 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0.1 to 10, such as 4/3.")
    return value


@dataclass(frozen=True)
class Options:
    """The options of every recipe."""

    data: tuple[Path, ...] = option((), "folders or tars of pictures", source=True)
    runs: Path = option(ROOT / "runs", "folder of the run folders", source=True, may_change=True)
    cache: Path | None = option(
        None, "folder for packed pictures; RUNS/cache if not given", source=True, may_change=True
    )
    # A run may be made longer; its learning rate then follows the new length from where it stands.
    steps: int = option(1000, "optimisation steps", may_change=True)
    seed: int = option(0, "the same seed and options give the same weights")
    stop_at: int | None = option(
        None, "stop at this step; the same command goes on from there", source=True, may_change=True
    )
    threads: int | None = option(None, "of the processor; all if not given", source=True, may_change=True)
    device: str = option("cpu", "cpu or cuda: where the arithmetic happens", source=True, may_change=True)
    precision: Precision = option(
        "fp32",
        "of convolutions and products: fp32, bf16, or auto: bf16 where the device multiplies it",
        source=True,
    )
    install: bool = option(False, "copy the trained file into weights/ at the end", source=True, may_change=True)

    @property
    def packed(self) -> Path:
        """The folder for packed pictures."""
        return self.cache or self.runs / "cache"

    def hyperparameters(self) -> dict[str, Any]:
        """The arguments of the recipe itself: all but files, folders and the machine."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.metadata["source"]}

    def check(self) -> None:
        """RequestError with one sentence for a file that is not there, or a number that cannot be."""
        if not self.data:
            raise RequestError("Give the pictures to learn from with --data, folders or tars.")
        named = [getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("runs", "cache")]
        paths = [p for value in named for p in (value if isinstance(value, tuple) else (value,)) if isinstance(p, Path)]
        if missing := [str(path) for path in paths if not path.exists()]:
            raise RequestError(f"There is no {missing[0]}.")
        for name in ("steps", "stop_at", "threads"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise RequestError(f"--{name.replace('_', '-')} must be a number above 0, not {number}.")


@dataclass(frozen=True)
class RecipePreset:
    """A row of a recipe's table: its options, what builds it, and what it reached (see the card of the weight)."""

    options: Options
    build: Callable[[Any], Recipe]
    reached: str = ""


class Parser(argparse.ArgumentParser):
    """One sentence for what cannot be read, such as an option that a recipe does not have."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message[0].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def add_arguments(parser: argparse.ArgumentParser, options: Options) -> None:
    """An argument for each field of the options, with the preset's own values as defaults."""
    hints = typing.get_type_hints(type(options))
    for f in dataclasses.fields(options):
        value, about = getattr(options, f.name), f.metadata["about"].replace("%", "%%")
        flag, kind = f"--{f.name.replace('_', '-')}", hints[f.name]
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help=about)
            continue
        many = typing.get_origin(kind) is tuple
        shown = "" if value in (None, (), "") else f"; {' '.join(map(str, value)) if many else value} unless given"
        parser.add_argument(
            flag,
            default=value,
            nargs="+" if many else None,
            type=f.metadata["read"] or _reader(kind),
            choices=typing.get_args(kind) if typing.get_origin(kind) is Literal else None,
            help=about + shown,
        )


def _reader(kind: Any) -> Callable[[str], Any]:
    """What turns an argument's text into the field's type."""
    if typing.get_origin(kind) is tuple:
        return _reader(typing.get_args(kind)[0])
    if typing.get_origin(kind) is Literal:
        return str
    inner = [part for part in typing.get_args(kind) if part is not type(None)]  # of `Path | None`
    chosen = inner[0] if inner else kind
    assert callable(chosen)
    return typing.cast("Callable[[str], Any]", chosen)


def from_arguments(given: argparse.Namespace, options: OptionsT) -> OptionsT:
    """The options with what the command line gave."""
    names = [f.name for f in dataclasses.fields(options)]
    values: dict[str, Any] = {name: getattr(given, name) for name in names}
    return dataclasses.replace(options, **{k: _as_tuple(v) for k, v in values.items()})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def digest_of(sources: Sequence[Path]) -> str:
    """A hash of the data: of names and sizes of files, and of a folder's files."""
    digest = hashlib.sha256()
    for source in sources:
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        for file in files:
            digest.update(f"{file.relative_to(source.parent).as_posix()} {file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def record(recipe: str, preset: str, options: Options) -> dict[str, Any]:
    """What a run writes down of itself, JSON-ready: all options, and with what and on what it ran."""
    import torch

    values = {f.name: _plain(getattr(options, f.name)) for f in dataclasses.fields(options)}
    return {
        "recipe": recipe,
        "preset": preset,
        "options": values,
        "data": digest_of(options.data),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _plain(value: Any) -> Any:
    """As JSON keeps it; of a path only its name, since the folders above it are the machine's own business."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.name if isinstance(value, Path) else value


def _commit() -> str:
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def write(run: Path, new: Mapping[str, Any], options: Options) -> None:
    """Write options.json into a run folder.

    RequestError, and nothing written, where a run of other options stands there.
    """
    file = run / FILE
    if file.exists() and (run / "checkpoint.pt").exists():
        old = json.loads(file.read_text(encoding="utf-8"))
        if differing := differences(old, new, options):
            raise RequestError(
                f"The run in {run} was begun with other options: {'; '.join(differing)}. "
                "Give the same again, or another folder with --runs."
            )
    run.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], options: Options) -> list[str]:
    """In words, what a run that goes on must not change. The machine, its folders and where to stop may change."""
    may_change = {f.name for f in dataclasses.fields(options) if f.metadata["may_change"]} | {
        "data"
    }  # which has its digest
    before, after = old.get("options", {}), new["options"]
    found = [
        f"{name} was {before[name]} and is {after[name]}"
        for name in after
        if name in before and name not in may_change and before[name] != after[name]
    ]
    if old.get("data") != new["data"]:
        found.append("the data are others")
    if old.get("preset") != new["preset"]:
        found.append(f"the preset was {old.get('preset')} and is {new['preset']}")
    return found
