"""The discriminator of `studio`, made to rank single pictures: its last layer is fitted to put the whole before the
spoiled.

Discriminator rejection sampling (Azadi et al. 2019) ranks by the trained logit. Ours separates packshots from
drawn pictures nearly always, but among drawn pictures it prefers holes and glare, because it recognises drawn pictures
by how plain they are. Its activations do hold what is needed, though: a linear layer on them is fitted by logistic
regression over pairs (RankNet, Burges et al. 2005), the pictures that `studio` draws before the same pictures spoiled
as generators fail, and before those drawn far from what is typical.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.discriminator import Discriminator, Heads, from_state_dict
from engine.models.features import LAYERS, Features
from engine.models.generator import Generator
from engine.models.generator import from_state_dict as generator_of
from engine.runtime.device import configure
from engine.settings import ROOT
from engine.train import sources
from engine.train.drawing import draw
from engine.train.loop import save_weights
from engine.weights.int8 import pack, unpack

TYPICAL, FAR = 0.7, 1.3  # truncation of what is good, and of what is often torn
FEW_MOST = 4096  # weights of a tensor that is not worth a byte each


def hole(x: Tensor, rng: np.random.Generator) -> Tensor:
    """An ellipse of the product is gone."""
    out = x.clone()
    for i, (y, left) in _points(x, rng):
        radius, wide = rng.uniform(0.06, 0.2), rng.uniform(0.5, 1.5)
        down, right = torch.meshgrid(*[torch.linspace(0, 1, side) for side in x.shape[2:]], indexing="ij")
        inside = 1.2 - ((down - y) / (radius * wide)).square() - ((right - left) * wide / radius).square()
        out[i] = torch.lerp(out[i], torch.ones(()), (4 * inside).clamp(0, 1))
    return out


def splashed(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Many small pieces are gone, as where glare ran over."""
    clouds = _clouds(x, int(rng.integers(8, 20)), rng)
    return torch.lerp(x, torch.ones(()), (6 * (clouds - _one_each(x, rng, 0.7, 1.3))).clamp(0, 1))


