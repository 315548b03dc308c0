"""The table of weights and the way from a name to a network, with the real huggingface_hub client against `tests.hub`."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save, save_file
from torch import Tensor, nn

from engine import weights as module
from engine.device import Device
from engine.models import transformer, vgg
from engine.request import Progress, RequestError
from engine.settings import ROOT, Settings
from engine.weights import TABLE, Network, Weight, Weights, WeightsUnavailable
from tests.hub import COMMIT, Hub, checkpoint, onnx_model, onnx_tensor, serve_hub  # noqa: F401 (the fixture)

HUB_ROWS = [row for row in TABLE if not row.embedded]
BIG = 3_000_000  # bytes: three seconds from a slow Hub
ROWS = {row.name: row for row in TABLE}


class Tint(nn.Module):
    """The smallest network: a 1x1 convolution and a lot of padding, so that its file has some size."""

    def __init__(self, floats: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.ballast = nn.Parameter(torch.zeros(floats))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def tint_from_state_dict(state: dict[str, Tensor]) -> Tint:
    network = Tint(len(state["ballast"]))
    network.load_state_dict(state)
    return network


def tint_row(name: str = "tint", **facts: Any) -> Weight:
    common = {"task": "restore", "network": "tint", "file": "tint.safetensors", "licence": "MIT", "credit": "no one"}
    return Weight(**{"name": name, **common, "builder": f"{__name__}:tint_from_state_dict", "repo": "some/tint", **facts})


def tint_bytes(floats: int = 1) -> bytes:
    return save(Tint(floats).state_dict())


def shelf(table: tuple[Weight, ...], folder: Path, **limits: Any) -> Weights:
    return Weights(Device(), Settings(weights=folder, **limits), table)


def finish(work: Generator[Progress, None, Any]) -> tuple[Any, list[Progress]]:
    heard = []
    while True:
        try:
            heard.append(next(work))
        except StopIteration as end:
            return end.value, heard


def load(weights: Weights, name: str) -> Network:
    return finish(weights.load(name))[0]


def refusal(weights: Weights, name: str) -> str:
    with pytest.raises(WeightsUnavailable) as caught:
        load(weights, name)
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} could not be loaded because ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# The table


def test_names_are_unique_and_every_task_is_a_known_one() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    steps = {"restore", "deblur", "tone", "inpaint", "cut-out", "upscale-x2", "upscale-x4", "upscale-crisp-x4"}
    assert {row.task for row in TABLE} == steps | {"features", "generate", "sketch", "style", "classify", "rank", "part", "metrics"}


def test_the_issues_networks_are_all_there() -> None:
    embedded = {row.name for row in TABLE if row.embedded}
    assert embedded == {
        "features",
        "restore",
        "deblur",
        "inpaint",
        "matte",
        "tone",
        "upscale-x2",
        "upscale-x4",
        "upscale-x4-crisp",
        "studio",
        "vae",
        "dcgan",
        "wgan-gp",
        "wgan",
        "searched",
        "sketch",
        "faststyle",
        "categories",
        "discriminator",
    }
    photos = {"vgg19", "realesrgan-x4", "realesrgan-x2", "realesr-general-x4", "scunet", "nafnet-gopro", "lama", "isnet"}
    johnson = {f"johnson-{style}" for style in ("mosaic", "candy", "udnie", "pointilism")}
    assert {row.name for row in HUB_ROWS} == photos | johnson | {"var-d16", "var-vqvae", "inception"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row_says_all_that_a_person_must_know(row: Weight) -> None:
    assert row.licence in {"Apache-2.0", "BSD-3-Clause", "MIT"}
    assert row.network
    assert row.credit
    assert row.local_file == f"{row.name}{Path(row.file).suffix}"
    assert row.tiling.scale == (int(row.task[-1]) if row.task.startswith("upscale") else 1)
    known = Path(row.file).suffix == ".safetensors" or len(row.sha256) == 64
    assert known or row.repo == "FoundationVision/var", "a pickle is only opened when its hash is known, if only to the Hub"


@pytest.mark.parametrize("name", ["restore", "deblur", "inpaint", "cut-out", "tone", "upscale-x2", "upscale-x4", "generate", "features", "classify", "rank"])
def test_each_task_that_must_work_offline_has_an_embedded_network(name: str, tmp_path: Path) -> None:
    assert shelf(TABLE, tmp_path).embedded(name).task == name
    with pytest.raises(RequestError, match="metrics"):
        shelf(TABLE, tmp_path).embedded("metrics")


def test_all_that_is_embedded_stays_under_40_mb() -> None:
    assert sum((ROOT / "weights" / row.local_file).stat().st_size for row in TABLE if row.embedded) < 40_000_000


def test_the_index_lists_the_embedded_files_as_they_are() -> None:
    index = module.read_index()
    for row in TABLE:
        file = ROOT / "weights" / row.local_file
        if row.embedded and file.is_file():
            assert index.get(row.name, {}).get("sha256") == module._sha256(file), "run python -m engine.weights index"


def test_the_page_of_measurements_holds_the_figures_of_what_is_embedded() -> None:
    table = module.embedded_markdown(module.read_index())
    assert table in module.MEASURED.read_text(encoding="utf-8"), "run python -m engine.weights table"
    assert all(f"| [`{row.name}`]" in table for row in TABLE if row.embedded)


def test_the_readme_holds_the_table() -> None:
    assert module.markdown(TABLE) in (ROOT / "weights" / "README.md").read_text(encoding="utf-8"), "run python -m engine.weights table"


def test_neither_torch_nor_the_hub_is_imported_before_a_network_is_asked_for() -> None:
    code = (
        "import sys; from engine.device import Device; from engine.weights import Weights; Weights(Device());"
        "print([m for m in ('torch', 'huggingface_hub', 'spandrel') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# Every row of the Hub, in its own format


def reference(row: Weight, file: Path, x: Tensor, mask: Tensor) -> Tensor:
    """What spandrel's own loader makes of the same file."""
    import spandrel

    loader = spandrel.ModelLoader()
    state = loader.load_state_dict_from_file(file)
    if row.name == "lama":
        state = {f"generator.{key}": tensor for key, tensor in state.items()}
    network = loader.load_from_state_dict(state).eval()
    with torch.inference_mode():
        return network(x, mask) if row.name == "lama" else network(x)


