"""The brush: what is product and what is to be left alone, drawn over the photo in two colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr
import numpy as np
from PIL import Image

from engine.request import RequestError
from gradio_ui import parts
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine.image import Picture

Find: TypeAlias = Callable[[str], "Picture | None"]  # photo file -> the product's mask, None where it cannot be told

PRODUCT, PROTECTED = (24, 163, 122), (209, 52, 56)  # the two brushes
CANVAS_PX = 768  # longer side of what is drawn on
_SHINES_THROUGH = 150  # of 255: how opaque the mask is over the photo


def editor(verb: str, find: Find | None, photo: gr.Image, product: gr.Image, protected: gr.Image | None = None) -> gr.ImageEditor:
    """A canvas over the photo and the button that fills it; what is drawn becomes the mask pictures.

    Without a place for what is protected there is no brush for it. Without `find` nothing is drawn beforehand, and what
    is drawn is not the product but what is to be filled.
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
    )

    def found(sent: Any) -> Any:
        try:
            file = parts.uploaded(sent, "photo")
            if not file:
                raise RequestError("Add a photo first.")
            mask = find(file) if find else None
            if mask is None and find:
                gr.Info("The product could not be told from its background: draw it with the green brush.", title="Vitrine")
            drawn = _drawn(file, mask)
            return gr.update(value=drawn, canvas_size=drawn["background"].size, visible=True)
        except Exception as error:
            raise parts.spoken(error) from None

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    look.click(found, photo, canvas, preprocess=False, api_visibility="private", **parts.DEVICE_QUEUE)
    canvas.change(lambda value: dict(zip(places, masks(value), strict=False)), canvas, places, queue=False, **hidden)
    parts.reset_with(photo, {canvas: gr.update(value=None, visible=False)} | dict.fromkeys(places))
    return canvas


def _drawn(file: str, mask: Picture | None) -> dict[str, Any]:
    """The photo with the product's mask over it, or with nothing where it was not found: the person draws it then."""
    from engine import image
    from engine.settings import Settings

    picture = image.load(file, Settings.from_environment())  # the door knows more formats than Pillow, and lays what is transparent on white
    small = picture.fitted(min(CANVAS_PX, max(picture.width, picture.height)))
    photo = replace(small, pixels=small.on_white(), alpha=None).pil()
    layer = Image.new("RGBA", photo.size, (*PRODUCT, 0))
    if mask is not None:
        layer.putalpha(mask.pil().convert("L").resize(photo.size).point(lambda level: _SHINES_THROUGH if level > 127 else 0))
    return {"background": photo, "layers": [layer], "composite": Image.alpha_composite(photo.convert("RGBA"), layer)}


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
    product, protected = (Image.fromarray(np.where(where, 255, 0).astype(np.uint8)) if where.any() else None for where in drawn)
    return product, protected
