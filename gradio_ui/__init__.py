"""The page: its tabs, one device queue, the web API. It knows no torch: pictures come and go as files."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from gradio_ui import api, catalogue, enhance, example_pictures, generate, recolour, sending, sentences, style
from gradio_ui.guard import Guard
from gradio_ui.recipes import fill_from_link
from gradio_ui.theme import CSS, MARK, SCRIPT, theme
from gradio_ui.wiring import Run
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

WAITING = 24  # requests that may wait for the device; the next one is told that the queue is full
NAME = '<div class="v-name"><div class="v-mark" aria-hidden="true"><i></i></div><h1>Vitrine</h1></div>'
SWITCH = '<button id="v-theme" type="button" aria-label="Light or dark" title="Light or dark"></button>'


class Page(gr.Blocks):
    """Gradio's page, but for what it says to a call that it cannot read: where it runs, lists of its own objects, and
    all that was sent.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Gradio's own check of how many values a call has."""
        if len(inputs) < len(block_fn.inputs):
            raise gr.Error(
                f"This call has {len(inputs)} of {len(block_fn.inputs)} values; /call/v2/ takes them by name, and knows"
                " the defaults.",
                title="Vitrine",
                print_exception=False,
            )

    async def preprocess_data(self, *values: Any, **named: Any) -> Any:
        """Gradio's own reading of what was sent."""
        try:
            return await super().preprocess_data(*values, **named)
        except gr.Error:  # a ValueError as well
            raise
        except (OSError, ValueError) as error:  # a path that is no upload's, and what no path can be
            sentences.log.info("a call was refused: %.200r", str(error))
            sentence = "A value of this call cannot be read; a file must be uploaded here before it is named."
            raise gr.Error(sentence, title="Vitrine", print_exception=False) from None


def build(studio: Studio, run: Run | None = None) -> gr.Blocks:
    """The page over a studio. `run` stands in for `studio.run` where a request must run elsewhere (ZeroGPU)."""
    run = run or studio.run
    presets, models = studio.presets(), studio.models()
    gr.set_static_paths([example_pictures.EXAMPLES, *style.static_paths(presets)])
    with Page(title="Vitrine", analytics_enabled=False) as demo:
        with gr.Column(elem_classes="v-page"):
            with gr.Row(elem_classes="v-header"):
                gr.HTML(NAME)
                gr.Markdown(said("tagline"), elem_classes="v-tagline")
                gr.HTML(SWITCH)
            with gr.Tabs(elem_id="v-tabs") as tabs:
                with gr.Tab(said("style"), id="stylize"):
                    styling, to_paint = style.tab(studio, run, presets, models)
                with gr.Tab(said("recolour"), id="recolour"):
                    recolouring = recolour.tab(studio, run)
                with gr.Tab(said("generate"), id="generate"):
                    generating, panel = generate.tab(studio, run, models)
                with gr.Tab(said("enhance"), id="enhance"):
                    arrives = lambda photo, chain: panel.send(panel.enlarge, tabs, "enhance", photo, chain)  # noqa: E731
                    enhancing = enhance.tab(studio, run, models, arrives)
            panel.send(panel.to_style, tabs, "stylize", to_paint)
            panel.send(panel.to_enhance, tabs, "enhance", enhancing.photo)
            sending.send(enhancing.to_style, enhancing.made, tabs, "stylize", to_paint)
            catalogue.section(studio.models)
        fill_from_link(demo, tabs, (styling, recolouring, generating, enhancing.refill))
        api.add(run, presets, studio.models, studio.look)
    demo.queue(
        max_size=WAITING, api_open=False
    )  # closed: a call that is posted straight to its route would pass the queue
    found: gr.Blocks = demo
    return found


def launch_options(hosts: Collection[str] = ()) -> dict[str, Any]:
    """How the page is served: looks, languages, and what it refuses. For `demo.launch`.

    hosts: the names by which it may be asked for; any where none is given.
    """
    return {
        "theme": theme(),
        "css_paths": CSS,
        "head": f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>",
        "favicon_path": str(MARK),
        "i18n": said,
        "footer_links": ["api", "settings"],
        "run_history": False,  # it keeps pictures in the browser of whoever uses the machine next
        "show_error": True,
        "max_file_size": "25mb",
        "allowed_paths": [],
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "pwa": False,
        "app_kwargs": {"middleware": [Middleware(Guard, hosts=hosts)]},
    }
