"""The rows of the table of weights: first what comes with Vitrine, then what the Hub has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

from engine.runtime.tiles import Tiling
from engine.weights.index import read_index, with_index
from engine.weights.row import Weight

_OURS = "Vitrine, trained by engine/train"
_ESRGAN = "Xintao Wang et al., Real-ESRGAN (2021)"
_JOHNSON = "Justin Johnson et al. (2016); weights by the ONNX model zoo, after pytorch/examples"
_VAR = "Keyu Tian et al., VAR (2024)"
# Context for tiles that are given the picture's statistics; multiples of 8, because below 8 px there is nothing to
# reflect.
_JOHNSON_TILING = Tiling(overlap_px=60, multiple_px=8, bytes_per_px=1000, most_px=1024)

# What changes along the principal directions of the latents that `vae` and `studio` share; named after looking at them.
_DIRECTIONS = {
    "shoe": ("plainer", "higher ankle", "sneaker sole"),
    "sandal": ("flatter", "narrower strap", "lower heel"),
    "heel": ("higher heel", "more straps", "closed toe"),
    "handbag": ("shorter handles", "wider", "smoother"),
    "wallet": ("slimmer", "smoother"),
    "watch": ("larger case", "squarer dial", "darker dial"),
    "sunglasses": ("straighter lenses", "heavier frame", "straight brow"),
    "belt": ("narrower", "larger buckle"),
    "tie": ("more of a knot",),
    "t-shirt": ("longer", "shorter sleeves"),
}

ROWS = (
    Weight(
        name="features",
        task="features",
        network="five convolutions, distilled from Darknet Reference",
        file="features.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.features:from_state_dict",
    ),
    Weight(
        name="restore",
        task="restore",
        network="blind noise and JPEG restoration",
        file="restore.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.restore:from_state_dict",
        tiling=Tiling(scale=1, overlap_px=32, multiple_px=16, blend=True, bytes_per_px=450, most_px=1024),
        half=True,
    ),
    Weight(
        name="deblur",
        task="deblur",
        network="defocus and camera shake estimated, undone and repaired",
        file="deblur.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.deblur:from_state_dict",
        tiling=Tiling(scale=1, overlap_px=64, multiple_px=8, blend=True, bytes_per_px=650, most_px=1024),
        half=True,
    ),
    Weight(
        name="inpaint",
        task="inpaint",
        network="gated convolutions that fill holes",
        file="inpaint.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.inpaint:from_state_dict",
        tiling=Tiling(scale=1, overlap_px=64, multiple_px=8, blend=True, bytes_per_px=900, most_px=512),
        half=True,
    ),
    Weight(
        name="matte",
        task="cut-out",
        network="the product on any background",
        file="matte.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.matte:from_state_dict",
    ),
    Weight(
        name="tone",
        task="tone",
        network="light and colour by one adaptive table",
        file="tone.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.tone:from_state_dict",
    ),
    Weight(
        name="upscale-x2",
        task="upscale-x2",
        network="re-parameterised 3x3 convolutions",
        file="upscale-x2.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.upscale:from_state_dict",
        tiling=Tiling(scale=2, overlap_px=12, bytes_per_px=800),
        half=True,
    ),
    Weight(
        name="upscale-x4",
        task="upscale-x4",
        network="re-parameterised 3x3 convolutions",
        file="upscale-x4.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.upscale:from_state_dict",
        tiling=Tiling(scale=4, overlap_px=12, bytes_per_px=1300),
        half=True,
    ),
    Weight(
        name="upscale-x4-crisp",
        task="upscale-crisp-x4",
        network="upscale-x4 taught by a discriminator",
        file="upscale-x4-crisp.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.upscale:from_state_dict",
        tiling=Tiling(scale=4, overlap_px=12, bytes_per_px=1300),
        half=True,
    ),
    Weight(
        name="studio",
        task="generate",
        network="generator of product pictures by category",
        file="studio.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.generator:from_state_dict",
        encoder="vae",
        directions=_DIRECTIONS,
    ),
    Weight(
        name="vae",
        task="generate",
        network="autoencoder of product pictures, with its encoder",
        file="vae.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.generator:from_state_dict",
        directions=_DIRECTIONS,
    ),
    Weight(
        name="dcgan",
        task="generate",
        network="DCGAN: transposed convolutions, no categories",
        file="dcgan.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.dcgan:from_state_dict",
    ),
    Weight(
        name="searched",
        task="generate",
        network="generator whose architecture was found by search",
        file="searched.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.searched:from_state_dict",
    ),
    Weight(
        name="sketch",
        task="sketch",
        network="a drawing becomes a product",
        file="sketch.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.sketch:from_state_dict",
    ),
    Weight(
        name="wgan-gp",
        task="generate",
        network="the generator of dcgan, trained as WGAN-GP",
        file="wgan-gp.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.dcgan:from_state_dict",
    ),
    Weight(
        name="wgan",
        task="generate",
        network="the generator of dcgan, trained as WGAN with clipped weights",
        file="wgan.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.dcgan:from_state_dict",
    ),
    Weight(
        name="faststyle",
        task="style",
        network="any style in one pass",
        file="faststyle.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.faststyle:from_state_dict",
        tiling=Tiling(overlap_px=40, multiple_px=4, bytes_per_px=400, most_px=1024),
        half=True,
    ),
    Weight(
        name="categories",
        task="classify",
        network="which category a product picture shows",
        file="categories.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.categories:from_state_dict",
    ),
    Weight(
        name="discriminator",
        task="rank",
        network="which of several product pictures look whole; ranks them",
        file="discriminator.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.discriminator:from_state_dict",
        companion="features",
    ),
    Weight(
        name="vgg19",
        task="features",
        network="VGG-19",
        file="model.safetensors",
        licence="BSD-3-Clause",
        credit="Karen Simonyan and Andrew Zisserman (2015); weights by torchvision",
        builder="engine.models.vgg:from_state_dict",
        repo="timm/vgg19.tv_in1k",
        ignored=("pre_logits.", "head.", "classifier."),
    ),
    Weight(
        name="realesrgan-x4",
        task="upscale-x4",
        network="Real-ESRGAN, 23 residual-in-residual dense blocks",
        file="RealESRGAN_x4plus.safetensors",
        licence="BSD-3-Clause",
        credit=_ESRGAN,
        builder="spandrel:ESRGAN",
        repo="Comfy-Org/Real-ESRGAN_repackaged",
        revision="ea19b4cd14f85a5b914eee8aa7ff77bc371039a0",
        size=66857836,
        sha256="37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb",
        tiling=Tiling(scale=4, overlap_px=16, bytes_per_px=12000, most_px=128),
        half=True,
        bfloat16=True,
    ),
    Weight(
        name="realesrgan-x2",
        task="upscale-x2",
        network="Real-ESRGAN, 23 residual-in-residual dense blocks",
        file="RealESRGAN_x2plus.pth",
        licence="BSD-3-Clause",
        credit=_ESRGAN,
        builder="spandrel:ESRGAN",
        repo="leonelhs/realesrgan",
        revision="6907f85a9095e201ec4b3c7e91bbb66cdec0f04d",
        size=67061725,
        sha256="49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        tiling=Tiling(scale=2, overlap_px=32, multiple_px=4, bytes_per_px=4000, most_px=192),
        half=True,
        bfloat16=True,
    ),
    Weight(
        name="realesr-general-x4",
        task="upscale-x4",
        network="Real-ESRGAN compact, 33 convolutions",
        file="realesr-general-x4v3.pth",
        licence="BSD-3-Clause",
        credit=_ESRGAN,
        builder="spandrel:Compact",
        repo="leonelhs/realesrgan",
        revision="6907f85a9095e201ec4b3c7e91bbb66cdec0f04d",
        size=4885111,
        sha256="8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        tiling=Tiling(scale=4, overlap_px=24, bytes_per_px=1300),
        half=True,
        bfloat16=True,
    ),
    Weight(
        name="scunet",
        task="restore",
        network="SCUNet, real noise, trained for PSNR",
        file="scunet_color_real_psnr.pth",
        licence="Apache-2.0",
        credit="Kai Zhang et al., SCUNet (2022)",
        builder="spandrel:SCUNet",
        repo="deepinv/scunet",
        size=71982841,
        sha256="fa78899ba2caec9d235a900e91d96c689da71c42029230c2028b00f09f809c2e",
        tiling=Tiling(overlap_px=32, multiple_px=64, blend=True, bytes_per_px=7000),
        half=True,
        bfloat16=True,
    ),
    Weight(
        name="nafnet-gopro",
        task="deblur",
        network="NAFNet, width 32, GoPro",
        file="NAFNet-GoPro-width32.pth",
        licence="MIT",
        credit="Liangyu Chen et al., NAFNet (2022)",
        builder="spandrel:NAFNet",
        repo="nyanko7/nafnet-models",
        size=68671121,
        sha256="19394e6155d12ef6371d1d57496f87f0ec88f92bdffa27c0792690722d5d1a5c",
        tiling=Tiling(overlap_px=32, multiple_px=16, blend=True, bytes_per_px=2500, most_px=384),
        bfloat16=True,
    ),
    Weight(
        name="lama",
        task="inpaint",
        network="LaMa (big), Fourier convolutions",
        file="big-lama.safetensors",
        licence="Apache-2.0",
        credit="Roman Suvorov et al., LaMa (2022)",
        builder="spandrel:LaMa",
        repo="michaelgold/big-lama",
        revision="98ab7cface89a594b381f32fc7a9f2cae3f91ccc",
        sha256="326ae1889b92d07c8819c35eaf561f8b290d057536eeb12524b72997f31005ec",
        tiling=Tiling(overlap_px=64, multiple_px=8, blend=True, bytes_per_px=1500, most_px=768),
    ),
    Weight(
        name="isnet",
        task="cut-out",
        network="IS-Net, general use",
        file="isnet-general-use.pth",
        licence="Apache-2.0",
        credit="Xuebin Qin et al., IS-Net (2022)",
        builder="engine.models.isnet:from_state_dict",
        repo="NimaBoscarino/IS-Net_DIS-general-use",
        revision="608a843548f1f32716542d57dc59dcbb773294d4",
        sha256="9e1aafea58f0b55d0c35077e0ceade6ba1ba2bce372fd4f8f77215391f3fac13",
        ignored=("side2.", "side3.", "side4.", "side5.", "side6."),
    ),
    Weight(
        name="var-d16",
        task="generate",
        network="VAR, depth 16: photographs of ImageNet's classes",
        file="var_d16.pth",
        licence="MIT",
        credit=_VAR,
        builder="engine.models.var:from_state_dict",
        repo="FoundationVision/var",
        ignored=("attn_bias_for_masking",),
        companion="var-vqvae",
        half=True,
    ),
    Weight(
        name="var-vqvae",
        task="part",
        network="the VQVAE that paints what VAR foretells",
        file="vae_ch160v4096z32.pth",
        licence="MIT",
        credit=_VAR,
        builder="engine.models.vqvae:from_state_dict",
        repo="FoundationVision/var",
        ignored=("encoder.", "quant_conv.", "quantize.ema_vocab_hit_SV"),
        half=True,
    ),
    Weight(
        name="inception",
        task="metrics",
        network="Inception v3 of 2015, for FID and IS",
        file="pt_inception-2015-12-05-6726825d.pth",
        licence="Apache-2.0",
        credit="Christian Szegedy et al. (2016); weights by the TensorFlow authors",
        builder="engine.evaluate.inception:from_state_dict",
        repo="chaofengc/IQA-PyTorch-Weights",
        size=95628359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    Weight(
        name="johnson-mosaic",
        task="style",
        network="transformation network, one style",
        file="mosaic-9.onnx",
        licence="BSD-3-Clause",
        credit=_JOHNSON,
        builder="engine.models.transformer:from_state_dict",
        repo="onnxmodelzoo/mosaic-9",
        revision="9a267ba8540fba8fb12bc78f3770e0fd9c923c56",
        size=6728029,
        sha256="fa646dedade881243f8d5a2ceb7de2b93675b21fc24f7482894ac4851a9a0a47",
        tiling=_JOHNSON_TILING,
        half=True,
    ),
    Weight(
        name="johnson-candy",
        task="style",
        network="transformation network, one style",
        file="candy-9.onnx",
        licence="BSD-3-Clause",
        credit=_JOHNSON,
        builder="engine.models.transformer:from_state_dict",
        repo="onnxmodelzoo/candy-9",
        revision="f24fcf558bd4564360f41cf3b5321975a33f962f",
        size=6728029,
        sha256="9d11a3529d1e547da6ae07201d93484dbab2ec0a3614535752c8f40f0fe2968a",
        tiling=_JOHNSON_TILING,
        half=True,
    ),
    Weight(
        name="johnson-udnie",
        task="style",
        network="transformation network, one style",
        file="udnie-9.onnx",
        licence="BSD-3-Clause",
        credit=_JOHNSON,
        builder="engine.models.transformer:from_state_dict",
        repo="onnxmodelzoo/udnie-9",
        revision="ab74109f694dc8117f5e39a8571ac53bf83618f6",
        size=6728029,
        sha256="8656b6ce7dec8f22ee13c2d557d6b67bd6f550dde88d0f2e7c9972aeb765cc0d",
        tiling=_JOHNSON_TILING,
        half=True,
    ),
    Weight(
        name="johnson-pointilism",
        task="style",
        network="transformation network, one style",
        file="pointilism-9.onnx",
        licence="BSD-3-Clause",
        credit=_JOHNSON,
        builder="engine.models.transformer:from_state_dict",
        repo="onnxmodelzoo/pointilism-9",
        revision="d9c3c80c36d238db4155f3029f996ce62b3c101f",
        size=6728029,
        sha256="5ee2b8d4d6bc60a777f54e0fe96a1b717360a004b79d56c67390d4a975b14d98",
        tiling=_JOHNSON_TILING,
        half=True,
    ),
)


class Table(Sequence[Weight]):
    """The rows with what weights/index.json says of their files, which is read when a row is first asked for."""

    def __init__(self, rows: Sequence[Weight]) -> None:
        self._plain = tuple(rows)

    @cached_property
    def _rows(self) -> tuple[Weight, ...]:
        index = read_index()
        return tuple(with_index(row, index) for row in self._plain)

    @overload
    def __getitem__(self, at: int) -> Weight: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Weight]: ...

    def __getitem__(self, at: int | slice) -> Weight | Sequence[Weight]:
        return self._rows[at]

    def __len__(self) -> int:
        return len(self._plain)


TABLE = Table(ROWS)


def hub_peers(table: Sequence[Weight]) -> dict[str, str]:
    """Each embedded network -> the first network from the Hub that serves the same task."""
    hub = {row.task: row.name for row in reversed(table) if not row.embedded}
    return {row.name: hub[row.task] for row in table if row.embedded and row.task in hub}
