"""The page in a real browser: what a visitor sees and does.

Needs a Chromium: the one that CHROMIUM names, or one on the PATH. Without one these tests are skipped, but not on CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from PIL import Image, ImageDraw
from serving import free_port, served
from standin import StandIn

from engine import image
from engine.contract.enhance import EnhanceRequest
from engine.settings import ROOT

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, Page, expect = playwright_api.Browser, playwright_api.Page, playwright_api.expect

PATIENT_MS = 60_000  # for what takes a moment on a quiet machine
DONE, FAILED = re.compile("v-done"), re.compile("v-error")


def chromium() -> str:
    """Where a Chromium is; without one the test is skipped, or fails on CI."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    for path in map(shutil.which, filter(None, names)):
        if path:
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("CI needs a Chromium; .ci/run installs it.")
    pytest.skip("no Chromium on the PATH and none in CHROMIUM")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with playwright_api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def shoe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawing of a shoe on white, as a photo."""
    picture = Image.new("RGB", (160, 120), "white")
    draw = ImageDraw.Draw(picture)
    draw.polygon([(20, 90), (25, 45), (60, 40), (90, 65), (140, 75), (140, 90)], fill=(150, 40, 30))
    draw.rectangle((20, 90, 142, 100), fill=(240, 230, 210))
    file = tmp_path_factory.mktemp("photos") / "shoe.jpg"
    picture.save(file, quality=90, exif=_camera())
    return file


def _camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    return exif


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("presets"), seconds=1.5)


@pytest.fixture(scope="module")
def url(studio: StandIn) -> Iterator[str]:
    with served(studio) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with _visit(browser, url) as page:
        yield page


class _visit:
    """A new visitor; leaving asserts that the page had no error of its own and asked nobody else for anything."""

    def __init__(self, browser: Browser, url: str, **settings: object) -> None:
        self.context, self.url = browser.new_context(**settings), url
        self.asked: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENT_MS)
        expect.set_options(timeout=PATIENT_MS)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.url)
        expect(page.locator("#stylize-run")).to_be_visible()
        return page

    def __exit__(self, kind: object, *rest: object) -> None:
        self.context.close()
        if kind is None:
            assert not self.errors
            assert {
                urlsplit(asked).netloc for asked in self.asked if urlsplit(asked).scheme not in ("data", "blob")
            } == {urlsplit(self.url).netloc}


def give(page: Page, place: str, file: Path) -> None:
    page.locator(f"#{place} input[type=file]").first.set_input_files(file)
    expect(page.locator(f"#{place} img").first).to_be_visible()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def unfold(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).and_(page.locator(":visible")).click()


def line(page: Page, verb: str) -> object:
    return page.locator(f"#{verb}-line .v-status")


def finished(page: Page, verb: str) -> None:
    expect(line(page, verb)).to_have_class(DONE)


def downloaded(page: Page, verb: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator(f"#{verb}-download").click()
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_ci_fails_and_others_skip(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(outcome):
        chromium()


def test_a_photo_is_restyled_compared_and_downloaded(page: Page, shoe: Path, studio: StandIn, tmp_path: Path) -> None:
    give(page, "stylize-photo", shoe)
    page.locator("#stylize-presets .thumbnail-item").nth(1).click()
    page.locator("#stylize-run").click()
    expect(page.locator("#stylize-preview img")).to_be_visible()  # the live preview
    finished(page, "stylize")
    expect(line(page, "stylize")).to_contain_text("stand-in on CPU")
    expect(page.locator("#stylize-final img")).to_have_count(2)  # before and after
    file = downloaded(page, "stylize", tmp_path)
    assert file.name == "shoe-styled.png"
    assert image.read_recipe(file)["style"] == studio.presets()[1].name == "starry-night"


def test_an_example_runs_at_once(page: Page, studio: StandIn) -> None:
    ran = len(studio.requests)
    page.locator(".v-examples:visible button").first.click()
    finished(page, "stylize")
    assert len(studio.requests) == ran + 1


def test_a_photo_is_enlarged(page: Page, shoe: Path, tmp_path: Path) -> None:
    tab(page, "Enhance")
    give(page, "enhance-photo", shoe)
    page.get_by_text("Clean, enlarge x2").click()
    page.locator("#enhance-steps > button").click()
    expect(page.locator("#enhance-chain").get_by_label("Enlarge x2")).to_be_checked()
    page.locator("#enhance-run").click()
    finished(page, "enhance")
    with Image.open(downloaded(page, "enhance", tmp_path)) as opened:
        assert opened.size == (320, 240)


def test_steps_are_proposed_tried_where_the_photo_is_clicked_run_and_gone_back_to(
    page: Page, studio: StandIn, tmp_path: Path
) -> None:
    photo = tmp_path / "large.png"
    Image.effect_noise((800, 600), 60).convert("RGB").save(photo)
    tab(page, "Enhance")
    give(page, "enhance-photo", photo)
    page.locator("#enhance-propose").click()
    expect(page.locator("#enhance-proposal")).to_contain_text("It is dark.")
    box = page.locator("#enhance-photo img").bounding_box()
    page.locator("#enhance-photo img").click(position={"x": box["width"] - 3, "y": 3})  # its upper right corner
    expect(page.locator("#enhance-part img")).to_have_count(2)
    finished(page, "enhance")
    tried = studio.requests[-1]
    assert (tried.steps, tried.crop) == (("restore", "tone"), (416, 0, 384, 384))
    page.locator("#enhance-run").click()
    expect(page.locator("#enhance-final img")).to_have_count(2)
    expect(page.locator("#enhance-part")).not_to_be_visible()
    assert _zoomed(page, "enhance-final") > 1
    expect(line(page, "enhance")).to_contain_text("The Hub did not answer")
    page.locator("#enhance-trail").get_by_text("Clean noise").click()
    expect(line(page, "enhance")).to_contain_text("stand-in on CPU · Changed, where 1 is just visible")
    unfold(page, "Recipe")
    expect(page.locator("#enhance-recipe textarea")).not_to_have_value(re.compile("tone"))
    page.locator("#enhance-to-style").click()
    expect(page.locator("#stylize-photo img").first).to_be_in_viewport(ratio=0.9)


def test_amounts_of_a_recipe_that_came_before_the_photo_are_for_it_and_go_with_it(
    page: Page, shoe: Path, studio: StandIn, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(EnhanceRequest("p", steps=("tone",), adjust=(0.5, 0, 0, 0, 0, 0)).recipe()))
    tab(page, "Enhance")
    page.get_by_role("button", name="Recipe").and_(page.locator(":visible")).click()
    page.locator("#enhance-recipe-file input[type=file]").set_input_files(recipe)
    expect(line(page, "enhance")).to_contain_text("The recipe's settings are in place.")
    give(page, "enhance-photo", shoe)
    page.wait_for_timeout(500)
    page.locator("#enhance-run").click()
    expect(line(page, "enhance")).to_contain_text("stand-in on CPU")
    assert studio.requests[-1].adjust[0] == 0.5
    unfold(page, "Light and colour")
    page.locator("#enhance-photo").get_by_label("Remove Image").click()
    expect(page.locator("#enhance-own-amounts input")).not_to_be_checked()


def test_a_reference_is_for_one_photo_and_goes_with_it(page: Page, shoe: Path) -> None:
    tab(page, "Enhance")
    unfold(page, "Advanced")
    give(page, "enhance-reference", shoe)
    give(page, "enhance-photo", shoe)
    page.wait_for_timeout(500)
    expect(page.locator("#enhance-reference img")).to_have_count(1)
    page.locator("#enhance-photo").get_by_label("Remove Image").click()
    expect(page.locator("#enhance-reference img")).to_have_count(0)


def test_what_is_proposed_in_the_instant_a_photo_arrives_stays(page: Page, studio: StandIn, shoe: Path) -> None:
    tab(page, "Enhance")
    unfold(page, "Light and colour")
    page.route("**/run/predict*", lambda route: None)  # what a photo's arrival asks of the server waits
    give(page, "enhance-photo", shoe)
    page.locator("#enhance-propose").click()
    expect(page.locator("#enhance-proposal")).to_contain_text("It is dark.")
    page.unroute("**/run/predict*")  # which lets go of those that were held
    page.wait_for_timeout(1000)
    expect(page.locator("#enhance-proposal")).to_be_visible()
    expect(page.locator("#enhance-own-amounts input")).to_be_checked()
    page.locator("#enhance-photo").get_by_label("Remove Image").click()
    expect(page.locator("#enhance-proposal")).not_to_be_visible()
    expect(page.locator("#enhance-own-amounts input")).not_to_be_checked()


def _zoomed(page: Page, slider: str) -> float:
    """How much larger a slider shows its pictures after the wheel was turned over it."""
    picture = page.locator(f"#{slider} img").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    before = box["width"]
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)  # beside the handle
    for _ in range(4):
        page.mouse.wheel(0, -120)
    page.wait_for_timeout(500)
    return picture.bounding_box()["width"] / before


def test_new_pictures_show_their_seed_which_can_be_used_again(page: Page, studio: StandIn) -> None:
    tab(page, "Generate")
    unfold(page, "Advanced")
    seed = page.locator(".v-seed:visible input[type=number]")
    for reuse in (False, True):
        page.locator(".v-fresh:visible input").set_checked(not reuse)
        page.locator("#generate-run").click()
        expect(page.locator("#generate-line")).to_contain_text("Step")
        finished(page, "generate")
        expect(seed).to_have_value(str(studio.requests[-1].seed))
    assert studio.requests[-1].seed == studio.requests[-2].seed != 0
    expect(page.locator("#generate-final .thumbnail-item")).to_have_count(9)


def test_stop_stops_and_the_device_is_free_again(page: Page, studio: StandIn) -> None:
    tab(page, "Generate")
    closed = studio.closed
    page.locator("#generate-run").click()
    expect(page.locator("#generate-line")).to_contain_text("Step")
    page.locator("#generate-stop").click()
    expect(page.locator("#generate-line")).to_contain_text("Stopped.")
    end = time.monotonic() + 60
    while studio.running and time.monotonic() < end:
        time.sleep(0.05)
    assert (studio.running, studio.closed) == (0, closed + 1)
    page.locator("#generate-run").click()
    finished(page, "generate")
    expect(page.locator("#generate-final .thumbnail-item")).to_have_count(9)


@pytest.mark.parametrize(
    ("button", "fold"),
    [
        ("enhance-propose", ""),
        ("enhance-look", "Light and colour"),
        ("enhance-product-find", "Cut the product out"),
        ("stylize-find", "Product, background, colours"),
        ("recolour-find", "Which part is the product"),
    ],
)
def test_stop_also_ends_a_question(
    page: Page, studio: StandIn, shoe: Path, monkeypatch: pytest.MonkeyPatch, button: str, fold: str
) -> None:
    verb = button.partition("-")[0]
    tab(page, {"enhance": "Enhance", "stylize": "Style", "recolour": "Colours"}[verb])
    give(page, f"{verb}-photo", shoe)
    if fold:
        unfold(page, fold)
    closed = studio.closed
    monkeypatch.setattr(studio, "asking", 10)
    page.locator(f"#{button}").click()
    end = time.monotonic() + 60
    while not studio.running and time.monotonic() < end:
        time.sleep(0.05)
    page.locator(f"#{verb}-stop").click()
    while studio.running and time.monotonic() < end:
        time.sleep(0.05)
    assert (studio.running, studio.closed) == (0, closed + 1)
    if button == "enhance-propose":
        expect(page.locator("#enhance-proposal")).to_be_hidden()
    page.locator(f"#{verb}-run").click()
    finished(page, verb)


def test_stopped_is_said_once_a_new_run_can_start(
    page: Page, shoe: Path, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab(page, "Enhance")
    give(page, "enhance-photo", shoe)
    monkeypatch.setattr(
        studio, "seconds", 30
    )  # a step takes 1.5 s, and what is at work hears of Stop when it has ended
    page.locator("#enhance-run").click()
    expect(page.locator("#enhance-line")).to_contain_text("Step 1")
    page.locator("#enhance-stop").click()
    expect(page.locator("#enhance-line")).to_contain_text("Stopping")
    expect(line(page, "enhance")).to_have_text("Stopped.")  # beside it Gradio may keep an Error that the page hides
    monkeypatch.setattr(studio, "seconds", 0.2)
    page.locator("#enhance-run").click()
    expect(line(page, "enhance")).to_contain_text("stand-in on CPU")
    page.locator("#enhance-stop").click()
    expect(line(page, "enhance")).to_have_text("Stopped.")


def test_the_stage_stays_in_view_beside_long_controls_and_can_be_read_to_its_end(page: Page, shoe: Path) -> None:
    tab(page, "Enhance")
    give(page, "enhance-photo", shoe)
    page.locator("#enhance-run").click()
    finished(page, "enhance")
    unfold(page, "Steps and their order")
    unfold(page, "Light and colour")
    page.evaluate("scrollTo(0, 900)")
    assert page.evaluate("scrollY") > 500
    expect(page.locator("#enhance-final")).to_be_in_viewport(ratio=0.9)
    page.locator("#enhance-download").scroll_into_view_if_needed()
    expect(page.locator("#enhance-download")).to_be_in_viewport(ratio=0.99)
    unfold(page, "Recipe")
    page.locator("#enhance-link").scroll_into_view_if_needed()
    expect(page.locator("#enhance-link")).to_be_in_viewport(ratio=0.99)
    assert page.evaluate("scrollY") > 500
    assert page.evaluate(
        "(e => e.scrollWidth <="
        " e.clientWidth)(document.querySelector('#enhance-line').closest('.v-tab').lastElementChild)"
    )


def test_a_double_click_runs_once(page: Page, shoe: Path, studio: StandIn) -> None:
    tab(page, "Enhance")
    give(page, "enhance-photo", shoe)
    ran = len(studio.requests)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "/queue/join" in request.url else None)
    page.locator("#enhance-run").dblclick()
    finished(page, "enhance")
    assert len(studio.requests) == ran + 1
    runs = [
        body for body in asked if "shoe.jpg" in body and len(json.loads(body)["data"]) > 1
    ]  # a photo that arrives is looked at, alone
    assert len(runs) == 1, asked


def test_whoever_waits_sees_the_place_in_the_queue(browser: Browser, url: str) -> None:
    with _visit(browser, url) as first, _visit(browser, url) as second:
        for page in (first, second):
            tab(page, "Generate")
        first.locator("#generate-run").click()
        expect(first.locator("#generate-line")).to_contain_text("Step")
        second.locator("#generate-run").click()
        expect(second.locator("#generate-line")).to_contain_text("queue: 1/1")
        finished(second, "generate")


def test_a_mistake_is_a_sentence_that_stays(page: Page, tmp_path: Path) -> None:
    page.locator("#stylize-run").click()
    expect(line(page, "stylize")).to_have_class(FAILED)
    expect(line(page, "stylize")).to_have_text("Add a photo first.")
    expect(page.locator(".toast-wrap")).to_contain_text("Add a photo first.")


def test_a_file_that_is_no_photo_is_refused_as_it_arrives_and_one_that_no_browser_shows_is_shown(
    page: Page, tmp_path: Path
) -> None:
    tab(page, "Enhance")
    place = page.locator("#enhance-photo")
    text, photo = tmp_path / "text.jpg", tmp_path / "photo.tiff"
    text.write_text("not a picture")
    Image.new("RGB", (60, 40), "red").save(photo)
    place.locator("input[type=file]").first.set_input_files(text)
    expect(page.locator(".toast-wrap")).to_contain_text("text.jpg is a text; Vitrine opens JPEG")
    expect(place.locator("img")).to_have_count(0)
    place.locator("input[type=file]").first.set_input_files(photo)
    expect(place.locator("img[src$='photo.png']")).to_be_visible()
    assert place.locator("img").evaluate("picture => [picture.naturalWidth, picture.naturalHeight]") == [60, 40]


def test_a_recipe_fills_the_tab_again(page: Page, shoe: Path, tmp_path: Path) -> None:
    tab(page, "Enhance")
    give(page, "enhance-photo", shoe)
    page.get_by_text("Clean", exact=True).click()
    page.locator("#enhance-run").click()
    finished(page, "enhance")
    file = downloaded(page, "enhance", tmp_path)
    page.reload()
    tab(page, "Enhance")
    expect(page.get_by_label("Clean, enlarge x4")).to_be_checked()
    page.get_by_role("button", name="Recipe").and_(page.locator(":visible")).click()
    page.locator("#enhance-recipe-file input[type=file]").set_input_files(file)
    expect(line(page, "enhance")).to_contain_text("The recipe's settings are in place.")
    expect(page.get_by_label("Clean", exact=True)).to_be_checked()


def test_a_link_opens_the_tab_with_its_settings(page: Page) -> None:
    tab(page, "Generate")
    page.get_by_label("Watch").check()
    page.locator("#generate-run").click()
    finished(page, "generate")
    page.get_by_role("button", name="Recipe").and_(page.locator(":visible")).click()
    address = page.locator("a#generate-link").get_attribute("href")
    unfold(page, "Advanced")
    seed = page.locator(".v-seed:visible input[type=number]").input_value()
    page.goto(page.url.split("?")[0] + str(address))
    expect(page.locator("#generate-line")).to_contain_text("The recipe's settings are in place.")
    expect(page.get_by_label("Watch")).to_be_checked()
    unfold(page, "Advanced")
    expect(page.locator(".v-seed:visible input[type=number]")).to_have_value(seed)


def test_a_link_that_says_nothing_is_one_sentence(browser: Browser, url: str) -> None:
    for address in ("?recipe=x", '?recipe={"vitrine":1,"verb":"generate","count":1000}'):
        with _visit(browser, url + "/" + address) as page:
            expect(line(page, "stylize")).to_have_class(FAILED)
            expect(line(page, "stylize")).to_contain_text(
                re.compile("carries no recipe that can be read|Count must be a whole number from 1 to 36")
            )


def test_the_file_comes_in_the_format_that_is_asked_for(page: Page, shoe: Path, tmp_path: Path) -> None:
    give(page, "stylize-photo", shoe)
    page.locator("#stylize-run").click()
    finished(page, "stylize")
    page.get_by_label("JPEG").and_(page.locator(":visible")).check()
    expect(page.locator(".v-actions:visible")).to_contain_text("Quality")
    expect(
        page.locator("#stylize-download a[href$='.jpg'], a#stylize-download[href$='.jpg']").or_(
            page.locator("#stylize-download")
        )
    ).to_be_visible()
    end = time.monotonic() + 60
    while (file := downloaded(page, "stylize", tmp_path)).suffix != ".jpg" and time.monotonic() < end:
        time.sleep(0.2)  # torch may have to be imported first
    with Image.open(file) as opened:
        assert opened.format == "JPEG"
    assert image.read_recipe(file)["verb"] == "stylize"


def test_the_networks_are_at_the_foot(page: Page) -> None:
    page.get_by_role("button", name="The networks").click()
    expect(page.locator(".v-table")).to_contain_text("timm/vgg19.tv_in1k")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_visitor_s_light_and_keeps_a_change(browser: Browser, url: str, scheme: str) -> None:
    is_dark = "document.body.classList.contains('dark')"
    with _visit(browser, url, color_scheme=scheme) as page:
        assert page.evaluate(is_dark) is (scheme == "dark")
        page.locator("#v-theme").click()
        page.wait_for_function(f"{is_dark} === {str(scheme == 'light').lower()}")
        page.reload()
        expect(page.locator("#stylize-run")).to_be_visible()
        page.wait_for_function(f"{is_dark} === {str(scheme == 'light').lower()}")


def test_a_phone_s_width_is_enough(
    browser: Browser, url: str, shoe: Path, studio: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _visit(browser, url, viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True) as page:
        give(page, "stylize-photo", shoe)
        page.locator("#stylize-run").click()
        finished(page, "stylize")
        expect(page.locator("#stylize-final")).to_be_in_viewport(ratio=0.99)
        expect(page.locator("#stylize-line")).to_be_in_viewport()
        for name in ("Style", "Colours", "Generate", "Enhance"):
            tab(page, name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375
            sticking_out = (
                "[...document.querySelectorAll('button, input, img')].filter(e => e.offsetParent &&"
                " e.getBoundingClientRect().right > innerWidth + 1)"
            )
            assert (
                page.evaluate(f"{sticking_out}.filter(e => !e.closest('.v-examples, .v-table')).map(e => e.outerHTML)")
                == []
            )
        unfold(page, "Compare two networks")
        for place, name in (("step", "Enlarge x4"), ("b", "realesr-general-x4")):
            page.locator(f"#enhance-rival-{place} input").click()
            page.get_by_role("option", name=name).click()
        expect(page.locator("#enhance-rival-b input")).to_have_value("realesr-general-x4 (Hub, not fetched)")
        assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#enhance-rival-b input'))")
        give(page, "enhance-photo", shoe)
        monkeypatch.setattr(studio, "seconds", 3)
        page.locator("#enhance-run").click()
        expect(page.locator("#enhance-line")).to_be_in_viewport()
        assert "stand-in on CPU" not in page.locator("#enhance-line").inner_text(), (
            "the stage comes into view when the work begins, not when it has ended"
        )


def test_a_chinese_browser_gets_a_chinese_page_that_works(browser: Browser, url: str) -> None:
    with _visit(browser, url, locale="zh-CN") as page:
        expect(page.locator("#stylize-run")).to_have_text("转换风格")
        tab(page, "生成")
        page.locator("#generate-run").click()
        finished(page, "generate")
        assert "__i18n__" not in page.inner_text("body")


def test_a_keyboard_reaches_the_tabs_and_the_button(page: Page) -> None:
    page.keyboard.press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement?.id") == "stylize-run":
            break
        page.keyboard.press("Tab")
    else:
        pytest.fail("Tab never reaches the button")
    page.keyboard.press("Enter")
    expect(line(page, "stylize")).to_have_text("Add a photo first.")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real thing: `python app.py`, offline, with the networks that come with it."""
    port = free_port()
    log = tmp_path_factory.mktemp("app") / "log.txt"
    settings = os.environ | {"VITRINE_PORT": str(port), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=settings, stdout=stream, stderr=stream)
        try:
            end = time.monotonic() + 180
            while not _answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_real_networks_do_each_tab_s_job(browser: Browser, app: str, shoe: Path, tmp_path: Path) -> None:
    with _visit(browser, app) as page:
        page.set_default_timeout(3 * PATIENT_MS)
        expect.set_options(timeout=3 * PATIENT_MS)
        tab(page, "Generate")
        page.locator("#generate-run").click()
        finished(page, "generate")
        expect(page.locator("#generate-final .thumbnail-item")).to_have_count(9)
        tab(page, "Enhance")
        give(page, "enhance-photo", shoe)
        page.locator("#enhance-run").click()
        finished(page, "enhance")
        with Image.open(downloaded(page, "enhance", tmp_path)) as opened:
            assert opened.size == (640, 480)
        tab(page, "Style")
        give(page, "stylize-photo", shoe)
        page.get_by_role("button", name="Advanced").and_(page.locator(":visible")).click()
        for name, value in (("Steps", "4"), ("Size", "128")):
            number = page.get_by_label(f"number input for {name}").and_(page.locator(":visible"))
            expect(number).not_to_have_value(value)
            page.wait_for_timeout(500)  # a slider that was just shown may still be given its default
            number.fill(value)
            number.press("Enter")
            expect(number).to_have_value(value)
        page.locator("#stylize-run").click()
        finished(page, "stylize")
        recipe = image.read_recipe(downloaded(page, "stylize", tmp_path))
        assert (recipe["steps"], recipe["size_px"]) == (4, 128)


