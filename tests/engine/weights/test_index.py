"""weights/index.json: true of the files beside it, damaged, and written again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tint import tint_bytes, tint_row

from engine.contract.errors import RequestError
from engine.settings import ROOT
from engine.weights import TABLE
from engine.weights.index import read_index, record, sha256_of, with_index, write_index


def test_the_index_lists_the_embedded_files_as_they_are() -> None:
    index = read_index()
    for row in TABLE:
        file = ROOT / "weights" / row.local_file
        if row.embedded and file.is_file():
            assert index.get(row.name, {}).get("sha256") == sha256_of(file), "run python -m engine.weights index"


@pytest.mark.parametrize("content", ["{bad", "[1]", '{"restore": 5}', "\udcff"])
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RequestError, match=r"index\.json is damaged: it .*\.$"):
        read_index(tmp_path)


def test_index_keeps_what_was_measured_while_the_file_is_the_same(tmp_path: Path) -> None:
    row = tint_row(repo="")
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes())
    first = write_index(tmp_path, (row,))
    record("tint", tmp_path, measured={"PSNR": 31.5})
    assert write_index(tmp_path, (row,))["tint"] == {**first["tint"], "measured": {"PSNR": 31.5}}
    assert with_index(row, read_index(tmp_path)).measured == {"PSNR": 31.5}
    (tmp_path / "tint.safetensors").write_bytes(tint_bytes(2))
    assert "measured" not in write_index(tmp_path, (row,))["tint"]
    (tmp_path / "tint.safetensors").unlink()
    assert write_index(tmp_path, (row,)) == {} == json.loads((tmp_path / "index.json").read_text())
