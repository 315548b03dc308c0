"""Enhance: clean, sharpen, repair, light, cut out and enlarge a photo by a chain of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import image, product
from engine.contract.enhance import GROUND_PICTURE, EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.events import EventStream, Notes, Progress, Result
from engine.contract.steps import STEPS, Step
from engine.enhance import change
from engine.enhance.steps.context import PhotoPart, StepContext, StepGenerator
from engine.image import Header, Picture
from engine.runtime.device import Device, is_out_of_memory
from engine.runtime.preview import Preview
from engine.runtime.work import finished
from engine.settings import Settings
from engine.weights.choice import choose, place

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network, Weights

_LIGHT_PX = 384  # longer side of a copy that light and colour are measured on
_TWICE_PX = (
    24_000_000  # a result that is larger has the photo beside it at its own size: the other would double what is held
)


def enhance(request: EnhanceRequest, weights: Weights, device: Device, settings: Settings) -> EventStream:
    """Run the chain of `request.steps`; yields Progress, then a Result with one picture and what it was before.

    Sizes are checked before anything is decoded, and networks are fetched before the device is taken.
    """
    if request.is_auto:
        from engine.enhance import auto

        again = lambda chain: enhance(chain, weights, device, settings)  # noqa: E731
        yield from auto.enhanced(request, again, weights, device, settings)
        return
    header = image.check(request.photo, settings)
    _check_result_size(header.cropped(request.crop), request, settings)
    if _fills(request) and request.mask:
        _check_mask(header, image.check(request.mask, settings))
    ground = request.ground if request.cut_out_background == GROUND_PICTURE else None
    for file in (request.product, ground, request.reference):
        if file:
            image.check(file, settings)
    steps = [STEPS[name] for name in request.steps]
    tasks = tuple(dict.fromkeys(step.network_task for step in steps))
    behind = request.fallback == "embedded"
    candidates = choose(tasks, request.network, weights.table, on_gpu=device.is_cuda, behind=behind)
    chain = []
    for step in steps:
        answer = yield from _answer(step, candidates[step.network_task], weights, request)
        chain.append((yield from _with_crisp(answer, weights, request)))
    yield from device.exclusively(
        _ChainRun(request, tuple(chain), device, settings, lambda: finished(product.finder(weights))).events()
    )


@dataclass(frozen=True)
class _Answer:
    """What a step is run with: a network, or None for the method without one, and the network of the crisp variant
    where it is asked for; share: how much of that one. fallbacks: why not what was wanted. by: what is used in place of
    a network, where that is not what it usually is.
    """

    step: Step
    network: Network | None
    fallbacks: tuple[str, ...] = ()
    crisp: Network | None = None
    share: float = 0.0
    by: str = ""

    @property
    def networks(self) -> tuple[Network, ...]:
        both = (self.network if self.share < 1 else None, self.crisp)
        return tuple(network for network in both if network)

    @property
    def name(self) -> str:
        return (
            " and ".join(network.weight.name for network in self.networks)
            or self.by
            or self.step.method
            or self.step.instead[0]
        )


def _answer(
    step: Step, names: tuple[str, ...], weights: Weights, request: EnhanceRequest
) -> Generator[Progress, None, _Answer]:
    from engine.weights import WeightsUnavailable

    if step.method:
        return _Answer(step, None)
    if given := step.given(request):
        return _Answer(step, None, by=given)
    reason, did = f"No network for {step.name} comes with Vitrine.", step.instead[1]
    if names:
        try:
            network, fallbacks = yield from weights.load_first(names)
        except WeightsUnavailable as error:
            if not did or request.fallback == "none":
                raise
            reason = str(error)
        else:
            return _Answer(step, network, fallbacks)
    if advice := step.advice(request):
        raise RequestError(f"{reason.rstrip('.')}, {advice}.")
    if not did:
        raise RequestError(reason)
    return _Answer(step, None, (f"{reason.rstrip('.')}, so {did}.",))


def _with_crisp(answer: _Answer, weights: Weights, request: EnhanceRequest) -> Generator[Progress, None, _Answer]:
    """The answer with the network of the crisp variant, where the step enlarges by the faithful one and crispness is
    asked for.
    """
    from engine.weights import WeightsUnavailable

    faithful = answer.network
    if not request.crispness or not answer.step.crisp_task or faithful is None:
        return answer
    names = [row.name for row in weights.table if row.task == answer.step.crisp_task and row.embedded]
    reason = "No crisp network comes with Vitrine"
    if not faithful.weight.embedded:
        reason = f"{faithful.weight.name} has no crisp variant"
    elif names:
        try:
            crisp, _ = yield from weights.load_first(names)
        except WeightsUnavailable as error:
            reason = str(error).rstrip(".")
        else:
            return replace(answer, crisp=crisp, share=request.crispness)
    return replace(answer, fallbacks=(*answer.fallbacks, f"{reason}, so crispness was left out."))


def _fills(request: EnhanceRequest) -> bool:
    """Whether the chain fills the mask."""
    return any(STEPS[name].fills(request) for name in request.steps)


def _check_result_size(header: Header, request: EnhanceRequest, settings: Settings) -> None:
    """RequestError when any picture on the way would have too many pixels."""
    width, height = header.width, header.height
    for name in request.steps:
        width, height = STEPS[name].size_of(width, height, request)
        if width * height > settings.output_mpx * 1e6:
            raise RequestError(
                f"The result would have {width} x {height} pixels, which is {width * height / 1e6:.0f} megapixels; at"
                f" most {settings.output_mpx:g} can be made, and the photo has {header.width} x {header.height} pixels."
            )


def _check_mask(photo: Header, mask: Header) -> None:
    """A mask has the photo's size, or is a smaller one of its shape, as a brush on a small copy makes it."""
    share = mask.width / photo.width
    if (photo.width, photo.height) != (mask.width, mask.height) and (
        share > 0.95 or abs(mask.height - share * photo.height) > 1
    ):
        raise RequestError(
            f"The mask has {mask.width} x {mask.height} pixels and the photo {photo.width} x {photo.height}; they must"
            " be of one size."
        )


