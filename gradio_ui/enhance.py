"""The tab that cleans, lights, cuts out and enlarges a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from engine.contract import ENLARGE, GOALS, OWN, STEPS, EnhanceRequest, goal_of, marketplaces
from gradio_ui import controls, example_pictures, inputs
from gradio_ui import mask as brush_mask
from gradio_ui.chain import Chain, chain
from gradio_ui.cut import Cut, cut
from gradio_ui.history import History, history
from gradio_ui.light import LightControls, light
from gradio_ui.part import PartPanel, Rivals, part, pointed, rivals
from gradio_ui.progress import status
from gradio_ui.proposal import ProposalPanel, proposal
from gradio_ui.recipes import Refill
from gradio_ui.stage import Stage, stage, start, stop_with
from gradio_ui.wiring import QUICK, Run, Updates, Values
from gradio_ui.words import ENGLISH, said

if TYPE_CHECKING:
    from engine import Studio

_LEFT_ALONE = (
    "No step is chosen, so the photo stays as it is. "
    f"To change it, choose under “{ENGLISH['goal']}” or “{ENGLISH['chain_more']}”."
)


class Tab(NamedTuple):
    """refill: how a recipe fills the tab. photo: where one goes. to_style, made: the button that sends what was made
    on.
    """

    refill: Refill
    photo: gr.Image
    to_style: gr.Button
    made: gr.File


@dataclass(frozen=True)
class _EnhanceForm:
    """The left side of the tab: what a request is made of.

    settings: the settings of single steps, by their names in the request; each is in sight while such a step is on.
    """

    photo: gr.Image
    tried: Sequence[Callable[..., Any]]
    proposed: ProposalPanel
    goal: gr.Radio
    go: gr.Button
    stop: gr.Button
    attempt: gr.Button
    below: gr.Accordion
    steps: Chain
    settings: Mapping[str, Any]
    rule: gr.Markdown
    amounts: LightControls
    laid: Cut
    mask: gr.Image
    brush: brush_mask.Brush
    rival: Rivals
    network: gr.Dropdown
    reference: gr.Image

    @property
    def inputs(self) -> list[Any]:
        """Everything that `request` reads."""
        return [
            self.photo,
            self.mask,
            self.steps.switches,
            self.steps.order,
            *self.settings.values(),
            self.network,
            self.reference,
            *self.amounts.inputs,
            *self.laid.inputs,
        ]

    @property
    def filled(self) -> list[Any]:
        """Everything that a recipe fills, in the order of `put`."""
        return [
            self.steps.switches,
            self.steps.order,
            self.goal,
            *self.settings.values(),
            self.network,
            *self.amounts.inputs,
            *self.laid.settings,
        ]

    def request(self, data: Values, otherwise: Sequence[str] = ()) -> EnhanceRequest:
        """What the controls say; the steps `otherwise` where none is on."""
        return EnhanceRequest.of(
            {
                "photo": inputs.uploaded(data[self.photo], "photo") or "",
                "steps": self.steps.steps(data[self.steps.switches], data[self.steps.order]) or tuple(otherwise),
                "network": controls.offered(self.network, data[self.network]),  # once a browser sent the word it shows
                "mask": inputs.uploaded(data[self.mask], "mask"),
                "adjust": self.amounts.amounts(data),
                "reference": inputs.uploaded(data[self.reference], "reference"),
                **{name: data[component] for name, component in self.settings.items()},
                **self.laid.asked(data),
            }
        )

    def put(self, request: EnhanceRequest) -> list[Any]:
        """The values of `filled` for the request of a recipe."""
        values = request.values()
        return [
            *self.steps.put(request.steps),
            goal_of(request.steps),
            *(values[name] for name in self.settings),
            controls.offered(self.network, request.network),
            *self.amounts.put(request.adjust),
            *self.laid.put(request),
        ]


@dataclass(frozen=True)
class _EnhanceResult:
    """The right side of the tab."""

    made: Stage
    looked_at: PartPanel
    walked: History
    to_style: gr.Button


def tab(
    studio: Studio,
    run: Run,
    models: Sequence[Mapping[str, Any]],
    arrives: Callable[[gr.Image, Mapping[Any, Any]], Callable[..., Any]],
) -> Tab:
    """Build the tab. `run` turns a request into events.

    `arrives`, told where a photo goes and what else to set, gives the trigger of a photo sent here to be enlarged.
    """
    with gr.Row(elem_classes="v-tab"):
        with gr.Column(scale=2, min_width=300, elem_classes="v-controls"):
            form = _form(studio, models)
        with gr.Column(scale=3, min_width=320):
            right = _right(studio, form.photo)
    sent = arrives(form.photo, {form.steps.switches: list(GOALS[ENLARGE]), form.goal: ENLARGE})
    steps = form.steps
    asked = form.proposed.fill(
        studio.look,
        form.photo,
        [steps.switches, steps.order, form.settings["strength"], *form.amounts.inputs],
        lambda report: _proposed(report, steps) + form.amounts.put(report["adjust"]),
    )
    _run_on(run, form, right, sent, asked)
    _follow_steps(form)
    return Tab(
        Refill(right.made, form.put, form.filled, _lacking).on_drop(), form.photo, right.to_style, right.made.kept
    )


def _form(studio: Studio, models: Sequence[Mapping[str, Any]]) -> _EnhanceForm:
    """Lay out the left side."""
    first = controls.default(EnhanceRequest, "steps")
    photo = inputs.photo_input(studio, "photo", height=200, elem_id="enhance-photo")
    tried = example_pictures.examples(example_pictures.example_photos(spoiled=True), photo)
    proposed = proposal()
    goals = [(said(name), name) for name in (*GOALS, OWN)]
    goal = gr.Radio(goals, value=goal_of(first), label=said("goal"), elem_id="enhance-goal")
    go, stop = controls.buttons("enhance")
    attempt = gr.Button(said("try_part"), elem_id="enhance-try")
    gr.Markdown(said("try_about"), elem_classes="v-hint")
    with gr.Accordion(said("chain_more"), open=False, elem_id="enhance-steps") as below:
        steps = chain(first, "enhance-chain")
        settings, rule = _settings()
    with gr.Accordion(_of("adjust"), open=False, elem_id="enhance-tone"):
        amounts = light(photo, steps, studio.propose_tone)
    with gr.Accordion(_of("cut_out_background"), open=False, elem_id="enhance-cut-out"):
        laid = cut(studio, photo, steps)
    with gr.Accordion(_of("mask"), open=False, elem_id="enhance-fill"):
        mask = inputs.photo_input(studio, "mask", height=180, elem_id="enhance-mask").unrender()
        brush = brush_mask.editor(
            studio,
            "enhance-mask",
            None,
            photo,
            mask,
            on_drawn=lambda data: steps.switched_on("mask", data),
        )
        mask.render()
    with gr.Accordion(said("rivals"), open=False, elem_id="enhance-rivals"):
        rival = rivals(models)
    with gr.Accordion(said("advanced"), open=False, elem_id="enhance-advanced"):
        tasks = {step.network_task for step in STEPS.values()}
        network = controls.network_choice("enhance", models, tasks, hub=True)
        reference = inputs.photo_input(studio, "reference", height=140, elem_id="enhance-reference")
        inputs.goes_with(photo, reference, None)
    return _EnhanceForm(
        photo,
        tried,
        proposed,
        goal,
        go,
        stop,
        attempt,
        below,
        steps,
        settings,
        rule,
        amounts,
        laid,
        mask,
        brush,
        rival,
        network,
        reference,
    )


def _settings() -> tuple[dict[str, Any], gr.Markdown]:
    """The settings of single steps, and the rule of the marketplace.

    Those that a step brings along come by themselves.
    """
    settings: dict[str, Any] = {
        "strength": controls.slider(EnhanceRequest, "strength", step=0.05),
        "noise": controls.slider(EnhanceRequest, "noise", step=1),
        "crispness": controls.slider(EnhanceRequest, "crispness", step=0.05),
        "prior_task": controls.dropdown(EnhanceRequest, "prior_task"),
    }
    settings |= {name: controls.option(EnhanceRequest, name) for name in STEPS.options()}
    market = controls.default(EnhanceRequest, "marketplace")
    settings["marketplace"] = gr.Dropdown(
        _markets(), value=market, label=said("marketplace"), elem_id="enhance-marketplace"
    )
    return settings, gr.Markdown(_rule(market), elem_classes="v-hint", elem_id="enhance-rule")


def _of(setting: str) -> Any:
    """The words of the step that a setting is of, where several are, of the first."""
    return said(STEPS.with_setting(setting)[0])


def _right(studio: Studio, photo: gr.Image) -> _EnhanceResult:
    """Lay out the right side."""
    made = stage(studio, "enhance")
    looked_at = part(made, photo)
    walked = history(made)  # after the part, which it puts away
    with made.actions:
        to_style = gr.Button(said("to_style"), scale=1, min_width=120, elem_id="enhance-to-style")
    return _EnhanceResult(made, looked_at, walked, to_style)


def _run_on(
    run: Run, form: _EnhanceForm, right: _EnhanceResult, sent: Callable[..., Any], asked: Sequence[Any]
) -> None:
    """Let the buttons run the steps on the photo, on a part of it, or by two networks; Stop also ends what was
    `asked`.
    """
    made, looked_at, walked, rival = right.made, right.looked_at, right.walked, form.rival

    def work(data: Values) -> Iterator[Updates]:
        requests: list[EnhanceRequest] = []

        def make() -> EnhanceRequest:
            requests.append(form.request(data))
            return requests[-1]

        yield from made.follow(
            run, make, lambda: made.saving(data), lambda *kept: walked.filled(requests[-1], *kept), walked.keep
        )

    def compared(data: Values) -> Iterator[Updates]:
        ask: Callable[[Values], EnhanceRequest] = lambda data: form.request(data, [data[rival.step]])  # noqa: E731
        yield from looked_at.compared(run, ask, rival, data[form.steps.order], data)

    def unless_left_alone(work: Callable[[Values], Iterator[Updates]]) -> Callable[[Values], Iterator[Updates]]:
        """A sentence where there is a photo and no step is on, as after a proposal that found nothing."""

        def answered(data: Values) -> Iterator[Updates]:
            if data[form.photo] and not data[form.steps.switches]:
                yield {made.line: status(_LEFT_ALONE, kind="v-done")}
            else:
                yield from work(data)

        return answered

    of_part = [*form.inputs, looked_at.spot, made.kept]
    brushes = [form.laid.brush, form.brush]
    switched = [form.steps.switches]  # where a mask is drawn
    triggers = [form.go.click, *form.tried, sent]
    started = start(made, unless_left_alone(work), form.inputs, [*walked.outputs, *switched], triggers, brushes)
    on_part = unless_left_alone(lambda data: looked_at.tried(run, form.request, data))
    triggers = [form.attempt.click, pointed(looked_at, form.photo)]
    started += start(made, on_part, of_part, [*looked_at.outputs, *switched], triggers, brushes)
    outputs = [*looked_at.outputs, *switched]
    started += start(made, compared, [*of_part, *rival.inputs], outputs, [rival.go.click], brushes)
    questions = [*asked, *form.amounts.looking, *(event for brush in brushes for event in brush.looking)]
    stop_with(made, form.stop, [*started, *questions])


def _follow_steps(form: _EnhanceForm) -> None:
    """Let the goal choose the steps, the steps show their settings, and what is set for a step switch it on."""
    steps, settings = form.steps, form.settings

    def aimed(chosen: str) -> list[Any]:
        if chosen == OWN:
            return [gr.skip(), gr.skip(), gr.update(open=True)]
        return [*steps.put(GOALS[chosen]), gr.skip()]

    def followed(on: Sequence[str], order: Sequence[str]) -> list[Any]:
        shown = _in_sight(on, settings)
        return [goal_of(steps.steps(on, order)), *(gr.update(visible=is_shown) for is_shown in shown)]

    form.goal.input(aimed, form.goal, [steps.switches, steps.order, form.below], **QUICK)
    needing = [*settings.values(), form.rule]
    steps.switches.change(followed, [steps.switches, steps.order], [form.goal, *needing], **QUICK)
    first = controls.default(EnhanceRequest, "steps")
    for component, is_shown in zip(needing, _in_sight(first, settings), strict=True):
        component.visible = is_shown
    market = settings["marketplace"]
    market.change(_rule, market, form.rule, **QUICK)
    for name, component in settings.items():
        if len(STEPS.with_setting(name)) == 1:
            steps.switch_on(name, component.release if isinstance(component, gr.Slider) else component.input)
    steps.switch_on_where_filled("mask", form.mask)


def _in_sight(on: Sequence[str], settings: Mapping[str, Any]) -> list[bool]:
    """Which of the settings belong to a step that is on; then the same of the marketplace's rule."""
    shown = {name for step in on if step in STEPS for name in (*STEPS[step].settings, *STEPS[step].options)}
    return [name in shown for name in (*settings, "marketplace")]


def _lacking(request: EnhanceRequest) -> str:
    """What the person has to add to a recipe's settings, as the steps say it."""
    bare = SimpleNamespace(**{**request.values(), **dict.fromkeys(EnhanceRequest.files())})
    steps = [] if request.is_auto else request.steps
    return " ".join(dict.fromkeys(sentence for step in steps if (sentence := STEPS[step].lacks(bare))))


def _markets() -> list[tuple[str, str]]:
    return [
        (f"{market.title}, {market.width_px} x {market.height_px}", name) for name, market in marketplaces().items()
    ]


def _rule(market: str) -> str:
    """What the marketplace asks for."""
    known = marketplaces().get(market)
    return f"{known.rule} As written down on {known.written}: check what holds today." if known else ""


def _proposed(report: Mapping[str, Any], steps: Chain) -> list[Any]:
    """Values for the switches, the order and the strength."""
    return [*steps.put([step["name"] for step in report["steps"]]), report["strength"]]
