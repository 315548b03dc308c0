"""The command line: arguments read off the requests, one sentence for a mistake, exit statuses."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shelf import shelf, write_photo

from engine import Studio, image
from engine.cli import commands as command_line
from engine.cli import output
from engine.contract.generate import GenerateRequest
from engine.contract.marketplaces import marketplaces
from engine.contract.recipe import REQUESTS
from engine.image import saved
from engine.settings import ROOT


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "Studio", lambda: Studio(None, shelf()))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return write_photo(tmp_path / "photo.png")


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture)


def run(*arguments: Any) -> int:
    try:
        return command_line.main([str(a) for a in arguments])
    except SystemExit as end:  # argparse leaves this way
        return int(end.code or 0)


def mistake(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The one line on stderr of a command that must end with status 2."""
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(".\n")
    assert err.count("\n") == 1
    return err.strip()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_enhance_writes_the_picture_with_its_recipe(photo: str, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert run("enhance", photo, "--steps", "restore,upscale-x2", "--strength", "0.5", "--out", out) == 0
    assert size(out) == (180, 140)
    recipe = image.read_recipe(out)
    assert recipe["steps"] == ["restore", "upscale-x2"]
    assert recipe["strength"] == 0.5


def test_without_arguments_the_defaults_of_the_request_hold(tmp_path: Path) -> None:
    assert run("generate", "--out", tmp_path / "sheet.png") == 0
    assert image.read_recipe(tmp_path / "sheet.png") == GenerateRequest().recipe()


def test_several_pictures_are_a_grid_or_files_in_a_folder(tmp_path: Path) -> None:
    assert (
        run(
            "generate",
            "--category",
            "shoe",
            "--count",
            "5",
            "--seed",
            "7",
            "--scale",
            "1",
            "--out",
            tmp_path / "sheet.png",
        )
        == 0
    )
    assert size(tmp_path / "sheet.png") == (3 * 8 + 2 * 8, 2 * 8 + 8)
    assert (
        run(
            "generate",
            "--category",
            "shoe",
            "--count",
            "5",
            "--seed",
            "7",
            "--scale",
            "1",
            "--out",
            tmp_path / "new" / "shoes",
        )
        == 0
    )
    names = sorted(file.name for file in (tmp_path / "new" / "shoes").iterdir())
    assert names == [f"shoe-7-0{k}.png" for k in range(1, 6)]
    first = pixels(tmp_path / "new" / "shoes" / names[0])
    assert np.array_equal(pixels(tmp_path / "sheet.png")[:8, :8], first)


def test_json_prints_the_notes(photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("enhance", photo, "--steps", "restore", "--network", "hub", "--out", tmp_path / "out.png", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["networks"] == ["restore"]
    assert report["device"]
    assert "scunet could not be loaded" in report["fallbacks"][0]
    assert report["files"] == [str(tmp_path / "out.png")]
    assert report["recipe"]["steps"] == ["restore"]


def test_without_json_a_sentence_says_what_ran(photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("enhance", photo, "--steps", "deblur", "--network", "embedded", "--out", tmp_path / "out.png") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == str(tmp_path / "out.png")
    assert out.splitlines()[1].startswith("unsharp masking on ")


def test_a_recipe_is_printed_and_repeated(photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("enhance", photo, "--steps", "restore", "--strength", "0.3", "--out", tmp_path / "first.png")
    capsys.readouterr()
    assert run("recipe", tmp_path / "first.png") == 0
    (tmp_path / "recipe.json").write_text(capsys.readouterr().out)
    assert run("run", tmp_path / "recipe.json", photo, "--out", tmp_path / "again.png") == 0
    assert np.array_equal(pixels(tmp_path / "first.png"), pixels(tmp_path / "again.png"))


def test_a_recipe_with_a_mask_takes_it_as_an_argument(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hole = Image.new("L", (90, 70))
    hole.paste(255, (30, 20, 50, 40))
    hole.save(tmp_path / "mask.png")
    run("enhance", photo, "--steps", "inpaint", "--mask", tmp_path / "mask.png", "--out", tmp_path / "first.png")
    (tmp_path / "recipe.json").write_text(json.dumps(image.read_recipe(tmp_path / "first.png")))
    capsys.readouterr()
    assert "needs a mask" in mistake(capsys, "run", tmp_path / "recipe.json", photo, "--out", tmp_path / "again.png")
    assert (
        run("run", tmp_path / "recipe.json", photo, "--mask", tmp_path / "mask.png", "--out", tmp_path / "again.png")
        == 0
    )


def test_a_recipe_for_generating_needs_no_photo(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(GenerateRequest(count=2, scale=1).recipe()))
    assert run("run", tmp_path / "recipe.json", "--out", tmp_path / "out.png") == 0


def test_models_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    table = capsys.readouterr().out
    assert run("models", "--json") == 0
    models = json.loads(capsys.readouterr().out)
    assert {"name", "task", "source", "size", "licence", "where", "measured"} <= set(models[0])
    assert all(model["name"] in table for model in models)


def test_presets_are_listed_with_their_artworks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("presets") == 0
    table = capsys.readouterr().out
    assert "starry-night" in table
    assert "Vincent van Gogh" in table
    assert run("presets", "--json") == 0
    presets = json.loads(capsys.readouterr().out)
    assert len(presets) >= 16
    assert all(preset["name"] in table and preset["licence"] == "public domain" for preset in presets)


def test_quality_changes_the_size_of_the_file(photo: str, tmp_path: Path) -> None:
    sizes = []
    for quality in ("20", "95"):
        run("enhance", photo, "--steps", "restore", "--quality", quality, "--out", tmp_path / "out.jpg")
        sizes.append((tmp_path / "out.jpg").stat().st_size)
    assert 2 * sizes[0] < sizes[1]


@pytest.mark.parametrize("keep", [False, True])
def test_exif_is_kept_on_request(tmp_path: Path, keep: bool) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Anna Atkins"
    Image.new("RGB", (60, 60)).save(tmp_path / "photo.jpg", exif=exif)
    run(
        "enhance",
        tmp_path / "photo.jpg",
        "--steps",
        "restore",
        *(["--keep-exif"] if keep else []),
        "--out",
        tmp_path / "out.jpg",
    )
    with Image.open(tmp_path / "out.jpg") as picture:
        assert (picture.getexif().get(0x013B) == "Anna Atkins") is keep


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "The following arguments are required: COMMAND; see python -m engine --help."),
        (["polish"], "invalid choice: 'polish'"),
        (["generate"], "The following arguments are required: --out; see python -m engine generate --help."),
        (["generate", "--count", "many", "--out", "o.png"], "Argument --count: invalid int value: 'many'"),
        (["generate", "--count", "37", "--out", "o.png"], "Count must be a whole number from 1 to 36, not 37."),
        (
            ["generate", "--truncation", "nan", "--out", "o.png"],
            "Truncation must be a number from 0.0 to 1.0, not nan.",
        ),
        (["generate", "--category", "boat", "--out", "o.png"], "Category must be one of shoe, "),
        (["generate", "--scale", "3", "--out", "o.png"], "Scale must be one of 1, 2, 4, not 3."),
        (["generate", "--network", "lama", "--out", "o.png"], "No network 'lama' serves generate or upscale-x4"),
        (["generate", "--out", "o.svg"], "Pictures are saved as .png, .jpg, .jpeg, .webp, not as o.svg."),
        (
            ["enhance", "p", "--steps", "listing", "--marketplace", "walmart", "--out", "o.png"],
            "Walmart takes JPEG files only, so it would not take o.png.",
        ),
        (["generate", "--out", "gone/o.png"], "There is no folder gone."),
        (["generate", "--out", "o.png", "--quality", "0"], "Quality must be a whole number from 1 to 100."),
        (["generate", "--out", "o.png", "--glitter", "red"], "Unrecognized arguments: --glitter red"),
        (["generate", "--out", "o.png", "--colour", "red"], "A colour is written as #rrggbb, not as 'red'."),
        (
            ["generate", "--out", "o.png", "--directions", "1,x"],
            "Argument --directions: '1,x' is not a list of numbers separated by commas",
        ),
        (["enhance", "gone.png", "--out", "o.png"], "There is no file gone.png."),
        (["enhance", "gone.png", "--steps", "polish", "--out", "o.png"], "There is no step 'polish'"),
        (["enhance", "gone.png", "--steps", ",", "--out", "o.png"], "Choose at least one step"),
        (["stylize", "gone.png", "--size", "10", "--out", "o.png"], "Size must be 0 or at least 64, not 10."),
        (["run", "gone.json", "photo.png", "--out", "o.png"], "gone.json cannot be opened: no such file or directory."),
        (["recipe", "gone.png"], "There is no file gone.png."),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in mistake(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VITRINE_OUTPUT_MPX", "lots"),
        ("VITRINE_INPUT_MPX", "nan"),
        ("VITRINE_TILE_MB", "inf"),
        ("VITRINE_HUB_TIMEOUT", "-1"),
    ],
)
def test_a_setting_that_is_no_number_above_0_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert (
        mistake(capsys, "generate", "--out", tmp_path / "o.png") == f"{name} must be a number above 0, not {value!r}."
    )


def test_a_precision_that_there_is_not_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VITRINE_PRECISION", "int4")
    said = mistake(capsys, "generate", "--out", tmp_path / "o.png")
    assert said == "VITRINE_PRECISION must be auto or fp32, not 'int4'."


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"vitrine": 1}', "not json", "\udcff", "[" * 100_000])
def test_a_recipe_that_is_none_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    file = tmp_path / "recipe.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "recipe" in mistake(capsys, "run", file, "--out", tmp_path / "o.png")


def test_a_picture_without_a_recipe_is_one_sentence(capsys: pytest.CaptureFixture[str], photo: str) -> None:
    assert mistake(capsys, "recipe", photo) == "photo.png carries no recipe."


def test_what_nobody_expected_is_one_sentence_too(
    capsys: pytest.CaptureFixture[str], photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "Studio", lambda: Studio(None, shelf(restore=lambda x: x / "a")))
    command = ("enhance", photo, "--steps", "restore", "--out", tmp_path / "o.png")
    assert (
        mistake(capsys, *command)
        == "Something went wrong inside Vitrine; with --verbose before the command it is shown in full."
    )


def test_a_failed_command_writes_no_file(photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "Studio", lambda: Studio(None, shelf(restore=None)))
    assert run("enhance", photo, "--steps", "restore", "--out", tmp_path / "o.png") == 2
    assert not (tmp_path / "o.png").exists()


def test_progress_is_shown_where_somebody_watches(photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("enhance", photo, "--steps", "restore", "--out", tmp_path / "o.png") == 0
    assert " 50 %  Cleaning with restore: 2 of 4" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")  # nothing is left behind


def test_help_names_every_field_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, kind in REQUESTS.items():
        assert run(verb, "--help") == 0
        text = " ".join(capsys.readouterr().out.split())
        for key, setting in kind.settings().items():
            assert (key.upper() if setting.required else command_line._flag(key)) in text
            assert setting.about.split(",")[0] in text
        assert verb != "enhance" or all(market in text for market in marketplaces())


def test_the_suffixes_are_those_that_the_door_can_write() -> None:
    assert set(output.SUFFIXES) == set(saved.SUFFIXES)


SLOW = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
sys.path.insert(0, "tests/support")
from shelf import shelf, slowly
from engine import Studio
from engine.cli import commands as command_line

def network(x, wait=slowly(0.1)):
    print("at work", flush=True)
    return wait(x)

command_line.Studio = lambda: Studio(None, shelf(restore=network))
sys.exit(command_line.main(sys.argv[1:]))
"""


def test_control_c_ends_with_130_and_leaves_nothing_behind(tmp_path: Path) -> None:
    photo, out = write_photo(tmp_path / "large.png", 1200, 1200), tmp_path / "out.png"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "enhance", photo, "--steps", "restore", "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130  # and not 0: all of it would take a minute
    assert err == "Stopped.\n"
    assert [file.name for file in tmp_path.iterdir()] == ["large.png"]


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "engine", "enhance", str(tmp_path / "gone.png"), "--out", "o.png"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr == "There is no file gone.png.\n"


def test_the_settings_reach_the_studio(monkeypatch: pytest.MonkeyPatch, photo: str, tmp_path: Path) -> None:
    seen: list[Studio] = []
    monkeypatch.setattr(command_line, "Studio", lambda: (seen.append(Studio(None, shelf())), seen[0])[1])  # type: ignore[arg-type]
    monkeypatch.setenv("VITRINE_TILE_MB", "7")
    assert run("enhance", photo, "--steps", "restore", "--out", tmp_path / "o.png") == 0
    assert seen[0].settings.tile_memory == 7_000_000


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'engine', 'models'],"
        " stdout=subprocess.PIPE, stderr=subprocess.PIPE)"
    )
    code += "; p.stdout.close(); _, said = p.communicate(); print(said.decode()); sys.exit(p.returncode)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_walk_into_a_gif_or_a_webp_moves(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"walk{suffix}"
    assert run("generate", "--like", "1", "--walk-to", "3", "--count", "4", "--scale", "1", "--out", out) == 0
    with Image.open(out) as animation:
        assert animation.n_frames == 6  # type: ignore[attr-defined]
        assert animation.size == (8, 8)
    assert image.read_recipe(out)["walk_to"] == 3
    (tmp_path / "recipe.json").write_text(json.dumps(image.read_recipe(out)))
    assert run("run", tmp_path / "recipe.json", "--out", tmp_path / f"again{suffix}") == 0
    assert (tmp_path / f"again{suffix}").read_bytes() == out.read_bytes()


def test_a_walk_into_a_png_and_no_walk_into_a_webp_are_grids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run("generate", "--like", "1", "--walk-to", "3", "--count", "4", "--scale", "1", "--out", tmp_path / "walk.png")
        == 0
    )
    assert run("generate", "--count", "4", "--scale", "1", "--out", tmp_path / "sheet.webp") == 0
    assert size(tmp_path / "walk.png") == size(tmp_path / "sheet.webp") == (24, 24)
    with Image.open(tmp_path / "sheet.webp") as picture:
        assert not getattr(picture, "is_animated", False)
    capsys.readouterr()
    assert mistake(capsys, "generate", "--out", tmp_path / "sheet.gif").endswith(
        "not as sheet.gif; only a walk can be animated."
    )


def test_all_that_can_be_asked_of_generate_is_an_argument(tmp_path: Path) -> None:
    arguments = [
        "--colour",
        "#cc3322",
        "--background",
        "transparent",
        "--order",
        "best",
        "--like",
        "2",
        "--distance",
        "0.5",
        "--directions",
        "0,0",
    ]
    assert run("generate", *arguments, "--count", "3", "--scale", "2", "--out", tmp_path / "shoes.png") == 0
    recipe = GenerateRequest(
        count=3,
        scale=2,
        colour="#cc3322",
        background="transparent",
        order="best",
        like=2,
        distance=0.5,
        directions=(0.0, 0.0),
    ).recipe()
    assert image.read_recipe(tmp_path / "shoes.png") == recipe
    with Image.open(tmp_path / "shoes.png") as picture:
        assert picture.mode == "RGBA"


def test_a_photo_for_a_network_without_encoder_is_one_sentence(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        mistake(capsys, "generate", "--photo", photo, "--out", tmp_path / "o.png")
        == "The network studio cannot take a photo."
    )
    assert "serves sketch" in mistake(
        capsys, "generate", "--sketch", photo, "--network", "studio", "--out", tmp_path / "o.png"
    )
    assert (
        mistake(capsys, "generate", "--sketch", photo, "--out", tmp_path / "o.png")
        == "There is no network for the task sketch."
    )


def photos_in(folder: Path, *names: str) -> list[str]:
    """Photos of noise, each another."""
    folder.mkdir(exist_ok=True)
    return [write_photo(folder / name, seed=seed) for seed, name in enumerate(names, 1)]


def test_pictures_of_one_photo_each_have_a_file_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels_of_product = np.full((70, 90, 3), 240, np.uint8)
    pixels_of_product[20:50, 25:65] = (180, 40, 50)
    Image.fromarray(pixels_of_product).save(tmp_path / "bag.png")
    assert run("recolour", tmp_path / "bag.png", "--colours", "#1f3a5f,#2f5d50", "--out", tmp_path / "bags") == 0
    assert sorted(file.name for file in (tmp_path / "bags").iterdir()) == ["bag-01.png", "bag-02.png"]
    assert not np.array_equal(pixels(tmp_path / "bags" / "bag-01.png"), pixels(tmp_path / "bags" / "bag-02.png"))
    assert capsys.readouterr().out.splitlines()[:2] == [str(tmp_path / "bags" / f"bag-0{i}.png") for i in (1, 2)]


def test_several_photos_and_folders_of_them_go_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = photos_in(tmp_path / "more", "c.png", "b.png", "a ü.png")
    (tmp_path / "more" / "notes.txt").write_text("not looked at")
    (tmp_path / "more" / ".hidden.png").write_text("nor this")
    first = write_photo(tmp_path / "first.png")
    assert run("enhance", first, tmp_path / "more", "--steps", "restore", "--out", tmp_path / "done") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[::2] == [
        str(tmp_path / "done" / name) for name in ("first.png", "a ü.png", "b.png", "c.png")
    ]
    assert err == ""
    for file in (first, *named):
        assert np.array_equal(pixels(tmp_path / "done" / Path(file).name), 255 - pixels(Path(file)))


def test_a_broken_photo_among_good_ones_keeps_none_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos_in(tmp_path / "photos", "a.png", "c.png")
    (tmp_path / "photos" / "b.png").write_text("no picture")
    assert (
        run(
            "enhance",
            tmp_path / "photos",
            "--steps",
            "restore",
            "--format",
            "jpg",
            "--json",
            "--out",
            tmp_path / "done",
        )
        == 2
    )
    out, err = capsys.readouterr()
    assert [json.loads(line)["files"] for line in out.splitlines()] == [
        [str(tmp_path / "done" / name)] for name in ("a.jpg", "c.jpg")
    ]
    broken, last = err.splitlines()
    assert broken.startswith(f"{tmp_path / 'photos' / 'b.png'}: b.png is a text; Vitrine opens JPEG")
    assert last == "1 of 3 photos could not be done."


def test_in_a_folder_no_photo_is_written_over_and_none_of_one_name_is_lost(tmp_path: Path) -> None:
    before = {file: Path(file).read_bytes() for file in photos_in(tmp_path, "a.png", "a.webp", "b.png")}
    assert run("enhance", tmp_path, "--steps", "restore", "--out", tmp_path) == 0
    assert {file: Path(file).read_bytes() for file in before} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a-2.png",
        "a-3.png",
        "a.png",
        "a.webp",
        "b-2.png",
        "b.png",
    ]
    assert np.array_equal(pixels(tmp_path / "a-3.png"), 255 - pixels(tmp_path / "a.webp"))


def test_one_photo_may_go_into_a_folder_as_well(photo: str, tmp_path: Path) -> None:
    assert run("enhance", photo, "--steps", "restore", "--out", f"{tmp_path}/new/") == 0
    assert size(tmp_path / "new" / "photo.png") == (90, 70)


def test_a_recipe_is_repeated_on_a_folder(photo: str, tmp_path: Path) -> None:
    photos_in(tmp_path / "photos", "a.png", "b.png")
    run("enhance", photo, "--steps", "restore", "--strength", "0.3", "--out", tmp_path / "first.png")
    (tmp_path / "recipe.json").write_text(json.dumps(image.read_recipe(tmp_path / "first.png")))
    assert run("run", tmp_path / "recipe.json", tmp_path / "photos", "--out", tmp_path / "done") == 0
    assert [image.read_recipe(tmp_path / "done" / name)["strength"] for name in ("a.png", "b.png")] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["photo.png", "photo.png", "--out", "o.png"],
            "Several photos go into a folder, not into o.png; with a / at its end it is one.",
        ),
        (["photo.png", "photo.png", "--out", "photo.png/new"], "photo.png is a file, not a folder."),
        (["photo.png", "photo.png", "--steps", "polish", "--out", "done"], "There is no step 'polish'"),
        (["empty", "--out", "done"], "There is no picture in the folder empty."),
        (["photo.png", "--format", "svg", "--out", "done/"], "The file format must be png, jpg or webp."),
        (
            ["photo.png", "--format", "jpg", "--out", "o.png"],
            "A format is chosen for the files in a folder; that of a single file is in its name.",
        ),
        (
            ["photo.png", "--steps", "listing", "--marketplace", "walmart", "--format", "png", "--out", "done/"],
            "Walmart takes JPEG files only",
        ),
        (["photo.png", "--out", ""], "not as a file without a name."),
        (["", "--out", "o.png"], "Add a photo first."),
        (["x" * 300, "photo.png", "--steps", "polish", "--out", "o/"], "There is no step 'polish'"),
        (["photo.png", "--out", "x" * 300 + "/o.png"], "There is no folder xxx"),
    ],
)
def test_mistakes_with_folders_are_one_sentence_before_any_work(
    photo: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Studio, "run", lambda *_: pytest.fail("was begun"))
    (tmp_path / "empty").mkdir()
    assert sentence in mistake(capsys, "enhance", *arguments)
    assert {file.name for file in tmp_path.iterdir()} == {"photo.png", "empty"}


def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    photo: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Studio, "run", lambda *_: pytest.fail("was begun"))

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(output.tempfile, "TemporaryFile", refuse)
    folder = Path(photo).parent
    assert (
        mistake(capsys, "enhance", photo, "--out", folder / "o.png")
        == f"Nothing can be written into {folder}: permission denied."
    )
    assert (
        mistake(capsys, "enhance", photo, "--out", folder)
        == f"Nothing can be written into {folder}: permission denied."
    )


def test_a_listing_picture_in_a_folder_is_a_file_that_its_marketplace_takes(tmp_path: Path) -> None:
    Image.fromarray(np.pad(np.full((40, 40, 3), 60, np.uint8), ((30, 30), (30, 30), (0, 0)), constant_values=250)).save(
        tmp_path / "box.png"
    )
    assert (
        run(
            "enhance",
            tmp_path / "box.png",
            "--steps",
            "listing",
            "--marketplace",
            "walmart",
            "--out",
            f"{tmp_path}/shop/",
        )
        == 0
    )
    assert [file.name for file in (tmp_path / "shop").iterdir()] == ["box.jpg"]


def test_a_list_may_begin_with_a_minus(photo: str, tmp_path: Path) -> None:
    assert run("enhance", photo, "--steps", "restore", "--adjust", "-0.5,0,0,.1,0,-1", "--out", tmp_path / "o.png") == 0
    assert image.read_recipe(tmp_path / "o.png")["adjust"] == [-0.5, 0, 0, 0.1, 0, -1]


def test_pictures_in_a_folder_are_told_by_content_and_no_two_land_on_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    photos_in(folder, "a.png", "B.png", "é.png")
    (folder / "a.png").rename(folder / "a.jfif")
    (folder / "B.png").rename(folder / "A")
    write_photo(folder / "e\u0301.png", seed=7)
    (folder / "notes.txt").write_text("no picture")
    assert run("enhance", folder, "--steps", "sharpen", "--out", tmp_path / "made") == 0
    made = [file.name for file in (tmp_path / "made").iterdir()]
    assert len(made) == 4
    assert len({unicodedata.normalize("NFC", name).casefold() for name in made}) == 4
    capsys.readouterr()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_one_sentence_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe, photo = tmp_path / "pipe.png", write_photo(tmp_path / "photo.png")
    os.mkfifo(pipe)
    assert mistake(capsys, "enhance", pipe, "--out", tmp_path / "o.png") == "pipe.png is not a file."
    assert mistake(capsys, "enhance", "/dev/zero", "--out", tmp_path / "o.png") == "zero is not a file."
    assert mistake(capsys, "recipe", pipe) == "pipe.png is not a file."
    assert mistake(capsys, "run", pipe, "--out", tmp_path / "o.png") == f"{pipe} is not a file."
    assert mistake(capsys, "stylize", photo, "--style", pipe, "--out", tmp_path / "o.png") == "pipe.png is not a file."
    assert (
        mistake(capsys, "enhance", photo, "--steps", "sharpen", "--out", pipe)
        == f"{pipe} is no file that a picture could be written to."
    )
