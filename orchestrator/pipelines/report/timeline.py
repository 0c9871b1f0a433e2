"""A run's time as bars: for each step a row for loads, one for each worker, and the queue.

Places are percentages of the width, so that the timeline is as wide as the page. Bars that would be
thinner than one can see and lie beside each other become one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.core.units import counted, format_elapsed
from orchestrator.pipelines.chrome_trace import TRANSFERS
from orchestrator.pipelines.run_events import Preparation
from orchestrator.pipelines.run_history import Entry
from orchestrator.pipelines.run_record import FAILED, KEPT

FINEST = 1 / 600
"""The part of the whole time below which bars become one."""

MOST = 1_200
"""Bars of a row that are drawn one by one."""

HEIGHTS = {"load": 8, "worker": 18, "queue": 22}
WAITING = frozenset({"build", "ready", "wait"})
"""The parts of an item in which nothing is done for it."""

KINDS = {
    "run": "works on an item",
    "transfer": "takes its inputs, keeps its results",
    "waits": "waits for its environment, model or worker",
    "failed": "failed",
    "kept": "kept from before",
    "load": "environment and load",
    "queue": "items that wait for their turn",
}
"""What bars mean; their colours are in `page.css`."""


class Bar(NamedTuple):
    """A bar: from when to when (seconds from the beginning of the run), what it is, its words."""

    began: float
    ended: float
    kind: str
    title: str


class Placed(NamedTuple):
    """A bar with its place: parts of the width, and pixels from above."""

    bar: Bar
    x: str
    width: str
    y: float
    height: float


class Rows(NamedTuple):
    """A step's rows.

    Attributes:
        step: The step's title.
        loads: Its environment and first load.
        lanes: By worker, its items' bars.
        queue: Moments with the number of items that wait from then on.
    """

    step: str
    loads: Sequence[Bar]
    lanes: Sequence[Sequence[Bar]]
    queue: Sequence[tuple[float, int]]


@dataclass
class Timeline:
    """Where everything stands.

    Attributes:
        steps: The steps' titles with their pixels from above.
        tracks: What bars stand on: pixels from above, and their height.
        bars: Everything that ran or waited.
        ticks: Moments in seconds, and their part of the width.
        height: Pixels.
    """

    steps: list[tuple[str, float]] = field(default_factory=list)
    tracks: list[tuple[float, float]] = field(default_factory=list)
    bars: list[Placed] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    height: float = 0.0


def rows_of(
    step: str, entries: Iterable[Entry], preparations: Iterable[Preparation], start: float
) -> Rows:
    """Return the rows of a step.

    Args:
        step: Its title.
        entries: What is recorded of it.
        preparations: Its environment and first load.
        start: When the run began.
    """
    lanes: dict[int, list[Bar]] = {}
    changes: list[tuple[float, int]] = []
    for entry in sorted(entries, key=lambda each: each.began):
        lanes.setdefault(entry.lane, []).extend(_bars(entry, start))
        if entry.ready and entry.began > entry.ready:
            changes += [(entry.ready - start, 1), (entry.began - start, -1)]
    loads = [
        Bar(
            each.began - start,
            each.began - start + each.seconds,
            "load",
            f"{each.part}, {format_elapsed(each.seconds)}",
        )
        for each in preparations
    ]
    queue, waiting = [], 0
    for moment, change in sorted(changes):
        waiting += change
        queue.append((moment, waiting))
    return Rows(step, loads, [lanes[lane] for lane in sorted(lanes)], queue)


def _bars(entry: Entry, start: float) -> Iterator[Bar]:
    name = entry.label or entry.step
    whole = f"{name}: {entry.status}, {format_elapsed(entry.seconds)}"
    began, ended = entry.began - start, entry.ended - start
    if entry.status in (KEPT, FAILED):
        yield Bar(began, ended, entry.status, whole)
        return
    moment = began
    parts = entry.timings or {"run": entry.seconds}
    for part, length in parts.items():
        until = min(ended, moment + length)
        kind = "waits" if part in WAITING else "transfer" if part in TRANSFERS else "run"
        kind = "load" if part in ("environment", "load") else kind
        yield Bar(moment, until, kind, f"{whole}; {part} {format_elapsed(length)}")
        moment = until


def lay_out(rows: Sequence[Rows], length: float) -> Timeline:
    """Return the places of the rows' bars, with a scale above; `length` is the whole in seconds."""
    length = max(length, 1e-3)
    found = Timeline()
    y = 26.0
    for each in rows:
        found.steps.append((each.step, y + 13))
        y += 20
        tracks = [("load", each.loads)] if each.loads else []
        tracks += [("worker", lane) for lane in each.lanes]
        for track, bars in tracks:
            height = HEIGHTS[track]
            found.tracks.append((y, height))
            found.bars += [_placed(bar, y, height, length) for bar in fewer(bars, length)]
            y += height + 3
        if _waited(each.queue) >= length * FINEST:
            found.tracks.append((y, HEIGHTS["queue"]))
            found.bars += _queue(each.queue, y, length)
            y += HEIGHTS["queue"] + 3
        y += 8
    found.height = y
    found.ticks += [(moment, _percent(moment / length)) for moment in ticks(length)]
    return found


