"""Which network answers: on a GPU the Hub's, on a CPU the embedded, or what was named."""

from __future__ import annotations

import pytest

from engine.contract.errors import RequestError
from engine.weights import TABLE
from engine.weights.choice import choose, knowing

CHAIN = ("restore", "deblur", "upscale-x4")


def test_auto_on_a_cpu_stays_offline_where_something_is_embedded() -> None:
    assert choose(CHAIN, "auto", TABLE, on_gpu=False) == {
        "restore": ("restore",),
        "deblur": ("deblur",),
        "upscale-x4": ("upscale-x4",),
    }


def test_auto_on_a_gpu_asks_the_hub_and_keeps_the_embedded_behind_it() -> None:
    names = choose(CHAIN, "auto", TABLE, on_gpu=True)
    assert names["restore"] == ("scunet", "restore")
    assert names["upscale-x4"] == ("realesrgan-x4", "realesr-general-x4", "upscale-x4")
    assert names == choose(CHAIN, "hub", TABLE, on_gpu=False)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_embedded_never_asks_the_hub(on_gpu: bool) -> None:
    assert choose(CHAIN, "embedded", TABLE, on_gpu=on_gpu) == {
        "restore": ("restore",),
        "deblur": ("deblur",),
        "upscale-x4": ("upscale-x4",),
    }


def test_a_named_network_serves_its_own_step_and_the_others_stay_automatic() -> None:
    names = choose(CHAIN, "realesr-general-x4, scunet", TABLE, on_gpu=False)
    assert names == {
        "restore": ("scunet", "restore"),
        "deblur": ("deblur",),
        "upscale-x4": ("realesr-general-x4", "upscale-x4"),
    }


def test_a_named_network_may_stand_alone() -> None:
    names = choose(CHAIN, "scunet", TABLE, on_gpu=False, behind=False)
    assert names == {"restore": ("scunet",), "deblur": ("deblur",), "upscale-x4": ("upscale-x4",)}


def test_naming_an_embedded_network_tries_nothing_else() -> None:
    assert choose(("restore",), "restore", TABLE, on_gpu=True) == {"restore": ("restore",)}


@pytest.mark.parametrize("wish", ["gone", "lama", "scunet,", "Auto", "vgg19"])
def test_a_name_that_serves_no_step_is_one_sentence(wish: str) -> None:
    with pytest.raises(
        RequestError,
        match=(
            r"^No network .* serves restore or upscale-x4; choose auto, embedded, hub, or from restore, upscale-x4,"
            r" .*\.$"
        ),
    ):
        choose(("restore", "upscale-x4"), wish, TABLE, on_gpu=False)


def test_generating_needs_a_generator_and_an_enlarger() -> None:
    names = choose(("generate", "upscale-x4"), "auto", TABLE, on_gpu=False)
    assert names["generate"][0] == "studio"
    assert names["upscale-x4"] == ("upscale-x4",)


def generators(category: str, wish: str, on_gpu: bool = False) -> tuple[str, ...]:
    return choose(("generate",), wish, knowing(category, wish, TABLE), on_gpu=on_gpu)["generate"]


@pytest.mark.parametrize("on_gpu", [False, True])
def test_what_the_studio_has_not_learned_is_asked_of_the_hub(on_gpu: bool) -> None:
    assert generators("shoe", "auto", on_gpu)[0] == "studio"
    assert "var-d16" not in generators("shoe", "auto", on_gpu)
    assert generators("teapot", "auto", on_gpu) == ("var-d16",)
    assert generators("shoe", "hub", on_gpu)[:2] == generators("shoe", "var-d16", on_gpu)[:2] == ("var-d16", "studio")
    assert generators("heel", "hub", on_gpu)[0] == "studio", "ImageNet has no heels"


@pytest.mark.parametrize(
    ("category", "wish", "sentence"),
    [
        ("teapot", "studio", "The network studio has not learned teapot; it knows shoe, sandal, heel, .*"),
        ("belt", "var-d16", "The network var-d16 has not learned belt; it knows shoe, .* teapot, .*"),
        ("belt", "realesrgan-x4, var-d16", "The network var-d16 has not learned belt; .*"),
        ("teapot", "embedded", "No network that comes with Vitrine has learned teapot"),
    ],
)
def test_a_category_that_the_named_network_has_not_learned_is_one_sentence(
    category: str, wish: str, sentence: str
) -> None:
    with pytest.raises(RequestError, match=rf"^{sentence}\.$"):
        knowing(category, wish, TABLE)
