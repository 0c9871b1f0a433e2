"""What the page of a run shows: its graph and time, what failed, what it made, and of what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.core.units import counted, format_elapsed, format_size
from orchestrator.pipelines.chrome_trace import TRANSFERS
from orchestrator.pipelines.report import graph_layout, timeline
from orchestrator.pipelines.report.media import Media
from orchestrator.pipelines.report.page_passages import join_passages
from orchestrator.pipelines.report.run_items import ItemGroup, ListItem, RunItems
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_history import Entry, Run
from orchestrator.pipelines.run_record import DONE, FAILED, KEPT
from orchestrator.pipelines.step_values import Value

STATUSES = (DONE, KEPT, FAILED)

HEADINGS = (
    "step", "runs", *STATUSES, "working", "an item", "transfers", "waited in line", "load",
)  # fmt: skip
"""Of the table of steps."""

FAILURES = 200
"""Failures that are listed."""

MANY = 50
"""Cards from which on a browser need not lay out those that are out of sight."""

LONGEST_TEXT = 6_000
"""Characters of a text that the page shows."""


@dataclass(frozen=True)
class PageLimits:
    """How much a page may hold.

    Attributes:
        media: Bytes that images and sounds may take.
        items: Items of each list; those that failed or are doubtful are listed beside these.
    """

    media: int = 32_000_000
    items: int = 300


class PageView:
    """What the page shows of a run; the template asks for it in the order of the page.

    The order matters, because images and sounds that come first take their room first.

    Attributes:
        run: The run.
        media: The images and sounds of the page.
        items: Its items with their results.
        unlisted: How many items the page leaves out.
    """

    headings = HEADINGS
    longest_text = LONGEST_TEXT
    many_cards = MANY
    most_failures = FAILURES

    def __init__(self, run: Run, store: ResultStore, limits: PageLimits) -> None:
        self.run = run
        self.media = Media(limits.media)
        self.unlisted = 0
        self._limits = limits
        self._entries: list[Entry] = list(run.entries())
        self.items = RunItems(run, self._entries, store)
        self._preparations = list(run.preparations())
        self.graph = run.graph

    @property
    def how(self) -> str:
        """How the run ended, in a word."""
        return self.run.outcome.partition(":")[0]

    @property
    def facts(self) -> dict[str, str]:
        """What stands at the top."""
        run = self.run
        last = max((each.ended for each in self._entries), default=run.began)
        took = (run.ended if run.ended is not None else last) - run.began
        done, kept, failed = (f"{number:,}" for number in _ended(self._entries).values())
        return {
            "began": _moment(run.began),
            "took": format_elapsed(max(0.0, took)),
            "done": done,
            "kept from before": kept,
            "failed": failed,
            "run": run.id,
        }

    @property
    def given(self) -> dict[str, str]:
        """The inputs of the run."""
        return {
            name: counted(len(value), "item") if isinstance(value, tuple) else _brief(value)
            for name, value in self.items.inputs.items()
        }

    @property
    def options(self) -> dict[str, str]:
        """The options of the run that are not the default."""
        found = self.run.facts.get("options", {})
        options = {
            "keep going": "yes" if found.get("keep_going") else "",
            "retries": str(found.get("retries") or ""),
            "forced steps": ", ".join(found.get("force", ())),
            "results of before": "not used" if found.get("cache") is False else "",
        }
        return {name: words for name, words in options.items() if words}

    @property
    def missing(self) -> list[str]:
        """What the page lacks; asked for when all of it is made."""
        parts = []
        if self.media.left_out:
            size = format_size(self.media.left_out_size)
            many = f"{self.media.left_out:,} images and sounds"
            parts.append(f"{many} left out ({size}): make room with --max-size")
        if self.unlisted:
            parts.append(f"{counted(self.unlisted, 'item')} left out: list more with --items")
        if self.run.facts.get("options", {}).get("cache") is False:
            parts.append("results of a run with --no-cache are not kept, and not shown")
        return parts

    @cached_property
    def _steps(self) -> dict[str, list[Entry]]:
        steps: dict[str, list[Entry]] = {step["id"]: [] for step in self.graph.get("steps", ())}
        for entry in self._entries:
            steps.setdefault(entry.step, []).append(entry)
        return steps

    @property
    def graph_drawing(self) -> graph_layout.GraphLayout | None:
        """The graph; None where an older mm recorded none."""
        if not self.graph:
            return None
        ended = {step: _ended(its) for step, its in self._steps.items()}
        words = {
            step: " · ".join(f"{number:,} {status}" for status, number in its.items() if number)
            for step, its in ended.items()
        }
        return graph_layout.lay_out(
            self.graph, words, [s for s, its in ended.items() if its[FAILED]]
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        """The model or built-in step of each step."""
        names = {step["id"]: step["name"] for step in self.graph.get("steps", ())}
        return {step: names.get(step, step) for step in self._steps}

    @cached_property
    def length(self) -> float:
        """Seconds from the beginning of the run to the end of its last part."""
        moments = [each.ended for each in self._entries]
        moments += [each.began + each.seconds for each in self._preparations]
        return max(moments, default=self.run.began) - self.run.began

    @cached_property
    def time_drawing(self) -> timeline.Timeline:
        """What ran when."""
        rows = []
        for step, its in self._steps.items():
            own = [each for each in self._preparations if each.step == step]
            name = self._names[step]
            title = f"{step} · {name}" if name != step else step
            if its or own:
                rows.append(timeline.rows_of(title, its, own, self.run.began))
        return timeline.lay_out(rows, self.length)

    @property
    def legend(self) -> dict[str, str]:
        """What the colours of the timeline mean."""
        there = {placed.bar.kind for placed in self.time_drawing.bars}
        return {kind: words for kind, words in timeline.KINDS.items() if kind in there}

    @property
    def table(self) -> Iterator[list[str]]:
        """The steps: how many items, and where their time went."""
        for step, its in self._steps.items():
            load = sum(each.seconds for each in self._preparations if each.step == step)
            yield [step, self._names[step], *_cells(its, load)]

    @property
    def failures(self) -> list[Entry]:
        """What failed."""
        return [each for each in self._entries if each.status == FAILED]

    @property
    def outputs(self) -> Iterator[tuple[str, Value]]:
        """The outputs of the pipeline that are no lists."""
        for name, output in self.graph.get("outputs", {}).items():
            value = self.items.output(output["step"], output["output"])
            if value is not None and not isinstance(value, tuple):
                yield name, value

    @property
    def groups(self) -> Iterator[tuple[ItemGroup, list[ListItem]]]:
        """The lists of the run, with the items that are shown: first what is doubtful."""
        for group in join_passages(self.run, self.items, self.items.groups()):
            items, most = list(group.items.values()), self._limits.items
            for item in items:
                item.again = self.items.again(group, item)
            failed = [item.number for item in items if item.failed][:most]
            doubtful = [item.number for item in items if item.again][:most]
            wanted = {*failed, *doubtful, *(item.number for item in items[:most])}
            self.unlisted += len(items) - len(wanted)
            items.sort(key=lambda item: not item.again)
            yield group, [item for item in items if item.number in wanted]

    def output_of(self, entry: Entry, name: str) -> str:
        """Return which output of the pipeline an output of a step is; empty if none."""
        if entry.index is None:
            for output, made_by in self.graph["outputs"].items():
                if (made_by["step"], made_by["output"]) == (entry.step, name):
                    return str(output)
        return ""

    def receipt_of(self, entry: Entry) -> dict[str, str]:
        """Return what a result was made of."""
        inputs = json.dumps(entry.inputs, ensure_ascii=False, indent=1, sort_keys=True)
        parts = ", ".join(f"{name} {format_elapsed(s)}" for name, s in entry.timings.items())
        lines = {"model": entry.model, "key": entry.key, "inputs": inputs, "seconds": parts}
        return {name: words for name, words in lines.items() if words}

    def size_of(self, file: Path) -> str:
        """Return the size of a file, in words."""
        try:
            return format_size(file.stat().st_size)
        except OSError as error:
            return f"gone ({error.strerror})"

    @property
    def receipts(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What made the results, with the step of each."""
        return [(step, each) for step in self._steps for each in self.run.receipts(step)]


