"""The pretrained generator: its published shape, its arithmetic beside a second one, and its way from the Hub to a
picture.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hub import Hub, serve_hub  # noqa: F401 (the fixture)
from shelf import finish, write_networks
from torch import Tensor

from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.contract.generate import CATEGORIES, MORE_CATEGORIES, MORE_NETWORK, GenerateRequest, categories_of
from engine.generate.generate import generate
from engine.models import imagenet, var, vqvae
from engine.runtime.device import Device
from engine.settings import Settings
from engine.weights import TABLE, Weights, WeightsUnavailable

SIDES = (1, 2, 3, 5)


# The published architecture, as read from public descriptions of the two files


def published_transformer(
    width: int = 1024, depth: int = 16, heads: int = 16, tokens: int = 4096, channels: int = 32
) -> dict[str, tuple[int, ...]]:
    """Names and shapes in var_d16.pth."""
    length = sum(side * side for side in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16))
    shapes: dict[str, tuple[int, ...]] = {
        "pos_start": (1, 1, width),
        "pos_1LC": (1, length, width),
        "lvl_1L": (1, length),
    }
    shapes |= {
        "attn_bias_for_masking": (1, 1, length, length),
        "class_emb.weight": (1001, width),
        "lvl_embed.weight": (10, width),
    }
    linear = {"word_embed": (width, channels), "head": (tokens, width), "head_nm.ada_lin.1": (2 * width, width)}
    for k in range(depth):
        name = f"blocks.{k}"
        linear |= {f"{name}.attn.proj": (width, width), f"{name}.ada_lin.1": (6 * width, width)}
        linear |= {f"{name}.ffn.fc1": (4 * width, width), f"{name}.ffn.fc2": (width, 4 * width)}
        shapes |= {f"{name}.attn.{bias}": (width,) for bias in ("q_bias", "v_bias", "zero_k_bias")}
        shapes |= {f"{name}.attn.mat_qkv.weight": (3 * width, width), f"{name}.attn.scale_mul_1H11": (1, heads, 1, 1)}
    return shapes | with_biases(linear)


def published_vqvae(
    channels: int = 32, widths: tuple[int, ...] = (160, 160, 320, 320, 640)
) -> dict[str, tuple[int, ...]]:
    """Names and shapes in vae_ch160v4096z32.pth."""
    convs = {f"quantize.quant_resi.qresi_ls.{k}": (channels, channels, 3, 3) for k in range(4)}
    convs |= {name: (channels, channels, 3, 3) for name in ("quant_conv", "post_quant_conv")}
    norms: dict[str, int] = {}
    for half, blocks in (("encoder", 2), ("decoder", 3)):
        first, last = (3, channels) if half == "encoder" else (channels, 3)
        outer, inner = (widths[0], widths[-1])
        start, end = (outer, inner) if half == "encoder" else (inner, outer)
        convs |= {f"{half}.conv_in": (start, first, 3, 3), f"{half}.conv_out": (last, end, 3, 3)}
        norms[f"{half}.norm_out"] = end
        residual = {f"{half}.mid.block_{k}": (inner, inner) for k in (1, 2)}
        attention = [f"{half}.mid.attn_1"]
        for k, width in enumerate(widths):
            level = f"{half}.{'down' if half == 'encoder' else 'up'}.{k}"
            before = widths[max(0, k - 1)] if half == "encoder" else widths[min(len(widths) - 1, k + 1)]
            residual |= {f"{level}.block.{b}": (before if b == 0 else width, width) for b in range(blocks)}
            attention += [f"{level}.attn.{b}" for b in range(blocks) if k == len(widths) - 1]
            if half == "encoder" and k < len(widths) - 1:
                convs[f"{level}.downsample.conv"] = (width, width, 3, 3)
            if half == "decoder" and k > 0:
                convs[f"{level}.upsample.conv"] = (width, width, 3, 3)
        for name, (i, o) in residual.items():
            convs |= {f"{name}.conv1": (o, i, 3, 3), f"{name}.conv2": (o, o, 3, 3)} | (
                {f"{name}.nin_shortcut": (o, i, 1, 1)} if i != o else {}
            )
            norms |= {f"{name}.norm1": i, f"{name}.norm2": o}
        for name in attention:
            convs |= {f"{name}.qkv": (3 * inner, inner, 1, 1), f"{name}.proj_out": (inner, inner, 1, 1)}
            norms[f"{name}.norm"] = inner
    affine = {f"{name}.{part}": (width,) for name, width in norms.items() for part in ("weight", "bias")}
    return (
        with_biases(convs)
        | affine
        | {
            "quantize.embedding.weight": (4096, channels),
            "quantize.ema_vocab_hit_SV": (10, 4096),
        }
    )


def with_biases(weights: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape for name, shape in weights.items()} | {
        f"{name}.bias": shape[:1] for name, shape in weights.items()
    }


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def unread(named: dict[str, tuple[int, ...]], row: str) -> dict[str, tuple[int, ...]]:
    ignored = next(r.ignored for r in TABLE if r.name == row)
    return {name: shape for name, shape in named.items() if not name.startswith(ignored)}


def test_the_transformer_has_the_published_names_shapes_and_size() -> None:
    with torch.device("meta"):
        network = var.Transformer()
    assert shapes(network) == unread(published_transformer(), "var-d16")
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(310e6, rel=0.01)


def test_the_vqvae_has_the_published_names_shapes_and_size() -> None:
    with torch.device("meta"):
        network = vqvae.VQVAE()
    assert shapes(network) == unread(published_vqvae(), "var-vqvae")
    whole = sum(math.prod(shape) for shape in published_vqvae().values())
    assert 4 * whole == pytest.approx(0.44e9, rel=0.01), "bytes of the published file"


def test_a_picture_has_256_pixels_a_side_and_680_tokens() -> None:
    with torch.device("meta"):
        network = var.VAR(var.Transformer(), vqvae.VQVAE())
    assert (network.size_px, network.latent_dim) == (256, 680)


def test_ten_scales_share_four_convolutions_as_the_published_network_does() -> None:
    assert [vqvae.smoother_of(k, 10) for k in range(10)] == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
    for scales in range(2, 30):
        ends = vqvae.smoother_of(0, scales), vqvae.smoother_of(scales - 1, scales)
        assert ends == (0, vqvae.SMOOTHERS - 1)
    assert vqvae.smoother_of(0, 1) == 0


# A tiny one, beside a second arithmetic


def tiny(seed: int = 0) -> var.VAR:
    """Random, but for sides and classes a tenth of the width of the published one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = var.Transformer(tokens=24, channels=6, depth=2, width=16, heads=2, inner=24, sides=SIDES)
        for parameter in transformer.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        torch.nn.init.constant_(transformer.blocks[0].attn.scale_mul_1H11[:, :1], 9.0)  # sharper than is allowed
        decoder = vqvae.VQVAE(24, 6, (32, 32, 64), 2)
        torch.nn.init.normal_(decoder.quantize.embedding.weight)
    return var.VAR(transformer, decoder).eval().requires_grad_(False)


