"""A checked pipeline as plain data, for the record of a run: what it was when it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.core.pipelines.references import Reference, references_in
from orchestrator.core.pipelines.signatures import port_of

if TYPE_CHECKING:
    from orchestrator.core.pipelines.checking import Graph, Node


def sketch(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain data: names, types, and what takes from what.

    What a step takes from is told as `inputs.NAME` or `steps.ID`.
    """
    return {
        "name": graph.declaration.name,
        "summary": graph.declaration.summary,
        "inputs": {
            name: str(port_of(declared).kind) for name, declared in graph.declaration.inputs.items()
        },
        "steps": [_step(node) for node in graph.nodes.values()],
        "outputs": {
            name: {"step": reference.step, "output": reference.name, "type": str(kind)}
            for name, (reference, kind) in graph.outputs.items()
        },
    }


def _step(node: Node) -> dict[str, Any]:
    source = node.source
    return {
        "id": node.id,
        "run": node.step.run,
        "name": node.signature.name,
        "model": node.signature.model,
        "workers": node.step.workers,
        "foreach": None if source is None else _maker(source),
        "list": None if source is None else source.name,
        "takes": makers(node),
        "inputs": {name: str(port.kind) for name, port in node.signature.inputs.items()},
        "outputs": {name: str(kind) for name, kind in node.signature.outputs.items()},
    }


def makers(node: Node) -> list[str]:
    """Return what a step takes from, once each: `inputs.NAME` or `steps.ID`."""
    references = [each for one in node.templates.values() for each in references_in(one)]
    if node.source is not None:
        references.append(node.source)
    named = (_maker(each) for each in references if each.root in ("inputs", "steps"))
    return list(dict.fromkeys(named))


def _maker(reference: Reference) -> str:
    return f"steps.{reference.step}" if reference.step else f"inputs.{reference.name}"
