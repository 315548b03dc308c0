"""A recipe in an address of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def link_to(recipe: Mapping[str, Any]) -> str:
    """An address of this page that carries the recipe."""
    return "?recipe=" + quote(json.dumps(recipe, separators=(",", ":")))
