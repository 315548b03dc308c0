"""Recipes on the page: read from a file or from the page's address, they fill a tab again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract import REQUESTS, EnhanceRequest, RequestError, Requests, from_recipe
from gradio_ui.progress import status
from gradio_ui.sentences import in_sentences
from gradio_ui.wiring import QUICK, Updates

if TYPE_CHECKING:
    from engine import Studio
    from gradio_ui.stage import Stage


def read_recipe(studio: Studio, file: str | None, verb: str) -> Requests:
    """The request that a Vitrine picture or a recipe file describes.

    Its files are placeholders. RequestError if none.
    """
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
        recipe = studio.read_recipe(file)
    found = described(recipe)
    if found.verb != verb:
        tab = {"stylize": "Style", "recolour": "Colours", "generate": "Generate", "enhance": "Enhance"}[found.verb]
        raise RequestError(f"This recipe belongs to the tab {tab}; drop it there.")
    return found


def described(recipe: Any) -> Requests:
    """The request of a recipe, with names that stand for the files it does not carry. RequestError if it is none."""
    kind = REQUESTS.get(str(recipe.get("verb"))) if isinstance(recipe, Mapping) else None
    if kind is None:
        return from_recipe(recipe)
    settings = kind.settings()
    # A chain may need any file that Enhance takes; of the other verbs, what is required is enough.
    files = {key: key for key in kind.files() if settings[key].required or kind is EnhanceRequest}
    named = {key: recipe.get(key) for key, setting in settings.items() if setting.kind == "style" and not setting.many}
    # A preset, or the name of a picture that the tab then asks for.
    return from_recipe(recipe, **files, **{key: value for key, value in named.items() if isinstance(value, str)})


@dataclass(frozen=True)
class Refill:
    """How a recipe fills a tab. fill: turns a request into the values of `outputs`; lacking: what the person still has
    to add.
    """

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
            yield self.updates(read_recipe(self.made.studio, file, self.made.verb))

        outputs = [*self.outputs, self.made.line]
        self.made.recipe_file.upload(in_sentences(dropped), self.made.recipe_file, outputs, **QUICK)
        return self


def fill_from_link(demo: gr.Blocks, tabs: gr.Tabs, refills: Sequence[Refill]) -> None:
    """Let a recipe in the page's address fill its tab and open it."""
    by_verb = {refill.made.verb: refill for refill in refills}

    def opened(request: gr.Request) -> Updates:
        text = request.query_params.get("recipe", "")
        if not text:
            found: Updates = gr.skip()
            return found
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
