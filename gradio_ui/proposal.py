"""Auto: the photo is looked at, and the steps that it needs are switched on, each with its reason."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gradio as gr

from engine.contract.errors import RequestError
from gradio_ui import inputs, progress, sentences
from gradio_ui.wiring import DEVICE_QUEUE
from gradio_ui.words import ENGLISH, said

Look: TypeAlias = Callable[[str], Any]  # photo file -> a proposal, whose report() is the same as JSON-ready values


@dataclass(frozen=True)
class ProposalPanel:
    """The button, and the place of what was found."""

    go: gr.Button
    panel: gr.HTML

    def fill(
        self, look: Look, photo: gr.Image, outputs: Sequence[Any], put: Callable[[Mapping[str, Any]], Sequence[Any]]
    ) -> None:
        """Let the button look at the photo and fill `outputs` with what `put` makes of the report."""

        def looked(sent: Any) -> Iterator[list[Any]]:
            others = [gr.skip() for _ in outputs]
            try:
                file = inputs.uploaded(sent, "photo")
                if not file:
                    raise RequestError("Add a photo first.")
                yield [gr.update(value=progress.status("Looking at the photo"), visible=True), *others]
                report = look(file).report()
            except Exception as error:
                yield [gr.update(value="", visible=False), *others]
                raise sentences.spoken(error) from None
            yield [gr.update(value=told(report), visible=True), *put(report)]

        self.go.click(
            looked,
            photo,
            [self.panel, *outputs],
            preprocess=False,
            show_progress="minimal",
            api_visibility="private",
            **DEVICE_QUEUE,
        )
        inputs.reset_with(photo, {self.panel: gr.update(value="", visible=False)})


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