def foretold_at_once(state: dict[str, Tensor], label: int, seen: list[Tensor]) -> Tensor:
    """Logits (L, tokens) of one picture with nothing kept: all scales in one sequence behind a mask. seen: (s * s, C)
    of each scale but the first.
    """
    s = {name: tensor.double() for name, tensor in state.items()}
    condition, level = s["class_emb.weight"][label], state["lvl_1L"][0]
    x = torch.cat(
        [condition + s["pos_start"][0], *(t.double() @ s["word_embed.weight"].T + s["word_embed.bias"] for t in seen)]
    )
    x = x + s["lvl_embed.weight"][level] + s["pos_1LC"][0]
    visible = level[:, None] >= level

    def steering(name: str) -> Tensor:
        return (s[f"{name}.ada_lin.1.weight"] @ F.silu(condition) + s[f"{name}.ada_lin.1.bias"]).view(
            -1, len(condition)
        )

    def normalised(t: Tensor) -> Tensor:
        return (t - t.mean(1, keepdim=True)) / (t.var(1, correction=0, keepdim=True) + 1e-6).sqrt()

    def unit(t: Tensor) -> Tensor:
        return t / t.norm(dim=-1, keepdim=True)

    for k in range(sum(name.endswith("fc1.bias") for name in s)):
        name = f"blocks.{k}"
        gain1, gain2, scale1, scale2, shift1, shift2 = steering(name)
        y = normalised(x) * (1 + scale1) + shift1
        q, key, v = (y @ s[f"{name}.attn.mat_qkv.weight"].T).chunk(3, 1)
        q, v = q + s[f"{name}.attn.q_bias"], v + s[f"{name}.attn.v_bias"]
        outputs = []
        sharpness = s[f"{name}.attn.scale_mul_1H11"].flatten().clamp(max=math.log(100)).exp()
        for qh, kh, vh, sharp in zip(
            q.chunk(len(sharpness), 1), key.chunk(len(sharpness), 1), v.chunk(len(sharpness), 1), sharpness, strict=True
        ):
            scores = sharp * unit(qh) @ unit(kh).T
            outputs.append(scores.masked_fill(~visible, -torch.inf).softmax(1) @ vh)
        x = x + gain1 * (torch.cat(outputs, 1) @ s[f"{name}.attn.proj.weight"].T + s[f"{name}.attn.proj.bias"])
        y = normalised(x) * (1 + scale2) + shift2
        y = F.gelu(y @ s[f"{name}.ffn.fc1.weight"].T + s[f"{name}.ffn.fc1.bias"], approximate="tanh")
        x = x + gain2 * (y @ s[f"{name}.ffn.fc2.weight"].T + s[f"{name}.ffn.fc2.bias"])
    scale, shift = steering("head_nm")
    return (normalised(x) * (1 + scale) + shift) @ s["head.weight"].T + s["head.bias"]


