"""What may be asked of Enhance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from engine.contract.errors import RequestError
from engine.contract.fields import (
    Request,
    Setting,
    checked,
    choice,
    colour_field,
    file,
    name,
    number,
    numbers,
    shown,
)
from engine.contract.marketplaces import marketplaces
from engine.contract.steps import STEPS

AUTO = "auto"  # alone in a chain: the steps that the photo needs
# How far each amount of light and colour may go, either way.
ADJUSTMENTS = {
    "exposure": 4.0,
    "temperature": 1.0,
    "tint": 0.6,
    "shadows": 1.0,
    "contrast": 0.6,
    "saturation": 1.0,
}
PRIOR_TASKS = ("denoise", "fill", "enlarge")
GROUND_PICTURE = "picture"  # what cut-out lays the product on: the picture of the field `ground`


@dataclass(frozen=True)
class EnhanceRequest(Request):
    """Clean, light, cut out and enlarge a photo by a chain of steps.

    steps: names from STEPS, in order, each at most once. strength: how much of `restore` is applied. mask: a
    picture file for `inpaint`, white where the photo is to be filled. network: "auto", "embedded", "hub", or names
    from the table of weights separated by commas, each used for the step it serves; fallback: what is used where such
    a one cannot be had. noise: the level beyond which `restore` takes nothing off, if it is known. crispness: from
    the faithful enlargement to the crisp one. adjust: the amounts of `tone` in the order of ADJUSTMENTS; what the
    network proposes for this photo where none are given. cut_out_background, shadow: what `cut-out` lays the product
    on; ground: the picture file for the background "picture", which fills the frame. product: a picture file for
    `cut-out`, white where the product is; found where none is given. prior_task: what `prior` does, fill with the mask.
    marketplace: whose rules `listing` follows. reference: a picture file of how the result should look, which it is
    measured against. The one step "auto" stands for the chain that the photo is found to need, which may be none.
    crop: the part of the photo that is worked on, to see what a chain does: its light and its product are still
    measured on the whole photo. options: the settings that single steps bring along, by name.
    """

    verb: ClassVar[str] = "enhance"

    photo: str = file("a picture file", required=True)
    _: KW_ONLY
    steps: tuple[str, ...] = name(
        ("restore", "upscale-x4"), f"in this order, separated by commas; or {AUTO} alone", known=lambda: STEPS
    )
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    network: str = name("auto", "auto, embedded, hub, or names from the table of weights separated by commas")
    mask: str | None = file("a picture file for inpaint, white where the photo is to be filled")
    adjust: tuple[float, ...] = numbers(
        f"amounts of {', '.join(ADJUSTMENTS)} for tone; what the network proposes where none are given",
        -max(ADJUSTMENTS.values()),
        max(ADJUSTMENTS.values()),
    )
    cut_out_background: str = colour_field(
        "white",
        "what cut-out lays the product on: transparent, white, a colour as #rrggbb, or picture",
        options=("white", "transparent", GROUND_PICTURE),
    )
    shadow: float = number(0.0, 0.0, 1.0, "how dark a soft shadow cut-out lays under the product; 0: none")
    prior_task: str = choice("denoise", PRIOR_TASKS, "what prior does: take noise off, fill the mask, or enlarge x2")
    marketplace: str = name("general", "the marketplace whose rules listing follows", known=marketplaces)
    product: str | None = file("a picture file for cut-out, white where the product is")
    reference: str | None = file("a picture file of how the result should look; it is measured against it")
    crop: tuple[int, ...] = numbers(
        "left, top, width, height in pixels of the part that is worked on; all of the photo where none is given",
        0,
        10**6,
        whole=True,
    )
    ground: str | None = file("a picture file that cut-out lays the product on, for the background picture")
    crispness: float = number(
        0.0, 0.0, 1.0, "how the photo is enlarged: 0 is faithful to it, 1 is crisp and invents fine detail"
    )
    noise: float = number(
        0.0,
        0.0,
        75.0,
        "no more noise than this is taken off, as a standard deviation in levels of 255; 0: all that is found",
    )
    fallback: str = choice(
        "embedded",
        ("embedded", "none"),
        "what is used where a network asked for by name cannot be had: the embedded one, or none",
    )
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if isinstance(self.adjust, list | tuple) and self.adjust:
            self._check_adjust()
        super().__post_init__()
        self._check_steps()
        self._check_crop()
        self._check_options()
        for step in self._declared():
            if sentence := step.lacks(self):
                raise RequestError(sentence)

    @classmethod
    def settings(cls) -> Mapping[str, Setting]:
        """All that may be asked, by name, in order; those of single steps last."""
        return {**super().settings(), **{key: option.setting for key, option in STEPS.options().items()}}

    @classmethod
    def defaults(cls) -> Mapping[str, Any]:
        """What each setting is unless given."""
        return {**super().defaults(), **{key: option.default for key, option in STEPS.options().items()}}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> EnhanceRequest:
        """The request with these settings, those of single steps among them."""
        of_steps = {key: given[key] for key in STEPS.options() if key in given}
        others = {key: value for key, value in given.items() if key not in of_steps}
        return super().of({**others, "options": {**others.get("options", {}), **of_steps}})

    def values(self) -> dict[str, Any]:
        """Every setting's value, those of single steps among them."""
        return {**super().values(), **self.options}

    @property
    def is_auto(self) -> bool:
        """Whether the steps are chosen by what is measured on the photo."""
        return self.steps == (AUTO,)

    def _declared(self) -> list[Any]:
        return [] if self.is_auto else [STEPS[step] for step in self.steps]

    def _check_steps(self) -> None:
        if not self.steps:
            raise RequestError(f"Choose at least one step: {', '.join(STEPS)}.")
        for step in self.steps:
            if step not in STEPS and not self.is_auto:
                if step == AUTO:
                    raise RequestError("Auto chooses the steps itself, so it stands alone in a chain.")
                raise RequestError(f"There is no step {shown(step)}; the steps are {', '.join(STEPS)}.")
        if len(set(self.steps)) < len(self.steps):
            raise RequestError("Each step can be used once in a chain.")
        for step in self._declared()[:-1]:
            if step.is_last:
                raise RequestError(step.is_last)

    def _check_adjust(self) -> None:
        if len(self.adjust) != len(ADJUSTMENTS):
            raise RequestError(
                f"Adjust takes {len(ADJUSTMENTS)} amounts ({', '.join(ADJUSTMENTS)}), not {len(self.adjust)}."
            )
        for (key, most), amount in zip(ADJUSTMENTS.items(), self.adjust, strict=True):
            checked(key, amount, Setting("number", "", low=-most, high=most))

    def _check_crop(self) -> None:
        if not self.crop:
            return
        if len(self.crop) != 4 or 0 in self.crop[2:]:
            raise RequestError(
                f"A crop is four whole numbers, left, top, width and height, not {', '.join(map(str, self.crop))}."
            )
        for step in self._declared():
            if step.whole_photo:
                raise RequestError(step.whole_photo)

    def _check_options(self) -> None:
        """Complete and in order, so that two requests that mean the same are equal."""
        known = STEPS.options()
        if unknown := sorted(set(self.options) - set(known)):
            raise RequestError(f"No step has a setting {shown(unknown[0])}.")
        values = {
            key: checked(key, self.options.get(key, option.default), option.setting) for key, option in known.items()
        }
        object.__setattr__(self, "options", values)
