"""From files to networks: every format of the Hub through its own reader, hostile and unfitting files, range, memory,
formats of numbers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import Hub, checkpoint, onnx_model, onnx_tensor, serve_hub  # noqa: F401 (the fixture)
from safetensors.torch import save_file
from shelf import row
from tint import BY_NAME, HUB_ROWS, Tint, load, refusal, shelf, tint_bytes, tint_row
from torch import Tensor

from engine.models import transformer
from engine.runtime.device import Device
from engine.settings import Settings
from engine.weights import Network, Weight, Weights
from engine.weights.network import format_on


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


@pytest.mark.parametrize(
    "row", [row for row in HUB_ROWS if row.builder.startswith("spandrel")], ids=lambda row: row.name
)
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
    assert [tuple(a.shape[1:]) for a in layers] == [
        (8, 32, 48),
        (8, 16, 24),
        (16, 8, 12),
        (16, 4, 6),
        (16, 4, 6),
        (16, 2, 3),
    ]
    layers[-1].sum().backward()
    assert x.grad is not None
    assert all(not p.requires_grad for p in network.module.parameters())


@pytest.mark.parametrize("row", [row for row in HUB_ROWS if row.name.startswith("johnson-")], ids=lambda row: row.name)
def test_a_style_from_the_hub_runs_by_its_own_statistics_or_by_given_ones(
    row: Weight, hub: Hub, tmp_path: Path
) -> None:
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
    row = replace(BY_NAME["johnson-candy"], size=None, sha256="")
    tensors = [
        onnx_tensor(key, tensor) for key, tensor in transformer.TransformerNet((2, 2, 2), 1).state_dict().items()
    ]
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
        assert "johnson-candy.onnx does not hold the weights of this network" in refusal(
            shelf((row,), tmp_path), "johnson-candy"
        )
    (tmp_path / "johnson-candy.onnx").write_bytes(onnx_model(*tensors))
    assert load(shelf((row,), tmp_path), "johnson-candy").module.channels == 2 * 4 + 3 * 2
    assert not hub.requests


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
    assert "tint.safetensors does not hold the weights of this network" in refusal(
        shelf((tint_row(),), tmp_path), "tint"
    )


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"params": {"conv.weight": Trap()}}, tmp_path / "tint.pth")
    refusal(shelf((tint_row(file="tint.pth"),), tmp_path), "tint")
    assert not (tmp_path / "sprung").exists()


def test_spandrel_must_recognise_the_network_that_the_table_names(tmp_path: Path) -> None:
    (tmp_path / "scunet.pth").write_bytes(checkpoint("nafnet-gopro"))
    refusal(shelf((replace(BY_NAME["scunet"], size=None, sha256=""),), tmp_path), "scunet")
    (tmp_path / "realesrgan-x2.pth").write_bytes(checkpoint("realesr-general-x4"))
    refusal(
        shelf((replace(BY_NAME["realesrgan-x2"], size=None, sha256="", builder="spandrel:Compact"),), tmp_path),
        "realesrgan-x2",
    )


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    assert "the Python package no_such_package is not installed" in refusal(
        shelf((tint_row(builder="no_such_package:build"),), tmp_path), "tint"
    )


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
    ("name", "expected"),
    [("scunet", torch.float16), ("restore", torch.float16), ("nafnet-gopro", torch.bfloat16), ("lama", torch.float32)],
)
def test_a_gpu_gets_the_smallest_format_the_network_stands(
    name: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert format_on(BY_NAME[name], torch.device("cuda")) == expected
    assert format_on(BY_NAME[name], torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert format_on(BY_NAME[name], torch.device("cuda")) in (torch.float16, torch.float32)


@pytest.mark.parametrize(
    ("multiplies", "wanted", "stands", "expected"),
    [
        (True, True, True, torch.bfloat16),
        (False, True, True, torch.float32),
        (True, False, True, torch.float32),
        (True, True, False, torch.float32),
    ],
)
def test_products_are_in_bfloat16_where_processor_setting_and_network_allow_it(
    multiplies: bool, wanted: bool, stands: bool, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.weights.load.multiplies_bf16", lambda: multiplies)
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    weights = Weights(Device(), Settings(weights=tmp_path, mixed=wanted), (tint_row(mixed=stands),))
    network = load(weights, "tint")
    products: list[torch.dtype] = []

    def look(x: Tensor) -> Tensor:
        products.append((x.view(3, -1) @ x.view(3, -1).T).dtype)
        return network.module(x)

    if network.device.type == "cuda":
        network.to_cpu()
    y = network.apply(look, torch.rand(1, 3, 4, 4))
    assert products == [expected]
    assert y.dtype == network.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "row",
    [row for row in HUB_ROWS if row.task not in ("features", "generate", "part", "metrics")],
    ids=lambda row: row.name,
)
def test_the_gpu_agrees_with_the_cpu(row: Weight, hub: Hub, tmp_path: Path) -> None:
    network = load(shelf(hub.table(row.name), tmp_path), row.name)
    assert network.device.type == "cuda"
    inputs = (torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float())[: 2 if row.name == "lama" else 1]
    there = network(*inputs)
    network.to_cpu()
    torch.testing.assert_close(there, network(*inputs), atol=0.03, rtol=0)


def test_a_network_that_fled_to_the_cpu_comes_back_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device `meta` stands in for a GPU."""
    network = Network(row("restore", "restore"), torch.nn.Conv2d(3, 3, 1))
    gpu = torch.device("meta")
    network.to(gpu, torch.float16)
    moved: list[str] = []

    def to(device: torch.device, dtype: torch.dtype) -> None:
        moved.append(device.type)
        if device.type == "meta" and len(moved) < 3:
            raise RuntimeError("CUDA out of memory.")

    monkeypatch.setattr(network, "to", to)
    network.to_cpu()
    network.come_back()
    assert moved == ["cpu", "meta", "cpu"], "there was no room yet, so it stays"
    network.come_back()
    network.come_back()
    assert moved == ["cpu", "meta", "cpu", "meta"], "there was, and it is asked no more"


def test_a_network_that_needs_the_whole_photo_is_told_it_before_its_tiles() -> None:
    class Brightest(torch.nn.Conv2d):
        """Takes off every tile what was brightest in the whole photo, at half the size."""

        def for_photo(self, ask: Any, photo: torch.Tensor) -> Any:
            most = ask(lambda x: x.amax().view(1), photo)
            return lambda x, level: x - level, (most,), 2

    plain, told = (
        Network(row("restore", "restore"), module) for module in (torch.nn.Conv2d(3, 3, 1), Brightest(3, 3, 1))
    )
    photo = torch.full((1, 3, 8, 8), 0.25)
    photo[..., 7, 7] = 0.75
    call, factor = told.for_photo(photo)
    assert factor == 2
    torch.testing.assert_close(call(torch.full((1, 3, 4, 4), 0.875)), torch.full((1, 3, 4, 4), 0.125))
    assert plain.for_photo(photo) == (plain, 1)
