"""What several files of tests are given: threads and memory as the project sets them, and a page with a hand to press
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.runtime.device import configure

if TYPE_CHECKING:
    import gradio as gr
    from hand import Hand
    from standin import StandIn

configure()


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arithmetic on every processor; a test of another format asks for it."""
    monkeypatch.setattr("engine.weights.load.multiplies_bf16", lambda: False)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """A studio that answers at once."""
    from standin import StandIn

    return StandIn(tmp_path_factory.mktemp("presets"), seconds=0.0)


@pytest.fixture(scope="module")
def page(studio: StandIn) -> gr.Blocks:
    """The page over it, served to nobody."""
    import gradio_ui

    return gradio_ui.build(studio)


@pytest.fixture
def hand(page: gr.Blocks, studio: StandIn) -> Hand:
    """A new visitor's hand; the studio has heard of no request yet."""
    from hand import Hand

    studio.requests.clear()
    return Hand(page)


@pytest.fixture
def shoe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A photo, as the browser sends it."""
    from hand import sent

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return sent(tmp_path / "shoe.png")
