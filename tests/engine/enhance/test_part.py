"""A chain on a part of a photo shows what the same chain makes of the whole one there: its light, its product, its
background.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chains import everything, product_photo, run
from PIL import Image
from shelf import DarkOrLight, Plain, Shelf, invert, row, shelf, write_photo

from engine import image
from engine.contract.errors import RequestError
from engine.contract.events import Result
from engine.models.restore import Restore
from engine.product import looked_for
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import Settings
from engine.weights import Weights

BOX = (120, 60, 60, 72)  # the right half of the disc of `product_photo`, and background beside it


@pytest.fixture
def product(tmp_path: Path) -> str:
    return product_photo(tmp_path / "product.png")


@pytest.fixture
def scenery(tmp_path: Path) -> str:
    """Red to the right, green downwards, on a square."""
    across = Image.linear_gradient("L").rotate(90)
    picture = Image.merge("RGB", (across, Image.linear_gradient("L"), Image.new("L", across.size, 40)))
    picture.save(tmp_path / "scenery.png")
    return str(tmp_path / "scenery.png")


def both(
    weights: Shelf, photo: str, box: tuple[int, int, int, int] = BOX, scale: int = 1, **request: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """A part of what is made of the whole, and what is made of the part."""
    whole, part = (run(weights, photo, crop=crop, **request).pictures[0] for crop in ((), box))
    return whole.cropped(*(scale * side for side in box)).on_white(), part.on_white()


@pytest.mark.parametrize("steps", [("tone",), ("restore", "tone"), ("upscale-x2",)])
def test_a_part_becomes_what_it_is_in_the_whole(product: str, steps: tuple[str, ...]) -> None:
    whole, part = both(everything(), product, scale=2 if steps == ("upscale-x2",) else 1, steps=steps)
    assert torch.allclose(whole, part, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{}, {"shadow": 0.8}, {"cut_out_background": "#204060"}, {"cut_out_background": "transparent", "shadow": 0.5}],
)
def test_the_product_of_the_whole_photo_is_cut_out_of_a_part(product: str, settings: dict[str, Any]) -> None:
    whole, part = both(shelf(), product, steps=("cut-out",), **settings)
    assert (whole - part).abs().mean() < 0.004  # the rim's own colour is carried from what there is of the product


def test_light_is_judged_by_what_the_chain_has_made_of_the_whole_photo(product: str) -> None:
    """Shipped networks: the product on near black is lit less than on the photo's own white."""
    weights = Weights(Device(), Settings())
    asked = {"steps": ("cut-out", "tone"), "cut_out_background": "#101010"}
    whole, part = both(weights, product, **asked)  # type: ignore[arg-type]
    assert (whole - part).abs().mean() < 0.01


@pytest.mark.parametrize("noise", [0, 20])
def test_a_part_is_cleaned_by_the_expert_that_suits_the_whole_photo(tmp_path: Path, noise: int) -> None:
    picture = Image.new("RGB", (240, 180), "white")
    picture.paste((20, 20, 20), (120, 60, 180, 132))
    picture.save(tmp_path / "photo.png")
    weights = Shelf((row("restore", "restore"), Restore([Plain(invert), Plain(lambda x: x * 0.9)], DarkOrLight())))
    whole, part = both(weights, str(tmp_path / "photo.png"), steps=("restore",), noise=noise)
    assert torch.allclose(whole, part, atol=1 / 255)  # how much noise there is, is measured around each pixel
    assert float(part.max()) < 20 / 255  # the dark part alone would have been inverted


def test_a_part_without_any_product_is_background(product: str) -> None:
    part = (
        run(shelf(), product, steps=("cut-out",), crop=(0, 0, 40, 40), cut_out_background="#204060").pictures[0].pixels
    )
    assert torch.allclose(part, (torch.tensor([32, 64, 96]) / 255).view(1, 3, 1, 1).expand_as(part), atol=1e-3)


def test_a_drawn_product_is_that_of_the_whole_photo(tmp_path: Path, product: str) -> None:
    drawn = Image.new("L", (240, 180))
    drawn.paste(255, (60, 40, 150, 140))
    drawn.save(tmp_path / "drawn.png")
    whole, part = both(shelf(), product, steps=("cut-out",), product=str(tmp_path / "drawn.png"))
    assert (whole - part).abs().mean() < 0.01


def test_the_product_stands_on_a_picture_that_fills_the_frame(product: str, scenery: str) -> None:
    made = run(shelf(), product, steps=("cut-out",), cut_out_background="picture", ground=scenery).pictures[0]
    background = image.load(scenery).filling(240, 180)
    assert made.alpha is None
    assert torch.allclose(made.pixels[..., :30, :], background.pixels[..., :30, :], atol=1e-3), (
        "the picture lies where the photo's background was"
    )
    assert torch.allclose(made.pixels[0, :, 90, 120], torch.tensor([150, 30, 40]) / 255, atol=0.02), (
        "the product stands on it"
    )
    shaded = (
        run(shelf(), product, steps=("cut-out",), cut_out_background="picture", ground=scenery, shadow=1.0)
        .pictures[0]
        .pixels
    )
    assert (made.pixels - shaded)[..., 146:152, 110:130].mean() > 0.02, "its shadow darkens the picture"