def test_what_is_kept_of_earlier_scales_gives_what_computing_all_at_once_gives() -> None:
    transformer = tiny().transformer
    canvases = [
        torch.randn(2, 6, SIDES[-1], SIDES[-1], generator=torch.Generator().manual_seed(k)) for k in range(len(SIDES))
    ]
    drawing = transformer.start(torch.tensor([770, transformer.classes]))
    steps = torch.cat([drawing.predict(canvas) for canvas in canvases], 1)
    for picture, label in enumerate((770, 1000)):
        seen = [
            F.interpolate(c[picture : picture + 1], size=side, mode="area")[0].flatten(1).T
            for c, side in zip(canvases[1:], SIDES[1:], strict=True)
        ]
        whole = foretold_at_once(transformer.state_dict(), label, seen)
        torch.testing.assert_close(steps[picture].double(), whole, atol=2e-4, rtol=1e-4)


def test_tokens_are_painted_scale_by_scale_as_the_paper_writes_it() -> None:
    quantize = tiny().vqvae.quantize
    rng = torch.Generator().manual_seed(3)
    tokens = [torch.randint(24, (2, side * side), generator=rng) for side in SIDES]
    canvas = expected = torch.zeros(2, 6, SIDES[-1], SIDES[-1])
    for scale, (side, chosen) in enumerate(zip(SIDES, tokens, strict=True)):
        canvas = quantize.add(canvas, chosen, scale, len(SIDES))
        h = quantize.embedding.weight[chosen].transpose(1, 2).reshape(2, 6, side, side)
        h = F.interpolate(h, size=SIDES[-1], mode="bicubic") if side < SIDES[-1] else h
        conv = quantize.quant_resi["qresi_ls"][(0, 1, 2, 3)[scale]]
        expected = expected + 0.5 * h + 0.5 * F.conv2d(h, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(canvas, expected)


def test_tokens_that_were_chosen_for_a_canvas_paint_it_again() -> None:
    """Residual quantisation by hand: with an unsmoothed codebook that holds what is there, the last scale leaves
    nothing over.
    """
    quantize = vqvae.Quantizer(24, 6).requires_grad_(False)
    for conv in quantize.quant_resi["qresi_ls"]:
        torch.nn.init.dirac_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    wanted = quantize.embedding.weight[
        torch.randint(24, (1, 25), generator=torch.Generator().manual_seed(0))
    ].mT.reshape(1, 6, 5, 5)
    canvas = torch.zeros_like(wanted)
    for scale, side in enumerate((1, 5)):
        rest = F.adaptive_avg_pool2d(wanted - canvas, side).flatten(2).mT[0]
        if side == 5:
            quantize.embedding.weight[:] = 0
            quantize.embedding.weight[: len(rest[:20])] = rest[:20]
        nearest = torch.cdist(rest, quantize.embedding.weight).argmin(1)
        canvas = quantize.add(canvas, nearest[None], scale, 2)
    torch.testing.assert_close(canvas.flatten(2)[..., :20], wanted.flatten(2)[..., :20], atol=1e-5, rtol=0)


# Drawing


def test_the_likeliest_token_is_drawn_from_a_single_one_or_by_chances_of_zero() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 30, generator=rng)
    assert torch.equal(var.draw(logits, torch.rand(2, 5, generator=rng), top_k=1), logits.argmax(-1))
    assert torch.equal(var.draw(logits, torch.zeros(2, 5), top_k=30), logits.argmax(-1))


