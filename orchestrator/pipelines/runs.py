"""Records of runs under `MM_HOME/runs/<id>/`: what ran on which item, when, and how it ended.

    run.json      the pipeline, when it began and ended, and how
    items.jsonl   a line for each step on each item, written when it ends
    <step>-<n>.<input>.txt   a long text that a failed item was given, so that it can be tried alone

A run that was killed has no end in its `run.json`.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.home import read_json, write_json

if TYPE_CHECKING:
    from orchestrator.pipelines.scheduler import Failure
    from orchestrator.pipelines.work import Done

RUNS_KEPT = 50
"""Records of older runs are removed when a new one begins."""

DONE, KEPT, FAILED = "done", "kept", "failed"


@dataclass(frozen=True)
class Entry:
    """A step on an item, in the record of a run.

    Attributes:
        step: Its id.
        index: The item, counted from 0; None where the step ran once.
        label: What people call the item.
        status: "done", "kept" (its result was there before) or "failed".
        key: What its result is kept under; empty where it failed.
        began: Seconds of the clock on the wall.
        seconds: How long it took, waiting for a worker included.
        timings: Seconds by part, where a model ran.
        error: Why it failed.
    """

    step: str
    index: int | None
    label: str
    status: str
    key: str
    began: float
    seconds: float
    timings: Mapping[str, float]
    error: str = ""


class RunRecord:
    """Writes the record of one run."""

    def __init__(self, runs: Path, pipeline: str, models: Mapping[str, str]) -> None:
        runs.mkdir(parents=True, exist_ok=True)
        _prune(runs)
        now = datetime.now(tz=timezone.utc)
        self.id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.path = runs / self.id
        self.path.mkdir()
        self._facts: dict[str, Any] = {
            "version": 1,
            "pipeline": pipeline,
            "models": dict(models),
            "began": time.time(),
        }
        write_json(self.path / "run.json", self._facts)
        self._items = (self.path / "items.jsonl").open("a", encoding="utf-8", buffering=1)

    def done(self, step: str, index: int | None, label: str, done: Done, began: float) -> None:
        """Write that a step has a result."""
        status = KEPT if done.reused else DONE
        self._write(Entry(step, index, label, status, done.key, began, _since(began), done.timings))

    def failed(self, failure: Failure, began: float) -> None:
        """Write that a step failed on an item."""
        self._write(
            Entry(
                failure.step, failure.index, failure.label, FAILED, "", began, _since(began), {},
                str(failure.error),
            )
        )  # fmt: skip

    def spill(self, name: str, text: str) -> Path:
        """Write a text that is too long for a command line, and return its path."""
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return path

    def close(self, outcome: str, counts: Mapping[str, Any]) -> None:
        """Write how the run ended."""
        self._items.close()
        facts = {**self._facts, "ended": time.time(), "outcome": outcome, "counts": dict(counts)}
        write_json(self.path / "run.json", facts)

    def _write(self, entry: Entry) -> None:
        shown = {
            "step": entry.step,
            "index": entry.index,
            "label": entry.label,
            "status": entry.status,
            "key": entry.key,
            "began": round(entry.began, 4),
            "seconds": round(entry.seconds, 4),
            "timings": {name: round(seconds, 4) for name, seconds in entry.timings.items()},
            "error": entry.error,
        }
        self._items.write(json.dumps(shown, ensure_ascii=False) + "\n")


def entries(run: Path) -> Iterator[Entry]:
    """Yield what a run has recorded; a line that was cut off by a kill is passed over."""
    try:
        stream = (run / "items.jsonl").open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with stream:
        yield from filter(None, map(_entry, stream))


def _entry(line: str) -> Entry | None:
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None


def runs_of(runs: Path, pipeline: str) -> Iterator[Path]:
    """Yield the runs of a pipeline, the latest first."""
    for path in sorted(runs.glob("*-*-*"), reverse=True):
        found = read_json(path / "run.json")
        if isinstance(found, dict) and found.get("pipeline") == pipeline:
            yield path


def last_keys(runs: Path, pipeline: str) -> dict[tuple[str, str | int], str]:
    """Return the latest key of each step on each item of a pipeline, from the records of runs.

    Items are known by their labels, or by their numbers where they have none.
    """
    keys: dict[tuple[str, str | int], str] = {}
    for run in runs_of(runs, pipeline):
        for entry in entries(run):
            if entry.key:
                keys.setdefault((entry.step, entry.label or entry.index or 0), entry.key)
    return keys


def _since(began: float) -> float:
    return max(0.0, time.time() - began)


def _prune(runs: Path) -> None:
    older = sorted(path for path in runs.glob("*-*-*") if path.is_dir())
    for path in older[: 1 - RUNS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
