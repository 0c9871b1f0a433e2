"""What a run made, item by item: the steps that ran over one list belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.pipelines.runs import FAILED
from orchestrator.pipelines.values import Value

if TYPE_CHECKING:
    from orchestrator.pipelines.history import Entry, Run
    from orchestrator.pipelines.store import Kept, ResultStore


@dataclass(frozen=True)
class Made:
    """What one step made of an item.

    Attributes:
        entry: What is recorded of it.
        kept: Its result, where it is kept still.
    """

    entry: Entry
    kept: Kept | None

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.entry.status == FAILED


@dataclass
class Item:
    """An item of a list, or of no list where the steps run once.

    Attributes:
        number: Counted from 1; 0 for what belongs to no list.
        given: What the steps began with, where that is known.
        made: What each step made of it, in the order of the pipeline.
    """

    number: int
    given: Value | None = None
    made: list[Made] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What people call it."""
        return next((each.entry.label for each in self.made if each.entry.label), "")

    @property
    def failed(self) -> bool:
        """Whether a step failed on it."""
        return any(each.failed for each in self.made)


@dataclass
class Group:
    """The items of one list.

    Attributes:
        source: What the list is called: `inputs.files`, `steps.pages`; empty for no list.
        steps: The steps that ran over it.
        items: By number.
    """

    source: str
    steps: list[str]
    items: dict[int, Item] = field(default_factory=dict)


class Album:
    """The items of a run with their results.

    Args:
        run: The run.
        store: Where results are, as far as they are kept still.
    """

    def __init__(self, run: Run, store: ResultStore) -> None:
        self._run = run
        self._store = store
        self._inputs = run.inputs
        found = run.facts.get("graph")
        self._steps: list[Mapping[str, Any]] = found["steps"] if isinstance(found, dict) else []
        self._lists: dict[tuple[str, str], tuple[Value, ...]] = {}

    def groups(self, entries: Sequence[Entry]) -> list[Group]:
        """Return the items, by list, with what is recorded of them; results are not yet read."""
        origins = self._origins()
        groups: dict[str, Group] = {}
        for step, origin in origins.items():
            groups.setdefault(origin, Group(origin, [])).steps.append(step)
        order = {step["id"]: number for number, step in enumerate(self._steps)}
        known = [entry for entry in entries if entry.step in origins]
        for entry in sorted(known, key=lambda each: (each.index or 0, order[each.step])):
            number = 0 if entry.index is None else entry.index + 1
            group = groups[origins[entry.step]]
            item = group.items.setdefault(number, Item(number))
            item.made.append(Made(entry, None))
        return [group for group in groups.values() if group.items]

    def filled(self, group: Group, item: Item) -> Item:
        """Return an item with its results, and with what it began with."""
        made = [Made(each.entry, self._find(each.entry)) for each in item.made]
        return Item(item.number, self._given(group, item.number), made)

    def output(self, entries: Sequence[Entry], step: str, name: str) -> Value | int | None:
        """Return the output of a step that ran once: a value, or how many values a list has."""
        entry = next((each for each in entries if each.step == step and each.index is None), None)
        kept = self._find(entry) if entry is not None else None
        value = kept.outputs.get(name) if kept is not None else None
        return len(value) if isinstance(value, tuple) else value

    def _find(self, entry: Entry) -> Kept | None:
        return self._store.find(entry.key) if entry.key else None

    def _origins(self) -> dict[str, str]:
        """Return by step the list that it ran over in the end; empty for one that ran once."""
        origins: dict[str, str] = {}
        for step in self._steps:  # each stands after those that it follows
            source = step["foreach"] or ""
            before = origins.get(source.removeprefix("steps."), "")
            inherited = before if source.startswith("steps.") else ""
            origins[step["id"]] = inherited or (f"{source}.{step['list']}" if source else "")
        return origins

    def _given(self, group: Group, number: int) -> Value | None:
        """Return what the first step over the list began with."""
        words = group.source.split(".")
        if not group.source or number == 0:
            return None
        if words[0] == "inputs":
            listed = self._inputs.get(words[1])
            found = listed[number - 1 : number] if isinstance(listed, list) else []
            return _value(found[0]) if found else None
        return self._listed(words[1], words[2], number)

    def _listed(self, step: str, output: str, number: int) -> Value | None:
        if (step, output) not in self._lists:
            entry = next((each for each in self._run.entries() if each.step == step), None)
            kept = self._find(entry) if entry is not None else None
            values = kept.outputs.get(output) if kept is not None else None
            self._lists[step, output] = values if isinstance(values, tuple) else ()
        values = self._lists[step, output]
        return values[number - 1] if number <= len(values) else None


def _value(found: Any) -> Value | None:
    if not isinstance(found, dict) or "type" not in found:
        return None
    path = found.get("path")
    file = Path(path) if isinstance(path, str) else None
    return Value(str(found["type"]), found.get("data"), file, str(found.get("label", "")))


def inputs_of(run: Run) -> Iterator[tuple[str, Value | int]]:
    """Yield the pipeline's inputs: a value, or how many values a list has."""
    for name, found in run.inputs.items():
        if isinstance(found, list):
            yield name, len(found)
        elif (value := _value(found)) is not None:
            yield name, value
