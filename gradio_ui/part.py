"""A part of the photo, at its full scale: what the steps make of it, and two networks next to each other on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from engine.contract import STEPS, EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import Result
from gradio_ui.chain import in_order
from gradio_ui.compare import SIDES, heard_in_turn, note
from gradio_ui.controls import is_here, network_named
from gradio_ui.progress import status
from gradio_ui.stage import Stage, picture_slider, slider_value
from gradio_ui.wiring import QUICK, Run, Sent, Updates, Values
from gradio_ui.words import ENGLISH, said

PART_PX = 384  # a side of the part: the built-in networks do all steps on it within two seconds
WITHOUT = "-"  # in the place of a network: without the step

Spot: TypeAlias = Sequence[int] | None  # where the photo was clicked; None: its middle
Ask: TypeAlias = Callable[[Values], EnhanceRequest]  # what the controls ask of the whole photo


def around(spot: Spot, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part around a spot, all of it on the photo."""
    across, down = min(PART_PX, width), min(PART_PX, height)
    x, y = spot or (width // 2, height // 2)
    return (
        max(0, min(int(x) - across // 2, width - across)),
        max(0, min(int(y) - down // 2, height - down)),
        across,
        down,
    )


def of_part(request: EnhanceRequest, spot: Spot, header: Any) -> EnhanceRequest:
    """The request for the part around a spot. RequestError where no step is left that works on a part."""
    steps = tuple(step for step in request.steps if not (STEPS[step].is_slow or STEPS[step].whole_photo))
    if not steps:
        raise RequestError("The steps that are on work on the whole photo only: run them to see what they do.")
    return replace(request, steps=steps, crop=around(spot, header.width, header.height))


@dataclass(frozen=True)
class PartPanel:
    """Where the results of a part stand, in the stage's place, and the way back from them.

    spot: the photo's file that was clicked last, and where.
    """

    made: Stage
    spot: gr.State
    place: gr.Column
    slider: gr.ImageSlider
    notes: tuple[gr.HTML, ...]
    back: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """Every component that `tried` and `compared` may change beside the stage's."""
        return [self.slider, *self.notes, self.back]

    def tried(self, run: Run, ask: Ask, data: Values) -> Iterator[Updates]:
        """Run the steps on the part that was pointed at, and show it before and after."""

        def work(folder: Path) -> Iterator[Updates]:
            asked = ask(data)
            request = of_part(asked, self._spot(asked.photo, data), self.made.studio.check(asked.photo))
            result = yield from self.made.heard(run(request), folder)
            left_out = ", ".join(str(ENGLISH[step]) for step in asked.steps if step not in request.steps)
            more = f" Not tried on a part, as it takes the whole photo: {left_out}." if left_out else ""
            shown = self._filled(_before(result), result.pictures[0], data, folder, "part_slider")
            yield (
                shown
                | {self.made.line: status(result.notes.sentence(result.seconds) + more, kind="v-done")}
                | dict.fromkeys(self.notes, "")
            )

        yield from self.made.told(work)

    def compared(self, run: Run, ask: Ask, rival: Rivals, order: Sequence[str], data: Values) -> Iterator[Updates]:
        """Run a step by each of two networks, A on the left; one that cannot be had is a sentence, and the photo stands
        in its place.
        """
        step, *networks = (data[component] for component in rival.inputs)

        def work(folder: Path) -> Iterator[Updates]:
            if networks[0] == networks[1]:
                raise RequestError("Choose two different networks to compare.")
            asked = ask(data)
            header = self.made.studio.check(asked.photo)
            wanted = [
                with_network(asked, step, network, order, rival.faithful.get((step, network), ""))
                for network in networks
            ]
            spot = self._spot(asked.photo, data)
            requests = [request and of_part(request, spot, header) for request in wanted]
            outcomes = yield from heard_in_turn(self.made, run, requests, folder, forgiving=True)
            results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
            if not results:
                raise next(outcome for outcome in outcomes if isinstance(outcome, RequestError))
            left, right = (
                outcome.pictures[0] if isinstance(outcome, Result) else _before(results[0]) for outcome in outcomes
            )
            updates = self._filled(left, right, data, folder, "left_right")
            for place, side, network, outcome in zip(self.notes, SIDES, networks, outcomes, strict=True):
                updates[place] = note(side, _title(step, network), _said(outcome))
            yield updates | {self.made.line: ""}

        yield from self.made.told(work)

    def _spot(self, photo: str, data: Values) -> Spot:
        file, spot = data[self.spot] or (None, None)
        return spot if file == photo else None  # a click on the photo before tells nothing of this one

    def _filled(self, left: Any, right: Any, data: Values, folder: Path, word: str) -> Updates:
        made = self.made
        updates: Updates = {
            component: gr.update(visible=False) for component in (made.empty, made.preview, made.final, *made.beside)
        }
        value = slider_value(made.studio, left, right, folder)
        return updates | {
            self.place: gr.update(visible=True),
            self.slider: gr.update(value=value, label=said(word), visible=True),
            self.back: gr.update(visible=bool(data[made.kept])),
        }


def part(made: Stage, photo: gr.Image) -> PartPanel:
    """Lay out the place, out of sight until a part was tried."""
    with made.frame, gr.Column(visible=False, elem_classes="v-pair") as place:
        slider = picture_slider(f"{made.verb}-part", "part_slider")
        with gr.Row(elem_classes="v-sides"):
            notes = tuple(gr.HTML(elem_classes="v-line", elem_id=f"{made.verb}-part-{side}") for side in SIDES)
        back = gr.Button(said("whole_again"), size="sm", visible=False, elem_id=f"{made.verb}-part-back")
    made.beside.append(place)
    shown = PartPanel(made, gr.State(None), place, slider, notes, back)
    back.click(lambda kept: made.put_back(kept) | {made.line: ""}, made.kept, made.outputs, **QUICK)
    return shown


def pointed(shown: PartPanel, photo: gr.Image) -> Callable[..., Any]:
    """Remember the spot of the photo that is clicked; returns the trigger of what comes after."""

    def spot(sent: Sent, event: gr.SelectData) -> tuple[str | None, Spot]:
        return sent["path"] if sent else None, event.index

    return photo.select(spot, photo, shown.spot, preprocess=False, **QUICK).success


@dataclass(frozen=True)
class Rivals:
    """The step and the two networks for it that are to be compared.

    faithful: of a step and a network of the crisp temper, the network beside which a request asks for it.
    """

    step: gr.Dropdown
    networks: tuple[gr.Dropdown, gr.Dropdown]
    go: gr.Button
    faithful: Mapping[tuple[str, str], str]

    @property
    def inputs(self) -> list[Any]:
        return [self.step, *self.networks]


def rivals(models: Sequence[Mapping[str, Any]]) -> Rivals:
    """Lay out the choice: steps that networks serve, and these networks, or none."""
    serving = {step: [m for m in models if m.get("task") == step] for step in STEPS}
    faithful: dict[tuple[str, str], str] = {}
    for enlarging in (name for name, step in STEPS.items() if step.crisp_task):
        crisp = [m for m in models if m.get("task") == STEPS[enlarging].crisp_task]
        if ours := next((m["name"] for m in serving[enlarging] if m.get("source") == "embedded"), ""):
            faithful |= {(enlarging, m["name"]): ours for m in crisp}
            serving[enlarging] += crisp
    steps = [step for step in STEPS if serving[step]]
    gr.Markdown(said("rivals_about"), elem_classes="v-hint")
    step = gr.Dropdown(
        [(said(name), name) for name in steps], value=steps[0], label=said("rival_step"), elem_id="enhance-rival-step"
    )
    a, b = (
        gr.Dropdown(_offered(serving[steps[0]]), value=value, label=side, elem_id=f"enhance-rival-{side.lower()}")
        for side, value in zip(SIDES, _first(serving[steps[0]]), strict=True)
    )
    go = gr.Button(said("run_rivals"), elem_id="enhance-rivals-run")

    def other(name: str) -> list[Any]:
        return [
            gr.update(choices=_offered(serving.get(name, [])), value=value) for value in _first(serving.get(name, []))
        ]

    step.change(other, step, [a, b], **QUICK)
    return Rivals(step, (a, b), go, faithful)


def _offered(models: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """The networks as they are named for people, and none."""
    return [*((network_named(m), m["name"]) for m in models), (said("without_step"), WITHOUT)]


def _first(models: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The first two networks that answer without a connection; the first with and without where there is one."""
    here = [m["name"] for m in models if is_here(m)]
    return ((*here, WITHOUT, WITHOUT)[0], (*here, WITHOUT, WITHOUT)[1])


def with_network(
    request: EnhanceRequest, step: str, network: str, order: Sequence[str], faithful: str = ""
) -> EnhanceRequest | None:
    """The request with a step done by one network and no other; None for a chain that is empty without the step.

    faithful: where the network is one of the crisp temper, the one beside which it is asked for, by all crispness.
    """
    enlarges = bool(STEPS[step].crisp_task)  # one chain enlarges once here
    others = [
        name for name in request.steps if name in STEPS and name != step and not (enlarges and STEPS[name].crisp_task)
    ]
    if network == WITHOUT:
        return replace(request, steps=tuple(others)) if others else None
    crispness = float(bool(faithful)) if enlarges else request.crispness
    return replace(
        request,
        steps=in_order([*others, step], order),
        network=faithful or network,
        fallback="none",
        crispness=crispness,
    )


def _title(step: str, network: str) -> str:
    return f"without {step}" if network == WITHOUT else network


def _said(outcome: Result | RequestError | None) -> str:
    if outcome is None:
        return "The photo as it is."
    return (
        f"{outcome} The photo as it is stands here."
        if isinstance(outcome, RequestError)
        else outcome.notes.sentence(outcome.seconds)
    )


def _before(result: Result) -> Any:
    return result.before or result.pictures[0]
