"""Requests check themselves; recipes come back as the requests they were; a result reports itself."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from engine.contract.enhance import STEPS, EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Notes, Result
from engine.contract.fields import RECIPE_VERSION, SEED_MAX, Request
from engine.contract.generate import CATEGORIES, GenerateRequest
from engine.contract.recipe import REQUESTS, from_recipe
from engine.contract.style import StyleRequest

ONE_OF_EACH: tuple[tuple[Request, dict[str, str]], ...] = (
    (StyleRequest("p.png", style="great-wave", size_px=300, steps=7, strength=0.5, seed=9), {"photo": "p.png"}),
    (EnhanceRequest("p.png", steps=("deblur", "upscale-x2"), strength=0.3, network="nafnet-gopro"), {"photo": "p.png"}),
    (EnhanceRequest("p.png", steps=("inpaint",), mask="m.png"), {"photo": "p.png", "mask": "m.png"}),
    (EnhanceRequest("p.png", steps=("auto",), crop=(0, 8, 512, 256)), {"photo": "p.png"}),
    (EnhanceRequest("p.png", steps=("tone", "upscale-x3"), adjust=(-4.0, 0.5, 0.0, 1, -0.6, 0.0)), {"photo": "p.png"}),
    (
        EnhanceRequest(
            "p.png", steps=("cut-out", "listing"), cut_out_background="#FFeedd", shadow=0.4, marketplace="amazon"
        ),
        {"photo": "p.png"},
    ),
    (
        EnhanceRequest("p.png", steps=("cut-out",), cut_out_background="picture", ground="g.png"),
        {"photo": "p.png", "ground": "g.png"},
    ),
    (
        EnhanceRequest("p.png", steps=("upscale-x2",), crispness=0.4, network="realesrgan-x2", fallback="none"),
        {"photo": "p.png"},
    ),
    (EnhanceRequest("p.png", steps=("prior",), prior_task="fill", mask="m.png"), {"photo": "p.png", "mask": "m.png"}),
    (GenerateRequest(category="handbag", count=4, seed=11, truncation=0.2, scale=2), {}),
    (
        GenerateRequest(
            colour="#cc3322",
            background="transparent",
            order="best",
            like=3,
            distance=0.5,
            walk_to=36,
            directions=(-3.0, 0.0, 1.5),
        ),
        {},
    ),
    (GenerateRequest(background="#FFeedd", photo="p.png", walk_to=1), {"photo": "p.png"}),
    (GenerateRequest(sketch="p.png", lines="photo"), {"sketch": "p.png"}),
)


@pytest.mark.parametrize(("request_", "files"), ONE_OF_EACH)
def test_a_recipe_comes_back_as_the_request_it_was(request_: Request, files: dict[str, str]) -> None:
    assert from_recipe(json.loads(json.dumps(request_.recipe())), **files) == request_


@pytest.mark.parametrize(("request_", "files"), ONE_OF_EACH)
def test_a_recipe_names_no_file(request_: Request, files: dict[str, str]) -> None:
    assert not set(request_.recipe()) & set(files)
    assert "p.png" not in json.dumps(request_.recipe())


@pytest.mark.parametrize(("request_", "files"), ONE_OF_EACH)
def test_requests_are_values(request_: Request, files: dict[str, str]) -> None:
    assert pickle.loads(pickle.dumps(request_)) == request_
    with pytest.raises(AttributeError):
        request_.network = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", REQUESTS.values())
def test_every_field_says_what_it_is_and_every_default_is_within_its_own_bounds(kind: type[Request]) -> None:
    assert all(setting.about for setting in kind.settings().values())
    kind.of({"photo": "p.png"})


@pytest.mark.parametrize("kind", REQUESTS.values())
def test_numbers_outside_their_bounds_are_one_sentence_that_names_them(kind: type[Request]) -> None:
    photo: dict[str, Any] = {key: "p.png" for key, setting in kind.settings().items() if setting.required}
    single = {key: s for key, s in kind.settings().items() if s.kind == "number" and not s.many}
    for key, setting in single.items():
        needed = photo | ({"like": 1} if key == "walk_to" else {})
        low, high = setting.low, setting.high
        for wrong in (low - 1, high + 1, 10**400, float("nan"), float("inf"), -float("inf"), "5", None, True, [1]):
            with pytest.raises(RequestError, match=rf"from {low} to {high}, not .*\.$"):
                kind.of(needed | {key: wrong})
        assert kind.of(needed | {key: low or high}).values()[key] == (low or high)


def test_whole_numbers_may_come_as_floats_but_not_as_fractions() -> None:
    assert isinstance(GenerateRequest(count=4.0).count, int)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"Count must be a whole number from 1 to 36, not 4\.5\."):
        GenerateRequest(count=4.5)  # type: ignore[arg-type]


def test_a_choice_between_numbers_is_the_number_itself() -> None:
    assert repr(GenerateRequest(scale=2.0).scale) == "2"  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"Scale must be one of 1, 2, 4, not True\."):
        GenerateRequest(scale=True)


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        (StyleRequest, {"photo": ""}, "Add a photo first."),
        (EnhanceRequest, {"photo": None}, "Add a photo first."),
        (StyleRequest, {"photo": "p", "style": ""}, "Choose a style preset or give a style picture."),
        (
            StyleRequest,
            {"photo": "p", "method": "magic"},
            "Method must be one of fast, gatys, johnson, reinhard, monge-kantorovich, sliced-transport, not 'magic'.",
        ),
        (
            StyleRequest,
            {"photo": "p", "content_weight": 0, "style_weight": 0},
            "Content weight and style weight cannot both be 0.",
        ),
        (EnhanceRequest, {"photo": "p", "steps": ()}, f"Choose at least one step: {', '.join(STEPS)}."),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("polish",)},
            f"There is no step 'polish'; the steps are {', '.join(STEPS)}.",
        ),
        (EnhanceRequest, {"photo": "p", "steps": "restore"}, "Steps must be a list of names, not 'restore'."),
        (EnhanceRequest, {"photo": "p", "steps": ("restore", "restore")}, "Each step can be used once in a chain."),
        (EnhanceRequest, {"photo": "p", "product": 5}, "Product must be a picture file."),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("listing", "restore")},
            "Listing crops and sizes the picture for good, so it is the last step of a chain.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("inpaint",)},
            "Inpainting needs a mask that is white where the photo is to be filled.",
        ),
        (EnhanceRequest, {"photo": "p", "mask": {"path": "x"}}, "Mask must be a picture file."),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("prior",), "prior_task": "fill"},
            "Filling needs a mask that is white where the photo is to be filled.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "prior_task": "dream"},
            "Prior task must be one of denoise, fill, enlarge, not 'dream'.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("auto", "restore")},
            "Auto chooses the steps itself, so it stands alone in a chain.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "crop": (0, 0, 10)},
            "A crop is four whole numbers, left, top, width and height, not 0, 0, 10.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "crop": (0, 0, 0, 9)},
            "A crop is four whole numbers, left, top, width and height, not 0, 0, 0, 9.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "crop": (-1, 0, 9, 9)},
            "Crop must be a whole number from 0 to 1000000, not -1.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("listing",), "crop": (0, 0, 9, 9)},
            "A listing picture frames the whole photo, so it cannot be made of a part.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "steps": ("cut-out",), "cut_out_background": "picture"},
            "Add the picture that the product is to be laid on.",
        ),
        (EnhanceRequest, {"photo": "p", "ground": 3}, "Ground must be a picture file."),
        (EnhanceRequest, {"photo": "p", "fallback": "hub"}, "Fallback must be one of embedded, none, not 'hub'."),
        (EnhanceRequest, {"photo": "p", "adjust": "warm"}, "Adjust must be a list of numbers, not 'warm'."),
        (
            EnhanceRequest,
            {"photo": "p", "adjust": (1.0, 0.0)},
            "Adjust takes 6 amounts (exposure, temperature, tint, shadows, contrast, saturation), not 2.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "adjust": (0, 0, 0.7, 0, 0, 0)},
            "Tint must be a number from -0.6 to 0.6, not 0.7.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "adjust": (0, float("nan"), 0, 0, 0, 0)},
            "Temperature must be a number from -1.0 to 1.0, not nan.",
        ),
        (
            EnhanceRequest,
            {"photo": "p", "cut_out_background": "red"},
            "Cut out background must be white, transparent, picture or a colour as #rrggbb, not 'red'.",
        ),
        (EnhanceRequest, {"photo": "p", "marketplace": ""}, "Marketplace must be a name, not ''."),
        (GenerateRequest, {"network": ""}, "Network must be a name, not ''."),
        (GenerateRequest, {"category": "hat"}, f"Category must be one of {', '.join(CATEGORIES)}, not 'hat'."),
        (GenerateRequest, {"count": 0}, "Count must be a whole number from 1 to 36, not 0."),
        (GenerateRequest, {"count": 1000}, "Count must be a whole number from 1 to 36, not 1000."),
        (GenerateRequest, {"truncation": float("nan")}, "Truncation must be a number from 0.0 to 1.0, not nan."),
        (GenerateRequest, {"colour": "red"}, "A colour is written as #rrggbb, not as 'red'."),
        (GenerateRequest, {"colour": None}, "A colour is written as #rrggbb, not as None."),
        (
            GenerateRequest,
            {"background": "#12345"},
            "Background must be white, transparent or a colour as #rrggbb, not '#12345'.",
        ),
        (
            GenerateRequest,
            {"background": ["white"]},
            "Background must be white, transparent or a colour as #rrggbb, not ['white'].",
        ),
        (GenerateRequest, {"order": "worst"}, "Order must be one of drawn, best, not 'worst'."),
        (GenerateRequest, {"directions": "1"}, "Directions must be a list of numbers, not '1'."),
        (GenerateRequest, {"directions": (0, 3.5)}, "Directions must be a number from -3.0 to 3.0, not 3.5."),
        (GenerateRequest, {"directions": (float("nan"),)}, "Directions must be a number from -3.0 to 3.0, not nan."),
        (GenerateRequest, {"directions": (0,) * 65}, "At most 64 directions can be given, not 65."),
        (GenerateRequest, {"photo": ""}, "Photo must be a picture file."),
        (GenerateRequest, {"sketch": {"path": "x"}}, "Sketch must be a picture file."),
        (GenerateRequest, {"photo": "p", "sketch": "s"}, "Give a photo or a sketch, not both."),
        (GenerateRequest, {"photo": "p", "like": 2}, "With a photo it is the photo that is varied; leave like at 0."),
        (GenerateRequest, {"walk_to": 2}, "A walk starts from a picture: give its number as like."),
        (
            GenerateRequest,
            {"like": 2, "walk_to": 2},
            "A walk leads from one picture to another; choose two different ones.",
        ),
        (GenerateRequest, {"like": 2, "walk_to": 3, "count": 1}, "A walk has at least 2 pictures."),
    ],
)
def test_mistakes_are_one_sentence(kind: type[Request], settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        kind(**settings)
    assert str(caught.value) == sentence


def test_a_recipe_of_before_there_were_colours_and_walks_still_holds() -> None:
    old = {
        "vitrine": 1,
        "verb": "generate",
        "category": "tie",
        "count": 4,
        "seed": 3,
        "truncation": 0.5,
        "scale": 2,
        "network": "auto",
    }
    assert from_recipe(old) == GenerateRequest(category="tie", count=4, seed=3, truncation=0.5, scale=2)


def test_a_long_wrong_value_is_shortened() -> None:
    with pytest.raises(RequestError) as caught:
        GenerateRequest(category="x" * 10_000)
    assert len(str(caught.value)) < 250


RECIPE = GenerateRequest(seed=SEED_MAX).recipe()


@pytest.mark.parametrize(
    ("recipe", "files", "match"),
    [
        ([], {}, "not a Vitrine recipe"),
        ({}, {}, "not a Vitrine recipe"),
        ({"verb": ["generate"], "vitrine": 1}, {}, "not a Vitrine recipe"),
        (RECIPE | {"vitrine": RECIPE_VERSION + 1}, {}, "is of version 2, and this Vitrine reads version 1"),
        (RECIPE | {"glitter": "red"}, {}, "does not know: 'glitter'"),
        (RECIPE, {"mask": "p.png"}, "A recipe for generate takes no mask"),
        (RECIPE | {"sketch": "/srv/private.png"}, {}, "does not know: 'sketch'"),
        (RECIPE | {"count": "many"}, {}, "Count must be"),
        (StyleRequest("p").recipe(), {}, "also needs: photo"),
        (StyleRequest("p").recipe() | {"photo": "/etc/passwd"}, {}, "does not know: 'photo'"),
        (
            StyleRequest("p").recipe() | {"style": "/srv/private.png"},
            {"photo": "p"},
            "give the style picture beside it",
        ),
        (StyleRequest("p").recipe() | {"style": "private.png"}, {"photo": "p"}, "give the style picture beside it"),
        (EnhanceRequest("p").recipe() | {"mask": "/srv/private.png"}, {"photo": "p"}, "does not know: 'mask'"),
    ],
)
def test_recipes_of_strangers_are_checked(recipe: Any, files: dict[str, str], match: str) -> None:
    with pytest.raises(RequestError, match=match):
        from_recipe(recipe, **files)


def test_the_note_is_one_line_with_everything_that_went_otherwise() -> None:
    notes = Notes(
        ("restore", "upscale-x4"), "CPU", ("scunet could not be loaded.",), ("The photo was scaled down first.",)
    )
    assert (
        notes.sentence(2.345)
        == "restore + upscale-x4 on CPU, 2.3 s · scunet could not be loaded · The photo was scaled down first."
    )
    assert Notes((), "CPU").sentence(0) == "no network on CPU, 0.0 s."


def test_a_result_reports_itself_as_json() -> None:
    report = Result((), RECIPE, Notes(("studio",), "CPU", measures={"mean ΔE": 1.5}), 1.23456).report()
    assert json.loads(json.dumps(report)) == {
        "networks": ["studio"],
        "device": "CPU",
        "seconds": 1.235,
        "fallbacks": [],
        "remarks": [],
        "measures": {"mean ΔE": 1.5},
        "fidelity": {},
        "note": "studio on CPU, 1.2 s · Changed, where 1 is just visible: mean ΔE 1.5.",
        "recipe": RECIPE,
    }


def test_what_was_changed_is_said_for_each_side_of_the_mask() -> None:
    measures = {"mean ΔE": 12.04, "mean ΔE product": 3.0, "mean ΔE background": 20.0, "SSIM": 0.5, "edges kept": 0.0085}
    assert (
        Notes(("faststyle",), "CPU", measures=measures).sentence(1)
        == "faststyle on CPU, 1.0 s · Changed, where 1 is just visible: mean ΔE 12.0 (product 3.0, background 20.0) ·"
        " Kept, where 1 is all: SSIM 0.50, edges 0.01."
    )