def test_tokens_are_drawn_as_often_as_they_are_likely_inside_the_nucleus() -> None:
    share = torch.tensor([0.2, 0.5, 0.05, 0.25])
    chances = (torch.arange(1000) + 0.5) / 1000
    logits = share.log().expand(1, 1000, 4)

    def drawn(top_k: int, top_p: float) -> list[int]:
        return torch.bincount(var.draw(logits, chances[None], top_k, top_p)[0], minlength=4).tolist()

    assert drawn(4, 1.0) == [200, 500, 50, 250]
    assert drawn(99, 1.0) == [200, 500, 50, 250]
    assert drawn(2, 1.0) == [0, 667, 0, 333]
    for top_p in (0.55, 0.7, 0.74):  # the token that completes the nucleus is drawn as often as it is likely, not less
        assert drawn(4, top_p) == [0, 667, 0, 333]
    assert drawn(4, 0.8) == [211, 526, 0, 263]
    assert drawn(4, 0.45) == drawn(4, 0.0001) == [0, 1000, 0, 0]
    assert drawn(2, 0.6) == [0, 1000, 0, 0], "the nucleus is that of the likeliest, whose shares are two and one third"


def test_a_chance_at_the_very_end_still_draws_a_token() -> None:
    logits = torch.zeros(1, 1, 4096)
    assert 0 <= int(var.draw(logits, torch.ones(1, 1), top_k=4096)) < 4096


def some_latents(network: var.VAR, count: int, truncation: float = 1.0, seed: int = 7) -> Tensor:
    return network.sample_latents("teapot", count, truncation, torch.Generator().manual_seed(seed))


def test_pictures_are_in_range_and_alike_alone_or_in_company() -> None:
    network, labels = tiny(), torch.tensor([3, 40])
    pictures = network(some_latents(network, 2), labels)
    assert pictures.shape == (2, 3, network.size_px, network.size_px) == (2, 3, 20, 20)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    torch.testing.assert_close(network(some_latents(network, 2)[1:], labels[1:]), pictures[1:], atol=1e-4, rtol=0)


def test_a_code_depends_on_seed_and_place_alone() -> None:
    network = tiny()
    assert torch.equal(some_latents(network, 5)[:2], some_latents(network, 2))
    assert not torch.equal(some_latents(network, 1), some_latents(network, 1, seed=8))
    assert some_latents(network, 5).min() >= 0
    assert 0.96 < some_latents(network, 5).max() < 1
    assert torch.equal(some_latents(network, 3, truncation=0), torch.zeros(3, network.latent_dim))
    torch.testing.assert_close(some_latents(network, 3, 0.5), some_latents(network, 3) / 2)
    with pytest.raises(ValueError, match="not in"):
        network.sample_latents("spaceship", 1, 1.0, torch.Generator())


def test_without_guidance_the_class_decides_alone_and_no_class_is_never_moved() -> None:
    network, latents = tiny(), some_latents(tiny(), 1)
    chair = torch.tensor([network.categories.index("rocking chair")])
    plain, guided = (network(latents, chair, guidance=g) for g in (0.0, 30.0))
    assert not torch.equal(plain, guided)
    network.transformer.class_emb.weight[-1] = network.transformer.class_emb.weight[765]
    assert torch.equal(network(latents, chair, guidance=30.0), network(latents, chair, guidance=0.0)), (
        "no class that is the class"
    )
    network.transformer.class_emb.weight[-1] = 0
    assert torch.equal(network(latents, chair, guidance=0.0), plain), "no class has no say"


