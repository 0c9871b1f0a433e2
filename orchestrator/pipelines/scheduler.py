"""Which step runs on which item, and when: one coordinator, and threads that do the work.

The coordinator runs in the caller's thread and alone changes the state below; the threads tell it
through a queue what happened. Items flow: a step takes an item as soon as the step before has made
it, in order. No step gets further than `AHEAD` items before the slowest that takes them, so that
neither memory nor disk fills with what nobody has taken.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from orchestrator.errors import Cancelled, MMError, UsageError
from orchestrator.pipelines.values import Value, Values
from orchestrator.pipelines.work import Desk, Done, InFlight, StepUnusable, end_pool

if TYPE_CHECKING:
    from orchestrator.core.pipelines.checking import Graph, Node
    from orchestrator.core.pipelines.references import Reference
    from orchestrator.pipelines.store import ResultStore

AHEAD = 8
"""Items that a step may be ahead of those that take them, beside what these are working on."""

PENDING = b""
"""Stands for the key of an item that a thread is working on."""


@dataclass(frozen=True)
class Failure:
    """A step that failed on an item.

    Attributes:
        step: Its id.
        index: The item, counted from 0; None where the step runs once.
        label: What people call the item.
        error: Why.
    """

    step: str
    index: int | None
    label: str
    error: MMError


class Listener(Protocol):
    """Hears what happens in a run, in the coordinator's thread."""

    def done(self, step: str, index: int | None, label: str, done: Done, began: float) -> None:
        """Hear that a step has a result; `began` is in seconds of `time.time()`."""

    def failed(self, failure: Failure, began: float) -> None:
        """Hear that a step failed on an item."""

    def counts(self, step: str, finished: int, total: int | None) -> None:
        """Hear how many items of a step are finished, of how many as far as is known."""


@dataclass
class State:
    """What is known of one step while the pipeline runs.

    Attributes:
        total: How many items there are; None while that is not known.
        keys: By item that was begun, the key of its result; None where there is none.
        running: How many items are in threads now.
        finished: How many ended, in whatever way.
        flows: By output, the items of a list that the step itself returns, as they come.
        permits: How many of these it may have made by now.
        extra: What was granted beyond `AHEAD` because everything else stood still.
        lost: Whether the step will not run, because something before it failed.
    """

    node: Node
    total: int | None = None
    keys: list[bytes | None] = field(default_factory=list)
    running: int = 0
    finished: int = 0
    flows: dict[str, list[Value]] = field(default_factory=dict)
    permits: int = 0
    extra: int = 0
    lost: bool = False

    @property
    def begun(self) -> int:
        """How many items were handed to a thread, or passed over."""
        return len(self.keys)

    @property
    def over(self) -> bool:
        """Whether nothing more will come from it."""
        return self.lost or (self.total is not None and self.finished >= self.total)

    @property
    def whole(self) -> bool:
        """Whether it is over and every item has a result."""
        return self.over and not self.lost and None not in self.keys

    @property
    def flowed(self) -> int:
        """How many items the longest of its own lists has."""
        return max((len(items) for items in self.flows.values()), default=0)

    @property
    def busy(self) -> bool:
        """Whether a thread of it will say something without being let through the gate first."""
        at_gate = bool(self.flows) and self.flowed >= self.permits
        return self.running > 0 and not at_gate


class Stopped(Exception):
    """The run ends before this step has."""


