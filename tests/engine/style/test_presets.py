"""Presets: what is kept of an artwork, what is shipped, and the command that makes them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from shelf import write_photo

from engine.contract.errors import RequestError
from engine.contract.style import StyleRequest
from engine.models import features, gatys
from engine.models.gatys import BACKBONES
from engine.models.style_loss import Style
from engine.settings import ROOT, Settings
from engine.style import presets

SHIPPED = ROOT / "weights" / presets.FILE


@pytest.fixture(scope="module")
def network() -> features.Features:
    torch.manual_seed(0)
    return features.Features().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def style(network: features.Features) -> Style:
    return gatys.measure(
        network, BACKBONES["features"], torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    )


def write(folder: Path, network: features.Features, style: Style, name: str = "starry-night") -> None:
    save_file(presets.pack(name, style), folder / presets.FILE, metadata={"network": presets.fingerprint(network)})


def test_packing_keeps_a_style_to_half_precision(style: Style) -> None:
    packed = presets.pack("anything", style)
    assert all(t.dtype == torch.float16 for t in packed.values())
    back = presets.unpack("anything", packed)
    for kept, known in zip((back.colour, *back.layers), (style.colour, *style.layers), strict=True):
        assert torch.allclose(kept.mean, known.mean, rtol=1e-3, atol=1e-6)
        assert torch.allclose(kept.covariance, known.covariance, rtol=1e-3, atol=1e-6)
        assert torch.equal(kept.covariance, kept.covariance.T)


def test_a_preset_takes_23_kilobytes(style: Style) -> None:
    assert sum(t.nbytes for t in presets.pack("anything", style).values()) < 23_000


def test_a_preset_is_loaded_from_the_folder_of_the_settings(
    tmp_path: Path, network: features.Features, style: Style
) -> None:
    write(tmp_path, network, style)
    loaded = presets.load("starry-night", Settings(weights=tmp_path), network)
    assert torch.allclose(loaded.layers[3].covariance, style.layers[3].covariance, rtol=1e-3, atol=1e-6)


def test_statistics_of_another_network_are_noticed(
    tmp_path: Path, network: features.Features, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, network, style)
    with caplog.at_level(logging.WARNING, "vitrine"):
        presets.load("starry-night", Settings(weights=tmp_path), network)
        assert not caplog.records
        presets.load("starry-night", Settings(weights=tmp_path), features.Features())
    assert "was made with another features" in caplog.text


def test_a_missing_preset_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "ROOT", tmp_path)
    with pytest.raises(RequestError, match=r"^The style starry-night is missing from this installation; .*\.$"):
        presets.load("starry-night", Settings(weights=tmp_path))


def test_there_are_twelve_presets_or_more_with_names_of_their_own() -> None:
    assert len(presets.BY_NAME) == len(presets.PRESETS) >= 12
    assert StyleRequest("photo.png").style in presets.BY_NAME
    for preset in presets.PRESETS:
        assert preset.name == preset.name.lower()
        assert not Path(preset.name).suffix
        assert preset.title
        assert preset.artist
        assert 1400 < preset.year < 1931


def test_every_preset_is_shipped_and_finite() -> None:
    for preset in presets.PRESETS:
        style = presets.load(preset.name, Settings())
        assert [len(layer.mean) for layer in (style.colour, *style.layers)] == [3, 16, 32, 64, 128]
        for moments in (style.colour, *style.layers):
            assert torch.isfinite(moments.mean).all()
            values = torch.linalg.eigvalsh(moments.covariance.double())
            assert values.min() > -1e-3 * values.max()
    assert SHIPPED.stat().st_size < 500_000


def test_the_shipped_presets_belong_to_the_shipped_network() -> None:
    """When this fails: python -m engine.train.presets ARTWORKS"""
    from safetensors import safe_open

    network = features.from_state_dict(
        {k: v.float() for k, v in load_file(ROOT / "weights" / "features.safetensors").items()}
    )
    with safe_open(SHIPPED, "pt") as file:
        assert file.metadata()["network"] == presets.fingerprint(network)


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: p.name)
def test_every_preset_has_a_small_thumbnail(preset: presets.Preset) -> None:
    with Image.open(preset.thumbnail) as picture:
        assert max(picture.size) == 256
    assert preset.thumbnail.stat().st_size < 60_000


def test_the_recipe_writes_statistics_and_a_thumbnail_for_every_artwork(
    tmp_path: Path, network: features.Features
) -> None:
    from engine.train import presets as recipe

    (tmp_path / "art").mkdir()
    (tmp_path / "out").mkdir()
    write_photo(tmp_path / "art" / "one.png", seed=1)
    write_photo(tmp_path / "art" / "other.png", seed=2)
    save_file(network.state_dict(), tmp_path / "out" / "features.safetensors")
    photo = Path(write_photo(tmp_path / "photo.png", 40, 30))
    recipe.make(tmp_path / "art", tmp_path / "out", photo=photo, artworks={"starry-night": "one"}, size_px=64)
    made = presets.load("starry-night", Settings(weights=tmp_path / "out"), network)
    with Image.open(tmp_path / "art" / "one.png") as artwork:
        mean = torch.tensor(list(artwork.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)))) / 255  # type: ignore[arg-type]
    assert torch.allclose(made.colour.mean, mean, atol=0.01)
    with Image.open(tmp_path / "out" / "presets" / "starry-night.jpg") as thumbnail:
        assert thumbnail.size == (64, 48)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "features.safetensors",
        "presets",
        "presets.safetensors",
    ]


def test_an_artwork_that_is_not_there_is_named(tmp_path: Path, network: features.Features) -> None:
    from engine.train import presets as recipe

    save_file(network.state_dict(), tmp_path / "features.safetensors")
    (tmp_path / "art").mkdir()
    with pytest.raises(RequestError, match=r"has no picture named nowhere\.$"):
        recipe.make(tmp_path / "art", tmp_path, artworks={"starry-night": "nowhere"})


def test_every_preset_has_its_artwork() -> None:
    from engine.train.presets import ARTWORKS

    assert list(ARTWORKS) == [preset.name for preset in presets.PRESETS]
