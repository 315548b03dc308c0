"""The page and its web API, asked the way strangers ask: gradio_client, plain HTTP, and files that are not pictures."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from hand import sent
from pictures import HOSTILE, cut, photo, write_hostile
from PIL import Image
from serving import called, served, upload
from standin import Card, StandIn
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

import gradio_ui
from engine import image
from engine.contract.errors import RequestError
from engine.contract.events import Notes, Result
from engine.contract.generate import GenerateRequest
from engine.contract.marketplaces import marketplaces
from engine.contract.recipe import REQUESTS
from engine.contract.style import StyleRequest
from engine.pictures import PictureFiles
from engine.settings import ROOT, Settings
from gradio_ui import catalogue, controls, inputs, progress, sentences, words
from gradio_ui.files import bundled, tidy
from gradio_ui.guard import Guard
from gradio_ui.recipes import read_recipe
from gradio_ui.stage import slider_value
from gradio_ui.theme import MARK

FILES = PictureFiles(Settings())

PATIENT_S = 60  # for what takes a moment on a quiet machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (64, 48), (200, 30, 30)).save(folder / "red shoe.jpg")
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path) -> StandIn:
    return StandIn(folder, seconds=0.2)


@pytest.fixture(scope="module")
def url(studio: StandIn) -> Iterator[str]:
    with served(studio) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture
def shoe(url: str, folder: Path) -> dict[str, Any]:
    return upload(url, folder / "red shoe.jpg")


def until(true: Any) -> bool:
    """Wait for something to become true."""
    end = time.monotonic() + PATIENT_S
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_the_page_answers_before_torch_is_imported(tmp_path: Path) -> None:
    code = f"""
import sys, urllib.request
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests/support")!r}]
from serving import called, served
from standin import StandIn
with served(StandIn(Path({str(tmp_path)!r}), seconds=0.1)) as url:
    assert b"Vitrine" in urllib.request.urlopen(url).read()
    event, (pictures, report) = called(url, "generate", {{"count": 2}})
    assert event == "complete" and len(pictures) == 2, report
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_browser_s_tab_shows_vitrine_s_mark(url: str) -> None:
    answer = httpx.get(f"{url}/favicon.ico")
    assert (answer.headers["content-type"], answer.content) == ("image/svg+xml", MARK.read_bytes())


def test_the_api_has_six_endpoints_and_the_page_s_own_events_are_none_of_them(url: str) -> None:
    named = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"]
    assert set(named) == {"/stylize", "/recolour", "/enhance", "/generate", "/look", "/models"}


@pytest.mark.parametrize("verb", REQUESTS)
def test_an_endpoint_has_the_request_s_names_and_defaults(url: str, verb: str) -> None:
    endpoint = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"][f"/{verb}"]
    offered = {p["parameter_name"]: p["parameter_default"] for p in endpoint["parameters"]}
    settings = REQUESTS[verb].settings()
    assert offered == {key: controls.default(REQUESTS[verb], key) for key in settings} | {
        "format": "png",
        "quality": 90,
        "keep_exif": False,
    }
    assert all(p["type"] for p in endpoint["parameters"])
    described = endpoint["description"]
    assert all(f"({', '.join(map(str, s.options))})" in described for s in settings.values() if s.kind == "choice")
    assert all(f"{key}: {setting.about}" in described for key, setting in settings.items())


def test_the_api_view_s_snippets_name_a_style_in_quotes(url: str) -> None:
    parameters = httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"]["/stylize"]["parameters"]
    style = next(p["python_type"]["type"] for p in parameters if p["parameter_name"] == "style")
    assert style.startswith("Literal['great-wave', ")
    assert style.endswith(" | filepath")


def test_the_api_s_choices_are_the_request_s(url: str) -> None:
    schema = httpx.get(f"{url}/gradio_api/openapi.json").text
    assert f"follows: {', '.join(marketplaces())}." in schema
    assert all(category in schema for category in controls.options(REQUESTS["generate"], "category"))


