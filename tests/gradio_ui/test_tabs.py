"""The tabs, pressed by a hand without a browser: what a button asks of the studio, and what the page shows of its
answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hand import Hand, canvas, sent
from PIL import Image
from standin import StandIn

from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.contract.recolour import RecolourRequest
from engine.contract.style import StyleRequest
from engine.pictures import PictureFiles
from engine.settings import Settings
from gradio_ui import example_pictures, generate
from gradio_ui.files import drawn_number, shareable
from gradio_ui.motion import MOST_PX, motion
from gradio_ui.sketch import PAD_PX, laid
from gradio_ui.stage import stage


def _generated(hand: Hand, **values: Any) -> None:
    hand.set(**values)
    hand.press("generate-run")


def _choose(hand: Hand, place: int, files: list[Path]) -> None:
    """Click a picture of the wall."""
    kept = [{"path": str(file)} for file in files]
    panel = next(f for f in hand.demo.fns.values() if (hand.find("generate-final")._id, "select") in f.targets)
    recipe, _, drawn = (hand.values[component] for component in panel.inputs)
    event = gr.SelectData(None, {"index": place, "value": None})
    hand.take(panel.fn(recipe, kept, drawn, event))


def _wall(tmp_path: Path, *numbers: int) -> list[Path]:
    return [tmp_path / f"shoe-7-{number:02d}-vitrine-{place:02d}.png" for place, number in enumerate(numbers, 1)]


def test_a_first_press_generates_at_once(hand: Hand, studio: StandIn) -> None:
    hand.press("generate-run")
    asked = studio.requests[-1]
    assert asked == GenerateRequest(seed=asked.seed, order="best")
    assert hand.visible[hand.find("generate-final")]


def test_the_settings_of_the_tab_are_the_request_s(hand: Hand, studio: StandIn) -> None:
    hand.set(
        generate_as_it_comes=False,
        generate_colour="rgba(18, 52.4, 86, 1)",
        generate_background="transparent",
        generate_direction_2=-1.5,
    )
    hand.press("generate-run")
    asked = studio.requests[-1]
    assert (asked.colour, asked.background, asked.directions) == ("#123456", "transparent", (0, -1.5))


ASKED = [
    GenerateRequest(category="watch", count=5, seed=9, truncation=0.4, scale=2, network="dcgan"),
    GenerateRequest(
        category="belt", count=3, seed=1, colour="#123456", background="#ffeedd", order="best", directions=(1.0, -2.0)
    ),
    GenerateRequest(category="tie", count=4, seed=2, background="transparent", lines="photo"),
]


@pytest.mark.parametrize("asked", ASKED)
def test_a_link_to_generated_pictures_makes_them_again(hand: Hand, studio: StandIn, asked: GenerateRequest) -> None:
    hand.open(asked)
    hand.press("generate-run")
    assert studio.requests[-1].recipe() | {"lines": asked.lines} == asked.recipe()
    assert hand.values[hand.find("v-tabs")] == "generate"


@pytest.mark.parametrize(
    ("button", "asked"),
    [
        (
            "generate-more",
            GenerateRequest(
                category="shoe", count=5, seed=9, truncation=0.4, scale=2, network="dcgan", like=3, distance=0.7
            ),
        ),
        ("generate-walk", GenerateRequest(category="heel", count=8, seed=9, colour="#123456", like=2, walk_to=11)),
    ],
)
def test_a_link_to_variations_or_a_walk_makes_them_again(
    hand: Hand, studio: StandIn, button: str, asked: GenerateRequest
) -> None:
    hand.open(asked)
    assert hand.visible[hand.find("generate-picked")]
    hand.press(button)
    assert studio.requests[-1].recipe() == asked.recipe()


def test_more_like_a_picture_is_asked_for_by_the_number_it_was_drawn_under(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    _generated(hand, generate_count=3)
    seed = studio.requests[-1].seed
    _choose(hand, 0, _wall(tmp_path, 3, 1, 2))  # the best one was drawn third
    hand.press("generate-more")
    assert studio.requests[-1] == GenerateRequest(seed=seed, count=3, like=3, order="best")


def test_variations_lead_back_to_where_they_came_from(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    _generated(hand)
    first = studio.requests[-1]
    _choose(hand, 1, _wall(tmp_path, 1, 2))
    hand.press("generate-more")
    assert not hand.visible[hand.find("generate-picked")]
    _choose(hand, 0, _wall(tmp_path, 1, 2))
    assert not hand.visible[hand.find("generate-more").parent.parent]  # a variation has no number to be varied by
    assert hand.visible[hand.find("generate-back")]
    hand.press("generate-back")
    assert studio.requests[-1] == first


def test_a_walk_is_shown_in_motion_with_its_frames(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    _generated(hand)
    assert not hand.visible[hand.find("generate-motion")]
    _choose(hand, 1, _wall(tmp_path, 1, 2, 3))
    hand.press("generate-walk")
    asked = studio.requests[-1]
    assert (asked.like, asked.walk_to, asked.count) == (2, 1, 12)
    assert hand.visible[hand.find("generate-motion")]
    assert [Path(hand.values[hand.find(f"generate-download-{kind}")]).suffix for kind in ("webp", "gif")] == [
        ".webp",
        ".gif",
    ]
    hand.press("generate-run")
    assert not hand.visible[hand.find("generate-motion")]


def test_a_chosen_picture_goes_to_another_tab(hand: Hand, shoe: Any, tmp_path: Path) -> None:
    _generated(hand)
    with pytest.raises(gr.Error, match="click the one to send"):
        hand.press("generate-to-style")
    files = _wall(tmp_path, 1, 2)
    _choose(hand, 1, files)
    for button, verb in (
        ("generate-to-style", "stylize"),
        ("generate-to-enhance", "enhance"),
        ("generate-enlarge", "enhance"),
    ):
        hand.press(button)
        assert (hand.values[hand.find("v-tabs")], hand.values[hand.find(f"{verb}-photo")]) == (verb, str(files[1]))
    assert hand.values[hand.find("enhance-chain")] == ["upscale-x4"]


def test_a_drawing_becomes_a_product_by_a_network_that_can(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(generate_pad=None)
    with pytest.raises(gr.Error, match="Draw something first"):
        hand.press("generate-sketch")
    hand.set(
        generate_pad={"background": None, "layers": [shoe], "composite": shoe},
        generate_network="dcgan",
        generate_direction_1=2,
    )
    hand.press("generate-sketch")
    asked = studio.requests[-1]
    assert asked.directions == (), "a dial that was turned before is none of a drawing's"
    assert (asked.sketch, asked.lines, asked.network, asked.category) == (shoe["path"], "drawn", "auto", "shoe")
    hand.set(generate_any=True)
    hand.press("generate-sketch")
    assert studio.requests[-1].category == "any"


def test_the_strips_have_photos_where_photos_go_and_drawings_on_the_pad() -> None:
    assert [
        file.name
        for file in example_pictures.example_photos() + example_pictures.example_photos(spoiled=True)
        if file.name.startswith("drawing-")
    ] == []
    drawn = laid(example_pictures.example_drawings()[0])["composite"]
    assert (drawn.size, drawn.mode) == ((PAD_PX, PAD_PX), "RGB")
    assert drawn.convert("L").getextrema()[0] < 80


def test_an_example_drawing_chooses_its_own_category() -> None:
    for file in example_pictures.example_drawings():
        sheet, category = generate._example(file)
        assert sheet["composite"].size == (PAD_PX, PAD_PX)
        assert category["value"] in CATEGORIES
        assert category["value"] in file.name
        assert category["value"] in [name for _, name in category["choices"]]


def test_a_network_that_knows_more_offers_more(hand: Hand, studio: StandIn) -> None:
    category = hand.find("generate-category")
    hand.open(GenerateRequest(category="backpack", network="var-d16"))
    assert hand.values[category] == "backpack"
    hand.set(generate_network="auto")
    hand.press("generate-network", "change")
    assert hand.values[category] == "shoe"


def test_the_edges_of_a_photo_are_taken_for_a_drawing(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(generate_lines="photo")
    with pytest.raises(gr.Error, match="Add the photo whose edges"):
        hand.press("generate-sketch")
    hand.set(generate_lined_photo=shoe)
    hand.press("generate-sketch")
    assert (studio.requests[-1].sketch, studio.requests[-1].lines) == (shoe["path"], "photo")


def test_one_s_own_photo_is_varied_and_walked_from(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match="Add a photo first"):
        hand.press("generate-vary")
    hand.set(generate_photo=shoe)
    hand.press("generate-vary")
    assert (studio.requests[-1].photo, studio.requests[-1].walk_to) == (shoe["path"], 0)
    _choose(hand, 0, _wall(tmp_path, 1, 2))
    assert not hand.visible[hand.find("generate-more").parent.parent]  # the seed alone does not make it again
    hand.press("generate-leave")
    assert (studio.requests[-1].photo, studio.requests[-1].walk_to) == (shoe["path"], 1)
    assert hand.visible[hand.find("generate-motion")]


def test_two_models_draw_the_same_seed_and_category(hand: Hand, studio: StandIn) -> None:
    hand.press("generate-compare-run")
    a, b = studio.requests[-2:]
    assert (a.network, b.network) == ("auto", "dcgan")
    assert a.recipe() | {"network": ""} == b.recipe() | {"network": ""}
    for side in "AB":
        assert len(hand.values[hand.find(f"generate-pair-{side}")]) == 9
        assert Path(hand.values[hand.find(f"generate-download-{side}")]).name == f"vitrine-pictures-{side}.zip"
    assert not hand.visible[hand.find("generate-final")]
    hand.set(generate_second_network=None)
    with pytest.raises(gr.Error, match="Choose another model"):
        hand.press("generate-compare-run")


def test_two_styles_stand_side_by_side_and_the_next_result_alone(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(stylize_photo=shoe)
    hand.press("stylize-compare-run")
    a, b = studio.requests[-2:]
    assert (a.style, b.style, a.method, b.method) == ("great-wave", "starry-night", "fast", "fast")
    assert "Great wave, fast" in hand.values[hand.find("stylize-note-A")]
    assert "Starry night, fast" in hand.values[hand.find("stylize-note-B")]
    assert [recipe["style"] for recipe in json.loads(hand.values[hand.find("stylize-recipe")])] == [
        "great-wave",
        "starry-night",
    ]
    pair = hand.find("stylize-pair").parent
    assert (hand.visible[pair], hand.visible[hand.find("stylize-final")]) == (True, False)
    hand.press("stylize-run")
    assert (hand.visible[pair], hand.visible[hand.find("stylize-final")]) == (False, True)


def test_two_methods_stand_side_by_side(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(stylize_photo=shoe, stylize_second_style="", stylize_second_method="reinhard")
    hand.press("stylize-compare-run")
    assert [(asked.style, asked.method) for asked in studio.requests[-2:]] == [
        ("great-wave", "fast"),
        ("great-wave", "reinhard"),
    ]


def test_a_comparison_with_itself_is_refused_before_anything_runs(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(stylize_photo=shoe, stylize_second_style="")
    with pytest.raises(gr.Error, match="Choose another style or another method"):
        hand.press("stylize-compare-run")
    assert not studio.requests


def test_own_style_pictures_are_mixed_by_their_weights(hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path) -> None:
    second = sent(tmp_path / "art.png", colour="blue")
    hand.set(stylize_photo=shoe, stylize_own_1=shoe, stylize_own_2=second, stylize_weight_2=0.5)
    hand.press("stylize-run")
    asked = studio.requests[-1]
    assert asked.styles == (shoe["path"], second["path"])
    assert asked.style_weights == (1.0, 0.5)
    hand.set(stylize_more=["scream"])
    hand.press("stylize-run")
    assert studio.requests[-1].styles == (shoe["path"], second["path"], "scream")
    assert studio.requests[-1].shares == pytest.approx((1 / 3, 1 / 6, 1 / 2))


def test_a_place_for_the_next_own_picture_appears_when_the_last_is_taken(hand: Hand, shoe: Any) -> None:
    slots = [hand.find(f"stylize-own-{k}").parent for k in (1, 2, 3, 4)]
    assert [hand.visible[slot] for slot in slots] == [True, False, False, False]
    hand.set(stylize_own_1=shoe)
    hand.press("stylize-own-1", "change")
    assert [hand.visible[slot] for slot in slots] == [True, True, False, False]
    assert not hand.visible[hand.find("stylize-weight-1")]  # one alone has nothing to be weighed against
    hand.set(stylize_own_2=shoe)
    hand.press("stylize-own-2", "change")
    assert hand.visible[hand.find("stylize-weight-1")]


def test_five_styles_and_no_weight_at_all_are_sentences(hand: Hand, shoe: Any) -> None:
    hand.set(stylize_photo=shoe, stylize_own_1=shoe, stylize_own_2=shoe, stylize_more=["scream", "mosaic", "fauves"])
    with pytest.raises(gr.Error, match="At most 4 styles can be mixed, not 5"):
        hand.press("stylize-run")
    hand.set(stylize_more=[], stylize_weight_1=0, stylize_weight_2=0)
    with pytest.raises(gr.Error, match="At least one style needs a weight above 0"):
        hand.press("stylize-run")
    hand.set(stylize_weight_1=float("nan"))
    with pytest.raises(gr.Error, match="A style's weight must be a number from 0 to 1"):
        hand.press("stylize-run")


@pytest.mark.parametrize(
    "asked",
    [
        StyleRequest("photo", style="great-wave", strength=0.5, apply_to="background", seed=4),
        StyleRequest(
            "photo",
            style="scream",
            more_styles=("mosaic", "fauves"),
            style_weights=(0.5, 0.25, 0.25),
            method="gatys",
            start="fast",
        ),
        StyleRequest("photo", style="candy", method="johnson"),
    ],
)
def test_a_link_to_a_style_makes_it_again(hand: Hand, studio: StandIn, shoe: Any, asked: StyleRequest) -> None:
    hand.open(asked)
    hand.set(stylize_photo=shoe)
    if asked.method == "johnson":
        with pytest.raises(gr.Error):  # the stand-in has no such network
            hand.press("stylize-run")
    else:
        hand.press("stylize-run")
    assert studio.requests[-1].recipe() == asked.recipe()


def test_a_recipe_of_own_pictures_keeps_their_weights_and_asks_for_them(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    hand.open(
        StyleRequest("photo", style="upload:a", more_styles=("upload:b", "scream"), style_weights=(0.5, 0.25, 0.25))
    )
    assert (
        "2 of its styles were pictures, which you have to add: upload:a, upload:b."
        in hand.values[hand.find("stylize-line")]
    )
    hand.set(stylize_photo=shoe, stylize_own_1=shoe, stylize_own_2=sent(tmp_path / "art.png"))
    hand.press("stylize-run")
    assert studio.requests[-1].shares == pytest.approx((0.5, 0.25, 0.25))


def test_the_place_of_a_style_picture_on_this_machine_stays_untold() -> None:
    assert shareable({"style": "/tmp/x/a.png", "more_styles": ["/tmp/y/b.png", "scream"]}) == {
        "style": "a.png",
        "more_styles": ["b.png", "scream"],
    }


def test_the_tab_colours_has_the_brush_for_the_product_alone(
    hand: Hand, studio: StandIn, shoe: Any, tmp_path: Path
) -> None:
    hand.set(recolour_photo=shoe)
    hand.press("recolour-find")
    drawn = hand.values[hand.find("recolour-brush")]
    assert hand.visible[hand.find("recolour-brush")]
    assert len(hand.find("recolour-brush").brush.colors) == 1
    shown = hand.values[hand.find("recolour-mask")]
    with Image.open(shown) as mask:
        assert mask.size == drawn["background"].size
        assert [mask.getpixel((mask.width // 2, mask.height // 2)), mask.getpixel((1, 1))] == [255, 0]
    hand.set(recolour_mask={"path": shown}, recolour_brush=canvas(drawn, tmp_path))
    hand.press("recolour-run")
    assert studio.requests[-1] == RecolourRequest(shoe["path"], mask=shown)


@pytest.mark.parametrize(
    ("name", "number"),
    [("shoe-7-03-vitrine-01.png", 3), ("shoe-7-12-vitrine.png", 12), ("shoe-recoloured-02.png", None), ("x.png", None)],
)
def test_a_picture_s_name_tells_its_number(name: str, number: int | None) -> None:
    assert drawn_number(name) == number


def test_a_walk_moves_as_webp_and_as_gif(tmp_path: Path) -> None:
    frames = []
    for k in range(4):
        frames.append(str(tmp_path / f"{k}.png"))
        Image.new("RGB", (800, 400), (60 * k, 0, 0)).save(frames[-1])
    with gr.Blocks():
        shown = motion(stage(PictureFiles(Settings()), "walk")).filled(frames, tmp_path)
    files = [value for value in shown.values() if isinstance(value, str)]
    assert {Path(file).suffix for file in files} == {".webp", ".gif"}
    for file in files:
        with Image.open(file) as walk:
            assert (walk.size, walk.n_frames) == ((MOST_PX, MOST_PX // 2), 6)
