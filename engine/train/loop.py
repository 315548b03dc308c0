"""The loop that every recipe shares: steps, checkpoints, exact resume, progress, samples, a loss plot.

A recipe's batch is a function of (seed, step) and of nothing else, so going on from a checkpoint gives the same
weights as never having stopped.
"""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.train import placing

LOG = logging.getLogger("vitrine")
BEST_BY = "kernel_distance"  # the metric that says which snapshot is the best; less is better


class Recipe:
    """What a recipe gives the loop. Modules and optimizers put into the two dicts are checkpointed by name.

    Subclasses set `name` and `steps`, fill `modules` and `optimizers`, and write `step`, `sample` and `export`.
    A recipe whose `measure` gives the metric BEST_BY ships its best snapshot, not its last.
    """

    name: str
    steps: int
    seed: int = 0
    sample_every: int = 1000
    device = torch.device("cpu")
    dtype = torch.float32  # of convolutions and products; losses and optimizers are in float32 always

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def rng(self, step: int) -> np.random.Generator:
        """The only source of chance in step `step`."""
        return np.random.default_rng((self.seed, step))

    def step(self, step: int) -> dict[str, float]:
        """One optimisation step; the losses to log."""
        raise NotImplementedError

    def sample(self) -> Tensor:
        """Pictures that show how far it is: (N, 3, H, W) in [0, 1]."""
        raise NotImplementedError

    def measure(self) -> dict[str, float]:
        """Metrics of a snapshot, by name; they are logged beside the losses and plotted. None by default."""
        return {}

    def worries(self, row: dict[str, float]) -> list[str]:
        """A sentence for each thing that is going wrong by a snapshot's losses and metrics."""
        return []

    def export(self) -> dict[str, Tensor]:
        """The weights to ship."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, part in self._parts():
            part.load_state_dict(state[name])

    def _parts(self) -> Iterator[tuple[str, nn.Module | torch.optim.Optimizer]]:
        if twice := self.modules.keys() & self.optimizers.keys():
            raise ValueError(f"{self.name}: a module and an optimizer are both called {', '.join(sorted(twice))}.")
        yield from self.modules.items()
        yield from self.optimizers.items()


M = TypeVar("M", bound=nn.Module)


class Average(Generic[M]):
    """Exponential moving average of a module's weights, whose memory is short in the first steps (EDM2's warm-up)."""

    def __init__(self, module: M, half_life_steps: float) -> None:
        self.module: M = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = 0.5 ** (1 / half_life_steps)

    @torch.no_grad()
    def update(self, module: M, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        source = module.state_dict()
        for name, mean in self.module.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(source[name], 1 - decay)
            else:
                mean.copy_(source[name])


def learning_rate(
    optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int, warm_up: int = 200, hold: float = 0.6
) -> None:
    """Warm up, hold `peak` until `hold` of the run, then a cosine to a hundredth of it."""
    done = step / max(1, steps)
    tail = max(0.0, (done - hold) / (1 - hold))
    factor = min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * tail)))
    for group in optimizer.param_groups:
        group["lr"] = peak * factor


def descend(loss: Tensor, *optimizers: torch.optim.Optimizer, most_norm: float = 0.0) -> None:
    """One step of all `optimizers` down `loss`; their gradients together are shortened to `most_norm` (Pascanu et al.

    2013), unless that is 0.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if most_norm:
        torch.nn.utils.clip_grad_norm_(
            [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]], most_norm
        )
    with torch.autocast(loss.device.type, enabled=False):
        for optimizer in optimizers:
            optimizer.step()


