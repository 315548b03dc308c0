"""Who may import whom, read from the code itself, and what may not be imported early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.settings import ROOT

# Methods that are optimisations: the only code on the path of a request that may take gradients.
# A deep image prior fits an untrained network to the very photo of the request.
OPTIMISATIONS = {f"engine/models/{name}.py" for name in ("gatys", "descent", "style_loss", "gaussian", "prior")}
# Code that runs on somebody's order and never on the path of a request.
WORKSHOP = ("engine/train/", "engine/evaluate/", "engine/bench.py")
TENSORS_ONLY = {
    "torch",
    "math",
    "collections",
    "typing",
    "functools",
    "abc",
    "itertools",
    "dataclasses",
    "__future__",
    "engine",
}


def code(*folders: str) -> list[Path]:
    """The project's own Python files under `folders` (all of it by default), without tests."""
    roots = [ROOT / folder for folder in folders or ("engine", "gradio_ui", "app.py")]
    return sorted(
        file for root in roots for file in ([root] if root.suffix == ".py" else root.rglob("*.py")) if file.is_file()
    )


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports(source: str) -> set[str]:
    """Full names of all that is imported anywhere in a source, also inside functions; not for type checkers only."""
    found: set[str] = set()
    for node in _running(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _running(tree: ast.AST) -> list[ast.AST]:
    nodes, rest = [], [tree]
    while rest:
        node = rest.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            rest += node.orelse
        else:
            rest += ast.iter_child_nodes(node)
    return nodes


def packages(source: str) -> set[str]:
    return {module.split(".")[0] for module in imports(source)}


def takes_gradients(source: str) -> bool:
    """Whether a source has an optimizer, or asks for gradients; freezing a network is none of it."""
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    thawed = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "requires_grad_"
        and [ast.unparse(a) for a in node.args] != ["False"]
        for node in nodes
    )
    return (
        thawed
        or bool(used & {"backward", "optim", "grad", "enable_grad"})
        or any(module.startswith("torch.optim") for module in imports(source))
    )


def test_there_is_code_to_look_at() -> None:
    assert {"engine/contract/fields.py", "engine/models/features.py"} <= set(map(name, code()))


@pytest.mark.parametrize("file", code("engine/models"), ids=name)
def test_models_know_tensors_and_nothing_else(file: Path) -> None:
    assert packages(file.read_text()) <= TENSORS_ONLY
    assert all(
        module.startswith("engine.models.") for module in imports(file.read_text()) if module.startswith("engine.")
    )


@pytest.mark.parametrize("file", code(), ids=name)
def test_the_hub_is_known_in_one_place(file: Path) -> None:
    assert ("huggingface_hub" in packages(file.read_text())) == (name(file) == "engine/weights/hub.py")


@pytest.mark.parametrize("file", code("gradio_ui", "app.py"), ids=name)
def test_the_page_knows_no_torch(file: Path) -> None:
    assert not packages(file.read_text()) & {"torch", "torchvision", "safetensors", "spandrel"}


@pytest.mark.parametrize("file", code("engine"), ids=name)
def test_the_engine_knows_no_page(file: Path) -> None:
    assert not packages(file.read_text()) & {"gradio", "gradio_ui", "gradio_client", "spaces", "fastapi", "app"}


@pytest.mark.parametrize("file", [f for f in code() if not name(f).startswith(WORKSHOP)], ids=name)
def test_what_a_request_runs_through_trains_nothing(file: Path) -> None:
    source = file.read_text()
    assert not any(module.startswith(("engine.train", "engine.evaluate", "engine.bench")) for module in imports(source))
    assert name(file) in OPTIMISATIONS or not takes_gradients(source)


@pytest.mark.parametrize(
    "statement",
    [
        "import engine",
        "import engine.contract, engine.image, engine.weights.__main__, engine.runtime.tiles",
        "import engine; engine.Studio()",
        "import engine.__main__",
    ],
)
def test_torch_and_the_page_come_late(statement: str) -> None:
    code = (
        f"import sys; {statement}; assert not {{'torch', 'torchvision', 'gradio', 'huggingface_hub'}} &"
        " set(sys.modules), sorted(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_imports_are_found_wherever_they_hide() -> None:
    source = (
        "def f():\n    import torch.nn\n    if x:\n        from huggingface_hub import HfApi\nif TYPE_CHECKING:\n   "
        " import gradio\n"
    )
    assert packages(source) == {"torch", "huggingface_hub"}


@pytest.mark.parametrize(
    "source", ["loss.backward()", "torch.optim.Adam(p)", "from torch.optim import Adam", "x.requires_grad_(True)"]
)
def test_gradients_are_found_however_they_are_taken(source: str) -> None:
    assert takes_gradients(source)


@pytest.mark.parametrize("source", ["module.eval().requires_grad_(False)", "torch.inference_mode()"])
def test_freezing_a_network_is_no_training(source: str) -> None:
    assert not takes_gradients(source)
