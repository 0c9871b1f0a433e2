"""The picture of a pipeline: inputs at the left, steps, outputs at the right, and what flows.

Nodes stand in columns, each right of all that it takes from; a line that passes columns gets a
place of its own in each, so that it crosses no node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.pipelines.report.html import Markup, tag
from orchestrator.pipelines.report.words import shorter

LETTER = 7.3
"""Pixels that a letter takes, about."""

PADDING, GAP, ABOVE = 12, 34, 18
LONGEST = 26
"""Letters of a line in a node."""


@dataclass
class _Node:
    key: str
    kind: str
    lines: list[str]
    takes: list[str] = field(default_factory=list)
    column: int = 0
    row: float = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        longest = max((len(line) for line in self.lines), default=0)
        return 2 * PADDING + LETTER * longest if self.lines else 0

    @property
    def height(self) -> float:
        return 14 + 17 * len(self.lines) if self.lines else 10


def picture(graph: Mapping[str, Any], counts: Mapping[str, str], failed: frozenset[str]) -> Markup:
    """Return the graph as SVG.

    Args:
        graph: As `orchestrator.core.pipelines.sketch` has it.
        counts: What is said of how the items of each step ended.
        failed: Steps of which something failed.
    """
    nodes = _nodes(graph, counts)
    lines = _with_bends(nodes)
    width, height = _place(nodes)
    drawn = [_line(nodes[one], nodes[other]) for one, other in lines]
    drawn += [_box(each, failed) for each in nodes.values() if each.lines]
    return tag(
        "svg",
        drawn,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
        role="img",
        aria_label=f"The steps of {graph['name']}",
        class_="graph",
    )


def _nodes(graph: Mapping[str, Any], counts: Mapping[str, str]) -> dict[str, _Node]:
    nodes = {
        f"inputs.{name}": _Node(f"inputs.{name}", "input", [_cut(name), _cut(kind)])
        for name, kind in graph["inputs"].items()
    }
    for step in graph["steps"]:
        key = f"steps.{step['id']}"
        each = "each: " if step["foreach"] else ""
        lines = [_cut(step["id"]), _cut(each + step["name"]), _cut(counts.get(step["id"], ""))]
        nodes[key] = _Node(key, "step", [line for line in lines if line], list(step["takes"]))
        nodes[key].column = 1 + max((nodes[one].column for one in step["takes"]), default=0)
    last = 1 + max((node.column for node in nodes.values()), default=0)
    for name, output in graph["outputs"].items():
        key = f"outputs.{name}"
        node = _Node(key, "output", [_cut(name), _cut(output["type"])], [f"steps.{output['step']}"])
        node.column = last
        nodes[key] = node
    return nodes


def _cut(words: str) -> str:
    return shorter(words, LONGEST)


def _with_bends(nodes: dict[str, _Node]) -> list[tuple[str, str]]:
    """Return the lines from node to node; where one passes columns, nodes without text are added.

    Lines from one node share these.
    """
    lines: dict[tuple[str, str], None] = {}
    for node in list(nodes.values()):
        for taken in node.takes:
            before = taken
            for column in range(nodes[taken].column + 1, node.column):
                bend = f"{taken}@{column}"
                nodes.setdefault(bend, _Node(bend, "bend", [], [before], column))
                lines[before, bend] = None
                before = bend
            lines[before, node.key] = None
    for node in nodes.values():
        node.takes = [one for one, other in lines if other == node.key]
    return list(lines)


def _place(nodes: Mapping[str, _Node]) -> tuple[float, float]:
    """Give every node its place; return the size of the picture."""
    columns: dict[int, list[_Node]] = {}
    for node in nodes.values():
        columns.setdefault(node.column, []).append(node)
    heights = {
        column: sum(each.height + ABOVE for each in its) - ABOVE for column, its in columns.items()
    }
    tallest = max(heights.values(), default=0)
    x = 1.0
    for column in sorted(columns):
        its = columns[column]
        for node in its:
            above = [nodes[one].y + nodes[one].height / 2 for one in node.takes]
            node.row = sum(above) / len(above) if above else 0.0
        its.sort(key=lambda each: each.row)
        width = max(each.width for each in its)
        y = 1 + (tallest - heights[column]) / 2
        for node in its:
            node.x, node.y = x + (width - node.width) / 2, y
            y += node.height + ABOVE
        x += width + GAP
    return x - GAP + 1, tallest + 2


def _line(one: _Node, other: _Node) -> Markup:
    x, y = one.x + one.width, one.y + one.height / 2
    to_x, to_y = other.x, other.y + other.height / 2
    middle = (x + to_x) / 2
    path = f"M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return tag("path", d=path, class_="flow")


def _box(node: _Node, failed: frozenset[str]) -> Markup:
    kind = f"node {node.kind}{' failed' if node.key in failed else ''}"
    box = tag(
        "rect",
        x=f"{node.x:.1f}",
        y=f"{node.y:.1f}",
        width=f"{node.width:.1f}",
        height=f"{node.height:.1f}",
        rx=8,
    )
    words = [
        tag(
            "text",
            line,
            x=f"{node.x + node.width / 2:.1f}",
            y=f"{node.y + 21 + 17 * number:.1f}",
            class_="name" if number == 0 else "about",
        )
        for number, line in enumerate(node.lines)
    ]
    return tag("g", box, words, class_=kind)


def failed_keys(steps: Sequence[str]) -> frozenset[str]:
    """Return steps as the picture names them."""
    return frozenset(f"steps.{step}" for step in steps)
