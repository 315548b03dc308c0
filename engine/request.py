"""The contract: what a caller may ask, what it hears while it waits, what it gets.

The page, the web API and the command line all build these dataclasses and consume the same events, so a
recipe means the same everywhere. Everything here is frozen, picklable and free of torch; a request checks itself
when it is built and raises `RequestError` with one sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from engine.models.imagenet import PRODUCTS

if TYPE_CHECKING:
    from engine.image import Picture

RECIPE_VERSION = 1
SEED_MAX = 2**31 - 1
CATEGORIES = ("shoe", "sandal", "heel", "handbag", "wallet", "watch", "sunglasses", "belt", "tie", "t-shirt")
MORE_NETWORK = "var-d16"  # a network from the Hub that has learned other categories
ANY_CATEGORY = "any"  # of a sketch of which nothing is said, and of a network that was trained without categories
MORE_CATEGORIES = tuple(name for name in PRODUCTS if name not in CATEGORIES)  # that only it has learned
STYLES_MOST = 4
STYLE_LEAST_PX = 64
GATYS_MOST_PX = 2048
METHODS = ("fast", "gatys", "johnson", "reinhard", "monge-kantorovich", "sliced-transport")
JOHNSON = ("mosaic", "candy", "udnie", "pointilism")  # styles that have a network of their own on the Hub
STYLE_LOSSES = ("bures", "gram", "histogram")
OPTIMIZERS = ("adam", "lbfgs")
COLOURS_MOST = 12  # in one request to recolour
PICTURES_MOST = 36  # in one request to generate
DIRECTION_MOST = 3.0  # how far along one of a network's directions, either way
DIRECTIONS_MOST = 64
COLOURS = ("style", "photo", "matched")
STEPS = ("restore", "deblur", "tone", "inpaint", "prior", "cut-out", "upscale-x2", "upscale-x3", "upscale-x4", "listing")
AUTO = "auto"  # alone in a chain: the steps that the photo needs
ADJUSTMENTS = {"exposure": 4.0, "temperature": 1.0, "tint": 0.6, "shadows": 1.0, "contrast": 0.6, "saturation": 1.0}  # how far each may go, either way
PRIOR_TASKS = ("denoise", "fill", "enlarge")
GROUND_PICTURE = "picture"  # what cut-out lays the product on: the picture of the field `ground`

_NAME_MOST = 200  # letters of names of networks, with commas between them
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class RequestError(ValueError):
    """Something the caller can mend; the message is one clear sentence for a person."""


class EngineFailure(RuntimeError):
    """Something that nobody asked for: the log has its traceback, and the message is one sentence for a person."""


def number(default: float, low: float, high: float, about: str) -> Any:
    """A field that is a number between `low` and `high`; the page and the command line read the bounds from here."""
    return field(default=default, metadata={"low": low, "high": high, "about": about})


def choice(default: str, options: tuple[str, ...], about: str) -> Any:
    """A field that is one of `options`."""
    return field(default=default, metadata={"options": options, "about": about})


def text(about: str, **default: Any) -> Any:
    """A field that is a name or a file."""
    return field(**default, metadata={"about": about})


@dataclass(frozen=True)
class Request:
    """What all requests share: checking, and turning into a recipe and back."""

    verb: ClassVar[str]
    many: ClassVar[bool] = False  # whether the result is several pictures
    files: ClassVar[tuple[str, ...]] = ()  # fields that name files: a recipe does not carry them

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if "low" in f.metadata:
                object.__setattr__(self, f.name, _checked_number(f.name, value, f.metadata, whole=isinstance(f.default, int)))
            elif "options" in f.metadata:
                object.__setattr__(self, f.name, _checked_option(f.name, value, f.metadata["options"], f.metadata.get("more", ())))

    def recipe(self) -> dict[str, Any]:
        """Everything but the files, as JSON-ready values; `from_recipe` reads it back."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.files}
        return {"vitrine": RECIPE_VERSION, "verb": self.verb} | {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


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
    files: ClassVar[tuple[str, ...]] = ("photo", "mask", "protect")

    photo: str = text("a picture file")
    style: str = text(f"a preset's name or a picture file; with the method johnson one of {', '.join(JOHNSON)}", default="great-wave")
    more_styles: tuple[str, ...] = text(f"up to {STYLES_MOST - 1} more, mixed in", default=())
    style_weights: tuple[float, ...] = text("of style and more_styles, in their order; equal unless given", default=())
    method: str = choice("fast", METHODS, "how the style is transferred")
    size_px: int = number(0, 0, 8192, "longer side of the result, in pixels; 0: the photo's own, up to 1024 (gatys 512; colours only: any)")
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    brush: float = number(1.0, 0.5, 4.0, "size of the strokes")
    strokes: float = number(0.5, 0.0, 1.0, "how many strokes are laid on even ground; 1 is nearest to the style, less keeps a product photo tidy (fast)")
    colours: str = choice("style", COLOURS, "the style's colours; only its strokes, in the photo's colours; or the style moved to the photo's colours first")
    apply_to: str = choice("everything", ("everything", "product", "background"), "which part of the photo is repainted")
    feather_px: float = number(0.0, 0.0, 100.0, "width in pixels of a soft edge between what is repainted and what is not; 0: the product's own edge")
    mask: str | None = text("a picture file, white where the product is", default=None)
    protect: str | None = text("a picture file, white where the photo stays as it is", default=None)
    start: str = choice("photo", ("photo", "fast"), "what gatys begins with: the photo, or what the method fast makes of it, with fewer steps to go")
    steps: int = number(80, 1, 1000, "optimisation steps at each of the scales (gatys)")
    style_loss: str = choice("bures", STYLE_LOSSES, "how gatys compares styles: as Gaussians, by Gram matrices, or by these and histograms")
    optimizer: str = choice("adam", OPTIMIZERS, "how gatys goes downhill: Adam, or L-BFGS, whose steps take longer and go further")
    content_weight: float = number(1.0, 0.0, 100.0, "how much of the photo's shapes is kept (gatys)")
    style_weight: float = number(1.0, 0.0, 100.0, "how much of the style is taken (gatys)")
    seed: int = number(0, 0, SEED_MAX, "the same seed and settings give the same picture")
    network: str = text("auto, embedded, or a name from the table of weights", default="auto")

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_photo(self.photo)
        _need_name("network", self.network)
        if not self.style or not isinstance(self.style, str):
            raise RequestError("Choose a style preset or give a style picture.")
        object.__setattr__(self, "more_styles", _names("More styles", self.more_styles))
        if len(self.more_styles) >= STYLES_MOST:
            raise RequestError(f"At most {STYLES_MOST} styles can be mixed, not {len(self.more_styles) + 1}.")
        object.__setattr__(self, "style_weights", self._checked_weights())
        if 0 < self.size_px < STYLE_LEAST_PX:
            raise RequestError(f"Size must be 0 or at least {STYLE_LEAST_PX}, not {self.size_px}.")
        if self.method == "gatys" and self.size_px > GATYS_MOST_PX:
            raise RequestError(f"The method gatys paints up to {GATYS_MOST_PX} pixels; choose a smaller size, or the method fast.")
        if self.content_weight == 0 and self.style_weight == 0:
            raise RequestError("Content weight and style weight cannot both be 0.")
        for name in ("mask", "protect"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), str):
                raise RequestError(f"{_spoken(name)} must be a picture file.")

    @property
    def styles(self) -> tuple[str, ...]:
        """All styles, the first one first."""
        return (self.style, *self.more_styles)

    @property
    def shares(self) -> tuple[float, ...]:
        """The styles' weights, together 1."""
        weights = self.style_weights or (1.0,) * len(self.styles)
        return tuple(weight / sum(weights) for weight in weights)

    def _checked_weights(self) -> tuple[float, ...]:
        weights = _numbers("style_weights", self.style_weights, 0, 100)
        if weights and len(weights) != len(self.styles):
            raise RequestError(f"There are {len(weights)} style weights for {len(self.styles)} styles.")
        if weights and not sum(weights):
            raise RequestError("At least one style needs a weight above 0.")
        return weights


