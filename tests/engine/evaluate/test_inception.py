"""Inception FID and IS: known answers with a stand-in for Inception, and the way of its file from the Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hub import Hub, serve_hub  # noqa: F401 (the fixture)
from shelf import row
from torch import Tensor, nn

from engine.evaluate import inception
from engine.runtime.device import Device
from engine.settings import Settings
from engine.weights import Network, Weights


class Colours(nn.Module):
    """Sees the mean of each channel, 0 to 255, and is sure of the class whose number the red channel holds."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.classes = classes

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert x.dtype == torch.uint8
        mean = x.double().mean((2, 3))
        return mean, 40 * nn.functional.one_hot(mean[:, 0].long() % self.classes, self.classes).double()


def flat(channels: Tensor) -> Tensor:
    """Pictures (N, 3, 4, 4), uint8, of one colour each."""
    return channels.to(torch.uint8)[:, :, None, None].expand(-1, -1, 4, 4)


SEEN = Network(row("inception", "metrics"), Colours())
REAL = flat(torch.randint(20, 100, (40, 3), generator=torch.Generator().manual_seed(0)))


def test_the_distance_of_a_set_to_itself_is_nothing_and_a_shift_counts_squared() -> None:
    shift = torch.tensor([3, 0, 4]).view(1, 3, 1, 1)
    assert inception.scores(REAL, REAL, SEEN)["Inception FID"] == pytest.approx(0, abs=1e-2)
    assert inception.scores((REAL + shift).to(torch.uint8), REAL, SEEN)["Inception FID"] == pytest.approx(25, rel=1e-3)


def test_the_score_is_one_when_all_look_the_same_and_the_number_of_classes_when_each_is_sure() -> None:
    same, each = (flat(red.expand(3, -1).T) for red in (torch.zeros(500), torch.arange(500) % 5))
    assert inception.scores(same, each, SEEN)["Inception score"] == pytest.approx(1)
    assert inception.scores(each, same, SEEN)["Inception score"] == pytest.approx(5, rel=0.05)


def test_measuring_again_gives_the_same_and_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = inception.scores(REAL, REAL, SEEN)
    assert torch.equal(torch.rand(3), expected)
    assert inception.scores(REAL, REAL, SEEN) == first


def test_floats_and_eight_bits_are_the_same_pictures() -> None:
    torch.testing.assert_close(inception._seen(REAL / 255, SEEN), inception._seen(REAL, SEEN))


class Ported(nn.Module):
    """As much of torch-fidelity's extractor as is used: a name, the features that are wanted, and a file."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: Any) -> None:
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048", "logits_unbiased"])
        self.fc = nn.Linear(3, 5)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = x.float().mean((2, 3))
        return features, self.fc(features)


def shelf(hub: Hub, tmp_path: Path, *names: str) -> Weights:
    return Weights(Device(), Settings(weights=tmp_path), hub.table(*names))


def test_the_hubs_file_reaches_the_measure(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace())
    monkeypatch.setitem(
        sys.modules, "torch_fidelity.feature_extractor_inceptionv3", SimpleNamespace(FeatureExtractorInceptionV3=Ported)
    )
    figures, reason = inception.measure(REAL, REAL, shelf(hub, tmp_path, "inception"))
    assert reason == ""
    assert figures["Inception FID"] == pytest.approx(0, abs=1e-2)
    assert figures["Inception score"] >= 1


def test_what_is_missing_is_one_sentence_and_no_figures(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.mode = 404
    why = "Inception FID and IS are not measured: inception could not be loaded because "
    assert inception.measure(REAL, REAL, shelf(hub, tmp_path)) == ({}, f"{why}the Hub does not have it (HTTP 404).")
    hub.mode = "ok"
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    figures, reason = inception.measure(REAL, REAL, shelf(hub, tmp_path, "inception"))
    assert figures == {}
    assert reason == f"{why}the Python package torch_fidelity.feature_extractor_inceptionv3 is not installed."


def test_the_real_port_takes_a_file_of_its_own_kind() -> None:
    port = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", exc_type=ImportError)
    blank = port.FeatureExtractorInceptionV3.__new__(port.FeatureExtractorInceptionV3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, "load_state_dict_from_url", lambda *_, **__: blank.state_dict())
        patch.setattr(port.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        blank.__init__("inception-v3-compat", ["2048"])
    network = inception.from_state_dict(blank.state_dict())
    features, logits = network(torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8))
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    state = dict(blank.state_dict())
    del state["fc.bias"]
    with pytest.raises(RuntimeError, match="Missing"):
        inception.from_state_dict(state)
