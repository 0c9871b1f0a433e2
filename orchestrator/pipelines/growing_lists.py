"""The lists that a step takes while they grow, and the one end that tells what it is kept under."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.pipelines.result_store import StoredResult
from orchestrator.pipelines.step_values import Value


class Flow(NamedTuple):
    """How the items of lists come to one step and go from it, one by one.

    Attributes:
        emit: Takes an item of an output.
        permit: Called before the step runs and before each such item is made; it waits until the
            step may go on, or raises to end it.
        take: Waits for the next item of an input that grows and returns it, None at the end of the
            list; or raises to end the step.
    """

    emit: Callable[[str, Value], None]
    permit: Callable[[], None]
    take: Callable[[str], Value | None]


class KeptResult(Exception):  # goes through the step, which is to stop; it is no failure
    """The result of a step that has begun is kept from before."""

    def __init__(self, result: StoredResult, recipe: Recipe) -> None:
        super().__init__()
        self.result = result
        self.recipe = recipe


class GrowingLists:
    """The inputs of one step that grow, as iterators over what it is given for each item.

    Args:
        names: The inputs.
        take: As `Flow.take`.
        gaps: Whether None stands for an item that was passed over; else it is left out.
        on_end: Called once, when all lists have ended and before the step learns of it.
    """

    def __init__(
        self,
        names: Collection[str],
        take: Callable[[str], Value | None],
        on_end: Callable[[], None],
        *,
        gaps: bool,
    ) -> None:
        self._left = set(names)
        self._take = take
        self._gaps = gaps
        self._on_end = on_end
        self.iterators = {name: self._items(name) for name in names}

    def exhaust(self) -> None:
        """Take what the step has left: all items count for what it is kept under."""
        for items in self.iterators.values():
            for _ in items:
                pass

    def _items(self, name: str) -> Iterator[Any]:
        while (value := self._take(name)) is not None:
            if self._gaps or not value.absent:
                yield value.for_step()
        self._left.remove(name)
        if not self._left:
            self._on_end()
