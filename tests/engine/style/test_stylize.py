"""Style: sizes, strength, alpha, presets and style pictures, fallbacks, recipes, stopping; with tiny networks."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from shelf import Shelf, finish, row, write_photo
from torch import nn

from engine import image
from engine.contract.errors import RequestError
from engine.contract.events import Progress, Result
from engine.contract.recipe import from_recipe
from engine.contract.style import StyleRequest
from engine.models import faststyle, features, gatys, vgg
from engine.models.gatys import BACKBONES
from engine.runtime.device import Device
from engine.runtime.tiles import Tiling
from engine.settings import Settings
from engine.style import presets
from engine.style.stylize import stylize
from engine.weights import Weight


def tiny_features() -> features.Features:
    torch.manual_seed(0)
    return features.Features()  # of the shipped widths, since presets fit no other


def tiny_vgg() -> vgg.VGG19:
    torch.manual_seed(0)
    return vgg.VGG19((4, 4, 4, 4, 4))


def shelf(*, hub: nn.Module | None = None, embedded: nn.Module | None = None) -> Shelf:
    return Shelf((row("features", "features"), embedded or tiny_features()), (row("vgg19", "features", hub=True), hub))


class OnGpu(Device):
    """A device that says it is a GPU."""

    @property
    def is_cuda(self) -> bool:
        return True


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png")


@pytest.fixture
def artwork(tmp_path: Path) -> str:
    return write_photo(tmp_path / "artwork.png", 80, 96, seed=7)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With the statistics of one preset, measured by the tiny network on noise."""
    folder = tmp_path / "weights"
    folder.mkdir()
    network = tiny_features()
    style = gatys.measure(
        network, BACKBONES["features"], torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    )
    save_file(
        presets.pack("starry-night", style), folder / presets.FILE, metadata={"network": presets.fingerprint(network)}
    )
    return Settings(weights=folder)


def run(
    weights: Shelf,
    photo: str,
    style: str,
    settings: Settings | None = None,
    device: Device | None = None,
    **request: Any,
) -> Result:
    asked = StyleRequest(photo, style=style, **({"method": "gatys", "size_px": 64, "steps": 2} | request))
    return finish(stylize(asked, weights, device or Device(), settings or Settings()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "height", "size_px", "expected"),
    [(90, 70, 64, (64, 50)), (90, 70, 128, (128, 100)), (20, 60, 64, (21, 64))],
)
def test_the_longer_side_is_what_was_asked_for(
    tmp_path: Path, artwork: str, width: int, height: int, size_px: int, expected: tuple[int, int]
) -> None:
    result = run(shelf(), write_photo(tmp_path / "p.png", width, height), artwork, size_px=size_px)
    picture, before = result.pictures[0], result.before
    assert (picture.width, picture.height) == expected
    assert before is not None
    assert (before.width, before.height) == expected


def test_a_small_photo_is_enlarged_and_the_notes_say_so(tmp_path: Path, artwork: str) -> None:
    small = write_photo(tmp_path / "p.png", 30, 20)
    assert run(shelf(), small, artwork).notes.remarks == ("The photo was enlarged from 30 to 64 pixels.",)
    large = write_photo(tmp_path / "p.png", 90, 20)
    assert run(shelf(), large, artwork).notes.remarks == ()


@pytest.mark.parametrize("strength", [0.0, 0.25])
def test_strength_goes_from_the_photo_to_the_full_effect(photo: str, artwork: str, strength: float) -> None:
    full = run(shelf(), photo, artwork).pictures[0].pixels
    part = run(shelf(), photo, artwork, strength=strength)
    assert part.before is not None
    before = part.before.pixels
    assert torch.allclose(part.pictures[0].pixels, before + strength * (full - before), atol=1e-6)
    if strength == 0:
        assert torch.equal(part.pictures[0].pixels, before)


def test_the_alpha_is_put_back(tmp_path: Path, artwork: str) -> None:
    photo = write_photo(tmp_path / "p.png", 64, 48, mode="RGBA")
    result = run(shelf(), photo, artwork).pictures[0]
    known = image.load(photo)
    assert result.alpha is not None
    assert known.alpha is not None
    assert torch.equal(result.alpha, known.alpha)


