"""The rows of the table of weights: each says all that a person must know, and what must work offline is embedded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tint import HUB_ROWS, shelf

from engine.contract.errors import RequestError
from engine.runtime.tiles import Tiling
from engine.settings import ROOT
from engine.weights import TABLE, Weight
from engine.weights.row import source
from engine.weights.table import ROWS, hub_peers


def test_names_are_unique_and_every_task_is_a_known_one() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    steps = {"restore", "deblur", "tone", "inpaint", "cut-out", "upscale-x2", "upscale-x4", "upscale-crisp-x4"}
    assert {row.task for row in TABLE} == steps | {
        "features",
        "generate",
        "sketch",
        "style",
        "classify",
        "rank",
        "part",
        "metrics",
    }


def test_the_issues_networks_are_all_there() -> None:
    embedded = {row.name for row in TABLE if row.embedded}
    assert embedded == {
        "features",
        "restore",
        "deblur",
        "inpaint",
        "matte",
        "tone",
        "upscale-x2",
        "upscale-x4",
        "upscale-x4-crisp",
        "studio",
        "vae",
        "dcgan",
        "wgan-gp",
        "wgan",
        "searched",
        "sketch",
        "faststyle",
        "categories",
        "discriminator",
    }
    photos = {
        "vgg19",
        "realesrgan-x4",
        "realesrgan-x2",
        "realesr-general-x4",
        "scunet",
        "nafnet-gopro",
        "lama",
        "isnet",
    }
    johnson = {f"johnson-{style}" for style in ("mosaic", "candy", "udnie", "pointilism")}
    assert {row.name for row in HUB_ROWS} == photos | johnson | {"var-d16", "var-vqvae", "inception"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row_says_all_that_a_person_must_know(row: Weight) -> None:
    assert row.licence in {"Apache-2.0", "BSD-3-Clause", "MIT"}
    assert row.network
    assert row.credit
    assert row.local_file == f"{row.name}{Path(row.file).suffix}"
    assert row.tiling.scale == (int(row.task[-1]) if row.task.startswith("upscale") else 1)
    known = Path(row.file).suffix == ".safetensors" or len(row.sha256) == 64
    assert known or row.repo == "FoundationVision/var", (
        "a pickle is only opened when its hash is known, if only to the Hub"
    )


@pytest.mark.parametrize(
    "name",
    [
        "restore",
        "deblur",
        "inpaint",
        "cut-out",
        "tone",
        "upscale-x2",
        "upscale-x4",
        "generate",
        "features",
        "classify",
        "rank",
    ],
)
def test_each_task_that_must_work_offline_has_an_embedded_network(name: str, tmp_path: Path) -> None:
    assert shelf(TABLE, tmp_path).embedded(name).task == name
    with pytest.raises(RequestError, match="metrics"):
        shelf(TABLE, tmp_path).embedded("metrics")


def test_all_that_is_embedded_stays_under_40_mb() -> None:
    assert max((ROOT / "weights" / row.local_file).stat().st_size for row in TABLE if row.embedded) < 12_000_000
    assert sum((ROOT / "weights" / row.local_file).stat().st_size for row in TABLE if row.embedded) < 40_000_000


def test_each_of_our_networks_has_its_peer_on_the_hub() -> None:
    peers = hub_peers(TABLE)
    assert peers["restore"] == "scunet"
    assert peers["upscale-x4"] == "realesrgan-x4"
    assert "tone" not in peers


def test_every_row_prints_as_it_stands() -> None:
    text = (ROOT / "engine" / "weights" / "table.py").read_text(encoding="utf-8")
    for row in ROWS:
        assert eval(source(row).strip().removesuffix(","), {"Weight": Weight, "Tiling": Tiling}) == row
        assert f'name="{row.name}"' in text
