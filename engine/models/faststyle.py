"""Any photo in any style, in one pass.

The photo's colours are first moved to the style's by the linear map of `gaussian.recoloured`, in closed form; a small
network then paints over that, conditioned on the style's moments in `features` (as in conditional instance
normalisation, Dumoulin et al. 2017, and dual modulation, MicroAST, Wang et al. 2023). It learns the objective of
`models/gatys.py` (perceptual losses, Johnson et al. 2016) with MicroAST as a first teacher:
`train/recipes/faststyle.py`. Where
we leave the papers: colour is not learned, so white stays one colour and nothing glows at an edge; nothing is
normalised by statistics of the content, so the network is local and a picture in tiles is the picture whole; and
strokes on flat surfaces grow from noise, whose seed varies the picture. Most work happens at a quarter of the size: 17
kMAC per pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.style_loss import Style

NOISE_CHANNELS = 4


def embedding(style: Style) -> Tensor:
    """The embedding of a style: mean and standard deviation of each channel of each layer, (1, D)."""
    return torch.cat(
        [part for layer in style.layers for part in (layer.mean, layer.covariance.diagonal().clamp(min=0).sqrt())]
    )[None]


class Modulated(nn.Module):
    """x + g2 conv(relu(g1 conv(x) + b1)) + b2 with gains and shifts (N, 4 width) from the style; (N, width, H, W) in
    and out.

    Gains lie between 0 and 2: unbounded ones multiply up over the blocks for a style that is unlike all others.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, padding_mode="replicate")
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, padding_mode="replicate")

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        gain1, shift1, gain2, shift2 = modulation[:, :, None, None].chunk(4, 1)
        y = F.relu((1 + gain1.tanh()) * self.first(x) + shift1)
        found: Tensor = x + (1 + gain2.tanh()) * self.second(y) + shift2
        return found


class FastStyle(nn.Module):
    """(N, 3, H, W) in the style's colours, in [0, 1], embeddings of styles (N, D) and noise (N, 4, H / 4, W / 4) -> the
    painted picture, (N, 3, H, W), not clamped. H and W are multiples of 4.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        embedding_dim: int = 480,
        hidden: int = 96,
        fine: int = 24,
        width: int = 64,
        dilations: tuple[int, ...] = (1, 2, 1),
    ) -> None:
        super().__init__()
        # Mean and deviation of embeddings: set by the recipe, so that the network is given numbers around 1.
        self.register_buffer("centre", torch.zeros(embedding_dim))
        self.register_buffer("spread", torch.ones(embedding_dim))
        self.listen = nn.Linear(embedding_dim, hidden)
        self.manner = nn.Linear(hidden, 4 * width * len(dilations) + 2 * width + 2 * fine)
        self.head = nn.Conv2d(12, fine, 3, padding=1, padding_mode="replicate")
        self.down = nn.Conv2d(fine, width, 3, stride=2, padding=1, padding_mode="replicate")
        self.speckle = nn.Conv2d(NOISE_CHANNELS, width, 1, bias=False)
        self.blocks = nn.ModuleList(Modulated(width, d) for d in dilations)
        self.up = nn.Conv2d(width, 4 * fine, 1)
        self.tail = nn.Conv2d(fine, 12, 3, padding=1, padding_mode="replicate")
        nn.init.normal_(self.manner.weight, std=0.01)
        nn.init.zeros_(self.manner.bias)
        for parameter in self.tail.parameters():  # it begins with the photo in the style's colours
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        # Clamped, so that a style unlike all others is not far out of what the network has learned.
        style = ((style - self.centre) / self.spread).clamp(-4, 4)
        modulation = self.manner(F.relu(self.listen(style)))  # (N, M)
        width, fine = self.down.out_channels, self.head.out_channels
        *blocks, grain, ends = modulation.split([4 * width] * len(self.blocks) + [2 * width, 2 * fine], 1)
        gate, lift = grain[:, :, None, None].chunk(2, 1)
        half = F.relu(self.head(F.pixel_unshuffle(x, 2)))  # (N, fine, H/2, W/2)
        quarter = F.relu(self.down(half) + (1 + gate.tanh()) * self.speckle(noise) + lift)
        for block, own in zip(self.blocks, blocks, strict=True):
            quarter = block(quarter, own)
        gain, shift = ends[:, :, None, None].chunk(2, 1)
        y = F.relu((1 + gain.tanh()) * F.pixel_shuffle(self.up(quarter), 2) + shift + half)
        return x + F.pixel_shuffle(self.tail(y), 2)

    def nothing(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding of an average style and no noise, for pictures x (N, 3, H, W): what a first, empty run
        takes.
        """
        n, _, height, width = x.shape
        return self.centre.expand(n, -1), x.new_zeros(n, NOISE_CHANNELS, height // 4, width // 4)


def from_state_dict(state: dict[str, Tensor]) -> FastStyle:
    """The network whose weights these are; sizes are read from the shapes. Strict.

    The middle block is the dilated one.
    """
    blocks = sum(k.startswith("blocks.") and k.endswith("first.weight") for k in state)
    dilations = tuple(2 if k == blocks // 2 else 1 for k in range(blocks))
    hidden, embedding_dim = state["listen.weight"].shape
    network = FastStyle(embedding_dim, hidden, state["head.weight"].shape[0], state["down.weight"].shape[0], dilations)
    network.load_state_dict(state)
    return network
