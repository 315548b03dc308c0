"""The steps tone, cut-out and upscale-x3, what a chain measures and hands out between its steps, and hostile input to
all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chains import everything, product_photo, run, with_tone
from PIL import Image
from shelf import Shelf, row, shelf, write_photo
from torch import Tensor, nn

from engine import image
from engine.contract.enhance import ADJUSTMENTS, STEPS, EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.enhance import change
from engine.enhance.enhance import enhance
from engine.enhance.steps import tone
from engine.models.matte import Matte
from engine.models.tone import MOST, NAMES, Adjustments
from engine.runtime.device import Device
from engine.runtime.work import finished
from engine.settings import Settings

ALL = tuple(
    step for step in STEPS if step not in ("prior", "listing")
)  # those have tests of their own: one is slow, the other makes its own size


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png")


@pytest.fixture
def product(tmp_path: Path) -> str:
    return product_photo(tmp_path / "product.png")


# Tone


def test_the_request_and_the_network_mean_the_same_amounts() -> None:
    assert tuple(ADJUSTMENTS) == NAMES
    assert all(most >= network for most, network in zip(ADJUSTMENTS.values(), MOST, strict=True)), (
        "a proposal must be within the sliders"
    )


def test_without_amounts_the_network_decides_and_the_note_says_what(photo: str) -> None:
    weights, network = with_tone((0.5, 0.0, 0.0, 0.0, 0.0, 0.3), basis=0.01)
    result = run(weights, photo, steps=("tone",))
    expected = network.lut(Adjustments(exposure=0.5, saturation=0.3), torch.ones(1, 2)).apply(image.load(photo).pixels)
    assert torch.allclose(result.pictures[0].pixels, expected, atol=1e-3)
    assert result.notes.remarks == ("The photo was made 0.5 stops lighter and richer in colour.",)
    assert result.notes.networks == ("tone",)


def test_amounts_of_ones_own_take_the_place_of_the_proposal(photo: str) -> None:
    weights, network = with_tone((0.5, 0.0, 0.0, 0.0, 0.0, 0.3))
    given = (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    result = run(weights, photo, steps=("tone",), adjust=given)
    expected = network.lut(Adjustments(exposure=-1.0), torch.zeros(1, 2)).apply(image.load(photo).pixels)
    assert torch.allclose(result.pictures[0].pixels, expected, atol=1e-4)
    assert result.notes.remarks == ("The photo was made 1.0 stops darker.",)


def test_amounts_that_are_all_0_leave_the_photo_as_it_is(photo: str) -> None:
    weights, _ = with_tone((0.5, 0.2, 0.0, 0.0, 0.0, 0.3), basis=0.1)
    result = run(weights, photo, steps=("tone",), adjust=(0.0,) * 6)
    assert torch.allclose(result.pictures[0].pixels, image.load(photo).pixels, atol=1e-3)
    assert result.notes.remarks == ("Light and colour were left nearly as they are.",)


def test_the_proposal_given_back_is_what_the_network_does(photo: str) -> None:
    weights, _ = with_tone((0.5, 0.2, 0.0, 0.0, 0.0, 0.3), basis=0.1)
    picture = image.load(photo)
    amounts, _ = tone.proposal(picture, finished(weights.load("tone")))
    own, given = (run(weights, photo, steps=("tone",), adjust=adjust).pictures[0].pixels for adjust in ((), amounts))
    assert torch.equal(own, given)


def test_without_the_network_given_amounts_are_applied_and_none_are_guessed(photo: str) -> None:
    result = run(shelf(), photo, steps=("tone",), adjust=(1.0, 0, 0, 0, 0, 0))
    assert result.pictures[0].pixels.mean() > image.load(photo).pixels.mean() + 0.05
    assert result.notes.fallbacks == (
        "No network for tone comes with Vitrine, so only the amounts that were given were applied.",
    )
    with pytest.raises(RequestError, match=r"so give the amounts of light and colour yourself\.$"):
        run(shelf(), photo, steps=("tone",))


# Cut-out


def truth(size: tuple[int, int] = (240, 180)) -> Tensor:
    width, height = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return (torch.hypot(x, y) < 0.3 * min(size)).float()[None, None]


@pytest.mark.parametrize(
    ("background", "ground"), [("white", (1.0, 1.0, 1.0)), ("#204060", (32 / 255, 64 / 255, 96 / 255))]
)
def test_the_product_stands_on_the_background_that_was_asked_for(
    product: str, background: str, ground: tuple[float, ...]
) -> None:
    result = run(shelf(), product, steps=("cut-out",), cut_out_background=background)
    picture, outside = result.pictures[0], truth()[0, 0] == 0
    expected = torch.where(
        truth() > 0, torch.tensor([150, 30, 40]).view(1, 3, 1, 1) / 255, torch.tensor(ground).view(1, 3, 1, 1)
    )
    far = F.avg_pool2d(truth(), 7, 1, 3)[0, 0]
    assert picture.alpha is None
    assert (picture.pixels - expected)[:, :, (far == 0) | (far == 1)].abs().max() < 0.02
    assert (picture.pixels - expected)[:, :, outside].abs().mean() < 0.01
    assert result.notes.fallbacks == (
        "No network for cut-out comes with Vitrine, so the product was found by its plain background.",
    )


def test_a_transparent_cut_out_keeps_nothing_of_its_old_background(product: str) -> None:
    picture = run(shelf(), product, steps=("cut-out",), cut_out_background="transparent").pictures[0]
    assert picture.alpha is not None
    assert (picture.alpha - truth()).abs().mean() < 0.02
    soft = (picture.alpha > 0.1)[0, 0]
    red = picture.pixels[0, :, soft] - torch.tensor([150, 30, 40])[:, None] / 255
    assert red.abs().mean() < 0.03, "grey of the background is left in the product's edge"


def test_a_shadow_lies_under_the_product_and_nowhere_else(product: str) -> None:
    plain, shaded = (
        run(shelf(), product, steps=("cut-out",), shadow=shadow).pictures[0].pixels for shadow in (0.0, 1.0)
    )
    darker = (plain - shaded).mean(1)[0]
    assert darker.min() > -1e-5
    assert darker[146:152, 110:130].mean() > 0.1
    assert darker[:100].max() < 0.01
    transparent = run(shelf(), product, steps=("cut-out",), shadow=1.0, cut_out_background="transparent").pictures[0]
    assert torch.allclose(transparent.on_white(), shaded, atol=0.01)


def test_a_learned_matte_is_carried_to_full_size(tmp_path: Path, product: str) -> None:
    class Red(nn.Module):
        """Whatever is red, with the logits of a matte."""

        def __init__(self) -> None:
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return 40 * (x[:, :1] - x[:, 1:2] - 0.2)

    with Image.open(product) as plain:
        busy = np.random.default_rng(0).integers(0, 256, (180, 240, 3)) * np.array([0, 1, 1])
        Image.fromarray(
            np.where(truth()[0, 0, :, :, None].numpy() > 0.5, np.asarray(plain), busy).astype(np.uint8)
        ).save(tmp_path / "busy.png")
    result = run(
        Shelf((row("matte", "cut-out"), Red())),
        str(tmp_path / "busy.png"),
        steps=("cut-out",),
        cut_out_background="transparent",
    )
    alpha = result.pictures[0].alpha
    assert alpha is not None
    assert (alpha - truth()).abs().mean() < 0.02
    assert result.notes.networks == ("matte",)
    assert result.notes.fallbacks == ()


def test_a_drawn_mask_says_which_part_is_the_product(tmp_path: Path, product: str) -> None:
    drawn = np.zeros((180, 240), np.uint8)
    drawn[:, :120] = 255
    drawn[truth()[0, 0].numpy() == 0] = 0
    Image.fromarray(drawn).save(tmp_path / "half.png")
    result = run(
        shelf(), product, steps=("cut-out",), product=str(tmp_path / "half.png"), cut_out_background="transparent"
    )
    assert result.notes.networks == ("the given mask",)
    alpha = result.pictures[0].alpha
    assert alpha is not None
    assert alpha[..., 130:].max() == 0
    assert alpha[0, 0, 90, 110] == 1
    assert result.notes.fallbacks == result.notes.remarks == ()


def test_a_background_that_is_not_plain_is_one_sentence(photo: str) -> None:
    with pytest.raises(
        RequestError,
        match=r"^The background is not plain enough to tell the product from it; draw where the product is\.$",
    ):
        run(shelf(), photo, steps=("cut-out",))


def test_a_matte_without_any_product_is_one_sentence(photo: str) -> None:
    network = Matte((4, 4), 1, 1)
    nn.init.zeros_(network.tail.weight)
    nn.init.constant_(network.tail.bias, -20.0)
    with pytest.raises(RequestError, match=r"^No product was found on the photo; draw where it is\.$"):
        run(Shelf((row("matte", "cut-out"), network)), photo, steps=("cut-out",))


def test_a_plain_background_is_not_left_to_a_network_that_sees_nothing_on_it(product: str) -> None:
    network = Matte((4, 4), 1, 1)
    nn.init.constant_(network.tail.bias, -20.0)
    made, plain = (
        run(shelves, product, steps=("cut-out",), cut_out_background="transparent")
        for shelves in (Shelf((row("matte", "cut-out"), network)), shelf())
    )
    assert torch.equal(made.pictures[0].pixels, plain.pictures[0].pixels)
    assert made.notes.remarks == ("The background is plain, so the product is all that differs from it.",)


@pytest.mark.parametrize(("colour", "sentence"), [(0, r"^No product was found"), (255, None)])
def test_a_drawn_mask_of_one_colour(tmp_path: Path, product: str, colour: int, sentence: str | None) -> None:
    Image.new("L", (240, 180), colour).save(tmp_path / "mask.png")
    request = {"steps": ("cut-out",), "product": str(tmp_path / "mask.png")}
    if sentence:
        with pytest.raises(RequestError, match=sentence):
            run(shelf(), product, **request)
    else:
        result = run(shelf(), product, **request)
        assert torch.allclose(result.pictures[0].pixels, image.load(product).pixels, atol=0.01)
        assert result.notes.remarks == ("The product's mask covers all of the photo, so there was nothing to cut off.",)


def test_a_network_that_takes_all_of_the_photo_for_the_product_is_one_remark(photo: str) -> None:
    network = Matte((4, 4), 1, 1)
    nn.init.zeros_(network.tail.weight)
    nn.init.constant_(network.tail.bias, 20.0)
    result = run(Shelf((row("matte", "cut-out"), network)), photo, steps=("cut-out",))
    assert result.notes.remarks == ("All of the photo was taken for the product, so there was nothing to cut off.",)


def test_a_drawn_mask_of_another_shape_is_one_sentence(tmp_path: Path, product: str) -> None:
    Image.new("L", (180, 240), 255).save(tmp_path / "mask.png")
    with pytest.raises(
        RequestError, match="The product's mask has 180 x 240 pixels, which is not the shape of the photo"
    ):
        run(shelf(), product, steps=("cut-out",), product=str(tmp_path / "mask.png"))


# Enlarging x3


def test_three_times_as_large_is_what_x4_made_resized(tmp_path: Path) -> None:
    file = write_photo(tmp_path / "smooth.png", 50, 40)
    with Image.open(file) as noise:
        noise.resize((200, 150), Image.Resampling.BICUBIC).save(file)
    weights = shelf(upscale_x4=lambda x: F.interpolate(x, scale_factor=4, mode="bilinear"))
    result = run(weights, file, steps=("upscale-x3",))
    large = F.interpolate(image.load(file).pixels, scale_factor=4, mode="bilinear")
    expected = F.interpolate(large, size=(450, 600), mode="bicubic", antialias=True).clamp(0, 1)
    assert (result.pictures[0].width, result.pictures[0].height) == (600, 450)
    assert (result.pictures[0].pixels - expected).abs().max() < 2e-3, "tiles show"
    assert result.notes.networks == ("upscale-x4",)


def test_x3_counts_threefold_against_the_largest_result(photo: str) -> None:
    with pytest.raises(RequestError, match=r"270 x 210 pixels, .* at most 0\.05 can be made"):
        run(shelf(), photo, Settings(output_mpx=0.05), steps=("upscale-x3",))


# What a chain tells


def test_a_picture_is_handed_out_after_every_step_but_the_last(photo: str) -> None:
    request = EnhanceRequest(photo, steps=("restore", "upscale-x2"))
    made = [e.made for e in enhance(request, shelf(), Device(), Settings()) if isinstance(e, Progress) and e.made]  # type: ignore[arg-type]
    assert len(made) == 1
    assert torch.equal(made[0].pixels, 1 - image.load(photo).pixels)


def test_a_picture_too_large_to_be_held_twice_is_handed_out_between_two_steps(tmp_path: Path) -> None:
    """A photo of 25 megapixels, which a phone takes; the step between leaves it as it is."""
    Image.new("L", (6000, 4200), 128).save(tmp_path / "large.png")
    request = EnhanceRequest(str(tmp_path / "large.png"), steps=("tone", "listing"), adjust=(0.0,) * 6)
    made = next(
        e.made
        for e in enhance(request, shelf(), Device(), Settings())
        if isinstance(e, Progress) and e.message.endswith("done")
    )  # type: ignore[arg-type]
    assert made is not None
    assert (made.width, made.height) == (6000, 4200)


def test_a_picture_between_two_steps_is_measured_as_the_result_of_the_shorter_chain(photo: str) -> None:
    weights, request = shelf(), EnhanceRequest(photo, steps=("restore", "upscale-x2"), strength=0.3)
    made = next(e.made for e in enhance(request, weights, Device(), Settings()) if isinstance(e, Progress) and e.made)  # type: ignore[arg-type]
    measures = change.changed(image.load(photo), made)
    assert measures == run(weights, photo, steps=("restore",), strength=0.3).notes.measures
    assert measures["mean ΔE"] > 1


def test_how_much_was_changed_is_measured(photo: str) -> None:
    nothing, much = (
        run(shelf(), photo, steps=("restore",), strength=strength).notes.measures for strength in (0.0, 1.0)
    )
    assert nothing == pytest.approx({"mean ΔE": 0.0, "SSIM": 1.0, "edges kept": 1.0}, abs=1e-5)
    assert much["mean ΔE"] > 20
    assert much["SSIM"] < 0


def test_a_reference_is_what_the_result_is_measured_against(tmp_path: Path, photo: str) -> None:
    with Image.open(photo) as original:
        Image.fromarray(255 - np.asarray(original)).save(tmp_path / "reference.png")
    result = run(shelf(), photo, steps=("restore",), reference=str(tmp_path / "reference.png"))
    assert result.notes.fidelity["PSNR"] > 60
    assert "Against the reference: PSNR" in result.notes.sentence(1.0)
    assert "reference" not in result.recipe


def test_a_reference_of_another_shape_measures_nothing_and_the_note_says_so(tmp_path: Path, photo: str) -> None:
    result = run(shelf(), photo, steps=("restore",), reference=write_photo(tmp_path / "wide.png", 200, 20))
    assert result.notes.fidelity == {}
    assert "The reference has 200 x 20 pixels, which is another shape than the result's" in result.notes.remarks[-1]


# Hostile input


@pytest.mark.parametrize("step", ALL)
@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "L", "LA"])
def test_transparent_and_printed_photos_pass_every_step(tmp_path: Path, step: str, mode: str) -> None:
    file = tmp_path / f"photo.{'tif' if mode == 'CMYK' else 'png'}"
    picture = Image.open(product_photo(tmp_path / "plain.png", (60, 40))).convert(mode)
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.linear_gradient("L").resize((60, 40)))
    file = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    picture.save(file)
    mask = Image.new("L", (60, 40))
    mask.paste(255, (10, 10, 30, 20))
    mask.save(tmp_path / "mask.png")
    result = run(everything(), str(file), steps=(step,), mask=str(tmp_path / "mask.png"))
    scale = int(step[-1]) if step.startswith("upscale") else 1
    made = result.pictures[0]
    assert (made.width, made.height) == (60 * scale, 40 * scale)
    assert made.pixels.isfinite().all()
    assert (made.alpha is not None) == (mode in ("RGBA", "LA") and step != "cut-out")


@pytest.mark.parametrize("step", ALL)
def test_a_picture_as_wide_as_may_be_passes_every_step(tmp_path: Path, step: str) -> None:
    file, mask = tmp_path / "wide.png", Image.new("L", (1500, 15))
    Image.new("RGB", (1500, 15), (220, 220, 220)).save(file)
    mask.paste(255, (100, 5, 140, 10))
    mask.save(tmp_path / "mask.png")
    made = run(everything(), str(file), steps=(step,), mask=str(tmp_path / "mask.png")).pictures[0]
    scale = int(step[-1]) if step.startswith("upscale") else 1
    assert (made.width, made.height) == (1500 * scale, 15 * scale)


def test_a_picture_that_is_wider_is_one_sentence(tmp_path: Path) -> None:
    Image.new("L", (12000, 80)).save(tmp_path / "wide.png")
    with pytest.raises(RequestError, match=r"has 12000 x 80 pixels, which is too long and narrow for a photo\.$"):
        run(everything(), str(tmp_path / "wide.png"), steps=ALL, mask="none")


def test_all_steps_in_one_chain(tmp_path: Path, product: str) -> None:
    mask = Image.new("L", (240, 180))
    mask.paste(255, (10, 10, 30, 20))
    mask.save(tmp_path / "mask.png")
    steps = ("tone", "inpaint", "restore", "deblur", "upscale-x2", "cut-out", "upscale-x3")
    result = run(
        everything(),
        product,
        steps=steps,
        mask=str(tmp_path / "mask.png"),
        cut_out_background="transparent",
        shadow=0.5,
    )
    assert (result.pictures[0].width, result.pictures[0].height) == (1440, 1080)
    assert result.pictures[0].alpha is not None