@pytest.mark.parametrize("row", [row for row in HUB_ROWS if row.builder.startswith("spandrel")], ids=lambda row: row.name)
def test_a_checkpoint_from_the_hub_runs_through_its_network(row: Weight, hub: Hub, tmp_path: Path) -> None:
    weights = shelf(hub.table(row.name), tmp_path)
    network = load(weights, row.name)
    torch.manual_seed(1)
    x, mask = torch.rand(1, 3, 20, 28), torch.zeros(1, 1, 20, 28)
    mask[:, :, 5:15, 5:15] = 1
    y = network(x, mask) if row.name == "lama" else network(x)
    assert y.shape == (1, 3, 20 * row.tiling.scale, 28 * row.tiling.scale)
    assert y.dtype == torch.float32
    assert y.amin() >= 0
    assert y.amax() <= 1
    assert y.std() > 0
    assert not y.is_inference(), "a caller may go on working with it"
    if row.name == "lama":
        torch.testing.assert_close(torch.where(mask > 0, x, y), x)  # every pixel outside the mask is kept
    file = tmp_path / row.file
    file.write_bytes(hub.files[f"{row.repo}/{row.file}"])
    torch.testing.assert_close(y, reference(row, file, x, mask), atol=1e-4, rtol=0)
    assert weights.where(row.name) == "memory"
    assert shelf(weights.table, tmp_path).where(row.name) == "cache"


