"""The multi-scale VQVAE of VAR (Tian et al. 2024, section 3): from token maps of growing size to a picture.

Each scale's tokens are looked up in one codebook, enlarged to the largest scale, smoothed by a convolution and added
to what the scales before have painted; a VQGAN decoder (Esser et al. 2021) makes a picture of the sum. Its encoder,
which drawing new pictures does not need, is not built. Names of parameters are those of the published file.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32  # of every normalisation
SMOOTHERS = 4  # convolutions after enlarging, shared by neighbouring scales


def smoother_of(scale: int, scales: int) -> int:
    """Which of the SMOOTHERS serves `scale` of `scales`: the one whose centre is nearest, the later of two as near.

    Centres are 1/12, 13/36, 23/36 and 11/12 of the way from the first scale to the last. In whole numbers, because
    two of the published ten scales lie exactly between two centres.
    """
    return (36 * scale + 2 * (scales - 1)) // (10 * max(1, scales - 1))


class Quantizer(nn.Module):
    """A codebook of `tokens` vectors of `channels` numbers, and the smoothing of what they paint."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, channels)
        smoothers = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(SMOOTHERS)]
        self.quant_resi = nn.ModuleDict({"qresi_ls": nn.ModuleList(smoothers)})

    def add(self, canvas: Tensor, tokens: Tensor, scale: int, scales: int) -> Tensor:
        """The canvas (N, C, S, S), float32, with tokens (N, s * s) of one of `scales` scales painted over it."""
        side = math.isqrt(tokens.shape[1])
        painted = self.embedding(tokens).float().mT.unflatten(2, (side, side))
        if side < canvas.shape[-1]:
            painted = F.interpolate(painted, size=canvas.shape[-2:], mode="bicubic")
        smoother = self.quant_resi["qresi_ls"][smoother_of(scale, scales)]  # type: ignore[index]
        smoothed = smoother(painted.to(smoother.weight.dtype)).float()
        found: Tensor = canvas + (painted + smoothed) / 2
        return found


class VqvaeResidual(nn.Module):
    """Two convolutions beside a shortcut: (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(inputs), _norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        found: Tensor = self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(y)))
        return found


class VqvaeAttention(nn.Module):
    """Every position looks at every other, with one head; added to (N, width, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).mT.chunk(3, -1)
        seen = F.scaled_dot_product_attention(q, k, v)
        found: Tensor = x + self.proj_out(seen.mT.unflatten(2, x.shape[2:]))
        return found


class Double(nn.Module):
    """Twice the size, each pixel repeated, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(F.interpolate(x, scale_factor=2))
        return found


class Level(nn.Module):
    """VqvaeResidual blocks at one size, an attention after each at the smallest,
    then doubling at all but the largest.
    """

    def __init__(self, inputs: int, outputs: int, blocks: int, *, attends: bool, doubles: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(VqvaeResidual(inputs if k == 0 else outputs, outputs) for k in range(blocks))
        self.attn = nn.ModuleList(VqvaeAttention(outputs) for _ in range(blocks if attends else 0))
        self.upsample = Double(outputs) if doubles else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for block, attention in itertools.zip_longest(self.block, self.attn):
            x = block(x)
            x = attention(x) if attention else x
        found: Tensor = self.upsample(x)
        return found


class Decoder(nn.Module):
    """(N, channels, S, S) -> pictures (N, 3, S * 2 ** (levels - 1), ...) around [-1, 1]; widths from the largest size
    down.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        inner = widths[-1]
        self.conv_in = nn.Conv2d(channels, inner, 3, padding=1)
        self.mid = nn.ModuleDict(
            {
                "block_1": VqvaeResidual(inner, inner),
                "attn_1": VqvaeAttention(inner),
                "block_2": VqvaeResidual(inner, inner),
            }
        )
        inputs = (*widths[1:], inner)
        last = len(widths) - 1
        self.up = nn.ModuleList(
            Level(i, o, blocks, attends=k == last, doubles=k > 0)
            for k, (i, o) in enumerate(zip(inputs, widths, strict=True))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for part in (*self.mid.values(), *reversed(self.up)):
            x = part(x)
        found: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return found


class VQVAE(nn.Module):
    """What VAR draws with: `quantize` paints tokens on a canvas, and calling it makes a picture of the canvas."""

    def __init__(
        self,
        tokens: int = 4096,
        channels: int = 32,
        widths: tuple[int, ...] = (160, 160, 320, 320, 640),
        blocks: int = 3,
    ) -> None:
        super().__init__()
        self.tokens, self.channels, self.scale = tokens, channels, 2 ** (len(widths) - 1)
        self.quantize = Quantizer(tokens, channels)
        self.post_quant_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.decoder = Decoder(channels, widths, blocks)

    def forward(self, canvas: Tensor) -> Tensor:
        """Canvas (N, C, S, S) -> pictures (N, 3, scale S, scale S) in [0, 1]."""
        x = self.decoder(self.post_quant_conv(canvas.to(self.post_quant_conv.weight.dtype)))
        found: Tensor = (x.clamp(-1, 1) + 1) / 2
        return found


def from_state_dict(state: dict[str, Tensor]) -> VQVAE:
    """The VQVAE whose weights these are, without those of the encoder; every width is read from the shapes. Strict.

    The tensors themselves become the parameters: nothing is copied.
    """
    levels = sum(key.startswith("decoder.up.") and key.endswith(".block.0.conv1.weight") for key in state)
    blocks = sum(key.startswith("decoder.up.0.block.") and key.endswith(".conv1.weight") for key in state)
    widths = tuple(state[f"decoder.up.{k}.block.0.conv1.weight"].shape[0] for k in range(levels))
    tokens, channels = state["quantize.embedding.weight"].shape
    with torch.device("meta"):
        network = VQVAE(tokens, channels, widths, blocks)
    network.load_state_dict(state, assign=True)
    return network


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width, eps=1e-6)
