"""The table of networks, and the way from a name in it to a network that is ready to run.

`Weights.load(name)` looks for the file in the folder of the settings (VITRINE_WEIGHTS), in `weights/`, in the Hub's
cache and on the Hub; checks size and SHA-256; reads tensors and nothing else (safetensors, the initialisers of an
`.onnx`, or a `.pth` with `weights_only=True`); builds the network strictly; and keeps it, the least recently used
leaving first. What cannot be had is one sentence, so that the embedded network can answer and say why.

`python -m engine.weights` has the commands that keep the table honest: `pin NAME` asks the Hub for revision, size and
hash of a row, `index` writes size and hash of the embedded files, `table` writes `weights/README.md`
and `docs/measured.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.device import is_out_of_memory
from engine.int8 import unpack
from engine.onnx import initialisers
from engine.request import Progress, RequestError
from engine.settings import ROOT, Settings
from engine.tables import enhance_markdown
from engine.tiles import Tiling

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from engine.device import Device

log = logging.getLogger("vitrine")

FOLDER = ROOT / "weights"
INDEX = "index.json"
_POLL_S = 0.2  # how often a download or a wait reports, and can be cancelled
_LEAST_BYTES = 1 << 16  # a download that brings less than this within the timeout has stalled
_PAUSE_S = 60.0  # after the Hub did not answer, it is not asked again for this long: a chain of steps waits once
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = Tiling()


class WeightsUnavailable(RequestError):
    """A network that cannot be had; the message says which and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} could not be loaded because {reason}.")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[Any, ...]:  # a Space's GPU worker hands its errors over pickled
        return type(self), (self.name, self.reason)


class _HubUnreachable(WeightsUnavailable):
    """The Hub as a whole did not answer: another file would wait just as long."""


@dataclass(frozen=True)
class Weight:
    """A row of the table: one file of weights and all there is to know about it.

    builder: "module:function" that takes the state dict and returns the network, or "spandrel:ARCHITECTURE".
    ignored: tensors whose names begin so are not read (a classifier that no one asks). companion: the row of another
    file that the network also needs; the builder is given the network in it as well. encoder: the row of a network whose
    codes mean the same to this one, and that can encode photos. directions: what changes along the directions of each
    category, as seen (engine/models/generative.py). half, bfloat16: the formats that
    the arithmetic stands on a GPU; float32 otherwise. sha256 is "" and size None where no one has told them.
    """

    name: str
    task: str  # the step it serves, or generate, sketch, style, classify, rank, features, metrics, or part of another
    network: str
    file: str
    licence: str
    credit: str
    builder: str
    repo: str = ""  # "" is embedded: the file lies in weights/
    revision: str = "main"
    size: int | None = None
    sha256: str = ""
    ignored: tuple[str, ...] = ()
    companion: str = ""
    encoder: str = ""
    directions: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    tiling: Tiling = _PLAIN
    half: bool = False
    bfloat16: bool = False
    measured: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def embedded(self) -> bool:
        return not self.repo

    @property
    def local_file(self) -> str:
        """The file's name in a folder of weights; on the Hub many are called model.safetensors."""
        return self.name + Path(self.file).suffix


