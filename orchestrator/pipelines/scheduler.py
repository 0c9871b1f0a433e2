"""The coordinator of a run, and the threads that do the work.

The coordinator runs in the caller's thread and alone changes the states; the threads tell it
through a queue what happened. What may run next is decided in `orchestrator.pipelines.readiness`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import Cancelled, MMError
from orchestrator.pipelines.in_flight import InFlightJobs, end_pool
from orchestrator.pipelines.readiness import Flow
from orchestrator.pipelines.step_executor import ModelUnusable, StepExecutor, StepResult
from orchestrator.pipelines.step_state import Span, StepFailure, StepState
from orchestrator.pipelines.step_values import Value

if TYPE_CHECKING:
    from orchestrator.pipelines.run_state import RunState


class Listener(Protocol):
    """Hears what happens in a run, in the coordinator's thread."""

    def done(self, step: str, index: int | None, label: str, done: StepResult, turn: Span) -> None:
        """Hear that a step has a result."""

    def failed(self, failure: StepFailure, turn: Span) -> None:
        """Hear that a step failed on an item."""

    def counts(self, step: str, finished: int, total: int | None) -> None:
        """Hear how many items of a step are finished, of how many as far as is known."""

    def prepared(self, step: str, part: str, began: float, seconds: float) -> None:
        """Hear how long a step's environment, or the load of its first worker, has taken.

        Args:
            step: Its id.
            part: "environment" or "load".
            began: Seconds of `time.time()`.
            seconds: How long it took.
        """


class Stopped(Exception):
    """The run ends before this step has."""


