"""What a caller may ask, what it hears while it waits, what it gets: the same for page, API, command line and batch.

    errors.py         the two errors that reach a person, each one sentence
    fields.py         what a field of a request is: its kind, bounds and words, said once
    style.py          StyleRequest      enhance.py   EnhanceRequest
    generate.py       GenerateRequest   recolour.py  RecolourRequest
    goals.py          what people come for, as chains of steps
    steps.py          what a step of Enhance declares, and which steps there are
    marketplaces.py   what the marketplaces ask of a listing picture
    events.py         Progress, Result and its Notes; the Answer to a question
    recipe.py         from a recipe back to a request

Everything here is frozen, picklable and free of torch; a request checks itself when it is built.
"""

from engine.contract.enhance import (
    ADJUSTMENTS,
    AUTO,
    GROUND_PICTURE,
    PRIOR_TASKS,
    EnhanceRequest,
)
from engine.contract.errors import EngineFailure, RequestError
from engine.contract.events import Answer, Event, EventStream, Notes, Picture, Progress, Question, Result
from engine.contract.fields import RECIPE_VERSION, SEED_MAX, Kind, Request, Setting
from engine.contract.generate import (
    ANY_CATEGORY,
    CATEGORIES,
    DIRECTION_MOST,
    DIRECTIONS_MOST,
    MORE_CATEGORIES,
    MORE_NETWORK,
    PICTURES_MOST,
    GenerateRequest,
    categories_of,
)
from engine.contract.goals import ENLARGE, GOALS, OWN, goal_of
from engine.contract.marketplaces import KINDS, Marketplace, asked_by, marketplace, marketplaces
from engine.contract.recipe import REQUESTS, Requests, from_recipe
from engine.contract.recolour import COLOURS_MOST, RecolourRequest
from engine.contract.steps import STEPS, Step
from engine.contract.style import (
    COLOURS,
    GATYS_MOST_PX,
    JOHNSON,
    METHODS,
    OPTIMIZERS,
    STYLE_LEAST_PX,
    STYLE_LOSSES,
    STYLES_MOST,
    StyleRequest,
)

__all__ = [
    "ADJUSTMENTS",
    "ANY_CATEGORY",
    "AUTO",
    "CATEGORIES",
    "COLOURS",
    "COLOURS_MOST",
    "DIRECTIONS_MOST",
    "DIRECTION_MOST",
    "ENLARGE",
    "GATYS_MOST_PX",
    "GOALS",
    "GROUND_PICTURE",
    "JOHNSON",
    "KINDS",
    "METHODS",
    "MORE_CATEGORIES",
    "MORE_NETWORK",
    "OPTIMIZERS",
    "OWN",
    "PICTURES_MOST",
    "PRIOR_TASKS",
    "RECIPE_VERSION",
    "REQUESTS",
    "SEED_MAX",
    "STEPS",
    "STYLES_MOST",
    "STYLE_LEAST_PX",
    "STYLE_LOSSES",
    "Answer",
    "EngineFailure",
    "EnhanceRequest",
    "Event",
    "EventStream",
    "GenerateRequest",
    "Kind",
    "Marketplace",
    "Notes",
    "Picture",
    "Progress",
    "Question",
    "RecolourRequest",
    "Request",
    "RequestError",
    "Requests",
    "Result",
    "Setting",
    "Step",
    "StyleRequest",
    "asked_by",
    "categories_of",
    "from_recipe",
    "goal_of",
    "marketplace",
    "marketplaces",
]
