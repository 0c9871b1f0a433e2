"""One step on one item: its inputs, its key, a result that is kept or made now.

Runs in the threads of `orchestrator.pipelines.scheduler`, which decides when.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.core.pipelines.graph import Graph, Node
from orchestrator.core.pipelines.references import Reference
from orchestrator.jobs.job import Job, ignore_event
from orchestrator.pipelines.job_runner import JobRunner
from orchestrator.pipelines.run_context import RunContext
from orchestrator.pipelines.run_events import Preparation, StepResult
from orchestrator.pipelines.step_values import (
    SKIPPED_BEFORE,
    Value,
    Values,
    described,
    for_step,
    resolve_inputs,
    skip_reason,
)
from orchestrator.steps import BuiltIn

Emitter = Callable[[str, Value], None]
"""Takes the items of an output that is a list, one by one."""

Permit = Callable[[], None]
"""Waits until a step may go on, or raises to end it."""


class Timings:
    """Seconds by part of one piece of work, in the order in which the parts came."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, part: str, within: Mapping[str, float] | None = None) -> None:
        """End a part: what is left of the time since the last end, after the parts in `within`."""
        now = time.perf_counter()
        inner = within or {}
        self.parts[part] = max(0.0, now - self._last - sum(inner.values()))
        self.parts.update(inner)
        self._last = now


class _Made(NamedTuple):
    """What a step made of an item, how long it took, and why it may not be what was asked for."""

    outputs: Mapping[str, Values]
    timings: Mapping[str, float]
    warnings: tuple[str, ...] = ()


def step_executors(graph: Graph, context: RunContext) -> dict[str, StepExecutor]:
    """Return the executor of each step of a run."""
    return {name: StepExecutor(node, context) for name, node in graph.nodes.items()}


