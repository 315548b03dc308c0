"""What may be asked of Style."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from engine.contract.errors import RequestError
from engine.contract.fields import SEED_MAX, Request, choice, file, name, number, numbers, style_field

STYLES_MOST = 4
STYLE_LEAST_PX = 64
GATYS_MOST_PX = 2048
METHODS = ("fast", "gatys", "johnson", "reinhard", "monge-kantorovich", "sliced-transport")
JOHNSON = ("mosaic", "candy", "udnie", "pointilism")  # styles that have a network of their own on the Hub
STYLE_LOSSES = ("bures", "gram", "histogram")
OPTIMIZERS = ("adam", "lbfgs")
COLOURS = ("style", "photo", "matched")


@dataclass(frozen=True)
class StyleRequest(Request):
    """Repaint a photo in the manner of a style picture.

    photo: a picture file. style, more_styles: each a preset's name or a picture file; several are mixed by
    style_weights. method: "fast" paints in one pass; "gatys" optimises; "johnson" has a network per style on the Hub;
    the others move colours and nothing else. mask: a picture file, white where the product is; found automatically
    where it is needed and not given. protect: a picture file, white where the photo stays as it is, pixel for pixel.
    network: "auto" takes the strongest that this machine runs well, "embedded" stays offline, or a name from the
    table of weights.
    """

    verb: ClassVar[str] = "stylize"

    photo: str = file("a picture file", required=True)
    _: KW_ONLY
    style: str = style_field(
        "great-wave", f"a preset's name or a picture file; with the method johnson one of {', '.join(JOHNSON)}"
    )
    more_styles: tuple[str, ...] = style_field((), f"up to {STYLES_MOST - 1} more, mixed in")
    style_weights: tuple[float, ...] = numbers("of style and more_styles, in their order; equal unless given", 0, 100)
    method: str = choice("fast", METHODS, "how the style is transferred")
    size_px: int = number(
        0,
        0,
        8192,
        "longer side of the result, in pixels; 0: the photo's own, up to 1024 (gatys 512; colours only: any)",
    )
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    brush: float = number(1.0, 0.5, 4.0, "size of the strokes")
    strokes: float = number(
        0.5,
        0.0,
        1.0,
        "how many strokes are laid on even surfaces; 1 is nearest to the style, less keeps a product photo tidy (fast)",
    )
    colours: str = choice(
        "style",
        COLOURS,
        "the style's colours; only its strokes, in the photo's colours; or the style moved to the photo's colours"
        " first",
    )
    apply_to: str = choice(
        "everything", ("everything", "product", "background"), "which part of the photo is repainted"
    )
    feather_px: float = number(
        0.0,
        0.0,
        100.0,
        "width in pixels of a soft edge between what is repainted and what is not; 0: the product's own edge",
    )
    mask: str | None = file("a picture file, white where the product is")
    protect: str | None = file("a picture file, white where the photo stays as it is")
    start: str = choice(
        "photo",
        ("photo", "fast"),
        "what gatys begins with: the photo, or what the method fast makes of it, with fewer steps to go",
    )
    steps: int = number(80, 1, 1000, "optimisation steps at each of the scales (gatys)")
    style_loss: str = choice(
        "bures",
        STYLE_LOSSES,
        "how gatys compares styles: as Gaussians, by Gram matrices, or by these and histograms",
    )
    optimizer: str = choice(
        "adam", OPTIMIZERS, "how gatys optimises: Adam, or L-BFGS, whose steps take longer and go further"
    )
    content_weight: float = number(1.0, 0.0, 100.0, "how much of the photo's shapes is kept (gatys)")
    style_weight: float = number(1.0, 0.0, 100.0, "how much of the style is taken (gatys)")
    seed: int = number(0, 0, SEED_MAX, "the same seed and settings give the same picture")
    network: str = name("auto", "auto, embedded, or a name from the table of weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.more_styles) >= STYLES_MOST:
            raise RequestError(f"At most {STYLES_MOST} styles can be mixed, not {len(self.more_styles) + 1}.")
        if self.style_weights and len(self.style_weights) != len(self.styles):
            raise RequestError(f"There are {len(self.style_weights)} style weights for {len(self.styles)} styles.")
        if self.style_weights and not sum(self.style_weights):
            raise RequestError("At least one style needs a weight above 0.")
        if 0 < self.size_px < STYLE_LEAST_PX:
            raise RequestError(f"Size must be 0 or at least {STYLE_LEAST_PX}, not {self.size_px}.")
        if self.method == "gatys" and self.size_px > GATYS_MOST_PX:
            raise RequestError(
                f"The method gatys paints up to {GATYS_MOST_PX} pixels; choose a smaller size, or the method fast."
            )
        if self.content_weight == 0 and self.style_weight == 0:
            raise RequestError("Content weight and style weight cannot both be 0.")

    @property
    def styles(self) -> tuple[str, ...]:
        """All styles, the first one first."""
        return (self.style, *self.more_styles)

    @property
    def shares(self) -> tuple[float, ...]:
        """The styles' weights, together 1."""
        weights = self.style_weights or (1.0,) * len(self.styles)
        return tuple(weight / sum(weights) for weight in weights)