def test_a_picture_fills_a_frame_without_being_stretched(scenery: str) -> None:
    background = image.load(scenery).filling(240, 180).pixels[0]
    assert tuple(background.shape[1:]) == (180, 240)
    assert [float(background[0, 90, x]) for x in (0, 239)] == pytest.approx(
        [float(background[0].min()), float(background[0].max())], abs=0.01
    )
    assert [float(background[1, y, 120]) for y in (0, 179)] == pytest.approx([1 / 8, 7 / 8], abs=0.02), (
        "a quarter of its height is left out"
    )


def test_the_background_of_a_part_is_that_part_of_the_background(product: str, scenery: str) -> None:
    whole, part = both(shelf(), product, steps=("cut-out",), cut_out_background="picture", ground=scenery)
    assert (whole - part).abs().mean() < 0.004


@pytest.mark.parametrize("name", ["text.png", "nowhere.png"])
def test_a_background_that_is_no_picture_is_one_sentence(tmp_path: Path, product: str, name: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(RequestError, match=rf"^[^.]*{name}[^.]*\.$"):
        run(shelf(), product, steps=("cut-out",), cut_out_background="picture", ground=str(tmp_path / name))


def test_the_mask_that_is_shown_to_be_corrected_is_the_network_s_where_one_comes_along(
    tmp_path: Path, product: str
) -> None:
    file = write_photo(tmp_path / "busy.png")
    shown = finished(looked_for(file, everything(), Settings()))  # type: ignore[arg-type]
    assert shown is not None
    assert [float(shown.pixels[0, 0, 35, x]) for x in (10, 80)] == [1, 0], "the left half"
    without = shelf()
    assert finished(looked_for(file, without, Settings())) is None  # type: ignore[arg-type]
    plain = finished(looked_for(product, without, Settings()))  # type: ignore[arg-type]
    assert plain is not None
    assert [float(plain.pixels[0, 0, 90, x]) for x in (5, 120)] == [0, 1], "the disc on its plain background"


def test_where_a_part_has_nothing_to_fill_it_says_so_and_goes_on(tmp_path: Path, product: str) -> None:
    hole = Image.new("L", (240, 180))
    hole.paste(255, (10, 10, 20, 20))
    hole.save(tmp_path / "hole.png")
    asked = {"steps": ("inpaint", "restore"), "mask": str(tmp_path / "hole.png")}
    far = run(everything(), product, crop=BOX, **asked)
    assert far.notes.remarks == ("There is nothing to fill in this part.",)
    assert torch.allclose(far.pictures[0].pixels, 1 - image.load(product).cropped(*BOX).pixels, atol=1e-6)
    near = run(everything(), product, crop=(0, 0, 40, 40), **asked)
    assert near.notes.remarks == ("Holes on a plain background were filled smoothly from their edges.",)
    background = image.load(product).cropped(0, 0, 40, 40).pixels
    assert torch.allclose(near.pictures[0].pixels, 1 - background, atol=1 / 255), (
        "filled with the background, and then inverted"
    )


def _measured(product: str, reference: Path, size: tuple[int, int]) -> Result:
    """What inverting a part makes, against an inverted copy of the photo of another size."""
    with Image.open(product) as photo:
        Image.eval(photo, lambda level: 255 - level).resize(size, Image.Resampling.BICUBIC).save(reference)
    return run(shelf(), product, steps=("restore",), crop=BOX, reference=str(reference))


def test_a_part_is_measured_against_the_same_part_of_the_reference(tmp_path: Path, product: str) -> None:
    assert _measured(product, tmp_path / "same.png", (240, 180)).notes.fidelity["PSNR"] > 60
    twice = _measured(product, tmp_path / "twice.png", (480, 360))
    assert twice.notes.fidelity["PSNR"] > 38
    assert twice.notes.remarks == ("The reference was resized to 60 x 72 pixels, the size of the result.",)
    other = _measured(product, tmp_path / "other.png", (100, 120))
    assert other.notes.fidelity == {}
    assert other.notes.remarks == (
        (
            "The reference has 100 x 120 pixels, which is another shape than the photo's, so nothing was measured"
            " against it."
        ),
    )


def test_a_crop_beyond_the_photo_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^The crop reaches beyond the photo, which has 90 x 70 pixels\.$"):
        run(shelf(), write_photo(tmp_path / "photo.png"), crop=(80, 0, 20, 20))


@pytest.mark.parametrize(("network", "step"), [("scunet", "restore"), ("nafnet-gopro", "deblur")])
def test_a_network_that_is_asked_for_alone_is_not_answered_for_by_another(
    tmp_path: Path, network: str, step: str
) -> None:
    photo, asked = write_photo(tmp_path / "photo.png"), {"steps": (step,), "network": network}
    assert run(shelf(), photo, **asked).notes.fallbacks
    with pytest.raises(RequestError, match=rf"^{network} could not be loaded because the Hub cannot be reached\.$"):
        run(shelf(), photo, fallback="none", **asked)
