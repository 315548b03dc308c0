"""Deep image prior: noise taken off, holes filled and pictures enlarged without anything learned beforehand, by fitting
an untrained network to the one picture (Ulyanov, Vedaldi & Lempitsky, Deep Image Prior, CVPR 2018). A convolutional
network fits what pictures have in common long before it fits noise, so the fit is stopped in between.

Where this leaves the paper:
- The network is an eighth as wide in its finest layer, where most of the time goes, and the steps are hundreds.
- It adds to a picture that is near already (a blurred one, a bicubic enlargement), begins with adding nothing, and is
  given that picture beside its noise, as in Liang et al., Analysis of Deep Image Prior and Exploiting Self-Guidance for
  Image Reconstruction (2024): a third of the steps is enough. To fill holes it begins with one colour and is given
  noise alone: from a smooth fill, which fits all that is known, there would be nothing to learn.
- The result is a running mean of the outputs; noise is taken off only until their running variance was least (ES-EMV,
  Wang et al., Early Stopping for Deep Image Prior, TMLR 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.fill import fill
from engine.models.filters import box

WIDTHS = (16, 32, 64, 128)  # of the encoder, fine to coarse, and of the decoder the other way
SKIP = 4  # channels that go past each coarser level
INPUT_CHANNELS = 16  # of the fixed noise that the network makes the picture of
INPUT_MOST = 0.1  # this noise is uniform from 0 to this
PERTURBATION = 1 / 30  # standard deviation of the noise that is added to the input, anew at each step
PERTURBATION_ALONE = 0.01  # the same where the input is noise alone
OUTPUT_REACH = 0.2  # of the network's last layer; at 1 each step of Adam would make the picture flicker
LEARNING_RATE = 0.01
WARM_UP = 10  # steps of Adam
MEMORY_OF_MEAN = 0.97  # of the running mean of outputs: about the last thirty
PATIENCE = 50  # steps without a smaller variance after which the fit ends
_FULL_STEPS_PX = 256 * 256
_LEAST_STEPS = 85
_MULTIPLE = 2 ** len(WIDTHS)
_LEAST_PX = (
    2 * _MULTIPLE
)  # of what the network makes: its coarsest level needs two pixels to mirror and to take a variance of

Observe = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Iterate:
    """Yielded after each step: `done` of at most `total`, the loss before it, and the picture so far, (1, 3, H, W) in
    [0, 1].
    """

    done: int
    total: int
    loss: float
    picture: Tensor


def denoise(noisy: Tensor, *, steps: int = 0, seed: int = 0) -> Iterator[Iterate]:
    """Take noise off a picture (1, 3, H, W) in [0, 1], sides of any size; yields after each step, the last one the
    result.

    The fit ends before `steps` when it begins to take up noise. Nothing runs between two steps, so closing the
    generator stops at once; this holds for `complete` and `enlarge` too. steps: 0 stands for as many as take a minute
    at most.
    """
    steps = steps or _affordable(250, noisy.shape)
    fit = _Fit(noisy, _blurred(noisy), seed=seed, guided=True)
    watch = _Watch()
    for done in range(1, steps + 1):
        loss = fit.step()
        watch.see(fit.variance, fit.picture)
        if done == steps or watch.idle >= PATIENCE:
            yield Iterate(done, steps, loss, fit.picture if watch.best is None else watch.best)
            return
        yield Iterate(done, steps, loss, fit.picture)


def complete(pixels: Tensor, mask: Tensor, *, steps: int = 0, seed: int = 0) -> Iterator[Iterate]:
    """Fill the holes of a picture (1, 3, H, W) in [0, 1] where `mask` (1, 1, H, W) is above 0.5; every other pixel
    keeps its bits.

    A picture without a known pixel becomes mid grey.
    """
    steps = steps or _affordable(200, pixels.shape)
    holes = mask > 0.5
    known = (~holes).float()
    mean = (
        (pixels * known).sum((2, 3), keepdim=True) / known.sum() if known.any() else pixels.new_full((1, 3, 1, 1), 0.5)
    )
    fit = _Fit(torch.where(holes, mean, pixels), mean.expand_as(pixels), known=known, seed=seed)
    for done in range(1, steps + 1):
        loss = fit.step()
        filled = _seamless(fit.picture, pixels, holes) if done == steps else fit.picture
        yield Iterate(done, steps, loss, torch.where(holes, filled.to(pixels.dtype), pixels))


def enlarge(pixels: Tensor, *, steps: int = 0, seed: int = 0) -> Iterator[Iterate]:
    """Enlarge a picture (1, 3, H, W) in [0, 1] to twice its size: of all pictures that shrink to it, one that the
    network fits.
    """
    steps = steps or _affordable(100, (2 * side for side in pixels.shape[2:]))
    start = F.interpolate(pixels, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    fit = _Fit(pixels, start, observe=_halved, seed=seed, guided=True)
    for done in range(1, steps + 1):
        loss = fit.step()
        yield Iterate(done, steps, loss, fit.picture)


class _Fit:
    """A network that is being fitted to one picture.

    target: what is known of it, (1, 3, h, w). start: what the network adds to, (1, 3, H, W). observe: takes a picture
    of the size of `start` to the size of `target`. known: (1, 1, h, w), 0 where the target is unknown. guided:
    whether the input holds `start`. variance: how much the last outputs differ, as a running mean of squares.
    """

    def __init__(
        self,
        target: Tensor,
        start: Tensor,
        *,
        seed: int,
        observe: Observe | None = None,
        known: Tensor | None = None,
        guided: bool = False,
    ) -> None:
        self._rng = torch.Generator().manual_seed(seed)
        self._target, self._start, self._observe, self._known = (
            target.detach().clone(),
            start.detach().clone(),
            observe,
            known,
        )
        height, width = start.shape[2:]
        self._input = INPUT_MOST * torch.rand((1, INPUT_CHANNELS, _padded(height), _padded(width)), generator=self._rng)
        self._perturbation = PERTURBATION if guided else PERTURBATION_ALONE
        if guided:
            beyond = (0, self._input.shape[3] - width, 0, self._input.shape[2] - height)
            self._input[:, :3] = F.pad(self._start, beyond, mode="replicate")
        self._network = _network(self._rng).to(start.device).to(memory_format=torch.channels_last)
        self._descent = _Adam(self._network)
        self._mean, self._steps, self.variance = self._start.clone(), 0, 0.0

    @property
    def picture(self) -> Tensor:
        """The mean of the outputs so far, (1, 3, H, W) in [0, 1]."""
        return self._mean.clamp(0, 1)

    def step(self) -> float:
        """Returns the loss before it."""
        loss, output = self._look()
        self._descent.step()
        self._steps += 1
        rate = max(1 - MEMORY_OF_MEAN, 2 / (self._steps + 1))  # the mean of few steps has a short memory
        self.variance = (1 - rate) * (self.variance + rate * float((output - self._mean).square().mean()))
        self._mean.lerp_(output, rate)
        return loss

    @torch.enable_grad()
    def _look(self) -> tuple[float, Tensor]:
        """The loss, whose gradient is left with the parameters, and the output."""
        x = self._input + self._perturbation * torch.randn(self._input.shape, generator=self._rng)
        made = self._network(x.to(self._start.device).contiguous(memory_format=torch.channels_last))
        output = self._start + OUTPUT_REACH * made[:, :, : self._start.shape[2], : self._start.shape[3]]
        error = ((output if self._observe is None else self._observe(output)) - self._target).square()
        loss = (error if self._known is None else error * self._known).mean()
        loss.backward()
        return float(loss.detach()), output.detach()


class _Watch:
    """Keeps the picture at which the variance was least, once it has come down from where it was greatest: it rises
    first, as the network begins with adding nothing.
    """

    def __init__(self) -> None:
        self.best: Tensor | None = None
        self.idle = 0  # steps since then
        self._seen, self._greatest, self._least = 0, 0.0, math.inf

    def see(self, variance: float, picture: Tensor) -> None:
        self._seen, self._greatest = self._seen + 1, max(self._greatest, variance)
        if self._seen > PATIENCE and variance < min(self._least, 0.75 * self._greatest):
            self._least, self.best, self.idle = variance, picture, 0
        elif self.best is not None:
            self.idle += 1


class _Adam:
    """Adam (Kingma & Ba 2015) of all parameters at once, which are made views of one vector.

    Written out, since torch.optim would import torch's compiler: seconds before the first step.
    """

    def __init__(self, network: nn.Module, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        parameters = list(network.parameters())
        self._place = torch.cat([p.detach().flatten() for p in parameters])
        self._gradient, self._slope, self._power = (torch.zeros_like(self._place) for _ in range(3))
        self._betas, self._steps, at = betas, 0, 0
        for p in parameters:
            span = slice(at, at + p.numel())
            p.data, p.grad = self._place[span].view(p.shape), self._gradient[span].view(p.shape)
            at = span.stop

    def step(self) -> None:
        """One step along the gradient that was gathered, which is then zero again."""
        self._steps += 1
        fast, slow = self._betas
        self._slope.lerp_(self._gradient, 1 - fast)
        self._power.lerp_(self._gradient.square(), 1 - slow)
        slope, power = self._slope / (1 - fast**self._steps), self._power / (1 - slow**self._steps)
        self._place.addcdiv_(slope, power.sqrt_().add_(1e-8), value=-LEARNING_RATE * min(1.0, self._steps / WARM_UP))
        self._gradient.zero_()


class _Skip(nn.Module):
    """Down to a sixteenth and up again, with a few channels going past each level (skip connections): the input
    (1, C, H, W) to what is added (1, 3, H, W).

    Sides are multiples of _MULTIPLE. Normalised by the picture's own statistics.
    """

    def __init__(self) -> None:
        super().__init__()
        finer = (INPUT_CHANNELS, *WIDTHS[:-1])
        coarser = (*WIDTHS[1:], WIDTHS[-1])
        self.down = nn.ModuleList(
            nn.Sequential(_layer(a, b, 3, stride=2), _layer(b, b, 3)) for a, b in zip(finer, WIDTHS, strict=True)
        )
        self.past = nn.ModuleList(_layer(a, SKIP, 1) for a in finer)
        self.up = nn.ModuleList(
            nn.Sequential(_layer(c + SKIP, b, 3), _layer(b, b, 1)) for c, b in zip(coarser, WIDTHS, strict=True)
        )
        self.out = nn.Conv2d(WIDTHS[0], 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        going_past = []
        for down, past in zip(self.down, self.past, strict=True):
            going_past.append(past(x))
            x = down(x)
        for up, past in zip(reversed(self.up), reversed(going_past), strict=True):
            x = up(torch.cat([past, F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)], 1))
        found: Tensor = self.out(x)
        return found


def _layer(channels: int, made: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, made, kernel, stride, kernel // 2, padding_mode="reflect", bias=False),
        nn.BatchNorm2d(made, track_running_stats=False),
        nn.LeakyReLU(0.2, inplace=True),
    )


def _network(rng: torch.Generator) -> nn.Module:
    """A network drawn from `rng` and nothing else, that adds nothing yet."""
    with torch.device("meta"):
        network = _Skip()
    network.to_empty(device="cpu")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                reach = (module.in_channels * module.kernel_size[0] ** 2) ** -0.5
                module.weight.uniform_(-reach, reach, generator=rng)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(1)
                module.bias.zero_()
        for parameter in network.out.parameters():
            parameter.zero_()
    return network


def _affordable(steps: int, size: Iterable[int]) -> int:
    """As many steps as wanted for up to 256 x 256 pixels; for more pixels fewer, but not under _LEAST_STEPS."""
    *_, height, width = size
    return min(steps, max(_LEAST_STEPS, round(steps * _FULL_STEPS_PX / (height * width))))


def _padded(side: int) -> int:
    """What the network makes of a side: a multiple, and not too little."""
    found: int = max(_LEAST_PX, -(-side // _MULTIPLE) * _MULTIPLE)
    return found


def _blurred(pixels: Tensor) -> Tensor:
    """By a small Gaussian, twice a box of three: its noise is a quarter as strong, and edges are not far away."""
    for _ in range(2):
        pixels = box(pixels, 1)
    return pixels


def _halved(pixels: Tensor) -> Tensor:
    """Half the size, by the antialiased bicubic filter."""
    return F.interpolate(pixels, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)


def _seamless(filled: Tensor, pixels: Tensor, holes: Tensor) -> Tensor:
    """What was filled, moved smoothly so that it meets the picture around each hole."""
    if holes.all():
        return filled
    correction = fill(0.5 + (pixels - filled) / 2, holes.float())
    while True:
        try:
            next(correction)
        except StopIteration as end:
            found: Tensor = (filled + 2 * end.value - 1).clamp(0, 1)
            return found
