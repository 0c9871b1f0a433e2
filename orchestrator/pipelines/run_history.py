"""Reads the records that `run_record` writes; what is damaged counts as absent."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.core.json_text import parse_json
from orchestrator.errors import UsageError
from orchestrator.pipelines.run_events import Preparation
from orchestrator.system.files import open_file
from orchestrator.system.home import read_json

PATTERN = "*-*-*"
"""What the name of a run's directory looks like."""


@dataclass(frozen=True)
class Entry:
    """A step on an item, in the record of a run.

    Attributes:
        step: Its id.
        index: The item, counted from 0; None where the step ran once.
        label: What people call the item.
        status: "done", "kept" (its result was there before) or "failed".
        began: Seconds of the clock on the wall.
        seconds: How long it took, waiting for a worker included.
        key: What its result is kept under; empty where it failed.
        timings: Seconds by part, in their order (`run_events.StepResult`).
        inputs: What its receipt says of the inputs.
        warnings: Why its result may not be what was asked for.
        error: Why it failed.
        detail: The words of a tool beneath us, such as a runner's traceback.
        command: What repeats alone what failed; empty where nothing does.
        ready: When all that it needs was there; 0 where that was not recorded.
        lane: Which of the step's threads ran it, counted from 0.
        model: What made it, where each item's own text chooses; else empty.
    """

    step: str
    index: int | None
    label: str
    status: str
    began: float
    seconds: float
    key: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    error: str = ""
    detail: str = ""
    command: str = ""
    ready: float = 0.0
    lane: int = 0
    model: str = ""

    @property
    def ended(self) -> float:
        """Seconds of the clock on the wall."""
        return self.began + self.seconds


@dataclass(frozen=True)
class Run:
    """A run that is recorded in the directory `path`.

    Attributes:
        path: Where its record is.
        facts: What its `run.json` says.
    """

    path: Path
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """What people call it."""
        return self.path.name

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return str(self.facts.get("pipeline", ""))

    @property
    def graph(self) -> Mapping[str, Any]:
        """The pipeline, as `Graph.document` has it; empty in a record of an older version."""
        return _mapping(self.facts.get("graph"))

    @property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """The steps, as `Graph.document` has them; empty in a record of an older version."""
        steps: Sequence[Mapping[str, Any]] = self.graph.get("steps", ())
        return steps

    @property
    def began(self) -> float:
        """Seconds of the clock on the wall."""
        return _number(self.facts.get("began"))

    @property
    def ended(self) -> float | None:
        """Seconds of the clock on the wall; None where it runs still, or was killed."""
        found = self.facts.get("ended")
        return _number(found) if found is not None else None

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        return str(self.facts.get("outcome") or "no end recorded: it runs still, or was killed")

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What it was given, by input: an object, or a list of them."""
        return _mapping(read_json(self.path / "inputs.json"))

    def entries(self) -> Iterator[Entry]:
        """Yield what is recorded of items; a line that was cut off by a kill is passed over."""
        return _lines(self.path / "items.jsonl", Entry)

    def preparations(self) -> Iterator[Preparation]:
        """Yield what is recorded of environments and first loads."""
        return _lines(self.path / "prepared.jsonl", Preparation)

    def receipts(self, step: str) -> list[Mapping[str, Any]]:
        """Return all that made results of a step: `identity` and `produced_by` of each."""
        folder = self.path / "receipts"
        files = (folder / f"{step}.json", *sorted(folder.glob(f"{step}.*.json")))
        found = (_mapping(read_json(file)) for file in files)
        return [each for each in found if each.get("identity")]


def runs_in(runs: Path) -> list[Run]:
    """Return all runs that are recorded, the latest first."""
    read = ((path, read_json(path / "run.json")) for path in runs.glob(PATTERN))
    found = [Run(path, facts) for path, facts in read if isinstance(facts, dict)]
    return sorted(found, key=lambda run: run.began, reverse=True)


def find_run(runs: Path, name: str = "") -> Run:
    """Return the run that `name` names.

    Args:
        runs: Where records are.
        name: A run's id, the beginning of one, or a pipeline, which stands for its latest run;
            empty for the latest of all.

    Raises:
        UsageError: When there is none, or more than one begins so.
    """
    found = runs_in(runs)
    fix = "run: mm pipeline runs" if found else "run: mm pipeline run NAME"
    if not name:
        if not found:
            raise UsageError("no run of a pipeline is recorded", fix=fix)
        return found[0]
    exact = [run for run in found if run.id == name] or [
        run for run in found if run.pipeline == name
    ]
    if exact:
        return exact[0]
    begun = [run for run in found if run.id.startswith(name)]
    if len(begun) != 1:
        what = f"{len(begun)} runs begin with {name!r}" if begun else f"there is no run {name!r}"
        raise UsageError(what, fix=fix)
    return begun[0]


def last_keys(runs: Path, pipeline: str) -> dict[tuple[str, str | int], str]:
    """Return the latest key of each step on each item of a pipeline, from the records of runs.

    Items are known by their labels, or by their numbers where they have none.
    """
    keys: dict[tuple[str, str | int], str] = {}
    for run in runs_in(runs):
        for entry in run.entries() if run.pipeline == pipeline else ():
            if entry.key:
                keys.setdefault((entry.step, entry.label or entry.index or 0), entry.key)
    return keys


_Line = TypeVar("_Line", Entry, Preparation)


def _lines(path: Path, kind: type[_Line]) -> Iterator[_Line]:
    try:
        stream = io.TextIOWrapper(open_file(path), encoding="utf-8", errors="replace")
    except OSError:
        return
    with stream:
        yield from filter(None, (_line(line, kind) for line in stream))


def _line(line: str, kind: type[_Line]) -> _Line | None:
    try:
        return kind(**parse_json(line))
    except (ValueError, TypeError):
        return None


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _number(found: Any) -> float:
    return float(found) if isinstance(found, (int, float)) else 0.0
