"""What the marketplaces ask of a listing picture, from `marketplaces.json`.

Each has its rule in words and the day it was written down: rules change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.contract.errors import RequestError

KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WebP"}  # of file that Vitrine writes, by their suffixes
_FILE = Path(__file__).with_name("marketplaces.json")


@dataclass(frozen=True)
class Marketplace:
    """What a listing picture must be. rule: in words; written: when they were written down, as YYYY-MM-DD.

    fill: the share of the frame that the product takes, by the side that comes closer to the frame. formats: the kinds
    of file that it takes, of those that Vitrine writes, by their suffixes without the dot; the first is the one to
    choose.
    """

    name: str
    title: str
    rule: str
    written: str
    width_px: int
    height_px: int
    fill: float
    most_mb: float
    formats: tuple[str, ...]

    @property
    def most_bytes(self) -> int:
        """Of the file."""
        return int(self.most_mb * 1e6)

    def refusal(self, suffix: str) -> str:
        """Why it would not take a file with that suffix, in a sentence without its end; nothing where it takes it."""
        named = [KINDS[format] for format in self.formats]
        return "" if suffix in self.formats else f"{self.title.split(',')[0]} takes {' and '.join(named)} files only"


@lru_cache(maxsize=1)
def marketplaces() -> Mapping[str, Marketplace]:
    """All presets by their names."""
    written = json.loads(_FILE.read_text(encoding="utf-8"))
    return {
        name: Marketplace(name, **settings | {"formats": tuple(settings["formats"])})
        for name, settings in written.items()
    }


def marketplace(name: str) -> Marketplace:
    """The preset of that name; RequestError when there is none."""
    known = marketplaces()
    if name not in known:
        raise RequestError(f"There is no marketplace {name!r}; there is {', '.join(known)}.")
    return known[name]


def asked_by(recipe: Mapping[str, Any]) -> Marketplace | None:
    """The marketplace that the picture of a recipe is for; None where it is no listing picture."""
    is_listing = recipe.get("verb") == "enhance" and "listing" in recipe["steps"]
    return marketplace(recipe["marketplace"]) if is_listing else None
