"""The tab that cleans, lights, cuts out and enlarges a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from engine.contract.enhance import GROUND_PICTURE, STEPS, EnhanceRequest
from engine.contract.marketplaces import marketplaces
from gradio_ui import mask as brush_mask
from gradio_ui import parts
from gradio_ui.chain import Chain, chain
from gradio_ui.cut import cut
from gradio_ui.light import Propose, light
from gradio_ui.part import part, pointed, rivals
from gradio_ui.proposal import Look, proposal
from gradio_ui.recipes import Refill
from gradio_ui.stage import stage, start, stop_with
from gradio_ui.trail import trail
from gradio_ui.words import ENGLISH, said

_GOALS = {
    "clean": ["restore"],
    "clean_x2": ["restore", "upscale-x2"],
    "clean_x4": ["restore", "upscale-x4"],
    "enlarge_x4": ["upscale-x4"],
    "cut_out": ["cut-out"],
    "list_it": ["listing"],
}
_OWN = "own_steps"  # the goal that stands for any other chain
_LEFT_ALONE = f"No step is chosen, so the photo stays as it is. To change it, choose under “{ENGLISH['goal']}” or “{ENGLISH['chain_more']}”."


class Tab(NamedTuple):
    """refill: how a recipe fills the tab. photo: where one goes. to_style, made: the button that sends what was made on."""

    refill: Refill
    photo: gr.Image
    to_style: gr.Button
    made: gr.File


def tab(
    run: parts.Run,
    models: Sequence[Mapping[str, Any]],
    find: brush_mask.Find,
    propose: Propose,
    look: Look,
    arrives: Callable[[gr.Image, Mapping[Any, Any]], Callable[..., Any]],
) -> Tab:
    """Build the tab. `run` turns a request into events, `find` gives a photo's product mask, `propose` its light and colour,
    `look` the steps that it needs.

    `arrives`, told where a photo goes and what else to set, gives the trigger of a photo sent here to be enlarged at once.
    """
    first = parts.default(EnhanceRequest, "steps")
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            photo = parts.photo_input("photo", height=200, elem_id="enhance-photo")
            tried = parts.examples(parts.example_photos(spoiled=True), photo)
            auto = proposal()
            goal = gr.Radio(
                [(said(g), g) for g in (*_GOALS, _OWN)], value=_goal(first), label=said("goal"), elem_id="enhance-goal"
            )
            go, stop = parts.buttons("enhance")
            attempt = gr.Button(said("try_part"), elem_id="enhance-try")
            gr.Markdown(said("try_about"), elem_classes="v-hint")
            with gr.Accordion(said("chain_more"), open=False, elem_id="enhance-steps") as below:
                steps = chain(first, "enhance-chain")
                strength = parts.slider(EnhanceRequest, "strength", step=0.05)
                noise = parts.slider(EnhanceRequest, "noise", step=1)
                crispness = parts.slider(EnhanceRequest, "crispness", step=0.05)
                prior_task = parts.dropdown(EnhanceRequest, "prior_task")
                first_market = parts.default(EnhanceRequest, "marketplace")
                market = gr.Dropdown(
                    _markets(), value=first_market, label=said("marketplace"), elem_id="enhance-marketplace"
                )
                rule = gr.Markdown(_rule(first_market), elem_classes="v-hint", elem_id="enhance-rule")
            with gr.Accordion(said("tone"), open=False, elem_id="enhance-tone"):
                amounts = light(photo, steps, propose)
            with gr.Accordion(said("cut-out"), open=False, elem_id="enhance-cut-out"):
                laid = cut(photo, steps, find)
            with gr.Accordion(said("inpaint"), open=False, elem_id="enhance-fill"):
                mask = parts.photo_input("mask", height=180, elem_id="enhance-mask").unrender()
                filled_in = brush_mask.editor(
                    "enhance-mask", None, photo, mask, on_drawn=lambda data: steps.switched_on("inpaint", data, "prior")
                )
                mask.render()
            with gr.Accordion(said("rivals"), open=False, elem_id="enhance-rivals"):
                rival = rivals(models)
            with gr.Accordion(said("advanced"), open=False, elem_id="enhance-advanced"):
                network = parts.network_choice("enhance", models, STEPS, hub=True)
                reference = parts.photo_input("reference", height=140, elem_id="enhance-reference")
                parts.goes_with(photo, reference, None)
        with gr.Column(scale=3, min_width=320):
            made = stage("enhance")
            looked_at = part(made, photo)
            walked = trail(made)  # after the part, which it puts away
            with made.actions:
                to_style = gr.Button(said("to_style"), scale=1, min_width=120, elem_id="enhance-to-style")

    of_steps = [strength, noise, crispness, prior_task, market]  # what single steps are told
    sent = arrives(photo, {steps.switches: _GOALS["enlarge_x4"], goal: "enlarge_x4"})

    def asked(data: parts.Values, otherwise: Sequence[str] = ()) -> EnhanceRequest:
        """What the controls say; the steps `otherwise` where none is on."""
        return EnhanceRequest(
            parts.uploaded(data[photo], "photo") or "",
            steps=steps.steps(data[steps.switches], data[steps.order]) or tuple(otherwise),
            strength=data[strength],
            network=parts.offered(network, data[network]),  # once a browser sent the word that it shows
            mask=parts.uploaded(data[mask], "mask"),
            adjust=amounts.amounts(data),
            prior_task=data[prior_task],
            marketplace=data[market],
            crispness=data[crispness],
            noise=data[noise],
            reference=parts.uploaded(data[reference], "reference"),
            **laid.asked(data),
        )

    def work(data: parts.Values) -> Iterator[parts.Updates]:
        requests: list[EnhanceRequest] = []

        def make() -> EnhanceRequest:
            requests.append(asked(data))
            return requests[-1]

        yield from made.follow(
            run, make, lambda: made.saving(data), lambda *kept: walked.filled(requests[-1], *kept), walked.keep
        )

    def compared(data: parts.Values) -> Iterator[parts.Updates]:
        yield from looked_at.compared(run, lambda data: asked(data, [data[rival.step]]), rival, data[steps.order], data)

    def unless_left_alone(
        work: Callable[[parts.Values], Iterator[parts.Updates]],
    ) -> Callable[[parts.Values], Iterator[parts.Updates]]:
        """Let a sentence answer where there is a photo and no step is on, as after a proposal that found nothing."""

        def answered(data: parts.Values) -> Iterator[parts.Updates]:
            if data[photo] and not data[steps.switches]:
                yield {made.line: parts.status(_LEFT_ALONE, kind="v-done")}
            else:
                yield from work(data)

        return answered

    inputs = [photo, mask, steps.switches, steps.order, *of_steps, network, reference, *amounts.inputs, *laid.inputs]
    of_part = [*inputs, looked_at.spot, made.kept]
    brushes = [laid.brush, filled_in]
    changed = [steps.switches]  # where a mask is drawn
    started = start(
        made, unless_left_alone(work), inputs, [*walked.outputs, *changed], [go.click, *tried, sent], brushes
    )
    on_part = unless_left_alone(lambda data: looked_at.tried(run, asked, data))
    started += start(
        made, on_part, of_part, [*looked_at.outputs, *changed], [attempt.click, pointed(looked_at, photo)], brushes
    )
    started += start(
        made, compared, [*of_part, *rival.inputs], [*looked_at.outputs, *changed], [rival.go.click], brushes
    )
    stop_with(made, stop, started)

    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def aimed(chosen: str) -> list[Any]:
        return (
            [gr.skip(), gr.skip(), gr.update(open=True)] if chosen == _OWN else [*steps.put(_GOALS[chosen]), gr.skip()]
        )

    goal.input(aimed, goal, [steps.switches, steps.order, below], **quick)
    needing = [*of_steps, rule]
    steps.switches.change(
        lambda on, order: [_goal(steps.steps(on, order)), *_needed(on)],
        [steps.switches, steps.order],
        [goal, *needing],
        **quick,
    )
    for component, shown in zip(needing, _needed(first), strict=True):
        component.visible = shown["visible"]
    market.change(_rule, market, rule, **quick)
    steps.switch_on("listing", market.input)
    steps.switch_on("prior", prior_task.input)
    steps.switch_on_where_filled("inpaint", mask, "prior")
    auto.fill(
        look,
        photo,
        [steps.switches, steps.order, strength, *amounts.inputs],
        lambda report: _proposed(report, steps) + amounts.put(report["adjust"]),
    )

    def lacking(request: EnhanceRequest) -> str:
        fills = "inpaint" in request.steps or ("prior" in request.steps and request.prior_task == "fill")
        lies = "cut-out" in request.steps and request.cut_out_background == GROUND_PICTURE
        wanted = [
            what
            for what, is_wanted in (("the mask for the area to fill", fills), ("the picture under the product", lies))
            if is_wanted
        ]
        return f"Add {' and '.join(wanted)}." if wanted else ""

    def fill(request: EnhanceRequest) -> Sequence[Any]:
        own = (
            request.strength,
            request.noise,
            request.crispness,
            request.prior_task,
            request.marketplace,
            parts.offered(network, request.network),
        )
        return [*steps.put(request.steps), _goal(request.steps), *own, *amounts.put(request.adjust), *laid.put(request)]

    filled = [steps.switches, steps.order, goal, *of_steps, network, *amounts.inputs, *laid.settings]
    return Tab(Refill(made, fill, filled, lacking).on_drop(), photo, to_style, made.kept)


def _markets() -> list[tuple[str, str]]:
    return [
        (f"{market.title}, {market.width_px} x {market.height_px}", name) for name, market in marketplaces().items()
    ]


def _rule(market: str) -> str:
    """What the marketplace asks for."""
    known = marketplaces().get(market)
    return f"{known.rule} As written down on {known.written}: check what holds today." if known else ""


def _needed(on: Sequence[str]) -> list[Any]:
    """Which of the settings of single steps are in sight: strength and noise, crispness, what the prior does, the marketplace and its rule."""
    needed = (
        "restore" in on,
        "restore" in on,
        any(step.startswith("upscale") for step in on),
        "prior" in on,
        "listing" in on,
        "listing" in on,
    )
    return [gr.update(visible=is_needed) for is_needed in needed]


def _proposed(report: Mapping[str, Any], steps: Chain) -> list[Any]:
    """Values for the switches, the order and the strength."""
    return [*steps.put([step["name"] for step in report["steps"]]), report["strength"]]


def _goal(steps: Sequence[str]) -> str:
    """The button that stands for a chain of steps."""
    return next((name for name, chosen in _GOALS.items() if chosen == list(steps)), _OWN)