def test_a_photo_is_restyled_by_the_client(client: Client, folder: Path) -> None:
    picture, report = client.predict(
        photo=handle_file(folder / "red shoe.jpg"), style="great-wave", steps=3, api_name="/stylize"
    )
    assert Path(picture).name == "red-shoe-styled.png"
    assert report["networks"] == ["stand-in"]
    assert report["recipe"] == StyleRequest("x", style="great-wave", steps=3).recipe() == image.read_recipe(picture)
    assert "s · The Hub did not answer" in report["note"]


def test_a_style_may_be_a_picture_and_its_place_on_the_server_stays_untold(client: Client, folder: Path) -> None:
    photo = handle_file(folder / "red shoe.jpg")
    picture, report = client.predict(photo=photo, style=photo, api_name="/stylize")
    assert report["recipe"]["style"] == image.read_recipe(picture)["style"] == "red shoe.jpg"


def test_a_photo_is_enhanced_by_the_client(client: Client, folder: Path) -> None:
    picture, report = client.predict(
        photo=handle_file(folder / "red shoe.jpg"), steps=["upscale-x2"], format="jpg", api_name="/enhance"
    )
    with Image.open(picture) as opened:
        assert (opened.format, opened.size) == ("JPEG", (128, 96))
    assert report["recipe"]["steps"] == ["upscale-x2"]


def test_a_listing_picture_comes_as_a_file_that_its_marketplace_takes_and_the_report_says_so(
    client: Client, folder: Path
) -> None:
    asked = {
        "photo": handle_file(folder / "red shoe.jpg"),
        "steps": ["listing"],
        "marketplace": "walmart",
        "api_name": "/enhance",
    }
    picture, report = client.predict(**asked)
    assert Path(picture).suffix == ".jpg"
    assert report["note"].endswith("Walmart takes JPEG files only, so the file is a JPEG.")
    picture, report = client.predict(**asked, format="jpg")
    assert (Path(picture).suffix, "so the file" in report["note"]) == (".jpg", False)


def test_all_that_can_be_asked_of_generate_can_be_asked_by_the_client(client: Client, folder: Path) -> None:
    asked = {
        "category": "tie",
        "count": 2,
        "colour": "#cc3322",
        "background": "transparent",
        "order": "best",
        "distance": 0.5,
        "walk_to": 3,
    }
    _, report = client.predict(
        **asked, directions=[0.5, -1], photo=handle_file(folder / "red shoe.jpg"), api_name="/generate"
    )
    assert report["recipe"] == GenerateRequest(**asked, directions=(0.5, -1.0), photo="x").recipe()
    _, report = client.predict(
        count=2, like=2, sketch=handle_file(folder / "red shoe.jpg"), lines="photo", api_name="/generate"
    )
    assert report["recipe"] == GenerateRequest(count=2, like=2, sketch="x", lines="photo").recipe()


def test_pictures_are_generated_by_the_client(client: Client) -> None:
    pictures, report = client.predict(category="watch", count=3, seed=7, api_name="/generate")
    assert [Path(p).name for p in pictures] == [f"watch-7-{i:02d}-vitrine-{i:02d}.png" for i in (1, 2, 3)]
    assert (report["recipe"]["seed"], report["recipe"]["scale"]) == (7, 4)


def test_the_networks_are_listed_by_the_client(client: Client, studio: StandIn) -> None:
    assert client.predict(api_name="/models") == studio.models()


def test_a_photo_is_looked_at_by_the_client(client: Client, folder: Path) -> None:
    found = client.predict(photo=handle_file(folder / "red shoe.jpg"), api_name="/look")
    assert found["steps"] == [
        {"name": "restore", "reason": "It is a <stand-in>."},
        {"name": "tone", "reason": "It is dark."},
    ]


def test_a_look_is_heard_on_the_way(client: Client, folder: Path) -> None:
    job = client.submit(photo=handle_file(folder / "red shoe.jpg"), api_name="/look")
    assert job.result(timeout=PATIENT_S)["steps"]
    assert job.outputs()[0] == {"message": "Looking at the photo", "done": 0, "total": 0}


