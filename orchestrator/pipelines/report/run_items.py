"""What a run made, item by item: the steps that ran over one list belong together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import FILE_TYPES, option_name
from orchestrator.pipelines.result_store import ResultStore, StoredResult
from orchestrator.pipelines.run_history import Entry, Run
from orchestrator.pipelines.run_record import FAILED
from orchestrator.pipelines.step_values import Value, Values

QUALITY = "quality"
"""The output by which a model says how far its result can be trusted."""


@dataclass
class ListItem:
    """An item of a list, or of no list where the steps run once.

    Attributes:
        number: Counted from 1; 0 for what belongs to no list.
        entries: What is recorded of it, in the order of the pipeline.
        again: The command by which another model makes anew what a model itself calls doubtful.
        passages: What is spoken of a page, each with its group.
    """

    number: int
    entries: list[Entry] = field(default_factory=list)
    again: str = ""
    passages: list[tuple[ItemGroup, ListItem]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What people call it."""
        return next((each.label for each in self.entries if each.label), "")

    @property
    def failed(self) -> bool:
        """Whether a step failed on it."""
        return any(each.status == FAILED for each in self.entries)


@dataclass
class ItemGroup:
    """The items of one list.

    Attributes:
        source: The list: `inputs.NAME.NAME` or `steps.ID.OUTPUT`; empty for no list.
        items: By number.
    """

    source: str
    items: dict[int, ListItem] = field(default_factory=dict)


class RunItems:
    """The items of a run with their results.

    Args:
        run: The run.
        entries: What is recorded of it.
        store: Where results are, as far as they are kept still.
    """

    def __init__(self, run: Run, entries: Sequence[Entry], store: ResultStore) -> None:
        self.inputs = _inputs_of(run)
        self._entries = entries
        self._store = store
        self._steps = run.steps
        self._once: dict[str, StoredResult | None] = {}

    def groups(self) -> list[ItemGroup]:
        """Return the items, by list, with what is recorded of them; results are not yet read."""
        sources = self._sources()
        groups = {source: ItemGroup(source) for source in sources.values()}
        order = list(sources)
        known = [entry for entry in self._entries if entry.step in sources]
        for entry in sorted(known, key=lambda each: (each.index or 0, order.index(each.step))):
            number = 0 if entry.index is None else entry.index + 1
            items = groups[sources[entry.step]].items
            items.setdefault(number, ListItem(number)).entries.append(entry)
        return [group for group in groups.values() if group.items]

    def kept(self, entry: Entry) -> StoredResult | None:
        """Return the result of a step, where it is kept still."""
        return self._store.find(entry.key) if entry.key else None

    def output(self, step: str, name: str) -> Values | None:
        """Return the output of a step that ran once, where it is kept still."""
        if step not in self._once:
            its = (each for each in self._entries if each.step == step and each.index is None)
            entry = next(its, None)
            self._once[step] = self.kept(entry) if entry is not None else None
        kept = self._once[step]
        return kept.outputs.get(name) if kept is not None else None

    def given(self, group: ItemGroup, item: ListItem) -> Value | None:
        """Return the item of the list: what the first step over it began with."""
        if not group.source:
            return None
        root, step, name = group.source.split(".")
        values = self.inputs.get(name) if root == "inputs" else self.output(step, name)
        if isinstance(values, tuple) and 0 < item.number <= len(values):
            return values[item.number - 1]
        return None

    def again(self, group: ItemGroup, item: ListItem) -> str:
        """Return the command for an item whose result says `quality.doubtful`; else nothing."""
        for step in self._steps:
            entry = next((each for each in item.entries if each.step == step["id"]), None)
            if entry is None or QUALITY not in step.get("outputs", {}):
                continue
            kept, given = self.kept(entry), self.given(group, item)
            quality = kept.outputs.get(QUALITY) if kept is not None else None
            if isinstance(quality, Value) and isinstance(quality.data, dict):
                file = given.file if given is not None else None
                inputs = (name for name, kind in step["inputs"].items() if kind in FILE_TYPES)
                if quality.data.get("doubtful") and file is not None and (name := next(inputs, "")):
                    words = ["mm", "run", step["run"], "--model", "MODEL"]
                    return shlex.join([*words, f"--{option_name(name)}", str(file)])
        return ""

    def _sources(self) -> dict[str, str]:
        """Return by step the list that it ran over in the end; empty for one that ran once."""
        sources: dict[str, str] = {}
        for step in self._steps:  # each stands after those that it follows
            source = step["foreach"] or ""
            before = sources.get(source.removeprefix("steps."), "")
            inherited = before if source.startswith("steps.") else ""
            sources[step["id"]] = inherited or (f"{source}.{step['list']}" if source else "")
        return sources


def _inputs_of(run: Run) -> dict[str, Values]:
    """Return the inputs of the pipeline; what is damaged is left out."""
    found = {
        name: tuple(filter(None, map(_value, each))) if isinstance(each, list) else _value(each)
        for name, each in run.inputs.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _value(found: Any) -> Value | None:
    if not isinstance(found, dict) or "type" not in found:
        return None
    path = found.get("path")
    file = Path(path) if isinstance(path, str) else None
    return Value(str(found["type"]), found.get("data"), file, str(found.get("label", "")))
