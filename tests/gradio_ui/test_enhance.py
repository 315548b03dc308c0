"""The tab Enhance, pressed by a hand without a browser: its steps and their order, sliders, cut-out, masks, and the way
back.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from hand import Hand, canvas, sent
from PIL import Image
from standin import StandIn

from engine import image
from engine.contract.enhance import STEPS, EnhanceRequest
from engine.contract.style import StyleRequest
from engine.enhance import change
from engine.image import Picture
from gradio_ui.chain import arranged, in_order, shifted
from gradio_ui.files import Saving, cap_of, capped, written


def asked(hand: Hand, studio: StandIn) -> EnhanceRequest:
    hand.press("enhance-run")
    request = studio.requests[-1]
    assert isinstance(request, EnhanceRequest)
    return request


def test_a_first_press_cleans_and_enlarges_and_nothing_else(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe)
    assert asked(hand, studio) == EnhanceRequest(shoe["path"])


def test_steps_run_in_their_order_whatever_was_clicked_first(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["upscale-x2", "tone", "restore"])
    assert asked(hand, studio).steps == ("restore", "tone", "upscale-x2")


def test_a_step_is_moved(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["restore", "tone"], enhance_chain_moved="tone")
    hand.press("enhance-chain-earlier")
    hand.press("enhance-chain-earlier")
    assert asked(hand, studio).steps == ("tone", "restore")
    hand.set(enhance_chain_moved="tone")
    hand.press("enhance-chain-later")
    hand.press("enhance-chain-later")
    assert asked(hand, studio).steps == ("restore", "tone")


def test_orders_are_whole() -> None:
    assert arranged(()) == list(STEPS)
    assert [step for step in arranged(("upscale-x2", "restore")) if step in ("upscale-x2", "restore")] == [
        "upscale-x2",
        "restore",
    ]
    assert sorted(arranged(("upscale-x4", "tone", "restore"))) == sorted(STEPS)
    two = ["restore", "tone"]
    assert shifted(two, "restore", -1) == shifted(two, "tone", 1) == shifted(two, "deblur", 1) == two
    assert shifted(two, "restore", 1) == ["tone", "restore"]
    last = ["restore", "listing"]
    assert shifted(last, "restore", 1) == shifted(last, "listing", -1) == last
    assert in_order(["x", "b", "a"], ["a", "b"]) == ("a", "b", "x")


def test_a_goal_sets_the_steps_and_steps_say_which_goal_they_are(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_goal="clean_x2")
    hand.press("enhance-goal", "input")
    assert asked(hand, studio).steps == ("restore", "upscale-x2")
    hand.set(enhance_chain=["restore"])
    hand.press("enhance-chain", "change")
    assert hand.values[hand.find("enhance-goal")] == "clean"
    hand.set(enhance_chain=["restore", "tone"])
    hand.press("enhance-chain", "change")
    assert hand.values[hand.find("enhance-goal")] == "own_steps", "a proposed chain is no goal without a name"
    (updates,) = hand.press("enhance-goal", "input")
    assert updates[2]["open"], "the steps are shown to whoever asks for them"
    assert asked(hand, studio).steps == ("restore", "tone")


def test_sliders_start_at_the_proposal_once_the_photo_was_looked_at(hand: Hand, studio: StandIn, shoe: Any) -> None:
    with pytest.raises(gr.Error, match="Add a photo first"):
        hand.press("enhance-look")
    hand.set(enhance_photo=shoe, enhance_chain=["restore"])
    hand.press("enhance-look")
    hand.set(enhance_contrast=0.2)
    request = asked(hand, studio)
    assert request.adjust == (0.5, 0.1, 0.0, 0.0, 0.2, 0.0)
    assert request.steps == ("restore", "tone")


def test_a_slider_that_is_moved_counts(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_exposure=-1.0)
    assert asked(hand, studio).adjust == ()
    hand.press("enhance-exposure", "release")
    assert asked(hand, studio).adjust == (-1.0, 0, 0, 0, 0, 0)


def test_a_cut_out_has_its_ground_its_shadow_and_its_mask(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    hand.set(
        enhance_photo=shoe,
        enhance_chain=["cut-out"],
        enhance_ground="colour",
        enhance_ground_colour="rgba(255, 0, 16, 1)",
        enhance_shadow=0.4,
    )
    hand.set(enhance_product=sent(tmp_path / "product.png"))
    request = asked(hand, studio)
    assert (request.cut_out_background, request.shadow, request.product) == (
        "#ff0010",
        0.4,
        str(tmp_path / "product.png"),
    )
    hand.set(enhance_ground="transparent")
    assert asked(hand, studio).cut_out_background == "transparent"
    hand.set(enhance_ground="picture", enhance_ground_picture=sent(tmp_path / "table.png"))
    request = asked(hand, studio)
    assert (request.cut_out_background, request.ground) == ("picture", str(tmp_path / "table.png"))


@pytest.mark.parametrize(
    ("elem_id", "event", "value", "step"),
    [
        ("enhance-ground", "input", "transparent", "cut-out"),
        ("enhance-shadow", "release", 0.3, "cut-out"),
        ("enhance-product", "change", {"path": "drawn.png"}, "cut-out"),
        ("enhance-mask", "change", {"path": "drawn.png"}, "inpaint"),
        ("enhance-marketplace", "input", "amazon", "listing"),
        ("enhance-prior-task", "input", "enlarge", "prior"),
        ("enhance-contrast", "release", 0.1, "tone"),
    ],
)
def test_what_is_set_for_a_step_switches_it_on(hand: Hand, elem_id: str, event: str, value: Any, step: str) -> None:
    hand.set(enhance_chain=["restore"], **{elem_id: value})
    hand.press(elem_id, event)
    assert set(hand.values[hand.find("enhance-chain")]) == {"restore", step}


def test_a_mask_that_goes_switches_nothing_on_and_one_for_the_prior_no_other_step(hand: Hand) -> None:
    for on, value in ((["restore"], None), (["prior"], {"path": "drawn.png"})):
        hand.set(enhance_chain=on, enhance_mask=value)
        hand.press("enhance-mask", "change")
        assert hand.values[hand.find("enhance-chain")] == on


def test_only_the_settings_of_steps_that_are_on_are_in_sight(hand: Hand) -> None:
    settings = ("strength", "noise", "crispness", "prior-task", "marketplace", "rule")
    assert [hand.visible[hand.find(f"enhance-{name}")] for name in settings] == [True, True, True, False, False, False]
    hand.set(enhance_chain=["prior", "listing"])
    hand.press("enhance-chain", "change")
    assert [hand.visible[hand.find(f"enhance-{name}")] for name in settings] == [False, False, False, True, True, True]


def test_a_marketplace_says_its_rule_and_that_rules_change(hand: Hand) -> None:
    hand.set(enhance_marketplace="walmart")
    hand.press("enhance-marketplace", "change")
    rule = hand.values[hand.find("enhance-rule")]
    assert "JPEG of at most 5 MB" in rule
    assert rule.endswith("check what holds today.")


def test_crispness_is_asked_for(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_crispness=0.6)
    assert asked(hand, studio).crispness == 0.6


def test_the_steps_that_a_photo_needs_are_switched_on_with_their_reasons(
    hand: Hand, studio: StandIn, shoe: Any
) -> None:
    with pytest.raises(gr.Error, match="Add a photo first"):
        hand.press("enhance-propose")
    hand.set(enhance_photo=shoe)
    heard = hand.press("enhance-propose")
    assert "Looking at the photo" in heard[0][0]["value"]
    told = hand.values[hand.find("enhance-proposal")]
    assert hand.visible[hand.find("enhance-proposal")]
    assert "<b>Clean noise and JPEG marks</b><br>It is a &lt;stand-in&gt;." in told
    assert "<th>noise</th><td>deviation of 7.0 of 255 levels</td>" in told
    request = asked(hand, studio)
    assert (request.steps, request.strength, request.adjust[0]) == (("restore", "tone"), 0.7, 0.5)
    hand.press("enhance-photo", "change")
    assert not hand.visible[hand.find("enhance-proposal")]


def test_a_photo_that_needs_nothing_is_left_alone_and_the_page_says_so(
    hand: Hand, studio: StandIn, shoe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "finds", False)
    hand.set(enhance_photo=shoe)
    hand.press("enhance-propose")
    assert "Nothing in this photo needs mending" in hand.values[hand.find("enhance-proposal")]
    assert hand.values[hand.find("enhance-chain")] == []
    for button in ("enhance-run", "enhance-try"):
        hand.set(enhance_line="")
        hand.press(button)
        line = hand.values[hand.find("enhance-line")]
        assert (
            "No step is chosen, so the photo stays as it is. To change it, choose under “What to do” or “Steps and"
            " their order”." in line
        )
        assert "v-error" not in line
    assert studio.requests == []


def test_without_a_photo_and_a_step_the_photo_is_asked_for_first(hand: Hand) -> None:
    hand.set(enhance_chain=[])
    with pytest.raises(gr.Error, match="photo"):
        hand.press("enhance-run")


def test_what_is_to_be_filled_is_drawn_over_the_photo(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe)
    hand.press("enhance-mask-find")
    drawn = hand.values[hand.find("enhance-mask-brush")]
    assert drawn["layers"][0].getchannel("A").getextrema() == (0, 0), "nothing is drawn beforehand"
    drawn["layers"][0].paste((24, 163, 122, 255), (10, 10, 20, 20))
    hand.set(enhance_chain=["restore"], enhance_mask_brush=canvas(drawn, tmp_path))
    request = asked(hand, studio)  # before the mask was shown
    assert request.steps == ("restore", "inpaint")
    with Image.open(request.mask or "") as mask:
        assert mask.getbbox() == (10, 10, 20, 20)
    shown = hand.values[hand.find("enhance-mask")]
    assert shown == request.mask
    hand.set(enhance_mask={"path": shown})
    hand.press("enhance-mask-brush-drawn")
    assert hand.values[hand.find("enhance-mask")] == {"path": shown}, "it is there already"
    drawn["layers"][0].paste((24, 163, 122, 255), (30, 10, 40, 20))
    hand.set(enhance_mask_brush=canvas(drawn, tmp_path))
    hand.press("enhance-mask-brush-drawn")
    with Image.open(hand.values[hand.find("enhance-mask")]) as mask:
        assert mask.getbbox() == (10, 10, 40, 20)


def test_a_mask_that_was_put_in_the_place_of_a_drawn_one_stays_until_the_next_stroke(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    hand.set(enhance_photo=shoe)
    hand.press("enhance-product-find")
    drawn = hand.values[hand.find("enhance-product-brush")]
    hand.set(
        enhance_product_brush=canvas(drawn, tmp_path),
        enhance_product=sent(tmp_path / "own.png"),
        enhance_chain=["cut-out"],
    )
    assert asked(hand, studio).product == str(tmp_path / "own.png")
    hand.set(enhance_product=None, enhance_chain=["restore"])
    assert asked(hand, studio) == EnhanceRequest(shoe["path"], steps=("restore",)), "what was taken away stays away"
    drawn["layers"][0].paste((24, 163, 122, 255), (0, 0, 5, 5))
    hand.set(enhance_product_brush=canvas(drawn, tmp_path))
    request = asked(hand, studio)
    assert request.steps == ("restore", "cut-out")
    with Image.open(request.product or "") as mask:
        assert mask.getpixel((2, 2)) == 255
    drawn["layers"][0].paste((0, 0, 0, 0), (0, 0, *drawn["layers"][0].size))
    hand.set(enhance_product_brush=canvas(drawn, tmp_path))
    assert asked(hand, studio).product is None, "all of it was wiped off"


def test_what_is_no_drawing_is_a_sentence(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe)
    for size in ((60, 40), (30, 20)):
        sent(tmp_path / f"{size[0]}.png", size)
    for layers, sentence in (
        (["/etc/hostname"], "must be an uploaded file"),
        ([{"path": "/etc/hostname"}], "must be an uploaded file"),
        ([{"path": str(tmp_path / "60.png")}, {"path": str(tmp_path / "30.png")}], "must be of one size"),
    ):
        hand.set(enhance_mask_brush={"background": None, "layers": layers, "composite": None})
        with pytest.raises(gr.Error, match=sentence):
            hand.press("enhance-run")
    assert not studio.requests
    for nothing in ("a word", {"layers": 3}, {"layers": None}):
        hand.set(enhance_mask_brush=nothing)
        assert asked(hand, studio).mask is None


def test_a_reference_is_asked_with_the_photo(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe, enhance_reference=sent(tmp_path / "reference.png"))
    assert asked(hand, studio).reference == str(tmp_path / "reference.png")


def made_and_kept(hand: Hand, folder: Path) -> None:
    """Press Enhance. Gradio takes copies of files between two updates; so does this."""
    function = next(
        f for f in hand.demo.fns.values() if (hand.find("enhance-run")._id, "click") in f.targets and f.fn is not None
    )
    for updates in function.fn({component: hand.values.get(component) for component in function.inputs}):
        for component, value in updates.items():
            if isinstance(component, gr.File) and isinstance(value, list):
                kept = [folder / f"{component._id}-{i}-{Path(file).name}" for i, file in enumerate(value)]
                for file, place in zip(value, kept, strict=True):
                    place.write_bytes(Path(file).read_bytes())
                updates[component] = [{"path": str(place)} for place in kept]
        hand.take(updates)


def gone_back(hand: Hand, place: int) -> str:
    """Choose a step of the chain that ran; what the line says then."""
    hand.values[hand.find("enhance-trail")] = place
    hand.press("enhance-trail", "input")
    return str(hand.values[hand.find("enhance-line")])


def test_each_step_can_be_gone_back_to(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["restore", "upscale-x2"])
    made_and_kept(hand, tmp_path)
    assert hand.visible[hand.find("enhance-trail")]
    assert hand.values[hand.find("enhance-trail")] == 2
    gone_back(hand, 1)
    recipe = hand.values[hand.find("enhance-recipe")]
    assert '"restore"' in recipe
    assert "upscale" not in recipe
    assert Path(hand.values[hand.find("enhance-download")]).name == "shoe-enhanced.png"


def test_a_step_that_is_gone_back_to_says_how_much_was_changed_up_to_it_and_nothing_of_the_whole_chain(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["restore", "tone"])
    made_and_kept(hand, tmp_path)
    whole = hand.values[hand.find("enhance-line")]
    assert "The Hub did not answer" in whole
    first = gone_back(hand, 1)
    half = change.changed(
        image.load(shoe["path"]), Picture(image.load(shoe["path"]).pixels * 127 / 255)
    )  # what the stand-in makes on the way
    assert f"stand-in on CPU · Changed, where 1 is just visible: mean ΔE {half['mean ΔE']:.1f} · Kept" in first
    assert "The Hub did not answer" not in first
    assert "Against the reference" not in first
    assert gone_back(hand, 2) == whole


def test_a_step_that_is_gone_back_to_is_measured_against_the_reference_while_it_is_there(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    reference = sent(tmp_path / "reference.png", colour="#7f0000")  # what the stand-in makes on the way
    hand.set(enhance_photo=shoe, enhance_chain=["restore", "tone"], enhance_reference=reference)
    made_and_kept(hand, tmp_path)
    assert "Against the reference: PSNR 100" in gone_back(hand, 1)
    Path(reference["path"]).unlink()
    told = gone_back(hand, 1)
    assert "Changed, where 1 is just visible" in told
    assert "Against the reference" not in told


def test_a_large_step_is_not_measured_against_the_reference_and_the_line_says_so(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio_ui.history._AGAINST_PX", 1000)
    hand.set(enhance_photo=shoe, enhance_chain=["restore", "tone"], enhance_reference=sent(tmp_path / "reference.png"))
    made_and_kept(hand, tmp_path)
    told = gone_back(hand, 1)
    assert "A picture as large as this is measured against the reference at the end of the chain only" in told
    assert "Against the reference" not in told


def test_a_chain_that_auto_chose_has_no_way_back_as_its_recipe_would_choose_anew(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = studio._work
    monkeypatch.setattr(
        studio, "_work", lambda request: work(replace(request, steps=("restore", "tone", "upscale-x2")))
    )
    hand.open(EnhanceRequest("p", steps=("auto",)))
    hand.set(enhance_photo=shoe)
    made_and_kept(hand, tmp_path)
    assert "stand-in on CPU" in hand.values[hand.find("enhance-line")]
    assert not hand.visible[hand.find("enhance-trail")]


def test_a_chain_of_one_step_has_no_way_back(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["restore"])
    asked(hand, studio)
    assert not hand.visible[hand.find("enhance-trail")]


def test_what_was_made_goes_to_style(hand: Hand, studio: StandIn, shoe: Any) -> None:
    with pytest.raises(gr.Error, match="Make the pictures first"):
        hand.press("enhance-to-style")
    hand.set(enhance_photo=shoe)
    asked(hand, studio)
    hand.press("enhance-to-style")
    assert hand.values[hand.find("v-tabs")] == "stylize"
    assert Path(hand.values[hand.find("stylize-photo")]).name == "shoe-enhanced.png"


LINKS = [
    EnhanceRequest("p", steps=("tone", "restore", "upscale-x3"), strength=0.5, adjust=(1.0, 0.0, 0.0, 0.0, 0.2, 0.0)),
    EnhanceRequest("p", steps=("cut-out",), cut_out_background="#102030", shadow=0.5),
    EnhanceRequest("p", steps=("cut-out", "upscale-x2"), cut_out_background="transparent", crispness=0.5),
]


@pytest.mark.parametrize("request_", LINKS)
def test_a_link_to_a_chain_makes_it_again(hand: Hand, studio: StandIn, shoe: Any, request_: EnhanceRequest) -> None:
    hand.open(request_)
    hand.set(enhance_photo=shoe)
    assert asked(hand, studio).recipe() == request_.recipe()


def test_a_link_to_a_cut_out_on_a_picture_asks_for_the_picture(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    request = EnhanceRequest("p", steps=("cut-out",), cut_out_background="picture", ground="g")
    hand.open(request)
    assert "Add the picture that the product is to be laid on." in hand.values[hand.find("enhance-line")]
    assert hand.visible[hand.find("enhance-ground-picture")]
    hand.set(enhance_photo=shoe, enhance_ground_picture=sent(tmp_path / "table.png"))
    assert asked(hand, studio).recipe() == request.recipe()


def test_a_listing_picture_that_is_too_large_as_png_is_handed_out_as_jpeg_and_the_page_says_so(tmp_path: Path) -> None:
    noise = Picture(torch.rand(1, 3, 300, 300, generator=torch.Generator().manual_seed(0)), most_bytes=100_000)
    listing = EnhanceRequest("p", steps=("restore", "listing"), marketplace="amazon").recipe()
    files, told = written(Saving("png"), [noise], ["noise"], listing, tmp_path)
    assert [file.name for file in files] == ["noise.jpg"]
    assert files[0].stat().st_size <= 100_000
    assert told.startswith(" As PNG this picture has 0.27")
    assert told.endswith("0.1 MB are allowed, so the file is a JPEG.")
    assert written(Saving("png"), [capped(noise, 10**6)], ["fits"], listing, tmp_path) == ([tmp_path / "fits.png"], "")


def test_a_listing_picture_comes_as_a_file_that_its_marketplace_takes_and_the_page_says_so(
    hand: Hand, studio: StandIn, shoe: Any
) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["listing"], enhance_marketplace="walmart")
    asked(hand, studio)
    assert str(hand.values[hand.find("enhance-download")]).endswith(".jpg")
    assert "Walmart takes JPEG files only, so the file is a JPEG." in hand.values[hand.find("enhance-line")]
    hand.set(enhance_marketplace="amazon")
    asked(hand, studio)
    assert str(hand.values[hand.find("enhance-download")]).endswith(".png")
    assert "files only" not in hand.values[hand.find("enhance-line")]


def test_only_a_listing_picture_has_a_marketplace_s_cap() -> None:
    assert cap_of(EnhanceRequest("p", steps=("listing",), marketplace="walmart").recipe()) == 5_000_000
    assert cap_of(EnhanceRequest("p", steps=("restore",), marketplace="walmart").recipe()) is None
    assert cap_of(StyleRequest("p").recipe()) is None
