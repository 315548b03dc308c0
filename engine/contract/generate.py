"""What may be asked of Generate."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from engine.contract.errors import RequestError
from engine.contract.fields import SEED_MAX, Request, choice, colour_field, file, name, number, numbers
from engine.models.imagenet import PRODUCTS

CATEGORIES = ("shoe", "sandal", "heel", "handbag", "wallet", "watch", "sunglasses", "belt", "tie", "t-shirt")
MORE_NETWORK = "var-d16"  # a network from the Hub that has learned other categories
ANY_CATEGORY = "any"  # of a sketch of any product, and of a network that was trained without categories
MORE_CATEGORIES = tuple(name for name in PRODUCTS if name not in CATEGORIES)  # that only it has learned
PICTURES_MOST = 36  # in one request
DIRECTION_MOST = 3.0  # how far along one of a network's directions, either way
DIRECTIONS_MOST = 64


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
    _: KW_ONLY
    category: str = choice(
        "shoe",
        CATEGORIES,
        f"what kind of product; any, of a sketch or by a network without categories; {MORE_NETWORK} knows more",
        more=(ANY_CATEGORY, *MORE_CATEGORIES),
    )
    count: int = number(9, 1, PICTURES_MOST, f"1 to {PICTURES_MOST} pictures")
    seed: int = number(0, 0, SEED_MAX, "the same seed and settings give the same pictures")
    truncation: float = number(0.7, 0.0, 1.0, "0 gives the most typical product, 1 the full variety")
    scale: int = choice(4, (1, 2, 4), "how many times larger than the network's own size")
    network: str = name("auto", "auto, embedded, hub, or names from the table of weights separated by commas")
    colour: str = colour_field("", "the product's colour as #rrggbb; as it comes where none is given", empty=True)
    background: str = colour_field(
        "white", "white, transparent, or a colour as #rrggbb", options=("white", "transparent")
    )
    order: str = choice(
        "drawn", ("drawn", "best"), "as they are drawn, or first what looks whole and is surely of its category"
    )
    like: int = number(0, 0, PICTURES_MOST, "the number of a picture of this seed to be varied; 0: new pictures")
    distance: float = number(0.3, 0.0, 1.0, "how far variations go; 0 changes nothing, 1 is another product")
    walk_to: int = number(
        0,
        0,
        PICTURES_MOST,
        "the number of a picture of this seed to walk to, from the one of like or from the photo; 0: no walk",
    )
    directions: tuple[float, ...] = numbers(
        f"how far to go along each of the network's directions, {-DIRECTION_MOST:g} to {DIRECTION_MOST:g}, in order",
        -DIRECTION_MOST,
        DIRECTION_MOST,
    )
    photo: str | None = file("a picture file of a product, to be drawn again and varied")
    sketch: str | None = file("a picture file, dark lines on white, that becomes a product")
    lines: str = choice(
        "drawn", ("drawn", "photo"), "whether the sketch is a drawing, or a photo whose edges are taken"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.directions) > DIRECTIONS_MOST:
            raise RequestError(f"At most {DIRECTIONS_MOST} directions can be given, not {len(self.directions)}.")
        if self.photo and self.sketch:
            raise RequestError("Give a photo or a sketch, not both.")
        if self.photo and self.like:
            raise RequestError("With a photo it is the photo that is varied; leave like at 0.")
        self._check_walk()

    @property
    def is_ranked(self) -> bool:
        """Whether the best come first; a walk stays in its own order, and one picture has none."""
        return self.order == "best" and not self.walk_to and self.count > 1

    def _check_walk(self) -> None:
        if not self.walk_to:
            return
        if not self.like and not self.photo:
            raise RequestError("A walk starts from a picture: give its number as like.")
        if self.like == self.walk_to:
            raise RequestError("A walk leads from one picture to another; choose two different ones.")
        if self.count < 2:
            raise RequestError("A walk has at least 2 pictures.")


def categories_of(network: str) -> tuple[str, ...]:
    """The categories of a network that generates, by its name, before it is loaded."""
    return tuple(PRODUCTS) if network == MORE_NETWORK else CATEGORIES
