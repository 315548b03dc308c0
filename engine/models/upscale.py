"""Super-resolution by a chain of plain 3x3 convolutions that is trained as something richer.

ECBSR (Zhang et al., ACM MM 2021): each convolution is the sum of several linear branches while it learns (3x3, 1x1,
1x1 then 3x3, edge filters behind a 1x1), all of which fold into one 3x3 for use. Where we leave the paper: branches
are folded before every training step too, so that they act on the weights alone and training costs no more than the
plain network; hence no bias inside a branch. The output is added to the bilinearly enlarged input, where the paper
repeats pixels: less for the network to undo.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.filters import SOBEL, across_kernel

_SOBEL = across_kernel(SOBEL)
_LAPLACIAN = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
_EDGES = torch.stack([-2 * _SOBEL, -2 * _SOBEL.T, _LAPLACIAN / 4])  # (3, 3, 3), of about one size


class RichConv(nn.Module):
    """The training form of a 3x3 convolution, (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, expansion: int = 2) -> None:
        super().__init__()
        middle = expansion * outputs
        self.plain = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(outputs, inputs, 3, 3), a=5**0.5))
        self.point = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(outputs, inputs), a=5**0.5))
        self.expand = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(middle, inputs), a=5**0.5))
        self.squeeze = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(outputs, middle, 3, 3), a=5**0.5))
        self.edge_points = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(3, outputs, inputs), a=5**0.5))
        self.edge_gains = nn.Parameter(torch.full((3, outputs), 1e-3))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def folded(self) -> Tensor:
        """The 3x3 weight (outputs, inputs, 3, 3) that all branches together are."""
        weight = self.plain + torch.einsum("omhw,mi->oihw", self.squeeze, self.expand)
        weight = weight + torch.einsum("eo,eoi,ehw->oihw", self.edge_gains, self.edge_points, _EDGES)
        centre = self.point + (torch.eye(len(self.point)) if self.point.shape[0] == self.point.shape[1] else 0)
        return weight + F.pad(centre[:, :, None, None], (1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.folded(), self.bias, padding=1)


class Upscale(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, scale x H, scale x W), not clamped.

    rich: build it for training, from `RichConv`s; `folded` turns its weights into those of the plain form.
    """

    def __init__(self, scale: int = 4, width: int = 32, depth: int = 10, *, rich: bool = False) -> None:
        super().__init__()
        self.scale, self.rich = scale, rich
        conv = RichConv if rich else lambda i, o: nn.Conv2d(i, o, 3, padding=1)
        self.head = conv(3, width)
        self.body = nn.ModuleList(conv(width, width) for _ in range(depth))
        self.slopes = nn.ModuleList(nn.PReLU(width, init=0.2) for _ in range(depth + 1))
        self.tail = conv(width, 3 * scale * scale)

    def forward(self, x: Tensor) -> Tensor:
        first = y = self.slopes[0](self.head(x))
        for conv, slope in zip(self.body, self.slopes[1:], strict=True):
            y = slope(conv(y))
        enlarged = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.tail(y + first), self.scale) + enlarged

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """State dict of the plain form of a rich network; that of a plain one as it is."""
        if not self.rich:
            return self.state_dict()
        state = {k: v for k, v in self.state_dict().items() if k.startswith("slopes.")}
        for name, module in self.named_modules():
            if isinstance(module, RichConv):
                state |= {f"{name}.weight": module.folded(), f"{name}.bias": module.bias.detach()}
        return state


def from_state_dict(state: dict[str, Tensor]) -> Upscale:
    """The network whose plain weights these are; scale, width and depth are read from the shapes. Strict."""
    width = state["head.weight"].shape[0]
    scale = round((state["tail.weight"].shape[0] / 3) ** 0.5)
    depth = sum(k.startswith("body.") and k.endswith(".weight") for k in state)
    network = Upscale(scale, width, depth)
    network.load_state_dict(state)
    return network
