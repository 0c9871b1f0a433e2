"""The page of a run: what it was, its graph and time, what failed, what it made, and of what."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.core.units import format_size
from orchestrator.pipelines.report import graph, timeline
from orchestrator.pipelines.report.html import Markup, Part, join, tag
from orchestrator.pipelines.report.items import Album, Group, Item, Made, inputs_of
from orchestrator.pipelines.report.media import Media
from orchestrator.pipelines.report.table import line, table
from orchestrator.pipelines.report.values import shown
from orchestrator.pipelines.report.words import count, moment, seconds
from orchestrator.pipelines.runs import DONE, FAILED, KEPT

if TYPE_CHECKING:
    from orchestrator.pipelines.history import Entry, Run
    from orchestrator.pipelines.store import ResultStore
    from orchestrator.pipelines.values import Values

FAILURES = 200
"""Failures that are listed."""

MANY = 50
"""Cards from which on a browser need not lay out those that are out of sight."""


@dataclass(frozen=True)
class Limits:
    """How much a page may hold.

    Attributes:
        media: Bytes that images and sounds may take.
        items: Items of each list; those that failed are listed first of all and beside these.
    """

    media: int = 32_000_000
    items: int = 300


def page(run: Run, store: ResultStore, limits: Limits | None = None) -> bytes:
    """Return the page of a run: HTML in UTF-8, self-contained.

    Args:
        run: The recorded run.
        store: Where its results are, as far as they are kept still.
        limits: How much it may hold.
    """
    return _Page(run, store, limits or Limits()).whole().encode("utf-8")


class _Page:
    def __init__(self, run: Run, store: ResultStore, limits: Limits) -> None:
        self._run = run
        self._limits = limits
        self._media = Media(limits.media)
        self._album = Album(run, store)
        self._entries: list[Entry] = list(run.entries())
        found = run.facts.get("graph")
        self._graph: dict[str, Any] = found if isinstance(found, dict) else {}
        self._unlisted = 0

    def whole(self) -> Markup:
        body = [  # in the order of the page, because what comes first takes its room first
            self._pictures(),
            self._failures(),
            self._outputs(),
            self._items(),
            self._receipts(),
        ]
        title = f"{self._run.pipeline} · {self._run.id}"
        style = files("orchestrator.pipelines.report").joinpath("page.css").read_text("utf-8")
        head = [
            tag("meta", charset="utf-8"),
            # Nothing is loaded and nothing runs, also where a text would be taken for markup.
            tag("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title),
            tag("style", Markup(style)),
        ]
        content = join(self._top(), body, self._foot())
        return join(
            Markup("<!DOCTYPE html>\n"),
            tag("html", tag("head", head), tag("body", content), lang="en"),
            "\n",
        )

    # -- what it was -------------------------------------------------------------------------------

    def _top(self) -> Markup:
        run = self._run
        ended = max((each.ended for each in self._entries), default=run.began)
        took = (run.ended if run.ended is not None else ended) - run.began
        facts = {
            "began": moment(run.began),
            "took": seconds(max(0.0, took)),
            "done": f"{self._many(DONE):,}",
            "kept from before": f"{self._many(KEPT):,}",
            "failed": f"{self._many(FAILED):,}",
            "run": run.id,
        }
        how = run.outcome.partition(":")[0]
        boxes = [tag("div", tag("dt", name), tag("dd", each)) for name, each in facts.items()]
        return join(
            tag("div", tag("h1", run.pipeline), _badge(how), class_="head"),
            tag("p", run.outcome, class_="error") if how != run.outcome else None,
            tag("p", self._graph.get("summary") or None, class_="soft"),
            tag("dl", boxes, class_="facts"),
            self._given(),
            self._notice(),
        )

    def _given(self) -> Part:
        lines: list[Part] = []
        for name, value in inputs_of(self._run):
            one = count(value, "item") if isinstance(value, int) else _brief(value)
            lines += [tag("dt", name), tag("dd", tag("bdi", one))]
        for name, option in self._options().items():
            lines += [tag("dt", name), tag("dd", option)]
        if not lines:
            return None
        return tag(
            "details", tag("summary", "inputs and options"), tag("dl", lines, class_="plain")
        )

    def _options(self) -> dict[str, str]:
        """Return the options of the run that are not as usual, in words."""
        found = self._run.facts.get("options", {})
        options = {
            "keep going": "yes" if found.get("keep_going") else "",
            "retries": str(found.get("retries") or ""),
            "forced steps": ", ".join(found.get("force", ())),
            "results of before": "not used" if found.get("cache") is False else "",
        }
        return {name: words for name, words in options.items() if words}

    def _notice(self) -> Part:
        """Say what the page lacks."""
        told = []
        if self._media.left_out:
            size = format_size(self._media.left_out_size)
            many = f"{self._media.left_out:,} images and sounds"
            told.append(f"{many} left out ({size}): make room with --max-size")
        if self._unlisted:
            told.append(f"{count(self._unlisted, 'item')} left out: list more with --items")
        if self._run.facts.get("options", {}).get("cache") is False:
            told.append("results of a run with --no-cache are not kept, and not shown")
        return tag("p", "; ".join(told), class_="notice") if told else None

    def _many(self, status: str) -> int:
        return sum(1 for each in self._entries if each.status == status)

    # -- pictures ----------------------------------------------------------------------------------

    def _pictures(self) -> Markup:
        return join(
            tag("h2", "Graph"),
            tag("div", self._graph_picture(), class_="wide"),
            tag("h2", "Time"),
            self._time(),
        )

    def _graph_picture(self) -> Part:
        if not self._graph:
            return tag("p", "recorded by an older mm, without its graph", class_="soft")
        steps = self._steps()
        told = {step: _ended(its) for step, its in steps.items()}
        failed = [step for step, its in steps.items() if any(e.status == FAILED for e in its)]
        return graph.picture(self._graph, told, graph.failed_keys(failed))

    def _steps(self) -> dict[str, list[Entry]]:
        steps: dict[str, list[Entry]] = {step["id"]: [] for step in self._graph.get("steps", ())}
        for entry in self._entries:
            steps.setdefault(entry.step, []).append(entry)
        return steps

    def _time(self) -> Markup:
        start = self._run.began
        preparations = list(self._run.preparations())
        names = {step["id"]: step["name"] for step in self._graph.get("steps", ())}
        rows, lines = [], []
        for step, its in self._steps().items():
            name = names.get(step, step)
            own = [each for each in preparations if each.step == step]
            title = f"{step} · {name}" if name != step else step
            if its or own:
                rows.append(timeline.rows_of(title, its, own, start))
            lines.append(line(step, name, its, sum(each.seconds for each in own)))
        moments = [*(each.ended for each in self._entries)]
        moments += [each.began + each.seconds for each in preparations]
        length = max(moments, default=start) - start
        kinds = [bar.kind for row in rows for lane in (row.loads, *row.lanes) for bar in lane]
        kinds += ["queue" for row in rows if row.queue]
        return join(
            tag("div", timeline.picture(rows, length), class_="wide"),
            timeline.legend(kinds),
            tag("h2", "Steps"),
            tag("div", table(lines), class_="wide"),
        )

    # -- what failed -------------------------------------------------------------------------------

    def _failures(self) -> Part:
        failed = [each for each in self._entries if each.status == FAILED]
        if not failed:
            return None
        more = len(failed) - FAILURES
        return join(
            tag("h2", "Failures"),
            [_failure(each) for each in failed[:FAILURES]],
            tag("p", f"and {more:,} more", class_="soft") if more > 0 else None,
        )

    # -- what it made ------------------------------------------------------------------------------

    def _outputs(self) -> Part:
        cards: list[Part] = []
        for name, output in self._graph.get("outputs", {}).items():
            value = self._album.output(self._entries, output["step"], output["output"])
            if value is None or isinstance(value, int):
                continue
            room = (self._media.limit - self._media.spent) // 2
            content = shown(name, value, self._media, room)
            head = tag("div", tag("h3", name), class_="head")
            cards.append(tag("section", head, content, class_="card output", id=f"output-{name}"))
        return join(tag("h2", "Outputs"), cards) if cards else None

    def _items(self) -> Markup:
        return join([self._group(group) for group in self._album.groups(self._entries)])

    def _group(self, group: Group) -> Markup:
        chosen = self._chosen(list(group.items.values()))
        self._unlisted += len(group.items) - len(chosen)
        title = f"Items of {group.source.split('.')[1]}" if group.source else "Steps that ran once"
        cards = [self._card(group, self._album.filled(group, item)) for item in chosen]
        head = tag("h2", f"{title} ({len(group.items):,})" if group.source else title)
        return join(head, tag("div", cards, class_="many" if len(cards) > MANY else None))

    def _chosen(self, items: Sequence[Item]) -> list[Item]:
        """Return the first items, and as many that failed, in their order."""
        failed = [item.number for item in items if item.failed][: self._limits.items]
        first = [item.number for item in items[: self._limits.items]]
        wanted = {*failed, *first}
        return [item for item in items if item.number in wanted]

    def _card(self, group: Group, item: Item) -> Markup:
        given = item.given
        beside = shown("given", given, self._media) if given is not None else None
        steps = [self._made(made) for made in item.made]
        name = f"{item.number}. {item.label or 'item'}" if group.source else ""
        head = tag("div", tag("h3", tag("bdi", name)), class_="head") if name else None
        if given is None or given.file is None:
            content = tag("div", tag("div", beside, steps), class_="columns one")
        else:
            content = tag("div", tag("div", beside), tag("div", steps), class_="columns")
        classes = f"card item{' bad' if item.failed else ''}"
        anchor = f"item-{item.number}" if group.source else None
        return tag("article", head, content, class_=classes, id=anchor)

    def _made(self, made: Made) -> Markup:
        entry = made.entry
        head = tag(
            "div",
            tag("h3", entry.step),
            _badge(entry.status),
            tag("span", seconds(entry.seconds), class_="soft"),
            class_="head",
        )
        if made.failed:
            return tag("div", head, tag("p", entry.error, class_="error"), class_="step")
        if made.kept is None:
            content: Part = tag("p", "its result is no longer kept", class_="absent")
        else:
            content = [self._value(entry, name, value) for name, value in made.kept.outputs.items()]
        warnings = [tag("p", each, class_="soft") for each in entry.warnings]
        return tag("div", head, warnings, content, _receipt(entry), class_="step")

    def _value(self, entry: Entry, name: str, value: Values) -> Markup:
        if isinstance(value, tuple):
            return tag("p", f"{name}: {count(len(value), 'item')}", class_="absent")
        for output, made_by in self._graph["outputs"].items():
            if entry.index is None and (made_by["step"], made_by["output"]) == (entry.step, name):
                link = tag("a", f"the output {output}", href=f"#output-{output}")
                return tag("p", name, ": ", link, class_="absent")
        return shown(name, value, self._media)

    # -- of what -----------------------------------------------------------------------------------

    def _receipts(self) -> Part:
        found = {step: self._run.receipt(step) for step in self._steps()}
        blocks = [
            tag(
                "details",
                tag("summary", tag("b", step), f" · {receipt['identity']}"),
                tag("pre", _json(receipt["produced_by"]), class_="data"),
                class_="receipt",
            )
            for step, receipt in found.items()
            if receipt.get("identity")
        ]
        if not blocks:
            return None
        told = (
            "What made the results of each step, beside their inputs; its digest is the identity."
        )
        return join(tag("h2", "Receipts"), tag("p", told, class_="soft"), blocks)

    def _foot(self) -> Markup:
        return tag("footer", f"mm {__version__} · {self._run.path}")


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _badge(words: str) -> Markup:
    known = {DONE: "done", FAILED: "failed", KEPT: "kept"}.get(words, "other")
    return tag("span", words, class_=f"badge {known}")


def _ended(entries: Iterable[Entry]) -> str:
    """Return how the items of a step ended, in a few words."""
    statuses = [each.status for each in entries]
    counts = {status: statuses.count(status) for status in (DONE, KEPT, FAILED)}
    return " · ".join(f"{number:,} {status}" for status, number in counts.items() if number)


def _failure(entry: Entry) -> Markup:
    name = f"{entry.step} on {entry.label}" if entry.label else entry.step
    alone = [
        tag("p", "repeat it alone:", class_="soft"),
        tag("pre", entry.command, class_="command"),
    ]
    detail = tag("details", tag("summary", "details"), tag("pre", entry.detail))
    return tag(
        "section",
        tag("div", tag("h3", tag("bdi", name)), _badge(FAILED), class_="head"),
        tag("p", entry.error, class_="error"),
        alone if entry.command else None,
        detail if entry.detail else None,
        class_="card failure bad",
    )


def _receipt(entry: Entry) -> Markup:
    parts = ", ".join(f"{name} {seconds(each)}" for name, each in entry.timings.items())
    lines = {"key": entry.key, "inputs": _json(entry.inputs), "seconds": parts}
    told = [(tag("dt", name), tag("dd", tag("code", each))) for name, each in lines.items() if each]
    return tag("details", tag("summary", "receipt"), tag("dl", told, class_="plain"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)


def _brief(value: Any) -> str:
    told = value.label or value.file or value.data
    text = told if isinstance(told, str) else str(told)
    return text if len(text) <= 200 else f"{text[:200]}…"