@dataclass(frozen=True)
class EnhanceRequest(Request):
    """Clean, light, cut out and enlarge a photo by a chain of steps.

    steps: names from STEPS, in order, each at most once. strength: how much of `restore` is applied. mask: a
    picture file for `inpaint`, white where the photo is to be filled. network: "auto", "embedded", "hub", or names
    from the table of weights separated by commas, each used for the step it serves; fallback says what answers where such
    a one cannot be had. noise: the level beyond which `restore`
    takes nothing off, if it is known. crispness: from the faithful enlargement to the crisp one. adjust: the amounts of `tone` in the
    order of ADJUSTMENTS; what the network proposes for this photo where none are given. cut_out_background, shadow: what
    `cut-out` lays the product on; ground: the picture file for the background "picture", which fills the frame. product: a
    picture file for `cut-out`, white where the product is; found where none is given. prior_task: what `prior` does, fill
    with the mask. marketplace: whose rules `listing` follows. reference: a picture file of how the result should look,
    which it is measured against. The one step "auto" stands for the chain that the photo is found to need, which may be
    none. crop: the part of the photo that is worked on, to see what a chain does: what has to be judged by the whole
    photo, its light and its product, is.
    """

    verb: ClassVar[str] = "enhance"
    files: ClassVar[tuple[str, ...]] = ("photo", "mask", "product", "ground", "reference")

    photo: str = text("a picture file")
    steps: tuple[str, ...] = text(f"in this order, separated by commas: {', '.join(STEPS)}; or {AUTO} alone", default=("restore", "upscale-x4"))
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    network: str = text("auto, embedded, hub, or names from the table of weights separated by commas", default="auto")
    mask: str | None = text("a picture file for inpaint, white where the photo is to be filled", default=None)
    adjust: tuple[float, ...] = text(f"amounts of {', '.join(ADJUSTMENTS)} for tone; what the network proposes where none are given", default=())
    cut_out_background: str = text("what cut-out lays the product on: transparent, white, a colour as #rrggbb, or picture", default="white")
    shadow: float = number(0.0, 0.0, 1.0, "how dark a soft shadow cut-out lays under the product; 0: none")
    prior_task: str = choice("denoise", PRIOR_TASKS, "what prior does: take noise off, fill the mask, or enlarge x2")
    marketplace: str = text("the marketplace whose rules listing follows", default="general")
    product: str | None = text("a picture file for cut-out, white where the product is", default=None)
    reference: str | None = text("a picture file of how the result should look; it is measured against it", default=None)
    crop: tuple[int, ...] = text("left, top, width, height in pixels of the part that is worked on; all of the photo where none is given", default=())
    ground: str | None = text("a picture file that cut-out lays the product on, for the background picture", default=None)
    crispness: float = number(0.0, 0.0, 1.0, "how the photo is enlarged: 0 is faithful to it, 1 is crisp and invents fine detail")
    noise: float = number(0.0, 0.0, 75.0, "no more noise than this is taken off, as a standard deviation in levels of 255; 0: all that is found")
    fallback: str = choice("embedded", ("embedded", "none"), "what answers where a network asked for by name cannot be had: the embedded one, or none")

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_photo(self.photo)
        _need_name("network", self.network)
        _need_name("marketplace", self.marketplace)
        self._check_steps()
        object.__setattr__(self, "adjust", self._checked_adjust())
        object.__setattr__(self, "crop", self._checked_crop())
        _need_ground("Cut-out background", self.cut_out_background, GROUND_PICTURE)
        for name in ("mask", "product", "ground", "reference"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), str):
                raise RequestError(f"The {name} must be a picture file.")
        if "inpaint" in self.steps and not self.mask:
            raise RequestError("Inpainting needs a mask that is white where the photo is to be filled.")
        if "prior" in self.steps and self.prior_task == "fill" and not self.mask:
            raise RequestError("Filling needs a mask that is white where the photo is to be filled.")
        if "cut-out" in self.steps and self.cut_out_background == GROUND_PICTURE and not self.ground:
            raise RequestError("Add the picture that the product is to be laid on.")

    def _check_steps(self) -> None:
        if not isinstance(self.steps, list | tuple):
            raise RequestError(f"Steps must be a list of names, not {_shown(self.steps)}.")
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps:
            raise RequestError(f"Choose at least one step: {', '.join(STEPS)}.")
        for step in self.steps:
            if step not in STEPS and self.steps != (AUTO,):
                if step == AUTO:
                    raise RequestError("Auto chooses the steps itself, so it stands alone in a chain.")
                raise RequestError(f"There is no step {_shown(step)}; the steps are {', '.join(STEPS)}.")
        if len(set(self.steps)) < len(self.steps):
            raise RequestError("Each step can be used once in a chain.")
        if "listing" in self.steps[:-1]:
            raise RequestError("Listing crops and sizes the picture for good, so it is the last step of a chain.")

    def _checked_crop(self) -> tuple[int, ...]:
        crop = _numbers("crop", self.crop, 0, 10**6)
        if not crop:
            return ()
        if len(crop) != 4 or any(number != int(number) for number in crop) or 0 in crop[2:]:
            raise RequestError(f"A crop is four whole numbers, left, top, width and height, not {_shown(self.crop)}.")
        if "listing" in self.steps:
            raise RequestError("A listing picture frames the whole photo, so it cannot be made of a part.")
        return tuple(int(number) for number in crop)

    def _checked_adjust(self) -> tuple[float, ...]:
        if not isinstance(self.adjust, list | tuple):
            raise RequestError(f"Adjust must be a list of numbers, not {_shown(self.adjust)}.")
        if self.adjust and len(self.adjust) != len(ADJUSTMENTS):
            raise RequestError(f"Adjust takes {len(ADJUSTMENTS)} amounts ({', '.join(ADJUSTMENTS)}), not {len(self.adjust)}.")
        bounds = ((name, {"low": -most, "high": most}) for name, most in ADJUSTMENTS.items())
        return tuple(float(_checked_number(name, amount, least, whole=False)) for (name, least), amount in zip(bounds, self.adjust, strict=False))


