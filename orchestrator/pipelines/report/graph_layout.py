"""Where the nodes of a pipeline's graph stand: inputs at the left, steps, outputs at the right.

Nodes stand in columns, each right of all that it takes from; a line that passes columns gets a
place of its own in each, so that it crosses no node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

LETTER = 7.3
"""Pixels that a letter takes, about."""

PADDING, GAP, ABOVE = 12, 34, 18
LONGEST = 26
"""Letters of a line in a node."""


@dataclass
class Box:
    """A box of the graph, or a place that a line passes, which has no text.

    Attributes:
        key: `inputs.NAME`, `steps.ID` or `outputs.NAME`.
        kind: "input", "step", "output" or "bend".
        lines: Its text.
        takes: The nodes from which lines come.
        column: Its column, counted from 0.
        failed: Whether something failed in it.
        x: Its left edge in pixels.
        y: Its upper edge in pixels.
    """

    key: str
    kind: str
    lines: list[str]
    takes: list[str] = field(default_factory=list)
    column: int = 0
    failed: bool = False
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """Pixels."""
        longest = max((len(line) for line in self.lines), default=0)
        return 2 * PADDING + LETTER * longest if self.lines else 0

    @property
    def height(self) -> float:
        """Pixels."""
        return 14 + 17 * len(self.lines) if self.lines else 10

    @property
    def middle(self) -> float:
        """Pixels from above to its middle, where lines begin and end."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class GraphLayout:
    """A graph with its places.

    Attributes:
        nodes: By key.
        lines: From which node to which.
        width: Pixels.
        height: Pixels.
    """

    nodes: Mapping[str, Box]
    lines: Collection[tuple[Box, Box]]
    width: float
    height: float


def lay_out(
    graph: Mapping[str, Any], counts: Mapping[str, str], failed: Collection[str]
) -> GraphLayout:
    """Return the places of a graph's nodes.

    Args:
        graph: As `Graph.document` returns it.
        counts: How the items of each step ended, in words.
        failed: Steps of which something failed.
    """
    nodes = _nodes(graph, counts, failed)
    lines = _with_bends(nodes)
    width, height = _place(nodes)
    return GraphLayout(nodes, [(nodes[one], nodes[other]) for one, other in lines], width, height)


def shortened(text: str, length: int) -> str:
    """Return a text, cut in the middle where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _nodes(
    graph: Mapping[str, Any], counts: Mapping[str, str], failed: Collection[str]
) -> dict[str, Box]:
    nodes: dict[str, Box] = {}

    def add(key: str, kind: str, lines: list[str], takes: list[str], column: int) -> None:
        cut = [shortened(line, LONGEST) for line in lines if line]
        nodes[key] = Box(key, kind, cut, takes, column)

    for name, kind in graph["inputs"].items():
        add(f"inputs.{name}", "input", [name, kind], [], 0)
    for step in graph["steps"]:
        each = "each: " if step["foreach"] else ""
        lines = [step["id"], each + step["name"], counts.get(step["id"], "")]
        column = 1 + max((nodes[one].column for one in step["takes"]), default=0)
        add(f"steps.{step['id']}", "step", lines, list(step["takes"]), column)
        nodes[f"steps.{step['id']}"].failed = step["id"] in failed
    last = 1 + max((node.column for node in nodes.values()), default=0)
    for name, output in graph["outputs"].items():
        lines = [name, output["type"]]
        add(f"outputs.{name}", "output", lines, [f"steps.{output['step']}"], last)
    return nodes


def _with_bends(nodes: dict[str, Box]) -> list[tuple[str, str]]:
    """Return the lines from node to node; where one passes columns, nodes without text are added.

    Lines from one node share these.
    """
    lines: dict[tuple[str, str], None] = {}
    for node in list(nodes.values()):
        for taken in node.takes:
            before = taken
            for column in range(nodes[taken].column + 1, node.column):
                bend = f"{taken}@{column}"
                nodes.setdefault(bend, Box(bend, "bend", [], [before], column))
                lines[before, bend] = None
                before = bend
            lines[before, node.key] = None
    for node in nodes.values():
        node.takes = [one for one, other in lines if other == node.key]
    return list(lines)


def _place(nodes: Mapping[str, Box]) -> tuple[float, float]:
    """Give every node its place; return the size of the whole."""
    columns: dict[int, list[Box]] = {}
    for node in nodes.values():
        columns.setdefault(node.column, []).append(node)
    heights = {
        column: sum(each.height + ABOVE for each in its) - ABOVE for column, its in columns.items()
    }
    tallest = max(heights.values(), default=0)
    x = 1.0
    for column in sorted(columns):
        its = sorted(columns[column], key=lambda node: _mean([nodes[o].middle for o in node.takes]))
        width = max(each.width for each in its)
        y = 1 + (tallest - heights[column]) / 2
        for node in its:
            node.x, node.y = x + (width - node.width) / 2, y
            y += node.height + ABOVE
        x += width + GAP
    return x - GAP + 1, tallest + 2


def _mean(places: list[float]) -> float:
    return sum(places) / len(places) if places else 0.0
