"""What the product is laid on once it is cut out, and the brush that says which part of the photo it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.contract.enhance import GROUND_PICTURE, EnhanceRequest
from gradio_ui import controls, inputs
from gradio_ui import mask as brush_mask
from gradio_ui.chain import Chain
from gradio_ui.wiring import QUICK, Values
from gradio_ui.words import said

if TYPE_CHECKING:
    from engine import Studio

_COLOUR = "#e8e4dc"  # what the picker begins with
_GROUNDS = ("white", "transparent", "colour", GROUND_PICTURE)


@dataclass(frozen=True)
class Cut:
    """ground: one of _GROUNDS. colour, picture: those of the ground, each out of sight until it is asked for. product:
    the mask. brush: what draws it.
    """

    ground: gr.Radio
    colour: gr.ColorPicker
    picture: gr.Image
    shadow: gr.Slider
    product: gr.Image
    brush: brush_mask.Brush

    @property
    def settings(self) -> list[Any]:
        return [self.ground, self.colour, self.picture, self.shadow]

    @property
    def inputs(self) -> list[Any]:
        return [*self.settings, self.product]

    def asked(self, data: Values) -> dict[str, Any]:
        """The request's fields."""
        chosen = data[self.ground]
        return {
            "cut_out_background": inputs.colour_of(data[self.colour]) if chosen == "colour" else chosen,
            "ground": inputs.uploaded(data[self.picture], "picture") if chosen == GROUND_PICTURE else None,
            "shadow": data[self.shadow],
            "product": inputs.uploaded(data[self.product], "product"),
        }

    def put(self, request: EnhanceRequest) -> list[Any]:
        """Values for `settings`; a picture has to be added by the person."""
        ground = request.cut_out_background
        chosen = ground if ground in _GROUNDS else "colour"
        colour = gr.update(visible=chosen == "colour") | ({"value": ground} if chosen == "colour" else {})
        return [chosen, colour, gr.update(visible=chosen == GROUND_PICTURE), request.shadow]


def cut(studio: Studio, photo: gr.Image, steps: Chain) -> Cut:
    """Lay out the choice; the product's mask is drawn beforehand. What is chosen or drawn switches the step on."""
    grounds = [(said(f"cut_out_background.{ground}"), ground) for ground in _GROUNDS]
    ground = gr.Radio(
        grounds,
        value=controls.default(EnhanceRequest, "cut_out_background"),
        label=said("cut_out_background"),
        elem_id="enhance-ground",
    )
    colour = gr.ColorPicker(_COLOUR, label=said("background_colour"), visible=False, elem_id="enhance-ground-colour")
    picture = inputs.photo_input(studio, "ground", height=140, elem_id="enhance-ground-picture")
    picture.visible = False
    shadow = controls.slider(EnhanceRequest, "shadow", step=0.05)
    product = inputs.photo_input(studio, "product_cut", height=140, elem_id="enhance-product").unrender()
    brush = brush_mask.editor(
        studio,
        "enhance-product",
        studio.find_product,
        photo,
        product,
        on_drawn=lambda data: steps.switched_on("product", data),
    )
    product.render()
    ground.change(
        lambda chosen: [gr.update(visible=chosen == kind) for kind in ("colour", GROUND_PICTURE)],
        ground,
        [colour, picture],
        **QUICK,
    )
    steps.switch_on("cut_out_background", ground.input, shadow.release)
    steps.switch_on_where_filled("product", product)
    return Cut(ground, colour, picture, shadow, product, brush)
