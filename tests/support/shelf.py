"""Stand-ins for networks and for the weights they come from, so that the verbs are tested in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine.contract.events import Event, Progress, Result
from engine.runtime.tiles import Tiling
from engine.weights import Network, Weight, WeightsUnavailable

SMALL = Tiling(overlap_px=4, most_px=64)


class Plain(nn.Module):
    """A function as a network; it has a parameter only because networks have one."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


class DarkOrLight(nn.Module):
    """A gate that sends light photos to the second expert."""

    def forward(self, parts: Tensor, beyond: Tensor) -> Tensor:
        light = parts.mean((1, 2, 3)) - 0.5
        return torch.stack([-light, light], 1)


class TinyGenerator(Plain):
    """Each latent becomes a flat picture of 8 x 8 px in its own colour."""

    categories = ("shoe", "handbag")
    size_px, latent_dim = 8, 3

    def __init__(self) -> None:
        super().__init__(
            lambda latents, labels: torch.sigmoid(latents + labels[:, None])[:, :, None, None].expand(-1, -1, 8, 8)
        )

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        return truncation * torch.stack([torch.randn(3, generator=rng) for _ in range(count)])

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        return torch.lerp(a, b, t)


def row(name: str, task: str, *, hub: bool = False, tiling: Tiling = SMALL) -> Weight:
    return Weight(
        name,
        task,
        f"stand-in for {name}",
        f"{name}.safetensors",
        "Apache-2.0",
        "tests",
        "nowhere:nothing",
        repo="somebody/something" if hub else "",
        tiling=tiling,
    )


def enlarge(scale: int) -> Callable[[Tensor], Tensor]:
    return lambda x: F.interpolate(x, scale_factor=scale)


def invert(x: Tensor) -> Tensor:
    return 1 - x


def slowly(seconds: float) -> Callable[[Tensor], Tensor]:
    """An identity that takes this long for each tile."""

    def network(x: Tensor) -> Tensor:
        time.sleep(seconds)
        return x

    return network


class Shelf:
    """What `engine.weights.Weights` offers the verbs. A network that is None cannot be had."""

    def __init__(self, *networks: tuple[Weight, nn.Module | None]) -> None:
        self.table = tuple(row for row, _ in networks)
        self._networks = {row.name: (row, module) for row, module in networks}
        self.asked: list[str] = []

    def where(self, name: str) -> str:
        return "Hub" if self._networks[name][0].repo else "weights/"

    def load(self, name: str) -> Generator[Progress, None, Network]:
        self.asked.append(name)
        yield Progress(0, 0, f"Loading {name}")
        weight, module = self._networks[name]
        if module is None:
            raise WeightsUnavailable(name, "the Hub cannot be reached")
        return Network(weight, module)

    def load_first(self, names: Sequence[str]) -> Generator[Progress, None, tuple[Network, tuple[str, ...]]]:
        failures = []
        for name in names:
            try:
                network = yield from self.load(name)
            except WeightsUnavailable as error:
                failures.append(error)
            else:
                return network, tuple(f"{str(error).rstrip('.')}, so {name} was used instead." for error in failures)
        raise failures[-1]


def shelf(**functions: Callable[..., Tensor] | None) -> Shelf:
    """A network for each step, with some replaced: restore=..., upscale_x2=..., scunet=..., and so on."""
    networks: dict[str, Callable[..., Tensor] | None] = {
        "restore": invert,
        "upscale-x2": enlarge(2),
        "upscale-x4": enlarge(4),
        "scunet": None,
        "realesrgan-x4": None,
        "realesr-general-x4": None,
        "nafnet-gopro": None,
        "lama": None,
    }
    networks |= {name.replace("_", "-"): function for name, function in functions.items()}
    tasks = {
        "scunet": "restore",
        "realesrgan-x4": "upscale-x4",
        "realesr-general-x4": "upscale-x4",
        "nafnet-gopro": "deblur",
        "lama": "inpaint",
    }
    rows = []
    for name, function in networks.items():
        task = tasks.get(name, name)
        tiling = Tiling(scale=int(task[-1]) if task.startswith("upscale") else 1, overlap_px=4, most_px=64)
        rows.append((row(name, task, hub=name in tasks, tiling=tiling), None if function is None else Plain(function)))
    return Shelf(
        *rows,
        (row("studio", "generate"), TinyGenerator()),
        (row("categories", "classify"), None),
        (row("discriminator", "rank"), None),
    )


