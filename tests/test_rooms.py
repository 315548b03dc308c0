"""Who may import whom, read from the code itself, and what may not be imported early."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from engine.contract import STEPS
from engine.settings import ROOT

# Methods that are optimisations: the only code on the path of a request that may take gradients.
# A deep image prior fits an untrained network to the very photo of the request.
OPTIMISATIONS = {f"engine/models/{name}.py" for name in ("gatys", "descent", "style_loss", "gaussian", "prior")}
# Code that runs on somebody's order and never on the path of a request.
WORKSHOP = ("engine/train/", "engine/evaluate/", "engine/bench.py")
# A protocol and what keeps it: the contract says what a caller may do with the engine's own picture.
SHARED_NAMES = {"Picture"}
DOOR = {f"image.{what}" for what in ("check", "load", "load_mask", "luma_table")}  # they take a file, and settings
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


# Who reads the environment. Settings are read by the Studio alone, once, and handed on.
READERS = {
    "engine/settings.py",
    "engine/runtime/device.py",  # before torch is imported, and so before any studio
    "engine/runtime/folder.py",  # tells Gradio where pictures go
    "engine/bench.py",  # hands it on to processes of its own
    "app.py",  # where the page is served
}


def reads_environment(source: str) -> bool:
    nodes = ast.walk(ast.parse(source))
    names = {
        n.attr if isinstance(n, ast.Attribute) else n.name for n in nodes if isinstance(n, ast.Attribute | ast.alias)
    }
    return bool(names & {"environ", "environb", "getenv", "getenvb"})


@pytest.mark.parametrize("file", code(), ids=name)
def test_the_environment_is_read_in_one_place(file: Path) -> None:
    source = file.read_text()
    assert reads_environment(source) == (name(file) in READERS)
    assert (".from_environment(" in source) == (name(file) == "engine/__init__.py")


@pytest.mark.parametrize("source", ["os.environ['X']", "from os import getenv", "import os as o\no.getenv('X')"])
def test_a_reader_of_the_environment_is_found(source: str) -> None:
    assert reads_environment(source)


@pytest.mark.parametrize(
    "file", [f for f in code("engine") if not name(f).startswith((*WORKSHOP, "engine/image/"))], ids=name
)
def test_a_request_s_files_are_opened_within_the_host_s_limits(file: Path) -> None:
    """The door's own limits are those of a host that has set nothing."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in DOOR:
            assert len(node.args) == 2, ast.unparse(node)


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


@cache
def edges() -> dict[str, set[str]]:
    """Module -> the project's modules that it imports anywhere, for type checkers too,
    or names in a builder's string.
    """
    modules = {module_of(file): file for file in code()}
    found: dict[str, set[str]] = {}
    for module, file in modules.items():
        tree = ast.parse(file.read_text())
        wanted = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted |= {
                    full if (full := f"{node.module}.{alias.name}") in modules else str(node.module)
                    for alias in node.names
                }
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                wanted |= {node.value.partition(":")[0]} if "." in node.value else set()  # "engine.models.x:function"
        found[module] = {name for name in wanted if name in modules and name != module}
    return found


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each leads to each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_module_leads_back_to_itself() -> None:
    """Also not for type checkers alone. A package's own __init__ may list what is in it."""
    graph = edges()
    apart = {m: {o for o in others if not o.startswith(f"{m}.")} for m, others in graph.items()}
    assert circles(apart) == []


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize(
    ("room", "may_know"),
    [
        ("engine.models", set()),
        ("engine.contract", {"engine.models"}),
        ("engine.image", {"engine.contract", "engine.models", "engine.settings"}),
        ("engine.runtime", {"engine.contract", "engine.image", "engine.models"}),
        (
            "engine.weights",
            {"engine.contract", "engine.models", "engine.runtime", "engine.settings", "engine.evaluate"},
        ),
        ("engine.showcase", {"engine.models", "engine.runtime", "engine.settings", "engine.contract"}),
    ],
)
def test_lower_rooms_know_no_higher_ones(room: str, may_know: set[str]) -> None:
    known = {room_of(o) for m, others in edges().items() if room_of(m) == room for o in others} - {room, "engine"}
    assert known <= may_know


def test_a_recipe_knows_nothing_of_how_it_is_measured() -> None:
    assert not [
        m for m, others in edges().items() if m.startswith("engine.train") if "engine.evaluate" in map(room_of, others)
    ]


def test_the_page_knows_the_studio_and_the_contract_and_nothing_else_of_the_engine() -> None:
    found = edges()
    contract = {module for module in found if room_of(module) == "engine.contract"}
    for module, others in found.items():
        if module.startswith("gradio_ui"):
            assert {o for o in others if o.startswith("engine.")} <= contract, module


def test_no_two_classes_have_one_name() -> None:
    names: dict[str, list[str]] = {}
    for file in code():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name not in SHARED_NAMES:
                names.setdefault(node.name, []).append(name(file))
    assert {key: files for key, files in names.items() if len(files) > 1} == {}


def test_the_page_knows_no_step_by_its_name() -> None:
    """Its words do (words.py); everything else asks what a step declares."""
    found = {
        f"{file.name}:{node.lineno}": node.value
        for file in (ROOT / "gradio_ui").glob("*.py")
        if file.name != "words.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in STEPS
    }
    assert found == {}


# The second reads files before torch is there: the curves that files name, on NumPy.
COLOUR_FORMULAS = {"engine/models/srgb.py", "engine/image/spaces.py"}
CURVE_AND_LUMA = {12.92, 1.055, 0.0031308, 0.04045, 0.299, 0.587, 0.2126, 0.7152}


@pytest.mark.parametrize("file", code(), ids=name)
def test_a_formula_of_colour_or_a_filter_has_one_home(file: Path) -> None:
    """Pooling with a stride makes a picture smaller; with none it is a filter."""
    tree = ast.parse(file.read_text())
    numbers = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)
    }
    pooled = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("avg_pool2d", "max_pool2d"))
        and [ast.unparse(step) for step in node.args[2:3]] == ["1"]
    ]
    assert name(file) in COLOUR_FORMULAS or not numbers & CURVE_AND_LUMA
    assert name(file) == "engine/models/filters.py" or not pooled
