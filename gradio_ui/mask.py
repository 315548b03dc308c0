"""The brush: what is product and what is to be left alone, drawn over the photo in two colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr
import numpy as np
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from engine.contract.errors import RequestError
from engine.contract.events import Picture, Question
from gradio_ui import inputs, sentences
from gradio_ui.wiring import DEVICE_QUEUE, Updates, Values, heard
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

Find: TypeAlias = Callable[
    [str], Question[Picture | None]
]  # photo file -> the product's mask, None where it cannot be told
Work: TypeAlias = Callable[[Values], Iterator[Updates]]

PRODUCT, PROTECTED = (24, 163, 122), (209, 52, 56)  # the two brushes
CANVAS_PX = 768  # longer side of what is drawn on
_SHINES_THROUGH = 150  # of 255: how opaque the mask is over the photo


@dataclass(frozen=True)
class Brush:
    """canvas: what is drawn on. places: the masks made of it. laid: which masks the canvas laid there last, so that one
    that a person put there stays.

    on_drawn: what else changes where a mask is drawn. looking: the event that looks for the product, for `stop_with`.
    """

    studio: Studio
    canvas: gr.ImageEditor
    places: Sequence[gr.Image]
    laid: gr.Textbox
    on_drawn: Callable[[Values], Updates]
    looking: list[Any] = field(default_factory=list)

    @property
    def outputs(self) -> list[Any]:
        """Every component that `strokes` may change."""
        return [*self.places, self.laid]

    @property
    def inputs(self) -> list[Any]:
        return [self.canvas, *self.outputs]

    def strokes(self, data: Values) -> Updates:
        """What the canvas has that the places do not have yet; nothing where no stroke came since."""
        updates = self.lay(masks({"layers": _layers(self.studio, data[self.canvas])}))
        return {} if updates[self.laid] == (data[self.laid] or "") else updates

    def lay(self, drawn: Sequence[Image.Image | None]) -> Updates:
        """Masks in their places, as files, named in `laid` by what they hold."""
        files = [mask and save_pil_to_cache(mask, get_upload_folder(), "mask", "png") for mask in drawn][
            : len(self.places)
        ]
        laid = " ".join(Path(file).parent.name if file else "-" for file in files) if any(files) else ""
        return dict(zip(self.places, files, strict=True)) | {self.laid: laid}


def after_strokes(work: Work, brushes: Sequence[Brush]) -> Work:
    """The work with the masks that were on the canvases when it was asked for, and these shown first.

    The masks follow the strokes by way of the server, in seconds where the browser draws without a graphics card, and a
    button may be pressed before they are there.
    """

    def drawn_first(data: Values) -> Iterator[Updates]:
        for brush in brushes:
            if strokes := brush.strokes(data):
                others = brush.on_drawn(data) if any(strokes[place] for place in brush.places) else {}
                yield strokes | others
                files = {
                    place: strokes[place] and {"path": strokes[place]} for place in brush.places
                }  # as the browser would send them
                data = {**data, **others, **files}
        yield from work(data)

    return drawn_first


def editor(
    studio: Studio,
    verb: str,
    find: Find | None,
    photo: gr.Image,
    product: gr.Image,
    protected: gr.Image | None = None,
    on_drawn: Callable[[Values], Updates] = lambda data: {},
) -> Brush:
    """A canvas over the photo and the button that fills it; what is drawn becomes the mask pictures.

    Without a place for what is protected there is no brush for it. Without `find` nothing is drawn beforehand, and what
    is drawn is not the product but what is to be filled.

    Nothing listens to the canvas's own events: with a listener Gradio sends what it holds after each stroke, and gives
    that, which may be a stroke old, to the next event that asks. Without one it is read when an event asks for it.
    """
    look = gr.Button(said("find_product" if find else "draw_mask"), size="sm", elem_id=f"{verb}-find")
    places = [product] if protected is None else [product, protected]
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in (PRODUCT, PROTECTED)][: len(places)]
    canvas = gr.ImageEditor(
        label=said("brush_fill" if find is None else "brush_product" if protected is None else "brush_mask"),
        type="pil",
        image_mode="RGBA",
        sources=[],
        transforms=[],
        layers=gr.LayerOptions(allow_additional_layers=False),
        brush=gr.Brush(default_size=28, colors=list(colours), default_color=colours[0], color_mode="fixed"),
        eraser=gr.Eraser(default_size=28),
        buttons=[],
        height=360,
        visible=False,
        elem_id=f"{verb}-brush",
        elem_classes="v-brush",
    )
    drawn_on = gr.Button(visible="hidden", elem_id=f"{verb}-brush-drawn")  # page.js presses it after a stroke
    brush = Brush(studio, canvas, places, gr.Textbox("", visible=False), on_drawn)

    @sentences.in_sentences
    def found(sent: Any) -> Iterator[Any]:
        file = inputs.uploaded(sent, "photo")
        if not file:
            raise RequestError("Add a photo first.")
        nothing_yet = [gr.skip() for _ in (canvas, *brush.outputs)]
        mask = (yield from heard(find(file), lambda progress: nothing_yet)) if find else None
        if mask is None and find:
            gr.Info("The product could not be told from its background: draw it with the green brush.", title="Vitrine")
        drawn = _drawn(studio, file, mask)
        yield brush.lay(masks(drawn)) | {
            canvas: gr.update(value=drawn, canvas_size=drawn["background"].size, visible=True)
        }

    def shown(*values: Any) -> Any:
        try:
            return brush.strokes(dict(zip(brush.inputs, values, strict=True))) or [gr.skip() for _ in brush.outputs]
        except Exception as error:
            raise sentences.spoken(error) from None

    # Gradio reads what shows an event's progress each time that any event's changes, and to read a canvas takes long.
    quiet: dict[str, Any] = {"preprocess": False, "api_visibility": "private", "show_progress_on": look}
    brush.looking.append(look.click(found, photo, [canvas, *brush.outputs], **quiet, **DEVICE_QUEUE))
    drawn_on.click(
        shown, brush.inputs, brush.outputs, queue=False, trigger_mode="always_last", show_progress="hidden", **quiet
    )
    inputs.reset_with(photo, {canvas: gr.update(value=None, visible=False)} | dict.fromkeys(places) | {brush.laid: ""})
    return brush


def _drawn(studio: Studio, file: str, mask: Picture | None) -> dict[str, Any]:
    """The photo with the product's mask over it, or with nothing where it was not found: the person draws it then."""
    picture = studio.load(file)  # the door knows more formats than Pillow, and lays what is transparent on white
    small = picture.fitted(min(CANVAS_PX, max(picture.width, picture.height)))
    photo = replace(small, pixels=small.on_white(), alpha=None).pil()
    layer = Image.new("RGBA", photo.size, (*PRODUCT, 0))
    if mask is not None:
        layer.putalpha(
            mask.pil().convert("L").resize(photo.size).point(lambda level: _SHINES_THROUGH if level > 127 else 0)
        )
    return {"background": photo, "layers": [layer], "composite": Image.alpha_composite(photo.convert("RGBA"), layer)}