def test_progress_is_heard_on_the_way(client: Client) -> None:
    job = client.submit(category="tie", api_name="/generate")
    job.result(timeout=PATIENT_S)
    heard = [report["message"] for _, report in job.outputs()[:-1]]
    assert heard
    assert heard[:2] == ["Starting", "Step 1 of 20"]


@pytest.mark.parametrize(
    ("verb", "settings", "sentence"),
    [
        ("stylize", {}, "Add a photo first."),
        ("look", {}, "Add a photo first."),
        ("stylize", {"photo": "shoe.jpg"}, "The photo must be an uploaded file, not a path or an address."),
        (
            "stylize",
            {"photo": {"path": "/etc/passwd"}},
            "The photo must be an uploaded file, not a path or an address.",
        ),
        ("stylize", {"photo": None, "style": "/etc/passwd"}, "There is no style preset '/etc/passwd'"),
        ("stylize", {"photo": None, "style": ["starry-night"]}, "There is no style preset ['starry-night']"),
        ("stylize", {"photo": None, "strength": float("nan")}, "Strength must be a number from 0.0 to 1.0, not nan."),
        ("stylize", {"photo": None, "steps": "many"}, "Steps must be a whole number from 1 to 1000, not 'many'."),
        ("enhance", {"photo": None, "network": 5}, "Add a photo first."),
        ("enhance", {"photo": None, "quality": float("nan")}, "Quality must be a number from 1 to 100."),
        ("enhance", {"photo": None, "format": "svg"}, "The file format must be png, jpg or webp."),
        ("enhance", {"photo": None, "format": ["png"]}, "The file format must be png, jpg or webp."),
        ("enhance", {"photo": None, "keep_exif": "false"}, "Keep EXIF must be true or false."),
        ("generate", {"network": "x" * 5000}, "Network must be a name, not 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...."),
        ("generate", {"count": 10**9}, "Count must be a whole number from 1 to 36, not 1000000000."),
        ("generate", {"count": True}, "Count must be a whole number from 1 to 36, not True."),
        ("generate", {"category": "<img src=x onerror=alert(1)>"}, "not '&lt;img src=x onerror=alert(1)&gt;'."),
        ("generate", {"network": "unheard-of"}, "There is no network 'unheard-of'."),
        ("generate", {"seed": {}}, "Seed must be a whole number from 0 to 2147483647, not {}."),
    ],
)
def test_a_mistake_is_answered_with_one_sentence(url: str, verb: str, settings: dict[str, Any], sentence: str) -> None:
    event, answer = called(url, verb, settings)
    assert event == "error"
    assert sentence in answer["error"]


@pytest.fixture(scope="module")
def real_url() -> Iterator[str]:
    """The page over the real studio, offline, with the networks that come with it."""
    from engine import Studio

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        with served(Studio()) as url:
            yield url


@pytest.mark.parametrize(
    "name", ["text.jpg", "drawing.svg", "bomb.png", "empty.jpg", "huge.png", "header.png", "archive.png", "frame.gif"]
)
@pytest.mark.parametrize("verb", ["stylize", "enhance"])
def test_a_file_that_is_no_photo_is_answered_with_one_sentence_by_the_real_studio(
    real_url: str, tmp_path: Path, verb: str, name: str
) -> None:
    file = write_hostile(name, tmp_path)
    started = time.monotonic()
    settings = {"steps": ["upscale-x4"]} if verb == "enhance" else {}
    event, answer = called(real_url, verb, {"photo": upload(real_url, file), **settings})
    assert event == "error"
    assert HOSTILE[name][1] in answer["error"]
    _is_one_sentence(answer["error"], file)
    assert time.monotonic() - started < PATIENT_S