class Scheduler:
    """One run of a graph.

    Args:
        graph: The checked pipeline.
        inputs: The pipeline's inputs by name; those left out are missing.
        desks: Who does the work of each step.
        store: Where results are.
        flight: The jobs that run, to be stopped at an interrupt.
        listener: Who hears what happens.
        keep_going: Whether other items go on after one failed.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Mapping[str, Values],
        desks: Mapping[str, Desk],
        store: ResultStore,
        flight: InFlight,
        listener: Listener,
        *,
        keep_going: bool = False,
    ) -> None:
        self._inputs = inputs
        self._desks = desks
        self._store = store
        self._flight = flight
        self._listener = listener
        self._keep_going = keep_going
        self._stopping = False
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._gate = threading.Condition()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._warmed: set[str] = set()
        self._fatal: BaseException | None = None
        self.failures: list[Failure] = []
        self.states = {node.id: _new_state(node) for node in graph.nodes.values()}
        self._takers = {
            name: [state for state in self.states.values() if state.node.follows == name]
            for name in self.states
        }
        self._forwards = list(self.states.values())

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

    def value(self, reference: Reference) -> Any:
        """Return what a reference stands for: a value, a list, or UNSET where it was left out."""
        if reference.root == "inputs":
            return self._inputs.get(reference.name, msgspec.UNSET)
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

    def label(self, state: State, index: int) -> str:
        """Return what people call an item of a step; empty where the step runs once."""
        source = state.node.source
        if source is None:
            return ""
        number = f"item {index + 1}"
        if source.root == "inputs":
            return self._list(source)[index].label or number
        before = self.states[source.step]
        if before.node.mapped:
            return self.label(before, index)
        return before.flows[source.name][index].label or number

    def _list(self, source: Reference) -> tuple[Value, ...]:
        values = self._inputs.get(source.name, ())
        assert isinstance(values, tuple)
        return values

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
            if state.flows and state.permits < (limit := self._limit(state)):
                with self._gate:
                    state.permits = limit
                    self._gate.notify_all()

    def _advance(self, state: State) -> bool:
        """Begin or pass over the next item of a step, or give the step up; false where it waits."""
        if state.over:
            return False
        if self._is_lost(state):
            state.lost = True
            return True
        if not self._is_ready(state):
            return False
        index = state.begun
        before = self.states.get(state.node.follows)
        if before is not None and before.node.mapped and before.keys[index] is None:
            state.keys.append(None)
            state.finished += 1
            self._listener.counts(state.node.id, state.finished, state.total)
            return True
        if index >= self._limit(state) and not state.flows:
            return False
        self._begin(state, index)
        return True

    def _is_lost(self, state: State) -> bool:
        """Whether a step lacks, for good, something that all of its items need."""
        needed = [self.states[name] for name in state.node.waits_for]
        before = self.states.get(state.node.follows)
        if before is not None:
            if before.lost:
                return True
            if not before.node.mapped:
                needed.append(before)
        return any(each.over and not each.whole for each in needed)

    def _is_ready(self, state: State) -> bool:
        """Whether the next item of a step is there, and a thread for it, and all it waits for."""
        self._learn_total(state)
        index = state.begun
        if state.total is not None and index >= state.total:
            return False
        if state.running >= state.node.step.workers:
            return False
        if not all(self.states[name].over for name in state.node.waits_for):
            return False
        source = state.node.source
        if source is None or source.root == "inputs":
            return True
        before = self.states[source.step]
        if before.node.mapped:
            return index < before.begun and before.keys[index] != PENDING
        return index < len(before.flows[source.name])

    def _learn_total(self, state: State) -> None:
        source = state.node.source
        if state.total is not None or source is None:
            return
        if source.root == "inputs":
            state.total = len(self._list(source))
        elif self.states[source.step].node.mapped:
            state.total = self.states[source.step].total
        elif self.states[source.step].over:
            state.total = len(self.states[source.step].flows[source.name])
        if state.total is not None:
            self._listener.counts(state.node.id, state.finished, state.total)

    def _limit(self, state: State) -> int:
        """Return how many items a step may have begun, for the sake of those that take them."""
        takers = [each for each in self._takers[state.node.id] if not each.over]
        if not takers:
            return sys.maxsize
        slowest = min(each.finished for each in takers)
        return slowest + AHEAD + state.node.step.workers + state.extra

    def _let_through(self) -> bool:
        """Where everything stands still, let the first step that is held back go on a little.

        This happens when a step waits for all items of another, and is itself needed by one that
        takes these items one by one.
        """
        if self._stopping:
            with self._gate:
                self._gate.notify_all()
            return False
        for state in self._forwards:
            held = state.running > 0 if state.flows else not state.over and self._is_ready(state)
            if held:
                state.extra += AHEAD
                return True
        return False

    # -- doing: in threads -------------------------------------------------------------------------

    def _begin(self, state: State, index: int) -> None:
        name = state.node.id
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(state.node.step.workers, f"mm-{name}")
        state.keys.append(PENDING)
        state.running += 1
        self._pools[name].submit(self._work, state, index)

    def _work(self, state: State, index: int) -> None:
        began = time.time()
        made = 0

        def emit(name: str, value: Value) -> None:
            nonlocal made
            made += 1
            self._events.put(partial(state.flows[name].append, value))

        def permit() -> None:
            with self._gate:
                while state.flows and made >= state.permits and not self._stopping:
                    self._gate.wait()
                if self._stopping and state.flows:
                    raise Stopped

        def look_up(reference: Reference) -> Any:
            return self.look_up(state, index, reference)

        event: Callable[[], None]
        try:
            done = self._desks[state.node.id].perform(look_up, emit, permit)
            event = partial(self._on_done, state, index, done, began)
        except StepUnusable as unusable:
            event = partial(self._on_fatal, unusable.cause, state, index)
        except (Stopped, Cancelled) as stopped:
            event = partial(self._on_stopped, stopped, state, index, began)
        except MMError as error:
            event = partial(self._on_failed, error, state, index, began)
        except BaseException as fault:  # noqa: BLE001 - raised in the coordinator's thread
            event = partial(self._on_fatal, fault, state, index)
        self._events.put(event)

    def look_up(self, state: State, index: int, reference: Reference) -> Any:
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
        if source.root == "inputs":
            return self._list(source)[index]
        before = self.states[source.step]
        if not before.node.mapped:
            return before.flows[source.name][index]
        value = self.output(source, index)
        if value is msgspec.UNSET:
            raise UsageError(f"{source} gave nothing for this item")
        return value

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

    def _load(self, state: State) -> None:
        try:
            self._desks[state.node.id].prepare()
        except StepUnusable as unusable:
            self._events.put(partial(self._on_fatal, unusable.cause))
        except Cancelled:
            return  # the run has ended, and nobody needs the model any more
        except BaseException as fault:  # noqa: BLE001 - raised in the coordinator's thread
            self._events.put(partial(self._on_fatal, fault))

    # -- what happened: in the coordinator's thread ------------------------------------------------

    def _end(self, state: State, index: int, key: bytes | None) -> None:
        state.keys[index] = key
        state.running -= 1
        state.finished += 1
        self._listener.counts(state.node.id, state.finished, state.total)

    def _on_done(self, state: State, index: int, done: Done, began: float) -> None:
        self._end(state, index, bytes.fromhex(done.key))
        number = index if state.node.mapped else None
        self._listener.done(state.node.id, number, self.label(state, index), done, began)

    def _on_failed(self, error: MMError, state: State, index: int, began: float) -> None:
        self._end(state, index, None)
        number = index if state.node.mapped else None
        failure = Failure(state.node.id, number, self.label(state, index), error)
        self.failures.append(failure)
        self._listener.failed(failure, began)
        if not self._keep_going:
            self._stopping = True

    def _on_stopped(
        self, stopped: Stopped | Cancelled, state: State, index: int, began: float
    ) -> None:
        if isinstance(stopped, Cancelled) and not self._flight.stopped:
            self._on_failed(stopped, state, index, began)
        else:
            self._end(state, index, None)

    def _on_fatal(self, error: BaseException, state: State | None = None, index: int = 0) -> None:
        if state is not None:
            self._end(state, index, None)
        self._fatal = self._fatal or error
        self._stopping = True

    def _close(self) -> None:
        """End the threads; jobs that still run are asked to stop, and told to at an interrupt."""
        self._stopping = True
        with self._gate:
            self._gate.notify_all()
        self._flight.stop()
        for pool in self._pools.values():
            end_pool(pool, self._flight)


def _new_state(node: Node) -> State:
    flows: dict[str, list[Value]] = {
        name: [] for name, kind in node.signature.outputs.items() if kind.many
    }
    return State(node, None if node.mapped else 1, flows=flows)
