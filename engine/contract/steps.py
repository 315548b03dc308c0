"""What a step of Enhance declares of itself, and which steps there are.

A step is one file in engine/enhance/steps, which holds one `Step` or several. All that is to know of the step stands
there: the chain runs by it, a request is checked by it, and the page, the web API, the command line and the tables of
docs/ read it. This registry is filled when `engine` is imported, so a request can be checked without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.contract.fields import Setting


@dataclass(frozen=True)
class Option:
    """A setting that a step brings along, beside those that every request of Enhance has."""

    setting: Setting
    default: Any


@dataclass(frozen=True)
class Step:
    """A step of a chain. What is called with a request takes an EnhanceRequest, or what has its values.

    order: its place among the steps where they are listed, such as in a menu; that of a good chain.
    doing: what it does, in words, for the line that shows progress.
    run: (picture, network or None, StepContext) -> a generator of (done, total) that returns the picture.
    task: of the networks that answer it, where that is not its name. crisp_task: of the network of its crisp variant.
    method: the name of a method that never has a network.
    instead: the method used where there is no network, and what it did, in words; "" where there is none.
    given: what the request brings along in place of a network, such as a mask; "" where it does not.
    advice: the end of the sentence for a request that cannot be met without a network; "" where it can.
    scale, sized: what it makes of a width and a height: `scale` times as much, or what `sized` says.
    lacks: the sentence for a request without what the step needs, such as a mask; "" where nothing is missing.
    fills: whether it fills the request's mask.
    whole_photo: the sentence for a request that asks it of a part, where it can only be made of the whole photo.
    is_last: the sentence for a chain that goes on after it, where nothing may.
    is_slow: it takes a minute or more, so that it is not tried on a part.
    uses_light: it needs the light of the whole photo, as the steps before it have made it.
    changes_background: it replaces what surrounds the product, so that the light has to be measured anew.
    settings: what the page shows while the step is chosen. options: those that only this step knows.
    """

    name: str
    order: int
    doing: str
    run: Callable[..., Any]
    task: str = ""
    crisp_task: str = ""
    method: str = ""
    instead: tuple[str, str] = ("", "")
    given: Callable[[Any], str] = lambda request: ""
    advice: Callable[[Any], str] = lambda request: ""
    scale: int = 1
    sized: Callable[[int, int, Any], tuple[int, int]] | None = None
    lacks: Callable[[Any], str] = lambda request: ""
    fills: Callable[[Any], bool] = lambda request: False
    whole_photo: str = ""
    is_last: str = ""
    is_slow: bool = False
    uses_light: bool = False
    changes_background: bool = False
    settings: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict, hash=False)

    @property
    def network_task(self) -> str:
        """The task of the networks that answer it."""
        return self.task or self.name

    def size_of(self, width: int, height: int, request: Any) -> tuple[int, int]:
        """Width and height of what it makes of a picture of this size."""
        return self.sized(width, height, request) if self.sized else (self.scale * width, self.scale * height)


class Steps(Mapping[str, Step]):
    """The steps by their names, in their order."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def declare(self, step: Step) -> None:
        """Make a step known. ValueError when the name, or one of its options, is another step's."""
        taken = {option for other in self._steps.values() for option in other.options}
        if self._steps.get(step.name, step) is not step or (step.name not in self._steps and taken & set(step.options)):
            raise ValueError(f"There is a step {step.name} already, or one of its options is another step's.")
        self._steps[step.name] = step
        self._steps = dict(sorted(self._steps.items(), key=lambda item: item[1].order))

    def options(self) -> dict[str, Option]:
        """The settings that steps bring along, by name."""
        return {key: option for step in self._steps.values() for key, option in step.options.items()}

    def with_setting(self, setting: str) -> tuple[str, ...]:
        """The steps that have a setting, in their order. KeyError where none has."""
        found = tuple(step.name for step in self._steps.values() if setting in (*step.settings, *step.options))
        if not found:
            raise KeyError(setting)
        return found

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


STEPS = Steps()