def test_a_truncated_photo_is_answered_with_one_sentence_by_the_real_studio(real_url: str, tmp_path: Path) -> None:
    whole, file = tmp_path / "whole.jpg", tmp_path / "half.jpg"
    photo(320, 240).save(whole)
    file.write_bytes(cut(whole.read_bytes()))
    for verb, settings in (
        ("stylize", {"photo": whole, "style": file}),
        ("stylize", {"photo": file}),
        ("enhance", {"photo": file, "steps": ["upscale-x4"]}),
    ):
        sent = {name: upload(real_url, value) if isinstance(value, Path) else value for name, value in settings.items()}
        event, answer = called(real_url, verb, sent)
        assert (event, answer["error"]) == ("error", "half.jpg is incomplete: the file ends before the picture does.")


def test_a_style_picture_that_is_none_is_answered_with_one_sentence_by_the_real_studio(
    real_url: str, tmp_path: Path
) -> None:
    photo(64, 48).save(tmp_path / "photo.jpg")
    event, answer = called(
        real_url,
        "stylize",
        {
            "photo": upload(real_url, tmp_path / "photo.jpg"),
            "style": upload(real_url, write_hostile("text.jpg", tmp_path)),
        },
    )
    assert event == "error"
    assert answer["error"].startswith("text.jpg is a text; Vitrine opens JPEG")


def test_a_photo_of_one_pixel_is_enlarged_or_refused_in_one_sentence_by_the_real_studio(
    real_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), "red").save(file)
    for verb, settings in (("enhance", {"steps": ["upscale-x4"]}), ("stylize", {"steps": 1, "size_px": 64})):
        event, answer = called(real_url, verb, {"photo": upload(real_url, file), **settings})
        if event == "error":
            _is_one_sentence(answer["error"], file)
            assert answer["error"] not in (
                sentences.UNEXPECTED,
                "Something went wrong inside Vitrine; the log has the details.",
            )
        else:
            assert event == "complete"


def test_numbers_out_of_bounds_are_answered_with_one_sentence_by_the_real_studio(real_url: str) -> None:
    for settings in ({"count": 10**9}, {"truncation": float("nan")}, {"scale": 3}, {"network": "../../etc/passwd"}):
        event, answer = called(real_url, "generate", settings)
        assert event == "error"
        _is_one_sentence(answer["error"], Path("/nowhere/x"))


@pytest.mark.parametrize("name", ["photo", "sketch"])
def test_a_text_in_the_place_of_a_picture_is_answered_with_one_sentence_by_the_real_studio(
    real_url: str, tmp_path: Path, name: str
) -> None:
    event, answer = called(real_url, "generate", {name: upload(real_url, write_hostile("text.jpg", tmp_path))})
    assert event == "error"
    assert answer["error"].startswith("text.jpg is a text; Vitrine opens JPEG")


def _is_one_sentence(text: str, file: Path) -> None:
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 300
    assert "Traceback" not in text
    assert str(file.parent) not in text
    assert "/tmp/gradio" not in text


def test_what_goes_wrong_inside_is_logged_and_stays_inside(url: str, caplog: pytest.LogCaptureFixture) -> None:
    event, answer = called(url, "generate", {"network": "broken"})
    assert (event, answer["error"]) == ("error", sentences.UNEXPECTED)
    assert "a secret path: /srv/secret" in caplog.text


def test_an_unknown_parameter_is_named(url: str) -> None:
    status, answer = called(url, "generate", {"kategory": "shoe"})
    assert (status, answer["error"]) == ("422", "Parameter `kategory` is not a valid key-word argument.")


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("call/sparkle", {"data": []}),
        ("call/v2/sparkle", {}),
        ("queue/join", {"fn_index": 99_999, "data": [], "session_hash": "x"}),
    ],
)
def test_an_endpoint_that_is_not_there_is_one_sentence(url: str, route: str, body: dict[str, Any]) -> None:
    answer = httpx.post(f"{url}/gradio_api/{route}", json=body, timeout=PATIENT_S)
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        "There is no such endpoint; the page's API view lists them.",
    )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"count": ' + b"9" * 5000 + b"}", b'{"a":' * 900 + b"1" + b"}" * 900]
)
@pytest.mark.parametrize("route", ["call/generate", "call/v2/generate"])
def test_a_call_that_is_no_json_object_is_one_sentence(url: str, route: str, body: bytes) -> None:
    answer = httpx.post(
        f"{url}/gradio_api/{route}", content=body, headers={"content-type": "application/json"}, timeout=PATIENT_S
    )
    assert answer.status_code == 422
    _is_one_sentence(answer.json()["error"], Path("/nowhere/x"))


