"""Auto: the photo is looked at, and the steps that it needs are switched on, each with its reason."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from engine.contract.events import Progress, Question
from gradio_ui import inputs, progress, sentences
from gradio_ui.wiring import DEVICE_QUEUE, heard
from gradio_ui.words import ENGLISH, said

Look: TypeAlias = Callable[
    [str], Question[Any]
]  # photo file -> a proposal, whose report() is the same as JSON-ready values


@dataclass(frozen=True)
class ProposalPanel:
    """The button, and the place of what was found."""

    go: gr.Button
    panel: gr.HTML

    def fill(
        self, look: Look, photo: gr.Image, outputs: Sequence[Any], put: Callable[[Mapping[str, Any]], Sequence[Any]]
    ) -> list[Any]:
        """Let the button look at the photo and fill `outputs` with what `put` makes of the report; returns the events,
        for `stop_with`.
        """
        hidden = gr.update(value="", visible=False)

        @sentences.in_sentences
        def looked(sent: Any) -> Iterator[list[Any]]:
            file = inputs.uploaded(sent, "photo")
            if not file:
                raise RequestError("Add a photo first.")
            report = (yield from heard(look(file), waiting)).report()
            yield [gr.update(value=told(report), visible=True), *put(report)]

        def waiting(event: Progress) -> list[Any]:
            line = progress.status(event.message, event.done, event.total)
            return [gr.update(value=line, visible=True), *(gr.skip() for _ in outputs)]

        asked = self.go.click(
            looked,
            photo,
            [self.panel, *outputs],
            preprocess=False,
            show_progress="minimal",
            api_visibility="private",
            **DEVICE_QUEUE,
        )
        # Also of a look that was stopped.
        asked.failure(None, None, self.panel, js=f"() => ({json.dumps(hidden)})", api_visibility="private")
        inputs.reset_with(photo, {self.panel: hidden})
        return [asked]


def proposal() -> ProposalPanel:
    """Lay out the button, and the place below it, out of sight until the photo was looked at."""
    return ProposalPanel(
        gr.Button(said("propose"), elem_id="enhance-propose"),
        gr.HTML(visible=False, elem_id="enhance-proposal", elem_classes="v-proposal"),
    )


def told(report: Mapping[str, Any]) -> str:
    """The proposed steps with their reasons, and behind a fold everything that was found."""
    steps = "".join(
        f"<li><b>{html.escape(str(ENGLISH.get(s['name'], s['name'])))}</b><br>{html.escape(s['reason'])}</li>"
        for s in report["steps"]
    )
    reasons = f"<ol>{steps}</ol>" if steps else f"<p>{html.escape(' '.join(report['reasons']))}</p>"
    findings = "".join(
        f"<tr><th>{html.escape(f['what'])}</th><td>{html.escape(f['text'])}</td></tr>" for f in report["findings"]
    )
    return f"{reasons}<details><summary>{ENGLISH['findings']}</summary><table>{findings}</table></details>"
