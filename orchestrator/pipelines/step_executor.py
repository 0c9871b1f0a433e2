"""One step on one item: its inputs, its key, a result that is kept or made now.

Runs in the threads of `orchestrator.pipelines.scheduler`, which decides when.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from orchestrator.core.pipelines.cache_key import Recipe
from orchestrator.core.pipelines.references import Reference, value_of
from orchestrator.errors import (
    Cancelled,
    Crashed,
    EnvironmentFailure,
    JobFailed,
    ManifestError,
    MemoryRefused,
    MMError,
    OutputError,
    SourceError,
    TimedOut,
)
from orchestrator.jobs.job import Job, ignore_event
from orchestrator.pipelines.in_flight import InFlightJobs, Timings
from orchestrator.pipelines.step_values import Value, Values, described, for_step, given
from orchestrator.results import Artifact, Audio

if TYPE_CHECKING:
    from orchestrator.core.pipelines.graph import Node
    from orchestrator.core.pipelines.step_signatures import Signature
    from orchestrator.jobs.job import Event
    from orchestrator.pipelines.result_store import ResultStore
    from orchestrator.results import Result
    from orchestrator.steps import BuiltIn

WORTH_RETRYING = (JobFailed, OutputError, Crashed, TimedOut)
"""Failures that another attempt may not meet; a rejected input stays rejected."""

NOBODYS_FAULT = (EnvironmentFailure, ManifestError, MemoryRefused, SourceError)
"""Failures that every other item of the step would meet as well."""

PASSED_BEFORE = "the step before passed it over"
"""Why an item has no value for an input; the step before has said so."""

Emitter = Callable[[str, Value], None]
"""Takes the items of an output that is a list, one by one; waits where they come too fast."""

Permit = Callable[[], None]

Prepared = Callable[[str, float, float], None]
"""Hears that an "environment" or a "load" began then and took so many seconds."""


def ignore_prepared(part: str, began: float, seconds: float) -> None:
    """Hear nothing of environments and loads."""


@contextmanager
def _timed(part: str, told: Prepared) -> Iterator[None]:
    """Tell how long the body took, where it ended well."""
    began, started = time.time(), time.perf_counter()
    yield
    told(part, began, time.perf_counter() - started)


class Jobs(Protocol):
    """Runs jobs, in several threads at once; a `Session` does."""

    def produced_by(self, job: Job) -> Mapping[str, Any]:
        """Return what decides the results, beside the inputs; build what is missing first.

        Raises:
            MMError: When the model cannot run here.
        """

    def load(self, job: Job) -> None:
        """Have one worker of the model loaded; does nothing where there is one.

        Raises:
            MMError: When it does not load.
        """

    def execute(self, job: Job) -> Result:
        """Run one job.

        Raises:
            MMError: As the job ended.
        """


def ignore_model_event(model: str, event: Event) -> None:
    """Do nothing with an event of a model's job."""


