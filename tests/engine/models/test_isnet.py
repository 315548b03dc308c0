"""IS-Net: the published layout, a tiny random checkpoint through the Hub, and the step that it serves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from chains import product_photo, run
from hub import Hub, checkpoint, serve_hub  # noqa: F401 (the fixture)
from shelf import Shelf, row
from torch import Tensor, nn

from engine.models import isnet
from engine.models.isnet import ISNet, from_state_dict, matte_of
from engine.models.segment import shrunk
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import Settings
from engine.weights import Weights

# The published sizes: inputs, middle, outputs and height of each block.
STAGES = (
    (64, 32, 64, 7),
    (64, 32, 128, 6),
    (128, 64, 256, 5),
    (256, 128, 512, 4),
    (512, 256, 512, 4),
    (512, 256, 512, 4),
)
BACK = ((128, 16, 64, 7), (256, 32, 64, 6), (512, 64, 128, 5), (1024, 128, 256, 4), (1024, 256, 512, 4))


@pytest.fixture
def small_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isnet, "SIDE_PX", 64)


def tiny() -> ISNet:
    torch.manual_seed(0)
    return ISNet(((4, 2, 4, 4), (4, 2, 6, 3), (6, 3, 6, 3)), ((8, 2, 4, 4), (12, 3, 4, 3))).eval()


def test_the_published_network_has_the_size_of_the_published_file() -> None:
    with torch.device("meta"):
        network = ISNet(STAGES, BACK)
    answers = sum(9 * outputs + 1 for outputs in (64, 128, 256, 512, 512))  # the five that are not read
    numbers = sum(t.numel() for t in network.state_dict().values()) + answers
    assert 4 * numbers == pytest.approx(177e6, rel=0.01)


def test_the_layout_is_read_from_the_keys_and_nothing_is_missing_or_left_over() -> None:
    network = tiny()
    again = from_state_dict(network.state_dict()).eval()
    x = torch.rand(1, 3, 40, 52) - 0.5
    assert torch.equal(again(x), network(x))
    with pytest.raises(RuntimeError, match="Unexpected"):
        from_state_dict(network.state_dict() | {"side2.bias": torch.zeros(1)})
    with pytest.raises((RuntimeError, KeyError)):
        from_state_dict({key: t for key, t in network.state_dict().items() if not key.startswith("stage2.rebnconv1.")})


def test_only_the_deepest_stages_are_flat() -> None:
    network = ISNet(STAGES[:1] * 3, STAGES[:1] * 2)
    assert [network.get_submodule(name).flat for name in ("stage1", "stage2", "stage3", "stage1d", "stage2d")] == [
        False,
        True,
        True,
        False,
        True,
    ]
    flat = network.get_submodule("stage3")
    assert [flat.get_submodule(f"rebnconv{k}").conv_s1.dilation[0] for k in range(1, 8)] == [1, 2, 4, 8, 16, 32, 64]
    steep = network.get_submodule("stage1")
    assert [steep.get_submodule(f"rebnconv{k}").conv_s1.dilation[0] for k in range(1, 8)] == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (7, 300), (90, 33)])
def test_a_matte_has_the_size_of_its_small_copy(small_side: None, size: tuple[int, int]) -> None:
    small = shrunk(torch.rand(1, 3, *size), isnet.SIDE_PX)
    matte = matte_of(tiny(), small)
    assert max(small.shape[-2:]) <= 64
    assert tuple(matte.shape) == (1, 1, *small.shape[-2:])
    assert 0 <= float(matte.min()) <= float(matte.max()) <= 1


def test_a_checkpoint_from_the_hub_serves_the_step_cut_out(hub: Hub, small_side: None, tmp_path: Path) -> None:
    weights = Weights(Device(), Settings(weights=tmp_path / "none"), hub.table("isnet"))
    network = finished(weights.load("isnet"))
    assert isinstance(network.module, ISNet)
    assert not any(key.startswith("side") and not key.startswith("side1") for key in network.module.state_dict())
    assert any(key.startswith("side6") for key in torch.load(_file(tmp_path), weights_only=True)), (
        "the file has more answers than are read"
    )
    matte = network.apply(lambda x: matte_of(network.module, x), torch.rand(1, 3, 20, 30))
    assert tuple(matte.shape) == (1, 1, 20, 30)


def _file(folder: Path) -> Path:
    file = folder / "isnet.pth"
    file.write_bytes(checkpoint("isnet"))
    return file


class Red(ISNet):
    """Whatever is red, at half the size, as logits."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == x.shape[-2] == 64
        assert x.min() < 0
        return 40 * (x[:, :1, ::2, ::2] - x[:, 1:2, ::2, ::2] - 0.2)


def test_its_matte_is_carried_to_full_size(small_side: None, tmp_path: Path) -> None:
    photo = product_photo(tmp_path / "product.png")
    result = run(
        Shelf((row("isnet", "cut-out", hub=True), Red())),
        photo,
        steps=("cut-out",),
        network="isnet",
        cut_out_background="transparent",
    )
    alpha = result.pictures[0].alpha
    assert alpha is not None
    assert result.notes.networks == ("isnet",)
    assert alpha[0, 0, 90, 120] == 1
    assert alpha[0, 0, :30].max() == 0
    assert float(alpha.mean()) == pytest.approx(3.1416 * 54**2 / (240 * 180), rel=0.1)