@dataclass(frozen=True)
class GenerateRequest(Request):
    """New product pictures on white.

    Pictures are numbered from 1 as they are drawn; picture i depends on the seed and on i, not on count. like varies
    one of them, and walk_to leads from it to another in `count` frames. photo: a picture file, which a network with an
    encoder draws again (picture 1), varies, and walks from. sketch: a picture file, a drawing on white, or with lines
    "photo" a photo whose edges are taken. category: "any" is for a sketch, and for a network without categories.
    truncation: 0 gives the category's most typical product, 1 the full variety. scale: 1 keeps the network's own size,
    4 enlarges it with `upscale`. network: "auto" takes one that can do what is asked, "embedded" stays offline, or
    names from the table of weights.
    """

    verb: ClassVar[str] = "generate"
    many: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ("photo", "sketch")

    category: str = field(
        default="shoe",
        metadata={
            "options": CATEGORIES,
            "more": (ANY_CATEGORY, *MORE_CATEGORIES),
            "about": f"what kind of product; any, of a sketch or by a network without categories; {MORE_NETWORK} knows more",
        },
    )
    count: int = number(9, 1, PICTURES_MOST, f"1 to {PICTURES_MOST} pictures")
    seed: int = number(0, 0, SEED_MAX, "the same seed and settings give the same pictures")
    truncation: float = number(0.7, 0.0, 1.0, "0 gives the most typical product, 1 the full variety")
    scale: int = field(default=4, metadata={"options": (1, 2, 4), "about": "how many times larger than the network's own size"})
    network: str = text("auto, embedded, hub, or names from the table of weights separated by commas", default="auto")
    colour: str = text("the product's colour as #rrggbb; as it comes where none is given", default="")
    background: str = text("white, transparent, or a colour as #rrggbb", default="white")
    order: str = choice("drawn", ("drawn", "best"), "as they are drawn, or first what looks whole and is surely of its category")
    like: int = number(0, 0, PICTURES_MOST, "the number of a picture of this seed to be varied; 0: new pictures")
    distance: float = number(0.3, 0.0, 1.0, "how far variations go; 0 changes nothing, 1 is another product")
    walk_to: int = number(0, 0, PICTURES_MOST, "the number of a picture of this seed to walk to, from the one of like or from the photo; 0: no walk")
    directions: tuple[float, ...] = text(
        f"how far to go along each of the network's directions, {-DIRECTION_MOST:g} to {DIRECTION_MOST:g}, in their order", default=()
    )
    photo: str | None = text("a picture file of a product, to be drawn again and varied", default=None)
    sketch: str | None = text("a picture file, dark lines on white, that becomes a product", default=None)
    lines: str = choice("drawn", ("drawn", "photo"), "whether the sketch is a drawing, or a photo whose edges are taken")

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_name("network", self.network)
        if self.colour != "":
            _need_colour(self.colour)
        _need_ground("Background", self.background)
        object.__setattr__(self, "directions", _numbers("directions", self.directions, -DIRECTION_MOST, DIRECTION_MOST))
        if len(self.directions) > DIRECTIONS_MOST:
            raise RequestError(f"At most {DIRECTIONS_MOST} directions can be given, not {len(self.directions)}.")
        self._check_files()
        self._check_walk()

    @property
    def is_ranked(self) -> bool:
        """Whether the best come first; a walk stays in its own order, and one picture has none."""
        return self.order == "best" and not self.walk_to and self.count > 1

    def _check_files(self) -> None:
        for name in self.files:
            file = getattr(self, name)
            if file is not None and (not file or not isinstance(file, str)):
                raise RequestError(f"{_spoken(name)} must be a picture file.")
        if self.photo and self.sketch:
            raise RequestError("Give a photo or a sketch, not both.")
        if self.photo and self.like:
            raise RequestError("With a photo it is the photo that is varied; leave like at 0.")

    def _check_walk(self) -> None:
        if not self.walk_to:
            return
        if not self.like and not self.photo:
            raise RequestError("A walk starts from a picture: give its number as like.")
        if self.like == self.walk_to:
            raise RequestError("A walk leads from one picture to another; choose two different ones.")
        if self.count < 2:
            raise RequestError("A walk has at least 2 pictures.")