class Scheduler:
    """One run of a graph.

    Args:
        run_state: The states of its steps.
        executors: Who does the work of each step.
        in_flight: The jobs that run, to be stopped at an interrupt.
        listener: Who hears what happens.
        keep_going: Whether other items go on after one failed.
    """

    def __init__(
        self,
        run_state: RunState,
        executors: Mapping[str, StepExecutor],
        in_flight: InFlightJobs,
        listener: Listener,
        *,
        keep_going: bool = False,
    ) -> None:
        self.run_state = run_state
        self._executors = executors
        self._in_flight = in_flight
        self._listener = listener
        self._keep_going = keep_going
        self._stopping = False
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._gate = threading.Condition()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._warmed: set[str] = set()
        self._fatal: BaseException | None = None
        self._flow = Flow(run_state, time.time())
        self._forwards = list(run_state.states.values())
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
                if not any(state.busy for state in self._forwards):
                    if self._let_through():
                        continue
                    if not any(state.running for state in self._forwards):
                        break
                self._events.get()()
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
            for state in reversed(self._forwards):
                while not self._stopping and self._advance(state):
                    moved = True
        for state in self._forwards:
            if state.flows and state.permits < (limit := self._flow.limit(state)):
                with self._gate:
                    state.permits = limit
                    self._gate.notify_all()

    def _advance(self, state: StepState) -> bool:
        """Begin or pass over the next item of a step, or give the step up; false where it waits."""
        if state.over:
            return False
        if self._flow.is_lost(state):
            state.lost = True
            return True
        if self._flow.learn_total(state):
            self._count(state)
            return True
        if not self._flow.is_ready(state):
            return False
        if self._flow.is_passed_over(state):
            state.pass_over(time.time())
            self._count(state)
            return True
        if state.begun >= self._flow.limit(state) and not state.flows:
            return False
        self._begin(state)
        return True

    def _let_through(self) -> bool:
        """Let something go on where everything stands still; false where nothing is held back."""
        if self._stopping:
            with self._gate:
                self._gate.notify_all()
            return False
        return self._flow.let_through()

    # -- doing: in threads -------------------------------------------------------------------------

    def _begin(self, state: StepState) -> None:
        name = state.node.id
        ready = self._flow.ready_since(state)
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(state.node.step.workers, f"mm-{name}")
        self._pools[name].submit(self._work, state, state.begin(), ready)

    def _work(self, state: StepState, index: int, ready: float) -> None:
        began = time.time()

        def turn() -> Span:
            return Span(ready, began, time.time(), _lane())

        event: Callable[[], None]
        try:
            done = self._perform(state, index)
            event = partial(self._on_done, state, index, done, turn())
        except ModelUnusable as unusable:
            event = partial(self._on_fatal, unusable.cause, state, index)
        except (Stopped, Cancelled) as stopped:
            event = partial(self._on_stopped, stopped, state, index, turn())
        except MMError as error:
            event = partial(self._on_failed, error, state, index, turn())
        except BaseException as fault:  # noqa: BLE001 - raised in the coordinator's thread
            event = partial(self._on_fatal, fault, state, index)
        self._events.put(event)

    def _perform(self, state: StepState, index: int) -> StepResult:
        made = 0

        def emit(name: str, value: Value) -> None:
            nonlocal made
            made += 1
            self._events.put(partial(state.arrive, name, value, time.time()))

        def permit() -> None:
            with self._gate:
                while state.flows and made >= state.permits and not self._stopping:
                    self._gate.wait()
                if self._stopping and state.flows:
                    raise Stopped

        look_up = partial(self.run_state.look_up, state, index)
        return self._executors[state.node.id].perform(look_up, emit, permit)

    def warm(self, name: str) -> None:
        """Have the models that come next after a step loaded while it runs; from any thread."""
        self._events.put(partial(self._warm, name))

    def _warm(self, name: str) -> None:
        for state in self._forwards:
            node = state.node
            if name not in node.waits_for | {node.follows} or node.id in self._warmed:
                continue
            self._warmed.add(node.id)
            if node.signature.model and not self._stopping:
                if "" not in self._pools:
                    self._pools[""] = ThreadPoolExecutor(4, "mm-load")
                self._pools[""].submit(self._load, state)
            else:
                self._warm(node.id)

    def _load(self, state: StepState) -> None:
        try:
            self._executors[state.node.id].prepare()
        except ModelUnusable as unusable:
            self._events.put(partial(self._on_fatal, unusable.cause))
        except Cancelled:
            return  # the run has ended, and nobody needs the model any more
        except BaseException as fault:  # noqa: BLE001 - raised in the coordinator's thread
            self._events.put(partial(self._on_fatal, fault))

    def prepared(self, name: str, part: str, began: float, seconds: float) -> None:
        """Tell the listener that a step's environment or first worker is there; from any thread."""
        self._events.put(partial(self._listener.prepared, name, part, began, seconds))

    # -- what happened: in the coordinator's thread ------------------------------------------------

    def _count(self, state: StepState) -> None:
        self._listener.counts(state.node.id, state.finished, state.total)

    def _end(self, state: StepState, index: int, key: bytes | None) -> None:
        state.end(index, key, time.time())
        self._count(state)

    def _on_done(self, state: StepState, index: int, done: StepResult, turn: Span) -> None:
        self._end(state, index, bytes.fromhex(done.key))
        number = index if state.node.mapped else None
        self._listener.done(state.node.id, number, self.run_state.label(state, index), done, turn)

    def _on_failed(self, error: MMError, state: StepState, index: int, turn: Span) -> None:
        self._end(state, index, None)
        number = index if state.node.mapped else None
        failure = StepFailure(state.node.id, number, self.run_state.label(state, index), error)
        self.failures.append(failure)
        self._listener.failed(failure, turn)
        if not self._keep_going:
            self._stopping = True

    def _on_stopped(
        self, stopped: Stopped | Cancelled, state: StepState, index: int, turn: Span
    ) -> None:
        if isinstance(stopped, Cancelled) and not self._in_flight.stopped:
            self._on_failed(stopped, state, index, turn)
        else:
            self._end(state, index, None)

    def _on_fatal(
        self, error: BaseException, state: StepState | None = None, index: int = 0
    ) -> None:
        if state is not None:
            self._end(state, index, None)
        self._fatal = self._fatal or error
        self._stopping = True

    def _close(self) -> None:
        """End the threads; jobs that still run are asked to stop, and told to at an interrupt."""
        self._stopping = True
        with self._gate:
            self._gate.notify_all()
        self._in_flight.stop()
        for pool in self._pools.values():
            end_pool(pool, self._in_flight)


def _lane() -> int:
    """Return the number that the pool of this thread has given it (`ThreadPoolExecutor`)."""
    number = threading.current_thread().name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