class ModelUnusable(Exception):
    """The step can run for no item; `cause` says why."""

    def __init__(self, cause: MMError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class StepResult:
    """How a step on one item ended well.

    Attributes:
        key: What its result is kept under.
        reused: Whether the result was there before.
        timings: Seconds by part of this run, in the order in which the parts came: "build"
            (until the environment was there), "take" (the inputs read and hashed, a kept result
            looked for), "ready" (until the model was
            loaded), "wait" (for a worker that was free), "load" (of a further worker), "run",
            "keep" (the result written).
        recipe: What decides the result.
        warnings: Why the result may not be what was asked for.
    """

    key: str
    reused: bool
    timings: Mapping[str, float]
    recipe: Recipe
    warnings: tuple[str, ...] = ()


class _Made(NamedTuple):
    """What a step made of an item, how long it took, and why it may not be what was asked for."""

    outputs: Mapping[str, Values]
    timings: Mapping[str, float]
    warnings: tuple[str, ...] = ()


class Loading:
    """The first load of a model, made once for all who need it."""

    def __init__(
        self, jobs: Jobs, job: Job, in_flight: InFlightJobs, told: Prepared = ignore_prepared
    ) -> None:
        self._jobs = jobs
        self._job = job
        self._in_flight = in_flight
        self._told = told
        self._lock = threading.Lock()
        self._done = False
        self._unusable: ModelUnusable | None = None

    def ensure(self) -> None:
        """Have the model loaded; where that fails, it fails for whoever asks.

        Raises:
            ModelUnusable: When it cannot be loaded.
            Cancelled: When everything was stopped meanwhile.
        """
        with self._lock:
            if self._unusable is not None:
                raise self._unusable
            if self._done:
                return
            try:
                with _timed("load", self._told), self._in_flight.cancellation() as cancellation:
                    self._jobs.load(replace(self._job, cancellation=cancellation))
            except Cancelled:
                raise
            except MMError as error:
                self._unusable = ModelUnusable(error)
                raise self._unusable from error
            self._done = True


class StepExecutor:
    """Does the work of one step; several threads may call `perform` at once.

    Args:
        node: The step.
        jobs: Runs jobs of models.
        store: Where results are kept.
        scratch: Makes an empty directory for a built-in step.
        retries: How often a job that failed is tried again.
        force: Whether results that are kept are not used.
        in_flight: Where running jobs are counted.
        began: Called once, when it is certain that the step has something to run.
        told: Hears how long the environment and the first load took.
        on_event: Called with a model's name and each event of its jobs.
    """

    def __init__(
        self,
        node: Node,
        jobs: Jobs,
        store: ResultStore,
        scratch: Callable[[], Path],
        *,
        retries: int,
        force: bool,
        in_flight: InFlightJobs,
        began: Callable[[], None] = lambda: None,
        told: Prepared = ignore_prepared,
        on_event: Callable[[str, Event], None] = ignore_model_event,
    ) -> None:
        self.node = node
        self._jobs = jobs
        self._store = store
        self._scratch = scratch
        self._retries = retries
        self._force = force
        self._in_flight = in_flight
        self._began = began
        self._told = told
        self._lock = threading.Lock()
        self._known: tuple[Mapping[str, Any], str] | None = None
        self._has_begun = False
        self._job = _job(node, on_event)
        self._loading = Loading(jobs, self._job, in_flight, told)

    def perform(
        self, look_up: Callable[[Reference], Any], emit: Emitter, permit: Permit
    ) -> StepResult:
        """Run the step on one item, unless its result is kept.

        Args:
            look_up: Returns the values of a reference for this item.
            emit: Takes the items of lists as they come.
            permit: Called before each such item is made; waits, or raises to end the step.

        Raises:
            ModelUnusable: When no item can be run.
            MMError: When this item failed.
        """
        laps = Timings()
        self._producer()
        laps.end("build")
        inputs = self._inputs(look_up)
        recipe = self._recipe(inputs)
        if self.keeps and not self._force:
            kept = self._store.find(recipe.key)
            if kept is not None:
                for name, values in kept.outputs.items():
                    for value in values if isinstance(values, tuple) else ():
                        emit(name, value)
                laps.end("take")
                return StepResult(
                    kept.key, reused=True, timings=laps.parts, recipe=recipe, warnings=kept.warnings
                )
        made = self._pass_over(inputs, laps) or self._make(inputs, emit, permit, laps)
        key = self._store.put(recipe, made.outputs, made.timings, made.warnings)
        laps.end("keep")
        return StepResult(
            key, reused=False, timings=laps.parts, recipe=recipe, warnings=made.warnings
        )

    def prepare(self) -> None:
        """Have the model loaded, once; where that fails, it fails for every item.

        Raises:
            ModelUnusable: When it cannot be loaded.
        """
        if self._builtin is None:
            self._producer()
            self._loading.ensure()

    def arguments(self, look_up: Callable[[Reference], Any]) -> dict[str, Any]:
        """Return what the step is given for one item."""
        return self._arguments(self._inputs(look_up))

    def recipe(self, look_up: Callable[[Reference], Any]) -> Recipe:
        """Return what decides the result for one item."""
        return self._recipe(self._inputs(look_up))

    @property
    def keeps(self) -> bool:
        """Whether a result can stand for a run; not where the effect is outside of it."""
        return self._builtin is None or self._builtin.kept

    def _make(
        self, inputs: Mapping[str, Values], emit: Emitter, permit: Permit, laps: Timings
    ) -> _Made:
        """Run the step."""
        builtin = self._builtin
        self._begin()
        arguments = self._arguments(inputs)
        laps.end("take")
        if builtin is not None:
            outputs = self._transform(builtin, arguments, emit, permit)
            laps.end("run")
            return _Made(outputs, {"run": laps.parts["run"]})
        self.prepare()
        laps.end("ready")
        job = replace(self._job, inputs=arguments)
        result = run_job(self._jobs, job, self._retries, self._in_flight)
        laps.end("wait", result.timings)
        return _Made(self._kept_outputs(result), result.timings, result.warnings)

    def _pass_over(self, inputs: Mapping[str, Values], laps: Timings) -> _Made | None:
        """Return empty outputs for an item that there is nothing to do for."""
        reason = self._idle_for(inputs)
        if not reason:
            return None
        laps.end("take")
        kinds = self.node.signature.outputs
        outputs: dict[str, Values] = {name: Value(kind.type) for name, kind in kinds.items()}
        return _Made(outputs, {}, () if reason == PASSED_BEFORE else (f"{reason}; passed over",))

    def _idle_for(self, inputs: Mapping[str, Values]) -> str:
        """Return why an item is passed over, which one of a list alone is; empty where it runs."""
        return nothing_to_do(self.node.signature, inputs) if self.node.mapped else ""

    def _arguments(self, inputs: Mapping[str, Values]) -> dict[str, Any]:
        gaps = self._builtin is not None and self._builtin.gaps
        return {name: for_step(values, gaps=gaps) for name, values in inputs.items()}

    def _begin(self) -> None:
        with self._lock:
            first, self._has_begun = not self._has_begun, True
        if first:
            self._began()

    @property
    def _builtin(self) -> BuiltIn | None:
        from orchestrator.steps import builtin

        return None if self.node.signature.model else builtin(self.node.signature.name)

    def _inputs(self, look_up: Callable[[Reference], Any]) -> dict[str, Values]:
        inputs: dict[str, Values] = {}
        for name, template in self.node.templates.items():
            value = value_of(template, look_up)
            if value is msgspec.UNSET:
                continue
            kind = self.node.signature.inputs[name].kind
            known = isinstance(value, (Value, tuple))
            inputs[name] = value if known else given(kind.type, value, many=kind.many)
        return inputs

    def _recipe(self, inputs: Mapping[str, Values]) -> Recipe:
        producer, identity = self._producer()
        named = self._builtin is not None and self._builtin.named
        told = {name: described(values, named=named) for name, values in inputs.items()}
        if reason := self._idle_for(inputs):
            told["passed over"] = reason  # a step that runs once has another result for the same
        return Recipe(producer, told, identity)

    def _producer(self) -> tuple[Mapping[str, Any], str]:
        from orchestrator.steps.registry import producer

        with self._lock:
            if self._known is None:
                if self._builtin is not None:
                    parts: Mapping[str, Any] = producer(self.node.signature.name)
                else:
                    try:
                        with _timed("environment", self._told):
                            parts = self._jobs.produced_by(self._job)
                    except MMError as error:
                        raise ModelUnusable(error) from error
                self._known = (parts, Recipe(parts, {}).identity)
            return self._known

    def _kept_outputs(self, result: Result) -> dict[str, Values]:
        return {
            name: keep(self._store, self.node.signature.outputs[name].type, value)
            for name, value in result.items()
        }

    def _transform(
        self, builtin: BuiltIn, arguments: Mapping[str, Any], emit: Emitter, permit: Permit
    ) -> dict[str, Values]:
        signature = self.node.signature
        outputs: dict[str, Any] = {
            name: [] for name, kind in signature.outputs.items() if kind.many
        }
        directory = self._scratch()
        try:
            emitted = builtin.run(arguments, directory)
            while True:
                permit()
                one = next(emitted, None)
                if one is None:
                    break
                kind = signature.outputs[one.output]
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


def _job(node: Node, on_event: Callable[[str, Event], None]) -> Job:
    """Return what all jobs of a step have in common."""
    step, name = node.step, node.signature.name
    return Job(
        name,
        device=step.device,
        dtype=step.dtype,
        timeout=step.timeout,
        workers=step.workers,
        on_event=ignore_event if on_event is ignore_model_event else partial(on_event, name),
    )


def nothing_to_do(signature: Signature, inputs: Mapping[str, Values]) -> str:
    """Return why there is nothing to do for an item, or an empty text.

    A page without text has no speech, and that is no failure: a model that turns the input `text`
    into a sound is not run on it, and neither is what takes the sound.
    """
    speaks = signature.model and next(iter(signature.outputs.values())).type == "audio"
    for name, port in signature.inputs.items():
        value = inputs.get(name)
        if not port.required or not isinstance(value, Value):
            continue
        if value.absent:
            return PASSED_BEFORE
        if speaks and name == "text" and not any(map(str.isalnum, str(value.data))):
            return "there is no text to speak"
    return ""


def run_job(jobs: Jobs, job: Job, retries: int, in_flight: InFlightJobs) -> Result:
    """Run one job, again where it failed in a way that another attempt may not meet.

    Raises:
        ModelUnusable: When every other job of the model would fail as well.
        MMError: As the last attempt ended.
    """

    def attempt() -> Result:
        with in_flight.cancellation() as cancellation:
            return jobs.execute(replace(job, cancellation=cancellation))

    try:
        for _ in range(retries):
            with suppress(*WORTH_RETRYING):
                return attempt()
        return attempt()
    except NOBODYS_FAULT as error:
        raise ModelUnusable(error) from error


def keep(store: ResultStore, kind: str, value: Any) -> Value:
    """Keep an output of a model, of the type `kind`."""
    if isinstance(value, Audio):
        return store.keep_bytes(kind, value.read(), ".wav")
    if isinstance(value, Artifact):
        kept = store.keep_file(kind, value.path)
        with suppress(OSError):  # the job's directory, unless something else is left in it
            value.path.parent.rmdir()
        return kept
    if kind == "array":
        from orchestrator.arrays import npy_bytes

        return store.keep_bytes(kind, npy_bytes(value), ".npy")
    return Value(kind, value)