def read_index(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """name -> {size, sha256, measured} of the files in `folder`; empty where there is no index. RequestError when it is damaged."""
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise RequestError(f"{file} is damaged: it is not JSON.") from error
    if not isinstance(index, dict) or not all(isinstance(facts, dict) for facts in index.values()):
        raise RequestError(f"{file} is damaged: it does not list networks.")
    return index


def _with_index(row: Weight, index: Mapping[str, Mapping[str, Any]]) -> Weight:
    facts = index.get(row.name, {})
    known = ("size", "sha256", "measured") if row.embedded else ("measured",)
    return replace(row, **{key: facts[key] for key in known if key in facts})


_OURS = "Vitrine, trained by engine/train"
_ESRGAN = "Xintao Wang et al., Real-ESRGAN (2021)"
_JOHNSON = "Justin Johnson et al. (2016); weights by the ONNX model zoo, after pytorch/examples"
_VAR = "Keyu Tian et al., VAR (2024)"
# Context for tiles that are given the picture's statistics; multiples of 8, because below 8 px there is nothing to reflect.
_JOHNSON_TILING = Tiling(overlap_px=60, multiple_px=8, bytes_per_px=1000, most_px=1024)

# What changes along the principal directions of the codes that `vae` and `studio` share; named after looking at them.
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

_ROWS = (
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
        tiling=Tiling(scale=1, overlap_px=32, multiple_px=8, blend=True, bytes_per_px=450, most_px=1024),
        half=True,
    ),
    Weight(
        name="deblur",
        task="deblur",
        network="defocus and camera shake taken off",
        file="deblur.safetensors",
        licence="Apache-2.0",
        credit=_OURS,
        builder="engine.models.restore:from_state_dict",
        tiling=Tiling(scale=1, overlap_px=32, multiple_px=8, blend=True, bytes_per_px=450, most_px=1024),
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
        builder="engine.train.inception:from_state_dict",
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

TABLE: tuple[Weight, ...] = tuple(_with_index(row, read_index()) for row in _ROWS)


class Network:
    """A loaded network: `weight`, the row it came from, and `module`, in eval mode, its parameters frozen.

    Calling it is the way to use a network from pictures to pictures; for gradients (style transfer) use `module` at
    `device` and `dtype`. It stays valid for whoever holds it, also after `Weights` has let go of it.
    """

    def __init__(self, weight: Weight, module: nn.Module, call: Callable[..., Tensor] | None = None) -> None:
        self.weight = weight
        self.module: Any = module.eval().requires_grad_(False)  # Any: each network has methods of its own
        self._call = call or module

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @property
    def memory(self) -> int:
        """What parameters and buffers hold, in bytes."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)

    def __call__(self, x: Tensor, *more: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, scale H, scale W) in [0, 1], float32 on the CPU on both sides.

        `more` are further inputs: LaMa's mask (1, 1, H, W) with 1 = fill, a generator's labels. Raises torch's
        out-of-memory error, so that the caller can use smaller tiles, and in the end `to_cpu`.
        """
        return self.apply(self._call, x, *more).clamp(0, 1)

    def apply(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What a function of the network makes of inputs on the CPU, as float32 on the CPU: its encoder, or a network
        whose answer is no picture."""
        import torch

        with torch.inference_mode():
            y = function(*(self._moved(t) for t in inputs))
        return y.float().cpu()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the parameters, in channels-last order: a tenth to a third faster on the CPU too."""
        import torch

        self.module.to(device, dtype, memory_format=torch.channels_last)

    def to_cpu(self) -> None:
        """Back to where memory is plenty, for a picture that does not fit on the GPU in any tile."""
        import torch

        self.to(torch.device("cpu"), torch.float32)

    def _moved(self, t: Tensor) -> Tensor:
        import torch

        t = t.to(self.device, self.dtype if t.is_floating_point() else t.dtype)
        return t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t


class Weights:
    """The networks of a table, each loaded when first asked for. Constructing it imports no torch and no Hub."""

    def __init__(self, device: Device, settings: Settings | None = None, table: Sequence[Weight] = TABLE) -> None:
        self.table = tuple(table)
        self.device = device
        self._settings = settings or Settings.from_environment()
        self._rows = {row.name: row for row in self.table}
        # Plain locks: a generator may be resumed, and closed, by another thread than the one that started it.
        self._loading = {name: threading.Lock() for name in self._rows}
        self._guard = threading.Lock()
        self._loaded: OrderedDict[str, Network] = OrderedDict()
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._silent: tuple[float, str] | None = None  # until when the Hub is not asked, and why

    def find(self, name: str) -> Weight:
        """The row of this name; RequestError when there is none."""
        if name not in self._rows:
            raise RequestError(f"There is no network {name!r}; the networks are {', '.join(self._rows)}.")
        return self._rows[name]

    def embedded(self, task: str) -> Weight:
        """The row that serves `task` without a network connection; RequestError when there is none."""
        for row in self.table:
            if row.embedded and row.task == task:
                return row
        raise RequestError(f"No network for {task} comes with Vitrine.")

    def where(self, name: str) -> str:
        """Where `name` would come from now: "memory", "weights/" or another folder, "cache", "Hub" or "missing"."""
        row = self.find(name)
        with self._guard:
            if name in self._loaded:
                return "memory"
        places = [self._place_of(part) for part in self._parts(row)]
        return "Hub" if "Hub" in places else places[0]

    def _place_of(self, row: Weight) -> str:
        for folder in self._folders():
            if (folder / row.local_file).is_file():
                return "weights/" if folder == FOLDER else str(folder)
        if row.embedded:
            return "missing"
        return "cache" if _cached(row) else "Hub"

    def _parts(self, row: Weight) -> tuple[Weight, ...]:
        """The row, and its companion after it."""
        return (row, self.find(row.companion)) if row.companion else (row,)

    def load(self, name: str) -> Generator[Progress, None, Network]:
        """The network of this name; yields Progress (bytes of a download) while it is fetched and built.

        Happens once however many threads ask. Close the generator to stop a download. Raises WeightsUnavailable,
        at the latest when the Hub has been silent for `hub_timeout_s`.
        """
        row, lock = self.find(name), self._loading[name]
        while not lock.acquire(timeout=_POLL_S):
            yield Progress(0, 0, f"Waiting for {name}, which is being loaded")
        try:
            if network := self._remembered(name):
                return network
            files = []
            for part in self._parts(row):
                files.append((part, (yield from self._fetch(part))))
            yield Progress(0, 0, f"Loading {name}")
            companions = [_build(part, file).module for part, file in files[1:]]
            network = self._place(_build(row, files[0][1], *companions))
            self._remember(network)
            return network
        finally:
            lock.release()

    def load_first(self, names: Sequence[str]) -> Generator[Progress, None, tuple[Network, tuple[str, ...]]]:
        """The first of `names` that can be had, and a sentence for each before it that could not.

        WeightsUnavailable when none can be had: the sentence of the last.
        """
        failures: list[WeightsUnavailable] = []
        for name in names:
            try:
                network = yield from self.load(name)
            except WeightsUnavailable as error:
                failures.append(error)
            else:
                return network, tuple(f"{str(error).rstrip('.')}, so {name} was used instead." for error in failures)
        raise failures[-1]

    def _remembered(self, name: str) -> Network | None:
        with self._guard:
            if name in self._loaded:
                self._loaded.move_to_end(name)
            return self._loaded.get(name)

    def _remember(self, network: Network) -> None:
        with self._guard:
            self._loaded[network.weight.name] = network
            while len(self._loaded) > 1 and sum(n.memory for n in self._loaded.values()) > self._settings.network_memory:
                self._loaded.popitem(last=False)

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys([self._settings.weights, FOLDER]))

    def _fetch(self, row: Weight) -> Generator[Progress, None, Path]:
        """A file that holds what the table says."""
        reason = f"{row.local_file} is not in {' or '.join(map(str, self._folders()))}"
        for folder in self._folders():
            file = folder / row.local_file
            if not file.is_file():
                continue
            known = replace(row, size=None, sha256="") if row.embedded else row  # what is embedded is listed beside it
            if (problem := self._problem(file, _with_index(known, read_index(folder)))) is None:
                return file
            reason = f"{file} {problem}"
            log.warning("%s is not used: it %s.", file, problem)
        if row.embedded:
            raise WeightsUnavailable(row.name, reason)
        return (yield from self._fetch_from_hub(row))

    def _fetch_from_hub(self, row: Weight) -> Generator[Progress, None, Path]:
        problem = None
        for _ in range(2):
            file = _cached(row) or (yield from self._download(row))
            if (problem := self._problem(file, _with_etag(row, file))) is None:
                return file
            log.warning("%s is deleted: it %s.", file, problem)
            _delete(file)
        raise WeightsUnavailable(row.name, f"{row.file} from the Hub {problem}, also when fetched again")

    def _download(self, row: Weight) -> Generator[Progress, None, Path]:
        if self._silent and time.monotonic() < self._silent[0]:
            raise WeightsUnavailable(row.name, self._silent[1])
        try:
            return (yield from _Download(row, self._settings.hub_timeout_s).events())
        except _HubUnreachable as error:
            self._silent = time.monotonic() + _PAUSE_S, error.reason
            raise

    def _problem(self, file: Path, row: Weight) -> str | None:
        """What is wrong with `file`, after "it"; None if it has the size and hash that are known."""
        status = file.stat()
        if row.size is not None and status.st_size != row.size:
            return f"has {status.st_size} bytes instead of {row.size}"
        key = (str(file.resolve()), status.st_mtime_ns, status.st_size)
        if row.sha256 and key not in self._hashes:
            self._hashes[key] = _sha256(file)
        return "does not have the SHA-256 it should have" if row.sha256 and self._hashes[key] != row.sha256 else None

    def _place(self, network: Network) -> Network:
        """Move to the device; when its memory is full, let go of the other networks, then stay on the CPU."""
        import torch

        target = self.device.torch
        for last_try in (False, True):
            try:
                network.to(target, _format(network.weight, target))
                break
            except Exception as error:
                if not is_out_of_memory(error) or target.type == "cpu":
                    raise
                network.to_cpu()
                if last_try:
                    log.warning("%s stays on the CPU: the GPU's memory is full.", network.weight.name)
                with self._guard:
                    self._loaded.clear()
                torch.cuda.empty_cache()
        return network


def _format(row: Weight, device: torch.device) -> torch.dtype:
    import torch

    if device.type == "cpu":
        return torch.float32  # half formats are slower there
    if row.half:
        return torch.float16
    return torch.bfloat16 if row.bfloat16 and torch.cuda.is_bf16_supported() else torch.float32


def _build(row: Weight, file: Path, *companions: nn.Module) -> Network:
    """Tensors from the file into the network the table names; every tensor must find its place and every place its tensor."""
    try:
        state = _read(file, row.ignored)
        kind, _, what = row.builder.partition(":")
        if kind == "spandrel":
            return _through_spandrel(row, state, what)
        return Network(row, getattr(importlib.import_module(kind), what)(state, *companions))
    except ImportError as error:
        log.exception("%s cannot be built", row.name)
        raise WeightsUnavailable(row.name, f"the Python package {error.name} is not installed") from error
    except MemoryError:
        raise
    except Exception as error:  # readers and builders raise anything from KeyError to their own; each means: not this file
        log.exception("%s does not fit %s", file, row.name)
        raise WeightsUnavailable(row.name, f"{file.name} does not hold the weights of this network") from error


def _read(file: Path, ignored: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors in a file, never code; those of a `.pth` may lie one level down, averaged weights first."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as opened:
            return unpack({key: opened.get_tensor(key) for key in opened.keys() if not key.startswith(ignored)})  # noqa: SIM118 (no mapping)
    if file.suffix == ".onnx":
        return {key: tensor for key, tensor in initialisers(file).items() if not key.startswith(ignored)}
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    state = next((state[key] for key in ("params_ema", "params", "state_dict") if key in state), state)
    return {key: tensor for key, tensor in state.items() if not key.startswith(ignored)}


def _through_spandrel(row: Weight, state: dict[str, Tensor], architecture: str) -> Network:
    """spandrel reads widths from shapes and loads strictly; its call pads, crops and masks as the network needs."""
    import spandrel

    if architecture == "LaMa" and not any(key.startswith(("generator.", "model.model.")) for key in state):
        state = {f"generator.{key}": tensor for key, tensor in state.items()}
    descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    if descriptor.architecture.id != architecture or descriptor.scale != row.tiling.scale:
        raise ValueError(f"{row.name} should be {architecture} x{row.tiling.scale}, and is {descriptor.architecture.id} x{descriptor.scale}")
    return Network(row, descriptor.model, descriptor)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _hub() -> ModuleType:
    """huggingface_hub, imported when first needed and set so that a download can be watched and stopped.

    Bytes are handed on as they arrive, not in pieces of 10 MB: progress moves on a slow line, a stall is told from
    slowness, and a stop takes hold at the next byte. Xet's transfers run in threads that Python cannot stop; the
    plain way has the same files.
    """
    import huggingface_hub
    from huggingface_hub import constants

    constants.DOWNLOAD_CHUNK_SIZE = None  # type: ignore[assignment]
    constants.HF_HUB_DISABLE_XET = True
    return huggingface_hub


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


def _cached(row: Weight) -> Path | None:
    """The file in the Hub's cache, whether or not it is sound."""
    found = _hub().try_to_load_from_cache(row.repo, row.file, cache_dir=_cache(), revision=row.revision)
    return Path(found) if isinstance(found, str) else None


def _with_etag(row: Weight, file: Path) -> Weight:
    """Where the table knows no hash, the Hub's own: the cache names a large file after its SHA-256."""
    name = file.resolve().name
    return replace(row, sha256=name) if not row.sha256 and _SHA256.fullmatch(name) else row


def _delete(file: Path) -> None:
    """Remove a file of the Hub's cache and all that its links lead to, or the next download would find it again."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


class _Stopped(Exception):
    """Raised inside huggingface_hub's progress bar to end a download that no one waits for."""


class _Download:
    """One file on its way from the Hub, in a thread that is told to stop when its listener leaves."""

    def __init__(self, row: Weight, timeout_s: float) -> None:
        self.row, self.timeout_s = row, timeout_s
        self.done, self.total = 0, row.size or 0
        self._file: Path | None = None
        self._error: BaseException | None = None
        self._finished, self._stopped = threading.Event(), threading.Event()

    def events(self) -> Generator[Progress, None, Path]:
        """Progress in bytes until the file is there; WeightsUnavailable, with the reason, when it will not come."""
        threading.Thread(target=self._run, name=f"download {self.row.name}", daemon=True).start()
        mark, since = 0, time.monotonic()
        try:
            while not self._finished.wait(_POLL_S):
                if self.done - mark >= _LEAST_BYTES:
                    mark, since = self.done, time.monotonic()
                elif time.monotonic() - since > self.timeout_s:
                    raise _HubUnreachable(self.row.name, self._silence())
                yield Progress(self.done, self.total, self._message())
        finally:
            self._stopped.set()
        if self._file is None:
            raise self._unavailable(self._error) from self._error
        return self._file

    def _run(self) -> None:
        try:
            hub, row, endpoint = _hub(), self.row, _endpoint()
            # Asked for by itself first: hf_hub_download repeats for half a minute before it tells what was wrong.
            hub.get_hf_file_metadata(hub.hf_hub_url(row.repo, row.file, revision=row.revision, endpoint=endpoint), timeout=self.timeout_s, endpoint=endpoint)
            found = hub.hf_hub_download(
                row.repo, row.file, revision=row.revision, endpoint=endpoint, cache_dir=_cache(), etag_timeout=self.timeout_s, tqdm_class=self._bar()
            )
            self._file = Path(found)
        except BaseException as error:
            self._error = error
        finally:
            self._finished.set()

    def _bar(self) -> type:
        download = self

        class Bar:
            """As much of a tqdm as huggingface_hub uses. A server that ignores ranges begins again: `done` stays the most that was reached."""

            def __init__(self, *, total: int | None = None, initial: int = 0, **_: Any) -> None:
                download.total = total or download.total
                self.position = initial
                self.update(0)

            def update(self, count: int = 1) -> None:
                if download._stopped.is_set():
                    raise _Stopped
                self.position += count
                download.done = max(download.done, self.position)

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None:
                pass

        return Bar

    def _message(self) -> str:
        if not self.done:
            return f"Asking the Hub for {self.row.name}"
        return f"Downloading {self.row.name}, {self._amount()}"

    def _amount(self) -> str:
        return f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB" if self.total else f"{self.done / 1e6:.1f} MB"

    def _silence(self) -> str:
        if not self.done:
            return f"the Hub did not answer within {self.timeout_s:g} s"
        return f"the download stalled for {self.timeout_s:g} s after {self._amount()}"

    def _unavailable(self, error: BaseException | None) -> WeightsUnavailable:
        reason, unreachable = _reason(error)
        return (_HubUnreachable if unreachable else WeightsUnavailable)(self.row.name, reason or self._silence())


_ANSWERS = {401: "wants a token", 403: "does not give access", 404: "does not have it", 429: "has had too many requests"}


def _reason(error: BaseException | None) -> tuple[str, bool]:
    """Why the Hub gave no file, after "because" ("" for a timeout), and whether the Hub as a whole is out of reach."""
    from huggingface_hub import errors

    causes = list(_causes(error))
    # The HTTP client has changed under huggingface_hub more than once; the names of its errors have not.
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    statuses = [status for cause in causes if isinstance(status := getattr(getattr(cause, "response", None), "status_code", None), int)]
    if "OfflineModeIsEnabled" in kinds:
        return "the machine is set to offline (HF_HUB_OFFLINE) and the file is not in the Hub's cache", False
    if statuses:
        answer = _ANSWERS.get(statuses[0], "is out of order" if statuses[0] >= 500 else "refused")
        return f"the Hub {answer} (HTTP {statuses[0]})", False
    if kinds & {"TimeoutException", "TimeoutError"}:
        return "", True
    if kinds & {"ConnectError", "ProxyError"}:
        return "the Hub cannot be reached", True
    if "TransportError" in kinds or any("Consistency check" in str(cause) for cause in causes):
        return "the download broke off", False
    if any(isinstance(cause, errors.FileMetadataError) for cause in causes):
        return "what answered is not the Hub", False
    if denials := [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]:
        return f"the file could not be written ({denials[0]})", False
    log.error("A download failed", exc_info=error)
    return f"of an unexpected error ({type(error).__name__})", False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def pin(row: Weight) -> Weight:
    """The row with the revision, size and hash that the Hub has for it now: one call."""
    info = _hub().HfApi(endpoint=_endpoint()).model_info(row.repo, files_metadata=True, timeout=30)
    found = next((file for file in info.siblings or () if file.rfilename == row.file), None)
    if found is None:
        raise RequestError(f"{row.repo} has no file {row.file}.")
    return replace(row, revision=info.sha, size=found.size, sha256=found.lfs.sha256 if found.lfs else "")


def source(row: Weight) -> str:
    """The row as it stands in this file."""
    lines = [f"        {f.name}={_literal(getattr(row, f.name))},\n" for f in fields(Weight) if f.name != "measured" and not _is_default(row, f)]
    return f"    Weight(\n{''.join(lines)}    ),"


def _literal(value: Any) -> str:
    if isinstance(value, Tiling):
        return f"Tiling({', '.join(f'{f.name}={getattr(value, f.name)!r}' for f in fields(value) if not _is_default(value, f))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _is_default(row: Any, f: Any) -> bool:
    return f.default is not MISSING and getattr(row, f.name) == f.default


METHODS = ("prior", "auto")  # in the index too, though there is no file of weights behind them


def write_index(folder: Path = FOLDER, table: Sequence[Weight] = _ROWS) -> dict[str, dict[str, Any]]:
    """Write size and SHA-256 of the embedded files in `folder`; what was measured is kept while its file is the same."""
    old, new = read_index(folder), {}
    for row in table:
        file, entry = folder / row.local_file, old.get(row.name, {})
        if row.embedded and file.is_file():
            facts = {"size": file.stat().st_size, "sha256": _sha256(file)}
            entry = {**entry, **facts} if entry.get("sha256", facts["sha256"]) == facts["sha256"] else facts
        elif row.embedded:
            entry = {}
        if entry:
            new[row.name] = entry
    return _save_index(new | {name: old[name] for name in METHODS if name in old}, folder)


def record(name: str, folder: Path = FOLDER, **facts: Mapping[str, Any]) -> None:
    """Write down what the network of this name was measured at; the tables take it from here.

    measured: figures by name, beside: what stands next to each, generation: what is drawn -> measure -> figure,
    methods: way to transfer a style -> measure -> figure.
    """
    index = read_index(folder)
    index.setdefault(name, {}).update({kind: dict(fact) for kind, fact in facts.items() if fact})
    _save_index(index, folder)


def _save_index(index: dict[str, dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    partial = folder / f"{INDEX}.partial"
    partial.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / INDEX)
    return index


MEASURED = ROOT / "docs" / "measured.md"  # what the networks reach, for people
_TABLE = ("<!-- table: written by python -m engine.weights table -->", "<!-- end of table -->")
_METHODS = ("<!-- methods: written by python -m engine.weights table -->", "<!-- end of methods -->")
_ENHANCE = ("<!-- enhance: written by python -m engine.weights table -->", "<!-- end of enhance -->")
_GENERATION = ("<!-- generation: written by python -m engine.weights table -->", "<!-- end of generation -->")


def markdown(table: Sequence[Weight]) -> str:
    """The table of weights for people."""
    head = ("name", "task", "network", "source", "size", "SHA-256", "licence", "credit", "measured")
    rows = [head, ("---",) * len(head), *map(_cells, table)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(row: Weight) -> tuple[str, ...]:
    pinned = "" if row.revision == "main" else f" @ `{row.revision[:7]}`"
    place = f"`weights/{row.local_file}`" if row.embedded else f"[{row.repo}](https://huggingface.co/{row.repo}) `{row.file}`{pinned}"
    size = "" if row.size is None else f"{row.size / 1e6:.1f} MB"
    measured = ", ".join(f"{what} {value:g}" for what, value in row.measured.items())
    return row.name, row.task, row.network, place, size, f"`{row.sha256[:12]}`" if row.sha256 else "", row.licence, row.credit, measured


def embedded_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """What comes with Vitrine, for a page in `docs/`: each network and its figures next to what they must beat."""
    lines = ["| network | what it is | size | measured, and next to it |", "| --- | --- | --- | --- |"]
    for row in _ROWS:
        facts = index.get(row.name, {})
        if row.embedded and facts:
            beside = facts.get("beside", {})
            figures = [f"{name} {value:.4g}" + (f" ({beside[name]})" if name in beside else "") for name, value in facts.get("measured", {}).items()]
            lines.append(f"| [`{row.name}`](../weights/{row.name}.md) | {row.network} | {facts['size'] / 1e6:.1f} MB | {', '.join(figures)} |")
    return "\n".join(lines) + "\n"


def generation_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """Every family of generators that was measured, next to each other and next to packshots themselves; "" if there is none."""
    families = {name: facts["generation"] for name, facts in index.items() if "generation" in facts}
    if not families:
        return ""
    rows = {f"`{name}`": facts["drawn"] for name, facts in families.items()}
    for facts in families.values():
        rows |= facts["baselines"]
    names = list(dict.fromkeys(name for scores in reversed(rows.values()) for name in scores))
    lines = ["| drawn by |" + "".join(f" {name} |" for name in names), "| --- |" + " --- |" * len(names)]
    lines += [f"| {what} |" + "".join(f" {scores[name]:g} |" if name in scores else " |" for name in names) for what, scores in rows.items()]
    return "\n".join(lines) + "\n"


def hub_peers(table: Sequence[Weight]) -> dict[str, str]:
    """Each embedded network -> the first network from the Hub that serves the same task."""
    hub = {row.task: row.name for row in reversed(table) if not row.embedded}
    return {row.name: hub[row.task] for row in table if row.embedded and row.task in hub}


def methods_markdown(index: Mapping[str, Mapping[str, Any]]) -> str:
    """Ways to transfer a style next to each other, each with its figures on held-out pairs; "" if nothing was measured."""
    methods = {name: figures for facts in index.values() for name, figures in facts.get("methods", {}).items()}
    if not methods:
        return ""
    names = list(next(iter(methods.values())))
    lines = ["| |" + "".join(f" {name} |" for name in names), "| --- |" + " --- |" * len(names)]
    lines += [f"| {method} |" + "".join(f" {figures[name]:.3g} |" for name in names) for method, figures in methods.items()]
    return "\n".join(lines) + "\n"


def write_table(file: Path = FOLDER / "README.md", folder: Path = FOLDER) -> str:
    """Write the table between its marks in `file`; returns the new text."""
    return _write_between(file, markdown([_with_index(row, read_index(folder)) for row in _ROWS]))


def _write_between(file: Path, table: str, marks: tuple[str, str] = _TABLE) -> str:
    begins, ends = marks
    before, _, rest = file.read_text(encoding="utf-8").partition(begins)
    _, mark, after = rest.partition(ends)
    if not mark:
        raise RequestError(f"{file} has no marks for the table: {begins} and {ends}.")
    text = f"{before}{begins}\n{table}{ends}{after}"
    file.write_text(text, encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.weights", description="Keep the table of weights honest.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pin", help="print a row with what the Hub has now").add_argument("name")
    commands.add_parser("index", help="write size and hash of the embedded files into weights/index.json, and the table")
    commands.add_parser("table", help="write the tables in weights/README.md and docs/measured.md")
    options = parser.parse_args(arguments)
    rows = {row.name: row for row in _ROWS}
    if options.command == "pin":
        if options.name not in rows or rows[options.name].embedded:
            parser.error(f"the networks on the Hub are {', '.join(row.name for row in _ROWS if not row.embedded)}")
        try:
            print(source(pin(rows[options.name])))
        except Exception as error:
            reason = _reason(error)[0] or "the Hub did not answer"
            print(error if isinstance(error, RequestError) else f"{options.name} could not be pinned because {reason}.", file=sys.stderr)
            return 2
        return 0
    if options.command == "index":
        write_index()
    write_table()
    _write_between(MEASURED, embedded_markdown(read_index()))
    _write_between(MEASURED, methods_markdown(read_index()), _METHODS)
    _write_between(MEASURED, enhance_markdown(read_index(), hub_peers(_ROWS)), _ENHANCE)
    for page in (MEASURED, FOLDER / "README.md"):
        _write_between(page, generation_markdown(read_index()), _GENERATION)
    return 0


if __name__ == "__main__":
    sys.exit(main())
