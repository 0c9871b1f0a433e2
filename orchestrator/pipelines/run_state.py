"""What references stand for while a pipeline runs: its inputs, and the results there are so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.core.pipelines.graph import Graph
from orchestrator.core.pipelines.references import Reference
from orchestrator.errors import MMError, UsageError
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.step_state import StepState, initial_state
from orchestrator.pipelines.step_values import Value, Values


class RunState:
    """The inputs, the states of all steps, and the results, as one run sees them.

    Results are read from the store each time: what is held here is the key of each.

    Args:
        graph: The checked pipeline.
        inputs: The pipeline's inputs by name; those left out are missing.
        store: Where results are.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, Values], store: ResultStore) -> None:
        self.inputs = inputs
        self.states = {node.id: initial_state(node) for node in graph.nodes.values()}
        self._store = store

    def value(self, reference: Reference) -> Any:
        """Return what a reference stands for: a value, a list, or UNSET where it was left out."""
        if reference.root == "inputs":
            return self.inputs.get(reference.name, msgspec.UNSET)
        state = self.states[reference.step]
        if not state.node.mapped:
            return self.output(reference, 0)
        found = (self.output(reference, index) for index in range(state.begun))
        return tuple(each for each in found if each is not msgspec.UNSET)

    def output(self, reference: Reference, index: int) -> Any:
        """Return the output of a step for one item, or UNSET where it gave none.

        Raises:
            MMError: When its result was taken away meanwhile.
        """
        state = self.states[reference.step]
        key = state.keys[index] if index < state.begun else None
        if not key:
            return msgspec.UNSET
        kept = self._store.find(key.hex())
        if kept is None:
            raise MMError(
                f"the result of {reference.step} is no longer there",
                fix="run the pipeline again, and clean nothing while it runs",
            )
        return kept.outputs.get(reference.name, msgspec.UNSET)

    def label(self, state: StepState, index: int) -> str:
        """Return what people call an item of a step; empty where the step runs once."""
        source = state.node.source
        if source is None:
            return ""
        before = self.states.get(source.step)
        if before is not None and before.node.mapped:
            return self.label(before, index)
        return self.item(source, index).label or f"item {index + 1}"

    def list(self, source: Reference) -> tuple[Value, ...]:
        """Return the items of an input that is a list."""
        values = self.inputs.get(source.name, ())
        assert isinstance(values, tuple)
        return values

    def look_up(self, state: StepState, index: int, reference: Reference) -> Any:
        """Return what a reference in a step stands for, while it runs on an item.

        Raises:
            UsageError: When the step before gave no such output for this item.
        """
        if reference.root == "index":
            return Value("integer", index + 1)
        if reference.root != "item":
            return self.value(reference)
        source = state.node.source
        assert source is not None
        value = self.item(source, index)
        if value is msgspec.UNSET:
            raise UsageError(f"{source} gave nothing for this item")
        return value

    def item(self, source: Reference, index: int) -> Any:
        """Return an item of a list: an input, or what a step has returned."""
        if source.root == "inputs":
            return self.list(source)[index]
        before = self.states[source.step]
        return (
            self.output(source, index) if before.node.mapped else before.flows[source.name][index]
        )