def test_a_call_without_its_content_type_is_told_so(url: str) -> None:
    answer = httpx.post(f"{url}/gradio_api/call/v2/generate", content=b'{"count": 1}', timeout=PATIENT_S)
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "Send the settings as a JSON object, with the content type application/json.",
    )


def test_an_answer_that_was_fetched_is_not_waited_for_again(url: str) -> None:
    event = httpx.post(f"{url}/gradio_api/call/v2/generate", json={"count": 1}, timeout=PATIENT_S).json()["event_id"]
    assert "event: complete" in httpx.get(f"{url}/gradio_api/call/generate/{event}", timeout=PATIENT_S).text
    for again in (event, "nonsense"):
        answer = httpx.get(f"{url}/gradio_api/call/generate/{again}", timeout=PATIENT_S)
        assert (answer.status_code, answer.json()["error"]) == (
            404,
            "There is no such call here, or its answer has been fetched.",
        )


def test_an_upload_without_a_file_name_is_one_sentence(url: str) -> None:
    answer = httpx.post(f"{url}/gradio_api/upload", files={"files": ("", b"x")}, timeout=PATIENT_S)
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "A file is sent under the name files, with a file name of its own.",
    )


@pytest.mark.parametrize(
    "sent",
    [
        {"path": "/etc/passwd"},
        {"path": ""},
        {"path": "../app.py"},
        {"path": "\0"},
        {"path": "x" * 5000},
        {"size": "large"},
    ],
)
def test_a_file_that_was_not_uploaded_is_one_sentence_that_tells_no_place(
    url: str, shoe: dict[str, Any], sent: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    event, answer = called(url, "look", {"photo": shoe | sent})
    assert (event, answer["error"]) == (
        "error",
        "A value of this call cannot be read; a file must be uploaded here before it is named.",
    )
    assert "Traceback" not in capfd.readouterr().err


def test_a_call_with_too_few_values_is_one_sentence(url: str) -> None:
    event = httpx.post(f"{url}/gradio_api/call/enhance", json={"data": ["secret"]}, timeout=PATIENT_S).json()[
        "event_id"
    ]
    told = httpx.get(f"{url}/gradio_api/call/enhance/{event}", timeout=PATIENT_S).text
    assert "This call has 1 of " in told
    assert "/call/v2/ takes them by name" in told
    assert "gradio.components" not in told
    assert "secret" not in told


def test_one_request_works_at_a_time(url: str, studio: StandIn) -> None:
    studio.most_running = 0
    threads = [threading.Thread(target=called, args=(url, verb, {})) for verb in ("generate", "generate", "generate")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_S)
    assert studio.most_running == 1


def test_a_cancelled_request_stops_working(folder: Path) -> None:
    studio = StandIn(folder, seconds=PATIENT_S / 2)
    with served(studio) as url:
        job = Client(url, verbose=False).submit(api_name="/generate")
        assert until(lambda: job.outputs())
        assert job.cancel()
        assert until(lambda: not studio.running)
    assert (studio.closed, studio.finished) == (1, 0)


def test_who_leaves_the_stream_of_a_call_stops_the_work(folder: Path) -> None:
    studio = StandIn(folder, seconds=PATIENT_S / 2)
    with served(studio) as url:
        event = httpx.post(f"{url}/gradio_api/call/v2/generate", json={}, timeout=PATIENT_S).json()["event_id"]
        with httpx.stream("GET", f"{url}/gradio_api/call/generate/{event}", timeout=PATIENT_S) as answer:
            assert next(answer.iter_lines()) == "event: generating"
        assert until(lambda: not studio.running)
    assert (studio.closed, studio.finished) == (1, 0)


@pytest.mark.parametrize("endpoint", ["generate", "look"])
def test_who_leaves_within_the_first_step_stops_the_work(folder: Path, endpoint: str) -> None:
    """Gradio forgets a generator that has not yielded yet, and does not close it."""
    studio = StandIn(folder, seconds=PATIENT_S / 2)
    studio.asking = PATIENT_S / 2
    with served(studio) as url:
        body = {"photo": upload(url, folder / "red shoe.jpg")}
        event = httpx.post(f"{url}/gradio_api/call/v2/{endpoint}", json=body, timeout=PATIENT_S).json()["event_id"]
        with httpx.stream("GET", f"{url}/gradio_api/call/{endpoint}/{event}", timeout=PATIENT_S):
            assert until(lambda: studio.running)
        assert until(lambda: not studio.running)
        assert (studio.closed, studio.finished) == (1, 0)


def test_who_leaves_while_waiting_is_not_worked_for(folder: Path) -> None:
    studio = StandIn(folder, seconds=10)
    with served(studio) as url:
        asked = [
            httpx.post(f"{url}/gradio_api/call/v2/generate", json={"seed": seed}, timeout=PATIENT_S).json()["event_id"]
            for seed in (1, 2, 3)
        ]
        with httpx.stream("GET", f"{url}/gradio_api/call/generate/{asked[1]}", timeout=PATIENT_S):
            pass
        studio.seconds = 0.1  # the first, at work, hastens too
        assert "event: complete" in httpx.get(f"{url}/gradio_api/call/generate/{asked[2]}", timeout=PATIENT_S).text
    assert [request.seed for request in studio.requests] == [1, 3]


def test_two_clients_at_once_get_their_own(url: str, folder: Path, tmp_path: Path) -> None:
    names = ("green", "blue")
    answers: dict[str, Any] = {}

    def ask(name: str) -> None:
        Image.new("RGB", (40, 30), name).save(tmp_path / f"{name}.png")
        (tmp_path / name).mkdir()
        client = Client(url, verbose=False, download_files=str(tmp_path / name))
        answers[name] = client.predict(
            photo=handle_file(tmp_path / f"{name}.png"), strength=len(name) / 10, api_name="/enhance"
        )

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_S)
    for name in names:
        picture, report = answers[name]
        assert Path(picture).name == f"{name}-enhanced.png"
        assert report["recipe"]["strength"] == image.read_recipe(picture)["strength"] == len(name) / 10


