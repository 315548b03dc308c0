"""Which networks draw the pictures of a request: one that can do what is asked, and those that help it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.contract.errors import RequestError
from engine.contract.events import Progress
from engine.contract.generate import ANY_CATEGORY, GenerateRequest
from engine.generate.classifier import CategoryClassifier
from engine.models.generative import able
from engine.runtime.device import Device
from engine.weights import WeightsUnavailable
from engine.weights.choice import choose, knowing

if TYPE_CHECKING:
    from engine.weights import Network, Weights

_NO_PART = "it took no part in ranking the pictures"
_DOING = {"photo": "take a photo", "directions": "be steered along directions"}  # what a network cannot do, in words


@dataclass(frozen=True)
class GeneratorNetworks:
    """The networks of a request, and why some are not those that were wanted."""

    generator: Network
    encoder: Network | None  # of a photo
    enlarger: Network | None
    classifier: CategoryClassifier | None
    discriminator: Network | None  # ranks beside the classifier
    fallbacks: tuple[str, ...]

    @property
    def networks(self) -> tuple[Network, ...]:
        taking_part = dict.fromkeys((self.generator, self.encoder, self.enlarger))
        return tuple(network for network in taking_part if network is not None)


def networks_for(
    request: GenerateRequest, weights: Weights, device: Device
) -> Generator[Progress, None, GeneratorNetworks]:
    """Find the networks; yields Progress while they are loaded.

    RequestError when one asked by name cannot do what is asked, or when none can.
    """
    task = "sketch" if request.sketch else "generate"
    enlarging = f"upscale-x{request.scale}"
    tasks = (task,) if request.scale == 1 else (task, enlarging)
    table = (
        weights.table
        if request.sketch or request.category == ANY_CATEGORY
        else knowing(request.category, request.network, weights.table)
    )
    names = choose(tasks, request.network, table, on_gpu=device.is_cuda)
    generator, encoder, fallbacks = yield from _generator(request, task, names[task], weights)
    enlarger = None
    if request.scale > 1:
        enlarger, why = yield from weights.load_first(names[enlarging])
        fallbacks += why
    classifier = None
    if consequence := _needs_classifier(request, generator):
        classifier, why = yield from _classifier(request, weights, consequence)
        fallbacks += why
    discriminator = None
    if request.is_ranked:
        discriminator, why = yield from _discriminator(request, weights)
        fallbacks += why
    return GeneratorNetworks(generator, encoder, enlarger, classifier, discriminator, fallbacks)


def _generator(
    request: GenerateRequest, task: str, names: Sequence[str], weights: Weights
) -> Generator[Progress, None, tuple[Network, Network | None, tuple[str, ...]]]:
    """The first network that can be had and can do what is asked, and what encodes a photo for it; one that was asked
    by name must be able to.
    """
    named = [name.strip() for name in request.network.split(",")]
    unavailable, lacking = [], []
    for name in names:
        try:
            network = yield from weights.load(name)
            lack = _lack(request, network)
            encoder = None if lack else (yield from _encoder(request, network, weights))
        except WeightsUnavailable as error:
            unavailable.append(error)
            continue
        if not lack:
            return (
                network,
                encoder,
                tuple(f"{str(error).rstrip('.')}, so {name} was used instead." for error in unavailable),
            )
        if name in named:
            others = yield from _able_others(request, task, network, weights)
            raise RequestError(f"The network {name} {lack}{others}.")
        lacking.append(f"The network {name} {lack}.")
    if unavailable:
        raise unavailable[0]
    raise RequestError(lacking[0] if lacking else f"There is no network for the task {task}.")


def _encoder(request: GenerateRequest, network: Network, weights: Weights) -> Generator[Progress, None, Network | None]:
    """What turns the request's photo into a latent of `network`:
    itself, or another network that it draws the latents of.
    """
    if not request.photo:
        return None
    return network if able(network.module, "photo") else (yield from weights.load(network.weight.encoder))


def _lack(request: GenerateRequest, network: Network) -> str:
    """Why a network cannot do what is asked, as the end of a sentence; "" when it can."""
    known = network.module.categories
    if known and request.category == ANY_CATEGORY and not request.sketch:
        return f"draws by category; choose one of {', '.join(known)}"
    if known and request.category not in known:
        return f"has not learned {request.category}; it knows {', '.join(known)}"
    wanted = {"photo": bool(request.photo) and not network.weight.encoder, "directions": any(request.directions)}
    missing = [ability for ability, is_wanted in wanted.items() if is_wanted and not able(network.module, ability)]
    return f"cannot {_DOING[missing[0]]}" if missing else ""


def _able_others(
    request: GenerateRequest, task: str, network: Network, weights: Weights
) -> Generator[Progress, None, str]:
    """Which of the other embedded networks can do what this one cannot, as the rest of a sentence."""
    names = []
    for row in weights.table:
        if row.task == task and row.embedded and row.name != network.weight.name:
            try:
                other = yield from weights.load(row.name)
            except WeightsUnavailable:
                continue
            if not _lack(request, other):
                names.append(row.name)
    return f"; {', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]} can" if names else ""


def _needs_classifier(request: GenerateRequest, generator: Network) -> str:
    """What happens without the classifier, when the request needs one; else ""."""
    if request.category == ANY_CATEGORY:
        return ""
    if not generator.module.categories:
        return "the pictures may be of any category"
    if request.photo:
        return "the photo was taken as the category that was asked"
    return _NO_PART if request.is_ranked else ""


def _classifier(
    request: GenerateRequest, weights: Weights, consequence: str
) -> Generator[Progress, None, tuple[CategoryClassifier | None, tuple[str, ...]]]:
    network, why = yield from _of_task("classify", weights, consequence)
    if network is None:
        return None, why
    classifier = CategoryClassifier(network)
    if classifier.knows(request.category):
        return classifier, ()
    return None, (f"{classifier.name} does not know {request.category}, so {consequence}.",)


def _discriminator(
    request: GenerateRequest, weights: Weights
) -> Generator[Progress, None, tuple[Network | None, tuple[str, ...]]]:
    """What ranks beside the classifier; of what it has not learned from, a sketch of any product may still be one of
    its own.
    """
    network, why = yield from _of_task("rank", weights, _NO_PART)
    if network is None or request.category in (*network.module.categories, ANY_CATEGORY):
        return network, why
    return None, (f"{network.weight.name} does not know {request.category}, so {_NO_PART}.",)


def _of_task(
    task: str, weights: Weights, consequence: str
) -> Generator[Progress, None, tuple[Network | None, tuple[str, ...]]]:
    """The network of a task; where it cannot be had, None and why, with what follows."""
    try:
        network, why = yield from weights.load_first([row.name for row in weights.table if row.task == task])
    except WeightsUnavailable as error:
        return None, (f"{str(error).rstrip('.')}, so {consequence}.",)
    return network, why