def test_the_product_s_mask_is_shown_and_drawn_on(page: Page, studio: StandIn, shoe: Path) -> None:
    give(page, "stylize-photo", shoe)
    page.get_by_role("button", name="Product, background, colours").click()
    page.locator("#stylize-find").click()
    canvas = page.locator("#stylize-brush canvas").first
    expect(canvas).to_be_visible()
    expect(page.locator("#stylize-mask img").first).to_be_visible()  # what was found is the mask already
    page.get_by_label("The background").first.check()
    page.locator("#stylize-run").click()
    expect(page.locator("#stylize-line .v-status")).to_have_class(DONE)
    asked = studio.requests[-1]
    assert asked.apply_to == "background"
    with Image.open(asked.mask) as mask:
        assert mask.convert("L").getpixel((mask.width // 2, mask.height // 2)) > 200
        assert mask.convert("L").getpixel((2, 2)) < 50


def _stroke(page: Page, brush: str) -> None:
    """Draw from the middle of a canvas over the upper edge of its photo, once the photo lies on it."""
    canvas = page.locator(f"#{brush} canvas").first
    expect(canvas).to_be_visible()
    page.wait_for_timeout(3000)  # the canvas finds its size, and lays the photo and its mask
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 5, steps=8)
    page.mouse.up()


def _has_the_stroke(mask: Image.Image) -> bool:
    """Whether a mask is white where `_stroke` went over the edge, and black in the corner."""
    grey = mask.convert("L")
    return grey.getpixel((grey.width // 2, 2)) > 200 and grey.getpixel((2, 2)) < 50


def _shown_with_the_stroke(page: Page, place: str) -> bool:
    end = time.monotonic() + 2 * PATIENT_MS / 1000
    while time.monotonic() < end:
        if (picture := page.locator(f"#{place} img").first).count():
            answer = page.request.get(urljoin(page.url, picture.get_attribute("src")))
            if _has_the_stroke(Image.open(BytesIO(answer.body()))):
                return True
        page.wait_for_timeout(500)
    return False


@pytest.mark.parametrize(
    ("name", "fold", "verb", "brush", "place", "field", "step"),
    [
        ("Enhance", "Cut the product out", "enhance", "enhance-product", "enhance-product", "product", "cut-out"),
        ("Enhance", "Fill a masked area", "enhance", "enhance-mask", "enhance-mask", "mask", "inpaint"),
        ("Style", "Product, background, colours", "stylize", "stylize", "stylize-mask", "mask", ""),
        ("Colours", "Which part is the product", "recolour", "recolour", "recolour-mask", "mask", ""),
    ],
)
def test_the_last_stroke_counts_in_the_mask_that_is_shown_and_at_once_in_what_is_run(
    page: Page,
    studio: StandIn,
    shoe: Path,
    name: str,
    fold: str,
    verb: str,
    brush: str,
    place: str,
    field: str,
    step: str,
) -> None:
    tab(page, name)
    give(page, f"{verb}-photo", shoe)
    unfold(page, fold)
    page.locator(f"#{brush}-find").click()
    _stroke(page, f"{brush}-brush")
    page.locator(f"#{verb}-run").click()  # before any mask can have come back
    finished(page, verb)
    asked = studio.requests[-1]
    assert not step or step in asked.steps
    with Image.open(getattr(asked, field)) as mask:
        assert _has_the_stroke(mask)
    page.locator(f"#{place}").get_by_label("Remove Image").click()
    expect(page.locator(f"#{place} img")).to_have_count(0)
    page.locator(f"#{brush}-find").click()
    _stroke(page, f"{brush}-brush")
    assert _shown_with_the_stroke(page, place)


def test_what_was_drawn_goes_with_its_photo(page: Page, studio: StandIn, shoe: Path) -> None:
    tab(page, "Colours")
    give(page, "recolour-photo", shoe)
    unfold(page, "Which part is the product")
    page.locator("#recolour-find").click()
    _stroke(page, "recolour-brush")
    page.locator("#recolour-photo").get_by_label("Remove Image").click()
    give(page, "recolour-photo", shoe)
    page.locator("#recolour-run").click()
    finished(page, "recolour")
    assert studio.requests[-1].mask is None


def test_a_stroke_is_in_the_result_of_the_real_networks(browser: Browser, app: str, tmp_path: Path) -> None:
    photo = tmp_path / "dot.png"
    picture = Image.new("RGB", (160, 120), (200, 200, 200))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 50, 120, 110), fill=(150, 40, 30))
    draw.ellipse((74, 14, 86, 26), fill="black")
    picture.save(photo)
    results = {}
    for fold, brush in (("Cut the product out", "enhance-product"), ("Fill a masked area", "enhance-mask")):
        with _visit(browser, app) as page:
            tab(page, "Enhance")
            give(page, "enhance-photo", photo)
            page.get_by_text("Clean", exact=True).click()
            unfold(page, fold)
            if brush == "enhance-product":
                page.get_by_label("Nothing", exact=True).check()
            page.locator(f"#{brush}-find").click()
            _stroke(page, f"{brush}-brush")
            page.locator("#enhance-run").click()
            finished(page, "enhance")
            with Image.open(downloaded(page, "enhance", tmp_path)) as opened:
                results[brush] = opened.convert("RGBA")
    cut, filled = results.values()
    assert [cut.getpixel(spot)[3] > 200 for spot in ((80, 20), (80, 100), (5, 5))] == [True, True, False]
    assert min(filled.getpixel((80, 20))[:3]) > 150


def test_one_product_is_shown_in_several_colours(page: Page, studio: StandIn, shoe: Path) -> None:
    tab(page, "Colours")
    give(page, "recolour-photo", shoe)
    page.locator("#recolour-run").click()
    expect(page.locator("#recolour-line .v-status")).to_have_class(DONE)
    assert page.locator("#recolour-final img").count() >= 4
    assert studio.requests[-1].colours == ("#1f3a5f", "#8c1c13", "#2f5d50", "#e0a526")


def test_two_styles_share_the_slider(page: Page, studio: StandIn, shoe: Path, tmp_path: Path) -> None:
    give(page, "stylize-photo", shoe)
    unfold(page, "Compare side by side")
    page.locator("#stylize-compare-run").click()
    for side in "AB":
        expect(page.locator(f"#stylize-note-{side}")).to_contain_text("stand-in on CPU")
    expect(page.locator("#stylize-pair img")).to_have_count(2)
    expect(page.locator("#stylize-pair")).to_be_in_viewport(
        ratio=0.9
    )  # though the button that was pressed lies far below
    with page.expect_download() as waiting:
        page.locator("#stylize-download-B").click()
    assert waiting.value.suggested_filename == "shoe-styled-B.png"
    waiting.value.save_as(tmp_path / "b.png")
    assert image.read_recipe(tmp_path / "b.png")["style"] == studio.requests[-1].style != studio.requests[-2].style


def test_a_picture_of_the_wall_is_varied_walked_from_and_enlarged(page: Page, studio: StandIn) -> None:
    tab(page, "Generate")
    page.locator("#generate-run").click()
    finished(page, "generate")
    page.locator("#generate-final .thumbnail-item").nth(2).click()
    page.locator("#generate-more").click()
    expect(page.locator("#generate-picked")).not_to_be_visible()
    finished(page, "generate")
    assert studio.requests[-1].like == 3
    page.locator("#generate-final .thumbnail-item").nth(1).click()
    page.locator("#generate-back").click()
    expect(page.locator("#generate-picked")).not_to_be_visible()
    finished(page, "generate")
    page.locator("#generate-final .thumbnail-item").nth(1).click()
    page.locator("#generate-walk").click()
    expect(page.locator("#generate-motion img")).to_be_visible()
    assert (studio.requests[-1].like, studio.requests[-1].walk_to) == (2, 1)
    page.locator("#generate-final .thumbnail-item").nth(0).click()
    page.locator("#generate-enlarge").click()
    expect(page.locator("#enhance-photo img").first).to_be_visible()
    finished(page, "enhance")
    assert studio.requests[-1].steps == ("upscale-x4",)


def test_a_drawing_on_the_pad_is_black_on_white(page: Page, studio: StandIn) -> None:
    tab(page, "Generate")
    unfold(page, "From a sketch")
    pad = page.locator("#generate-pad canvas").first
    expect(pad).to_be_visible()
    page.wait_for_timeout(500)  # the pad finds its size
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=8)
    page.mouse.up()
    page.locator("#generate-sketch").click()
    finished(page, "generate")
    with Image.open(studio.requests[-1].sketch) as drawn:
        assert drawn.size == (320, 320)
        assert drawn.convert("L").getextrema() == (0, 255)
        assert drawn.convert("RGB").getpixel((5, 5)) == (255, 255, 255)
    page.locator("#generate-clear").click()
    expect(page.locator("#generate-clear")).to_be_enabled()
    page.locator("#generate-sketch").click()
    expect(page.locator("#generate-line")).to_contain_text("Step")
    finished(page, "generate")
    with Image.open(studio.requests[-1].sketch) as drawn:
        assert drawn.convert("L").getextrema() == (255, 255)


def test_the_api_view_shows_a_setting_on_each_line(page: Page) -> None:
    page.get_by_role("button", name="Use via API").click()
    described = page.locator(".api-docs .desc").first
    expect(described).to_contain_text("strength: 0 gives the photo")
    assert "strength: 0 gives the photo, 1 the full effect, 0.0 to 1.0." in described.inner_text().splitlines()
    expect(page.locator(".api-docs")).to_contain_text('style="great-wave"')
