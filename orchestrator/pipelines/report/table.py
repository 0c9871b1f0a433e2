"""The table of a run's steps: how many items, and where their time went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator.pipelines.report.html import Markup, tag
from orchestrator.pipelines.report.timeline import WAITING
from orchestrator.pipelines.report.words import seconds
from orchestrator.pipelines.runs import DONE, FAILED, KEPT
from orchestrator.pipelines.tracing import TRANSFERS

if TYPE_CHECKING:
    from orchestrator.pipelines.history import Entry

HEADS = (
    "step", "runs", "done", "kept", "failed", "working", "an item", "transfers", "waited in line",
    "load",
)  # fmt: skip


def table(lines: Iterable[Markup]) -> Markup:
    """Return the table of the lines of steps."""
    heads = tag("thead", tag("tr", [tag("th", each) for each in HEADS]))
    return tag("table", heads, tag("tbody", lines))


def line(step: str, name: str, entries: Sequence[Entry], load: float) -> Markup:
    """Return a step's line.

    Args:
        step: Its id.
        name: The model or built-in step that it runs.
        entries: What is recorded of it.
        load: Seconds that its environment and first load took.
    """
    ran = [each for each in entries if each.status != KEPT]
    work = [_working(each) for each in ran]
    moved = sum(
        length for each in ran for part, length in each.timings.items() if part in TRANSFERS
    )
    waits = [max(0.0, each.began - each.ready) for each in ran if each.ready]
    counts = [sum(1 for each in entries if each.status == one) for one in (DONE, KEPT, FAILED)]
    cells = [
        step,
        name,
        *(f"{number:,}" if number else "" for number in counts),
        seconds(sum(work)) if work else "",
        seconds(sum(work) / len(work)) if work else "",
        seconds(moved) if work else "",
        f"{seconds(sum(waits) / len(waits))} each" if waits else "",
        seconds(load) if load else "",
    ]
    return tag("tr", [tag("td", cell) for cell in cells])


def _working(entry: Entry) -> float:
    parts = entry.timings.items()
    waits = sum(length for part, length in parts if part in WAITING)
    return max(0.0, entry.seconds - waits)
