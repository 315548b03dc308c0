"""Recipe of `features`: five convolutions learn to give the activations of Darknet Reference's first five.

Knowledge distillation (Hinton et al. 2015) of hidden layers (FitNets, Romero et al. 2015). Where we leave the
papers: both sides have the same shapes, so no regressor stands between them; each layer learns from the teacher's
own input to it, which keeps an early layer's error from hiding a late layer's; and each learns in whitened
coordinates (natural neural networks, Desjardins et al. 2015), because neighbouring pixels are so alike that plain
Adam was still at 69 % error in conv1 after 800 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.contract.errors import RequestError
from engine.models.features import LAYERS, Features, from_state_dict, relative_error
from engine.train import data, sources
from engine.train.loop import Recipe, learning_rate
from engine.train.options import Options, RecipePreset, option


class WhitenedConv(nn.Module):
    """A 3x3 convolution that learns u and c in  y = scale * (u P (x - mean) + c),  P the whitening of its patches.

    inputs (N, C, H, W): what the layer will see. scale: the root mean square of what it should give.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, inputs: Tensor, outputs: int, scale: float) -> None:
        super().__init__()
        patches = _patches(inputs).double()
        mean = patches.mean(0)
        covariance = (patches - mean).T @ (patches - mean) / len(patches)
        values, vectors = torch.linalg.eigh(covariance)
        # Directions without signal are not amplified: below a millionth of the strongest they count as that.
        whitening = (vectors * values.clamp(min=1e-6 * float(values[-1])).rsqrt()) @ vectors.T
        self.register_buffer("mean", mean.float())
        self.register_buffer("whitening", whitening.float())
        self.scale = scale
        self.u = nn.Parameter(torch.zeros(outputs, len(mean)))
        self.c = nn.Parameter(torch.zeros(outputs))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (O, C, 3, 3) and bias (O,) of the plain convolution that this is."""
        weight = self.scale * self.u @ self.whitening
        return weight.view(len(weight), -1, 3, 3), self.scale * self.c - weight @ self.mean

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.folded()
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)


class FeaturesRecipe(Recipe):
    """teacher: the network to distil from; pictures: photos to do it on."""

    name = "features"

    def __init__(
        self,
        teacher: Features,
        pictures: data.Pictures,
        *,
        steps: int,
        batch: int = 16,
        crop_px: int = 128,
        peak: float = 1e-2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.steps, self.batch, self.crop_px, self.peak, self.seed = steps, batch, crop_px, peak, seed
        self.teacher = teacher.eval().requires_grad_(False)
        self.pictures = pictures
        self.indices, self.held_out = pictures.split(crop_px)
        rng = np.random.default_rng(seed)
        x = _vary(data.random_crops(pictures, self.indices, 12 * batch, crop_px, rng), rng)
        with torch.no_grad():
            targets = self.teacher(x)
        self.layers = nn.ModuleList(
            WhitenedConv(below, target.shape[1], float(target.square().mean().sqrt()))
            for below, target in zip(_inputs(x, targets), targets, strict=True)
        )
        self.optimizer = torch.optim.Adam(self.layers.parameters(), lr=peak, betas=(0.9, 0.99))
        self.modules = {"layers": self.layers}
        self.optimizers = {"optimizer": self.optimizer}

    def step(self, step: int) -> dict[str, float]:
        learning_rate(self.optimizer, self.peak, step, self.steps, warm_up=20, hold=0.4)
        rng = self.rng(step)
        x = _vary(data.random_crops(self.pictures, self.indices, self.batch, self.crop_px, rng), rng)
        with torch.no_grad():
            targets = self.teacher(x)
        ours = [F.leaky_relu(layer(below), 0.1) for layer, below in zip(self.layers, _inputs(x, targets), strict=True)]
        errors = relative_error(ours, targets)
        self.optimizer.zero_grad(set_to_none=True)
        errors.sum().backward()
        self.optimizer.step()
        return {name: float(e) for name, e in zip(LAYERS, errors.detach(), strict=True)}

    def network(self) -> Features:
        """The layers folded and stacked."""
        return from_state_dict(self.export())

    def sample(self) -> Tensor:
        """Held-out crops, then the mean of conv3 as the teacher and as the student see it."""
        x = data.random_crops(self.pictures, self.held_out, 8, self.crop_px, np.random.default_rng(0))
        with torch.no_grad():
            maps = [F.interpolate(n(x)[2].mean(1, keepdim=True), x.shape[-1]) for n in (self.teacher, self.network())]
        low, high = maps[0].amin(), maps[0].amax()
        return torch.cat([x, *[((m - low) / (high - low)).expand(-1, 3, -1, -1) for m in maps]])

    def export(self) -> dict[str, Tensor]:
        folded = {
            name: layer.folded()
            for name, layer in zip(LAYERS, self.layers, strict=True)
            if isinstance(layer, WhitenedConv)
        }
        return {
            f"{name}.{part}": t.detach()
            for name, pair in folded.items()
            for part, t in zip(("weight", "bias"), pair, strict=True)
        }


def _inputs(x: Tensor, targets: list[Tensor]) -> list[Tensor]:
    """What each layer is fed by the teacher."""
    return [x, *(F.max_pool2d(t, 2) for t in targets[:-1])]


def _patches(x: Tensor, most: int = 200_000) -> Tensor:
    """The 3x3 patches of (N, C, H, W) as rows (rows, 9C), thinned to `most`."""
    thinned = max(1, x.shape[0] * x.shape[2] * x.shape[3] // most)
    rows = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).transpose(1, 2).flatten(0, 1)
    return rows[::thinned]


def _vary(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, colour and contrast at random, and noise on a quarter: the loss network will see all of these."""
    n = x.shape[0]

    def draw(low: float, high: float, channels: int = 3) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, channels, 1, 1)).astype(np.float32))

    gain, shift = draw(0.5, 1.3), draw(-0.15, 0.15)
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)) * draw(0, 0.15, 1) * (draw(0, 1, 1) < 0.25)
    return (x * gain + shift + noise).clamp(0, 1)


def teacher_from_file(file: Path) -> Features:
    """Darknet Reference's first five layers from a safetensors file with the keys conv1.weight, conv1.bias ..."""
    return from_state_dict(load_file(file))


@dataclass(frozen=True)
class FeaturesOptions(Options):
    """The options of the recipe."""

    teacher: Path | None = option(None, "safetensors of the network to distil from", source=True)
    batch: int = option(16, "crops in a step")
    crop_px: int = option(128, "side of a crop")
    peak: float = option(1e-2, "highest learning rate")


def build(options: FeaturesOptions) -> FeaturesRecipe:
    """The recipe; RequestError without a teacher."""
    if options.teacher is None:
        raise RequestError(
            "The recipe of features learns from a teacher: "
            "give its file with --teacher (weights/features.md says where it is)."
        )
    return FeaturesRecipe(teacher_from_file(options.teacher), sources.photos(options), **options.hyperparameters())


PRESETS = {"default": RecipePreset(FeaturesOptions(steps=2600), build, "0.34 % error in conv5")}
