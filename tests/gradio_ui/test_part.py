"""A part of the photo on the page: the steps tried on it, two networks next to each other on it, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hand import Hand, sent
from PIL import Image
from standin import StandIn

from engine.contract.enhance import EnhanceRequest
from gradio_ui.part import PART_PX, WITHOUT, around, rivals, with_network

LARGE = (900, 700)


@pytest.fixture
def photo(hand: Hand, shoe: Any, tmp_path: Path) -> dict[str, Any]:
    """A photo that is larger than a part, in its place."""
    file = sent(tmp_path / "large.png", LARGE)
    hand.set(enhance_photo=file)
    return file


def click(hand: Hand, x: int, y: int) -> None:
    """Point at a spot of the photo."""
    function = next(f for f in hand.demo.fns.values() if (hand.find("enhance-photo")._id, "select") in f.targets)
    hand.values[function.outputs[0]] = function.fn(
        hand.values[function.inputs[0]], gr.SelectData(None, {"index": [x, y], "value": None})
    )


@pytest.mark.parametrize(
    ("spot", "box"),
    [
        (None, (258, 158, PART_PX, PART_PX)),
        ((450, 350), (258, 158, PART_PX, PART_PX)),
        ((0, 699), (0, 316, PART_PX, PART_PX)),
        ([899, 10], (516, 0, PART_PX, PART_PX)),
    ],
)
def test_a_part_lies_around_its_spot_and_on_the_photo(spot: Any, box: tuple[int, ...]) -> None:
    assert around(spot, *LARGE) == box


@pytest.mark.parametrize("size", [(1, 1), (100, 5000), (384, 384)])
def test_the_part_of_a_small_photo_is_as_much_as_there_is(size: tuple[int, int]) -> None:
    left, top, width, height = around((10**6, 10**6), *size)
    assert (left + width, top + height) == size
    assert (width, height) == (min(size[0], PART_PX), min(size[1], PART_PX))


def test_the_steps_are_tried_on_the_part_that_was_clicked(hand: Hand, studio: StandIn, photo: Any) -> None:
    hand.press("enhance-try")
    middle = studio.requests[-1]
    click(hand, 10, 20)
    hand.press("enhance-try")
    corner = studio.requests[-1]
    assert isinstance(middle, EnhanceRequest)
    assert (middle.crop, middle.steps) == ((258, 158, PART_PX, PART_PX), ("restore", "upscale-x4"))
    assert corner == EnhanceRequest(photo["path"], crop=(0, 0, PART_PX, PART_PX))
    assert hand.visible[hand.find("enhance-part")]
    assert not hand.visible[hand.find("enhance-final")]
    assert "stand-in on CPU" in hand.values[hand.find("enhance-line")]
    assert hand.values[hand.find("enhance-download")] is None, "a part is looked at, not kept"


def test_another_photo_is_looked_at_in_its_middle(hand: Hand, studio: StandIn, photo: Any, tmp_path: Path) -> None:
    click(hand, 10, 20)
    hand.set(enhance_photo=sent(tmp_path / "another.png", LARGE))
    hand.press("enhance-try")
    assert studio.requests[-1].crop[:2] == (258, 158)  # type: ignore[union-attr]


def test_steps_for_the_whole_photo_are_left_out_of_a_part_and_the_line_says_so(
    hand: Hand, studio: StandIn, photo: Any
) -> None:
    hand.set(enhance_chain=["restore", "prior", "listing"])
    hand.press("enhance-try")
    assert studio.requests[-1].steps == ("restore",)  # type: ignore[union-attr]
    assert (
        "takes the whole photo: Deep Image Prior: learns from this photo alone, Crop and size for a marketplace."
        in hand.values[hand.find("enhance-line")]
    )
    hand.set(enhance_chain=["listing"])
    with pytest.raises(gr.Error, match="work on the whole photo only"):
        hand.press("enhance-try")


def test_without_a_photo_there_is_nothing_to_try(hand: Hand) -> None:
    for button in ("enhance-try", "enhance-rivals-run"):
        with pytest.raises(gr.Error, match="Add a photo first"):
            hand.press(button)


def test_the_way_back_leads_to_the_whole_photo(hand: Hand, photo: Any) -> None:
    hand.press("enhance-try")
    assert not hand.visible[hand.find("enhance-part-back")], "there is no whole photo to go back to"
    hand.set(enhance_chain=["restore"])
    hand.press("enhance-run")
    assert not hand.visible[hand.find("enhance-part").parent]
    hand.press("enhance-try")
    assert hand.visible[hand.find("enhance-part-back")]
    hand.press("enhance-part-back")
    assert hand.visible[hand.find("enhance-final")]
    assert not hand.visible[hand.find("enhance-part").parent]


def _rivals(hand: Hand, a: str, b: str, step: str = "restore") -> None:
    hand.set(enhance_rival_step=step, enhance_rival_a=a, enhance_rival_b=b)
    hand.press("enhance-rivals-run")


def test_two_networks_work_on_the_same_part_and_each_says_its_name(hand: Hand, studio: StandIn, photo: Any) -> None:
    click(hand, 899, 699)
    _rivals(hand, "restore", "dcgan")  # a network that the stand-in has
    first, second = studio.requests[-2:]
    assert isinstance(first, EnhanceRequest)
    assert isinstance(second, EnhanceRequest)
    assert (first.network, second.network) == ("restore", "dcgan")
    assert first.crop == second.crop == (516, 316, PART_PX, PART_PX)
    assert first.fallback == second.fallback == "none"
    assert first.steps == second.steps == ("restore", "upscale-x4")
    assert [
        "A · restore" in hand.values[hand.find("enhance-part-A")],
        "B · dcgan" in hand.values[hand.find("enhance-part-B")],
    ] == [True, True]


def test_a_network_that_cannot_be_had_is_a_sentence_and_the_other_still_shows(hand: Hand, photo: Any) -> None:
    _rivals(hand, "scunet", "restore")
    said = hand.values[hand.find("enhance-part-A")]
    assert "There is no network &#x27;scunet&#x27;." in said
    assert "The photo as it is stands here." in said
    assert "stand-in on CPU" in hand.values[hand.find("enhance-part-B")]
    assert hand.visible[hand.find("enhance-part")]


def test_when_neither_can_be_had_that_is_the_sentence(hand: Hand, photo: Any) -> None:
    with pytest.raises(gr.Error, match="There is no network 'scunet'"):
        _rivals(hand, "scunet", "swinir")


def test_with_and_without_a_step_are_compared(hand: Hand, studio: StandIn, photo: Any) -> None:
    hand.set(enhance_chain=["restore"])
    _rivals(hand, "restore", WITHOUT)
    assert len(studio.requests) == 1, "without its only step there is nothing to run"
    assert "B · without restore" in hand.values[hand.find("enhance-part-B")]
    assert "The photo as it is." in hand.values[hand.find("enhance-part-B")]
    hand.set(enhance_chain=["restore", "tone"])
    _rivals(hand, "restore", WITHOUT)
    assert [request.steps for request in studio.requests[-2:]] == [("restore", "tone"), ("tone",)]  # type: ignore[union-attr]


def test_the_crisp_enlargement_is_compared_with_the_faithful_one(hand: Hand, studio: StandIn, photo: Any) -> None:
    hand.set(enhance_rival_step="upscale-x4", enhance_crispness=0.5)
    hand.press("enhance-rival-step", "change")
    assert [hand.values[hand.find(f"enhance-rival-{side}")] for side in "ab"] == ["upscale-x4", "upscale-x4-crisp"], (
        "both are here"
    )
    hand.press("enhance-rivals-run")
    faithful, crisp = studio.requests[-2:]
    assert isinstance(faithful, EnhanceRequest)
    assert isinstance(crisp, EnhanceRequest)
    assert (faithful.network, faithful.crispness) == ("upscale-x4", 0.0), (
        "each network alone, whatever the blend was set to"
    )
    assert crisp == replace(faithful, crispness=1.0)
    assert "B · upscale-x4-crisp" in hand.values[hand.find("enhance-part-B")]
    _rivals(hand, "restore", WITHOUT, "restore")
    assert studio.requests[-2].crispness == 0.5, "no other step has a temper"  # type: ignore[union-attr]


def test_a_network_is_not_compared_with_itself(hand: Hand, photo: Any) -> None:
    with pytest.raises(gr.Error, match="Choose two different networks"):
        _rivals(hand, "restore", "restore")


def test_a_step_that_is_off_is_compared_all_the_same(hand: Hand, studio: StandIn, photo: Any) -> None:
    hand.set(enhance_chain=[])
    _rivals(hand, "restore", "dcgan")
    assert [request.steps for request in studio.requests] == [("restore",), ("restore",)]  # type: ignore[union-attr]


def test_one_enlargement_takes_the_place_of_another() -> None:
    request = EnhanceRequest("p", steps=("restore", "upscale-x4", "listing"))
    order = ["restore", "upscale-x2", "upscale-x4", "listing"]
    assert with_network(request, "upscale-x2", "realesrgan-x2", order) == EnhanceRequest(
        "p", steps=("restore", "upscale-x2", "listing"), network="realesrgan-x2", fallback="none"
    )


def test_a_step_offers_its_own_networks_and_begins_with_those_that_answer_without_a_connection(hand: Hand) -> None:
    assert [(str(name), value) for name, value in hand.find("enhance-rival-a").choices[:2]] == [
        ("restore (built in)", "restore"),
        ("scunet (Hub, not fetched)", "scunet"),
    ]
    assert [hand.values[hand.find(f"enhance-rival-{side}")] for side in "ab"] == ["restore", WITHOUT]


@pytest.mark.parametrize(
    ("where", "first"),
    [("cache", ("a", "b")), ("memory", ("a", "b")), ("Hub", ("a", WITHOUT)), ("missing", ("a", WITHOUT))],
)
def test_two_networks_that_are_here_are_compared_first(where: str, first: tuple[str, str]) -> None:
    with gr.Blocks():
        made = rivals(
            [{"name": "a", "task": "restore", "where": "weights/"}, {"name": "b", "task": "restore", "where": where}]
        )
    assert tuple(network.value for network in made.networks) == first


def test_both_pictures_of_a_slider_are_of_one_size(hand: Hand, photo: Any) -> None:
    """One enlarges and the other does not: both are shown at the size of the right one."""
    sizes = []
    function = next(
        f
        for f in hand.demo.fns.values()
        if (hand.find("enhance-rivals-run")._id, "click") in f.targets and f.fn is not None
    )
    hand.set(enhance_rival_step="upscale-x4", enhance_rival_a=WITHOUT, enhance_rival_b="restore")
    slider = hand.find("enhance-part")
    for updates in function.fn({component: hand.values.get(component) for component in function.inputs}):
        for file in updates[slider]["value"] if slider in updates and "value" in updates[slider] else ():
            with Image.open(file) as shown:
                sizes.append(shown.size)
    assert sizes[0] == sizes[1]
