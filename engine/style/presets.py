"""The styles that come with Vitrine: of each artwork nothing is kept but moments of what `features` sees in it.

`weights/presets.safetensors` holds for each preset the mean and the upper triangle of the covariance of the colours
and of four layers, in fp16: 22 KB. The thumbnails are pictures of our own,
repainted with the preset. Both are made by `python -m engine.train.presets ARTWORKS`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.settings import ROOT, Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.gaussian import Moments
    from engine.models.style_loss import Style

log = logging.getLogger("vitrine")

FILE = "presets.safetensors"
NETWORK = "features"
LAYERS = ("colour", "conv1", "conv2", "conv3", "conv4")


@dataclass(frozen=True)
class Preset:
    """A style to choose by name. year: in which the artwork was finished."""

    name: str
    title: str
    artist: str
    year: int
    licence: str = "public domain"

    @property
    def thumbnail(self) -> Path:
        """A product picture repainted in this style."""
        return ROOT / "weights" / "presets" / f"{self.name}.jpg"


PRESETS = (
    Preset("great-wave", "The Great Wave off Kanagawa", "Katsushika Hokusai", 1831),
    Preset("starry-night", "The Starry Night", "Vincent van Gogh", 1889),
    Preset("water-lilies", "Water Lilies", "Claude Monet", 1919),
    Preset("the-scream", "The Scream", "Edvard Munch", 1893),
    Preset("composition-vii", "Composition VII", "Wassily Kandinsky", 1913),
    Preset("tableau", "Tableau", "Piet Mondrian", 1913),
    Preset("woman-with-a-hat", "Woman with a Hat", "Henri Matisse", 1905),
    Preset("udnie", "Udnie", "Francis Picabia", 1913),
    Preset("haystacks", "Haystacks", "Claude Monet", 1891),
    Preset("grande-jatte", "A Sunday on La Grande Jatte", "Georges Seurat", 1886),
    Preset("basket-of-apples", "The Basket of Apples", "Paul Cézanne", 1893),
    Preset("bedroom-in-arles", "Bedroom in Arles", "Vincent van Gogh", 1889),
    Preset("cherry-tree", "Blossoming Cherry Tree", "Sakai Hōitsu", 1805),
    Preset("shipwreck", "The Shipwreck", "J. M. W. Turner", 1810),
    Preset("contrast-of-forms", "Contrast of Forms", "Fernand Léger", 1913),
    Preset("portrait-of-metzinger", "Portrait of Jean Metzinger", "Robert Delaunay", 1906),
)
BY_NAME: Mapping[str, Preset] = {preset.name: preset for preset in PRESETS}


def load(name: str, settings: Settings, network: nn.Module | None = None) -> Style:
    """The style of the preset `name`.

    network: what is going to be used with it; a log line warns when the statistics were made with another.
    RequestError when there is no such preset, or no file of statistics.
    """
    from safetensors import safe_open

    for folder in dict.fromkeys((settings.weights, ROOT / "weights")):
        if not (folder / FILE).is_file():
            continue
        with safe_open(folder / FILE, "pt") as file:
            if network is not None and (file.metadata() or {}).get("network") != fingerprint(network):
                log.warning(
                    "%s was made with another %s than the one in use: run `python -m engine.train presets`.",
                    folder / FILE,
                    NETWORK,
                )
            packed = {key: file.get_tensor(key) for key in list(file.keys()) if key.startswith(f"{name}/")}
        if packed:
            return unpack(name, packed)
    raise RequestError(f"The style {name} is missing from this installation; give a style picture instead.")


def pack(name: str, style: Style) -> dict[str, Tensor]:
    """The tensors that are kept of a preset: fp16,
    "NAME/LAYER.mean" (C,) and "NAME/LAYER.covariance" (C (C + 1) / 2,).
    """
    import torch

    packed: dict[str, Tensor] = {}
    for layer, moments in zip(LAYERS, (style.colour, *style.layers), strict=True):
        rows, columns = torch.triu_indices(*moments.covariance.shape)
        packed[f"{name}/{layer}.mean"] = moments.mean.half()
        packed[f"{name}/{layer}.covariance"] = moments.covariance[rows, columns].half()
    return packed


def unpack(name: str, packed: Mapping[str, Tensor]) -> Style:
    """What `pack` took apart, in float32."""
    from engine.models.style_loss import Style

    colour, *layers = (_moments(packed, f"{name}/{layer}") for layer in LAYERS)
    return Style(colour, tuple(layers))


def _moments(packed: Mapping[str, Tensor], key: str) -> Moments:
    import torch

    from engine.models.gaussian import Moments

    mean = packed[f"{key}.mean"].float()
    rows, columns = torch.triu_indices(len(mean), len(mean))
    covariance = torch.zeros(len(mean), len(mean))
    covariance[rows, columns] = packed[f"{key}.covariance"].float()
    return Moments(mean, covariance + covariance.triu(1).T)


def fingerprint(network: nn.Module) -> str:
    """A hash of a network's weights as they are stored, in fp16; statistics are good for one network only."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().half().numpy().tobytes())
    return digest.hexdigest()[:16]
