"""One step on one item: its inputs, its key, a result that is kept or made now.

Runs in the threads of `orchestrator.pipelines.scheduler`, which decides when.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from orchestrator.core.languages import LANGUAGE, TEXT
from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.core.pipelines.graph import Graph, Node
from orchestrator.core.pipelines.references import Reference
from orchestrator.jobs.job import Job, ignore_event
from orchestrator.pipelines.growing_lists import Flow, GrowingLists, KeptResult
from orchestrator.pipelines.job_runner import JobRunner, JobRunners, ModelUnusable
from orchestrator.pipelines.run_context import RunContext
from orchestrator.pipelines.run_events import Preparation, StepProgress, StepResult
from orchestrator.pipelines.step_values import (
    SKIPPED_BEFORE,
    Value,
    Values,
    described,
    for_step,
    resolve_inputs,
    skip_reason,
)
from orchestrator.steps import BuiltIn, Emit, Progress


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
        self._producers: dict[JobRunner | None, Recipe] = {}
        self._runners = JobRunners(context.jobs, _job(node, context), self._runner)

    def execute(self, look_up: Callable[[Reference], Any], flow: Flow) -> StepResult:
        """Run the step on one item, unless its result is kept.

        A step that takes lists while they grow is begun in any case: what it is kept under is known
        when they have ended. What it returns before is the same each time, and so are the keys of
        the steps that take it.

        Args:
            look_up: Returns the values of a reference for this item.
            flow: How the items of lists come and go.

        Raises:
            ModelUnusable: When no item can be run.
            MMError: When this item failed.
        """
        emitted: Counter[str] = Counter()

        def count(name: str, value: Value) -> None:
            emitted[name] += 1
            flow.emit(name, value)

        timings = Timings()
        try:
            recipe, made = self._execute(look_up, flow._replace(emit=count), timings)
        except KeptResult as kept:
            for name, values in kept.result.outputs.items():
                for value in values[emitted[name] :] if isinstance(values, tuple) else ():
                    flow.emit(name, value)
            timings.end("take")
            key, warnings = kept.result.key, kept.result.warnings
            return StepResult(key, timings.parts, kept.recipe, warnings, reused=True)
        except ModelUnusable as unusable:
            if not (self.node.signature.candidates and self.node.mapped):
                raise
            raise unusable.cause from unusable  # other items may have other models
        key = self._store.put(recipe, made.outputs, made.timings, made.warnings)
        timings.end("keep")
        return StepResult(key, timings.parts, recipe, made.warnings)

    def _execute(
        self, look_up: Callable[[Reference], Any], flow: Flow, timings: Timings
    ) -> tuple[Recipe, _Made]:
        """Run the step.

        Raises:
            KeptResult: When its result is there.
        """
        streams = self.node.streams
        inputs = resolve_inputs(self.node, look_up, without=streams)
        runner = self._runner_of(inputs)
        producer = self._producer(runner)
        timings.end("build")
        if not streams:
            recipe = self._recipe(inputs, producer)
            self._stop_if_kept(recipe)
            skipped = self._skip(inputs, timings)
            return recipe, skipped or self._make(runner, inputs, flow, timings)
        growing = GrowingLists(
            streams,
            flow.take,
            lambda: self._stop_if_kept(self.recipe(look_up)),
            gaps=self._gaps,
        )
        made = self._make(runner, inputs, flow, timings, growing.iterators)
        growing.exhaust()
        return self.recipe(look_up), made

    def _stop_if_kept(self, recipe: Recipe) -> None:
        if self.cacheable and self.node.id not in self._context.options.force:
            kept = self._store.find(recipe.key)
            if kept is not None:
                raise KeptResult(kept, recipe)

    def preload(self) -> None:
        """Have the model loaded that runs the items; none where each item's own text chooses it.

        Raises:
            ModelUnusable: When it cannot be loaded, and no item can be run.
        """
        if self.node.signature.candidates:
            return  # the likeliest one may be built and loaded for nothing
        runner = self._runners.of({})
        runner.produced_by()
        runner.load()

    def model(self, look_up: Callable[[Reference], Any]) -> str:
        """Return the model that runs one item; empty where none does.

        Raises:
            MMError: When no model speaks its language.
        """
        runner = self._runner_of(resolve_inputs(self.node, look_up))
        return "" if runner is None else runner.model

    def recipe(self, look_up: Callable[[Reference], Any]) -> Recipe:
        """Return what decides the result for one item."""
        inputs = resolve_inputs(self.node, look_up)
        return self._recipe(inputs, self._producer(self._runner_of(inputs)))

    @property
    def cacheable(self) -> bool:
        """Whether a result can stand for a run; not where the effect is outside of it."""
        return self._builtin is None or self._builtin.kept

    def _make(
        self,
        runner: JobRunner | None,
        inputs: Mapping[str, Values],
        flow: Flow,
        timings: Timings,
        growing: Mapping[str, Iterator[Any]] = MappingProxyType({}),
    ) -> _Made:
        """Run the step; `growing` are more of its inputs."""
        builtin = self._builtin
        flow.permit()
        arguments = {name: for_step(each, gaps=self._gaps) for name, each in inputs.items()}
        timings.end("take")
        if builtin is not None:
            outputs, warnings = self._transform(builtin, {**arguments, **growing}, flow)
            timings.end("run")
            return _Made(outputs, {"run": timings.parts["run"]}, warnings)
        assert runner is not None
        runner.load()
        timings.end("ready")
        kinds = self.node.signature.outputs
        with runner.run(arguments, _language_of(inputs)) as result:
            timings.end("wait", result.timings)
            kept = {
                name: self._store.keep_output(kinds[name].type, value)
                for name, value in result.items()
                if name in kinds
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

    @property
    def _gaps(self) -> bool:
        return self._builtin is not None and self._builtin.gaps

    def _recipe(self, inputs: Mapping[str, Values], made_by: Recipe) -> Recipe:
        named = self._builtin is not None and self._builtin.named
        covered = {name: described(values, named=named) for name, values in inputs.items()}
        if reason := self._skip_reason(inputs):
            covered["passed over"] = reason  # a step that runs once has another result for the same
        return Recipe(made_by.producer, covered, made_by.identity)

    def _runner_of(self, inputs: Mapping[str, Values]) -> JobRunner | None:
        """Return what runs the model of an item; None where no model runs."""
        if self._builtin is not None or (
            self.node.signature.candidates and self._skip_reason(inputs)
        ):
            return None
        found = {name: inputs.get(name) for name in (TEXT, LANGUAGE)}
        given = {name: one.data for name, one in found.items() if isinstance(one, Value)}
        return self._runners.of(given, _language_of(inputs))

    def _producer(self, runner: JobRunner | None) -> Recipe:
        """Return what decides the result of an item beside its inputs; build what is missing."""
        from orchestrator.steps.registry import producer

        if runner not in self._producers:
            parts: Mapping[str, Any] = {"task": self.node.step.run}  # of an item passed over
            if self._builtin is not None:
                parts = producer(self.node.signature.name)
            elif runner is not None:
                parts = runner.produced_by()
            self._producers[runner] = Recipe(parts, {})
        return self._producers[runner]

    def _runner(self, job: Job) -> JobRunner:
        context = self._context

        def report(part: str, began: float, seconds: float) -> None:
            context.on_event(Preparation(self.node.id, part, began, seconds))

        return JobRunner(context.jobs, job, context.options.retries, context.in_flight, report)

    def _transform(
        self, builtin: BuiltIn, arguments: Mapping[str, Any], flow: Flow
    ) -> tuple[dict[str, Values], tuple[str, ...]]:
        kinds = self.node.signature.outputs
        warnings: list[str] = []
        outputs: dict[str, Any] = {name: [] for name, kind in kinds.items() if kind.many}
        directory = self._context.scratch()
        try:
            with (
                self._context.in_flight.cancellation() as cancellation,
                closing(builtin.run(arguments, directory, cancellation)) as emitted,
            ):
                while True:
                    flow.permit()
                    one = next(emitted, None)
                    if one is None:
                        break
                    if isinstance(one, Progress):
                        self._context.on_event(StepProgress(self.node.id, one.done, one.total))
                        continue
                    if not one.output:
                        warnings.append(one.value)
                        continue
                    kind = kinds[one.output]
                    value = self._adopt(kind.type, one, directory)
                    if kind.many:
                        outputs[one.output].append(value)
                        flow.emit(one.output, value)
                    else:
                        outputs[one.output] = value
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return {
            name: tuple(values) if isinstance(values, list) else values
            for name, values in outputs.items()
        }, tuple(warnings)

    def _adopt(self, kind: str, emitted: Emit, directory: Path) -> Value:
        value, label = emitted.value, emitted.label
        if not isinstance(value, Path):
            return Value(kind, value, label=label, language=emitted.language)
        if value.is_relative_to(directory):
            return self._store.keep_file(kind, value, label)
        return Value(kind, file=value, label=label)


def _language_of(inputs: Mapping[str, Values]) -> str:
    """Return the language of what is spoken, where the step that made the text knows it."""
    text = inputs.get(TEXT)
    return text.language if isinstance(text, Value) else ""


def _job(node: Node, context: RunContext) -> Job:
    """Return what all jobs of a step have in common."""
    step, name, on_event = node.step, node.runs, context.on_job_event
    return Job(
        name,
        device=step.device,
        dtype=step.dtype,
        timeout=step.timeout,
        workers=step.workers,
        on_event=ignore_event if on_event is None else partial(on_event, name),
        models=context.models,
        candidates=node.signature.candidates,
    )
