"""Each shipped file gives the picture it gave when it was committed, within one grey level.

`python tests/weights/test_goldens.py` writes the pictures anew after a network was trained anew; look at them before
committing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from engine.models import edges, faststyle, gaussian, matte
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import Settings
from engine.style import presets
from engine.weights import TABLE, Network, Weights

FOLDER = Path(__file__).parent / "goldens"
NAMES = [row.name for row in TABLE if row.embedded]


def drawn() -> torch.Tensor:
    """A product of sorts, 64 x 64 px: a shaded red block with a stripe on light grey, and a little noise."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    picture = torch.full((3, 64, 64), 0.93) - 0.05 * y
    inside = (x > 0.2) & (x < 0.8) & (y > 0.3) & (y < 0.85)
    block = torch.stack([0.8 - 0.4 * x, 0.2 + 0.1 * y, 0.15 + 0.1 * x])
    picture = torch.where(inside, block, picture)
    picture = torch.where(inside & ((8 * y).floor() == 4), torch.tensor(0.95), picture)
    noise = np.random.default_rng(0).normal(0, 0.04, (3, 64, 64)).astype(np.float32)
    return (picture + torch.from_numpy(noise)).clamp(0, 1)[None]


def ring() -> torch.Tensor:
    """A drawn ring, (1, 1, 64, 64), 1 on its line."""
    along = torch.linspace(-1, 1, 64)
    return ((along[:, None].square() + along.square()).sqrt() - 0.7).abs().lt(0.06).float()[None, None]


def shipped(name: str) -> Network:
    return finished(Weights(Device(), Settings()).load(name))


def given_by(name: str, *, mixed: bool = False) -> np.ndarray:
    """What the shipped network makes of the drawing, uint8 (H, W, 3); mixed: with products in bfloat16."""
    network = shipped(name)
    network.to_cpu()
    network.mixed = mixed
    if network.weight.task == "generate":
        latents = network.module.sample_latents("shoe", 1, 0.5, torch.Generator().manual_seed(0))
        y = network(latents, torch.zeros(1, dtype=torch.long))
    elif name == "sketch":
        lines = edges.from_drawing(1 - ring().expand(-1, 3, -1, -1), network.module.size_px)
        latents = network.module.sample_latents("handbag", 1, 0.5, torch.Generator().manual_seed(0))
        y = network(lines, latents, torch.tensor([network.module.categories.index("handbag")]))
    elif name == "faststyle":
        style = presets.load("great-wave", Settings())
        grain = torch.randn(1, faststyle.NOISE_CHANNELS, 16, 16, generator=torch.Generator().manual_seed(0))
        y = network(gaussian.recoloured(drawn(), style.colour), faststyle.embedding(style), grain)
    elif name == "categories":
        with torch.inference_mode():
            y = network.module(drawn()).softmax(1).view(1, 1, 1, -1).expand(-1, 3, -1, -1)
    elif name == "discriminator":
        y = (
            torch.sigmoid(network.apply(network.module, torch.cat([drawn(), drawn().flip(2)])))
            .view(1, 1, 1, -1)
            .expand(-1, 3, -1, -1)
        )
    elif name == "tone":
        y = network.module.lut(*network.module.propose(drawn() ** 2)).apply(drawn() ** 2)  # darker than it should be
    elif name == "inpaint":
        y = network(drawn(), ring())
    elif name == "matte":
        y = network.apply(lambda x: matte.matte_of(network.module, x), drawn()).expand(-1, 3, -1, -1)
    elif name == "features":
        with torch.inference_mode():
            seen = network.module(drawn())[2]
        y = (seen[:, :3] / seen[:, :3].amax()).clamp(0, 1)
    else:
        y = network(drawn())
    return (y[0].permute(1, 2, 0) * 255).round().byte().numpy()


def assert_same(picture: np.ndarray, golden: np.ndarray) -> None:
    assert picture.shape == golden.shape
    assert int(np.abs(picture.astype(int) - golden.astype(int)).max()) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_gives_its_golden_picture(name: str) -> None:
    with Image.open(FOLDER / f"{name}.png") as golden:
        assert_same(given_by(name), np.asarray(golden))


@pytest.mark.parametrize("name", [row.name for row in TABLE if row.embedded and row.mixed])
def test_products_in_bfloat16_move_a_picture_by_less_than_a_level_on_average(name: str) -> None:
    with Image.open(FOLDER / f"{name}.png") as golden:
        moved = np.abs(given_by(name, mixed=True).astype(int) - np.asarray(golden))
    assert 0 < moved.mean() < 1
    assert moved.max() <= 12


def test_a_spoiled_picture_is_noticed() -> None:
    golden = (drawn()[0].permute(1, 2, 0) * 255).round().byte().numpy()
    spoiled = golden.copy()
    spoiled[40, 20, 1] ^= 8
    assert_same(golden, golden.copy())
    with pytest.raises(AssertionError):
        assert_same(spoiled, golden)
    with pytest.raises(AssertionError):
        assert_same(golden[:-1], golden)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in sys.argv[1:] or NAMES:
        Image.fromarray(given_by(each)).save(FOLDER / f"{each}.png")
