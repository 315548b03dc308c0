"""Hidden channels that a network has lost while it learned, begun anew.

Where a channel before its ReLU is below zero for every picture, its output is 0, its weights have no gradient, and it
stays so (Lu et al. 2020, "Dying ReLU and Initialization"). Noise in the gradient can drive channels there that
matter little at first: of our first restorers, the deepest blocks had lost all of theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.models import unet
from engine.models.unet import Residual, UNet

SLOPE = 0.1  # of the leaky ReLU of new blocks, which loses none
SHOWN = 48  # crops that show what a network has lost
_SELDOM = 2e-3  # a channel that is above 0 at so small a share of the places is as good as lost
_BEFORE = {  # the convolution whose output is the input of each chain of blocks
    "down1": "head",
    "down2": "to_quarter",
    "middle": "to_eighth",
    "deepest": "to_sixteenth",
    "joined": "from_sixteenth",
    "up2": "from_eighth",
    "up1": "from_quarter",
}


@torch.no_grad()
def silent(network: nn.Module, pictures: Tensor) -> dict[str, Tensor]:
    """Which hidden channels of each residual block of `network` are 0 almost everywhere in `pictures`: (width,), by
    the block's name.

    Those of a leaky block are 0 nowhere.
    """
    found: dict[str, Tensor] = {}

    def counter(name: str, block: Residual) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda layer, given, output: found.update(
            {name: ((output > 0) | (block.slope > 0)).float().mean((0, 2, 3)) < _SELDOM}
        )

    listening = [
        block.first.register_forward_hook(counter(name, block))
        for name, block in network.named_modules()
        if isinstance(block, Residual)
    ]
    try:
        network(pictures)
    finally:
        for handle in listening:
            handle.remove()
    return found


@torch.no_grad()
def revive(network: nn.Module, pictures: Tensor) -> None:
    """Begins the silent channels of any `network` anew, in place; its output for `pictures` stays the same.

    A block in which all were silent leaks from now on.
    """
    for name, gone in silent(network, pictures).items():
        block = network.get_submodule(name)
        assert isinstance(block, Residual)
        block.load_state_dict(_begun_anew(block, gone))
        if gone.all():
            block.leak(SLOPE)


@torch.no_grad()
def revived(old: UNet, new: UNet, pictures: Tensor) -> UNet:
    """What `old` has learned, in as many blocks as `new` has; its output for `pictures` (N, 3, H, W) stays the same,
    unless `new` has too few.

    Silent channels begin anew. A block of `old` in which all are silent adds a constant: the layer before it is given
    that, and the block is left out. Where `new` has more blocks than then are left, they are as it has them, but add
    nothing yet.
    """
    lost = silent(old, pictures)
    state = new.state_dict() | {
        name: tensor for name, tensor in old.state_dict().items() if name.split(".")[0] not in _BEFORE
    }
    for chain, before in _BEFORE.items():
        last, kept = before, 0
        for k, block in enumerate(getattr(old, chain, ())):
            gone = lost[f"{chain}.{k}"]
            if gone.all():
                state[f"{last}.bias"] = state[f"{last}.bias"] + block.second.bias
            elif kept < len(getattr(new, chain)):
                state.pop(f"{chain}.{kept}.slope", None)
                state |= {f"{chain}.{kept}.{name}": tensor for name, tensor in _begun_anew(block, gone).items()}
                last, kept = f"{chain}.{kept}.second", kept + 1
        for k in range(kept, len(getattr(new, chain, ()))):
            for name in (f"{chain}.{k}.second.weight", f"{chain}.{k}.second.bias"):
                state[name] = torch.zeros_like(state[name])
    return unet.from_state_dict(state)


def _begun_anew(block: Residual, gone: Tensor) -> dict[str, Tensor]:
    """The weights of `block`; the channels that are `gone`, (width,), as at first, with no part in its output yet."""
    state = {name: tensor.clone() for name, tensor in block.state_dict().items()}
    state["first.weight"][gone] = nn.init.kaiming_uniform_(torch.empty_like(state["first.weight"]))[gone]
    state["first.bias"][gone] = 0
    state["second.weight"][:, gone] = 0
    return state
