"""The repository as a Hugging Face Space, and its entry."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

import app
from engine.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    """The front matter."""
    found = re.match(r"---\n(.*?)\n---\n", README, re.DOTALL)
    assert found, "README.md begins with front matter between two lines of three dashes"
    card = yaml.safe_load(found.group(1))
    assert isinstance(card, dict)
    return card


def requirements() -> dict[str, str]:
    """name -> version specifier."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    return {re.split(r"[=<>!~]", line, maxsplit=1)[0]: line for line in lines if line}


def test_the_card_has_what_a_space_needs(card: dict[str, Any]) -> None:
    assert set(card) >= {
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk",
        "sdk_version",
        "python_version",
        "app_file",
        "models",
        "license",
        "short_description",
    }
    assert card["sdk"] == "gradio"
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["short_description"]) <= 60
    assert card["license"] == "apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_card_and_the_requirements_name_the_same_gradio(card: dict[str, Any]) -> None:
    assert requirements()["gradio"] == f"gradio=={card['sdk_version']}"


def test_the_card_s_python_is_a_string_and_one_that_vitrine_supports(card: dict[str, Any]) -> None:
    assert isinstance(card["python_version"], str)
    low, high = app.PYTHONS
    assert low <= tuple(map(int, card["python_version"].split(".")[:2])) <= high
    assert f'requires-python = ">={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}"' in (ROOT / "pyproject.toml").read_text()


def test_the_entry_exists(card: dict[str, Any]) -> None:
    assert (ROOT / card["app_file"]).is_file()


def test_the_card_names_every_repository_of_the_table(card: dict[str, Any]) -> None:
    from engine.weights import TABLE

    assert set(card["models"]) == {row.repo for row in TABLE if row.repo}
    assert len(card["models"]) == len(set(card["models"]))


@pytest.mark.parametrize("version", ["2.8.0", "2.11.0", "2.15.0"])
def test_the_requirements_allow_the_torch_that_zerogpu_has_and_the_newest(version: str) -> None:
    from packaging.requirements import Requirement

    assert Requirement(requirements()["torch"]).specifier.contains(version)
    assert not Requirement(requirements()["torch"]).specifier.contains("2.13.0")


def test_what_is_imported_is_required() -> None:
    ours = {"engine", "gradio_ui", "app"}
    names = {
        "PIL": "pillow",
        "huggingface_hub": "huggingface-hub",
        "pillow_heif": "pillow-heif",
        "starlette": "gradio",
        "pandas": "gradio",
        "matplotlib": "",
    }
    optional = {"spaces", "torchmetrics", "torch_fidelity", "onnxruntime"}  # on ZeroGPU; to measure; teachers
    files = [ROOT / "app.py", *(ROOT / "engine").rglob("*.py"), *(ROOT / "gradio_ui").rglob("*.py")]
    imported = (
        {name.split(".")[0] for file in files for name in _imports(ast.parse(file.read_text()))}
        - ours
        - optional
        - set(sys.stdlib_module_names)
    )
    assert {names.get(name, name) for name in imported} <= set(requirements())


def _imports(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


def test_importing_the_entry_does_nothing() -> None:
    code = "import app, sys; assert not {'torch', 'gradio', 'engine.weights'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_without_spaces_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert app.zerogpu() is None


def test_spaces_off_zerogpu_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", types.ModuleType("spaces"))
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert app.zerogpu() is None


def test_on_zerogpu_a_request_is_a_sync_generator_that_holds_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    spaces = types.ModuleType("spaces")

    def gpu(duration: int) -> Any:
        asked.append(duration)
        return lambda function: function

    spaces.GPU = gpu  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    on_gpu = app.zerogpu()
    assert on_gpu is not None
    closed: list[bool] = []

    def run(request: str) -> Any:
        try:
            yield from (request, "event")
        finally:
            closed.append(True)

    events = on_gpu(run)("request")
    assert next(events) == "request"
    events.close()
    assert (asked, closed) == ([app.ZEROGPU_SECONDS], [True])


def test_the_environment_moves_the_page_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VITRINE_HOST", "VITRINE_PORT", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert (app.parsed([]).host, app.parsed([]).port, app.parsed([]).share) == ("127.0.0.1", 7860, False)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")  # as a Space does
    assert app.parsed([]).host == "0.0.0.0"
    monkeypatch.setenv("VITRINE_HOST", "::1")
    monkeypatch.setenv("VITRINE_PORT", "8000")
    assert (app.parsed([]).host, app.parsed([]).port) == ("::1", 8000)
    assert (app.parsed(["--port", "9000", "--share"]).port, app.parsed(["--share"]).share) == (9000, True)


