"""The studio as its callers know it: with its own weights module, on networks of random numbers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch
from chains import everything
from PIL import Image
from shelf import finish, shelf, slowly, write_networks, write_photo
from torch import Tensor

from engine import EngineFailure, Studio
from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Answer, Event, Progress
from engine.contract.generate import GenerateRequest
from engine.contract.style import StyleRequest
from engine.settings import Settings


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_networks(folder)
    return folder


@pytest.fixture
def studio(networks: Path) -> Studio:
    return Studio(Settings(weights=networks))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png", 60, 44)


def on_shelf(**functions: Callable[..., Tensor] | None) -> Studio:
    return Studio(Settings(), shelf(**functions))  # type: ignore[arg-type]


def test_a_photo_is_cleaned_and_enlarged(studio: Studio, photo: str) -> None:
    result = finish(studio.run(EnhanceRequest(photo, network="embedded")))
    assert (result.pictures[0].width, result.pictures[0].height) == (240, 176)
    assert result.notes.networks == ("restore", "upscale-x4")
    assert result.notes.fallbacks == ()
    assert 0 < result.seconds < 600


def test_products_are_generated_and_enlarged(studio: Studio) -> None:
    result = finish(studio.run(GenerateRequest(category="watch", count=3, seed=5, scale=4, network="embedded")))
    assert {(p.width, p.height) for p in result.pictures} == {(256, 256)}


def test_a_photo_is_repainted_in_the_manner_of_a_picture(studio: Studio, photo: str, tmp_path: Path) -> None:
    style = write_photo(tmp_path / "style.png", 80, 80, seed=1)
    result = finish(studio.run(StyleRequest(photo, style=style, size_px=64, steps=2, network="embedded")))
    assert (result.pictures[0].width, result.pictures[0].height) == (64, 47)
    assert result.notes.networks == ("faststyle", "features")


def test_the_presets_are_listed_with_their_artists(studio: Studio) -> None:
    presets = studio.presets()
    assert len({preset.name for preset in presets}) == len(presets) >= 8
    assert all(preset.title and preset.artist and preset.licence for preset in presets)
    assert StyleRequest("photo.png").style in {preset.name for preset in presets}


def test_the_same_request_gives_the_same_pixels_in_another_studio(networks: Path, photo: str) -> None:
    for request in (
        EnhanceRequest(photo, network="embedded"),
        GenerateRequest(category="tie", count=2, seed=9, scale=2, network="embedded"),
    ):
        first, second = (finish(Studio(Settings(weights=networks)).run(request)).pictures for _ in range(2))
        assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


def test_pictures_generated_first_do_not_depend_on_how_many_follow(studio: Studio) -> None:
    few, many = (
        finish(
            studio.generate(GenerateRequest(category="belt", count=count, seed=1, scale=2, network="embedded"))
        ).pictures
        for count in (2, 7)
    )
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(few, many, strict=False))


def test_a_result_is_saved_with_its_recipe_and_repeats_it(studio: Studio, photo: str, tmp_path: Path) -> None:
    from engine import image
    from engine.contract.recipe import from_recipe

    result = finish(studio.enhance(EnhanceRequest(photo, steps=("restore",), strength=0.5, network="embedded")))
    saved = result.pictures[0].save(tmp_path / "out.png", recipe=result.recipe)
    again = finish(studio.run(from_recipe(image.read_recipe(saved), photo=photo)))
    assert torch.equal(again.pictures[0].pixels, result.pictures[0].pixels)


def test_requests_of_several_threads_take_turns_and_all_are_met(photo: str) -> None:
    working, most, results = [], [], []

    def network(x: Tensor) -> Tensor:
        working.append(1)
        most.append(len(working))
        time.sleep(0.01)
        working.pop()
        return 1 - x

    studio = on_shelf(restore=network)
    threads = [
        threading.Thread(target=lambda: results.append(finish(studio.run(EnhanceRequest(photo, steps=("restore",))))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 6
    assert set(most) == {1}
    assert all(torch.equal(r.pictures[0].pixels, results[0].pictures[0].pixels) for r in results)


def test_stopping_a_long_request_lets_the_next_begin_at_once(tmp_path: Path, photo: str) -> None:
    studio = on_shelf(restore=slowly(0.2), upscale_x2=lambda x: torch.nn.functional.interpolate(x, scale_factor=2))
    large = write_photo(tmp_path / "large.png", 700, 700)
    long = studio.run(EnhanceRequest(large, steps=("restore",)))
    while not (isinstance(event := next(long), Progress) and ": 1 of" in event.message):
        pass
    waiter = studio.run(EnhanceRequest(photo, steps=("upscale-x2",)))
    while "Waiting" not in next(waiter).message:  # type: ignore[union-attr]
        pass
    long.close()
    stopped = time.monotonic()
    finish(waiter)
    assert time.monotonic() - stopped < 15  # the rest would have taken more than 30 s


def test_a_failed_request_leaves_the_studio_ready(photo: str) -> None:
    calls = []

    def network(x: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return x

    studio = on_shelf(restore=network)
    with pytest.raises(EngineFailure):
        finish(studio.run(EnhanceRequest(photo, steps=("restore",))))
    finish(studio.run(EnhanceRequest(photo, steps=("restore",))))


def test_what_nobody_expected_is_logged_with_its_traceback_and_leaves_as_one_sentence(
    photo: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError("a secret path: /srv/secret")

    with pytest.raises(EngineFailure, match=r"^Something went wrong inside Vitrine; the log has the details\.$"):
        finish(on_shelf(restore=broken).run(EnhanceRequest(photo, steps=("restore",))))
    assert "KeyError: 'a secret path: /srv/secret'" in caplog.text


def test_running_out_of_memory_is_a_sentence_that_helps(photo: str) -> None:
    def hungry(x: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RequestError, match="more memory than there is; try a smaller picture"):
        finish(on_shelf(restore=hungry).run(EnhanceRequest(photo, steps=("restore",))))


def test_a_mistake_is_not_logged_as_a_failure(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        finish(on_shelf().run(EnhanceRequest(str(tmp_path / "gone.png"))))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_every_weight_is_listed_with_what_a_person_wants_to_know(studio: Studio, networks: Path) -> None:
    models = {model["name"]: model for model in studio.models()}
    assert {
        "features",
        "restore",
        "upscale-x2",
        "upscale-x4",
        "studio",
        "vgg19",
        "scunet",
        "nafnet-gopro",
        "lama",
    } <= set(models)
    assert all(model["task"] and model["licence"] for model in models.values())
    assert models["restore"]["source"] == "embedded"
    assert models["restore"]["where"] == str(networks)
    assert models["scunet"]["source"] == "deepinv/scunet"


def test_checking_a_file_reads_its_header(studio: Studio, photo: str, tmp_path: Path) -> None:
    assert (studio.check(photo).width, studio.check(photo).height) == (60, 44)
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    with pytest.raises(RequestError, match="81 megapixels"):
        studio.check(tmp_path / "huge.png")


def test_warming_up_loads_the_embedded_networks_once(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vitrine")
    threads = [threading.Thread(target=studio.warm_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    where = {model["name"]: model["where"] for model in studio.models() if model["source"] == "embedded"}
    assert set(where.values()) == {"memory"}
    assert caplog.text.count("are warm after") == 3


def test_warming_up_names_what_is_missing_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    studio = on_shelf(restore=None)
    studio.warm_up()
    assert "restore could not be loaded" in caplog.text
    assert "upscale-x4" in studio.weights.asked  # type: ignore[attr-defined]
    assert "scunet" not in studio.weights.asked  # type: ignore[attr-defined]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("VITRINE_OUTPUT_MPX", "1.5")
    assert Studio().settings == Settings(weights=tmp_path, output_mpx=1.5)


QUESTIONS = ("look", "find_product", "propose_tone")


@contextmanager
def another_at_work(studio: Studio) -> Iterator[None]:
    def holding() -> Generator[Event, None, None]:
        while True:
            yield Progress(0, 0, "at work")

    with closing(studio.device.exclusively(holding())) as work:
        next(work)
        yield


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_is_left_while_it_waits_ends_at_once_and_the_next_one_gets_its_turn(
    photo: str, question: str
) -> None:
    studio = Studio()
    left, next_one = (getattr(studio, question)(photo) for _ in range(2))
    with another_at_work(studio):
        for waiting in (left, next_one):
            assert [next(waiting).message for _ in range(2)] == ["Waiting for the picture before this one"] * 2
        started = time.monotonic()
        left.close()
        assert time.monotonic() - started < 0.1
    *progress, last = next_one
    assert isinstance(last, Answer)
    assert all("Looking" in event.message or "Loading" in event.message for event in progress)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_is_left_at_work_goes_no_further_and_frees_the_device(photo: str, question: str) -> None:
    weights = everything()
    studio = Studio(Settings(), weights)  # type: ignore[arg-type]
    asked = getattr(studio, question)(photo)
    assert next(asked).message.startswith("Looking")
    asked.close()
    assert weights.asked == []
    assert next(getattr(studio, question)(photo)).message.startswith("Looking")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_file_that_is_no_photo_is_refused_before_the_wait(tmp_path: Path, question: str) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    studio = Studio()
    with another_at_work(studio), pytest.raises(RequestError, match=r"text\.jpg is a text"):
        next(getattr(studio, question)(tmp_path / "text.jpg"))


def test_auto_looks_in_the_device_s_turn(photo: str) -> None:
    weights = everything()
    studio = Studio(Settings(), weights)  # type: ignore[arg-type]
    events = studio.run(EnhanceRequest(photo, steps=("auto",)))
    with another_at_work(studio):
        assert "Waiting" in next(events).message  # type: ignore[union-attr]
        assert weights.asked == []
    finish(events)


def test_a_studio_s_limit_is_the_limit_of_all_that_it_opens(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (1200, 1000)).save(large)
    studio = Studio(Settings(input_mpx=1.0))
    for ask in (studio.check, studio.load, studio.look, studio.find_product):
        with pytest.raises(RequestError, match="1 megapixels; at most 1 can"):
            list(ask(str(large)))  # type: ignore[arg-type]
    assert studio.load_result(str(large)).width == 1200, "what it made itself may be as large as a result may be"
