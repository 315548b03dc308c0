"""Muon: momentum whose update is orthogonalised, matrix by matrix (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks"; the scale of a step as in Liu et al. 2025, "Muon is Scalable for LLM Training").

Every singular value of a weight's update becomes about 1, so that directions with small gradients are learned too.
On our restorers 600 steps are worth several thousand of Adam's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

DECAY = 0.2  # of the weights of residual networks: without it their channels are lost (engine/train/revive.py)
_SMALL = 2**18  # numbers of a weight
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: singular values in (0, 1] come to lie between 0.7 and 1.2


def orthogonalised(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix, about: U V^T of matrix (R, C) = U S V^T, by Newton-Schulz iteration.

    Each iteration multiplies by a polynomial of x x^T from the left, so it is enough to follow that small square.
    """
    a, b, c = _QUINTIC
    x = matrix / (matrix.norm() + 1e-12)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    square = x @ x.T
    whole = factor = torch.eye(len(x), dtype=x.dtype, device=x.device)
    for k in range(iterations):
        if k:
            square = factor @ square @ factor
        factor = torch.addmm(b * square, square, square, alpha=c)
        factor.diagonal().add_(a)
        whole = factor @ whole
    x = whole @ x
    found: Tensor = x.T if tall else x
    return found


@contextmanager
def _one_thread(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Products of matrices as small as these take longer to be shared out than to be done: 22 ms instead of 67 on two
    cores.
    """
    threads = torch.get_num_threads()
    small = all(p.numel() <= _SMALL for p in parameters)
    torch.set_num_threads(1 if small else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised. For weights of two or more dimensions, each seen as (first, all the others).

    A step has a root mean square of 0.2 lr, about that of Adam, so that Adam's learning rates fit. It is as long where
    the gradient is mere noise: weights that matter little walk at random and grow, unless `decay` (as of AdamW) holds
    them: each step takes off lr times `decay` of a weight.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("decay", 0.0)  # checkpoints from before there was any go on as they were

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        with _one_thread(p for group in self.param_groups for p in group["params"]):
            self._descend()

    def _descend(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"])
                update = orthogonalised(ahead.reshape(len(p), -1))
                p.mul_(1 - group["lr"] * group["decay"])
                p.sub_(update.reshape(p.shape), alpha=0.2 * group["lr"] * max(update.shape) ** 0.5)


def optimizers(module: nn.Module, lr: float, decay: float = 0.0) -> dict[str, torch.optim.Optimizer]:
    """Muon for the weights of `module`, with `decay` of them, and Adam for its biases and other vectors."""
    parameters = list(module.parameters())
    return {
        "muon": Muon([p for p in parameters if p.ndim > 1], lr, decay=decay),
        "adam": torch.optim.Adam([p for p in parameters if p.ndim <= 1], lr, betas=(0.9, 0.99)),
    }
