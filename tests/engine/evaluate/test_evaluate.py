"""The measurements of Enhance: their filters and figures by closed forms, and each of them run on a little data."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shelf import DarkOrLight, Plain, row
from torch import Tensor

from engine.evaluate import cards, deconvolution, enhance, measures, sheets
from engine.evaluate.__main__ import KNOWN
from engine.evaluate.measures import Row, Sources
from engine.evaluate.networks import auto, deblur, inpaint, matte, restore, upscale
from engine.models.matte import WORK_PX, Matte
from engine.models.restore import Restore
from engine.runtime.tiles import Tiling
from engine.train import data, degrade
from engine.train.recipes.matte import CutOuts
from engine.weights import TABLE, Network


def network(name: str, module: torch.nn.Module, task: str = "") -> Network:
    found = Network(row(name, task or name, tiling=Tiling(overlap_px=8, multiple_px=8, most_px=256)), module)
    found.to_cpu()
    return found


def texture(size_px: int = 96, seed: int = 0) -> Tensor:
    """Blocks of colour, (1, 3, S, S)."""
    blocks = torch.rand(1, 3, size_px // 8, size_px // 8, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.6 * torch.nn.functional.interpolate(blocks, scale_factor=8)


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the megapixel that each measurement times at its end."""
    for module in (deblur, inpaint, matte):
        monkeypatch.setattr(
            module,
            "time_beside",
            lambda what, ours, baseline, against: Row("this machine", what, 2.0, 1.0, against, "time ratio"),
        )
    monkeypatch.setattr(inpaint, "timed", lambda run: 0.0)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A pack of photos, of which some are held out."""
    with tarfile.open(tmp_path / "photos_a.tar", "w") as tar:
        for i in range(24):
            stream = io.BytesIO()
            Image.fromarray((texture(384, i)[0] * 255).byte().permute(1, 2, 0).numpy()).save(stream, "PNG")
            member = tarfile.TarInfo(f"p{i}.png")
            member.size = len(stream.getvalue())
            stream.seek(0)
            tar.addfile(member, stream)
    return Sources(tmp_path, tmp_path / "cache")


def decibels(a: Tensor, b: Tensor) -> float:
    return float(-10 * (a - b)[..., 14:-14, 14:-14].square().mean().log10())


# Filters


def test_every_kernel_of_the_family_keeps_the_light() -> None:
    kernels = deconvolution.family()
    assert kernels.shape == (45, degrade.BLUR_PX, degrade.BLUR_PX)
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(45), atol=1e-5)


def test_a_filter_for_no_blur_changes_nothing() -> None:
    x, none = texture(), degrade.disk_kernel(0.0)
    assert torch.allclose(deconvolution.wiener(x, none[None], 0.0), x, atol=1e-5)
    *_, last = deconvolution.richardson_lucy(x, none, 3)
    assert torch.allclose(last, x, atol=1e-5)


def comet() -> Tensor:
    """A straight shake that slows down: not its own mirror image."""
    kernel = torch.zeros(degrade.BLUR_PX, degrade.BLUR_PX)
    kernel[12, 2:23] = torch.linspace(0, 1, 21) ** 3
    return kernel / kernel.sum()


@pytest.mark.parametrize("kernel", [degrade.disk_kernel(3.0), comet()], ids=["disk", "comet"])
def test_the_true_kernel_takes_blur_off(kernel: Tensor) -> None:
    (x, sharp, true), *_ = deblur._blurred([texture(152)], lambda rng: kernel)
    *_, guess = deconvolution.richardson_lucy(x, true, 10)
    assert decibels(guess, sharp) > decibels(x, sharp) + 0.8
    assert decibels(deconvolution.wiener(x, true[None], 0.03), sharp) > decibels(x, sharp) + 0.8


def test_the_kernel_is_told_as_a_convolution_has_it() -> None:
    (x, sharp, true), *_ = deblur._blurred([texture(152)], lambda rng: comet())
    told, mirrored = (decibels(deconvolution.wiener(x, k[None], 0.03), sharp) for k in (true, true.flip(0, 1)))
    assert told > mirrored + 3


# Each measurement on a little data


@pytest.mark.usefixtures("untimed")
def test_a_network_that_does_nothing_gains_nothing(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deblur, "PICTURES", 2)
    monkeypatch.setattr(deblur, "SIDE_PX", 64)
    monkeypatch.setattr(deblur, "ITERATIONS", 2)
    monkeypatch.setattr(deconvolution, "family", lambda: degrade.disk_kernel(2.0)[None])
    rows = list(deblur.measure(network("deblur", Plain(lambda x: x)), sources))
    blurred = [r for r in rows if r.against == "the blurred photo"]
    assert len(blurred) == 5
    assert all(r.ours == r.baseline for r in blurred)
    assert {r.headline: r.ours for r in rows}["gain dB"] == 0
    assert {r.against for r in rows} >= {
        "Wiener, true kernel",
        "Richardson-Lucy, best kernel of 1",
        "unsharp masking, as without a network",
    }


@pytest.mark.usefixtures("untimed")
def test_holes_are_measured_inside_and_the_rest_is_counted(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpaint, "PICTURES", 2)
    monkeypatch.setattr(inpaint, "SIDE_PX", 128)
    rows = {
        (r.measure, r.against): r
        for r in inpaint.measure(network("inpaint", Plain(lambda x, holes: torch.full_like(x, 0.5))), sources)
    }
    in_holes = rows["PSNR in the holes (dB)", "smooth fill"]
    assert in_holes.ours == pytest.approx(
        -20 * math.log10(0.6 / math.sqrt(12)), abs=2
    )  # grey against colours spread evenly over 0.6
    assert in_holes.headline == "PSNR in holes dB"
    assert rows["values outside the holes that changed", "none"].ours == 0


def test_small_pictures_as_they_are_found_are_cleaned_before_they_are_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscale, "load", lambda name: network(name, Plain(lambda x: torch.full_like(x, 0.5))))
    rows = list(
        upscale._as_found(lambda x: torch.nn.functional.interpolate(x, scale_factor=2), [texture(), texture(seed=1)], 2)
    )
    assert [row.against for row in rows] == ["bicubic", "without restore"] * 3
    assert len({row.ours for row in rows}) == 1, "all that was found is grey once it is cleaned"
    assert all(row.baseline > row.ours for row in rows)


def test_a_gate_is_measured_by_what_its_choices_lose() -> None:
    experts = Restore([Plain(lambda x: x), Plain(lambda x: 0 * x)], DarkOrLight())
    light, dark = texture() * 0.2 + 0.7, texture() * 0.5  # the second expert, which is of no use, is for light pictures
    assert restore._by_the_gate(network("restore", experts), [dark]) == (0, 100)
    lost, right = restore._by_the_gate(network("restore", experts), [light, dark])
    assert right == 50
    assert lost > 5


def test_overlaps_are_those_of_known_masks() -> None:
    one, half, none = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    half[..., :2] = 1
    assert matte._overlaps(torch.cat([half, one, none]), torch.cat([one, one, one])).tolist() == [0.5, 1, 0]


@pytest.mark.usefixtures("untimed")
def test_a_matte_is_measured_at_the_size_of_the_app_and_at_that_of_its_training(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matte, "COMPOSITES", 2)
    cut_outs = torch.full((3, 4, 192, 192), 200, dtype=torch.uint8)
    cut_outs[:, 3] = 0
    cut_outs[:, 3, 50:150, 50:150] = 255
    monkeypatch.setattr("engine.train.recipes.matte.read_cut_outs", lambda *_, **__: CutOuts(cut_outs, [""] * 3))
    monkeypatch.setattr(data.Pictures, "split", lambda self, least_px=1: ([0], [0]))
    torch.manual_seed(0)
    rows = list(matte.measure(network("matte", Matte((8, 8, 8, 8), 1, 1), "cut-out"), sources))
    photos = "3 held-out photos on a plain background, whose own mask is true to about 2 px"
    assert [r.data for r in rows if r.headline] == [f"2 held-out composites of {WORK_PX} px"] * 2 + [
        photos,
        "this machine",
    ]
    assert all(0 <= r.ours <= 1 for r in rows if r.measure == "mean IoU")
    with Image.open(sources.cache / matte.SHEET) as sheet:
        assert sheet.width == 6 * 200, "to be looked at"


def test_light_is_halved_by_a_stop() -> None:
    white = torch.ones(1, 3, 2, 2)
    assert float(auto._exposed(white, -1).mean()) == pytest.approx(188 / 255)  # half of the light, in sRGB
    assert torch.equal(auto._exposed(white, 0), white)


def test_held_out_crops_are_held_out_and_of_one_size(sources: Sources) -> None:
    pictures = sources.photos()
    crops = measures.held_out_crops(pictures, 2, 200)
    assert [tuple(c.shape) for c in crops] == [(1, 3, 200, 200)] * 2
    first = pictures[next(i for i in range(len(pictures)) if data.is_held_out(pictures.names[i]))]
    top = (first.shape[1] - 200) // 2
    assert torch.equal(crops[0][0], first[:, top : top + 200, top : top + 200].float() / 255)


# Where the figures go


def test_headlines_go_into_the_index_with_what_stands_beside_them() -> None:
    rows = [Row("a", "PSNR", 31.25, 28.5, "bicubic", "Set5 dB"), Row("a", "SSIM", 0.9, 0.8, "bicubic")]
    assert cards.headlines(rows) == ({"Set5 dB": 31.25}, {"Set5 dB": "bicubic 28.5"})


def test_the_hub_is_measured_only_until_what_the_table_shows_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[float] = []

    def rows() -> object:
        for value in (1.0, 2.0, 3.0):
            asked.append(value)
            yield Row("d", "m", value, 0, "b", f"h{value:g}")

    assert dict(enhance._figures(rows(), {"h2": "what"})) == {"h2": 2.0}  # type: ignore[arg-type]
    assert asked == [1.0, 2.0]


def test_what_can_be_measured_are_networks_that_are_there_and_methods() -> None:
    names = {row.name for row in TABLE}
    assert {"restore", "tone", "prior", "auto", "enhance", "studio"} <= set(KNOWN)
    assert all(name in names for name in KNOWN if name not in ("prior", "auto", "enhance", "costs"))


def test_a_sheet_has_rows_for_each_network_that_is_there(tmp_path: Path) -> None:
    same = Plain(lambda x: x)
    file = sheets.write_enhance_sheet(
        [network("restore", same), network("deblur", same), network("studio", same)], tmp_path / "sheet.png"
    )
    with Image.open(file) as sheet:
        pixels = np.asarray(sheet)
    height = sheets.CELL_PX + sheets.CAPTION_PX
    assert pixels.shape == (3 * height, 4 * sheets.CELL_PX, 3)  # deblur has two
    for k in range(3):  # a network that does nothing: what stands under "ours" is what stands under "before"
        cells = pixels[k * height + sheets.CAPTION_PX : (k + 1) * height]
        assert np.array_equal(cells[:, : sheets.CELL_PX], cells[:, 2 * sheets.CELL_PX : 3 * sheets.CELL_PX])


def test_cut_outs_stand_under_their_photos(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = sheets.write_cut_outs(
        network("matte", Matte((8, 8, 8, 8), 1, 1), "cut-out"),
        [texture(64), texture(96)],
        tmp_path / "cut-outs.png",
        columns=2,
    )
    with Image.open(file) as sheet:
        assert sheet.size == (400, 400)
