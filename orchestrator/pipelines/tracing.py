"""A run as a trace for Chrome's and Perfetto's viewers: a row for each worker of each step.

The form is Chrome's Trace Event Format: an object with `traceEvents`, times in microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.home import read_json
from orchestrator.pipelines.runs import KEPT, entries

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = 1


def trace(run: Path) -> dict[str, Any]:
    """Return the trace of the run that is recorded in the directory `run`."""
    facts = read_json(run / "run.json")
    start = float(facts.get("began", 0.0)) if isinstance(facts, dict) else 0.0
    events: list[dict[str, Any]] = []
    rows: dict[tuple[str, int], int] = {}
    busy: dict[str, list[float]] = {}
    for entry in sorted(entries(run), key=lambda each: each.began):
        lanes = busy.setdefault(entry.step, [])
        # The clock is not so fine that an end and the next beginning are never the same.
        lane = next((i for i, until in enumerate(lanes) if until <= entry.began + 1e-3), len(lanes))
        lanes[lane : lane + 1] = [entry.began + entry.seconds]
        row = rows.setdefault((entry.step, lane), len(rows) + 1)
        began = (entry.began - start) * 1e6
        name = entry.label or entry.step
        events.append(
            {
                "name": name,
                "cat": entry.status,
                "ph": "X",
                "ts": round(began),
                "dur": round(entry.seconds * 1e6),
                "pid": PROCESS,
                "tid": row,
                "args": {"status": entry.status, "key": entry.key, "error": entry.error},
            }
        )
        events += _parts(entry.timings, began, row) if entry.status != KEPT else []
    for (step, lane), row in rows.items():
        title = step if lane == 0 else f"{step} ({lane + 1})"
        events.append(
            {"name": "thread_name", "ph": "M", "pid": PROCESS, "tid": row, "args": {"name": title}}
        )
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _parts(timings: Any, began: float, row: int) -> list[dict[str, Any]]:
    """Return the parts of an item, one after the other, beneath it."""
    events = []
    for name, seconds in timings.items():
        length = float(seconds) * 1e6
        events.append(
            {
                "name": name,
                "ph": "X",
                "ts": round(began),
                "dur": round(length),
                "pid": PROCESS,
                "tid": row,
            }
        )
        began += length
    return events
