"""Two optimisers of a picture: Adam with the mean of its iterates, and L-BFGS.

Both are given the first picture, (1, 3, H, W) in [0, 1], and `look`, which gives the loss of a picture and its
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.optim import LBFGS

Look: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]

MEMORY_OF_MEAN = 0.95  # of the running mean of iterates: about the last twenty
HISTORY = 20  # steps from which L-BFGS estimates the curvature
LOOKS_MOST = 10  # of a step of L-BFGS
# Penalty for leaving [0, 1]: times the squared distance, mean over the picture; more makes a kink that is hard to
# descend.
PENALTY = 100.0


class Descent(Protocol):
    """An optimiser of one picture, as Gatys, Ecker & Bethge (CVPR 2016) use it: the pixels are its parameters."""

    def __init__(self, first: Tensor, look: Look, rate: float, warm_up: int = 0) -> None: ...

    def step(self) -> float:
        """Go one step; returns the loss before it."""
        ...

    @property
    def picture(self) -> Tensor:
        """The result so far, (1, 3, H, W) in [0, 1]."""
        ...


class Adam:
    """Adam (Kingma & Ba 2015), kept in [0, 1]; the result is the mean of its last iterates (as in crowsonkb/style-
    transfer-pytorch).

    rate: what a step moves a pixel by, about. warm_up: steps over which it grows to that.
    """

    def __init__(
        self, first: Tensor, look: Look, rate: float, warm_up: int = 0, betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        self._place, self._mean, self._look = first.clone(), first.clone(), look
        self._rate, self._warm_up, self._betas, self._steps = rate, warm_up, betas, 0
        self._slope, self._power = torch.zeros_like(first), torch.zeros_like(first)

    @property
    def picture(self) -> Tensor:
        return self._mean

    def step(self) -> float:
        """Written out, since torch.optim would import torch's compiler: seconds before the first step."""
        loss, gradient = self._look(self._place)
        self._steps += 1
        fast, slow = self._betas
        self._slope.lerp_(gradient, 1 - fast)
        self._power.lerp_(gradient.square(), 1 - slow)
        slope, power = self._slope / (1 - fast**self._steps), self._power / (1 - slow**self._steps)
        rate = self._rate * min(1.0, self._steps / max(1, self._warm_up))
        self._place.addcdiv_(slope, power.sqrt_().add_(1e-8), value=-rate).clamp_(0, 1)
        # The mean of few steps has a short memory, so that it soon leaves the picture that a scale begins with.
        self._mean.lerp_(self._place, max(1 - MEMORY_OF_MEAN, 2 / (self._steps + 1)))
        return loss


class Lbfgs:
    """L-BFGS with a line search by the strong Wolfe conditions (torch.optim); a step looks once or twice, seldom more.

    It needs a smooth loss, so pixels may leave [0, 1] at a penalty and are clamped in `picture`. After a step that is
    not finite it drops its history of the curvature and goes on from the last finite iterate. rate and warm_up are for
    Adam alone. The first of a process waits five seconds for torch.optim to import torch's compiler.
    """

    def __init__(self, first: Tensor, look: Look, rate: float, warm_up: int = 0) -> None:
        self._look = look
        self._place = first.contiguous().clone().requires_grad_()
        self._known: tuple[Tensor, float, Tensor] | None = None  # the last iterate, its loss and gradient
        self._descent = self._fresh()

    def _fresh(self) -> LBFGS:
        from torch.optim import LBFGS

        return LBFGS(
            [self._place],
            max_iter=1,
            max_eval=1 + LOOKS_MOST,
            history_size=HISTORY,
            tolerance_grad=0,
            line_search_fn="strong_wolfe",
        )

    @property
    def picture(self) -> Tensor:
        return self._place.detach().clamp(0, 1)

    def step(self) -> float:
        before = self._place.detach().clone()
        loss = float(self._descent.step(self._evaluate))
        if not torch.isfinite(self._place.detach()).all():
            self._place.data.copy_(before)
            self._descent = self._fresh()
        return loss

    def _evaluate(self) -> float:
        """The loss at the present iterate, with its gradient where torch.optim expects it; computed once for each."""
        place = self._place.detach()
        if self._known is None or not torch.equal(self._known[0], place):
            loss, gradient = self._look(place)
            out = place - place.clamp(0, 1)
            self._known = (
                place.clone(),
                loss + PENALTY * float(out.square().mean()),
                (gradient + 2 * PENALTY / out.numel() * out).contiguous(),
            )
        self._place.grad = self._known[2].clone()
        return self._known[1]


OPTIMIZERS: Mapping[str, type[Descent]] = {"adam": Adam, "lbfgs": Lbfgs}
