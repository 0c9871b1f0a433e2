"""What happens in a run: events for its observer.

All but `Preparation`, and the `StepProgress` of a step that runs once, come from the coordinator's
thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.errors import MMError


class Span(NamedTuple):
    """When and where a step ran on an item; times are in seconds of `time.time()`.

    Attributes:
        ready: When all that the item needs was there.
        began: When a thread took it up.
        ended: When it was done with it.
        lane: Which of the step's threads that was, counted from 0; each has a worker at a time.
    """

    ready: float
    began: float
    ended: float
    lane: int


class StepResult(NamedTuple):
    """How a step on one item ended well.

    Attributes:
        key: What its result is kept under.
        timings: Seconds by part of this run, in the order in which the parts came: "build"
            (until the environment was there), "take" (the inputs read and hashed, a kept result
            looked for), "ready" (until the model was loaded), "wait" (for a free worker), "load"
            (of a further worker), "run", "keep" (the result written).
        recipe: What decides the result.
        warnings: Why the result may not be what was asked for.
        reused: Whether the result was there before.
    """

    key: str
    timings: Mapping[str, float]
    recipe: Recipe
    warnings: tuple[str, ...] = ()
    reused: bool = False


@dataclass(frozen=True)
class StepFailure:
    """A step that failed on an item.

    Attributes:
        step: Its id.
        index: The item, counted from 0; None where the step runs once.
        label: What people call the item.
        error: Why.
    """

    step: str
    index: int | None
    label: str
    error: MMError


class ItemBegan(NamedTuple):
    """A step takes up an item."""

    step: str
    item: int


@dataclass(frozen=True)
class ItemDone:
    """A step has a result for an item; the first three are as in `StepFailure`."""

    step: str
    index: int | None
    label: str
    result: StepResult
    span: Span


class ItemFailed(NamedTuple):
    """A step failed on an item."""

    failure: StepFailure
    span: Span


class StepProgress(NamedTuple):
    """How many items of a step are finished, of how many as far as is known.

    Of a step that runs once: of which it says so itself.
    """

    step: str
    finished: int
    total: int | None


class Preparation(NamedTuple):
    """An environment made ready, or the first load of a step's model.

    Attributes:
        step: Its id.
        part: "environment" or "load".
        began: Seconds of `time.time()`.
        seconds: How long it took.
    """

    step: str
    part: str
    began: float
    seconds: float


RunEvent = ItemBegan | ItemDone | ItemFailed | StepProgress | Preparation


def ignore_event(event: RunEvent) -> None:
    """Do nothing with an event of a run."""