def fewer(bars: Sequence[Bar], length: float) -> list[Bar]:
    """Return bars as they are, or so few that a page can hold them.

    Where there are more than anyone can tell apart, each part of the whole time shows what took
    most of it.
    """
    found = list(merged(bars, length * FINEST))
    if len(found) <= MOST:
        return found
    width = length * FINEST
    kinds = [max(cell, key=cell.__getitem__) if cell else "" for cell in _shares(bars, width)]
    place = 0
    few: list[Bar] = []
    for kind, run in itertools.groupby(kinds):
        many = len(list(run))
        if kind:
            title = f"mostly: {KINDS[kind]}, {format_elapsed(many * width)}"
            few.append(Bar(place * width, min(length, (place + many) * width), kind, title))
        place += many
    return few


def _shares(bars: Iterable[Bar], width: float) -> list[dict[str, float]]:
    """Return for each part of the whole time, `width` long, how long each kind took in it."""
    cells: list[dict[str, float]] = [{} for _ in range(round(1 / FINEST) + 1)]
    for bar in bars:
        began = max(0.0, bar.began)
        for number in range(int(began / width), min(len(cells) - 1, int(bar.ended / width)) + 1):
            inside = min(bar.ended, (number + 1) * width) - max(began, number * width)
            if inside > 0:
                cells[number][bar.kind] = cells[number].get(bar.kind, 0.0) + inside
    return cells


def merged(bars: Iterable[Bar], finest: float) -> Iterator[Bar]:
    """Yield bars in their order; those of a kind that are shorter than `finest` become one."""
    held: list[Bar] = []
    for bar in bars:
        if held and not _joins(held, bar, finest):
            yield _one(held)
            held = []
        held.append(bar)
    if held:
        yield _one(held)


def _joins(held: Sequence[Bar], bar: Bar, finest: float) -> bool:
    """Return whether a bar becomes one with those before it."""
    return (
        bar.kind == held[0].kind
        and bar.ended - bar.began < finest
        and bar.began - held[-1].ended < finest
        and (len(held) > 1 or held[0].ended - held[0].began < finest)
    )


def _one(bars: Sequence[Bar]) -> Bar:
    """Return several bars as one."""
    if len(bars) == 1:
        return bars[0]
    began, kind, ended = bars[0].began, bars[0].kind, max(bar.ended for bar in bars)
    title = f"{counted(len(bars), 'short part')}, {KINDS[kind]}, {format_elapsed(ended - began)}"
    return Bar(began, ended, kind, title)


def ticks(length: float) -> list[float]:
    """Return some round moments from 0 to `length`."""
    rough = length / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * number for number in range(int(length / step) + 1)]


def _placed(bar: Bar, y: float, height: float, length: float) -> Placed:
    began, ended = max(0.0, bar.began), min(length, bar.ended)
    x, width = began / length, max(0.0008, (ended - began) / length)
    return Placed(bar, _percent(x), _percent(width), y, height)


def _queue(queue: Sequence[tuple[float, int]], y: float, length: float) -> Iterator[Placed]:
    """Yield how many items wait, as an area of columns; each shows the most in its time."""
    height = HEIGHTS["queue"]
    cells = _cells(queue, length)
    place = 0
    for waiting, run in itertools.groupby(cells):
        began, place = place * FINEST, place + len(list(run))
        if waiting:
            span = place * FINEST - began
            title = f"{counted(waiting, 'item')} waiting, for {format_elapsed(span * length)}"
            tall = height * waiting / max(cells)
            bar = Bar(began * length, place * FINEST * length, "queue", title)
            yield Placed(bar, _percent(began), _percent(span), y + height - tall, tall)


def _waited(queue: Sequence[tuple[float, int]]) -> float:
    """Return for how many seconds anything waited."""
    pairs = itertools.pairwise(queue)
    return sum(ended - began for (began, waiting), (ended, _) in pairs if waiting)


def _cells(queue: Sequence[tuple[float, int]], length: float) -> list[int]:
    """Return for each of equal parts of the whole time the most that waited in it."""
    parts = round(1 / FINEST)
    cells = [0] * parts
    for (began, waiting), (ended, _) in itertools.pairwise(queue):
        if not waiting:
            continue
        first = min(parts - 1, max(0, int(began / length * parts)))
        last = min(parts - 1, max(first, math.ceil(ended / length * parts) - 1))
        for number in range(first, last + 1):
            cells[number] = max(cells[number], waiting)
    return cells


def _percent(part: float) -> str:
    return f"{100 * part:.3f}%"
