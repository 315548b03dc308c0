"""The steps of a chain, one file each. A file that declares a `Step`, as STEP or in a tuple STEPS, is all it takes."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from engine.contract.steps import STEPS as KNOWN

for _module in sorted(module.name for module in iter_modules(__path__)):
    _file = import_module(f"{__name__}.{_module}")
    for _step in getattr(_file, "STEPS", (_file.STEP,) if hasattr(_file, "STEP") else ()):
        KNOWN.declare(_step)
