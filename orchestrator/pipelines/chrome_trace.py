"""A run as a trace for Chrome's and Perfetto's viewers.

Each step is a process of the trace. In it there is a row for each of its workers with an item's
parts beneath the item ("take" and "keep" are the transfers from and to the results on disk), a row
for the environment and the first load, and the queue: each item from when all that it needs is
there until a worker takes it up, and how many wait. Arrows lead from an item of one step to the
same item of the next.

The form is Chrome's Trace Event Format: an object with `traceEvents`, times in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.pipelines.run_events import Preparation
from orchestrator.pipelines.run_history import Entry, Run
from orchestrator.pipelines.run_record import KEPT

Event = dict[str, Any]

PREPARING = 1
"""The row (`tid`) of environments and loads; those of the workers follow."""

TRANSFERS = frozenset({"take", "keep"})
"""The parts of an item in which values go from and to the results on disk."""


def trace(run: Run) -> dict[str, Any]:
    """Return the trace of a recorded run."""
    entries = sorted(run.entries(), key=lambda each: each.began)
    preparations = list(run.preparations())
    events: list[Event] = []
    by_step: dict[str, list[Entry]] = {step["id"]: [] for step in run.steps}
    for entry in entries:
        by_step.setdefault(entry.step, []).append(entry)
    for pid, (step, its) in enumerate(by_step.items(), start=1):
        clock = _Clock(run.began, pid)
        events += _names(pid, step, run, its)
        for preparation in preparations:
            if preparation.step == step:
                events.append(_preparation(preparation, clock))
        for entry in its:
            events += _item(entry, clock)
        events += _queue(its, clock)
    pids = {step: pid for pid, step in enumerate(by_step, start=1)}
    events += _arrows(run, entries, pids)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"pipeline": run.pipeline, "run": run.id, "outcome": run.outcome},
    }


class _Clock:
    """Turns seconds of the clock on the wall into a trace's microseconds.

    A record has whole microseconds, which a difference of two of its times need not have.
    """

    def __init__(self, start: float, pid: int) -> None:
        self._start = _microseconds(start)
        self.pid = pid

    def at(self, moment: float) -> int:
        return max(0, _microseconds(moment) - self._start)


def _microseconds(moment: float) -> int:
    return round(moment * 1e6)


def _names(pid: int, step: str, run: Run, entries: Iterable[Entry]) -> Iterator[Event]:
    models = {each["id"]: each["name"] for each in run.steps}
    name = f"{step} ({models[step]})" if step in models else step
    yield {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}}
    order = {"name": "process_sort_index", "ph": "M", "pid": pid, "tid": 0}
    yield {**order, "args": {"sort_index": pid}}
    rows = {PREPARING: "environment and load"}
    rows |= {_row(lane): f"worker {lane + 1}" for lane in sorted({each.lane for each in entries})}
    for tid, title in rows.items():
        yield {"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": title}}


def _row(lane: int) -> int:
    return PREPARING + 1 + lane


def _preparation(each: Preparation, clock: _Clock) -> Event:
    began, ended = clock.at(each.began), clock.at(each.began + each.seconds)
    return _slice(each.part, each.part, began, ended, clock.pid, PREPARING)


def _item(entry: Entry, clock: _Clock) -> Iterator[Event]:
    """Yield the item, and its parts one after the other beneath it."""
    began, ended = clock.at(entry.began), clock.at(entry.ended)
    row = _row(entry.lane)
    outcome = {"status": entry.status, "key": entry.key, "error": entry.error}
    name = entry.label or entry.step
    yield {**_slice(name, entry.status, began, ended, clock.pid, row), "args": outcome}
    if entry.status == KEPT:
        return
    moment = entry.began
    for part, seconds in entry.timings.items():
        start = min(clock.at(moment), ended)
        moment += seconds
        category = "transfer" if part in TRANSFERS else "part"
        yield _slice(part, category, start, min(clock.at(moment), ended), clock.pid, row)


def _slice(name: str, category: str, began: int, ended: int, pid: int, tid: int) -> Event:
    return {
        "name": name, "cat": category, "ph": "X", "ts": began, "dur": ended - began,
        "pid": pid, "tid": tid,
    }  # fmt: skip


def _queue(entries: Iterable[Entry], clock: _Clock) -> Iterator[Event]:
    """Yield a span for each item that waited for its turn, and the count of those that wait."""
    changes: list[tuple[int, int]] = []
    for entry in entries:
        ready, began = clock.at(entry.ready), clock.at(entry.began)
        if not entry.ready or began <= ready:
            continue
        changes += [(ready, 1), (began, -1)]
        name = f"{entry.label or entry.step} waits"
        common = {"name": name, "cat": "queue", "pid": clock.pid, "tid": 0, "id": entry.index or 0}
        yield {**common, "ph": "b", "ts": ready}
        yield {**common, "ph": "e", "ts": began}
    waiting = 0
    for moment, change in sorted(changes):
        waiting += change
        counter = {"name": "queue", "ph": "C", "pid": clock.pid, "tid": 0, "ts": moment}
        yield {**counter, "args": {"items": waiting}}


def _arrows(run: Run, entries: Iterable[Entry], pids: Mapping[str, int]) -> Iterator[Event]:
    """Yield an arrow from each item of a step to what the next step makes of it."""
    followed = {
        each["id"]: str(each["foreach"]).removeprefix("steps.")
        for each in run.steps
        if str(each.get("foreach")).startswith("steps.")
    }
    made = {(each.step, each.index): each for each in entries}
    number = 0
    for entry in made.values():
        source = made.get((followed.get(entry.step, ""), entry.index))
        if source is None or not entry.began >= source.ended:
            continue
        number += 1
        common = {"name": "item", "cat": "flow", "id": number}
        for phase, one, moment in (("s", source, source.ended), ("f", entry, entry.began)):
            clock = _Clock(run.began, pids[one.step])
            event = {**common, "ph": phase, "ts": clock.at(moment)}
            event |= {"pid": clock.pid, "tid": _row(one.lane)}
            yield event | ({"bp": "e"} if phase == "f" else {})