def faded(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Parts are as pale as the paper."""
    return torch.lerp(x, torch.ones(()), torch.sigmoid(2 * _clouds(x, 3, rng)) * _one_each(x, rng, 0.5, 1.0))


def wobbly(x: Tensor, rng: np.random.Generator) -> Tensor:
    """No line is straight."""
    cells, size = int(rng.integers(4, 10)), rng.uniform(0.04, 0.1)
    away = size * torch.cat([_clouds(x, cells, rng), _clouds(x, cells, rng)], 1).permute(0, 2, 3, 1)
    grid = F.affine_grid(torch.eye(2, 3).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return 1 - F.grid_sample(1 - x, grid + away, padding_mode="zeros", align_corners=False)


def merged(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of it is the next one's: two products run into each other."""
    return torch.lerp(x, x.roll(1, 0), torch.sigmoid(6 * _clouds(x, 3, rng)))


def cut(x: Tensor, rng: np.random.Generator) -> Tensor:
    """One side is missing."""
    out = x.clone()
    for picture in out:
        rows, columns = (
            t.nonzero()[:, 0] for t in (_product(picture[None])[0].any(1), _product(picture[None])[0].any(0))
        )
        if not len(rows):
            continue
        share, side = rng.uniform(0.15, 0.45), int(rng.integers(4))
        along = (rows, columns)[side % 2]
        first, size = int(along[0]), int(share * len(along)) + 1
        gone = slice(0, first + size) if side < 2 else slice(int(along[-1]) + 1 - size, None)
        picture[(slice(None), gone) if side % 2 == 0 else (slice(None), slice(None), gone)] = 1.0
    return out


SPOILED: Mapping[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "with a hole": hole,
    "splashed with white": splashed,
    "faded": faded,
    "wobbly": wobbly,
    "merged with another": merged,
    "cut off": cut,
}


def make(
    checkpoint: Path, features: Features, generator: Generator, *, count: int = 48, seed: int = 0
) -> dict[str, Tensor]:
    """The weights to ship, in int8 where they are many. checkpoint: of the run of `studio`; generator: what it became;
    count: pictures of each category to fit to."""
    plain = trained_bodies(checkpoint) | {"category_names": generator.category_names}
    stored = pack(plain, few=FEW_MOST)
    hidden = sum(plain[f"bodies.{k}.0.weight"].shape[0] for k in range(len(LAYERS)))
    network = from_state_dict(unpack(stored) | {"verdict.weight": torch.zeros(1, hidden)}, features).eval()
    return stored | {"verdict.weight": fit(*examples(network, generator, count, seed))[None]}


def trained_bodies(checkpoint: Path) -> dict[str, Tensor]:
    """The small nets on the layers of `features` in a run, with spectral normalisation multiplied out."""
    trained = torch.load(checkpoint, map_location="cpu", weights_only=True)["state"]["heads"]
    shapes = [trained[f"bodies.{k}.0.parametrizations.weight.original"].shape for k in range(len(LAYERS))]
    heads = Heads(len(trained["embed.0.weight"]), [s[1] for s in shapes], [s[0] for s in shapes]).eval()
    heads.load_state_dict(trained)
    for layer in filter(nn.utils.parametrize.is_parametrized, list(heads.bodies.modules())):
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
    return {f"bodies.{key}": tensor for key, tensor in heads.bodies.state_dict().items()}


@torch.inference_mode()
def examples(network: Discriminator, generator: Generator, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The last layer's input for good pictures (C, N, D) and of as many bad ones of each kind (K, C, N, D)."""
    good, bad = [], []
    for c in range(len(generator.categories)):
        labels, rng = torch.full((count,), c), np.random.default_rng((seed, c))
        typical, far = (
            draw(generator, labels, truncation, generator.categories, seed=2 * seed + k)
            for k, truncation in enumerate((TYPICAL, FAR))
        )
        good.append(_seen(network, typical))
        bad.append(
            torch.stack([_seen(network, x) for x in (far, *(spoil(typical, rng) for spoil in SPOILED.values()))])
        )
    return torch.stack(good).clone(), torch.stack(bad, 1).clone()


def fit(good: Tensor, bad: Tensor, shrinkage: float = 1e-2) -> Tensor:
    """The layer (D,) that puts good (C, N, D) before bad (K, C, N, D) in most pairs of a category.

    The mean over all pairs of softplus(bad - good), and `shrinkage` times the squared weights of standardised inputs.
    """
    deviation = good.flatten(0, 1).std(0) + 1e-6
    good, bad = good / deviation, bad / deviation
    with torch.enable_grad():
        weight = torch.zeros(good.shape[-1], requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=150, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = (
                F.softplus((bad @ weight)[..., None, :] - (good @ weight)[..., :, None]).mean()
                + shrinkage * weight.square().sum()
            )
            value.backward()
            return value

        optimizer.step(loss)
    return weight.detach() / deviation


def _seen(network: Discriminator, pictures: Tensor) -> Tensor:
    return torch.cat([network.seen(part.clamp(0, 1)) for part in pictures.split(16)])


def _product(x: Tensor) -> Tensor:
    """Where products (N, 3, H, W) are, bool (N, H, W)."""
    return x.amin(1) < 0.93


def _points(x: Tensor, rng: np.random.Generator) -> list[tuple[int, tuple[float, float]]]:
    """The index of each picture that shows a product, and a point on it, down and to the right in [0, 1]."""
    found = []
    for i, inside in enumerate(_product(x)):
        if len(places := inside.nonzero()):
            y, left = (places[int(rng.integers(len(places)))] / torch.tensor([x.shape[2] - 1, x.shape[3] - 1])).tolist()
            found.append((i, (y, left)))
    return found


def _clouds(x: Tensor, cells: int, rng: np.random.Generator) -> Tensor:
    """Smooth noise (N, 1, H, W) of about unit deviation, with so many cells to a side."""
    coarse = torch.from_numpy(rng.standard_normal((len(x), 1, cells, cells)).astype(np.float32))
    return F.interpolate(coarse, x.shape[2:], mode="bicubic", align_corners=False)


def _one_each(x: Tensor, rng: np.random.Generator, low: float, high: float) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, (len(x), 1, 1, 1)).astype(np.float32))


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m engine.train.discriminator`: take the discriminator out of the run of `studio`, fitted to rank."""
    parser = argparse.ArgumentParser(prog="python -m engine.train.discriminator")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the run folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--install", action="store_true", help="copy the file into weights/")
    options = parser.parse_args(arguments)
    configure()
    run = options.runs / "studio"
    checkpoint, drawn_by, file = run / "checkpoint.pt", run / "studio.safetensors", run / "discriminator.safetensors"
    if not (checkpoint.exists() and drawn_by.exists()):
        print(
            "The discriminator is that of studio: run `python -m engine.train gan --preset studio` first.",
            file=sys.stderr,
        )
        return 2
    generator = generator_of(sources.as_floats(drawn_by)).eval()
    assert isinstance(generator, Generator)
    weights = make(checkpoint, sources.own_features().eval(), generator, seed=options.seed)
    save_weights(weights, file, seed=str(options.seed))
    if options.install:
        shutil.copy(file, ROOT / "weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
