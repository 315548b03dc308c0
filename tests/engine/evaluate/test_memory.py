"""What a request takes above its model, in a process of its own and at a quarter of the size of the 8K that the command
measures.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.evaluate.memory import SIZES, Need
from engine.settings import ROOT

TILE_MB = 120


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of one's own process alone is read from /proc")
def test_a_large_photo_takes_its_tiles_and_a_few_pictures_above_the_model() -> None:
    """2 GB for 8K are 1 GB of tiles and 30 bytes for each pixel; this is the same sum. Heard of with each tile."""
    width, height = (side // 4 for side in SIZES["restore"])
    code = (
        "from engine.runtime.device import configure; configure(); from engine.evaluate.memory import measured; "
        f"need = measured('restore', {width}, {height}); print(need.gb, need.reports)"
    )
    environment = os.environ | {"VITRINE_TILE_MB": str(TILE_MB)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    gb, reports = ran.stdout.split()
    assert float(gb) < TILE_MB / 1e3 + 60 * width * height / 1e9  # pictures this small are kept in float32
    assert int(reports) > 10


def test_the_command_says_all_three() -> None:
    assert str(Need(0.934, 43, 2.25)) == "0.93 GB, 43 reports, at most 2.2 s apart"
