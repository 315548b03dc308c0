"""The loop that every recipe shares: steps, checkpoints, exact resume, progress, samples, a loss plot.

A recipe's batch is a function of (seed, step) and of nothing else, so going on from a checkpoint gives the same
weights as never having stopped.
"""

from __future__ import annotations

import copy
import json
import math
import os
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


class Recipe:
    """What a recipe gives the loop. Modules and optimizers put into the two dicts are checkpointed by name.

    Subclasses set `name` and `steps`, fill `modules` and `optimizers`, and write `step`, `sample` and `export`.
    """

    name: str
    steps: int
    seed: int = 0

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


def learning_rate(optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int, warm_up: int = 200, hold: float = 0.6) -> None:
    """Warm up, hold `peak` until `hold` of the run, then a cosine to a hundredth of it."""
    done = step / max(1, steps)
    tail = max(0.0, (done - hold) / (1 - hold))
    factor = min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * tail)))
    for group in optimizer.param_groups:
        group["lr"] = peak * factor


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
    keys = [k for k in rows[-1] if k not in ("step", "seconds")]
    last = max(1, rows[-1]["step"])
    for i, key in enumerate(keys):
        points = [(r["step"], r[key]) for r in rows if key in r and math.isfinite(r[key])]
        if not points:
            continue
        logarithmic = all(v > 0 for _, v in points)
        values = [math.log10(v) if logarithmic else v for _, v in points]
        low, high = min(values), max(values)
        scale = (size[1] - 60) / ((high - low) or 1)
        line = [(20 + s / last * (size[0] - 40), size[1] - 20 - (v - low) * scale) for (s, _), v in zip(points, values, strict=True)]
        colour = colours[i % len(colours)]
        draw.line(line if len(line) > 1 else line * 2, fill=colour, width=2)
        draw.text((20 + (i % 5) * 175, 4 + 12 * (i // 5)), f"{key} {points[0][1]:.3g} -> {points[-1][1]:.3g}", fill=colour)
    picture.save(file)


def save_weights(state: dict[str, Tensor], file: Path, **facts: str) -> None:
    """Write weights as safetensors in fp16 (storage only), with `facts` in the header. Atomic."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    halves = {k: v.detach().cpu().half().contiguous() if v.is_floating_point() else v.cpu() for k, v in state.items()}
    save_file(halves, partial, metadata={"format": "pt", **facts})
    partial.chmod(0o644)  # safetensors writes for the owner alone
    os.replace(partial, file)


def train(
    recipe: Recipe, run: Path, *, sample_every: int = 1000, save_every: int = 250, log_every: int = 50, stop_at: int | None = None
) -> Iterator[dict[str, float]]:
    """Run `recipe` to its last step (or to `stop_at`), going on from `run/checkpoint.pt` when there is one.

    Yields the mean losses of every `log_every` steps with `step` and `seconds`. Closing it saves a checkpoint.
    The run folder holds checkpoint.pt, log.jsonl, loss.png, samples/ and NAME.safetensors.
    """
    (run / "samples").mkdir(parents=True, exist_ok=True)
    checkpoint, log = run / "checkpoint.pt", run / "log.jsonl"
    first, rows, spent = 0, [], 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        recipe.load_state(saved["state"])
        first, spent = saved["step"], saved["seconds"]
        rows = [row for row in map(json.loads, log.read_text().splitlines()) if row["step"] <= first] if log.exists() else []
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    started = time.monotonic()

    def save(step: int) -> None:
        partial = checkpoint.with_suffix(".partial")
        seconds = spent + time.monotonic() - started
        torch.save({"state": recipe.state(), "step": step, "seconds": seconds}, partial)
        os.replace(partial, checkpoint)
        save_weights(recipe.export(), run / f"{recipe.name}.safetensors", step=str(step), seconds=f"{seconds:.0f}", seed=str(recipe.seed))

    sums: dict[str, float] = {}
    step = first
    try:
        for step in range(first, recipe.steps if stop_at is None else min(stop_at, recipe.steps)):
            losses = recipe.step(step)
            if not all(map(math.isfinite, losses.values())):
                raise FloatingPointError(f"{recipe.name}: a loss is not finite at step {step}: {losses}")
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value
            done = step + 1
            if done % log_every == 0:
                row = {"step": done, "seconds": round(spent + time.monotonic() - started, 1)} | {k: v / log_every for k, v in sums.items()}
                sums = {}
                rows.append(row)
                with log.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                yield row
            if done % sample_every == 0 or done == recipe.steps:
                contact_sheet(recipe.sample()).save(run / "samples" / f"{done:07d}.png")
                if rows:
                    plot(rows, run / "loss.png")
            if done % save_every == 0:
                save(done)
    except (GeneratorExit, KeyboardInterrupt):
        save(step + 1)
        raise
    save(step + 1 if recipe.steps else 0)


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
        print(f"[{'#' * filled}{'.' * (24 - filled)}] {int(row['step'])}/{recipe.steps}  {left / 60:.0f} min left  {losses}", end=end, file=stream, flush=True)
