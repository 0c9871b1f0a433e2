"""The graph of a pipeline without a mistake: its steps in order, and what flows between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from orchestrator.core.pipelines.declaration import Declaration, Step
from orchestrator.core.pipelines.references import Reference, Template, references_in
from orchestrator.core.pipelines.step_signatures import Kind, Signature, port_of


@dataclass(frozen=True)
class Node:
    """One step of a checked pipeline.

    Attributes:
        step: What was declared.
        signature: What it takes and returns.
        templates: What it is given, by input.
        source: The list that it runs over, if it does.
    """

    step: Step
    signature: Signature
    templates: Mapping[str, Template]
    source: Reference | None

    @property
    def id(self) -> str:
        """What references call it."""
        return self.step.id

    @property
    def runs(self) -> str:
        """What runs it: the model, the built-in step, or the task whose models share its items."""
        return self.step.run if self.signature.candidates else self.signature.name

    @property
    def mapped(self) -> bool:
        """Whether it runs once for each item of a list."""
        return self.source is not None

    @property
    def follows(self) -> str:
        """The step whose items it runs over, one by one; empty where there is none."""
        return self.source.step if self.source is not None else ""

    @cached_property
    def streams(self) -> Mapping[str, Reference]:
        """By input, the list of another step that it takes while the list grows."""
        ports = {} if self.mapped else self.signature.inputs
        return {
            name: template
            for name, template in self.templates.items()
            if isinstance(template, Reference)
            and template.step
            and name in ports
            and ports[name].streamed
        }

    @cached_property
    def waits_for(self) -> frozenset[str]:
        """The steps of which it needs everything before it can begin."""
        whole = [each for name, each in self.templates.items() if name not in self.streams]
        return frozenset(one.step for each in whole for one in references_in(each) if one.step)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The steps that come before it."""
        streamed = {each.step for each in self.streams.values()}
        return self.waits_for | streamed | ({self.follows} if self.follows else set())

    @property
    def takes_from(self) -> list[str]:
        """What it takes from, once each: `inputs.NAME` or `steps.ID`."""
        references = self._references()
        if self.source is not None:
            references.append(self.source)
        named = (_origin(each) for each in references if each.root in ("inputs", "steps"))
        return list(dict.fromkeys(named))

    def output(self, name: str) -> Kind:
        """Return the type of an output as other steps see it."""
        kind = self.signature.outputs[name]
        return Kind(kind.type, many=True) if self.mapped else kind

    def _references(self) -> list[Reference]:
        return [each for template in self.templates.values() for each in references_in(template)]


@dataclass(frozen=True)
class Graph:
    """A pipeline without a mistake.

    Attributes:
        declaration: What was declared.
        nodes: By id, each after all that it needs.
        outputs: What each output is, and its type; the first is the primary one.
    """

    declaration: Declaration
    nodes: Mapping[str, Node]
    outputs: Mapping[str, tuple[Reference, Kind]]

    @property
    def primary(self) -> str:
        """The output that `-o OUT` names."""
        return next(iter(self.outputs))

    def document(self) -> dict[str, Any]:
        """Return it as plain data for the record of a run: names, types, and what takes from what.

        What a step takes from is `inputs.NAME` or `steps.ID`.
        """
        return {
            "name": self.declaration.name,
            "summary": self.declaration.summary,
            "inputs": {
                name: str(port_of(declared).kind)
                for name, declared in self.declaration.inputs.items()
            },
            "steps": [_step_document(node) for node in self.nodes.values()],
            "outputs": {
                name: {"step": reference.step, "output": reference.name, "type": str(kind)}
                for name, (reference, kind) in self.outputs.items()
            },
        }


def topological_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names so that each stands after all that it needs, otherwise in the given order.

    Args:
        needs: For each name the names that it needs; names that are no keys are passed over.

    Raises:
        graphlib.CycleError: When some need each other; its second argument is a list of names of
            which each is needed by the next, and the last is the first.
    """
    sorter = TopologicalSorter(
        {name: [n for n in its if n in needs] for name, its in needs.items()}
    )
    sorter.prepare()
    position = {name: number for number, name in enumerate(needs)}
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=position.__getitem__)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order


def _step_document(node: Node) -> dict[str, Any]:
    source = node.source
    return {
        "id": node.id,
        "run": node.step.run,
        "name": node.runs,
        "model": node.signature.model,
        "candidates": list(node.signature.candidates),
        "workers": node.step.workers,
        "foreach": None if source is None else _origin(source),
        "list": None if source is None else source.name,
        "takes": node.takes_from,
        "inputs": {name: str(port.kind) for name, port in node.signature.inputs.items()},
        "outputs": {name: str(kind) for name, kind in node.signature.outputs.items()},
    }


def _origin(reference: Reference) -> str:
    return f"steps.{reference.step}" if reference.step else f"inputs.{reference.name}"
