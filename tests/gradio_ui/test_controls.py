"""Every control of every tab is set to another value than it begins with, and the studio is asked for just that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hand import Hand, sent
from standin import StandIn

import gradio_ui
from engine.contract import (
    ADJUSTMENTS,
    REQUESTS,
    STEPS,
    EnhanceRequest,
    GenerateRequest,
    RecolourRequest,
    Setting,
    StyleRequest,
)
from gradio_ui import controls
from gradio_ui.words import said

FILE = object()  # an upload of its own, which the request has to name

# By tab: what the controls are set to, by their elem_ids with _ for -, and what the request then holds.
SET: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stylize": (
        {
            "photo": FILE,
            "more": ["scream"],
            "first_share": 0.25,
            "method": "gatys",
            "size_px": 320,
            "strength": 0.35,
            "brush_size": 2.25,
            "strokes": 0.15,
            "colours": "matched",
            "apply_to": "background",
            "feather_px": 7,
            "mask": FILE,
            "protect": FILE,
            "start": "fast",
            "steps": 33,
            "style_loss": "histogram",
            "optimizer": "lbfgs",
            "content_weight": 2.5,
            "style_weight": 3.5,
            "seed": 123,
            "network": "embedded",
        },
        {"style": "great-wave", "more_styles": ("scream",), "style_weights": (0.25, 0.75)},
    ),
    "enhance": (
        {
            "photo": FILE,
            "chain": list(STEPS),
            "strength": 0.35,
            "noise": 12,
            "crispness": 0.65,
            "prior_task": "fill",
            "marketplace": "amazon",
            "own_amounts": True,
            **{name: most * (0.3 + k / 20) for k, (name, most) in enumerate(ADJUSTMENTS.items())},
            "ground": "picture",
            "ground_picture": FILE,
            "shadow": 0.45,
            "product": FILE,
            "mask": FILE,
            "reference": FILE,
            "network": "hub",
            **{key: option.setting.high for key, option in STEPS.options().items()},
        },
        {
            "steps": tuple(STEPS),
            "adjust": tuple(most * (0.3 + k / 20) for k, most in enumerate(ADJUSTMENTS.values())),
            "cut_out_background": "picture",
        },
    ),
    "recolour": (
        {
            "photo": FILE,
            "colours": ["#102030", "#405060"],
            "source": " #aa0000,#bb0000 ",
            "strength": 0.35,
            "size_px": 640,
            "mask": FILE,
        },
        {"colours": ("#102030", "#405060"), "source": "#aa0000,#bb0000"},
    ),
    "generate": (
        {
            "category": "belt",
            "count": 5,
            "seed": 123,
            "new_seed": False,
            "truncation": 0.15,
            "scale": 2,
            "network": "studio",
            "as_it_comes": False,
            "colour": "rgba(16, 32, 48, 1)",
            "background": "colour",
            "background_colour": "#405060",
            "order": "drawn",
            "direction_1": 1.5,
            "direction_2": -0.5,
        },
        {"colour": "#102030", "background": "#405060", "directions": (1.5, -0.5)},
    ),
}
# What the page asks for by pressing something else than the tab's button, which has a test below or in test_tabs.py,
# and what it never asks for: a part is clicked, `fallback` goes with the comparison of two networks.
ELSEWHERE = {
    "enhance": {"crop", "fallback"},
    "generate": {"like", "distance", "walk_to", "photo", "sketch", "lines"},
}
# A thumbnail is chosen by a click, which test_tabs.py does; the page shows the best first, as the request does not.
BEGIN_OTHERWISE = {("stylize", "style"), ("generate", "order")}
LABELLED_OTHERWISE = {("stylize", "steps"): "steps_count"}
NAMED_OTHERWISE = {"ground": "ground_picture", "brush": "brush_size"}  # setting -> the control that holds it


def _files(verb: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The upload of each control that takes one, each of a colour of its own."""
    names = [name for name, value in SET[verb][0].items() if value is FILE]
    return {name: sent(folder / f"{verb}-{name}.png", colour=f"rgb({40 * k}, 9, 9)") for k, name in enumerate(names)}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, studio: StandIn) -> dict[str, tuple[Any, dict[str, Any]]]:
    """What the studio was asked for by each tab, all of whose controls were set, and the uploads."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        found = {}
        for verb, (values, _) in SET.items():
            hand, files = Hand(gradio_ui.build(studio)), _files(verb, folder)
            hand.set(**{f"{verb}_{name}": files.get(name, value) for name, value in values.items()})
            hand.press(f"{verb}-run")
            found[verb] = studio.requests[-1], files
        return found


@pytest.mark.parametrize(
    ("verb", "setting"),
    [(verb, key) for verb, kind in REQUESTS.items() for key in kind.settings() if key not in ELSEWHERE.get(verb, ())],
)
def test_the_request_holds_what_the_control_says(asked: Any, verb: str, setting: str) -> None:
    values, expected = SET[verb]
    request, files = asked[verb]
    control = NAMED_OTHERWISE.get(setting, setting)
    wanted = files[control]["path"] if control in files else expected.get(setting, values.get(control))
    got = request.values()[setting]
    assert got == (pytest.approx(wanted) if isinstance(got, tuple) and got and isinstance(got[0], float) else wanted)
    if (verb, setting) not in BEGIN_OTHERWISE:
        assert got != REQUESTS[verb].defaults().get(setting), "the control was left where it begins"


@pytest.mark.parametrize(
    ("verb", "setting"),
    [
        (verb, key)
        for verb, kind in REQUESTS.items()
        for key, setting in kind.settings().items()
        if setting.kind in ("number", "choice") and not setting.many and key not in ELSEWHERE.get(verb, ())
    ],
)
def test_a_control_is_labelled_with_the_words_of_its_setting(page: Any, verb: str, setting: str) -> None:
    """A slider built for one setting and handed over as another would hold the right value under the wrong name."""
    control = Hand(page).find(f"{verb}-{NAMED_OTHERWISE.get(setting, setting)}".replace("_", "-"))
    assert str(control.label) == str(said(LABELLED_OTHERWISE.get((verb, setting), setting)))
    if getattr(control, "info", None):
        assert str(control.info) == str(said(f"about.{verb}.{setting}"))


def test_the_choices_of_an_option_without_words_are_readable() -> None:
    class Grained(EnhanceRequest):
        @classmethod
        def settings(cls) -> Any:
            return {"grain_kind": Setting("choice", "what the grain is like", options=("film_400", "digital-x1", 3))}

        @classmethod
        def defaults(cls) -> Any:
            return {"grain_kind": "film_400"}

    control = controls.option(Grained, "grain_kind")
    assert control.choices == [("Film 400", "film_400"), ("Digital x1", "digital-x1"), ("3", 3)]
    assert control.label == "Grain kind"


def test_every_control_that_is_set_differs_from_every_other(asked: Any) -> None:
    """Two controls that were swapped are told only where they hold different values."""
    for verb, (values, _) in SET.items():
        numbers = [value for value in values.values() if isinstance(value, float) and value not in (0.35,)]
        assert len(set(numbers)) == len(numbers), verb


def test_a_photo_is_varied_as_closely_as_its_slider_says(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(generate_photo=shoe, generate_closeness=0.85, generate_distance=0.2)
    hand.press("generate-vary")
    request = studio.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert (request.photo, request.distance) == (shoe["path"], 0.85)


def test_a_picture_is_varied_as_far_as_its_own_slider_says(hand: Hand, studio: StandIn) -> None:
    hand.press("generate-run")
    hand.set(generate_recipe=json.dumps(GenerateRequest(seed=4).recipe()), generate_distance=0.65)
    number = next(f for f in hand.demo.fns.values() if (hand.find("generate-more")._id, "click") in f.targets and f.fn)
    state = [component for component in number.inputs if type(component).__name__ == "State"]
    for component in state:
        hand.values[component] = 3
    hand.set(generate_closeness=0.1, generate_count=6)
    hand.press("generate-more")
    request = studio.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert (request.like, request.distance, request.count) == (3, 0.65, 6)


def test_a_photo_s_edges_are_the_sketch(hand: Hand, studio: StandIn, shoe: Any) -> None:
    hand.set(generate_lines="photo", generate_lined_photo=shoe, generate_any=True)
    hand.press("generate-sketch")
    request = studio.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert (request.sketch, request.lines, request.category) == (shoe["path"], "photo", "any")


def test_the_tabs_are_those_of_the_requests() -> None:
    assert {"stylize", "enhance", "recolour", "generate"} == set(SET) == set(REQUESTS)
    assert {EnhanceRequest, GenerateRequest, RecolourRequest, StyleRequest} == set(REQUESTS.values())


def test_as_many_requests_wait_as_the_page_promises(page: Any) -> None:
    readme = (Path(gradio_ui.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"{gradio_ui.WAITING} requests may wait" in readme
    assert page._queue.max_size == gradio_ui.WAITING