def contact_sheet(pictures: Tensor, columns: int = 8) -> Image.Image:
    """(N, 3, H, W) in [0, 1] as one picture of `columns` columns, with a pixel of grey between them."""
    n, _, h, w = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + 1) + 1, columns * (w + 1) + 1, 3), 128, dtype=np.uint8)
    for i, p in enumerate((pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()):
        y, x = i // columns * (h + 1) + 1, i % columns * (w + 1) + 1
        sheet[y : y + h, x : x + w] = p
    return Image.fromarray(sheet)


def plot(rows: list[dict[str, float]], file: Path, size: tuple[int, int] = (900, 360)) -> None:
    """The logged losses over the steps, each scaled to its own range (log scale where positive), as a PNG."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
    keys = [k for k, v in rows[-1].items() if k not in ("step", "seconds") and isinstance(v, int | float)]
    last = max(1, rows[-1]["step"])
    for i, key in enumerate(keys):
        points = [(r["step"], r[key]) for r in rows if key in r and math.isfinite(r[key])]
        if not points:
            continue
        logarithmic = all(v > 0 for _, v in points)
        values = [math.log10(v) if logarithmic else v for _, v in points]
        low, high = min(values), max(values)
        scale = (size[1] - 60) / ((high - low) or 1)
        line = [
            (20 + s / last * (size[0] - 40), size[1] - 20 - (v - low) * scale)
            for (s, _), v in zip(points, values, strict=True)
        ]
        colour = colours[i % len(colours)]
        draw.line(line if len(line) > 1 else line * 2, fill=colour, width=2)
        draw.text(
            (20 + (i % 5) * 175, 4 + 12 * (i // 5)), f"{key} {points[0][1]:.3g} -> {points[-1][1]:.3g}", fill=colour
        )
    picture.save(file)


def save_weights(state: dict[str, Tensor], file: Path, **facts: str) -> None:
    """Write weights as safetensors in fp16 (storage only), with `facts` in the header. Atomic."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    halves = {k: (v.detach().half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    save_file(halves, partial, metadata={"format": "pt", **facts})
    partial.chmod(0o644)  # safetensors writes for the owner alone
    os.replace(partial, file)


def place(recipe: Recipe, device: str, precision: str) -> None:
    """Move a recipe's networks to a device, and say in which format its steps multiply; RequestError where that is not
    there.
    """
    recipe.device, recipe.dtype = placing.chosen(device, precision)
    for network in placing.networks_of(recipe):
        network.to(recipe.device)


def train(
    recipe: Recipe,
    run: Path,
    *,
    sample_every: int | None = None,
    save_every: int = 250,
    log_every: int = 50,
    stop_at: int | None = None,
    record: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, float]]:
    """Run `recipe` to its last step (or to `stop_at`), going on from `run/checkpoint.pt` when there is one.

    Yields the mean losses since the last row with `step` and `seconds`, and at a snapshot its metrics. Closing it
    saves a checkpoint. The run folder holds checkpoint.pt, log.jsonl, log.csv, loss.png, samples/ and
    NAME.safetensors; with metrics also metrics.png and NAME.best.safetensors, the best snapshot, which becomes
    NAME.safetensors at the end; where the package tensorboard is installed, event files as well. record: the options of
    the run, for the header of its weights.
    """
    going = _Run(recipe, run, dict(record or {}))
    going.resume()
    last = recipe.steps if stop_at is None else min(stop_at, recipe.steps)
    every = sample_every or recipe.sample_every
    try:
        while going.done < last:
            going.step()
            is_snapshot = going.done % every == 0 or going.done == recipe.steps
            metrics = going.measure() if is_snapshot else {}
            if going.done % log_every == 0 or metrics:
                yield going.log(metrics)
            if is_snapshot:
                going.snapshot(metrics)
            if going.done % save_every == 0:
                going.save()
    except (GeneratorExit, KeyboardInterrupt):
        going.save()
        raise
    going.save()
    going.ship_best()