@pytest.mark.parametrize("port", ["0", "x", "65536", "-1"])
def test_a_port_that_is_none_is_refused(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VITRINE_PORT", port)
    with pytest.raises(SystemExit):
        app.parsed([])
    assert "a port is a number from 1 to 65535" in capsys.readouterr().err


def test_a_place_where_no_page_can_be_served_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "served", lambda *_: pytest.fail("was begun"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            SystemExit,
            match=rf"^The page cannot be served on 127\.0\.0\.1:{port}: address already in use\. VITRINE_HOST and",
        ):
            app.main(["--port", str(port)])
    with pytest.raises(SystemExit, match=r"^The page cannot be served on 192\.0\.2\.1:7860: .*\.$"):
        app.main(["--host", "192.0.2.1", "--port", "7860"])


def test_a_setting_that_is_no_number_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_INPUT_MPX", "many")
    with pytest.raises(SystemExit, match=r"^VITRINE_INPUT_MPX must be a number above 0, not 'many'\.$"):
        app.main([])


def test_a_warm_up_that_fails_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Cold:
        def warm_up(self) -> None:
            raise RuntimeError("no weights")

    app.warmed(Cold())  # type: ignore[arg-type]
    assert "no weights" in caplog.text


class SlowPage:
    """A page whose own start check fails, before or after its server runs."""

    server_port = 7860

    def __init__(self, is_running: bool) -> None:
        self.is_running = is_running

    def launch(self, **options: Any) -> None:
        raise ValueError("When localhost is not accessible, a shareable link must be created.")


def test_a_machine_too_busy_for_gradio_s_own_check_serves_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import gradio_ui

    monkeypatch.setenv("NO_PROXY", "intranet")  # both are put back afterwards
    monkeypatch.setenv("no_proxy", "intranet")
    for is_running in (True, False):
        page = SlowPage(is_running)
        monkeypatch.setattr(gradio_ui, "build", lambda studio, run, page=page: page)
        if is_running:
            assert app.served(None, print, app.parsed([])) is page  # type: ignore[arg-type,comparison-overlap]
            assert "the page is served all the same" in caplog.text
        else:
            with pytest.raises(ValueError, match="localhost"):
                app.served(None, print, app.parsed([]))  # type: ignore[arg-type]


def test_gradio_asks_its_own_page_around_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "intranet,localhost")
    app._around_proxies("192.168.0.7")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet,localhost,127.0.0.1,192.168.0.7"


def setup(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/setup in `folder`, where only these programs, `awk` and the shell's own exist."""
    folder.mkdir(exist_ok=True)
    (folder / "bin").mkdir()
    for name, script in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    for name in ("awk", "rm", "sh"):
        (folder / "bin" / name).symlink_to(f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}")
    environment = {"PATH": str(folder / "bin")}
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / "setup")],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


PLENTY = 'echo "Filesystem 1024-blocks Used Available"; echo "/dev/x 0 0 99000000"'
LITTLE = 'echo "Filesystem 1024-blocks Used Available"; echo "/dev/x 0 0 3000000"'
OLD = 'case "$*" in *"here is"*) echo "python3 here is 3.8.1";; *) exit 1;; esac'


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    done = setup(tmp_path, python3=OLD, df=PLENTY)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "vitrine: Python 3.10 to 3.13 is needed, and python3 here is 3.8.1. Install one, or name it: make run"
        " PYTHON=/path/to/python3.12"
    )


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    assert "there is no python3 here" in setup(tmp_path, df=PLENTY).stderr


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    done = setup(tmp_path, python3="exit 0", df=LITTLE)
    assert done.returncode == 1
    assert "Setting up needs 8000 MB of free disk space, most of it for PyTorch; there are 2929 MB here." in done.stderr


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    done = setup(tmp_path, python3='case "$*" in *venv*) exit 1;; esac', df=PLENTY)
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


def test_packages_that_do_not_come_are_one_sentence(tmp_path: Path) -> None:
    uv = 'case "$1" in venv) mkdir -p .venv/bin;; *) exit 2;; esac'
    (tmp_path / "work").mkdir()
    done = setup(tmp_path / "work", python3="exit 0", uv=uv.replace("mkdir", "/bin/mkdir"), df=PLENTY)
    assert done.returncode == 1
    assert "Run the same command again to go on." in done.stderr


def test_all_that_a_host_may_set_stands_in_the_readme() -> None:
    named = re.compile(r"VITRINE_[A-Z_]*[A-Z]")
    read = {
        name
        for file in ("app.py", "engine/settings.py")
        for name in named.findall((ROOT / file).read_text(encoding="utf-8"))
    }
    assert read <= set(named.findall((ROOT / "README.md").read_text(encoding="utf-8")))
