"""Recipes on the page: read from a file or from the page's address, they fill a tab again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gradio as gr

from engine.contract.enhance import GROUND_PICTURE
from engine.contract.errors import RequestError
from engine.contract.recipe import Requests, from_recipe
from gradio_ui.parts import Updates, in_sentences, status

if TYPE_CHECKING:
    from gradio_ui.stage import Stage


def read_recipe(file: str | None, verb: str) -> Requests:
    """The request that a Vitrine picture or a recipe file describes; its files are placeholders. RequestError if none."""
    from engine import image

    if not file:
        raise RequestError("Drop a Vitrine picture or a recipe file first.")
    if file.lower().endswith(".json"):
        if Path(file).stat().st_size > 100_000:
            raise RequestError("This file is too large for a recipe.")
        try:
            recipe = json.loads(Path(file).read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise RequestError("This is not a Vitrine recipe.") from None
    else:
        recipe = image.read_recipe(file)
    found = described(recipe)
    if found.verb != verb:
        tab = {"stylize": "Style", "recolour": "Colours", "generate": "Generate", "enhance": "Enhance"}[found.verb]
        raise RequestError(f"This recipe belongs to the tab {tab}; drop it there.")
    return found


def described(recipe: Any) -> Requests:
    """The request of a recipe, with names that stand for the files it does not carry. RequestError if it is none."""
    verb = recipe.get("verb") if isinstance(recipe, Mapping) else None
    files = {"photo": "photo"} if verb in ("stylize", "enhance", "recolour") else {}
    steps = recipe.get("steps") if verb == "enhance" else None
    if isinstance(steps, list) and ("inpaint" in steps or ("prior" in steps and recipe.get("prior_task") == "fill")):
        files["mask"] = "mask"
    if verb == "enhance" and recipe.get("cut_out_background") == GROUND_PICTURE:
        files["ground"] = "ground"
    if verb == "stylize" and isinstance(recipe.get("style"), str):
        files["style"] = recipe["style"]  # a preset, or the name of a picture that the tab then asks for
    return from_recipe(recipe, **files)


@dataclass(frozen=True)
class Refill:
    """StepContext a recipe fills a tab. fill: turns a request into the values of `outputs`; lacking: what the person still has to add."""

    made: Stage
    fill: Callable[[Any], Sequence[Any]]
    outputs: Sequence[Any]
    lacking: Callable[[Any], str] = lambda request: ""

    def updates(self, request: Requests) -> Updates:
        """What changes on the page."""
        told = status(f"The recipe's settings are in place. {self.lacking(request)}".strip(), kind="v-done")
        return dict(zip(self.outputs, self.fill(request), strict=True)) | {self.made.line: told}

    def on_drop(self) -> Refill:
        """Let a recipe that is dropped on the tab fill it."""

        def dropped(file: str | None) -> Iterator[Updates]:
            yield self.updates(read_recipe(file, self.made.verb))

        outputs = [*self.outputs, self.made.line]
        self.made.recipe_file.upload(
            in_sentences(dropped),
            self.made.recipe_file,
            outputs,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        return self


def link_to(recipe: Mapping[str, Any]) -> str:
    """An address of this page that carries the recipe."""
    return "?recipe=" + quote(json.dumps(recipe, separators=(",", ":")))


def fill_from_link(demo: gr.Blocks, tabs: gr.Tabs, refills: Sequence[Refill]) -> None:
    """Let a recipe in the page's address fill its tab and open it."""
    by_verb = {refill.made.verb: refill for refill in refills}

    def opened(request: gr.Request) -> Updates:
        text = request.query_params.get("recipe", "")
        if not text:
            return gr.skip()
        try:
            asked = described(json.loads(text))
        except RequestError as error:
            return {refills[0].made.line: status(str(error), kind="v-error")}
        except (ValueError, RecursionError):
            return {
                refills[0].made.line: status(
                    "The address of this page carries no recipe that can be read.", kind="v-error"
                )
            }
        return {tabs: gr.Tabs(selected=asked.verb)} | by_verb[asked.verb].updates(asked)

    outputs = [tabs, *(output for refill in refills for output in (*refill.outputs, refill.made.line))]
    # Not on the tabs: at each event's progress Gradio would read all that is on them, the canvases as well.
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "show_progress_on": refills[0].made.line,
        "api_visibility": "private",
    }
    demo.load(opened, None, outputs, queue=False, **quiet)
