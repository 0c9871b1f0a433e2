"""A pipeline as lines of text: its steps in order, with what flows into each of them."""

from __future__ import annotations

from orchestrator.core.pipelines.graph import Graph, Node
from orchestrator.core.pipelines.step_signatures import port_of


def draw(graph: Graph) -> list[str]:
    """Return the graph as lines: one column of lines for values on their way, then the steps.

    A value's line begins at the step (or input) that makes it and ends at the last that takes it.
    """
    rows = _rows(graph)
    last = _last_use(rows)
    lanes: list[str] = []
    lines: list[str] = []
    for label, makes, takes in rows:
        ending = [name for name in takes if last.get(name) == label]
        lines.append(_node_line(lanes, takes, ending, label))
        lanes = ["" if name in ending else name for name in lanes]
        for name in makes:
            if name in last:
                _open_lane(lanes, name)
        while lanes and not lanes[-1]:
            lanes.pop()
        if lanes:
            lines.append("".join("│ " if name else "  " for name in lanes).rstrip())
    return lines[:-1] if lines and set(lines[-1]) <= {"│", " "} else lines


_Row = tuple[str, list[str], list[str]]
"""What stands on a line, the makers whose values begin there, and those whose values it takes."""


def _rows(graph: Graph) -> list[_Row]:
    rows: list[_Row] = []
    for name, declared in graph.declaration.inputs.items():
        rows.append((f"{name} ({port_of(declared).kind})", [f"inputs.{name}"], []))
    rows += [(_label(node), [f"steps.{node.id}"], node.takes_from) for node in graph.nodes.values()]
    for name, (reference, kind) in graph.outputs.items():
        rows.append((f"{name} ({kind})", [], [f"steps.{reference.step}"]))
    return rows


def _label(node: Node) -> str:
    name = node.runs
    run = name if name == node.step.run else f"{node.step.run} → {name}"
    if node.signature.candidates:
        run += f", by language ({', '.join(node.signature.candidates)})"
    each = f", for each of {node.source}" if node.source is not None else ""
    workers = f", {node.step.workers} workers" if node.step.workers > 1 else ""
    return f"{node.id}: {run}{each}{workers}"


def _last_use(rows: list[_Row]) -> dict[str, str]:
    return {name: label for label, _, takes in rows for name in takes}


def _open_lane(lanes: list[str], name: str) -> None:
    free = next((index for index, lane in enumerate(lanes) if not lane), None)
    if free is None:
        lanes.append(name)
    else:
        lanes[free] = name


def _node_line(lanes: list[str], takes: list[str], ending: list[str], label: str) -> str:
    """Return the line of a step: lines that it takes from turn into it, others pass."""
    touched = [index for index, name in enumerate(lanes) if name in takes]
    first = touched[0] if touched else len(lanes)
    line = ""
    for index, name in enumerate(lanes):
        taken = index in touched
        if index < first:
            line += "│ " if name else "  "
        elif taken:
            line += "└─" if name in ending else "├─"
        else:
            line += "┼─" if name else "──"
    return f"{line}○ {label}" if touched else f"{line}● {label}"