class StepExecutor:
    """Executes one step; several threads may call `execute` at once.

    Args:
        node: The step.
        context: What all steps of the run share.
    """

    def __init__(self, node: Node, context: RunContext) -> None:
        self.node = node
        self._context = context
        self._store = context.store
        self._lock = threading.Lock()
        self._known: tuple[Mapping[str, Any], str] | None = None
        retries, in_flight = context.options.retries, context.in_flight
        self._runner = JobRunner(context.jobs, _job(node, context), retries, in_flight)

    def execute(
        self, look_up: Callable[[Reference], Any], emit: Emitter, permit: Permit
    ) -> StepResult:
        """Run the step on one item, unless its result is kept.

        Args:
            look_up: Returns the values of a reference for this item.
            emit: Takes the items of lists as they come.
            permit: Called before the step runs and before each such item is made.

        Raises:
            ModelUnusable: When no item can be run.
            MMError: When this item failed.
        """
        timings = Timings()
        self._producer()
        timings.end("build")
        inputs = resolve_inputs(self.node, look_up)
        recipe = self._recipe(inputs)
        if self.cacheable and self.node.id not in self._context.options.force:
            kept = self._store.find(recipe.key)
            if kept is not None:
                for name, values in kept.outputs.items():
                    for value in values if isinstance(values, tuple) else ():
                        emit(name, value)
                timings.end("take")
                return StepResult(kept.key, timings.parts, recipe, kept.warnings, reused=True)
        made = self._skip(inputs, timings) or self._make(inputs, emit, permit, timings)
        key = self._store.put(recipe, made.outputs, made.timings, made.warnings)
        timings.end("keep")
        return StepResult(key, timings.parts, recipe, made.warnings)

    def prepare(self) -> None:
        """Have the model loaded, once; where that fails, it fails for every item.

        Raises:
            ModelUnusable: When it cannot be loaded.
        """
        if self._builtin is None:
            self._producer()
            began, started = time.time(), time.perf_counter()
            if self._runner.load():
                self._report("load", began, started)

    def recipe(self, look_up: Callable[[Reference], Any]) -> Recipe:
        """Return what decides the result for one item."""
        return self._recipe(resolve_inputs(self.node, look_up))

    @property
    def cacheable(self) -> bool:
        """Whether a result can stand for a run; not where the effect is outside of it."""
        return self._builtin is None or self._builtin.kept

    def _make(
        self, inputs: Mapping[str, Values], emit: Emitter, permit: Permit, timings: Timings
    ) -> _Made:
        """Run the step."""
        builtin = self._builtin
        permit()
        gaps = builtin is not None and builtin.gaps
        arguments = {name: for_step(values, gaps=gaps) for name, values in inputs.items()}
        timings.end("take")
        if builtin is not None:
            outputs = self._transform(builtin, arguments, emit, permit)
            timings.end("run")
            return _Made(outputs, {"run": timings.parts["run"]})
        self.prepare()
        timings.end("ready")
        kinds = self.node.signature.outputs
        with self._runner.run(arguments) as result:
            timings.end("wait", result.timings)
            kept = {
                name: self._store.keep_output(kinds[name].type, value)
                for name, value in result.items()
            }
        return _Made(kept, result.timings, result.warnings)

    def _skip(self, inputs: Mapping[str, Values], timings: Timings) -> _Made | None:
        """Return empty outputs for an item that there is nothing to do for."""
        reason = self._skip_reason(inputs)
        if not reason:
            return None
        timings.end("take")
        kinds = self.node.signature.outputs
        outputs: dict[str, Values] = {name: Value(kind.type) for name, kind in kinds.items()}
        return _Made(outputs, {}, () if reason == SKIPPED_BEFORE else (f"{reason}; passed over",))

    def _skip_reason(self, inputs: Mapping[str, Values]) -> str:
        """Return why an item is skipped, which only one of a list is; empty where it runs."""
        return skip_reason(self.node.signature, inputs) if self.node.mapped else ""

    @property
    def _builtin(self) -> BuiltIn | None:
        from orchestrator.steps import builtin

        return None if self.node.signature.model else builtin(self.node.signature.name)

    def _recipe(self, inputs: Mapping[str, Values]) -> Recipe:
        producer, identity = self._producer()
        named = self._builtin is not None and self._builtin.named
        covered = {name: described(values, named=named) for name, values in inputs.items()}
        if reason := self._skip_reason(inputs):
            covered["passed over"] = reason  # a step that runs once has another result for the same
        return Recipe(producer, covered, identity)

    def _producer(self) -> tuple[Mapping[str, Any], str]:
        from orchestrator.steps.registry import producer

        with self._lock:
            if self._known is None:
                if self._builtin is not None:
                    parts: Mapping[str, Any] = producer(self.node.signature.name)
                else:
                    began, started = time.time(), time.perf_counter()
                    parts = self._runner.produced_by()
                    self._report("environment", began, started)
                self._known = (parts, Recipe(parts, {}).identity)
            return self._known

    def _report(self, part: str, began: float, started: float) -> None:
        seconds = time.perf_counter() - started
        self._context.on_event(Preparation(self.node.id, part, began, seconds))

    def _transform(
        self, builtin: BuiltIn, arguments: Mapping[str, Any], emit: Emitter, permit: Permit
    ) -> dict[str, Values]:
        kinds = self.node.signature.outputs
        outputs: dict[str, Any] = {name: [] for name, kind in kinds.items() if kind.many}
        directory = self._context.scratch()
        try:
            with (
                self._context.in_flight.cancellation() as cancellation,
                closing(builtin.run(arguments, directory, cancellation)) as emitted,
            ):
                while True:
                    permit()
                    one = next(emitted, None)
                    if one is None:
                        break
                    kind = kinds[one.output]
                    value = self._adopt(kind.type, one.value, one.label, directory)
                    if kind.many:
                        outputs[one.output].append(value)
                        emit(one.output, value)
                    else:
                        outputs[one.output] = value
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return {
            name: tuple(values) if isinstance(values, list) else values
            for name, values in outputs.items()
        }

    def _adopt(self, kind: str, value: Any, label: str, directory: Path) -> Value:
        if not isinstance(value, Path):
            return Value(kind, value, label=label)
        if value.is_relative_to(directory):
            return self._store.keep_file(kind, value, label)
        return Value(kind, file=value, label=label)


def _job(node: Node, context: RunContext) -> Job:
    """Return what all jobs of a step have in common."""
    step, name, on_event = node.step, node.signature.name, context.on_job_event
    return Job(
        name,
        device=step.device,
        dtype=step.dtype,
        timeout=step.timeout,
        workers=step.workers,
        on_event=ignore_event if on_event is None else partial(on_event, name),
        models=context.models,
    )
