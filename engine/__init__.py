"""Vitrine's studio: repaint, generate and enhance product photos.

from engine import Studio
from engine.contract import EnhanceRequest

for event in Studio().enhance(EnhanceRequest("shoe.jpg", steps=("restore",))):
    print(event)  # Progress ..., then a Result
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import engine.enhance.steps  # noqa: F401 (declares the steps, by which a request of Enhance is checked)
from engine.contract import (
    Answer,
    EngineFailure,
    EnhanceRequest,
    EventStream,
    GenerateRequest,
    Progress,
    Question,
    RecolourRequest,
    RequestError,
    Requests,
    StyleRequest,
)
from engine.pictures import PictureFiles
from engine.runtime.device import Device, configure, is_out_of_memory
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.enhance.auto import Proposal
    from engine.image import Picture
    from engine.style.presets import Preset
    from engine.weights import Network, Weights

log = logging.getLogger("vitrine")

T = TypeVar("T")
Heard = TypeVar("Heard")


class Studio(PictureFiles):
    """The verbs, and all else that a page, a server or a command line may know.

    A verb takes a request and yields events: `Progress` any number of times, at the end one `Result`. Closing the
    generator stops the work within one tile or step and frees the device. A request that cannot be met raises
    `RequestError`, anything unexpected `EngineFailure`; both carry one sentence. Verbs may be called from several
    threads: one works, the others wait and say so. A question about a photo (`look`, `find_product`, `propose_tone`)
    is heard and left in the same way; its last event is an `Answer`. Constructing a studio imports no torch.
    """

    def __init__(self, settings: Settings | None = None, weights: Weights | None = None) -> None:
        from engine.weights import Weights

        configure()
        super().__init__(settings or Settings.from_environment())
        self.device = Device()
        self.weights = weights or Weights(self.device, self.settings)

    def stylize(self, request: StyleRequest) -> EventStream:
        """Repaint a photo in the manner of a style picture."""
        from engine.style.stylize import stylize

        return _speaking_plainly(stylize(request, self.weights, self.device, self.settings))

    def generate(self, request: GenerateRequest) -> EventStream:
        """Draw new product pictures."""
        from engine.generate.generate import generate

        return _speaking_plainly(generate(request, self.weights, self.device, self.settings))

    def enhance(self, request: EnhanceRequest) -> EventStream:
        """Clean, sharpen, repair and enlarge a photo."""
        from engine.enhance.enhance import enhance

        return _speaking_plainly(enhance(request, self.weights, self.device, self.settings))

    def recolour(self, request: RecolourRequest) -> EventStream:
        """Give the product on a photo other colours."""
        from engine.recolour.recolour import recolour

        return _speaking_plainly(recolour(request, self.weights, self.device, self.settings))

    def run(self, request: Requests) -> EventStream:
        """The verb that `request` asks for."""
        found: EventStream = getattr(self, request.verb)(request)
        return found

    def models(self) -> list[dict[str, Any]]:
        """Every weight: name, task, source, size in bytes, licence, where it is now, and what it was measured at."""
        return [
            {
                "name": weight.name,
                "task": weight.task,
                "source": weight.repo or "embedded",
                "size": weight.size,
                "licence": weight.licence,
                "credit": weight.credit,
                "where": self.weights.where(weight.name),
                "measured": weight.measured,
                "directions": weight.directions,
            }
            for weight in self.weights.table
        ]

    def presets(self) -> list[Preset]:
        """The styles that come with the studio, with their thumbnails."""
        from engine.style.presets import PRESETS

        return list(PRESETS)

    def find_product(self, file: str | Path) -> Question[Picture | None]:
        """The mask of the product on a photo, white where it is, small enough to be looked at.

        None where it cannot be told from its background.
        """
        from engine.product import looked_for

        return self._asked(file, looked_for(file, self.weights, self.settings))

    def propose_tone(self, file: str | Path) -> Question[tuple[float, ...] | None]:
        """What the network would do to a photo's light and colour, in the order of ADJUSTMENTS.

        None where there is no such network.
        """
        from engine.enhance.steps.tone import proposed_for

        return self._asked(file, proposed_for(file, self.weights, self.settings))

    def look(self, file: str | Path) -> Question[Proposal]:
        """What is found on a photo, and the chain of steps that it needs, with the reasons; nothing is run."""
        from engine.enhance import auto

        return self._asked(file, auto.look(file, self.weights, self.settings))

    def _asked(self, file: str | Path, work: Generator[Progress, None, T]) -> Question[T]:
        """The answer of `work` in the device's turn; a file that is no photo is refused before the wait."""

        def asked() -> Question[T]:
            self.check(file)
            yield Answer((yield from self.device.exclusively(work)))

        return _speaking_plainly(asked())

    def warm_up(self) -> None:
        """Import torch, load the embedded networks and run each once, so that the first request is not slower.

        May be called from any thread, beside requests. A network that is missing is logged and left out.
        """
        started = time.monotonic()
        for _ in self.device.exclusively(self._warming()):
            pass
        log.info("the embedded networks are warm after %.1f s", time.monotonic() - started)

    def _warming(self) -> EventStream:
        from engine.weights import WeightsUnavailable

        for weight in self.weights.table:
            if not weight.embedded:
                continue
            try:
                network = yield from self.weights.load(weight.name)
            except WeightsUnavailable as error:
                log.warning("%s", error)
                continue
            _run_once(network)


def _run_once(network: Network) -> None:
    """A tiny forward pass: the first one sets up threads, memory and kernels."""
    import torch

    if network.weight.task in ("generate", "sketch"):
        latents = network.module.sample_latents(
            "".join(network.module.categories[:1]), 1, 0.5, torch.Generator().manual_seed(0)
        )
        lines = (
            (torch.zeros(1, 1, network.module.size_px, network.module.size_px),)
            if network.weight.task == "sketch"
            else ()
        )
        network(*lines, latents, torch.zeros(1, dtype=torch.long))
        return
    photo = torch.zeros(1, 3, 64, 64)
    more = network.module.nothing(photo) if hasattr(network.module, "nothing") else ()
    with torch.inference_mode():
        network.module(*(t.to(network.device, network.dtype) for t in (photo, *more)))


def _speaking_plainly(events: Generator[Heard, None, None]) -> Generator[Heard, None, None]:
    """The same events; what goes wrong unexpectedly is logged with its traceback and leaves as one sentence."""
    try:
        yield from events
    except (RequestError, EngineFailure):
        raise
    except Exception as error:
        log.exception("a request failed")
        if is_out_of_memory(error):
            raise RequestError("This needs more memory than there is; try a smaller picture.") from error
        raise EngineFailure("Something went wrong inside Vitrine; the log has the details.") from error
