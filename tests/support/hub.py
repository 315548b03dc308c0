"""A Hugging Face Hub on loopback, with every way to fail, and checkpoints for it in the formats of the real files.

The fixture `hub` starts one and points HF_ENDPOINT and the cache at it; a test module gets it by importing
`serve_hub`. `hub.table("scunet")` publishes a random SCUNet and gives the table to load it with.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.weights import TABLE, Weight

ERRORS = {401: "RepoNotFound", 403: "GatedRepo", 404: "EntryNotFound"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """`mode` says how the next requests end: "ok", a status to refuse with, or one of

    silent (accepts and never answers), stall (half, then nothing), drip (a byte now and then), slow (steadily, in
    small pieces), truncated (half, then closes), short (all bytes promised by GET, but fewer than by HEAD), wrong and
    wrong-once (other bytes of the same length), foreign (a web server that is no Hub). `body_mode` is for bodies only.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.mode: str | int = "ok"
        self.body_mode = "ok"
        self.headers: dict[str, str] = {}
        self.requests: list[str] = []
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answer", (_Answer,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, row: Weight, data: bytes, *, pinned: bool = True) -> Weight:
        """Serve `data` as the row's file; the row that fits it."""
        self.files[f"{row.repo}/{row.file}"] = data
        return (
            replace(row, size=len(data), sha256=hashlib.sha256(data).hexdigest())
            if pinned
            else replace(row, size=None, sha256="")
        )

    def table(self, *names: str) -> tuple[Weight, ...]:
        """TABLE, with random checkpoints published for these names."""
        return tuple(self.publish(row, checkpoint(row.name)) if row.name in names else row for row in TABLE)

    def downloads(self) -> int:
        return sum(request.startswith("GET") and "/resolve/" in request for request in self.requests)


