"""Visual autoregressive modelling (Tian et al. 2024): a picture drawn as token maps, each larger than the one before.

A transformer in the manner of GPT-2, steered by the class through adaptive layer normalisation (DiT, Peebles & Xie
2023) and with attention between normalised vectors, predicts all tokens of a scale at once from those of the scales
before; `engine.models.vqvae` decodes them. Classifier-free guidance (Ho & Salimans 2022) grows from nothing at the
first scale to its full strength at the last. Names of parameters are those of the published file; the numbers that
steer sampling are those of the published demonstration.

Where we leave the papers: a picture's latent is one number in [0, 1) for each of its tokens. It picks a token of the
nucleus (top-p, Holtzman et al. 2020) by its cumulative probability, the likeliest token first. Latents of 0 take the
likeliest token throughout, and what a latent draws depends on no other picture.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.imagenet import PRODUCTS
from engine.models.vqvae import VQVAE

SIDES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)  # of the token maps
GUIDANCE = 4.0
TOP_K = 900
TOP_P = 0.96
_MOST_SHARPNESS = math.log(100)


class VarAttention(nn.Module):
    """Self-attention of width C between normalised queries and keys; each head has a learned scale of its own."""

    zero_k_bias: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(4.0)))
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Tensor, start: int) -> Tensor:
        """x (N, L, C), tokens `start` to `start + L`, which see each other and all before.

        cache (2, N, heads, total, C / heads) holds keys and values of the tokens before, and takes those of x.
        """
        end = start + x.shape[1]
        bias = torch.cat([self.q_bias, self.zero_k_bias, self.v_bias])
        q, k, v = F.linear(x, self.mat_qkv.weight, bias).unflatten(2, (3, cache.shape[2], -1)).permute(2, 0, 3, 1, 4)
        cache[0, :, :, start:end] = F.normalize(k, dim=-1)
        cache[1, :, :, start:end] = v
        sharpness = self.scale_mul_1H11.clamp_max(_MOST_SHARPNESS).exp()
        keys, values = cache[:, :, :, :end]
        seen = F.scaled_dot_product_attention(F.normalize(q, dim=-1) * sharpness, keys, values, scale=1.0)
        found: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return found


class FeedForward(nn.Module):
    """The two linear layers of a transformer block (Vaswani et al. 2017), with GELU as in GPT-2: (N, L, width) in and
    out.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return found


