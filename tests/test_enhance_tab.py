"""The tab Enhance, pressed by a hand without a browser: its steps and their order, sliders, cut-out, masks, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hand import Hand, sent
from standin import StandIn

from engine.request import STEPS, EnhanceRequest
from gradio_ui.chain import LAST, arranged, in_order, shifted


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
    assert [step for step in arranged(("upscale-x2", "restore")) if step in ("upscale-x2", "restore")] == ["upscale-x2", "restore"]
    assert sorted(arranged(("upscale-x4", "tone", "restore"))) == sorted(STEPS)
    assert shifted(["a", "b"], "a", -1) == shifted(["a", "b"], "b", 1) == shifted(["a", "b"], "c", 1) == ["a", "b"]
    assert shifted(["a", LAST], "a", 1) == shifted(["a", LAST], LAST, -1) == ["a", LAST]
    assert in_order(["x", "b", "a"], ["a", "b"]) == ("a", "b", "x")
    assert LAST in STEPS


def test_a_goal_sets_the_steps_and_steps_say_which_goal_they_are(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_goal="clean_x2")
    hand.press("enhance-goal", "input")
    assert asked(hand, studio).steps == ("restore", "upscale-x2")
    hand.set(enhance_chain=["restore"])
    hand.press("enhance-chain", "input")
    assert hand.values[hand.find("enhance-goal")] == "clean"


def test_sliders_start_at_the_proposal_once_the_photo_was_looked_at(hand: Hand, studio: StandIn, shoe: Any) -> None:
    with pytest.raises(gr.Error, match="Add a photo first"):
        hand.press("enhance-look")
    hand.set(enhance_photo=shoe, enhance_chain=["restore"])
    hand.press("enhance-look")
    hand.set(enhance_contrast=0.2)
    request = asked(hand, studio)
    assert request.adjust == (0.5, 0.1, 0.0, 0.0, 0.2, 0.0)
    assert request.steps == ("restore", "tone")
    hand.press("enhance-photo", "change")
    assert asked(hand, studio).adjust == ()


def test_a_slider_that_is_moved_counts(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(enhance_photo=shoe, enhance_exposure=-1.0)
    assert asked(hand, studio).adjust == ()
    hand.press("enhance-exposure", "release")
    assert asked(hand, studio).adjust == (-1.0, 0, 0, 0, 0, 0)


def test_a_cut_out_has_its_ground_its_shadow_and_its_mask(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe, enhance_chain=["cut-out"], enhance_ground="colour", enhance_ground_colour="rgba(255, 0, 16, 1)", enhance_shadow=0.4)
    hand.set(enhance_product=sent(tmp_path / "product.png"))
    request = asked(hand, studio)
    assert (request.cut_out_background, request.shadow, request.product) == ("#ff0010", 0.4, str(tmp_path / "product.png"))
    hand.set(enhance_ground="transparent")
    assert asked(hand, studio).cut_out_background == "transparent"


def test_what_is_to_be_filled_is_drawn_over_the_photo(hand: Hand, shoe: Any) -> None:
    hand.set(enhance_photo=shoe)
    hand.press("enhance-mask-find")
    drawn = hand.values[hand.find("enhance-mask-brush")]
    assert drawn["layers"][0].getchannel("A").getextrema() == (0, 0), "nothing is drawn beforehand"
    drawn["layers"][0].paste((24, 163, 122, 255), (10, 10, 20, 20))
    hand.press("enhance-mask-brush", "change")
    assert hand.values[hand.find("enhance-mask")].getbbox() == (10, 10, 20, 20)


def test_a_reference_is_asked_with_the_photo(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    hand.set(enhance_photo=shoe, enhance_reference=sent(tmp_path / "reference.png"))
    assert asked(hand, studio).reference == str(tmp_path / "reference.png")


def test_each_step_can_be_gone_back_to(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Path] = []

    def copied(updates: Any) -> None:
        """Gradio takes copies of files between two updates; so does this."""
        for component, value in updates.items():
            if isinstance(component, gr.File) and isinstance(value, list):
                for i, file in enumerate(value):
                    place = tmp_path / f"{component._id}-{i}-{Path(file).name}"
                    place.write_bytes(Path(file).read_bytes())
                    kept.append(place)
                updates[component] = [{"path": str(p)} for p in kept[-len(value) :]]

    hand.set(enhance_photo=shoe, enhance_chain=["restore", "upscale-x2"])
    function = next(f for f in hand.demo.fns.values() if (hand.find("enhance-run")._id, "click") in f.targets and f.fn is not None)
    for updates in function.fn({component: hand.values.get(component) for component in function.inputs}):
        copied(updates)
        hand.take(updates)
    choice = hand.find("enhance-trail")
    assert hand.visible[choice]
    assert hand.values[choice] == 2
    hand.values[choice] = 1
    hand.press("enhance-trail", "input")
    recipe = hand.values[hand.find("enhance-recipe")]
    assert '"restore"' in recipe
    assert "upscale" not in recipe
    assert Path(hand.values[hand.find("enhance-download")]).name == "shoe-enhanced.png"


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
    EnhanceRequest("p", ("tone", "restore", "upscale-x3"), 0.5, adjust=(1.0, 0.0, 0.0, 0.0, 0.2, 0.0)),
    EnhanceRequest("p", ("cut-out",), cut_out_background="#102030", shadow=0.5),
    EnhanceRequest("p", ("cut-out", "upscale-x2"), cut_out_background="transparent"),
]


@pytest.mark.parametrize("request_", LINKS)
def test_a_link_to_a_chain_makes_it_again(hand: Hand, studio: StandIn, shoe: Any, request_: EnhanceRequest) -> None:
    hand.open(request_)
    hand.set(enhance_photo=shoe)
    assert asked(hand, studio).recipe() == request_.recipe()