def test_a_full_queue_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradio_ui, "WAITING", 1)
    studio = StandIn(folder, seconds=PATIENT_S)
    with served(studio) as url:
        post = lambda: httpx.post(f"{url}/gradio_api/call/v2/generate", json={})  # noqa: E731
        assert post().status_code == 200
        assert until(lambda: studio.running)
        assert post().status_code == 200
        refused = post()
    assert (refused.status_code, refused.json()["detail"]) == (503, "Queue is full. Max size is 1 and size is 1.")


def test_nothing_of_a_run_stays_behind(url: str, shoe: dict[str, Any]) -> None:
    before = set(Path(tempfile.gettempdir()).glob("vitrine-*"))
    assert called(url, "stylize", {"photo": shoe})[0] == "complete"
    assert until(lambda: set(Path(tempfile.gettempdir()).glob("vitrine-*")) <= before)


@pytest.mark.parametrize(
    "path",
    [
        "file=http://example.com/",
        "file=https:/example.com/",
        "file=HTTP://example.com/",
        "file=%68ttp://example.com/",
        "proxy=http://example.com/",
        "file/http://example.com/",
        "file=/etc/passwd",
        f"file={ROOT}/app.py",
        f"file={ROOT}/gradio_ui/examples/../parts.py",
    ],
)
def test_the_page_fetches_no_address_and_no_file_of_the_server_s(url: str, path: str) -> None:
    assert httpx.get(f"{url}/gradio_api/{path}").status_code == 403