class VarBlock(nn.Module):
    """One layer: attention and a feed-forward network, each between a steered normalisation and a steered gain."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attn = VarAttention(width, heads)
        self.ffn = FeedForward(width, inner)
        self.ada_lin = _steering(width, 6)

    def forward(self, x: Tensor, steered: Tensor, cache: Tensor, start: int) -> Tensor:
        """x (N, L, C) in float32; steered (6, N, 1, C): what `ada_lin` makes of the class."""
        gain1, gain2, scale1, scale2, shift1, shift2 = steered
        x = x + gain1 * self.attn(_modulated(x, scale1, shift1), cache, start)
        found: Tensor = x + gain2 * self.ffn(_modulated(x, scale2, shift2))
        return found


class Head(nn.Module):
    """The last steered normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ada_lin = _steering(width, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = _steered(self.ada_lin, condition)
        return _modulated(x, scale, shift)


class Transformer(nn.Module):
    """The network of the published file: what each scale's tokens may be, given the class and the scales before."""

    lvl_1L: Tensor

    def __init__(
        self, tokens: int = 4096, channels: int = 32, depth: int = 16, width: int = 1024, heads: int = 16,
        inner: int = 4096, classes: int = 1000, sides: tuple[int, ...] = SIDES,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.classes, self.sides = heads, classes, sides
        length = sum(side * side for side in sides)
        self.word_embed = nn.Linear(channels, width)
        self.class_emb = nn.Embedding(classes + 1, width)  # the last is no class at all
        self.pos_start = nn.Parameter(torch.zeros(1, sides[0] ** 2, width))
        self.pos_1LC = nn.Parameter(torch.zeros(1, length, width))
        self.lvl_embed = nn.Embedding(len(sides), width)
        self.register_buffer("lvl_1L", torch.cat([torch.full((side * side,), k) for k, side in enumerate(sides)])[None])
        self.blocks = nn.ModuleList(VarBlock(width, heads, inner) for _ in range(depth))
        self.head_nm = Head(width)
        self.head = nn.Linear(width, tokens)

    def start(self, labels: Tensor) -> TokenDrawing:
        """Begin pictures of these classes (N,); index `classes` stands for no class."""
        return TokenDrawing(self, labels)


class TokenDrawing:
    """Pictures in the making: keys and values of the scales so far, so that each token is computed once."""

    def __init__(self, network: Transformer, labels: Tensor) -> None:
        self.network = network
        self.condition = network.class_emb(labels)
        # The class steers every scale alike: its gains and shifts are computed once.
        self._steered = [_steered(block.get_submodule("ada_lin"), self.condition) for block in network.blocks]
        width = self.condition.shape[1]
        self._cache = self.condition.new_empty(
            len(network.blocks), 2, len(labels), network.heads, network.pos_1LC.shape[1], width // network.heads
        )
        self._places = (network.lvl_embed(network.lvl_1L) + network.pos_1LC).float()
        self._scale = self._start = 0  # of the tokens to come

    def predict(self, canvas: Tensor) -> Tensor:
        """Logits (N, s * s, tokens), float32, of the next scale's tokens, from the canvas so far.

        canvas (N, C, S, S); at the first scale, the class is all that is known.
        """
        network, start, side = self.network, self._start, self.network.sides[self._scale]
        x = self._input(canvas, side).float() + self._places[:, start : start + side * side]
        for block, steered, cache in zip(network.blocks, self._steered, self._cache, strict=True):
            x = block(x, steered, cache, start)
        self._scale, self._start = self._scale + 1, start + side * side
        found: Tensor = network.head(network.head_nm(x, self.condition)).float()
        return found

    def _input(self, canvas: Tensor, side: int) -> Tensor:
        """The input of the transformer, (N, side * side, C): for each token of the next scale the mean of the canvas
        under it.
        """
        if self._scale == 0:
            found: Tensor = self.condition[:, None] + self.network.pos_start
            return found
        seen = F.adaptive_avg_pool2d(canvas, side).flatten(2).mT
        embedded: Tensor = self.network.word_embed(seen.to(self.condition.dtype))
        return embedded


class VAR(nn.Module):
    """Latent (N, D) of numbers in [0, 1) and index of a category (N,) -> pictures (N, 3, S, S) in [0, 1].

    D is the number of tokens in a picture. A new picture's scales can be mixed with another's, see `mix`.
    """

    classes: Tensor

    categories = tuple(PRODUCTS)

    def __init__(self, transformer: Transformer, vqvae: VQVAE) -> None:
        super().__init__()
        self.transformer, self.vqvae = transformer, vqvae
        self.register_buffer("classes", torch.tensor(list(PRODUCTS.values())), persistent=False)

    @property
    def size_px(self) -> int:
        found: int = self.transformer.sides[-1] * self.vqvae.scale
        return found

    @property
    def latent_dim(self) -> int:
        return sum(side * side for side in self.transformer.sides)

    def sample_latents(self, category: str, count: int, truncation: float, rng: torch.Generator) -> Tensor:
        """Latents (count, D), float32 on the CPU; truncation 0 takes the likeliest tokens, 1 draws from the published
        nucleus.

        The i-th latent depends on the generator's state and on i, not on `count` or the category. ValueError for an
        unknown category.
        """
        self.categories.index(category)
        return torch.stack([truncation * torch.rand(self.latent_dim, generator=rng) for _ in range(count)])

    def mix(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """Latents between a and b (N, D): the coarse scales of a, and of b the finest, as many as the share t of
        all.
        """
        scales = self.transformer.sides
        kept = sum(side * side for side in scales[: round((1 - t) * len(scales))])
        return torch.cat([a[:, :kept], b[:, kept:]], 1)

    def forward(self, latents: Tensor, labels: Tensor, guidance: float = GUIDANCE, top_k: int = TOP_K) -> Tensor:
        """guidance: by how much the class's logits are moved away from those of no class; 0 leaves them as they are."""
        wanted = self.classes[labels]
        drawing = self.transformer.start(torch.cat([wanted, torch.full_like(wanted, self.transformer.classes)]))
        sides, start = self.transformer.sides, 0
        canvas = torch.zeros(len(latents), self.vqvae.channels, sides[-1], sides[-1], device=latents.device)
        for scale, side in enumerate(sides):
            of_class, of_none = drawing.predict(canvas.repeat(2, 1, 1, 1)).chunk(2)
            strength = guidance * scale / max(1, len(sides) - 1)
            logits = of_class + strength * (of_class - of_none)
            tokens = draw(logits, latents[:, start : start + side * side], top_k)
            canvas = self.vqvae.quantize.add(canvas, tokens, scale, len(sides))
            start += side * side
        found: Tensor = self.vqvae(canvas)
        return found


def draw(logits: Tensor, chances: Tensor, top_k: int, top_p: float = TOP_P) -> Tensor:
    """Of logits (N, L, tokens), one token (N, L) each, by chances (N, L) in [0, 1).

    Among the `top_k` likeliest, then among the nucleus of these (Holtzman et al. 2020): the fewest that together have
    the probability `top_p`, each drawn in proportion to its own.
    """
    likeliest, tokens = logits.topk(min(top_k, logits.shape[-1]))
    shares = likeliest.softmax(-1)
    reached = shares.cumsum(-1)
    kept = reached - shares < top_p
    passed = reached <= chances[..., None].float() * (shares * kept).sum(-1, keepdim=True)
    place = passed.sum(-1, keepdim=True).minimum(kept.sum(-1, keepdim=True) - 1)
    return tokens.gather(-1, place)[..., 0]


def from_state_dict(state: dict[str, Tensor], vqvae: VQVAE) -> VAR:
    """The generator whose transformer has these weights, without the mask that only training needs. Strict.

    Widths, depth and scales are read from the tensors, which become the parameters themselves: nothing is copied.
    ValueError where transformer and VQVAE have different tokens.
    """
    sides = tuple(math.isqrt(int(count)) for count in state["lvl_1L"].flatten().bincount())
    tokens, width = state["head.weight"].shape
    channels = state["word_embed.weight"].shape[1]
    if (tokens, channels) != (vqvae.tokens, vqvae.channels):
        raise ValueError(
            f"The transformer predicts {tokens} tokens of {channels} channels, the VQVAE has {vqvae.tokens} of"
            f" {vqvae.channels}."
        )
    with torch.device("meta"):
        transformer = Transformer(
            tokens,
            channels,
            depth=sum(key.endswith(".attn.mat_qkv.weight") for key in state),
            width=width,
            heads=state["blocks.0.attn.scale_mul_1H11"].shape[1],
            inner=state["blocks.0.ffn.fc1.weight"].shape[0],
            classes=len(state["class_emb.weight"]) - 1,
            sides=sides,
        )
    transformer.load_state_dict(state, assign=True)
    return VAR(transformer, vqvae)


def _steering(width: int, parts: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(width, parts * width))


def _steered(steering: nn.Module, condition: Tensor) -> Tensor:
    """(parts, N, 1, C) of a condition (N, C)."""
    found: Tensor = steering(condition).unflatten(1, (-1, 1, condition.shape[1])).transpose(0, 1)
    return found


def _modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x (N, L, C) in float32, normalised and steered, then in the format of scale and shift, which is the weights'."""
    return (F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift).to(scale.dtype)