def test_what_lies_under_transparency_has_no_influence(tmp_path: Path, artwork: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    pixels[:, :32, 3], pixels[:, 32:, 3] = 0, 255
    results = []
    for hidden in (0, 200):
        pixels[:, :32, :3] = hidden
        Image.fromarray(pixels, "RGBA").save(tmp_path / "p.png")
        results.append(run(shelf(), str(tmp_path / "p.png"), artwork).pictures[0].pixels)
    assert torch.equal(*results)


def test_the_same_request_gives_the_same_pixels(photo: str, artwork: str) -> None:
    first, again, other = (run(shelf(), photo, artwork, seed=seed).pictures[0].pixels for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_preset_gives_what_its_artwork_gives(tmp_path: Path, photo: str, artwork: str) -> None:
    network = tiny_features()
    style = gatys.measure(network, BACKBONES["features"], image.load(artwork).pixels)
    save_file(presets.pack("starry-night", style), tmp_path / presets.FILE)
    by_preset = run(shelf(), photo, "starry-night", Settings(weights=tmp_path)).pictures[0].pixels
    by_picture = run(shelf(), photo, artwork).pictures[0].pixels
    assert float((by_preset - by_picture).abs().mean()) < 0.01


def test_the_recipe_of_a_preset_is_the_request(photo: str, settings: Settings) -> None:
    result = run(shelf(), photo, "starry-night", settings, strength=0.5)
    assert (
        result.recipe
        == StyleRequest("other.png", style="starry-night", method="gatys", size_px=64, steps=2, strength=0.5).recipe()
    )


def test_a_recipe_names_a_style_picture_by_its_contents(photo: str, artwork: str) -> None:
    recipe = run(shelf(), photo, artwork).recipe
    assert recipe["style"] == "upload:" + hashlib.sha256(Path(artwork).read_bytes()).hexdigest()[:12]
    assert not any(str(Path(artwork).parent) in str(value) for value in recipe.values())


def test_a_recipe_with_a_style_picture_asks_for_it(photo: str, artwork: str) -> None:
    recipe = run(shelf(), photo, artwork).recipe
    with pytest.raises(RequestError, match=r"^This recipe was made with a style picture of its own; .*\.$"):
        list(stylize(from_recipe(recipe, photo=photo), shelf(), Device(), Settings()))  # type: ignore[arg-type]
    again = finish(stylize(from_recipe(recipe, photo=photo, style=artwork), shelf(), Device(), Settings()))  # type: ignore[arg-type]
    assert again.recipe == recipe


def test_a_style_that_is_neither_preset_nor_file_names_the_presets(photo: str) -> None:
    with pytest.raises(
        RequestError, match=r"^There is no style 'stary-night'; give a picture file, or one of great-wave, .*\.$"
    ):
        run(shelf(), photo, "stary-night")


@pytest.mark.parametrize(
    ("mode", "size", "colour"),
    [
        ("RGB", (1, 1), (200, 30, 30)),
        ("RGB", (64, 64), (255, 255, 255)),
        ("L", (100, 2), 128),
        ("RGBA", (40, 40), (10, 200, 10, 0)),
    ],
)
def test_a_style_of_one_colour_is_one_sentence(
    tmp_path: Path, photo: str, mode: str, size: tuple[int, int], colour: Any
) -> None:
    Image.new(mode, size, colour).save(tmp_path / "style.png")
    with pytest.raises(
        RequestError, match=r"^The style picture has only one colour; choose one with strokes or a pattern\.$"
    ):
        run(shelf(), photo, str(tmp_path / "style.png"))


@pytest.mark.parametrize(
    ("width", "height", "mode"), [(2, 2, "RGB"), (3, 90, "RGB"), (50, 50, "L"), (60, 40, "RGBA"), (1500, 20, "RGB")]
)
def test_an_odd_style_picture_gives_a_finite_picture(
    tmp_path: Path, photo: str, width: int, height: int, mode: str
) -> None:
    style = write_photo(tmp_path / "style.png", width, height, seed=3, mode=mode)
    pixels = run(shelf(), photo, style).pictures[0].pixels
    assert torch.isfinite(pixels).all()
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1


@pytest.mark.parametrize(("width", "height", "mode"), [(1, 1, "RGB"), (2, 150, "RGB"), (40, 40, "RGBA"), (30, 30, "L")])
def test_an_odd_photo_gives_a_finite_picture(tmp_path: Path, artwork: str, width: int, height: int, mode: str) -> None:
    photo = write_photo(tmp_path / "p.png", width, height, mode=mode)
    assert torch.isfinite(run(shelf(), photo, artwork).pictures[0].pixels).all()


def test_a_file_that_is_no_picture_is_refused_before_a_network_is_fetched(tmp_path: Path, photo: str) -> None:
    (tmp_path / "style.jpg").write_text("not a picture")
    weights = shelf()
    with pytest.raises(RequestError):
        run(weights, photo, str(tmp_path / "style.jpg"))
    with pytest.raises(RequestError):
        run(weights, str(tmp_path / "style.jpg"), photo)
    assert weights.asked == []


@pytest.mark.parametrize(
    ("network", "on_gpu", "asked"),
    [
        ("auto", False, ["features"]),
        ("auto", True, ["vgg19"]),
        ("embedded", True, ["features"]),
        ("hub", False, ["vgg19"]),
        ("vgg19", False, ["vgg19"]),
        ("features", True, ["features"]),
    ],
)
def test_the_network_is_the_one_that_was_wished_for(
    photo: str, artwork: str, network: str, on_gpu: bool, asked: list[str]
) -> None:
    weights = shelf(hub=tiny_vgg())
    result = run(weights, photo, artwork, device=OnGpu() if on_gpu else Device(), network=network)
    assert weights.asked == asked
    assert result.notes.networks == tuple(asked)
    assert result.notes.fallbacks == ()


def test_without_the_hub_the_embedded_network_answers_and_says_why(photo: str, artwork: str) -> None:
    result = run(shelf(hub=None), photo, artwork, network="vgg19")
    assert result.notes.networks == ("features",)
    assert result.notes.fallbacks == (
        "vgg19 could not be loaded because the Hub cannot be reached, so features was used instead.",
    )


def test_a_preset_is_painted_by_the_network_it_was_made_for(photo: str, settings: Settings) -> None:
    weights = shelf(hub=tiny_vgg())
    assert run(weights, photo, "starry-night", settings, OnGpu()).notes.fallbacks == ()
    assert run(weights, photo, "starry-night", settings, network="vgg19").notes.fallbacks == (
        "The presets are made for features, so it was used instead of vgg19.",
    )
    assert weights.asked == ["features", "features"]


def test_a_network_that_serves_something_else_is_one_sentence(photo: str, artwork: str) -> None:
    with pytest.raises(
        RequestError,
        match=r"^There is no network 'restore' for styles; choose auto, embedded, hub, features or vgg19\.$",
    ):
        run(shelf(), photo, artwork, network="restore")


def test_the_first_step_brings_a_preview_at_the_size_of_the_result(photo: str, artwork: str) -> None:
    events = list(
        stylize(StyleRequest(photo, style=artwork, method="gatys", size_px=200, steps=2), shelf(), Device(), Settings())
    )  # type: ignore[arg-type]
    steps = [e for e in events if isinstance(e, Progress) and e.total]
    assert [(e.done, e.total) for e in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert steps[0].preview is not None
    assert (steps[0].preview.width, steps[0].preview.height) == (200, 156)
    assert steps[0].message == "Painting with features: step 1 of 4"


def test_a_preview_comes_every_second(photo: str, artwork: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("engine.style.stylize.time.monotonic", lambda: clock[0])
    shown = []
    for event in stylize(
        StyleRequest(photo, style=artwork, method="gatys", size_px=64, steps=20), shelf(), Device(), Settings()
    ):  # type: ignore[arg-type]
        clock[0] += 0.25
        if isinstance(event, Progress) and event.preview is not None:
            shown.append(event.done)
    assert shown == [1, 5, 9, 13, 17]


def test_closing_stops_within_one_step_and_frees_the_device(photo: str, artwork: str) -> None:
    looks = []

    class Counting(features.Features):
        def forward(self, x: torch.Tensor, depth: int = 5) -> list[torch.Tensor]:
            looks.append(time.monotonic())
            return super().forward(x, depth)

    device, weights = Device(), shelf(embedded=Counting())
    work = stylize(
        StyleRequest(photo, style=artwork, method="gatys", size_px=64, steps=1000), weights, device, Settings()
    )  # type: ignore[arg-type]
    while not (isinstance(event := next(work), Progress) and event.done == 3):
        pass
    seen = len(looks)
    work.close()  # type: ignore[attr-defined]
    assert len(looks) == seen
    assert run(weights, photo, artwork, device=device).pictures


def test_an_uneven_thread_of_control_changes_nothing(photo: str, artwork: str) -> None:
    """A page resumes a generator from several threads."""
    from concurrent.futures import ThreadPoolExecutor

    work = stylize(
        StyleRequest(photo, style=artwork, method="gatys", size_px=64, steps=3), shelf(), Device(), Settings()
    )  # type: ignore[arg-type]
    last: Any = None
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for turn in range(1000):
            if (event := (one, other)[turn % 2].submit(next, work, None).result()) is None:
                break
            last = event
    assert isinstance(last, Result)
    assert torch.equal(last.pictures[0].pixels, run(shelf(), photo, artwork, steps=3).pictures[0].pixels)


# One pass, colours, masks: what is common to all methods is tested with the quickest.


def tiny_fast() -> faststyle.FastStyle:
    """A painter that changes something: the shipped shape, narrow, its last convolution not at zero."""
    torch.manual_seed(0)
    network = faststyle.FastStyle(fine=4, width=8)
    torch.nn.init.normal_(network.tail.weight, std=0.2)
    return network


FAST_TILING = Tiling(overlap_px=40, multiple_px=4, bytes_per_px=400, most_px=256)


def fast_shelf(painter: nn.Module | None = None, *more: tuple[Weight, nn.Module]) -> Shelf:
    return Shelf(
        (row("features", "features"), tiny_features()),
        (row("faststyle", "style", tiling=FAST_TILING), painter or tiny_fast()),
        (row("johnson-mosaic", "style", hub=True), None),
        *more,
    )


def quick(
    photo: str, style: str, settings: Settings | None = None, weights: Shelf | None = None, **request: Any
) -> Result:
    asked = StyleRequest(photo, style=style, **({"size_px": 96} | request))
    return finish(stylize(asked, weights or fast_shelf(), Device(), settings or Settings()))  # type: ignore[arg-type]


def half_white(file: Path, width: int, height: int) -> str:
    """A mask whose left half is white."""
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[:, : width // 2] = 255
    Image.fromarray(pixels).save(file)
    return str(file)


def test_one_pass_repaints_and_says_how_much(photo: str, artwork: str) -> None:
    result = quick(photo, artwork)
    assert result.notes.networks == ("faststyle", "features")
    assert result.before is not None
    assert not torch.equal(result.pictures[0].pixels, result.before.pixels)
    assert result.notes.measures["mean ΔE"] > 0
    assert 0 <= result.notes.measures["SSIM"] < 1


def test_a_preset_in_one_pass_needs_no_backbone(photo: str, settings: Settings) -> None:
    weights = fast_shelf()
    assert quick(photo, "starry-night", settings, weights).notes.networks == ("faststyle",)
    assert weights.asked == ["faststyle"]


def test_the_seed_varies_one_pass_and_repeats_it(photo: str, artwork: str) -> None:
    first, again, other = (quick(photo, artwork, seed=seed).pictures[0].pixels for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_photo_in_tiles_is_the_photo_whole(tmp_path: Path, artwork: str) -> None:
    photo = write_photo(tmp_path / "p.png", 500, 330)
    whole = quick(photo, artwork, Settings(tile_memory=10**9), size_px=500)
    tiled = quick(photo, artwork, Settings(tile_memory=400 * 180 * 180), size_px=500)
    difference = (whole.pictures[0].pixels - tiled.pictures[0].pixels).abs()
    assert float(difference.mean()) < 1 / 255
    assert float(difference.max()) < 8 / 255


def test_what_is_protected_stays_pixel_for_pixel(tmp_path: Path, artwork: str) -> None:
    photo = write_photo(tmp_path / "p.png", 96, 64)
    result = quick(photo, artwork, protect=half_white(tmp_path / "mask.png", 96, 64), feather_px=5)
    assert result.before is not None
    after, before = result.pictures[0].pixels, result.before.pixels
    assert torch.equal(after[..., :48], before[..., :48])
    assert not torch.equal(after[..., 64:], before[..., 64:])


@pytest.mark.parametrize(
    ("part", "kept", "changed"), [("background", slice(0, 44), slice(52, 96)), ("product", slice(52, 96), slice(0, 44))]
)
def test_the_style_goes_where_it_was_asked_for(
    tmp_path: Path, artwork: str, part: str, kept: slice, changed: slice
) -> None:
    photo = write_photo(tmp_path / "p.png", 96, 64)
    result = quick(photo, artwork, apply_to=part, mask=half_white(tmp_path / "mask.png", 96, 64), feather_px=0)
    assert result.before is not None
    after, before = result.pictures[0].pixels, result.before.pixels
    assert torch.equal(after[..., kept], before[..., kept])
    assert float((after[..., changed] - before[..., changed]).abs().mean()) > 0.01
    assert "mean ΔE product" in result.notes.measures


class Night(nn.Module):
    """Paints everything black."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, *told: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


@pytest.fixture
def disc(tmp_path: Path) -> str:
    """A red disc on white, smooth at its edge."""
    large = Image.new("RGB", (1280, 1280), "white")
    ImageDraw.Draw(large).ellipse((330, 330, 950, 950), fill=(180, 40, 40))
    large.resize((320, 320), Image.Resampling.BOX).save(tmp_path / "disc.png")
    return str(tmp_path / "disc.png")


def test_no_rim_of_the_old_ground_shines_around_a_product_on_a_new_one(disc: str, artwork: str) -> None:
    result = quick(disc, artwork, weights=fast_shelf(Night()), size_px=320, apply_to="background")
    assert result.before is not None
    after, before = result.pictures[0].pixels, result.before.pixels
    assert torch.equal(after[..., 120:200, 120:200], before[..., 120:200, 120:200])
    assert float(after[:, 1:].max()) < 70 / 255  # white would be 255
    assert float(after[..., :60, :].max()) == 0


def test_the_ground_of_a_repainted_product_stays_clean(disc: str, artwork: str) -> None:
    result = quick(disc, artwork, weights=fast_shelf(Night()), size_px=320, apply_to="product")
    assert result.before is not None
    after, before = result.pictures[0].pixels, result.before.pixels
    at = torch.arange(320) + 0.5 - 160
    outside = (at[:, None].square() + at.square()).sqrt() > 80
    assert float((after - before).abs()[..., outside].max()) < 0.1
    assert float(after[..., 120:200, 120:200].max()) == 0


@pytest.mark.parametrize("part", ["background", "product"])
def test_a_feather_softens_the_edge(disc: str, artwork: str, part: str) -> None:
    hard, soft = (
        quick(disc, artwork, weights=fast_shelf(Night()), size_px=320, apply_to=part, feather_px=f).pictures[0].pixels
        for f in (0, 20)
    )
    assert float((soft - hard).abs().max()) > 0.2
    middle = (slice(None), slice(None), slice(150, 170), slice(150, 170))
    assert torch.allclose(soft[middle], hard[middle], atol=1e-3)


def test_an_empty_and_a_full_mask_are_taken_at_their_word(tmp_path: Path, artwork: str) -> None:
    photo = write_photo(tmp_path / "p.png", 96, 64)
    for level, same in ((0, True), (255, False)):
        Image.new("L", (96, 64), level).save(tmp_path / "mask.png")
        result = quick(photo, artwork, apply_to="product", mask=str(tmp_path / "mask.png"))
        assert result.before is not None
        assert torch.equal(result.pictures[0].pixels, result.before.pixels) is same
        assert ("Nothing was repainted: the mask leaves no product." in result.notes.remarks) is same


def test_a_mask_of_another_shape_is_one_sentence(tmp_path: Path, artwork: str) -> None:
    photo = write_photo(tmp_path / "p.png", 96, 64)
    with pytest.raises(RequestError, match=r"^The mask has 64 x 96 pixels, which is not the shape of the photo\.$"):
        quick(photo, artwork, mask=half_white(tmp_path / "mask.png", 64, 96))


def test_a_product_that_cannot_be_found_is_said(photo: str, artwork: str) -> None:
    remarks = quick(photo, artwork, apply_to="product").notes.remarks
    assert (
        "The product could not be told from its background, so everything was repainted; give a mask of it." in remarks
    )


def test_the_product_is_found_on_a_plain_background(tmp_path: Path, artwork: str) -> None:
    pixels = np.full((128, 128, 3), 240, dtype=np.uint8)
    pixels[40:90, 40:90] = (180, 30, 40)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    result = quick(str(tmp_path / "p.png"), artwork, size_px=128, apply_to="background")
    assert result.before is not None
    assert torch.equal(result.pictures[0].pixels[..., 50:80, 50:80], result.before.pixels[..., 50:80, 50:80])


def test_four_styles_mix_and_five_do_not(tmp_path: Path, photo: str) -> None:
    art = [write_photo(tmp_path / f"a{k}.png", 70, 70, seed=k) for k in range(5)]
    alone = quick(photo, art[0]).pictures[0].pixels
    weighed = quick(photo, art[0], more_styles=tuple(art[1:4]), style_weights=(1, 0, 0, 0)).pictures[0].pixels
    assert torch.allclose(alone, weighed, atol=1e-4)
    assert not torch.allclose(alone, quick(photo, art[0], more_styles=tuple(art[1:4])).pictures[0].pixels, atol=1e-2)
    with pytest.raises(RequestError, match=r"^At most 4 styles can be mixed, not 5\.$"):
        StyleRequest(photo, style=art[0], more_styles=tuple(art[1:]))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ((0, 0), "At least one style needs a weight above 0."),
        ((1,), "There are 1 style weights for 2 styles."),
        ((1, float("nan")), "Style weights must be a number from 0 to 100, not nan."),
    ],
)
def test_weights_that_make_no_mixture_are_one_sentence(weights: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(RequestError) as error:
        StyleRequest("p.png", style="starry-night", more_styles=("great-wave",), style_weights=weights)
    assert str(error.value) == sentence


@pytest.mark.parametrize("method", ["reinhard", "monge-kantorovich", "sliced-transport"])
def test_colours_move_without_a_network_at_the_photos_own_size(
    tmp_path: Path, artwork: str, settings: Settings, method: str
) -> None:
    photo = write_photo(tmp_path / "p.png", 90, 70)
    weights = fast_shelf()
    for style in (artwork, "starry-night"):
        result = quick(photo, style, settings, weights, method=method, size_px=0)
        assert torch.equal(
            result.pictures[0].pixels,
            quick(photo, style, settings, weights, method=method, size_px=0).pictures[0].pixels,
        )
        assert (result.pictures[0].width, result.pictures[0].height) == (90, 70)
        assert result.notes.networks == (method,)
    assert weights.asked == []


def test_the_photos_colours_can_be_kept(tmp_path: Path, artwork: str) -> None:
    Image.new("RGB", (96, 96), (200, 60, 60)).save(tmp_path / "p.png")
    painted = quick(str(tmp_path / "p.png"), artwork, colours="photo").pictures[0].pixels
    red, green, blue = painted.mean((0, 2, 3)).tolist()
    assert red > green + 0.1
    assert abs(green - blue) < 0.1


@pytest.mark.parametrize("colours", ["photo", "matched"])
def test_in_the_photo_s_colours_a_light_photo_stays_light(tmp_path: Path, settings: Settings, colours: str) -> None:
    pixels = np.full((96, 96, 3), 250, dtype=np.uint8)
    pixels[30:66, 30:66] = (180, 40, 40)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 60, (80, 80, 3), dtype=np.uint8)).save(tmp_path / "dark.png")
    for style in (str(tmp_path / "dark.png"), "starry-night"):
        result = quick(
            str(tmp_path / "p.png"), style, settings, fast_shelf(faststyle.FastStyle(fine=4, width=8)), colours=colours
        )
        assert float(result.pictures[0].pixels[..., :20, :].mean()) > 0.9


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            {},
            (
                "The product itself was changed a lot: lower the strength, keep the photo's colours, or repaint the"
                " background only."
            ),
        ),
        (
            {"apply_to": "product"},
            "The product itself was changed a lot: lower the strength or keep the photo's colours.",
        ),
    ],
)
def test_a_product_that_was_changed_a_lot_is_said_with_what_helps(
    tmp_path: Path, settings: Settings, request_: dict[str, Any], sentence: str
) -> None:
    pixels = np.full((128, 128, 3), 240, dtype=np.uint8)
    pixels[40:90, 40:90] = (250, 220, 40)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    assert sentence in quick(str(tmp_path / "p.png"), "starry-night", settings, size_px=128, **request_).notes.remarks


def test_what_is_opaque_is_the_product_of_a_transparent_photo(tmp_path: Path, artwork: str) -> None:
    pixels = np.full((96, 96, 4), 255, dtype=np.uint8)
    pixels[:, :48, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "p.png")
    result = quick(str(tmp_path / "p.png"), artwork, apply_to="background")
    assert result.before is not None
    assert torch.equal(result.pictures[0].pixels[..., 52:], result.before.pixels[..., 52:])
    assert "mean ΔE product" in result.notes.measures


def test_a_product_on_a_busy_ground_is_found_by_a_network_that_comes_with_vitrine(photo: str, artwork: str) -> None:
    class LeftHalf(nn.Module):
        """The left half, with the logits of a matte."""

        def __init__(self) -> None:
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            at = torch.arange(x.shape[3]).expand(1, 1, *x.shape[2:])
            return torch.where(at < 48, 9.0, -9.0)

    weights = fast_shelf(None, (row("matte", "cut-out"), LeftHalf()))
    asked = StyleRequest(photo, style=artwork, size_px=96, apply_to="product")
    result = finish(stylize(asked, weights, Device(), Settings()))  # type: ignore[arg-type]
    assert result.before is not None
    assert torch.equal(result.pictures[0].pixels[..., 60:], result.before.pixels[..., 60:])
    assert not torch.equal(result.pictures[0].pixels[..., :40], result.before.pixels[..., :40])
    assert "The product could not be told" not in " ".join(result.notes.remarks)


def test_johnson_without_the_hub_paints_with_a_preset_and_says_so(photo: str, settings: Settings) -> None:
    with pytest.raises(
        RequestError, match=r"^The method johnson has the styles mosaic, candy, udnie, pointilism, one at a time\.$"
    ):
        quick(photo, "starry-night", settings, method="johnson")
    everything = Settings()
    result = quick(photo, "mosaic", everything, method="johnson")
    assert result.notes.networks == ("faststyle",)
    assert result.notes.fallbacks == (
        (
            "johnson-mosaic could not be loaded because the Hub cannot be reached, so the method fast painted with the"
            " preset composition-vii instead."
        ),
    )


@pytest.mark.parametrize("brush", [0.5, 2.0])
def test_a_brush_of_another_size_gives_a_picture_of_the_same_size(photo: str, artwork: str, brush: float) -> None:
    picture = quick(photo, artwork, brush=brush).pictures[0]
    assert (picture.width, picture.height) == (96, 75)
    assert torch.isfinite(picture.pixels).all()


@pytest.mark.parametrize(
    ("method", "side", "expected"), [("fast", 90, 90), ("fast", 1300, 1024), ("reinhard", 1300, 1300), ("fast", 20, 64)]
)
def test_without_a_size_nothing_is_enlarged_and_the_method_has_its_limit(
    tmp_path: Path, artwork: str, method: str, side: int, expected: int
) -> None:
    photo = write_photo(tmp_path / "p.png", side, 40)
    picture = quick(photo, artwork, method=method, size_px=0).pictures[0]
    assert max(picture.width, picture.height) == expected


def test_gatys_begins_where_one_pass_ends_and_has_one_scale_to_go(photo: str, artwork: str) -> None:
    asked = StyleRequest(photo, style=artwork, method="gatys", start="fast", size_px=400, steps=2)
    heard = list(stylize(asked, fast_shelf(), Device(), Settings()))  # type: ignore[arg-type]
    assert [e.total for e in heard if isinstance(e, Progress) and "features: step" in e.message] == [
        2,
        2,
    ]  # of 3 scales, 1
    assert heard[-1].notes.networks == ("faststyle", "features")  # type: ignore[union-attr]


def test_the_method_gatys_is_told_each_setting_by_its_own_name(
    photo: str, artwork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    paint = gatys.paint

    def spied(*networks: Any, **settings: Any) -> Any:
        told.update(settings)
        return paint(*networks, **settings)

    monkeypatch.setattr(gatys, "paint", spied)
    wanted = {"content_weight": 2.5, "style_weight": 3.5, "steps": 1, "seed": 9, "optimizer": "lbfgs"}
    run(shelf(), photo, artwork, style_loss="gram", **wanted)
    assert {name: told[name] for name in wanted} == wanted
    assert told["style_loss"] == "gram"
