"""A visitor's hand without a browser: it presses the page's buttons by calling what they call, with what the page
holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from gradio_ui import recipes


def sent(file: Path, size: tuple[int, int] = (60, 40), colour: str = "red") -> dict[str, Any]:
    """A new picture of one colour, as the browser sends it."""
    Image.new("RGB", size, colour).save(file)
    assert file.is_relative_to(Path(get_upload_folder()).resolve())
    return {"path": str(file), "meta": {"_type": "gradio.FileData"}}


def canvas(drawn: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a canvas shows, as the browser sends it: a file for each picture."""

    def kept(name: str, picture: Image.Image) -> dict[str, Any]:
        picture.save(folder / f"{name}.png")
        return {"path": str(folder / f"{name}.png"), "meta": {"_type": "gradio.FileData"}}

    layers = [kept(f"layer_{i}", layer) for i, layer in enumerate(drawn["layers"])]
    return {
        "background": kept("background", drawn["background"]),
        "layers": layers,
        "composite": kept("composite", drawn["composite"]),
    }


class Hand:
    """A visitor to a page, with the value of every component as the browser would send it."""

    def __init__(self, demo: gr.Blocks) -> None:
        self.demo = demo
        self.values = {block: block.value for block in self.demo.blocks.values() if hasattr(block, "value")}
        self.visible = {block: block.visible for block in self.demo.blocks.values() if hasattr(block, "visible")}

    def find(self, elem_id: str) -> Any:
        return next(block for block in self.demo.blocks.values() if block.elem_id == elem_id)

    def set(self, **values: Any) -> None:
        """Fill components by their elem_id, with _ for -."""
        for elem_id, value in values.items():
            self.values[self.find(elem_id.replace("_", "-"))] = value

    def press(self, elem_id: str, event: str = "click") -> list[Any]:
        """Do what an event of a component does, in the order in which the page has them; every update in turn."""
        heard = []
        for function in list(self.demo.fns.values()):
            if (self.find(elem_id)._id, event) in function.targets:
                heard += self._call(function) if function.fn is not None else self._done_by_the_browser(function)
        return heard

    def _done_by_the_browser(self, function: Any) -> list[Any]:
        """What a script that only names values gives to its outputs; the others do nothing here."""
        named = re.fullmatch(r"\(\) => \((.*)\)", function.js) if function.outputs else None
        updates = json.loads(named[1]) if named else []
        if named:
            self.take(dict(zip(function.outputs, _several(updates, function.outputs), strict=True)))
        return [updates]

    def _call(self, function: Any) -> list[Any]:
        values = {component: self.values.get(component) for component in function.inputs}
        answer = function.fn(values) if function.inputs_as_dict else function.fn(*values.values())
        heard = list(answer) if hasattr(answer, "__next__") else [answer]
        for updates in heard:
            if _by_component(updates):  # as Gradio does
                assert not (undeclared := set(updates) - set(function.outputs)), (
                    f"{undeclared} are no outputs of {function.fn}"
                )
            self.take(
                updates
                if _by_component(updates)
                else dict(zip(function.outputs, _several(updates, function.outputs), strict=True))
            )
        return heard

    def take(self, updates: Mapping[Any, Any]) -> None:
        """What the page does with updates."""
        for component, value in updates.items():
            if isinstance(value, gr.Tabs):
                self.values[component] = value.selected
            elif not isinstance(value, dict) or value.get("__type__") != "update":
                self.values[component] = value
            else:
                if "value" in value:
                    self.values[component] = value["value"]
                if "visible" in value:
                    self.visible[component] = value["visible"]

    def open(self, request: Any) -> None:
        """Follow a link to a request's settings."""
        function = next(
            f
            for f in self.demo.fns.values()
            if getattr(f.fn, "__qualname__", "").startswith(recipes.fill_from_link.__qualname__)
        )
        page = type("Asked", (), {"query_params": {"recipe": json.dumps(request.recipe())}})
        self.take(function.fn(page))


def _by_component(updates: Any) -> bool:
    return (
        isinstance(updates, Mapping)
        and "__type__" not in updates
        and all(isinstance(key, gr.blocks.Block) for key in updates)
    )


def _several(updates: Any, outputs: list[Any]) -> list[Any]:
    return list(updates) if isinstance(updates, list | tuple) and len(outputs) != 1 else [updates]
