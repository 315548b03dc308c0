"""Light and colour of a whole photo, by one look-up table that a small network chooses.

Image-adaptive 3D LUTs (Zeng, Cai, Li, Cao & Zhang 2020): a network looks at a thumbnail and gives what is to be done
to each colour, so the cost hardly depends on the photo's size. Where we leave the paper: most of the table comes from
adjustments that have names (`Adjustments`), so that a person can change the network's proposal; basis tables,
weighed as in the paper, add what the adjustments cannot express. Beside the thumbnail the network is given the
quantiles of each channel, since exposure and colour cast are a matter of levels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.colour import NODES, Lut, grid
from engine.models.srgb import REC709, from_linear, luma, to_linear

THUMBNAIL_PX = 64
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BASIS_NODES = 9


@dataclass(frozen=True)
class Adjustments:
    """What is done to a photo, in this order; all 0 leaves it as it is."""

    exposure: float = 0.0  # stops: +1 doubles the light
    temperature: float = 0.0  # stops of red against blue: above 0 is warmer
    tint: float = 0.0  # stops of green: above 0 is greener
    shadows: float = 0.0  # above 0 lifts dark tones, black and white stay
    contrast: float = 0.0  # above 0 steepens the middle tones, black and white stay
    saturation: float = 0.0  # -1 is grey


NAMES = tuple(field.name for field in fields(Adjustments))
MOST = (4.0, 1.0, 0.6, 1.0, 0.6, 0.6)  # how far the network may go with each


def adjusted(rgb: Tensor, amounts: Tensor) -> Tensor:
    """sRGB colours (N, 3, M) in [0, 1] after adjustments (N, 6), in the order of `Adjustments`.

    May leave [0, 1] above.
    """
    exposure, temperature, tint, shadows, contrast, saturation = (a[:, :, None] for a in amounts.split(1, 1))
    linear = to_linear(rgb)
    stops = exposure + torch.cat([temperature / 2, tint, -temperature / 2], 1)
    light = linear * torch.exp2(stops)
    level = from_linear(light)
    # Above white nothing is bent: what the table cuts off there stays cut off.
    inside = level.clamp(1e-4, 1)
    bent = inside.pow(torch.exp2(-shadows))
    bent = bent + contrast * bent * (1 - bent) * (2 * bent - 1) * 2
    level = bent + (level - inside)
    grey = luma(level, REC709)
    found: Tensor = grey + (level - grey) * (1 + saturation)
    return found


class Tone(nn.Module):
    """Thumbnails (N, 3, 64, 64) in [0, 1] -> adjustments (N, 6) and weights (N, K) of the basis tables."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64), basis: int = 5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            inputs = width
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * inputs + 3 * len(QUANTILES), 96)
        self.amounts = nn.Linear(96, len(NAMES))
        self.weights = nn.Linear(96, basis)
        self.basis = nn.Parameter(torch.zeros(basis, 3, BASIS_NODES**3))
        nn.init.zeros_(self.amounts.weight)
        nn.init.zeros_(self.amounts.bias)

    def forward(self, thumbnails: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.body(2 * thumbnails - 1).flatten(2)
        levels = (
            thumbnails.flatten(2).quantile(torch.tensor(QUANTILES).to(thumbnails), dim=2).permute(1, 0, 2).flatten(1)
        )
        hidden = F.leaky_relu(self.hidden(torch.cat([seen.mean(2), seen.std(2), 2 * levels - 1], 1)), 0.2)
        most = torch.tensor(MOST).to(hidden)
        return most * torch.tanh(self.amounts(hidden) / most), self.weights(hidden)

    def tables(self, amounts: Tensor, weights: Tensor, nodes: int = NODES) -> Tensor:
        """Look-up tables (N, 3, nodes, nodes, nodes) of adjustments (N, 6) and weights (N, K)."""
        colours = grid(nodes).to(amounts)
        table = adjusted(colours.flatten(1).expand(len(amounts), -1, -1), amounts).view(-1, *colours.shape)
        more = torch.einsum("nk,kcm->ncm", weights, self.basis).unflatten(2, (BASIS_NODES,) * 3)
        return table + F.interpolate(more, (nodes,) * 3, mode="trilinear", align_corners=True)

    @torch.no_grad()
    def propose(self, pixels: Tensor) -> tuple[Adjustments, Tensor]:
        """What to do to a photo (1, 3, H, W): adjustments, and the weights (1, K) of the basis tables."""
        amounts, weights = self(thumbnail(pixels))
        return Adjustments(*(round(float(a), 4) for a in amounts[0])), weights

    @torch.no_grad()
    def lut(self, adjustments: Adjustments, weights: Tensor) -> Lut:
        """The table that does `adjustments`, with `weights` (1, K) of the basis tables; zeros for none of them."""
        amounts = torch.tensor([[getattr(adjustments, name) for name in NAMES]])
        return Lut(self.tables(amounts, weights)[0])


def thumbnail(pixels: Tensor) -> Tensor:
    """(N, 3, H, W) of any size as (N, 3, 64, 64): means of areas, so that noise does not count."""
    return F.adaptive_avg_pool2d(pixels.float(), THUMBNAIL_PX)


def from_state_dict(state: dict[str, Tensor]) -> Tone:
    """The network whose weights these are; widths are read from the shapes. Strict."""
    widths = tuple(w.shape[0] for key, w in state.items() if key.startswith("body.") and w.ndim == 4)
    network = Tone(widths, state["basis"].shape[0])
    network.load_state_dict(state)
    return network
