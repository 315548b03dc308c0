"""What a field of a request is: declared once, and everything else is derived from that.

The web API takes its types from here, the command line its flags, the page its sliders and choices, and a recipe
what it carries and what has to be given beside it. A request checks its fields by it when it is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from engine.contract.errors import RequestError

RECIPE_VERSION = 1
SEED_MAX = 2**31 - 1

# file: a picture file. style: a preset's name or a picture file. name: a text that is checked where it is used.
Kind: TypeAlias = Literal["file", "style", "colour", "choice", "number", "name"]
RequestT = TypeVar("RequestT", bound="Request")

_NAME_MOST = 200  # letters of a name, or of several with commas between them
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Setting:
    """What a field is. many: a list of such values. low, high: the least and the most of a number. whole: of integers.

    options: the values of a choice, or words that a colour may also be. more: further values that a choice may have,
    which are too many to list. known: gives the names that a name may be; called late, as that may read a file.
    required: the field has no default. empty: the text may be left out.
    """

    kind: Kind
    about: str
    many: bool = False
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    options: tuple[Any, ...] = ()
    more: tuple[Any, ...] = ()
    known: Callable[[], Iterable[str]] | None = None
    required: bool = False
    empty: bool = False

    @property
    def choices(self) -> tuple[Any, ...]:
        """All values that a choice may have."""
        return (*self.options, *self.more)


def number(default: float, low: float, high: float, about: str) -> Any:
    """A number between `low` and `high`; a whole one where the default is."""
    return _field(Setting("number", about, low=low, high=high, whole=isinstance(default, int)), default)


def numbers(about: str, low: float, high: float, *, whole: bool = False) -> Any:
    """A list of numbers, each between `low` and `high`; empty unless given."""
    return _field(Setting("number", about, many=True, low=low, high=high, whole=whole), ())


def choice(default: Any, options: tuple[Any, ...], about: str, *, more: tuple[Any, ...] = ()) -> Any:
    """One of `options`, or of `more`."""
    return _field(Setting("choice", about, options=options, more=more), default)


def file(about: str, *, required: bool = False) -> Any:
    """A picture file."""
    return _field(Setting("file", about, required=required), MISSING if required else None)


def style_field(default: Any, about: str) -> Any:
    """A preset's name or a picture file; a list of them where the default is one."""
    return _field(Setting("style", about, many=isinstance(default, tuple)), default)


def colour_field(default: Any, about: str, *, options: tuple[str, ...] = (), empty: bool = False) -> Any:
    """A colour as #rrggbb or one of the words in `options`; a list of colours where the default is one."""
    return _field(Setting("colour", about, many=isinstance(default, tuple), options=options, empty=empty), default)


def name(default: Any, about: str, *, known: Callable[[], Iterable[str]] | None = None, empty: bool = False) -> Any:
    """A text, one of `known` where that is given; a list of texts where the default is one."""
    return _field(Setting("name", about, many=isinstance(default, tuple), known=known, empty=empty), default)


def _field(setting: Setting, default: Any) -> Any:
    return field(default=default, metadata={"setting": setting})