def test_a_header_that_is_sent_twice_is_refused(url: str) -> None:
    """Whoever reads the first would take for an upload what whoever reads the last takes for a call."""
    for names in (("multipart/form-data; boundary=x", "application/json"), ("application/json", "multipart/x")):
        headers = [("content-type", name) for name in names]
        answer = httpx.post(f"{url}/gradio_api/call/stylize", content=b'{"data": []}', headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "Content-Type and Content-Length are sent once each.",
        )


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("attacker.example", 403),
        ("localhost.evil", 403),
    ],
)
def test_a_page_is_served_under_its_own_names_alone(host: str, status: int) -> None:
    guard = Guard(lambda scope, receive, send: PlainTextResponse("page")(scope, receive, send), ["localhost", "[::1]"])
    answer = TestClient(guard, base_url="http://localhost").get("/", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or "VITRINE_HOSTS" in answer.json()["error"]


@pytest.mark.parametrize(
    ("options", "hosts", "expected"),
    [
        ([], "", {"localhost", "127.0.0.1", "[::1]"}),
        ([], "shop.example, b.example", {"localhost", "127.0.0.1", "[::1]", "shop.example", "b.example"}),
        (["--share"], "", set()),
        (["--host", "0.0.0.0"], "", set()),
        (["--host", "0.0.0.0"], "shop.example", {"shop.example", "localhost", "127.0.0.1", "[::1]", "0.0.0.0"}),
    ],
)
def test_which_names_are_a_page_s_own(
    options: list[str], hosts: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import app

    monkeypatch.setenv("VITRINE_HOSTS", hosts)
    assert set(app._names(app.parsed(options))) == expected


def test_a_picture_s_address_in_a_request_is_refused(url: str) -> None:
    status, answer = called(
        url, "stylize", {"photo": {"path": "http://example.com/a.jpg", "meta": {"_type": "gradio.FileData"}}}
    )
    assert (status, answer["error"]) == ("400", "Send the picture itself, not its address.")


def test_a_large_body_is_refused_whether_it_declares_its_size_or_not(url: str) -> None:
    address, body = f"{url}/gradio_api/call/stylize", json.dumps({"data": ["x" * 2_100_000]}).encode()
    assert httpx.post(address, content=body).status_code == 413
    assert httpx.post(address, content=iter([body[:1_000_000], body[1_000_000:]])).status_code == 413


def test_a_large_upload_is_refused(url: str) -> None:
    assert (
        httpx.post(
            f"{url}/gradio_api/upload", files={"files": ("a.jpg", b"x" * 27_000_000)}, timeout=PATIENT_S
        ).status_code
        == 413
    )


@pytest.mark.parametrize("route", ["run/stylize", "api/stylize"])
def test_no_request_goes_past_the_queue(url: str, route: str) -> None:
    assert httpx.post(f"{url}/gradio_api/{route}", json={"data": []}).status_code == 404


@pytest.mark.parametrize("route", ["monitoring", "monitoring/summary", "gradio_api/runs"])
def test_nobody_is_watched(url: str, route: str) -> None:
    assert httpx.get(f"{url}/{route}").status_code in (403, 404)


def test_a_word_is_said_in_both_languages() -> None:
    assert set(words.CHINESE) == set(words.LANGUAGES["en"])


def test_a_status_shows_how_far_it_is_and_no_markup() -> None:
    assert "width:25%" in progress.status("Step", 1, 4)
    assert "v-busy" in progress.status("Loading")
    assert "<b>" not in progress.status("<b>")


@pytest.mark.parametrize(
    ("name", "tidied"),
    [
        ("red shoe", "red-shoe"),
        ("../../etc", "etc"),
        ("", "picture"),
        ("鞋子", "鞋子"),
        ("x" * 99, "x" * 60),
        ("हिन्दी जूता", "हिन्दी-जूता"),
        ("👩‍👧 a:b", "👩‍👧-a-b"),
    ],
)
def test_file_names_are_tidied(name: str, tidied: str) -> None:
    assert tidy(name) == tidied


@pytest.mark.parametrize(("allowed_px", "size"), [("", (4000, 30)), ("1000", (1000, 8))])
def test_zooming_reaches_the_pixels_of_a_result_as_far_as_the_host_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed_px: str, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("VITRINE_SHOWN_PX", allowed_px)
    small, large = (Card(np.zeros((height, width, 3), np.uint8)) for width, height in ((1000, 8), (4000, 30)))
    for file in slider_value(PictureFiles(Settings.from_environment()), small, large, tmp_path):  # type: ignore[arg-type]
        with Image.open(file) as shown:
            assert shown.size == size


def test_several_pictures_are_bundled_with_their_recipe(tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        file.write_bytes(b"picture")
    with zipfile.ZipFile(bundled(files, {"verb": "generate"}, tmp_path)) as archive:
        assert archive.namelist() == ["a.png", "b.png", "recipe.json"]
        assert json.loads(archive.read("recipe.json")) == {"verb": "generate"}


def test_one_picture_is_its_own_download(tmp_path: Path) -> None:
    assert bundled([tmp_path / "a.png"], {}, tmp_path) == tmp_path / "a.png"


@pytest.mark.parametrize(
    "request_",
    [
        StyleRequest("p", seed=5),
        StyleRequest("p", style="my.jpg"),
        REQUESTS["enhance"]("p", steps=("inpaint", "upscale-x2"), mask="m"),
        REQUESTS["generate"](seed=9),
    ],
)
def test_a_recipe_file_is_read_back(tmp_path: Path, request_: Any) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(request_.recipe()))
    assert read_recipe(FILES, str(file), request_.verb).recipe() == request_.recipe()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "This is not a Vitrine recipe."),
        ("[1]", "This is not a Vitrine recipe."),
        ('{"verb": []}', "This is not a Vitrine recipe."),
        (json.dumps(StyleRequest("p").recipe()), "This recipe belongs to the tab Style; drop it there."),
        ("[" * 60_000, "This is not a Vitrine recipe."),
        (" " * 200_000, "This file is too large for a recipe."),
    ],
)
def test_what_is_no_recipe_for_this_tab_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(content)
    with pytest.raises(RequestError, match=sentence):
        read_recipe(FILES, str(file), "generate")


