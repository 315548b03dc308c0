"""Blind removal of noise and JPEG artefacts, in one pass.

Noise and JPEG need opposite treatment: noise is to be averaged away, while nearly all that JPEG has left is to be kept.
Nor is noise one thing: in the literature it goes on below black and above white, and its mean is the picture; in files
it ends there, and the mean of a noisy white is grey. One small network that has to do everything does nothing well, so
there are experts and a gating network that looks at the photo and chooses (Jacobs et al. 1991, "Adaptive Mixtures of
Local Experts"). Where we leave them: one expert is chosen for the whole photo, so that a pixel costs no more than with
one network and no seam can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models import unet
from engine.models.estimate import tiles
from engine.models.filters import box
from engine.models.unet import UNet

_AROUND_PX = 7  # on every side of a pixel: the square that says how much noise there is
_BLOCK_PX = 8  # of JPEG
_ROUNDED = 1 / 512  # what arithmetic may add to black and white
NEVER = 1e4  # its negative is the logit of an expert that must not be chosen: finite, so that losses stay finite
_CONTRAST = 10.0  # noise and blocks are a few hundredths of the range


class Gate(nn.Module):
    """Parts of a photo (N, 3, H, W) in [0, 1], with corners on multiples of 8 of it -> how well each of K experts suits
    it, (N, K).

    It is given each block of 8x8 pixels whole, in which JPEG leaves multiples of few numbers, and of the photo that
    they are parts of, whether it goes `beyond` black and white, (N,) or (1,): no photo from a file does, a
    photo with the noise of the literature does.

    unbounded: so many experts, the first, are for photos that go beyond, and for them alone; 0 makes no difference.
    """

    def __init__(self, experts: int, width: int = 64, unbounded: int = 0) -> None:
        super().__init__()
        self.unbounded: Tensor
        self.register_buffer("unbounded", torch.arange(experts) < unbounded)
        self.blocks = nn.Conv2d(3 * _BLOCK_PX**2, width, 1)
        self.between = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(2 * width, experts)

    def forward(self, x: Tensor, beyond: Tensor) -> Tensor:
        height, width = (
            max(_BLOCK_PX, side // _BLOCK_PX * _BLOCK_PX) for side in x.shape[2:]
        )  # whole blocks, and one at least
        x = F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]), mode="replicate")
        blocks = F.pixel_unshuffle(x, _BLOCK_PX).unflatten(1, (3, -1))
        differences = _CONTRAST * (blocks - blocks.mean(2, keepdim=True))  # a block's mean does not matter
        y = F.relu(self.between(F.relu(self.blocks(differences.flatten(1, 2)))))
        logits = self.told(torch.cat([y.mean((2, 3)), y.square().mean((2, 3)).sqrt()], 1))
        suits = self.unbounded == beyond[:, None].bool()
        return torch.where(suits | ~self.unbounded.any(), logits, -NEVER)


class Restore(nn.Module):
    """(N, 3, H, W) in [0, 1] -> the clean pictures, same shape; H and W are multiples of 16. Not clamped."""

    def __init__(self, experts: Sequence[UNet], gate: Gate) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.gate = gate

    def forward(self, x: Tensor, expert: int | None = None) -> Tensor:
        """expert: which of them, by `best` of the whole photo; for each picture by its own if not given."""
        if expert is not None:
            found: Tensor = self.experts[expert](x)
            return found
        return torch.cat([self.experts[best(self.gate, picture)](picture) for picture in x.split(1)])

    def for_photo(
        self, apply: Callable[..., Tensor], photo: Tensor
    ) -> tuple[Callable[[Tensor], Tensor], tuple[Tensor, ...], int]:
        """What cleans tiles of a photo (1, 3, H, W) by the expert that suits the whole of it."""
        return partial(self, expert=best(partial(apply, self.gate), photo)), (), 1


def best(gate: Callable[[Tensor, Tensor], Tensor], photo: Tensor) -> int:
    """Which expert the gate chooses for a photo (1, 3, H, W) of any size, by parts that are spread over it."""
    return int(gate(tiles(photo), beyond(photo)).mean(0).argmax())


def beyond(x: Tensor) -> Tensor:
    """1 for pictures (N, 3, H, W) that go below black or above white, else 0: (N,)."""
    return ((x.amin((1, 2, 3)) < -_ROUNDED) | (x.amax((1, 2, 3)) > 1 + _ROUNDED)).float()


def at_most(noise: Tensor, sigma: float) -> Tensor:
    """What is taken off a picture, (N, 3, H, W), where there is more of it than noise of the standard deviation `sigma`
    (in [0, 1]) has, made as little as that: the rest is taken for the picture's texture."""
    reach = min(_AROUND_PX, min(noise.shape[2:]) - 1)
    power = box(noise.square().mean(1, keepdim=True), reach, "nothing")
    return noise * (sigma / power.sqrt().clamp_min(1e-6)).clamp_max(1)


def from_state_dict(state: dict[str, Tensor]) -> Restore:
    """The network whose weights these are; all sizes are read from their shapes. Strict."""
    count, width = len(state["gate.told.weight"]), len(state["gate.blocks.weight"])
    parts = (
        {k.removeprefix(f"experts.{i}."): v for k, v in state.items() if k.startswith(f"experts.{i}.")}
        for i in range(count)
    )
    network = Restore(
        [unet.from_state_dict(part) for part in parts], Gate(count, width, int(state["gate.unbounded"].sum()))
    )
    network.load_state_dict(state)
    return network