def _ended(entries: Sequence[Entry]) -> dict[str, int]:
    """Return how many entries ended how, by status."""
    found = [each.status for each in entries]
    return {status: found.count(status) for status in STATUSES}


def _cells(entries: Sequence[Entry], load: float) -> Iterator[str]:
    """Yield what the table says of a step; `load`: seconds of its environment and first load."""
    yield from (f"{number:,}" if number else "" for number in _ended(entries).values())
    ran = [each for each in entries if each.status != KEPT]
    working = sum(max(0.0, each.seconds - _seconds_in(each, timeline.WAITING)) for each in ran)
    waits = [max(0.0, each.began - each.ready) for each in ran if each.ready]
    yield format_elapsed(working) if ran else ""
    yield format_elapsed(working / len(ran)) if ran else ""
    yield format_elapsed(sum(_seconds_in(each, TRANSFERS) for each in ran)) if ran else ""
    yield f"{format_elapsed(sum(waits) / len(waits))} each" if waits else ""
    yield format_elapsed(load) if load else ""


def _seconds_in(entry: Entry, parts: frozenset[str]) -> float:
    return sum(length for part, length in entry.timings.items() if part in parts)


def _moment(value: float) -> str:
    """Return a moment of the clock on the wall, in UTC."""
    return f"{datetime.fromtimestamp(value, tz=timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _brief(value: Value) -> str:
    text = str(value.label or value.file or value.data)
    return text if len(text) <= 200 else f"{text[:200]}…"
