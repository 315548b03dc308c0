"""From a recipe back to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from engine.contract.enhance import EnhanceRequest
from engine.contract.errors import RequestError
from engine.contract.fields import RECIPE_VERSION, shown
from engine.contract.generate import GenerateRequest
from engine.contract.recolour import RecolourRequest
from engine.contract.style import StyleRequest

Requests: TypeAlias = StyleRequest | EnhanceRequest | GenerateRequest | RecolourRequest
REQUESTS: dict[str, type[Requests]] = {
    kind.verb: kind for kind in (StyleRequest, EnhanceRequest, GenerateRequest, RecolourRequest)
}


def from_recipe(recipe: Mapping[str, Any], **files: str) -> Requests:
    """The request a recipe describes, with the files it does not carry (`photo=`, `style=`, `mask=`, `protect=`,
    `sketch=`, ...).

    A value in `files` takes the place of the recipe's. RequestError when the recipe is of another kind, of a newer
    version, or has settings this version does not know.
    """
    verb = recipe.get("verb") if isinstance(recipe, Mapping) else None
    if not isinstance(verb, str) or verb not in REQUESTS:
        raise RequestError("This is not a Vitrine recipe.")
    if recipe.get("vitrine") != RECIPE_VERSION:
        raise RequestError(
            f"This recipe is of version {shown(recipe.get('vitrine'))}, and this Vitrine reads version"
            f" {RECIPE_VERSION}."
        )
    kind = REQUESTS[verb]
    known = kind.settings()
    carried = {k: v for k, v in recipe.items() if k not in ("vitrine", "verb")}
    # A recipe may come from a stranger: it must not name files of this machine.
    if unknown := sorted(map(str, set(carried) - (set(known) - set(kind.files())))):
        raise RequestError(
            f"This recipe has settings that this Vitrine does not know: {', '.join(map(shown, unknown[:3]))}."
        )
    if useless := sorted(set(files) - set(known)):
        raise RequestError(f"A recipe for {verb} takes no {' and no '.join(useless)}.")
    for key, setting in known.items():
        if setting.kind == "style" and key not in files and set("./\\") & set(str(carried.get(key, ""))):
            raise RequestError("A recipe names a preset as its style; give the style picture beside it.")
    settings = carried | files
    if missing := [key for key, setting in known.items() if setting.required and key not in settings]:
        raise RequestError(f"This recipe also needs: {', '.join(missing)}.")
    return kind.of(settings)
