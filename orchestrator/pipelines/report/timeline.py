"""The picture of a run's time: for each step a row for loads, one for each worker, and the queue.

Places are percentages of the width, so that the picture is as wide as the page. Bars that would be
thinner than one can see and lie beside each other become one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.pipelines.report.html import Markup, tag
from orchestrator.pipelines.report.words import count, seconds
from orchestrator.pipelines.runs import FAILED, KEPT
from orchestrator.pipelines.tracing import TRANSFERS

if TYPE_CHECKING:
    from orchestrator.pipelines.history import Entry, Preparation

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
            f"{each.part}, {seconds(each.seconds)}",
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
    whole = f"{name}: {entry.status}, {seconds(entry.seconds)}"
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
        yield Bar(moment, until, kind, f"{whole}; {part} {seconds(length)}")
        moment = until


def picture(rows: Sequence[Rows], length: float) -> Markup:
    """Return the rows as SVG with a scale above; `length` is the whole time in seconds."""
    length = max(length, 1e-3)
    y = 26.0
    drawn: list[Markup] = []
    for each in rows:
        drawn.append(tag("text", each.step, x=0, y=y + 13, class_="step"))
        y += 20
        tracks = [("load", each.loads)] if each.loads else []
        tracks += [("worker", lane) for lane in each.lanes]
        for track, bars in tracks:
            height = HEIGHTS[track]
            drawn.append(_track(y, height))
            drawn += [_bar(bar, y, height, length) for bar in fewer(bars, length)]
            y += height + 3
        if _waited(each.queue) >= length * FINEST:
            drawn += _queue(each.queue, y, length)
            y += HEIGHTS["queue"] + 3
        y += 8
    scale = [_tick(moment, length, y) for moment in ticks(length)]
    return tag(
        "svg",
        scale,
        drawn,
        width="100%",
        height=round(y),
        role="img",
        aria_label=f"What ran when, in {seconds(length)}",
        class_="timeline",
    )


def fewer(bars: Sequence[Bar], length: float) -> list[Bar]:
    """Return bars as they are, or so few that a page can hold them.

    Where there are more than anybody could tell apart, each part of the whole time shows what took
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
            title = f"mostly: {KINDS[kind]}, {seconds(many * width)}"
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
    held: Bar | None = None
    many = 0
    for bar in bars:
        joins = (
            held is not None
            and held.kind == bar.kind
            and bar.ended - bar.began < finest
            and bar.began - held.ended < finest
            and (many > 1 or held.ended - held.began < finest)
        )
        if joins and held is not None:
            held = held._replace(ended=max(held.ended, bar.ended))
            many += 1
            continue
        if held is not None:
            yield _told(held, many)
        held, many = bar, 1
    if held is not None:
        yield _told(held, many)


def _told(bar: Bar, many: int) -> Bar:
    if many == 1:
        return bar
    words = f"{count(many, 'short part')}, {KINDS[bar.kind]}, {seconds(bar.ended - bar.began)}"
    return bar._replace(title=words)


def ticks(length: float) -> list[float]:
    """Return some round moments from 0 to `length`."""
    rough = length / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * number for number in range(int(length / step) + 1)]


def _tick(moment: float, length: float, height: float) -> Markup:
    x = _percent(moment / length)
    near_end = moment / length > 0.9
    line = tag("line", x1=x, x2=x, y1=18, y2=f"{height:.0f}")
    words = tag("text", f"{moment:g} s", x=x, y=12, text_anchor="end" if near_end else "start")
    return tag("g", line, words, class_="tick")


def _track(y: float, height: float) -> Markup:
    return tag("rect", x=0, y=f"{y:.0f}", width="100%", height=height, rx=3, class_="track")


def _bar(bar: Bar, y: float, height: float, length: float) -> Markup:
    began, ended = max(0.0, bar.began), min(length, bar.ended)
    return tag(
        "rect",
        tag("title", bar.title),
        x=_percent(began / length),
        width=_percent(max(0.0008, (ended - began) / length)),
        y=f"{y:.0f}",
        height=height,
        class_=f"bar {bar.kind}",
    )


def _queue(queue: Sequence[tuple[float, int]], y: float, length: float) -> list[Markup]:
    """Return how many items wait, as an area of columns; each shows the most in its time."""
    height = HEIGHTS["queue"]
    cells = _cells(queue, length)
    most = max(cells)
    drawn = [_track(y, height)]
    began = 0
    for number in range(1, len(cells) + 1):
        if number < len(cells) and cells[number] == cells[began]:
            continue
        waiting = cells[began]
        if waiting:
            tall = height * waiting / most
            span = (number - began) * length * FINEST
            column = tag(
                "rect",
                tag("title", f"{count(waiting, 'item')} waiting, for {seconds(span)}"),
                x=_percent(began * FINEST),
                width=_percent((number - began) * FINEST),
                y=f"{y + height - tall:.1f}",
                height=f"{tall:.1f}",
                class_="bar queue",
            )
            drawn.append(column)
        began = number
    return drawn


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


def legend(kinds: Iterable[str]) -> Markup:
    """Return what the colours mean, of the kinds that are there."""
    there = set(kinds)
    entries = [
        tag("li", tag("span", class_=f"swatch {kind}"), words)
        for kind, words in KINDS.items()
        if kind in there
    ]
    return tag("ul", entries, class_="legend")