def _layers(studio: Studio, sent: Any) -> list[Image.Image]:
    """The pictures that were drawn, of the canvas as the browser sends it."""
    held = sent.get("layers") if isinstance(sent, Mapping) else None
    files = [inputs.uploaded(layer, "drawing") for layer in (held if isinstance(held, list) else [])]
    layers = [studio.load(file).pil() for file in files if file]
    if len({layer.size for layer in layers}) > 1:
        raise RequestError("The layers of the drawing must be of one size.")
    return layers


def masks(value: Mapping[str, Any] | None) -> tuple[Image.Image | None, Image.Image | None]:
    """The product's mask and the protected area of what was drawn; None for a brush that was not used."""
    layers = [np.asarray(layer.convert("RGBA")).astype(int) for layer in (value or {}).get("layers") or []]
    if not layers:
        return None, None
    drawn = np.zeros(layers[0].shape[:2], dtype=bool), np.zeros(layers[0].shape[:2], dtype=bool)
    for layer in layers:
        red = layer[..., 0] > layer[..., 1]
        for where, mine in zip(drawn, (~red, red), strict=True):
            where |= mine & (layer[..., 3] > _SHINES_THROUGH // 3)
    product, protected = (
        Image.fromarray(np.where(where, 255, 0).astype(np.uint8)) if where.any() else None for where in drawn
    )
    return product, protected