def finish(events: Generator[Event, None, None]) -> Result:
    """The Result, after checking that it is the only one and the last."""
    heard = list(events)
    assert all(isinstance(event, Progress) for event in heard[:-1])
    assert isinstance(heard[-1], Result)
    return heard[-1]


def write_photo(file: Path, width: int = 90, height: int = 70, seed: int = 0, mode: str = "RGB") -> str:
    """A picture of noise; returns its path."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels if len(mode) > 1 else pixels[..., 0], mode).save(file)
    return str(file)


def write_networks(folder: Path) -> None:
    """Every embedded network, small and initialised at random, as the files that `engine.weights` reads."""
    from safetensors.torch import save_file

    from engine.contract.generate import CATEGORIES
    from engine.models.categories import Categories
    from engine.models.dcgan import DcganGenerator
    from engine.models.deblur import Deblur, Estimator
    from engine.models.discriminator import Discriminator
    from engine.models.faststyle import FastStyle
    from engine.models.features import Features
    from engine.models.generator import Autoencoder
    from engine.models.generator import Generator as ProductGenerator
    from engine.models.inpaint import Inpaint
    from engine.models.matte import Matte
    from engine.models.restore import Gate, Restore
    from engine.models.searched import Architecture, Searched
    from engine.models.sketch import ANY, Sketch
    from engine.models.tone import Tone
    from engine.models.unet import UNet
    from engine.models.upscale import Upscale

    torch.manual_seed(0)
    networks = {
        "features": Features((4, 4, 8, 8, 8)),
        "restore": Restore([UNet((8, 8, 16), deepest=1) for _ in range(2)], Gate(2, 8)),
        "deblur": Deblur(Estimator(8, 8, 8), UNet((8, 8, 16), pictures=3)),
        "inpaint": Inpaint((8, 8, 8)),
        "matte": Matte((8, 8, 8, 8), deepest=1),
        "tone": Tone((8, 8), basis=2),
        "upscale-x2": Upscale(2, width=8, depth=2),
        "upscale-x4": Upscale(4, width=8, depth=2),
        "upscale-x4-crisp": Upscale(4, width=8, depth=2),
        "faststyle": FastStyle(48, 8, 4, 8),
        "categories": Categories(CATEGORIES, Features((4, 4, 8, 8, 8))),
        "discriminator": Discriminator(CATEGORIES, nn.Identity(), (4, 4, 8, 8, 8), (4, 4, 4, 4, 4)),  # type: ignore[arg-type]
        **{name: DcganGenerator(width=4, latent_dim=8) for name in ("dcgan", "wgan-gp", "wgan")},
        "searched": Searched(CATEGORIES, Architecture((16, 16, 16), (1, 1), "dense", "nearest", 4), latent_dim=8),
        "studio": ProductGenerator(CATEGORIES, latent_dim=8, widths=(16, 16, 16, 16)),
        "sketch": Sketch((*CATEGORIES, ANY), widths=(8, 8, 8, 8, 8), seen=4),
        "vae": Autoencoder(CATEGORIES, latent_dim=8, widths=(16, 16, 16, 16), encoder_widths=(8, 8)),
    }
    for name, network in networks.items():
        save_file(
            {key: tensor.contiguous() for key, tensor in network.state_dict().items()}, folder / f"{name}.safetensors"
        )