def test_vgg_from_the_hub_gives_gatys_layers_and_leaves_the_classifier_unread(hub: Hub, tmp_path: Path) -> None:
    network = load(shelf(hub.table("vgg19"), tmp_path), "vgg19")
    x = torch.rand(2, 3, 32, 48, requires_grad=True)
    layers = network.module(x)
    assert [tuple(a.shape[1:]) for a in layers] == [(8, 32, 48), (8, 16, 24), (16, 8, 12), (16, 4, 6), (16, 4, 6), (16, 2, 3)]
    layers[-1].sum().backward()
    assert x.grad is not None
    assert all(not p.requires_grad for p in network.module.parameters())


@pytest.mark.parametrize("row", [row for row in HUB_ROWS if row.name.startswith("johnson-")], ids=lambda row: row.name)
def test_a_style_from_the_hub_runs_by_its_own_statistics_or_by_given_ones(row: Weight, hub: Hub, tmp_path: Path) -> None:
    weights = shelf(hub.table(row.name), tmp_path)
    network = load(weights, row.name)
    torch.manual_seed(1)
    x = torch.rand(1, 3, 24, 32)
    y = network(x)
    assert y.shape == x.shape
    assert y.dtype == torch.float32
    assert y.amin() >= 0
    assert y.amax() <= 1
    assert y.std() > 0.05
    statistics = network.module.measure(x)
    torch.testing.assert_close(network(x, statistics), y)
    with pytest.raises(ValueError, match="Statistics"):
        network(x, statistics[:, :, 1:])
    assert shelf(weights.table, tmp_path).where(row.name) == "cache"


def test_an_onnx_file_of_another_network_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    row = replace(ROWS["johnson-candy"], size=None, sha256="")
    tensors = [onnx_tensor(key, tensor) for key, tensor in transformer.TransformerNet((2, 2, 2), 1).state_dict().items()]
    contents = {
        "fewer": onnx_model(*tensors[1:]),
        "more": onnx_model(*tensors, onnx_tensor("res1.in1.running_mean", torch.zeros(2))),
        "none": onnx_model(),
        "other shapes": onnx_model(onnx_tensor("conv1.conv2d.weight", torch.zeros(2, 3, 5, 5)), *tensors[1:]),
        "noise": b"\xff" * 100,
        "half": onnx_model(*tensors)[:-20],
        "nothing": b"",
    }
    for content in contents.values():
        (tmp_path / "johnson-candy.onnx").write_bytes(content)
        assert "johnson-candy.onnx does not hold the weights of this network" in refusal(shelf((row,), tmp_path), "johnson-candy")
    (tmp_path / "johnson-candy.onnx").write_bytes(onnx_model(*tensors))
    assert load(shelf((row,), tmp_path), "johnson-candy").module.channels == 2 * 4 + 3 * 2
    assert not hub.requests


def test_vgg_computes_what_its_layers_are_named_after() -> None:
    torch.manual_seed(0)
    network = vgg.VGG19((4, 4, 4, 4, 4))
    x = torch.rand(1, 3, 32, 32)
    y = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    expected, state, position = {}, network.state_dict(), 0
    for block, count in enumerate((2, 2, 4, 4, 4), start=1):
        for k in range(1, count + 1):
            y = F.relu(F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), state[f"features.{position}.weight"], state[f"features.{position}.bias"]))
            expected[f"relu{block}_{k}"] = y
            position += 2
        y = F.avg_pool2d(y, 2)
        position += 1
    for name, activation in zip(vgg.LAYERS, network(x), strict=True):
        torch.testing.assert_close(activation, expected[name])
    assert len(network(x, depth=2)) == 2


def test_vgg_has_torchvisions_names_and_shapes() -> None:
    from torchvision.models import vgg as theirs

    with torch.device("meta"):
        expected = theirs.make_layers(theirs.cfgs["E"]).state_dict()
        ours = vgg.VGG19().state_dict()
    assert {key.removeprefix("features."): tensor.shape for key, tensor in ours.items()} == {key: tensor.shape for key, tensor in expected.items()}


def test_vgg_is_strict_about_its_own_layers() -> None:
    state = vgg.VGG19((4, 4, 4, 4, 4)).state_dict()
    with pytest.raises(RuntimeError, match="Unexpected"):
        vgg.from_state_dict(state | {"features.35.weight": torch.zeros(1)})
    del state["features.34.bias"]
    with pytest.raises(RuntimeError, match="Missing"):
        vgg.from_state_dict(state)


