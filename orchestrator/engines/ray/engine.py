"""The engine of a cluster: an actor per worker slot, on whatever node Ray places it.

Ray schedules, carries data and notices lost nodes. What is decided here is how many actors to ask
for, which idle one takes the next job, and that a job whose actor is lost goes to another: an item
must not wait for the one place that its own actor would be given again.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.engines.base import Completed, Elsewhere, ignore_event
from orchestrator.engines.ray.cluster import Demand, demand_of
from orchestrator.engines.ray.node import ENDS
from orchestrator.engines.ray.watch import Watch
from orchestrator.engines.ray.wire import (
    Job,
    Order,
    decode_error,
    decode_event,
    decode_outputs,
    encode_job,
)
from orchestrator.errors import Cancelled, Crashed, EnvironmentFailure, MMError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.client.rosters import Roster
    from orchestrator.engines.base import Task
    from orchestrator.engines.ray.cluster import Cluster
    from orchestrator.reporting import Reporter
    from orchestrator.scratch import Scratch

ATTEMPTS = 4
"""How often a job is begun whose nodes are lost under it; it may be what brings them down."""

LOOK_AGAIN = 10.0
"""Seconds after which it is asked again whether a worker that waits for a place can have one."""

PATIENCE = 1.0
"""Seconds for which a worker may be idle before another model may have its place."""

GOODBYE = 10.0
"""Seconds that workers have to end when the session does."""


SHOWN = 1.0
"""Seconds for which the counts that `mm ps` shows may be old."""


class Lost(Exception):
    """An actor is gone: its node, its process or the way to it."""


@dataclass(eq=False)
class Slot:
    """One actor and what is known of it.

    Attributes:
        key: The digest of what its worker is started from.
        task: The job that it was asked for.
        demand: What it asks Ray for.
        actor: Ray's handle of it.
        node: What people call its node; empty until it is placed.
        worker: The id of its worker's record on that node.
        produced_by: The receipt's part before the inputs.
        by_value: Whether files go to it as bytes, because its node does not see ours.
        said: What its model said while it was loaded, until a job takes it along.
        load: Seconds of that load, likewise.
        jobs: How many jobs it has run.
        ready: Whether it may take jobs.
        asked: When it was asked for (seconds of `time.monotonic`, as below).
        idle_since: When it had its last one.
    """

    key: str
    task: Task
    demand: Demand
    actor: Any
    node: str = ""
    worker: str = ""
    produced_by: Mapping[str, Any] | None = None
    by_value: bool = False
    said: list[Any] = field(default_factory=list)
    load: float | None = None
    jobs: int = 0
    ready: bool = False
    asked: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0


class RayEngine:
    """Workers on the nodes of a Ray cluster, each started when a task needs it.

    Args:
        cluster: Where they run.
        scratch: Where files that jobs return are written.
        reporter: Told what happens on nodes.
        limit: How many workers of one kind may live at once.
        variables: Variables of the user's that nodes take for their own.
        roster: Where it is kept which worker is on which node; None for nowhere.
    """

    def __init__(
        self,
        cluster: Cluster,
        scratch: Scratch,
        reporter: Reporter,
        limit: int = 1,
        variables: Mapping[str, str] | None = None,
        roster: Roster | None = None,
    ) -> None:
        self._cluster = cluster
        self._scratch = scratch
        self._reporter = reporter
        self._limit = limit
        self._variables = dict(variables or {})
        self._roster = roster
        self._watch = Watch()
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._failed: dict[str, list[MMError]] = {}
        self._waiting: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._starters: set[threading.Thread] = set()
        self._shown: tuple[list[Any], float] = ([], 0.0)
        self._closed = False

    def run(self, task: Task) -> Completed:
        """Run `task` in an idle worker of its kind, or in the first that is there for it."""
        for _ in range(ATTEMPTS):
            slot = self._take(task)
            try:
                return self._run_in(slot, task)
            except Lost as lost:
                self._reporter.note(f"{slot.node} was lost; its item goes to another node ({lost})")
        raise self._too_many_lost(task)

    def prepare(self, task: Task) -> None:
        """Have a worker of the task's kind loaded."""
        for _ in range(ATTEMPTS):
            slot = self._take(task)
            try:
                if slot.load is None and not slot.jobs:
                    self._load(slot)
            except Lost:
                self._drop(slot)
                continue
            except BaseException:
                self._drop(slot)
                raise
            self._give_back(slot)
            return
        raise self._too_many_lost(task)

    def _too_many_lost(self, task: Task) -> Crashed:
        return Crashed(
            f"{ATTEMPTS} actors were lost, one after the other, with {task.manifest.name}",
            fix="look at the memory and the logs of the nodes",
        )

    def produced_by(self, task: Task) -> Mapping[str, Any]:
        """Return the receipt's part before the inputs, from a node that has the environment."""
        slot = self._take(task, load=False)
        self._give_back(slot)
        assert slot.produced_by is not None
        return slot.produced_by

    def close(self) -> None:
        """End every worker and leave the cluster; a job that still runs ends as cancelled."""
        import ray

        with self._changed:
            if self._closed:
                return
            self._closed = True
            slots, idle = list(self._slots), list(self._idle)
            self._changed.notify_all()
        goodbyes = [slot.actor.close.remote() for slot in idle]
        if goodbyes:
            ray.wait(goodbyes, num_returns=len(goodbyes), timeout=GOODBYE)
        for slot in slots:
            ray.kill(slot.actor)
        for thread in list(self._starters):
            thread.join(GOODBYE)
        self._watch.close()
        if self._roster is not None:
            self._roster.close()
        self._cluster.close()

    def _take(self, task: Task, *, load: bool = True) -> Slot:
        """Return an idle worker of the task's kind; ask for one more where there may be more."""
        key = task.worker.digest
        stopped = threading.Event()

        def stop() -> None:
            with self._changed:
                stopped.set()
                self._changed.notify_all()

        with self._watch.over(task.cancellation, stop), self._changed:
            self._waiting[key] = self._waiting.get(key, 0) + 1
            try:
                while True:
                    if self._closed or stopped.is_set():
                        raise Cancelled(f"{task.manifest.name} was cancelled")
                    if found := next((slot for slot in self._idle if slot.key == key), None):
                        self._idle.remove(found)
                        return found
                    if errors := self._failed.get(key):
                        raise errors.pop()
                    mine = sum(1 for slot in self._slots if slot.key == key)
                    if mine < max(self._limit, task.workers):
                        self._ask_for(key, task, load=load)
                    self._changed.wait()
            finally:
                self._waiting[key] -= 1

    def _ask_for(self, key: str, task: Task, *, load: bool) -> None:
        """Ask Ray for one more actor; a thread sees it through. The lock is held."""
        demand = demand_of(task.worker)
        slot = Slot(key, task, demand, self._cluster.start(demand))
        self._slots.append(slot)
        self._make_way(slot)
        thread = threading.Thread(
            target=self._start, args=(slot,), kwargs={"load": load}, name="mm-start", daemon=True
        )
        self._starters.add(thread)
        thread.start()

    def _make_way(self, slot: Slot) -> None:
        """End the worker of another kind that has been idle longest, where there is no room else.

        One whose next job may be on its way is left alone, for it would only have to be loaded
        again. The lock is held.

        Args:
            slot: What is to be placed.
        """
        now = time.monotonic()
        others = [
            other
            for other in self._idle
            if other.key != slot.key
            and not self._waiting.get(other.key)
            and now - other.idle_since >= PATIENCE
        ]
        # After a while, what is free is in pieces too small, whatever their sum.
        waits = now - slot.asked >= LOOK_AGAIN
        if others and (waits or not self._cluster.free(slot.demand)):
            other = min(others, key=lambda each: each.idle_since)
            self._reporter.note(f"stopped the idle worker of {_model(other)} to make room")
            self._remove(other)
            threading.Thread(target=self._dismiss, args=(other,), daemon=True).start()

    def _start(self, slot: Slot, *, load: bool) -> None:
        """See an actor through until its worker may take jobs. Runs in a thread of its own."""
        try:
            self._greet(slot)
            order = Order(slot.task.manifest, slot.task.worker, self._variables)
            ended = self._hear(slot, slot.actor.open.options(num_returns="streaming").remote(order))
            slot.produced_by = ended["produced_by"]
            if load:
                self._load(slot)
        except Lost as lost:
            with self._changed:
                wanted = slot in self._slots and not self._closed  # else it was ended on purpose
                self._lost[slot.key] = self._lost.get(slot.key, 0) + 1
            if not wanted:
                return
            if self._lost[slot.key] < ATTEMPTS:
                self._reporter.note(f"{_model(slot)} is started again ({lost})")
                self._drop(slot)
            else:
                self._fail(slot, self._too_many_lost(slot.task))
        except MMError as error:
            self._fail(slot, error)
        else:
            self._lost[slot.key] = 0
            self._give_back(slot)
        finally:
            self._starters.discard(threading.current_thread())

    def _fail(self, slot: Slot, error: MMError) -> None:
        """Let one of those who wait for such a worker have the error."""
        with self._changed:
            known = slot in self._slots and not self._closed
            if known and self._waiting.get(slot.key):
                self._failed.setdefault(slot.key, []).append(error)
            elif known:
                self._reporter.note(str(error))
        self._drop(slot)

    def _greet(self, slot: Slot) -> None:
        """Wait until the actor is placed, and check that it speaks as we do.

        Raises:
            EnvironmentFailure: When its `mm` is another, or missing.
            MemoryRefused: When it can no longer be placed.
        """
        import ray

        hello = slot.actor.hello.remote()
        looked = slot.asked
        while not ray.wait([hello], timeout=PATIENCE)[0]:
            with self._changed:
                if slot not in self._slots:
                    raise Lost("it is no longer wanted")
                self._make_way(slot)
                alone = not any(each.node for each in self._slots if each.key == slot.key)
            if alone and time.monotonic() - looked >= LOOK_AGAIN:
                looked = time.monotonic()
                self._cluster.check(_model(slot), slot.demand)
                self._reporter.progress(
                    "cluster", f"{_model(slot)} waits for a node with {slot.demand} free"
                )
        try:
            said = _get(hello)
        except ray.exceptions.RayTaskError as error:  # the actor's class cannot be imported there
            raise EnvironmentFailure(
                "a node of the cluster has no mm that this one can work with",
                fix=f"run on every node: pip install 'mm-orchestrator[ray]=={__version__}'",
                detail=str(error),
            ) from error
        with self._changed:
            slot.node = self._cluster.node_name(said["node"])
            self._show()
        self._reporter.finish("cluster")
        if said["mm"] != __version__:
            raise EnvironmentFailure(
                f"it has mm {said['mm']}, and the machine that runs this has {__version__}",
                where=f"node {slot.node}",
                fix=f"run there: pip install 'mm-orchestrator[ray]=={__version__}'",
            )

    def _load(self, slot: Slot) -> None:
        began = time.perf_counter()
        task = slot.task
        job = Job(0, {}, task.load_seconds, task.run_seconds, task.force)
        ended = self._hear(slot, slot.actor.load.options(num_returns="streaming").remote(job))
        slot.worker = next(iter(ended["worker"]), "")
        slot.load = time.perf_counter() - began

    def _hear(self, slot: Slot, said: Any) -> Any:
        """Report what an actor says of its own work, and return how that ended."""

        def report(kind: str, value: Any) -> None:
            if kind == "note":
                self._reporter.note(f"{slot.node}: {value}")
            elif kind == "progress":
                key, *rest = value
                self._reporter.progress(f"{slot.node}: {key}", *rest)
            elif kind == "finish":
                key, text = value
                self._reporter.finish(f"{slot.node}: {key}", text and f"{slot.node}: {text}")
            else:
                slot.said.append(value)

        return self._end_of(slot, _listen(said, report))

    def _run_in(self, slot: Slot, task: Task) -> Completed:
        """Run `task` in a worker that was taken, and give it back, or drop it where it is lost."""
        number = next(self._numbers)

        def stop() -> None:
            slot.actor.cancel.options(concurrency_group="control").remote(number)

        def hear(kind: str, value: Any) -> None:
            if kind == "event":
                task.on_event(decode_event(value, self._scratch))

        timings: dict[str, float] = {}
        try:
            if slot.load is not None and not slot.jobs:
                timings["load"] = slot.load
            for value in slot.said:
                hear("event", value)
            slot.said.clear()
            with self._watch.over(task.cancellation, stop):
                answer = self._call(slot, task, number, hear)
        except MMError:
            self._give_back(slot)
            raise
        except BaseException:
            self._drop(slot)
            raise
        self._give_back(slot)
        outputs = decode_outputs(answer["outputs"], self._scratch)
        return Completed(
            outputs,
            {**timings, **answer["timings"]},
            answer["produced_by"],
            answer["inputs"] if isinstance(task.worker, Elsewhere) else None,
        )

    def _call(
        self, slot: Slot, task: Task, number: int, hear: Callable[[str, Any], None]
    ) -> Mapping[str, Any]:
        job, blobs = encode_job(task, number, by_value=slot.by_value)
        if task.on_event is ignore_event:
            ended = _get(slot.actor.run.remote(job, *blobs))
        else:
            stream = slot.actor.stream.options(num_returns="streaming")
            ended = _listen(stream.remote(job, *blobs), hear)
        if ended[0] == "unseen" and not slot.by_value:
            slot.by_value = True
            return self._call(slot, task, number, hear)
        slot.jobs += 1
        found: Mapping[str, Any] = self._end_of(slot, ended)
        return found

    def _end_of(self, slot: Slot, ended: tuple[str, Any]) -> Any:
        kind, value = ended
        if kind == "error":
            raise decode_error(value, slot.node)
        return value

    def _give_back(self, slot: Slot) -> None:
        with self._changed:
            slot.ready = True
            if slot not in self._slots or self._closed:
                return  # whoever took it off the list, or `close`, ends it
            slot.idle_since = time.monotonic()
            self._idle.append(slot)
            self._show()
            self._changed.notify_all()

    def _drop(self, slot: Slot) -> None:
        import ray

        with self._changed:
            self._remove(slot)
            closed = self._closed
        if not closed:
            ray.kill(slot.actor)

    def _remove(self, slot: Slot) -> None:
        """Forget a slot. The lock is held."""
        if slot in self._slots:
            self._slots.remove(slot)
        if slot in self._idle:
            self._idle.remove(slot)
        self._show()
        self._changed.notify_all()

    def _dismiss(self, slot: Slot) -> None:
        """End a worker that was idle, and then its actor, which gives its place to others."""
        import ray

        ray.wait([slot.actor.close.remote()], timeout=GOODBYE)
        ray.kill(slot.actor)

    def _show(self) -> None:
        """Keep which workers are where. The lock is held."""
        now = time.monotonic()
        state = [(slot.node, slot.ready) for slot in self._slots]
        if self._roster is None or (state == self._shown[0] and now - self._shown[1] < SHOWN):
            return
        self._shown = (state, now)
        self._roster.write(
            {
                "id": slot.worker,
                "model": _model(slot),
                "pid": None,
                "device": slot.task.worker.device,
                "dtype": slot.task.worker.dtype,
                "memory": None,
                "node": slot.node,
                "state": "waiting" if not slot.node else "ready" if slot.ready else "starting",
                "jobs": slot.jobs,
            }
            for slot in self._slots
        )


def _model(slot: Slot) -> str:
    return slot.task.manifest.name


def _get(ref: Any) -> Any:
    """Return what an actor answers.

    Raises:
        Lost: When it is gone.
    """
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of our own code there, with its traceback
    except ray.exceptions.RayError as error:
        raise Lost(str(error).partition("\n")[0]) from error


def _listen(said: Iterator[Any], hear: Callable[[str, Any], None]) -> tuple[str, Any]:
    """Hand on what an actor says, and return its last word."""
    while True:
        kind, value = _get(_next(said))
        if kind in ENDS:
            return kind, value
        hear(kind, value)


def _next(said: Iterator[Any]) -> Any:
    import ray

    try:
        return next(said)
    except StopIteration:
        raise Lost("it ended before it answered") from None
    except ray.exceptions.RayError as error:
        raise Lost(str(error).partition("\n")[0]) from error
