"""Writes the record of a run, `MM_HOME/runs/<id>/`: what ran on which item, when, how it ended.

    run.json        the pipeline as a graph, how it was run, when it began and ended, and how
    inputs.json     what it was given: values, and the paths of files
    items.jsonl     a line for each step on each item, written when it ends
    prepared.jsonl  a line for each environment and first load of a step
    receipts/<step>.json     what made the step's results: the receipts' part without the inputs;
                             <step>.<identity>.json where another model made some of them
    <step>-<n>.<input>.txt   a long text that a failed item was given, so that it can be tried alone

A run that was killed has no end in its `run.json`. `run_history` reads all this.
Everything is its owner's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orchestrator.pipelines.run_events import ItemDone, ItemFailed, Preparation, Span
from orchestrator.pipelines.step_values import Value, Values
from orchestrator.system.files import append, open_file, open_private
from orchestrator.system.home import (
    json_line,
    make_private,
    write_atomically,
    write_json,
)

VERSION = 2
"""The version of these files; what an older one lacks is left out where it is shown."""

RUNS_KEPT = 50
"""Records of older runs are removed when a new one begins."""

DONE, KEPT, FAILED = "done", "kept", "failed"


class RunRecord:
    """Writes the record of one run.

    Args:
        runs: Where records are.
        graph: The pipeline, as `Graph.document` returns it.
        inputs: What it was given.
        options: How it is run: plain data.
    """

    def __init__(
        self,
        runs: Path,
        graph: Mapping[str, Any],
        inputs: Mapping[str, Values],
        options: Mapping[str, Any],
    ) -> None:
        make_private(runs)
        _prune(runs)
        now = datetime.now(tz=timezone.utc)
        self.id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.path = runs / self.id
        self.path.mkdir(mode=0o700)
        self._items = open_private(self.path / "items.jsonl")
        fcntl.flock(self._items, fcntl.LOCK_EX)  # for `_prune`, while the run is under way
        self._prepared = open_private(self.path / "prepared.jsonl")
        (self.path / "receipts").mkdir(mode=0o700)
        self._facts: dict[str, Any] = {
            "version": VERSION,
            "pipeline": graph["name"],
            "graph": dict(graph),
            "options": dict(options),
            "began": _round(time.time()),
        }
        write_json(self.path / "run.json", self._facts, mode=0o600)
        shown = {
            name: [_shown(each) for each in values] if isinstance(values, tuple) else _shown(values)
            for name, values in inputs.items()
        }
        write_atomically(self.path / "inputs.json", json_line(shown), mode=0o600)
        self._receipts: set[tuple[str, str]] = set()
        self._by_language = {each["id"] for each in graph["steps"] if each["candidates"]}

    def done(self, event: ItemDone) -> None:
        """Write that a step has a result."""
        step, result = event.step, event.result
        identity, producer = result.recipe.identity, result.recipe.producer
        if (step, identity) not in self._receipts:
            first = all(name != step for name, _ in self._receipts)
            self._receipts.add((step, identity))
            name = f"{step}.json" if first else f"{step}.{identity[:12]}.json"
            made = {"identity": identity, "produced_by": dict(producer)}
            write_json(self.path / "receipts" / name, made, mode=0o600)
        model = producer.get("model", "")
        self._write(
            event.span,
            step=step,
            index=event.index,
            label=event.label,
            status=KEPT if result.reused else DONE,
            key=result.key,
            inputs=dict(result.recipe.inputs),
            timings={name: round(seconds, 6) for name, seconds in result.timings.items()},
            **({"model": model} if model and step in self._by_language else {}),
            **({"warnings": list(result.warnings)} if result.warnings else {}),
        )

    def failed(self, event: ItemFailed, command: str) -> None:
        """Write that a step failed on an item, and the command that repeats it alone."""
        failure = event.failure
        self._write(
            event.span,
            step=failure.step,
            index=failure.index,
            label=failure.label,
            status=FAILED,
            error=str(failure.error),
            detail=failure.error.detail,
            command=command,
        )

    def prepared(self, event: Preparation) -> None:
        """Write how long an environment or a first load has taken; from any thread."""
        line = event._asdict() | {"began": _round(event.began), "seconds": _round(event.seconds)}
        append(self._prepared, json_line(line) + b"\n")

    def spill(self, name: str, text: str) -> Path:
        """Write a text that is too long for a command line, and return its path."""
        path = self.path / name
        write_atomically(path, text.encode("utf-8"), mode=0o600)
        return path

    def close(self, outcome: str, counts: Mapping[str, Any]) -> None:
        """Write how the run ended."""
        self.release()
        facts = {**self._facts, "ended": time.time(), "outcome": outcome, "counts": dict(counts)}
        write_json(self.path / "run.json", facts, mode=0o600)

    def release(self) -> None:
        """Close its files, without an end."""
        self._items.close()
        self._prepared.close()

    def _write(self, span: Span, **facts: Any) -> None:
        began = _round(span.began)
        times = {
            "ready": _round(span.ready),
            "began": began,
            # Of what is written, so that two spans of a lane that follow each other do not overlap.
            "seconds": _round(max(0.0, _round(span.ended) - began)),
            "lane": span.lane,
        }
        append(self._items, json_line({**facts, **times}) + b"\n")


def _round(seconds: float) -> float:
    """Round to whole microseconds, the unit of a trace."""
    return round(seconds, 6)


def _shown(value: Value) -> dict[str, Any]:
    """Return an input for the record; files are named and not read."""
    shown: dict[str, Any] = {"type": value.type}
    if value.label:
        shown["label"] = value.label
    if value.file is not None:
        return {**shown, "path": str(value.file)}
    return {**shown, "data": None if value.type == "array" else value.data}


def _prune(runs: Path) -> None:
    """Remove the oldest records, but for those of runs that are under way."""
    older = sorted(path for path in runs.glob("*-*-*") if path.is_dir())
    for path in older[: 1 - RUNS_KEPT]:
        with contextlib.suppress(OSError):  # locked, not begun yet, gone, or another user's
            with open_file(path / "items.jsonl") as items:
                fcntl.flock(items, fcntl.LOCK_SH | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
