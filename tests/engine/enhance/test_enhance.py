"""Enhance: steps in order, strength, sizes, masks, alpha, fallbacks; with stand-in networks of known effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from shelf import Plain, Shelf, enlarge, finish, invert, row, shelf, slowly, write_photo
from torch import Tensor

from engine import image
from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Progress, Result
from engine.contract.steps import STEPS
from engine.enhance import enhance as module
from engine.enhance.enhance import enhance
from engine.enhance.steps import inpaint
from engine.runtime.device import Device
from engine.runtime.tiles import Tiling
from engine.settings import Settings


def run(weights: Shelf, photo: str, settings: Settings | None = None, **request: Any) -> Result:
    return finish(enhance(EnhanceRequest(photo, **request), weights, Device(), settings or Settings()))  # type: ignore[arg-type]


def levels(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().to(torch.uint8)


def write_mask(file: Path, width: int = 90, height: int = 70, box: tuple[int, int, int, int] = (30, 20, 60, 50)) -> str:
    mask = Image.new("L", (width, height))
    mask.paste(255, box)
    mask.save(file)
    return str(file)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png")


def test_the_steps_run_in_their_order(photo: str) -> None:
    seen: list[str] = []

    def noting(name: str, effect: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: (seen.append(name), effect(x))[1]

    weights = shelf(restore=noting("restore", invert), upscale_x2=noting("upscale-x2", enlarge(2)))
    result = run(weights, photo, steps=("upscale-x2", "restore"))
    assert list(dict.fromkeys(seen)) == ["upscale-x2", "restore"]
    assert result.notes.networks == ("upscale-x2", "restore")
    expected = 1 - F.interpolate(image.load(photo).pixels, scale_factor=2)
    assert torch.equal(result.pictures[0].pixels, expected)


def test_the_recipe_repeats_the_request_without_its_files(photo: str) -> None:
    result = run(shelf(), photo, steps=("restore",), strength=0.25)
    assert result.recipe == EnhanceRequest("other.png", steps=("restore",), strength=0.25).recipe()
    assert result.notes.device == Device().name


@pytest.mark.parametrize(("level", "taken"), [(0, 0.1), (10.2, 0.04), (40, 0.1)])
def test_a_known_noise_level_limits_what_is_taken_off(tmp_path: Path, level: float, taken: float) -> None:
    photo = tmp_path / "grey.png"
    Image.new("RGB", (90, 70), "#808080").save(photo)
    made = (
        run(shelf(restore=lambda x: x - 0.1), str(photo), steps=("restore",), noise=level, network="embedded")
        .pictures[0]
        .pixels
    )
    assert torch.allclose(made, torch.tensor(128 / 255 - taken), atol=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_goes_from_the_photo_to_the_full_effect(photo: str, strength: float) -> None:
    before = image.load(photo).pixels
    after = run(shelf(), photo, steps=("restore",), strength=strength).pictures[0].pixels
    assert torch.allclose(after, before + strength * ((1 - before) - before), atol=1e-6)
    if strength == 0:
        assert torch.equal(after, before)


@pytest.mark.parametrize(
    ("steps", "scale"), [(("upscale-x2",), 2), (("upscale-x4",), 4), (("upscale-x2", "upscale-x4"), 8)]
)
def test_before_has_the_size_of_the_result(photo: str, steps: tuple[str, ...], scale: int) -> None:
    result = run(shelf(), photo, steps=steps)
    picture, before = result.pictures[0], result.before
    assert before is not None
    assert (picture.width, picture.height) == (before.width, before.height) == (90 * scale, 70 * scale)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (30, 1000), (7, 13)])
def test_photos_of_any_size_pass_through(tmp_path: Path, size: tuple[int, int]) -> None:
    photo = write_photo(tmp_path / "odd.png", *size)
    result = run(shelf(), photo, steps=("restore", "upscale-x2", "deblur"), network="embedded")
    assert (result.pictures[0].width, result.pictures[0].height) == (2 * size[0], 2 * size[1])


def test_a_result_too_large_to_be_held_twice_has_the_photo_as_it_is_beside_it(
    photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TWICE_PX", 90 * 70)
    before = run(shelf(), photo, steps=("upscale-x2",)).before
    assert before is not None
    assert torch.equal(before.pixels, image.load(photo).pixels)


def test_alpha_is_resized_alongside(tmp_path: Path) -> None:
    pixels = np.full((40, 60, 4), 255, np.uint8)
    pixels[:, :30, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "cut-out.png")
    result = run(shelf(), str(tmp_path / "cut-out.png"), steps=("upscale-x4",))
    alpha = result.pictures[0].alpha
    assert alpha is not None
    assert alpha.shape == (1, 1, 160, 240)
    assert alpha[..., :110].max() < 0.01
    assert alpha[..., 130:].min() > 0.99


def test_a_result_that_is_too_large_is_refused_before_any_work(photo: str) -> None:
    weights = shelf()
    with pytest.raises(
        RequestError,
        match=r"360 x 280 pixels, which is 0 megapixels; at most 0\.1 can be made, and the photo has 90 x 70",
    ):
        run(weights, photo, Settings(output_mpx=0.1), steps=("upscale-x4", "upscale-x2"))
    assert weights.asked == []


def test_the_size_is_that_of_the_upright_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (90, 70)).save(tmp_path / "turned.jpg", exif=exif)
    result = run(shelf(), str(tmp_path / "turned.jpg"), steps=("upscale-x2",))
    assert (result.pictures[0].width, result.pictures[0].height) == (140, 180)


def test_a_network_of_the_hub_that_cannot_be_had_is_replaced_and_the_note_says_why(photo: str) -> None:
    result = run(shelf(), photo, steps=("restore", "upscale-x4"), network="hub")
    assert result.notes.networks == ("restore", "upscale-x4")
    assert [
        sentence
        for sentence in result.notes.fallbacks
        if "scunet" in sentence and "restore was used instead" in sentence
    ]
    assert len(result.notes.fallbacks) == 3


def test_a_network_of_the_hub_that_is_there_answers(photo: str) -> None:
    result = run(shelf(scunet=torch.zeros_like), photo, steps=("restore",), network="scunet")
    assert result.notes.networks == ("scunet",)
    assert result.notes.fallbacks == ()
    assert result.pictures[0].pixels.max() == 0


def test_when_nothing_can_be_had_for_a_step_one_sentence_says_so(photo: str) -> None:
    with pytest.raises(RequestError, match=r"^restore could not be loaded because .*\.$"):
        run(shelf(restore=None), photo, steps=("restore",))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("auto", "nafnet-gopro could not be loaded because the Hub cannot be reached"),
        ("embedded", "No network for deblur comes with Vitrine"),
    ],
)
def test_without_a_network_deblur_is_unsharp_masking_with_a_note(photo: str, network: str, reason: str) -> None:
    from engine.models.sharpen import unsharp

    result = run(shelf(), photo, steps=("deblur",), network=network)
    assert result.notes.networks == ("unsharp masking",)
    assert result.notes.fallbacks == (f"{reason}, so the photo was sharpened by unsharp masking.",)
    assert torch.allclose(result.pictures[0].pixels, unsharp(image.load(photo).pixels), atol=1e-6)


def test_deblur_uses_the_hubs_network_where_it_can_be_had(photo: str) -> None:
    assert run(shelf(nafnet_gopro=invert), photo, steps=("deblur",)).notes.networks == ("nafnet-gopro",)


def test_inpaint_without_a_network_continues_a_gradient_and_keeps_all_other_bits(tmp_path: Path) -> None:
    ramp = np.linspace(40, 220, 90)[None, :, None] * np.ones((70, 1, 3))
    pixels = ramp.round().astype(np.uint8)
    pixels[22:48, 32:58] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    result = run(shelf(), str(tmp_path / "photo.png"), steps=("inpaint",), mask=write_mask(tmp_path / "mask.png"))
    after = levels(result.pictures[0].pixels)[0].permute(1, 2, 0).numpy()
    hole = np.zeros((70, 90), bool)
    hole[20:50, 30:60] = True
    assert np.array_equal(after[~hole], pixels[~hole])
    assert np.abs(after[hole].astype(int) - ramp[hole]).max() <= 1
    assert result.notes.networks == ("smooth fill",)


def test_inpaint_hands_the_hubs_network_photo_and_mask_and_keeps_all_other_bits(photo: str, tmp_path: Path) -> None:
    seen = []

    def paint(x: Tensor, mask: Tensor) -> Tensor:
        seen.append((x.shape[1], float(mask.sum()), set(mask.unique().tolist())))
        return torch.full_like(x, 0.5)

    rows = [(row("lama", "inpaint", hub=True, tiling=Tiling(overlap_px=8, most_px=512)), Plain(paint))]
    result = run(Shelf(*rows), photo, steps=("inpaint",), mask=write_mask(tmp_path / "mask.png"))
    before, after = image.load(photo).pixels, result.pictures[0].pixels
    hole = torch.zeros(70, 90, dtype=torch.bool)
    hole[20:50, 30:60] = True
    assert torch.equal(after[..., ~hole], before[..., ~hole])
    assert (after[..., hole] == 0.5).all()
    assert seen == [(3, 900.0, {0.0, 1.0})]


def test_a_hole_larger_than_the_network_is_filled_at_its_size(tmp_path: Path) -> None:
    sizes = []

    def paint(x: Tensor, mask: Tensor) -> Tensor:
        sizes.append(max(x.shape[-2:]))
        return torch.full_like(x, 0.5)

    photo = write_photo(tmp_path / "large.png", 500, 400)
    mask = write_mask(tmp_path / "mask.png", 500, 400, (10, 10, 490, 390))
    rows = [(row("lama", "inpaint", hub=True, tiling=Tiling(overlap_px=8, most_px=128)), Plain(paint))]
    after = run(Shelf(*rows), photo, steps=("inpaint",), mask=mask).pictures[0].pixels
    assert sizes == [128]
    assert torch.allclose(after[:, :, 10:390, 10:490], torch.tensor(0.5))
    assert torch.equal(after[:, :, :10], image.load(photo).pixels[:, :, :10])


def test_a_smooth_fill_of_a_large_hole_is_done_at_a_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inpaint, "_FILL_PX", 64)
    Image.new("RGB", (300, 200), (200, 100, 50)).save(tmp_path / "plain.png")
    mask = write_mask(tmp_path / "mask.png", 300, 200, (50, 50, 250, 150))
    after = run(shelf(), str(tmp_path / "plain.png"), steps=("inpaint",), mask=mask).pictures[0].pixels
    assert torch.equal(levels(after)[0, :, 100, 150], torch.tensor([200, 100, 50], dtype=torch.uint8))


def test_the_mask_follows_a_photo_that_was_enlarged_before(tmp_path: Path, photo: str) -> None:
    result = run(shelf(), photo, steps=("upscale-x2", "inpaint"), mask=write_mask(tmp_path / "mask.png"))
    large = F.interpolate(image.load(photo).pixels, scale_factor=2)
    changed = (result.pictures[0].pixels != large).any(1)[0]
    assert changed[40:100, 60:120].float().mean() > 0.9
    changed[40:100, 60:120] = False
    assert not changed.any()


def test_a_mask_of_another_size_is_one_sentence(tmp_path: Path, photo: str) -> None:
    with pytest.raises(
        RequestError, match=r"^The mask has 91 x 70 pixels and the photo 90 x 70; they must be of one size\.$"
    ):
        run(shelf(), photo, steps=("inpaint",), mask=write_mask(tmp_path / "mask.png", 91, 70))


def test_a_smaller_mask_of_the_photos_shape_is_enlarged(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", 180, 140)
    after = run(shelf(), photo, steps=("inpaint",), mask=write_mask(tmp_path / "mask.png")).pictures[0].pixels
    changed = (after != image.load(photo).pixels).any(1)[0]
    assert changed[42:98, 62:118].float().mean() > 0.9
    changed[38:102, 58:122] = False
    assert not changed.any()


def test_a_mask_without_white_is_one_sentence(tmp_path: Path, photo: str) -> None:
    with pytest.raises(RequestError, match="no white"):
        run(shelf(), photo, steps=("inpaint",), mask=write_mask(tmp_path / "mask.png", box=(0, 0, 0, 0)))


def test_what_is_transparent_in_a_mask_is_not_filled(tmp_path: Path, photo: str) -> None:
    mask = Image.new("RGBA", (90, 70), (255, 255, 255, 0))
    mask.paste((255, 255, 255, 255), (30, 20, 60, 50))
    mask.save(tmp_path / "mask.png")
    after = run(shelf(), photo, steps=("inpaint",), mask=str(tmp_path / "mask.png")).pictures[0].pixels
    assert torch.equal(after[:, :, :20], image.load(photo).pixels[:, :, :20])


def test_a_mask_that_covers_everything_is_one_sentence(tmp_path: Path, photo: str) -> None:
    with pytest.raises(RequestError, match="white all over"):
        run(shelf(), photo, steps=("inpaint",), mask=write_mask(tmp_path / "mask.png", box=(0, 0, 90, 70)))


def test_a_part_that_lies_in_a_hole_is_one_sentence(tmp_path: Path, photo: str) -> None:
    mask = write_mask(tmp_path / "mask.png", box=(0, 0, 60, 70))
    with pytest.raises(RequestError, match="All of this part is to be filled"):
        run(shelf(), photo, steps=("inpaint",), mask=mask, crop=(0, 0, 50, 40))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_files_that_are_no_pictures_are_one_sentence(tmp_path: Path, photo: str, content: bytes) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    for files in ({"photo": str(bad)}, {"photo": photo, "mask": str(bad), "steps": ("inpaint",)}):
        with pytest.raises(RequestError, match=r"\.$"):
            run(shelf(), **files)


def test_progress_grows_names_what_happens_and_ends_at_the_total(photo: str) -> None:
    request = EnhanceRequest(photo, steps=("restore", "upscale-x4"))
    heard = [e for e in enhance(request, shelf(), Device(), Settings()) if isinstance(e, Progress) and e.total]  # type: ignore[arg-type]
    assert [e.done for e in heard] == sorted(e.done for e in heard)
    assert heard[-1].done == heard[-1].total == 200
    assert "Cleaning with restore: 1 of 4" in [e.message for e in heard]


def test_a_long_step_shows_small_previews_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("engine.runtime.preview.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def quarter_of_a_second(x: Tensor) -> Tensor:
        clock[0] += 0.25
        return torch.ones_like(x)

    request = EnhanceRequest(write_photo(tmp_path / "large.png", 1000, 500), steps=("restore",))
    heard = [
        e for e in enhance(request, shelf(restore=quarter_of_a_second), Device(), Settings()) if isinstance(e, Progress)
    ]  # type: ignore[arg-type]
    previews = [e.preview for e in heard if e.preview]
    assert len(previews) == len([e for e in heard if " of " in e.message]) // 4
    assert {(p.width, p.height) for p in previews} == {(768, 384)}
    shown = [float(p.pixels.mean()) for p in previews]
    assert shown == sorted(shown)  # more and more of the (white) result
    assert shown[0] < 0.6 < 0.95 < shown[-1]


def test_closing_frees_the_device_within_one_tile(tmp_path: Path, photo: str) -> None:
    tile_s = 0.2
    device, large = Device(), write_photo(tmp_path / "large.png", 600, 600)
    slow, quick = shelf(restore=slowly(tile_s)), shelf()
    events = enhance(EnhanceRequest(large, steps=("restore",)), slow, device, Settings())  # type: ignore[arg-type]
    while not (isinstance(event := next(events), Progress) and ": 2 of" in event.message):
        pass
    events.close()  # type: ignore[attr-defined]
    asked = time.monotonic()
    result = finish(enhance(EnhanceRequest(photo, steps=("restore",)), quick, device, Settings()))  # type: ignore[arg-type]
    assert result.notes.networks == ("restore",)
    assert time.monotonic() - asked < 12  # the rest of the large photo would have taken more than 20 s


def test_the_same_request_gives_the_same_pixels(photo: str) -> None:
    request = {"steps": ("restore", "deblur", "upscale-x2"), "strength": 0.7}
    first, second = (run(shelf(), photo, **request).pictures[0].pixels for _ in range(2))
    assert torch.equal(first, second)


def test_a_network_too_large_for_the_gpu_runs_on_the_cpu_and_the_note_says_so(photo: str) -> None:
    restore = shelf().table[0]
    moved = []

    class OnGpu:
        """A network on a GPU whose memory is always full."""

        weight = restore
        module = torch.nn.Identity()
        device = torch.device("cuda")

        def __call__(self, x: Tensor) -> Tensor:
            if not moved:
                raise RuntimeError("CUDA out of memory.")
            return 1 - x

        def for_photo(self, photo: Tensor) -> Any:
            return self, 1

        def come_back(self) -> None:
            """It has not fled yet."""

        def to_cpu(self) -> None:
            moved.append(True)
            self.device = torch.device("cpu")

    chain = (module._Answer(STEPS["restore"], OnGpu()),)  # type: ignore[arg-type]
    work = module._ChainRun(EnhanceRequest(photo, steps=("restore",)), chain, Device(), Settings(), lambda: None)
    result = finish(work.events())  # type: ignore[arg-type]
    assert "so it ran on the CPU" in result.notes.fallbacks[0]
    assert result.notes.device == "CPU"
    assert torch.equal(result.pictures[0].pixels, 1 - image.load(photo).pixels)