# Once, and in order of use


def test_eight_threads_that_ask_at_once_load_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(state: dict[str, Tensor]) -> Tint:
        built.append(threading.current_thread())
        time.sleep(0.5)
        return tint_from_state_dict(state)

    monkeypatch.setitem(sys.modules, "counting", SimpleNamespace(build=build))
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    weights = shelf((tint_row(builder="counting:build"),), tmp_path)
    networks: list[Network] = []
    threads = [threading.Thread(target=lambda: networks.append(load(weights, "tint"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(networks) == 8
    assert len({id(network) for network in networks}) == 1


def test_a_load_that_is_closed_by_another_thread_leaves_the_way_free(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    weights = shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path)
    work = weights.load("tint")
    next(work)
    closer = threading.Thread(target=work.close)
    closer.start()
    closer.join()
    hub.body_mode = "ok"
    assert load(weights, "tint")


def test_the_least_recently_used_network_leaves_and_stays_valid_for_its_user(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.safetensors").write_bytes(tint_bytes(100_000))
    weights = shelf(tuple(tint_row(name) for name in "abc"), tmp_path, network_memory=900_000)
    a, b = load(weights, "a"), load(weights, "b")
    assert load(weights, "a") is a
    load(weights, "c")
    assert [weights.where(name) for name in "abc"] == ["memory", str(tmp_path), "memory"]
    assert b(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)
    assert load(weights, "a") is a
    assert load(weights, "b") is not b


def test_a_network_larger_than_the_budget_is_loaded_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes(1000))
    weights = shelf((tint_row(),), tmp_path, network_memory=10)
    assert load(weights, "tint") is load(weights, "tint")


# Network


def test_a_network_gives_pictures_in_range_and_takes_other_inputs_as_they_are() -> None:
    class Labelled(Tint):
        def forward(self, x: Tensor, label: Tensor) -> Tensor:
            assert label.dtype == torch.int64
            assert torch.is_inference_mode_enabled()
            return x * 3 - label

    network = Network(tint_row(), Labelled())
    y = network(torch.rand(2, 3, 5, 7), torch.tensor(1))
    assert y.amin() == 0
    assert y.amax() == 1
    assert network.memory == 4 * (9 + 3 + 1)


def test_two_pictures_at_once_are_the_same_as_one_by_one(tmp_path: Path) -> None:
    network = Network(tint_row(), Tint())
    x = torch.rand(2, 3, 9, 11)
    torch.testing.assert_close(network(x), torch.cat([network(x[:1]), network(x[1:])]))


class Crowded(Tint):
    """A network that fits on no device but the CPU."""

    def to(self, *place: Any, **how: Any) -> Crowded:
        if torch.device(place[0]).type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().to(*place, **how)


def test_a_network_that_does_not_fit_on_the_gpu_stays_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crowded", SimpleNamespace(build=lambda state: Crowded()))
    for name in ("tint", "other"):
        (tmp_path / f"{name}.safetensors").write_bytes(tint_bytes())
    device = SimpleNamespace(torch=torch.device("cpu"))
    weights = Weights(device, Settings(weights=tmp_path), (tint_row(builder="crowded:build", half=True), tint_row("other")))
    load(weights, "other")
    device.torch = torch.device("meta")  # stands for a GPU
    network = load(weights, "tint")
    assert network.device.type == "cpu"
    assert network.dtype == torch.float32
    assert weights.where("other") != "memory", "the others made room first"
    assert network(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)


def test_out_of_memory_reaches_the_caller_and_the_cpu_is_a_way_out() -> None:
    class Greedy(Tint):
        def forward(self, x: Tensor) -> Tensor:
            if x.dtype == torch.float16:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(x)

    network = Network(tint_row(), Greedy())
    network.to(torch.device("cpu"), torch.float16)
    with pytest.raises(torch.OutOfMemoryError):
        network(torch.rand(1, 3, 4, 4))
    network.to_cpu()
    assert network.dtype == torch.float32
    assert network(torch.rand(1, 3, 4, 4)).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    ("name", "expected"), [("scunet", torch.float16), ("restore", torch.float16), ("nafnet-gopro", torch.bfloat16), ("lama", torch.float32)]
)
def test_a_gpu_gets_the_smallest_format_the_network_stands(name: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert module._format(ROWS[name], torch.device("cuda")) == expected
    assert module._format(ROWS[name], torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert module._format(ROWS[name], torch.device("cuda")) in (torch.float16, torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("row", [row for row in HUB_ROWS if row.task not in ("features", "generate", "part", "metrics")], ids=lambda row: row.name)
def test_the_gpu_agrees_with_the_cpu(row: Weight, hub: Hub, tmp_path: Path) -> None:
    network = load(shelf(hub.table(row.name), tmp_path), row.name)
    assert network.device.type == "cuda"
    inputs = (torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float())[: 2 if row.name == "lama" else 1]
    there = network(*inputs)
    network.to_cpu()
    torch.testing.assert_close(there, network(*inputs), atol=0.03, rtol=0)


# Files on this machine


def test_a_file_in_the_folder_of_the_settings_is_taken_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    (tmp_path / "tint.safetensors").write_bytes(hub.files["some/tint/tint.safetensors"])
    weights = shelf((row,), tmp_path)
    assert weights.where("tint") == str(tmp_path)
    assert load(weights, "tint")
    assert not hub.requests


def test_a_spoiled_file_in_the_folder_is_passed_over_but_left_alone(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    (tmp_path / "tint.safetensors").write_bytes(bytes(row.size or 0))
    assert load(shelf((row,), tmp_path), "tint")
    assert hub.downloads() == 1
    assert (tmp_path / "tint.safetensors").read_bytes() == bytes(row.size or 0)


def test_an_embedded_file_is_checked_against_the_index_beside_it(tmp_path: Path) -> None:
    row = tint_row(repo="")
    weights = shelf((row,), tmp_path)
    assert weights.where("tint") == "missing"
    assert "tint.safetensors is not in" in refusal(weights, "tint")
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    assert module.write_index(tmp_path, (row,))["tint"]["size"] == (tmp_path / "tint.safetensors").stat().st_size
    assert load(weights, "tint")
    spoiled = bytearray((tmp_path / "tint.safetensors").read_bytes())
    spoiled[-1] ^= 1
    (tmp_path / "tint.safetensors").write_bytes(spoiled)
    assert "does not have the SHA-256 it should have" in refusal(shelf((row,), tmp_path), "tint")
    (tmp_path / "tint.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "has 43 bytes instead of" in refusal(shelf((row,), tmp_path), "tint")


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    true_hash = module._sha256
    monkeypatch.setattr(module, "_sha256", lambda file: hashed.append(file) or true_hash(file))
    file = tmp_path / "tint.safetensors"
    file.write_bytes(tint_bytes())
    weights = shelf((), tmp_path)
    row = tint_row(sha256=true_hash(file))
    assert [weights._problem(file, row) for _ in range(3)] == [None] * 3
    assert len(hashed) == 1
    os.utime(file, (1, 1))
    assert weights._problem(file, row) is None
    assert len(hashed) == 2


@pytest.mark.parametrize("content", ["more", "fewer", "other shapes", "another network", "no tensors", "noise"])
def test_a_file_that_does_not_fit_its_network_is_one_sentence(content: str, tmp_path: Path) -> None:
    state = Tint().state_dict()
    states = {
        "more": state | {"conv2.weight": torch.zeros(1)},
        "fewer": {key: tensor for key, tensor in state.items() if key != "conv.bias"},
        "other shapes": state | {"conv.weight": torch.zeros(3, 4, 1, 1)},
        "another network": {"a": torch.zeros(1)},
        "no tensors": {},
        "noise": None,
    }
    file = tmp_path / "tint.safetensors"
    if states[content] is None:
        file.write_bytes(b"\xff" * 100)
    else:
        save_file(states[content], file)
    assert "tint.safetensors does not hold the weights of this network" in refusal(shelf((tint_row(),), tmp_path), "tint")


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"params": {"conv.weight": Trap()}}, tmp_path / "tint.pth")
    refusal(shelf((tint_row(file="tint.pth"),), tmp_path), "tint")
    assert not (tmp_path / "sprung").exists()


def test_spandrel_must_recognise_the_network_that_the_table_names(tmp_path: Path) -> None:
    (tmp_path / "scunet.pth").write_bytes(checkpoint("nafnet-gopro"))
    refusal(shelf((replace(ROWS["scunet"], size=None, sha256=""),), tmp_path), "scunet")
    (tmp_path / "realesrgan-x2.pth").write_bytes(checkpoint("realesr-general-x4"))
    refusal(shelf((replace(ROWS["realesrgan-x2"], size=None, sha256="", builder="spandrel:Compact"),), tmp_path), "realesrgan-x2")


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    assert "the Python package no_such_package is not installed" in refusal(shelf((tint_row(builder="no_such_package:build"),), tmp_path), "tint")


def test_the_sentence_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(WeightsUnavailable("tint", "it rains")))
    assert str(error) == "tint could not be loaded because it rains."


def test_an_unknown_name_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no network 'magic'; the networks are tint"):
        load(shelf((tint_row(),), tmp_path), "magic")


# The Hub


def test_a_download_is_heard_of_checked_and_kept_in_the_cache(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    row = hub.publish(tint_row(), tint_bytes(BIG // 10))
    network, heard = finish(shelf((row,), tmp_path).load("tint"))
    assert isinstance(network, Network)
    amounts = [event.done for event in heard if event.total == row.size]
    assert amounts == sorted(amounts)
    assert len({amount for amount in amounts if amount > 0}) > 3
    assert any(event.message.startswith("Downloading tint, ") and event.message.endswith("of 1.2 MB") for event in heard)
    requests = len(hub.requests)
    assert load(shelf((row,), tmp_path), "tint")
    assert len(hub.requests) == requests, "the cache answers without a question to the Hub"


def test_closing_the_generator_stops_the_download(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"
    weights = shelf((hub.publish(tint_row("long"), tint_bytes(BIG)),), tmp_path)
    work = weights.load("long")
    for event in work:
        if event.done:
            break
    work.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "download long" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "twelve megabytes would take 12 s"
        time.sleep(0.05)
    assert not list((tmp_path / "hub").rglob("*.incomplete"))
    assert weights.where("long") == "Hub"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (401, "the Hub wants a token (HTTP 401)"),
        (403, "the Hub does not give access (HTTP 403)"),
        (404, "the Hub does not have it (HTTP 404)"),
        (429, "the Hub has had too many requests (HTTP 429)"),
        (500, "the Hub is out of order (HTTP 500)"),
        (503, "the Hub is out of order (HTTP 503)"),
        (418, "the Hub refused (HTTP 418)"),
        ("foreign", "what answered is not the Hub"),
    ],
)
def test_a_hub_that_refuses_is_one_sentence_at_once(mode: str | int, reason: str, hub: Hub, tmp_path: Path) -> None:
    weights = shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path, hub_timeout_s=120)
    hub.mode = mode
    started = time.monotonic()
    assert refusal(weights, "tint") == f"tint could not be loaded because {reason}."
    assert time.monotonic() - started < 30, "no waiting for a Hub that has answered"
    hub.mode = "ok"
    assert load(weights, "tint")


@pytest.mark.parametrize(("mode", "reason"), [("silent", "the Hub did not answer within 2 s"), ("stall", "the download stalled for 2 s after 1.5 of 3.0 MB")])
def test_a_hub_that_falls_silent_is_not_waited_for(mode: str, reason: str, hub: Hub, tmp_path: Path) -> None:
    rows = hub.publish(tint_row(), tint_bytes(BIG // 4)), tint_row("other", repo="some/other")
    weights = shelf(rows, tmp_path, hub_timeout_s=2)
    hub.mode, hub.body_mode = ("silent", "ok") if mode == "silent" else ("ok", mode)
    started = time.monotonic()
    assert refusal(weights, "tint") == f"tint could not be loaded because {reason}."
    assert time.monotonic() - started < 12
    requests = len(hub.requests)
    assert refusal(weights, "other") == f"other could not be loaded because {reason}."
    assert len(hub.requests) == requests, "the next network of a chain does not wait again"


def test_a_hub_that_drips_is_not_waited_for(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "drip"
    started = time.monotonic()
    assert "the download stalled for 2 s after 0.0 of" in refusal(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path, hub_timeout_s=2), "tint")
    assert time.monotonic() - started < 12


def test_a_slow_download_may_take_longer_than_the_timeout(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "slow"  # 3 MB in 3 s
    assert load(shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path, hub_timeout_s=2), "tint")


@pytest.mark.parametrize(("mode", "reason"), [("truncated", "the download stalled"), ("short", "the download broke off")])
def test_a_body_that_breaks_off_is_one_sentence(mode: str, reason: str, hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = mode
    weights = shelf((hub.publish(tint_row(), tint_bytes(BIG // 4)),), tmp_path, hub_timeout_s=3)
    assert reason in refusal(weights, "tint")
    assert weights.where("tint") == "Hub"


def test_a_refused_connection_is_one_sentence(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert refusal(shelf((tint_row(),), tmp_path), "tint") == "tint could not be loaded because the Hub cannot be reached."


def test_a_cache_that_cannot_be_written_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file where the cache should be")
    assert "the file could not be written" in refusal(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")


def test_a_wrong_hash_is_fetched_again_once(hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "wrong-once"
    assert load(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")
    assert hub.downloads() == 2


@pytest.mark.parametrize("pinned", [True, False], ids=["hash in the table", "hash from the Hub"])
def test_a_hash_that_stays_wrong_is_said_and_nothing_is_kept(pinned: bool, hub: Hub, tmp_path: Path) -> None:
    hub.body_mode = "wrong"
    weights = shelf((hub.publish(tint_row(), tint_bytes(), pinned=pinned),), tmp_path)
    assert "tint.safetensors from the Hub does not have the SHA-256 it should have, also when fetched again" in refusal(weights, "tint")
    assert hub.downloads() == 2
    assert weights.where("tint") == "Hub"
    assert not [file for file in (tmp_path / "hub").rglob("*") if file.is_file() and "blobs" in file.parts]


def test_a_file_that_rotted_in_the_cache_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    load(shelf((row,), tmp_path), "tint")
    [blob] = (tmp_path / "hub").rglob("blobs/*")
    blob.write_bytes(b"rotten")
    assert load(shelf((row,), tmp_path), "tint")
    assert hub.downloads() == 2


def test_a_file_stored_with_xet_comes_the_plain_way(hub: Hub, tmp_path: Path) -> None:
    hub.headers = {"X-Xet-Hash": "ab" * 32, "X-Xet-Refresh-Route": f"{hub.url}/api/models/some/tint/xet-read-token/main"}
    assert load(shelf((hub.publish(tint_row(), tint_bytes()),), tmp_path), "tint")
    assert not [request for request in hub.requests if "xet" in request]


def test_offline_mode_asks_no_one_and_says_so(hub: Hub, tmp_path: Path) -> None:
    code = """
from engine.device import Device
from engine.weights import Weights, WeightsUnavailable
try:
    list(Weights(Device()).load("scunet"))
except WeightsUnavailable as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VITRINE_WEIGHTS": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    reason = "the machine is set to offline (HF_HUB_OFFLINE) and the file is not in the Hub's cache"
    assert answer.stdout.strip() == f"scunet could not be loaded because {reason}."
    assert not hub.requests


def test_offline_mode_still_uses_the_cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = hub.publish(tint_row(), tint_bytes())
    load(shelf((row,), tmp_path), "tint")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load(shelf((row,), tmp_path), "tint")


def test_the_next_name_answers_when_the_hub_does_not(hub: Hub, tmp_path: Path) -> None:
    hub.mode = 500
    (tmp_path / "restore.safetensors").write_bytes(tint_bytes())
    weights = shelf((ROWS["scunet"], tint_row("restore", repo="")), tmp_path)
    (network, sentences), _ = finish(weights.load_first(["scunet", "restore"]))
    assert network.weight.name == "restore"
    assert sentences == ("scunet could not be loaded because the Hub is out of order (HTTP 500), so restore was used instead.",)
    assert finish(weights.load_first(["restore", "scunet"]))[0][1] == ()
    with pytest.raises(WeightsUnavailable, match="scunet could not"):
        finish(weights.load_first(["scunet"]))


# The commands


def test_pin_prints_the_row_to_paste(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    pinned = hub.publish(ROWS["vgg19"], checkpoint("vgg19"))
    assert module.main(["pin", "vgg19"]) == 0
    printed = capsys.readouterr().out
    row = eval(printed.strip().removesuffix(","), {"Weight": Weight, "Tiling": module.Tiling})
    assert row == replace(pinned, revision=COMMIT, measured={})
    assert f'revision="{COMMIT}"' in printed
    assert len(hub.requests) == 1


def test_pin_says_in_one_sentence_why_not(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.mode = 404
    assert module.main(["pin", "scunet"]) == 2
    assert capsys.readouterr().err == "scunet could not be pinned because the Hub does not have it (HTTP 404).\n"
    hub.mode = "ok"
    hub.files["deepinv/scunet/other.pth"] = b""
    assert module.main(["pin", "scunet"]) == 2
    assert capsys.readouterr().err == "deepinv/scunet has no file scunet_color_real_psnr.pth.\n"
    with pytest.raises(SystemExit):
        module.main(["pin", "features"])


def test_every_row_prints_as_it_stands() -> None:
    text = (ROOT / "engine" / "weights.py").read_text(encoding="utf-8")
    for row in module._ROWS:
        assert eval(module.source(row).strip().removesuffix(","), {"Weight": Weight, "Tiling": module.Tiling}) == row
        assert f'name="{row.name}"' in text


@pytest.mark.parametrize("content", ["{bad", "[1]", '{"restore": 5}', "\udcff"])
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RequestError, match=r"index\.json is damaged: it .*\.$"):
        module.read_index(tmp_path)


def test_index_keeps_what_was_measured_while_the_file_is_the_same(tmp_path: Path) -> None:
    row = tint_row(repo="")
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    first = module.write_index(tmp_path, (row,))
    module.record("tint", tmp_path, measured={"PSNR": 31.5})
    assert module.write_index(tmp_path, (row,))["tint"] == {**first["tint"], "measured": {"PSNR": 31.5}}
    assert module._with_index(row, module.read_index(tmp_path)).measured == {"PSNR": 31.5}
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes(2))
    assert "measured" not in module.write_index(tmp_path, (row,))["tint"]
    (tmp_path / "tint.safetensors").unlink()
    assert module.write_index(tmp_path, (row,)) == {} == json.loads((tmp_path / "index.json").read_text())


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n{}\nstale\n{}\nafter\n".format(*module._TABLE))
    once = module.write_table(file, tmp_path)
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "stale" not in once
    assert all(f"| {row.name} |" in once for row in TABLE)
    assert module.write_table(file, tmp_path) == once == file.read_text()
    file.write_text("nothing to write into")
    with pytest.raises(RequestError):
        module.write_table(file, tmp_path)


def test_ways_to_transfer_a_style_stand_next_to_each_other() -> None:
    index = {"faststyle": {"methods": {"Gatys": {"distance": 0.0355, "SSIM": 0.4}, "`faststyle`": {"distance": 0.1, "SSIM": 0.55}}}, "restore": {"size": 1}}
    assert module.methods_markdown(index) == "| | distance | SSIM |\n| --- | --- | --- |\n| Gatys | 0.0355 | 0.4 |\n| `faststyle` | 0.1 | 0.55 |\n"
    assert module.methods_markdown({"restore": {"size": 1}}) == ""