def test_progress_is_paced_and_nothing_that_matters_is_left_out() -> None:
    from engine.contract.events import Progress

    events = [Progress(i, 100, "x", preview=object() if i == 50 else None) for i in range(100)]  # type: ignore[arg-type]
    result = Result((), {}, Notes((), "CPU"), 0.0)
    heard = list(progress.paced(iter([*events, result])))
    assert heard[0] is events[0]
    assert events[50] in heard
    assert heard[-1] is result
    assert len(heard) < 50


def test_the_catalogue_is_a_table_of_what_is_known() -> None:
    table = catalogue.rendered([{"name": "<x>", "task": "restore", "size": 2_500_000, "measured": {"dB": 30.5}}])
    assert "&lt;x&gt;" in table
    assert "2.5 MB" in table
    assert "dB 30.5" in table
    assert "Licence" not in table


def test_errors_that_are_expected_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert str(sentences.spoken(RequestError("A sentence.")).message) == "A sentence."
    assert not caplog.records


def test_the_page_refuses_what_its_studio_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says by then: the studio has read it once."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("VITRINE_INPUT_MPX", "50")
    studio = PictureFiles(Settings(input_mpx=1.0))
    large = sent(tmp_path / "large.png", (1200, 1000))
    with pytest.raises(RequestError, match="1 megapixels; at most 1 can"):
        studio.check(large["path"])
    monkeypatch.setattr(inputs.gr, "Warning", lambda *said, **more: None)
    assert inputs.received(studio, large) is None  # type: ignore[arg-type]
    assert inputs.received(studio, sent(tmp_path / "small.png")) is not None  # type: ignore[arg-type]