class _Run:
    """A run folder and what is in memory of it: the step, the rows of the log, the losses since the last row."""

    def __init__(self, recipe: Recipe, folder: Path, record: dict[str, Any]) -> None:
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        self.recipe, self.folder, self.record = recipe, folder, record
        self.done, self.spent, self.started = 0, 0.0, time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.summed = 0
        self.shipped = folder / f"{recipe.name}.safetensors"
        self.best = folder / f"{recipe.name}.best.safetensors"
        self._events: Any = None

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    def resume(self) -> None:
        checkpoint, log = self.folder / "checkpoint.pt", self.folder / "log.jsonl"
        if not checkpoint.exists():
            return
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        self.recipe.load_state(saved["state"])
        self.done, self.spent = saved["step"], saved["seconds"]
        rows = map(json.loads, log.read_text().splitlines()) if log.exists() else []
        self.rows = [row for row in rows if row["step"] <= self.done]
        log.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def step(self) -> None:
        with placing.arithmetic(self.recipe.device, self.recipe.dtype):
            losses = self.recipe.step(self.done)
        if not all(map(math.isfinite, losses.values())):
            raise FloatingPointError(f"{self.recipe.name}: a loss is not finite at step {self.done}: {losses}")
        for key, value in losses.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.done, self.summed = self.done + 1, self.summed + 1

    def measure(self) -> dict[str, float]:
        with placing.beside(self.recipe.device):
            return self.recipe.measure()

    def log(self, metrics: dict[str, float]) -> dict[str, float]:
        """A row of means since the last one, written to all logs."""
        means = {key: value / self.summed for key, value in self.sums.items()}
        row = {"step": self.done, "seconds": round(self.seconds, 1)} | means | metrics
        self.sums, self.summed = {}, 0
        if BEST_BY in row and row[BEST_BY] <= min((r[BEST_BY] for r in self.rows if BEST_BY in r), default=math.inf):
            self._write(self.best)
        self.rows.append(row)
        worries = self.recipe.worries(row) if metrics else []
        with (self.folder / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(row | ({"worries": worries} if worries else {})) + "\n")
        write_csv(self.rows, self.folder / "log.csv")
        self._show(row)
        for worry in worries:
            LOG.warning("%s, step %d: %s", self.recipe.name, self.done, worry)
        return row

    def snapshot(self, metrics: dict[str, float]) -> None:
        """Samples and plots as they are now."""
        with placing.beside(self.recipe.device):
            samples = self.recipe.sample()
        contact_sheet(samples).save(self.folder / "samples" / f"{self.done:07d}.png")
        if self.rows:
            plot([{k: v for k, v in r.items() if k not in metrics} for r in self.rows], self.folder / "loss.png")
        if metrics:
            measured = [{k: r[k] for k in ("step", *metrics)} for r in self.rows if metrics.keys() <= r.keys()]
            plot(measured, self.folder / "metrics.png")

    def save(self) -> None:
        checkpoint = self.folder / "checkpoint.pt"
        partial = checkpoint.with_suffix(".partial")
        torch.save({"state": self.recipe.state(), "step": self.done, "seconds": self.seconds}, partial)
        os.replace(partial, checkpoint)
        self._write(self.shipped)

    def ship_best(self) -> None:
        """At the end the best snapshot becomes the file, where there are metrics to choose it by."""
        if self.done != self.recipe.steps or not self.best.exists():
            return
        least = min((row for row in self.rows if BEST_BY in row), key=lambda row: float(row[BEST_BY]))
        shutil.copy(self.best, self.shipped)
        LOG.info(
            "%s: shipped is the best snapshot, of step %d, with a kernel distance of %.4g.",
            self.recipe.name,
            least["step"],
            least[BEST_BY],
        )

    def _write(self, file: Path) -> None:
        options = {"options": json.dumps(self.record)} if self.record else {}
        facts = {"step": str(self.done), "seconds": f"{self.seconds:.0f}", "seed": str(self.recipe.seed)}
        with placing.beside(self.recipe.device):
            weights = self.recipe.export()
        save_weights(weights, file, **facts, **options)

    def _show(self, row: Mapping[str, float]) -> None:
        """The row as TensorBoard's events, where the package is installed (`pip install tensorboard`)."""
        if self._events is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._events = False
                return
            self._events = SummaryWriter(str(self.folder / "events"), purge_step=self.done)
        if self._events:
            for key, value in row.items():
                if key != "step":
                    self._events.add_scalar(key, value, self.done)
            self._events.flush()


def write_csv(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """The log as a table, a column for each loss and metric that any row has."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "worries"))
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def report(recipe: Recipe, rows: Iterator[dict[str, float]], stream: Any = sys.stderr) -> None:
    """Consume `train`'s rows and print a progress line with the time left."""
    first: dict[str, float] | None = None
    for row in rows:
        first = first or row
        pace = (row["seconds"] - first["seconds"]) / max(1, row["step"] - first["step"])
        left = (recipe.steps - row["step"]) * pace
        filled = int(24 * row["step"] / recipe.steps)
        losses = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k not in ("step", "seconds"))
        end = "\r" if stream.isatty() else "\n"
        print(
            f"[{'#' * filled}{'.' * (24 - filled)}] {int(row['step'])}/{recipe.steps}  {left / 60:.0f} min left "
            f" {losses}",
            end=end,
            file=stream,
            flush=True,
        )