def test_guidance_grows_from_nothing_to_its_whole_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    network, heard, said = tiny(), [], []
    predict, draw = var.TokenDrawing.predict, var.draw
    monkeypatch.setattr(
        var.TokenDrawing, "predict", lambda self, canvas: said.append(predict(self, canvas)) or said[-1]
    )
    monkeypatch.setattr(var, "draw", lambda logits, *more: heard.append(logits) or draw(logits, *more))
    network(some_latents(network, 1), torch.tensor([0]), guidance=6.0)
    for (of_class, of_none), logits, strength in zip(said, heard, (0, 2, 4, 6), strict=True):
        torch.testing.assert_close(logits[0], (1 + strength) * of_class - strength * of_none, atol=1e-4, rtol=1e-4)


def test_a_mix_keeps_the_coarse_scales_of_one_and_the_fine_ones_of_the_other() -> None:
    network = tiny()
    a, b = torch.zeros(1, network.latent_dim), torch.ones(1, network.latent_dim)
    assert [int(network.mix(a, b, t).sum()) for t in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0, 25, 34, 38, 39]
    assert float(network.mix(a, b, 0.5)[0, 0]) == 0
    assert float(network.mix(a, b, 0.5)[0, -1]) == 1


def test_half_precision_keeps_the_sums_in_full_precision() -> None:
    network = tiny().to(torch.float16)
    pictures = network(some_latents(network, 2).half(), torch.tensor([3, 40]))
    assert pictures.isfinite().all()
    assert pictures.std() > 0.01
    drawing = network.transformer.start(torch.tensor([1]))
    assert drawing.predict(torch.zeros(1, 6, 5, 5)).dtype == torch.float32
    assert (
        network.vqvae.quantize.add(torch.zeros(1, 6, 5, 5), torch.zeros(1, 4, dtype=torch.long), 1, 4).dtype
        == torch.float32
    )


# Files


