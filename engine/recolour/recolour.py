"""Recolour: one product in other colours, its shading, its print and its background left as they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine import image, product
from engine.contract.errors import RequestError
from engine.contract.events import EventStream, Notes, Progress, Result
from engine.contract.fields import hex_of, rgb_of
from engine.contract.recolour import RecolourRequest
from engine.image import Header, Picture
from engine.runtime.device import Device
from engine.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from engine.weights import Network, Weights

COLOURFUL = 0.05  # chroma in OKLab from which a colour is taken for the product's own before a grey one
UNSEEN = 2 / 255  # of any channel: less is no change
LEAST_SHARE = 0.15  # of the product that such a colour has: less is a print, or a rim of the background


def recolour(request: RecolourRequest, weights: Weights, device: Device, settings: Settings) -> EventStream:
    """Give the product each of the colours; yields Progress, then a Result with one picture for each.

    RequestError when a file is no picture, or when the product cannot be told from its background and no mask is given.
    """
    _check_size(image.check(request.photo, settings), request, settings)
    if request.mask:
        image.check(request.mask, settings)
    finder = None if request.mask else (yield from product.finder(weights))
    yield from device.exclusively(_events(request, finder, settings))


def _check_size(header: Header, request: RecolourRequest, settings: Settings) -> None:
    """All pictures are held at once, so they count together against what one result may have."""
    scale = request.size_px / max(header.width, header.height) if request.size_px else 1.0
    mpx = len(request.colours) * header.width * header.height * scale**2 / 1e6
    if mpx > settings.output_mpx:
        raise RequestError(
            f"The pictures would have {mpx:.0f} megapixels together, and at most {settings.output_mpx:g} can be made;"
            " choose a smaller size."
        )


def _events(request: RecolourRequest, finder: Network | None, settings: Settings) -> EventStream:
    import torch

    from engine.models import recolour as method

    started = time.monotonic()
    yield Progress(0, len(request.colours), "Looking for the product")
    original = image.load(request.photo, settings)
    photo = original.fitted(request.size_px) if request.size_px else original
    pixels = photo.pixels.float()
    mask = product.given(request.mask, photo, settings, "mask") if request.mask else product.of(photo, finder)
    if mask is None:
        raise RequestError("The product could not be told from its background; give a mask of it.")
    own = _main_colours(pixels, mask)
    source = torch.stack([_rgb(colour) for colour in request.sources]) if request.sources else _own_colour(own)
    made: list[Picture] = []
    for k, colour in enumerate(request.colours):
        coloured = method.recolour(pixels, mask, source, _rgb(colour))
        made.append(photo.with_pixels(torch.lerp(pixels, coloured, request.strength)))
        yield Progress(
            k + 1,
            len(request.colours),
            f"Colour {k + 1} of {len(request.colours)}",
            made[-1].fitted(min(768, max(photo.width, photo.height))),
        )
    notes = Notes(("recolour",), "CPU", remarks=(*photo.remarks, _summary(request, source, own, made, photo)))
    yield Result(tuple(made), request.recipe(), notes, time.monotonic() - started, photo)


def to_colour(pixels: Tensor, mask: Tensor, colour: str) -> Tensor:
    """The product in another colour, written #rrggbb; as it is where nothing is inside the mask."""
    from engine.models import recolour as method

    return (
        method.recolour(pixels, mask, _own_colour(_main_colours(pixels, mask)), _rgb(colour))
        if bool((mask > 0.5).any())
        else pixels
    )


def _rgb(colour: str) -> Tensor:
    import torch

    return torch.tensor(rgb_of(colour))


def _main_colours(pixels: Tensor, mask: Tensor) -> list[tuple[Tensor, float]]:
    """The product's colours and their shares, the largest first."""
    from engine.models.recolour import main_colours

    colours = main_colours(pixels, mask)
    if not colours:
        raise RequestError("There is nothing inside the mask to be recoloured.")
    return colours


def _own_colour(colours: list[tuple[Tensor, float]]) -> Tensor:
    """The colour to be replaced; a colourful one before white, grey and black,
    which are soles and labels more often.
    """
    from engine.models.srgb import oklab

    colourful = [
        c
        for c, share in colours
        if share >= LEAST_SHARE and float(oklab(c.view(1, 3, 1, 1))[0, 1:].norm()) >= COLOURFUL
    ]
    return colourful[0] if colourful else colours[0][0]


def _summary(
    request: RecolourRequest, source: Tensor, own: list[tuple[Tensor, float]], made: list[Picture], photo: Picture
) -> str:
    """Which colour was replaced, and which others could be."""
    replaced = [hex_of(colour) for colour in source.view(-1, 3)]
    others = [name for colour, _ in own if (name := hex_of(colour)) not in replaced]
    named = " and ".join(replaced)
    if request.strength and all(float((picture.pixels - photo.pixels).abs().max()) < UNSEEN for picture in made):
        return f"There is nothing of {named} to be replaced; the product's colours are {', '.join(others)}."
    return (
        f"{'The colours' if len(replaced) > 1 else 'The colour'} {named} {'were' if len(replaced) > 1 else 'was'}"
        " replaced" + (f"; the product also has {', '.join(others)}." if others else ".")
    )