class _ChainRun:
    """The part of a request that holds the device."""

    def __init__(
        self,
        request: EnhanceRequest,
        chain: tuple[_Answer, ...],
        device: Device,
        settings: Settings,
        finder: Callable[[], Network | None],
    ) -> None:
        self.request, self.chain, self.device, self.settings, self.finder = request, chain, device, settings, finder
        self.fallbacks = [sentence for answer in chain for sentence in answer.fallbacks]
        self.remarks: list[str] = []
        self.part: PhotoPart | None = None

    def events(self) -> EventStream:
        started = time.monotonic()
        photo = image.load(self.request.photo, self.settings)
        mask = self._load_mask(photo) if _fills(self.request) else None
        if self.request.crop:
            self.part = PhotoPart(photo, *self.request.crop)
            photo = photo.cropped(*self.request.crop)
        result, total = photo, 100 * len(self.chain)
        for k, answer in enumerate(self.chain):
            result = yield from self._step(k, answer, result, mask)
            if self.part and answer.step.changes_background and any(later.step.uses_light for later in self.chain[k:]):
                self.part = replace(self.part, seen=self._cut_out_small(self.part.whole, answer))
            if k + 1 < len(self.chain):
                # Of any size: the next step holds this picture in any case, and whoever keeps it writes it to a file at
                # once.
                yield Progress(100 * (k + 1), total, f"{answer.step.doing}: done", made=result)
        yield Progress(total, total, "Measuring how much was changed")
        reference = self.request.reference
        fidelity = change.fidelity(result, reference, self.settings, self.remarks, self.part) if reference else {}
        networks = [network for answer in self.chain for network in answer.networks]
        notes = Notes(
            tuple(answer.name for answer in self.chain),
            place(networks, self.device),
            tuple(self.fallbacks),
            (*photo.remarks, *self.remarks),
            change.changed(photo, result),
            fidelity,
        )
        yield Result((result,), self.request.recipe(), notes, time.monotonic() - started, _before(photo, result))

    def _load_mask(self, photo: Picture) -> Tensor | None:
        """(1, 1, H, W), 1 = fill; None where there is nothing to fill in the part that is worked on."""
        assert self.request.mask is not None  # the request checks it
        mask = (product.to_size(image.load_mask(self.request.mask, self.settings), photo) > 0.5).float()
        if not mask.any():
            raise RequestError("The mask has no white in it, so there is nothing to fill.")
        if mask.all():
            raise RequestError("The mask is white all over, so nothing of the photo is left to fill it from.")
        if self.request.crop:
            left, top, width, height = self.request.crop
            mask = mask[..., top : top + height, left : left + width]
            if mask.all():
                raise RequestError("All of this part is to be filled; choose one that shows what lies around.")
        return mask if mask.any() else None

    def _step(self, k: int, answer: _Answer, photo: Picture, mask: Tensor | None) -> Generator[Progress, None, Picture]:
        """One step of the chain on the whole picture; the pictures before it are left as they were."""
        step = answer.step
        if mask is None and step.fills(self.request):
            self.remarks.append("There is nothing to fill in this part.")
            return photo
        context = StepContext(
            self.request,
            self.settings,
            Preview(photo.pixels, step.scale),
            mask,
            self.remarks,
            self.part,
            answer.crisp,
            self.finder,
        )
        work = self._careful(answer, photo, context)
        total, doing = 100 * len(self.chain), f"{step.doing} with {answer.name}"
        yield Progress(100 * k, total, doing)
        while True:
            try:
                done, of = next(work)
            except StopIteration as end:
                found: Picture = end.value
                return found
            yield Progress(100 * k + 100 * done // of, total, f"{doing}: {done} of {of}", context.preview.due())

    def _cut_out_small(self, whole: Picture, answer: _Answer) -> Picture:
        """What a part's chain has made of the photo around it, as small as its light can be measured on."""
        small = whole.fitted(min(_LIGHT_PX, max(whole.width, whole.height)))
        found: Picture = finished(
            answer.step.run(small, answer.network, StepContext(self.request, self.settings, Preview(small.pixels, 1)))
        )
        return found

    def _careful(self, answer: _Answer, photo: Picture, context: StepContext) -> StepGenerator:
        """The step, on the CPU where the network does not fit on the GPU."""
        run, network = answer.step.run, answer.network
        for one in answer.networks:
            one.come_back()
        try:
            first: Picture = yield from run(photo, network, context)
            return first
        except Exception as error:
            if all(one.device.type == "cpu" for one in answer.networks) or not is_out_of_memory(error):
                raise
        for one in answer.networks:
            one.to_cpu()
        self.fallbacks.append(f"{answer.name} did not fit into the memory of {self.device.name}, so it ran on the CPU.")
        again: Picture = yield from run(photo, network, context)
        return again


def _before(photo: Picture, result: Picture) -> Picture:
    """The photo at the result's size; a result that is too large to be held twice has it as it is."""
    return photo if result.width * result.height > _TWICE_PX else photo.resized(result.width, result.height)
