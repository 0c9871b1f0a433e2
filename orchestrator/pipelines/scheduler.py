"""The coordinator of a run, and the threads that do the work.

The coordinator runs in the caller's thread and alone changes the states; the threads queue what it
has to do next. What may run next is decided in `orchestrator.pipelines.readiness`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue

import msgspec

from orchestrator.errors import Cancelled, MMError
from orchestrator.jobs.in_flight import thread_number
from orchestrator.pipelines.growing_lists import Flow
from orchestrator.pipelines.job_runner import ModelUnusable
from orchestrator.pipelines.readiness import Readiness
from orchestrator.pipelines.run_context import RunContext
from orchestrator.pipelines.run_events import (
    ItemBegan,
    ItemDone,
    ItemFailed,
    Span,
    StepFailure,
    StepProgress,
    StepResult,
)
from orchestrator.pipelines.run_state import RunState
from orchestrator.pipelines.step_executor import StepExecutor
from orchestrator.pipelines.step_state import StepState
from orchestrator.pipelines.step_values import Value

LOADS = 4
"""Models that may be loaded at once before their steps run."""


class Stopped(Exception):
    """The run ends before this step has."""


class Scheduler:
    """One run of a graph.

    Args:
        run_state: The states of its steps.
        executors: By step, what does its work.
        context: What all steps of the run share.
    """

    def __init__(
        self, run_state: RunState, executors: Mapping[str, StepExecutor], context: RunContext
    ) -> None:
        self._run_state = run_state
        self._executors = executors
        self._context = context
        self._stopping = False
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._gate = threading.Condition()
        self._started: set[str] = set()
        self._preloaded: set[str] = set()
        self._fatal: BaseException | None = None
        self._readiness = Readiness(run_state, time.time())
        self._states = list(run_state.states.values())
        self.failures: list[StepFailure] = []

    def run(self) -> None:
        """Run everything that can be run.

        Failures of items are in `failures` afterwards.

        Raises:
            MMError: When a step can run for no item at all; results made before are kept.
            KeyboardInterrupt: After the jobs that ran have ended.
        """
        try:
            while True:
                self._dispatch()
                if not any(state.busy for state in self._states):
                    if self._let_through():
                        continue
                    if not any(state.running for state in self._states):
                        break
                self._queue.get()()
        finally:
            self._close()
        if self._fatal is not None:
            raise self._fatal

    # -- choosing: in the coordinator's thread -----------------------------------------------------

    def _dispatch(self) -> None:
        """Hand out all that can begin now, the last steps of the pipeline first."""
        moved = True
        while moved and not self._stopping:
            moved = False
            self._readiness.feed()
            for state in reversed(self._states):
                while not self._stopping and self._advance(state):
                    moved = True
        with self._gate:
            for state in self._states:
                for name, before in state.permits.items():
                    state.permits[name] = max(before, self._readiness.limit(state, name))
            self._gate.notify_all()

    def _advance(self, state: StepState) -> bool:
        """Begin or skip the next item of a step, or give the step up; false where it waits."""
        if state.over:
            return False
        if self._readiness.is_lost(state):
            state.lost = True
            return True
        if self._readiness.learn_total(state):
            self._report_progress(state)
            return True
        if not self._readiness.is_ready(state):
            return False
        if self._readiness.is_skipped(state):
            state.skip(time.time())
            self._report_progress(state)
            return True
        if state.begun >= self._readiness.limit(state) and not state.flows:
            return False
        ready = self._readiness.ready_since(state)
        index = state.begin()
        if state.node.mapped:
            self._context.on_event(ItemBegan(state.node.id, index))
        work = partial(self._work, state, index, ready)
        self._context.in_flight.submit(state.node.id, state.node.step.workers, work)
        return True

    def _let_through(self) -> bool:
        """Let something go on where everything stands still; false where nothing is held back."""
        if self._stopping:
            with self._gate:
                self._gate.notify_all()
            return False
        return self._readiness.let_through()

    def _preload(self, name: str) -> None:
        """Have the models that come next after a step loaded while it runs."""
        before = {name}
        while before:  # a pipeline may have more steps in a row than Python has frames
            after = [state.node for state in self._states if before & state.node.needs]
            new = [node for node in after if node.id not in self._preloaded]
            self._preloaded.update(node.id for node in new)
            for node in new:
                if node.signature.model and not self._stopping:
                    load = partial(self._load, node.id)
                    self._context.in_flight.submit("load models", LOADS, load)  # no step's id
            before = {node.id for node in new if not node.signature.model or self._stopping}

    # -- doing: in threads -------------------------------------------------------------------------

    def _work(self, state: StepState, index: int, ready: float) -> None:
        began = time.time()
        outcome: StepResult | BaseException
        try:
            outcome = self._execute(state, index)
        except BaseException as error:  # noqa: BLE001 - sorted in the coordinator's thread
            outcome = error
        span = Span(ready, began, time.time(), thread_number())
        self._queue.put(partial(self._on_end, state, index, outcome, span))

    def _execute(self, state: StepState, index: int) -> StepResult:
        made = Counter[str]()

        def emit(name: str, value: Value) -> None:
            made[name] += 1
            self._queue.put(partial(state.arrive, name, value, time.time()))

        def permit() -> None:
            if state.node.id not in self._started:
                self._started.add(state.node.id)
                self._queue.put(partial(self._preload, state.node.id))
            with self._gate:
                while not self._stopping and any(
                    made[name] >= most for name, most in state.permits.items()
                ):
                    self._gate.wait()
                if self._stopping and state.flows:
                    raise Stopped

        numbers = {name: itertools.count() for name in state.node.streams}

        def take(name: str) -> Value | None:
            return self._take(state, name, next(numbers[name]))

        look_up = partial(self._run_state.look_up, state, index)
        return self._executors[state.node.id].execute(look_up, Flow(emit, permit, take))

    def _take(self, state: StepState, name: str, number: int) -> Value | None:
        """Wait for an item of an input that grows and return it, or None behind the last one."""
        self._queue.put(partial(state.ask, name))
        with self._gate:
            while not (state.is_answered(name, number) or state.lost or self._stopping):
                self._gate.wait()
            if state.lost or self._stopping:
                raise Stopped
            if number >= state.fed[name]:
                return None
        item = self._run_state.item(state.node.streams[name], number)
        if item is msgspec.UNSET:  # of another model than that of other items
            return Value(state.node.signature.inputs[name].kind.type)
        assert isinstance(item, Value)
        return item

    def _load(self, name: str) -> None:
        try:
            self._executors[name].preload()
        except Cancelled:
            return  # the run has ended, and no step needs the model any more
        except BaseException as error:  # noqa: BLE001 - raised in the coordinator's thread
            self._queue.put(partial(self._abort, error))

    # -- what happened: in the coordinator's thread ------------------------------------------------

    def _on_end(
        self, state: StepState, index: int, outcome: StepResult | BaseException, span: Span
    ) -> None:
        key = bytes.fromhex(outcome.key) if isinstance(outcome, StepResult) else None
        state.end(index, key, time.time())
        self._report_progress(state)
        step, number = state.node.id, index if state.node.mapped else None
        label = self._run_state.label(state, index)
        if isinstance(outcome, StepResult):
            self._context.on_event(ItemDone(step, number, label, outcome, span))
        elif isinstance(outcome, Stopped):
            return
        elif isinstance(outcome, MMError):
            failure = StepFailure(step, number, label, outcome)
            self.failures.append(failure)
            self._context.on_event(ItemFailed(failure, span))
            if not self._context.options.keep_going:
                self._stopping = True
        else:
            self._abort(outcome)

    def _report_progress(self, state: StepState) -> None:
        if state.node.mapped:
            self._context.on_event(StepProgress(state.node.id, state.finished, state.total))

    def _abort(self, error: BaseException) -> None:
        """End the run with an error, the first of several."""
        cause = error.cause if isinstance(error, ModelUnusable) else error
        self._fatal = self._fatal or cause
        self._stopping = True

    def _close(self) -> None:
        """Ask the jobs that still run to stop, and wait for the threads."""
        self._stopping = True
        with self._gate:
            self._gate.notify_all()
        self._context.in_flight.end()
