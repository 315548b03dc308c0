"""The losses of `paint` against closed forms, and a step of its recipe on a stand-in of VGG-19."""

from __future__ import annotations

import copy
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretend import trains_there_as_here

from engine.models.paint import BRUSHES, Paint, from_state_dict
from engine.models.vgg_original import OriginalVGG19
from engine.train import data
from engine.train.__main__ import main
from engine.train.recipes import paint
from engine.weights import int8


@pytest.fixture
def vgg() -> OriginalVGG19:
    torch.manual_seed(0)
    network = OriginalVGG19((4, 4, 4, 4, 4)).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        parameter.fill_(0.3) if name.endswith("bias") else None  # so that no layer is dark all over
    return network


def artwork(seed: int, size: tuple[int, int] = (120, 100)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_gram_matrix_is_the_mean_of_products() -> None:
    a = torch.rand(2, 3, 4, 5)
    second, mean = paint.gram(a)
    torch.testing.assert_close(second, torch.einsum("nchw,ndhw->ncd", a, a) / 20)
    torch.testing.assert_close(mean, a.mean((2, 3)))


def test_pixels_without_weight_do_not_count() -> None:
    a, weight = torch.rand(1, 3, 4, 6), torch.zeros(1, 1, 8, 12)
    weight[..., 6:] = 1
    for ours, theirs in zip(paint.gram(a, weight), paint.gram(a[..., 3:]), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_artwork_itself_is_at_no_distance_and_darkness_at_one(vgg: OriginalVGG19) -> None:
    picture = artwork(0)
    targets = paint.targets_of(vgg, [picture])
    medium = BRUSHES.index("medium")
    pixels = paint._pixels(paint._scaled(picture, paint.BRUSH_PX["medium"]))
    seen = vgg(pixels, paint.DEPTH)
    row = torch.tensor([medium])
    torch.testing.assert_close(paint.style_distances(seen, targets, row), torch.zeros(1, 4), atol=1e-6, rtol=0)
    nothing = [torch.zeros_like(a) for a in seen]
    torch.testing.assert_close(paint.style_distances(nothing, targets, row), torch.ones(1, 4))
    torch.testing.assert_close(paint.style_left(seen, nothing, targets, row), torch.zeros(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(paint.style_left(nothing, nothing, targets, row), torch.ones(1))


def test_content_ignores_strength_and_offset_of_a_channel() -> None:
    a = 100 * torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(paint.content_distances(2 * a + 5, a), torch.zeros(1), atol=1e-4, rtol=0)
    assert paint.content_distances(a.flip(2), a) > 1


def test_ground_reaches_from_the_border_to_the_product() -> None:
    x = torch.ones(1, 3, 160, 160)
    x[..., 48:112, 48:112] = 0.5  # an even product on white is no ground
    found = paint.ground(x)
    assert found[..., :32, :].min() > 0.9
    assert found[..., 50:110, 50:110].max() < 0.1
    assert found[..., 42, 42:118].min() > 0.9  # as far as the product's edge


def test_even_light_ground_costs_nothing_and_dirt_and_darkness_do() -> None:
    photo = torch.ones(1, 3, 64, 64)
    even = torch.ones(1, 1, 64, 64)
    assert paint.ground_distance(torch.full_like(photo, 0.9), photo, even) < 1e-9
    dark = paint.ground_distance(torch.full_like(photo, 0.5), photo, even)
    torch.testing.assert_close(dark, torch.tensor(8 * (paint.WHITE_LEAST - 0.5) ** 2), atol=1e-3, rtol=1e-2)
    dirty = 0.92 + 0.05 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert paint.ground_distance(dirty, photo, even) > 1e-3
    on_grey = paint.ground_distance(torch.full_like(photo, 0.5), 0.5 * photo, even)
    assert on_grey < 1e-6  # only white must stay light


def test_the_table_begins_as_the_network_and_brushes_share_a_part() -> None:
    network = Paint(6, fine=8, width=8, full=4, blocks=1)
    torch.nn.init.normal_(network.scale)
    table = paint.StyleRows(network)
    scale, shift = table.whole()
    assert torch.equal(scale, network.scale)
    assert torch.equal(shift, network.shift)
    with torch.no_grad():
        table.preset[1] += 1
    changed = table.rows(torch.arange(6)) - torch.cat([network.scale, network.shift], 1)
    torch.testing.assert_close(changed.mean(1), torch.tensor([0.0, 0, 0, 1, 1, 1]))


def recipe(vgg: OriginalVGG19, folder: Path) -> paint.PaintRecipe:
    for k in range(4):
        Image.new("RGB", (120, 100), (200, 40 * k, 30)).save(folder / f"{k}.png")
    photos = data.pack([folder], folder / "cache", "photos", lambda p: p)
    presets = ("great-wave", "tableau")
    return paint.PaintRecipe(
        vgg, [photos], {name: artwork(k) for k, name in enumerate(presets)},
        steps=10, pixels=2 * 64**2, crops=(64,), presets=presets,
    )  # fmt: skip


def test_a_step_learns_and_the_exported_weights_are_the_averaged_ones(vgg: OriginalVGG19, tmp_path: Path) -> None:
    learning = recipe(vgg, tmp_path)
    before = learning.table.both.detach().clone()
    losses = learning.step(0)
    assert all(np.isfinite(value) for value in losses.values())
    assert not torch.equal(learning.table.both, before)
    network = from_state_dict(int8.unpack(learning.export()))
    torch.testing.assert_close(network.scale, learning.average_table.module.whole()[0])


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
def test_a_gpu_comes_to_the_weights_of_the_cpu(
    vgg: OriginalVGG19, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()

    def make() -> paint.PaintRecipe:
        made = recipe(copy.deepcopy(vgg), tmp_path / "photos")
        made.held_out = [[0] * 32 for _ in made.held_out]  # four photos are too few to show what is held out
        return made

    trains_there_as_here(make, tmp_path, monkeypatch)


def test_what_is_missing_is_one_sentence(tmp_path, capsys):
    one = tmp_path / "pictures"
    one.mkdir()
    Image.new("RGB", (64, 64), "red").save(one / "1.png")
    with tarfile.open(tmp_path / "artworks.tar", "w") as tar:
        tar.add(one / "1.png", "1.png")
    command = ["paint", "--data", str(one), "--runs", str(tmp_path / "runs")]
    assert main(command) == 2
    assert "needs catalogue photos (--packshots) and artworks (--artworks)" in capsys.readouterr().err
    assert main([*command, "--packshots", str(one), "--artworks", str(tmp_path / "artworks.tar")]) == 2
    assert "artworks.tar has no artwork for " in capsys.readouterr().err
