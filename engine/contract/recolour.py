"""What may be asked of Colours."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from engine.contract.errors import RequestError
from engine.contract.fields import Request, colour_field, file, name, need_colour, number, shown

COLOURS_MOST = 12  # in one request


@dataclass(frozen=True)
class RecolourRequest(Request):
    """The product in other colours, as many pictures as colours.

    photo: a picture file. colours: 1 to 12 as #rrggbb. source: the product's colour to be replaced, as #rrggbb, or
    several separated by commas; its main colour where none is given. mask: a picture file, white where the product is;
    found where none is given.
    """

    verb: ClassVar[str] = "recolour"
    many: ClassVar[bool] = True

    photo: str = file("a picture file", required=True)
    _: KW_ONLY
    colours: tuple[str, ...] = colour_field(("#1f3a5f", "#8c1c13", "#2f5d50", "#e0a526"), "1 to 12 colours as #rrggbb")
    source: str = name(
        "",
        "the product's colour to be replaced, as #rrggbb, or several separated by commas; its main colour where none is"
        " given",
        empty=True,
    )
    strength: float = number(1.0, 0.0, 1.0, "0 gives the photo, 1 the full effect")
    size_px: int = number(0, 0, 8192, "longer side of the result, in pixels; 0 keeps the photo's own")
    mask: str | None = file("a picture file, white where the product is")

    def __post_init__(self) -> None:
        if not isinstance(self.source, str):
            raise RequestError(f"The colour to be replaced must be a text, not {shown(self.source)}.")
        super().__post_init__()
        if not 1 <= len(self.colours) <= COLOURS_MOST:
            raise RequestError(f"Give 1 to {COLOURS_MOST} colours, not {len(self.colours)}.")
        for source in self.sources:
            need_colour(source)

    @property
    def sources(self) -> tuple[str, ...]:
        """The colours to be replaced; none for the product's main colour."""
        return tuple(colour.strip() for colour in self.source.split(",")) if self.source else ()