@dataclass(frozen=True)
class RecolourRequest(Request):
    """The product in other colours, as many pictures as colours.

    photo: a picture file. colours: 1 to 12 as #rrggbb. source: the product's colour to be replaced, as #rrggbb, or several
    separated by commas; its main colour where none is given. mask: a picture file, white where the product is; found
    where none is given.
    """

    verb: ClassVar[str] = "recolour"
    many: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ("photo", "mask")

    photo: str = text("a picture file")
    colours: tuple[str, ...] = text("1 to 12 colours as #rrggbb", default=("#1f3a5f", "#8c1c13", "#2f5d50", "#e0a526"))
    source: str = text("the product's colour to be replaced, as #rrggbb, or several separated by commas; its main colour where none is given", default="")
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    size_px: int = number(0, 0, 8192, "longer side of the result, in pixels; 0 keeps the photo's own")
    mask: str | None = text("a picture file, white where the product is", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _need_photo(self.photo)
        object.__setattr__(self, "colours", _names("Colours", self.colours))
        if not 1 <= len(self.colours) <= COLOURS_MOST:
            raise RequestError(f"Give 1 to {COLOURS_MOST} colours, not {len(self.colours)}.")
        if not isinstance(self.source, str):
            raise RequestError(f"The colour to be replaced must be a text, not {_shown(self.source)}.")
        for colour in (*self.colours, *self.sources):
            _need_colour(colour)
        if self.mask is not None and not isinstance(self.mask, str):
            raise RequestError("The mask must be a picture file.")

    @property
    def sources(self) -> tuple[str, ...]:
        """The colours to be replaced; none for the product's main colour."""
        return tuple(colour.strip() for colour in self.source.split(",")) if self.source else ()


Requests: TypeAlias = StyleRequest | EnhanceRequest | GenerateRequest | RecolourRequest
REQUESTS: dict[str, type[Requests]] = {r.verb: r for r in (StyleRequest, EnhanceRequest, GenerateRequest, RecolourRequest)}


@dataclass(frozen=True)
class Progress:
    """Heard while it works: `done` of `total` (0 when not known), what is happening, and a preview now and then.

    made: the whole picture after a step of a chain that has more of them.
    """

    done: int
    total: int
    message: str
    preview: Picture | None = None
    made: Picture | None = None


@dataclass(frozen=True)
class Notes:
    """What a person may want to know of a result: which networks ran, where, and everything that went otherwise."""

    networks: tuple[str, ...]
    device: str
    fallbacks: tuple[str, ...] = ()  # sentences: what was wanted, why not, what answered instead
    remarks: tuple[str, ...] = ()  # sentences: anything else, such as a photo that was scaled down first
    measures: Mapping[str, float] = field(default_factory=dict)
    fidelity: Mapping[str, float] = field(default_factory=dict)  # against a reference: "PSNR" in dB, "SSIM", "MS-SSIM", "mean ΔE"

    def sentence(self, seconds: float | None) -> str:
        """One line for under the picture. seconds: None where nobody took the time."""
        took = "" if seconds is None else f", {seconds:.1f} s"
        parts = [f"{' + '.join(self.networks) or 'no network'} on {self.device}{took}", *self.fallbacks, *self.remarks]
        parts += self._spoken_measures()
        if self.fidelity:
            parts.append("Against the reference: " + ", ".join(f"{name} {value:.3g}" for name, value in self.fidelity.items()))
        return " · ".join(part.rstrip(".") for part in parts) + "."

    def _spoken_measures(self) -> Iterator[str]:
        """How much was changed, each measure with what it is on either side of the mask behind it: "mean ΔE 12 (product 3, background 20)"."""

        def spoken(name: str, digits: int) -> str:
            apart = [f"{side} {self.measures[f'{name} {side}']:.{digits}f}" for side in ("product", "background") if f"{name} {side}" in self.measures]
            return f"{name.removesuffix(' kept')} {self.measures[name]:.{digits}f}" + (f" ({', '.join(apart)})" if apart else "")

        if "mean ΔE" in self.measures:
            yield f"Changed, where 1 is just visible: {spoken('mean ΔE', 1)}"
        if kept := [spoken(name, 2) for name in ("SSIM", "edges kept") if name in self.measures]:
            yield f"Kept, where 1 is all: {', '.join(kept)}"


@dataclass(frozen=True)
class Result:
    """The last event. pictures: one or more; before: the input at the size of pictures[0], for comparison; at its own
    size where the result of Enhance has more than 24 megapixels."""

    pictures: tuple[Picture, ...]
    recipe: Mapping[str, Any]
    notes: Notes
    seconds: float
    before: Picture | None = None

    def report(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON-ready values: the web API and `--json` answer with it."""
        notes = self.notes
        return {
            "networks": list(notes.networks),
            "device": notes.device,
            "seconds": round(self.seconds, 3),
            "fallbacks": list(notes.fallbacks),
            "remarks": list(notes.remarks),
            "measures": dict(notes.measures),
            "fidelity": dict(notes.fidelity),
            "note": notes.sentence(self.seconds),
            "recipe": dict(self.recipe),
        }


Event: TypeAlias = Progress | Result


def categories_of(network: str) -> tuple[str, ...]:
    """What a network that generates is asked for by name, before it is loaded."""
    return tuple(PRODUCTS) if network == MORE_NETWORK else CATEGORIES


def from_recipe(recipe: Mapping[str, Any], **files: str) -> Requests:
    """The request a recipe describes, with the files it does not carry (`photo=`, `style=`, `mask=`, `protect=`, `sketch=`, ...).

    A value in `files` takes the place of the recipe's. RequestError when the recipe is of another kind, of a newer
    version, or has settings this version does not know.
    """
    verb = recipe.get("verb") if isinstance(recipe, Mapping) else None
    if not isinstance(verb, str) or verb not in REQUESTS:
        raise RequestError("This is not a Vitrine recipe.")
    if recipe.get("vitrine") != RECIPE_VERSION:
        raise RequestError(f"This recipe is of version {_shown(recipe.get('vitrine'))}, and this Vitrine reads version {RECIPE_VERSION}.")
    kind = REQUESTS[verb]
    known = {f.name for f in fields(kind)}
    carried = {k: v for k, v in recipe.items() if k not in ("vitrine", "verb")}
    # A recipe may come from a stranger: it must not name files of this machine.
    if unknown := sorted(map(str, set(carried) - (known - set(kind.files)))):
        raise RequestError(f"This recipe has settings that this Vitrine does not know: {', '.join(map(_shown, unknown[:3]))}.")
    if useless := sorted(set(files) - known):
        raise RequestError(f"A recipe for {verb} takes no {' and no '.join(useless)}.")
    if verb == StyleRequest.verb and any(set("./\\") & set(str(carried.get(name, ""))) for name in ("style", "more_styles") if name not in files):
        raise RequestError("A recipe names a preset as its style; give the style picture beside it.")
    settings = carried | files
    if missing := [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING and f.name not in settings]:
        raise RequestError(f"This recipe also needs: {', '.join(missing)}.")
    return kind(**settings)


def _checked_number(name: str, value: Any, bounds: Mapping[str, Any], *, whole: bool) -> float | int:
    low, high = bounds["low"], bounds["high"]
    wanted = f"{_spoken(name)} must be {'a whole number' if whole else 'a number'} from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise RequestError(f"{wanted}, not {_shown(value)}.")
    if not low <= value <= high or (whole and value != int(value)):
        raise RequestError(f"{wanted}, not {_shown(value)}.")
    return int(value) if whole else float(value)


def _numbers(name: str, values: Any, low: float, high: float) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise RequestError(f"{_spoken(name)} must be a list of numbers, not {_shown(values)}.")
    return tuple(float(_checked_number(name, value, {"low": low, "high": high}, whole=False)) for value in values)


def _checked_option(name: str, value: Any, options: tuple[Any, ...], more: tuple[Any, ...]) -> Any:
    """The option itself: 2.0 is equal to 2, and would be written otherwise where it names a network. `more` are options that are not listed."""
    known = options + more
    if isinstance(value, bool) or value not in known:
        raise RequestError(f"{_spoken(name)} must be one of {', '.join(map(str, options))}, not {_shown(value)}.")
    return known[known.index(value)]


def _names(name: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(value and isinstance(value, str) for value in values):
        raise RequestError(f"{name} must be a list of names, not {_shown(values)}.")
    return tuple(values)


def _is_colour(value: Any) -> bool:
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def _need_colour(value: Any) -> None:
    if not _is_colour(value):
        raise RequestError(f"A colour is written as #rrggbb, not as {_shown(value)}.")


def _need_ground(field_name: str, ground: Any, *more: str) -> None:
    named = ("white", "transparent", *more)
    if ground not in named and not _is_colour(ground):
        raise RequestError(f"{field_name} must be {', '.join(named)} or a colour as #rrggbb, not {_shown(ground)}.")


def _need_photo(photo: Any) -> None:
    if not photo or not isinstance(photo, str):
        raise RequestError("Add a photo first.")


def _need_name(field_name: str, name: Any) -> None:
    if not name or not isinstance(name, str) or len(name) > _NAME_MOST:
        raise RequestError(f"{_spoken(field_name)} must be a name, not {_shown(name)}.")


def _spoken(name: str) -> str:
    return name.removesuffix("_px").replace("_", " ").capitalize()


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