def test_a_file_is_read_strictly_and_nothing_is_copied() -> None:
    network = tiny()
    state, painter = network.transformer.state_dict(), network.vqvae.state_dict()
    again = var.from_state_dict(state, vqvae.from_state_dict(painter))
    latents, labels = some_latents(network, 1), torch.tensor([5])
    assert torch.equal(again.requires_grad_(False)(latents, labels), network(latents, labels))
    assert again.transformer.head.weight.data_ptr() == state["head.weight"].data_ptr()
    assert again.vqvae.decoder.conv_out.weight.data_ptr() == painter["decoder.conv_out.weight"].data_ptr()
    assert not any(tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    with pytest.raises(RuntimeError, match="Unexpected"):
        var.from_state_dict(state | {"blocks.0.attn.k_bias": torch.zeros(16)}, network.vqvae)
    with pytest.raises(RuntimeError, match="Unexpected"):
        vqvae.from_state_dict(painter | {"encoder.conv_in.weight": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="Missing"):
        var.from_state_dict({name: tensor for name, tensor in state.items() if name != "pos_start"}, network.vqvae)
    with pytest.raises(ValueError, match="24 tokens of 6 channels"):
        var.from_state_dict(state, vqvae.VQVAE(25, 6, (32, 32), 2))


# Products

OTHER_NAMES = {
    "shoe": "running shoe", "handbag": "purse", "watch": "digital watch",
    "tie": "windsor tie", "t-shirt": "jersey", "jeans": "jean", "pyjamas": "pajama",
    "flowerpot": "pot", "teddy bear": "teddy",
    "piggy bank": "piggy bank", "sofa": "studio couch", "chest of drawers": "chiffonier",
    "four-poster bed": "four-poster", "casserole": "dutch oven",
    "microwave oven": "microwave", "hair dryer": "hand blower", "computer mouse": "mouse",
    "mobile phone": "cellular telephone", "music player": "ipod",
    "instant camera": "polaroid camera", "vacuum cleaner": "vacuum",
    "football": "soccer ball", "tennis racket": "racket",
    "ballpoint pen": "ballpoint", "pencil case": "pencil box", "ring binder": "binder",
}  # fmt: skip


def test_every_product_has_the_index_that_torchvision_gives_its_class() -> None:
    from torchvision.models import VGG19_Weights

    classes = [name.lower() for name in VGG19_Weights.IMAGENET1K_V1.meta["categories"]]
    assert {name: classes[index] for name, index in imagenet.PRODUCTS.items()} == {
        name: OTHER_NAMES.get(name, name) for name in imagenet.PRODUCTS
    }


def test_what_a_request_may_name_is_what_the_networks_know() -> None:
    assert categories_of(MORE_NETWORK) == var.VAR.categories
    assert categories_of("studio") == CATEGORIES
    assert set(CATEGORIES) | set(MORE_CATEGORIES) == set(CATEGORIES) | set(var.VAR.categories)
    assert GenerateRequest(category="teapot").category == "teapot"
    with pytest.raises(RequestError, match=r"^Category must be one of shoe, .*, not 'hat'\.$"):
        GenerateRequest(category="hat")


# From the Hub to a picture


def drawn(weights: Weights, **settings: Any) -> Result:
    request = GenerateRequest(
        **{"category": "handbag", "count": 2, "seed": 5, "scale": 1, "network": "var-d16", **settings}
    )
    return finish(generate(request, weights, weights.device, Settings()))


def test_a_checkpoint_of_two_files_becomes_pictures(hub: Hub, tmp_path: Path) -> None:
    weights = Weights(Device(), Settings(weights=tmp_path), hub.table("var-d16", "var-vqvae"))
    assert weights.where("var-d16") == "Hub"
    result = drawn(weights)
    assert result.notes.networks == ("var-d16",)
    assert result.notes.fallbacks == ()
    assert [picture.pixels.shape for picture in result.pictures] == [(1, 3, 20, 20)] * 2
    assert min(float(picture.pixels.std()) for picture in result.pictures) > 0.01
    assert not torch.equal(result.pictures[0].pixels, result.pictures[1].pixels)
    assert torch.equal(drawn(weights, count=1).pictures[0].pixels, result.pictures[0].pixels), (
        "picture 1 depends on the seed alone"
    )
    assert hub.downloads() == 2
    assert Weights(Device(), Settings(weights=tmp_path), weights.table).where("var-d16") == "cache"


def test_a_product_that_only_imagenet_knows_is_drawn_without_naming_the_network(hub: Hub, tmp_path: Path) -> None:
    weights = Weights(Device(), Settings(weights=tmp_path), hub.table("var-d16", "var-vqvae"))
    result = drawn(weights, category="rocking chair", count=1, network="auto")
    assert result.notes.networks == ("var-d16",)
    assert result.pictures[0].name == "rocking-chair-5-01"
    assert not torch.equal(result.pictures[0].pixels, drawn(weights, category="teapot", count=1).pictures[0].pixels)
    before = len(hub.requests)
    with pytest.raises(RequestError, match=r"^The network var-d16 has not learned belt; it knows shoe, sandal, .*\.$"):
        drawn(weights, category="belt")
    assert len(hub.requests) == before, "refused before anything is fetched"


def test_half_of_a_checkpoint_is_not_there(hub: Hub, tmp_path: Path) -> None:
    weights = Weights(Device(), Settings(weights=tmp_path), hub.table("var-d16"))
    with pytest.raises(WeightsUnavailable, match=r"^var-vqvae could not be loaded because the Hub does not have it"):
        for _ in weights.load("var-d16"):
            pass
    assert weights.where("var-d16") == "Hub"


def test_without_the_hub_the_embedded_network_draws_and_says_so(hub: Hub, tmp_path: Path) -> None:
    write_networks(tmp_path)
    hub.mode = 503
    result = drawn(Weights(Device(), Settings(weights=tmp_path), hub.table()))
    assert result.notes.networks == ("studio",)
    assert result.notes.fallbacks == (
        "var-d16 could not be loaded because the Hub is out of order (HTTP 503), so studio was used instead.",
    )
