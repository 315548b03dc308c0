"""The loop that every recipe shares: steps, checkpoints, exact resume, progress, samples, a loss plot.

A recipe's batch is a function of (seed, step) and of nothing else, so going on from a checkpoint gives the same
weights as never having stopped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor, nn

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
        """A sentence for each thing that a snapshot's losses and metrics say is going wrong."""
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
    """Exponential moving average of a module's weights, with the short memory of a young average (EDM2's warm-up)."""

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
    """One step of all `optimizers` down `loss`; their gradients together are shortened to `most_norm` (Pascanu et al. 2013), unless that is 0."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if most_norm:
        torch.nn.utils.clip_grad_norm_(
            [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]], most_norm
        )
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


def train(
    recipe: Recipe,
    run: Path,
    *,
    sample_every: int | None = None,
    save_every: int = 250,
    log_every: int = 50,
    stop_at: int | None = None,
) -> Iterator[dict[str, float]]:
    """Run `recipe` to its last step (or to `stop_at`), going on from `run/checkpoint.pt` when there is one.

    Yields the mean losses since the last row with `step` and `seconds`, and at a snapshot its metrics. Closing it
    saves a checkpoint. The run folder holds checkpoint.pt, log.jsonl, loss.png, samples/ and NAME.safetensors; with
    metrics also metrics.png and NAME.best.safetensors, the best snapshot, which becomes NAME.safetensors at the end.
    """
    (run / "samples").mkdir(parents=True, exist_ok=True)
    checkpoint, log, shipped, best = (
        run / "checkpoint.pt",
        run / "log.jsonl",
        run / f"{recipe.name}.safetensors",
        run / f"{recipe.name}.best.safetensors",
    )
    sample_every = sample_every or recipe.sample_every
    done, rows, spent = 0, [], 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        recipe.load_state(saved["state"])
        done, spent = saved["step"], saved["seconds"]
        rows = (
            [row for row in map(json.loads, log.read_text().splitlines()) if row["step"] <= done]
            if log.exists()
            else []
        )
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    started = time.monotonic()

    def write(file: Path) -> None:
        save_weights(
            recipe.export(),
            file,
            step=str(done),
            seconds=f"{spent + time.monotonic() - started:.0f}",
            seed=str(recipe.seed),
        )

    def save() -> None:
        partial = checkpoint.with_suffix(".partial")
        torch.save({"state": recipe.state(), "step": done, "seconds": spent + time.monotonic() - started}, partial)
        os.replace(partial, checkpoint)
        write(shipped)

    sums: dict[str, float] = {}
    summed = 0
    try:
        for step in range(done, recipe.steps if stop_at is None else min(stop_at, recipe.steps)):
            losses = recipe.step(step)
            if not all(map(math.isfinite, losses.values())):
                raise FloatingPointError(f"{recipe.name}: a loss is not finite at step {step}: {losses}")
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value
            done, summed = step + 1, summed + 1
            snapshot = done % sample_every == 0 or done == recipe.steps
            metrics = recipe.measure() if snapshot else {}
            if done % log_every == 0 or metrics:
                row = (
                    {"step": done, "seconds": round(spent + time.monotonic() - started, 1)}
                    | {k: v / summed for k, v in sums.items()}
                    | metrics
                )
                sums, summed = {}, 0
                if BEST_BY in row and row[BEST_BY] <= min((r[BEST_BY] for r in rows if BEST_BY in r), default=math.inf):
                    write(best)
                rows.append(row)
                worries = recipe.worries(row) if metrics else []
                with log.open("a") as stream:
                    stream.write(json.dumps(row | ({"worries": worries} if worries else {})) + "\n")
                for worry in worries:
                    LOG.warning("%s, step %d: %s", recipe.name, done, worry)
                yield row
            if snapshot:
                contact_sheet(recipe.sample()).save(run / "samples" / f"{done:07d}.png")
                if rows:
                    plot([{k: v for k, v in r.items() if k not in metrics} for r in rows], run / "loss.png")
                if metrics:
                    plot(
                        [{k: r[k] for k in ("step", *metrics)} for r in rows if metrics.keys() <= r.keys()],
                        run / "metrics.png",
                    )
            if done % save_every == 0:
                save()
    except (GeneratorExit, KeyboardInterrupt):
        save()
        raise
    save()
    if done == recipe.steps and best.exists():
        least = min((row for row in rows if BEST_BY in row), key=lambda row: row[BEST_BY])
        shutil.copy(best, shipped)
        LOG.info(
            "%s: shipped is the best snapshot, of step %d, with a kernel distance of %.4g.",
            recipe.name,
            least["step"],
            least[BEST_BY],
        )


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
            f"[{'#' * filled}{'.' * (24 - filled)}] {int(row['step'])}/{recipe.steps}  {left / 60:.0f} min left  {losses}",
            end=end,
            file=stream,
            flush=True,
        )