class _Answer(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, self.close_connection = self.hub, True
        hub.requests.append(f"{self.command} {self.path}")
        if hub.mode == "silent":
            hub.closing.wait()
        elif isinstance(hub.mode, int):
            self._head(hub.mode, 0, {"X-Error-Code": ERRORS.get(hub.mode, ""), "Retry-After": "600"})
        elif hub.mode == "foreign":
            self._head(200, 0, {})
        elif self.path.startswith("/api/models/"):
            self._describe(self.path.removeprefix("/api/models/").partition("?")[0])
        else:
            repo, _, rest = self.path[1:].partition("/resolve/")
            revision, _, file = rest.partition("/")
            data = hub.files.get(f"{repo}/{file}")
            if data is None:
                self._head(404, 0, {"X-Error-Code": "EntryNotFound"})
            else:
                self._send(data, commit=COMMIT if revision == "main" else revision)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(length), "Connection": "close", **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _describe(self, repo: str) -> None:
        files = []
        for name, data in self.hub.files.items():
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            if name.startswith(f"{repo}/"):
                files.append({"rfilename": name.removeprefix(f"{repo}/"), "size": len(data), "lfs": lfs})
        body = json.dumps({"id": repo, "sha": COMMIT, "siblings": files}).encode()
        self._head(200, len(body), {"Content-Type": "application/json"})
        self.wfile.write(body)

    def _send(self, data: bytes, commit: str) -> None:
        hub, mode = self.hub, self.hub.body_mode
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            **hub.headers,
        }
        if self.command == "HEAD":
            self._head(200, len(data), headers)
            return
        if mode.startswith("wrong"):
            data = bytes(len(data))
            hub.body_mode = "ok" if mode == "wrong-once" else mode
        start = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        sent = len(data) - 1000 if mode == "short" else len(data)
        if start:
            headers["Content-Range"] = f"bytes {start}-{sent - 1}/{sent}"
        self._head(206 if start else 200, sent - start, headers)
        half = len(data) // 2 if mode in ("truncated", "stall") else sent
        piece = {"drip": 1, "slow": 50_000}.get(mode, 1 << 20)
        for at in range(start, half, piece):
            self.wfile.write(data[at : min(at + piece, half)])
            self.wfile.flush()
            if mode in ("drip", "slow") and hub.closing.wait(0.05):
                return
        if mode == "stall":
            hub.closing.wait()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):  # the client has left, which is what these tests are about
            self.close_connection = True


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub take this address for the Hub's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture(name="hub")
def serve_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub of the test's own, with an empty cache."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    served = Hub()
    monkeypatch.setenv("HF_ENDPOINT", served.url)  # for processes that a test starts; here the library has read it
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    point_to(served.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    close_session()
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield served
    served.closing.set()
    served.server.shutdown()
    served.server.server_close()


@functools.cache
def checkpoint(name: str) -> bytes:
    """Random weights in the format of the real file, key by key; narrower and shallower where its reader allows it."""
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = _STATES[name]()
    # A random network answers near zero; around grey, nothing of it is lost to the clamp.
    for key in {"realesrgan-x4": ["conv_last.bias"], "realesrgan-x2": ["conv_last.bias"]}.get(name, []):
        state[key] += 0.5
    if name.startswith("johnson-"):
        return onnx_model(*(onnx_tensor(key, tensor) for key, tensor in state.items()))
    if name in ("vgg19", "realesrgan-x4", "lama"):
        return save({key: tensor.contiguous() for key, tensor in state.items()})
    stream = io.BytesIO()
    plain = {"scunet": state, "var-d16": state, "var-vqvae": state, "inception": state, "isnet": state}
    torch.save({"realesrgan-x2": {"params_ema": state}, **plain}.get(name, {"params": state}), stream)
    return stream.getvalue()


def onnx_model(*tensors: bytes) -> bytes:
    """A ModelProto whose graph has these initialisers, among the kinds of field that an exporter writes; the graph ends
    the file.
    """
    node = onnx_field(1, b"input1") + onnx_field(2, b"output1") + onnx_field(4, b"Relu")
    graph = (
        onnx_field(1, node) + onnx_field(2, b"torch-jit-export") + b"".join(onnx_field(5, tensor) for tensor in tensors)
    )
    graph += onnx_field(11, onnx_field(1, b"input1")) + onnx_field(12, onnx_field(1, b"output1"))
    head = onnx_field(1, 3) + onnx_field(2, b"pytorch") + onnx_field(3, b"1.1") + onnx_field(8, onnx_field(2, 9))
    return head + onnx_field(7, graph)


def onnx_tensor(name: str, tensor: Any) -> bytes:
    """A TensorProto with its numbers as raw_data."""
    import torch

    kind = {torch.float32: 1, torch.int64: 7, torch.float16: 10}[tensor.dtype]
    dims = b"".join(onnx_field(1, side) for side in tensor.shape)
    return (
        dims + onnx_field(2, kind) + onnx_field(8, name.encode()) + onnx_field(9, tensor.contiguous().numpy().tobytes())
    )


def onnx_field(number: int, value: int | bytes) -> bytes:
    """One field of a protobuf message: a varint, or bytes after their length."""
    if isinstance(value, int):
        return onnx_varint(number << 3) + onnx_varint(value)
    return onnx_varint(number << 3 | 2) + onnx_varint(len(value)) + value


def onnx_varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, the top bit set on all but the last."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + onnx_varint(value >> 7)


def _vgg19() -> dict:
    """timm's names; the real classifier is 494 MB, ten numbers stand for it."""
    import torch

    from engine.models.vgg import VGG19

    classifier = {
        f"{layer}.{part}": torch.rand(10)
        for layer in ("pre_logits.fc1", "pre_logits.fc2", "head.fc")
        for part in ("weight", "bias")
    }
    return VGG19((8, 8, 16, 16, 16)).state_dict() | classifier


def _rrdb(inputs: int, width: int = 16, blocks: int = 1) -> dict:
    """BasicSR's RRDBNet: conv_first, body.N.rdbM.convK, conv_body, conv_up1, conv_up2, conv_hr, conv_last."""
    import torch
    from torch import nn

    shapes = {
        "conv_first": (inputs, width),
        "conv_body": (width, width),
        "conv_up1": (width, width),
        "conv_up2": (width, width),
    }
    shapes |= {"conv_hr": (width, width), "conv_last": (width, 3)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            shapes |= {
                f"body.{block}.rdb{dense}.conv{k}": (width + 32 * (k - 1), 32 if k < 5 else width) for k in range(1, 6)
            }
    layers = {name: nn.Conv2d(i, o, 3) for name, (i, o) in shapes.items()}
    with torch.no_grad():
        return {
            f"{name}.{part}": getattr(layer, part).clone()
            for name, layer in layers.items()
            for part in ("weight", "bias")
        }


def _compact() -> dict:
    from spandrel.architectures.Compact import Compact

    return Compact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=4, upscale=4).state_dict()


def _scunet() -> dict:
    from spandrel.architectures.SCUNet import SCUNet

    return SCUNet(config=[2, 1, 1, 1, 1, 1, 1], dim=64).state_dict()


def _nafnet() -> dict:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(
        img_channel=3, width=8, middle_blk_num=1, enc_blk_nums=[1, 1, 1, 3], dec_blk_nums=[1, 1, 1, 1]
    ).state_dict()


def _lama() -> dict:
    """The generator alone, its names bare; spandrel builds it at full width only."""
    from spandrel.architectures.LaMa import LaMa

    return {key.removeprefix("model."): tensor for key, tensor in LaMa(in_nc=4, out_nc=3).state_dict().items()}


def _var() -> dict:
    """Four scales of the ten, and the mask that only training needs."""
    import torch

    from engine.models.var import Transformer

    network = Transformer(tokens=24, channels=6, depth=2, width=16, heads=2, inner=24, sides=(1, 2, 3, 5))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.state_dict() | {"attn_bias_for_masking": torch.zeros(1, 1, 39, 39)}


def _vqvae() -> dict:
    """With some of what is in the real file for encoding."""
    import torch

    from engine.models.vqvae import VQVAE

    encoder = {"encoder.conv_in.weight": torch.rand(32, 3, 3, 3), "encoder.mid.block_1.norm1.bias": torch.rand(64)}
    return (
        VQVAE(24, 6, (32, 32, 64), 2).state_dict()
        | encoder
        | {"quant_conv.bias": torch.rand(6), "quantize.ema_vocab_hit_SV": torch.rand(4, 24)}
    )


def _inception() -> dict:
    """The last layer of a port that tests/test_inception.py puts in the real one's place."""
    import torch

    return {"fc.weight": torch.rand(5, 3), "fc.bias": torch.rand(5)}


def _isnet() -> dict:
    """Three stages of the six, and an answer that is not read."""
    import torch

    from engine.models.isnet import ISNet

    return ISNet(((4, 2, 4, 4), (4, 2, 6, 3), (6, 3, 6, 3)), ((8, 2, 4, 4), (12, 3, 4, 3))).state_dict() | {
        "side6.bias": torch.rand(1)
    }


def _johnson() -> dict:
    """A random network paints around black in steps of one grey level; here around grey in a hundred."""
    from engine.models.transformer import TransformerNet

    state = TransformerNet((4, 6, 8), 2).state_dict()
    state["deconv3.conv2d.weight"] *= 100
    state["deconv3.conv2d.bias"] += 127
    return state


_STATES = {
    "vgg19": _vgg19,
    "realesrgan-x4": lambda: _rrdb(3),
    "realesrgan-x2": lambda: _rrdb(12),
    "realesr-general-x4": _compact,
    "scunet": _scunet,
    "nafnet-gopro": _nafnet,
    "lama": _lama,
    "var-d16": _var,
    "var-vqvae": _vqvae,
    "inception": _inception,
    "isnet": _isnet,
    **{f"johnson-{style}": _johnson for style in ("mosaic", "candy", "udnie", "pointilism")},
}