@dataclass(frozen=True)
class Request:
    """What all requests share: checking, and turning into a recipe and back."""

    verb: ClassVar[str]
    many: ClassVar[bool] = False  # whether the result is several pictures

    def __post_init__(self) -> None:
        settings = _own(type(self)).items()
        for key, setting in sorted(settings, key=lambda item: item[1].kind not in ("number", "choice")):
            object.__setattr__(self, key, checked(key, getattr(self, key), setting))

    @classmethod
    def settings(cls) -> Mapping[str, Setting]:
        """All that may be asked, by name, in order."""
        return _own(cls)

    @classmethod
    def defaults(cls) -> Mapping[str, Any]:
        """What each setting is unless given; what is required has none."""
        return {f.name: f.default for f in fields(cls) if _is_setting(f) and f.default is not MISSING}

    @classmethod
    def of(cls: type[RequestT], given: Mapping[str, Any]) -> RequestT:
        """The request with these settings. RequestError when one that is required is missing, or a value cannot be."""
        required = {key: "" for key, setting in cls.settings().items() if setting.required and key not in given}
        return cls(**{**required, **given})

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The settings that are files. A recipe does not carry them."""
        return tuple(key for key, setting in cls.settings().items() if setting.kind == "file")

    def values(self) -> dict[str, Any]:
        """Every setting's value."""
        return {key: getattr(self, key) for key in _own(type(self))}

    def recipe(self) -> dict[str, Any]:
        """Everything but the files, as JSON-ready values; `from_recipe` reads it back."""
        kept = {key: value for key, value in self.values().items() if key not in self.files()}
        listed = {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
        return {"vitrine": RECIPE_VERSION, "verb": self.verb} | listed


def _is_setting(f: Field[Any]) -> bool:
    return "setting" in f.metadata


def _own(cls: type[Request]) -> dict[str, Setting]:
    return {f.name: f.metadata["setting"] for f in fields(cls) if _is_setting(f)}


def checked(key: str, value: Any, setting: Setting) -> Any:
    """The value as the setting wants it: lists as tuples, numbers as int or float. RequestError in one sentence."""
    if setting.many:
        return _checked_list(key, value, setting)
    if setting.kind == "number":
        return _checked_number(key, value, setting)
    if setting.kind == "choice":
        return _checked_choice(key, value, setting)
    if setting.kind == "file":
        return _checked_file(key, value, setting)
    if setting.kind == "colour":
        return _checked_colour(key, value, setting)
    if setting.kind == "style":
        return _checked_style(value)
    return _checked_name(key, value, setting)


def _checked_list(key: str, values: Any, setting: Setting) -> tuple[Any, ...]:
    of = "numbers" if setting.kind == "number" else "names"
    if not isinstance(values, list | tuple):
        raise RequestError(f"{spoken(key)} must be a list of {of}, not {shown(values)}.")
    if setting.kind == "number":
        return tuple(_checked_number(key, value, setting) for value in values)
    if not all(value and isinstance(value, str) for value in values):
        raise RequestError(f"{spoken(key)} must be a list of {of}, not {shown(values)}.")
    for value in values if setting.kind == "colour" else ():
        need_colour(value)
    return tuple(values)


def _checked_number(key: str, value: Any, setting: Setting) -> float | int:
    kind = "a whole number" if setting.whole else "a number"
    wanted = f"{spoken(key)} must be {kind} from {setting.low} to {setting.high}"
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == math.inf:
        raise RequestError(f"{wanted}, not {shown(value)}.")
    if not setting.low <= value <= setting.high or (setting.whole and value != int(value)):
        raise RequestError(f"{wanted}, not {shown(value)}.")
    return int(value) if setting.whole else float(value)


def _checked_choice(key: str, value: Any, setting: Setting) -> Any:
    """The option itself: 2.0 is equal to 2, and would be written otherwise where it names a network."""
    known = setting.choices
    if isinstance(value, bool) or value not in known:
        raise RequestError(f"{spoken(key)} must be one of {', '.join(map(str, setting.options))}, not {shown(value)}.")
    return known[known.index(value)]


def _checked_file(key: str, value: Any, setting: Setting) -> str | None:
    if setting.required and (not value or not isinstance(value, str)):
        raise RequestError(f"Add a {key} first.")
    if value is not None and (not value or not isinstance(value, str)):
        raise RequestError(f"{spoken(key)} must be a picture file.")
    return value


def _checked_colour(key: str, value: Any, setting: Setting) -> str:
    if value in setting.options or (setting.empty and value == "") or is_colour(value):
        return str(value)
    if not setting.options:
        need_colour(value)
    raise RequestError(
        f"{spoken(key)} must be {', '.join(setting.options)} or a colour as #rrggbb, not {shown(value)}."
    )


def _checked_style(value: Any) -> str:
    if not value or not isinstance(value, str):
        raise RequestError("Choose a style preset or give a style picture.")
    return value


def _checked_name(key: str, value: Any, setting: Setting) -> str:
    if setting.empty and value == "":
        return ""
    if not value or not isinstance(value, str) or len(value) > _NAME_MOST:
        raise RequestError(f"{spoken(key)} must be a name, not {shown(value)}.")
    return value


def is_colour(value: Any) -> bool:
    """Whether it is written as #rrggbb."""
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def rgb_of(colour: str) -> tuple[float, float, float]:
    """#rrggbb as red, green and blue in [0, 1]."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue


def hex_of(rgb: Iterable[float]) -> str:
    """Red, green and blue in [0, 1] as #rrggbb."""
    return "#" + "".join(f"{round(255 * float(level)):02x}" for level in rgb)


def need_colour(value: Any) -> None:
    """RequestError for what is no #rrggbb."""
    if not is_colour(value):
        raise RequestError(f"A colour is written as #rrggbb, not as {shown(value)}.")


def spoken(key: str) -> str:
    """A setting's name in a sentence: size_px is "Size"."""
    return key.removesuffix("_px").replace("_", " ").capitalize()


def shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
