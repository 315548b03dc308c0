"""The tables for people, as the index has them, and nothing else on the page touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract.errors import RequestError
from engine.evaluate.enhance_table import enhance_markdown
from engine.evaluate.tables import MEASURED, embedded_markdown, marks, methods_markdown, table_markdown, write_readme
from engine.settings import ROOT
from engine.weights import TABLE
from engine.weights.index import read_index


def test_the_page_of_measurements_holds_the_figures_of_what_is_embedded() -> None:
    table = embedded_markdown(read_index())
    assert table in MEASURED.read_text(encoding="utf-8"), "run python -m engine.evaluate.tables"
    assert all(f"| [`{row.name}`]" in table for row in TABLE if row.embedded)


def test_the_readme_holds_the_table() -> None:
    assert table_markdown(TABLE) in (ROOT / "weights" / "README.md").read_text(encoding="utf-8"), (
        "run python -m engine.evaluate.tables"
    )


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n{}\nstale\n{}\nafter\n".format(*marks("table")))
    once = write_readme(file, tmp_path)
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "stale" not in once
    assert all(f"| {row.name} |" in once for row in TABLE)
    assert write_readme(file, tmp_path) == once == file.read_text()
    file.write_text("nothing to write into")
    with pytest.raises(RequestError):
        write_readme(file, tmp_path)


def test_ways_to_transfer_a_style_stand_next_to_each_other() -> None:
    index = {
        "faststyle": {
            "methods": {"Gatys": {"distance": 0.0355, "SSIM": 0.4}, "`faststyle`": {"distance": 0.1, "SSIM": 0.55}}
        },
        "restore": {"size": 1},
    }
    assert (
        methods_markdown(index)
        == "| | distance | SSIM |\n| --- | --- | --- |\n| Gatys | 0.0355 | 0.4 |\n| `faststyle` | 0.1 | 0.55 |\n"
    )
    assert methods_markdown({"restore": {"size": 1}}) == ""


def test_the_table_of_all_steps_shows_what_was_measured_and_leaves_out_what_was_not() -> None:
    index = {
        "upscale-x4": {
            "measured": {"Set5 dB": 30.99, "time ratio": 7.5},
            "beside": {"Set5 dB": "bicubic 28.62", "time ratio": "bicubic 1"},
        },
        "tone": {"measured": {"spoiled photos dB": 25.54}, "beside": {"spoiled photos dB": "as it is 19.3"}},
        "realesrgan-x4": {"measured": {"Set5 dB": 26.1}},
    }
    assert enhance_markdown(index, {"upscale-x4": "realesrgan-x4", "tone": "other"}).splitlines()[2:] == [
        "| `tone` | held-out photos in a wrong light, PSNR (dB) | 25.54 | as it is 19.3 | other not run here |  |",
        "| `upscale-x4` | Set5, luma PSNR (dB) | 30.99 | bicubic 28.62 | realesrgan-x4 26.1 | 7.5 x bicubic |",
    ]
    assert enhance_markdown({}, {}) == ""
