"""The actors of a session on a cluster: asking Ray for them, lending them to jobs, ending them.

Ray decides where an actor goes and when. What is decided here is how many are asked for, which idle
one takes the next job, and when an idle one makes room for another model.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

from orchestrator.core.units import counted
from orchestrator.engines.ray.cluster import demand_of
from orchestrator.engines.ray.slots import ActorLost, Slot, get
from orchestrator.engines.start_failures import FAILED_LOADS, StartFailures
from orchestrator.errors import Cancelled, Crashed, EnvironmentFailure
from orchestrator.system.waiting import too_late
from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.client.rosters import Roster
    from orchestrator.engines.interface import PreparedModel
    from orchestrator.engines.ray.cancellations import CancellationListener
    from orchestrator.engines.ray.cluster import Cluster
    from orchestrator.jobs.job import Job
    from orchestrator.system.reporter import Reporter

ATTEMPTS = 4
"""How often a job is begun whose nodes are lost under it; it may be what brings them down."""

LOOK_AGAIN = 10.0
"""Seconds after which it is asked again whether a worker that waits for a place can have one."""

PATIENCE = 1.0
"""Seconds for which a worker may be idle before another model may have its place."""

CLOSE_SECONDS = 10.0
"""Seconds that workers have to end when the session does."""


SHOWN = 1.0
"""Seconds for which the counts that `mm ps` shows may be old."""


class Pool:
    """The actors of one session.

    Args:
        cluster: Where they run.
        reporter: Gets notes on what happens on nodes.
        cancellations: Listens to requests to stop.
        limit: How many workers of one kind may live at once.
        variables: Variables of the user's that nodes take for their own.
        roster: Where it is kept which worker is on which node; None for nowhere.
    """

    def __init__(
        self,
        cluster: Cluster,
        reporter: Reporter,
        cancellations: CancellationListener,
        limit: int,
        variables: Mapping[str, str],
        roster: Roster | None,
    ) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._cancellations = cancellations
        self._limit = limit
        self._variables = dict(variables)
        self._roster = roster
        self._changed = threading.Condition()
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._failed: dict[str, list[BaseException]] = {}
        self._failures = StartFailures(reporter)
        self._waiting: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._start_threads: set[threading.Thread] = set()
        self._shown: tuple[list[Any], float] = ([], 0.0)
        self._closed = False

    def take(self, job: Job, model: PreparedModel, *, load: bool = True) -> Slot:
        """Return an idle worker of the model; ask for one more where there may be more.

        Args:
            job: What it is for.
            model: The job's model.
            load: Whether one that is asked for loads the model before it is handed out.

        Raises:
            Cancelled: When the job was cancelled, or the pool closed.
            TimedOut: When the job's deadline has passed.
            MMError: When none can be had.
        """
        key = model.worker.digest
        stopped = threading.Event()

        def stop() -> None:
            with self._changed:
                stopped.set()
                self._changed.notify_all()

        with self._cancellations.listening(job.cancellation, stop), self._changed:
            self._waiting[key] = self._waiting.get(key, 0) + 1
            try:
                while True:
                    if self._closed or stopped.is_set():
                        raise Cancelled(f"{model.name} was cancelled")
                    if found := next((slot for slot in self._idle if slot.key == key), None):
                        self._idle.remove(found)
                        return found
                    if errors := self._failed.get(key):
                        raise errors.pop()
                    mine = sum(1 for slot in self._slots if slot.key == key)
                    if not mine and (error := self._failures.repeated(key)):
                        raise error
                    if mine < min(max(self._limit, job.workers), self._most.get(key, mine + 1)):
                        self._ask_for(key, job, model, load=load)
                    left = job.deadline.at - time.monotonic()
                    if left <= 0:
                        raise too_late(model.name, "a worker on a node", job.deadline)
                    self._changed.wait(None if left == math.inf else left)
            finally:
                self._waiting[key] -= 1

    def close(self) -> bool:
        """End every worker; return whether that was not done before."""
        import ray

        with self._changed:
            if self._closed:
                return False
            self._closed = True
            slots, idle = list(self._slots), list(self._idle)
            self._changed.notify_all()
        closing = [slot.actor.close.remote() for slot in idle]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for slot in slots:
            ray.kill(slot.actor)
        for thread in list(self._start_threads):
            thread.join(CLOSE_SECONDS)
        self._reporter.finish("cluster")
        if self._roster is not None:
            self._roster.close()
        return True

    def _ask_for(self, key: str, job: Job, model: PreparedModel, *, load: bool) -> None:
        """Ask Ray for one more actor; a thread sees it through. The lock is held."""
        demand = demand_of(model.worker)
        slot = Slot(key, model, job.force, demand, self._cluster.start(demand))
        self._slots.append(slot)
        if job.models is None:
            self._end_outdated(slot)
        self._free_resources(slot)
        thread = threading.Thread(
            target=self._start, args=(slot,), kwargs={"load": load}, name="mm-start", daemon=True
        )
        self._start_threads.add(thread)
        thread.start()

    def _free_resources(self, slot: Slot) -> None:
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
            self._reporter.note(f"stopped the idle worker of {other.model.name} to make room")
            self._end_idle(other)

    def _end_outdated(self, slot: Slot) -> None:
        """End idle workers of what a model was before its files were edited. The lock is held."""
        for other in list(self._idle):
            if other.key != slot.key and other.kind == slot.kind:
                self._end_idle(other)

    def _end_idle(self, slot: Slot) -> None:
        self._remove(slot)
        threading.Thread(target=self._dismiss, args=(slot,), daemon=True).start()

    def _start(self, slot: Slot, *, load: bool) -> None:
        """See an actor through until its worker may take jobs. Runs in a thread of its own."""
        try:
            self._greet(slot)
            slot.open(self._variables, self._reporter)
            if load:
                slot.load(self._reporter)
        except ActorLost as lost:
            with self._changed:
                wanted = slot in self._slots and not self._closed  # else it was ended on purpose
                self._lost[slot.key] = self._lost.get(slot.key, 0) + 1
            if not wanted:
                return
            if self._lost[slot.key] < ATTEMPTS:
                self._reporter.note(f"{slot.model.name} is started again ({lost})")
                self.drop(slot)
            else:
                self._fail(slot, too_many_lost(slot.model.name))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            if isinstance(error, FAILED_LOADS):
                self._failures.keep(slot.key, error)
            self._fail(slot, error)
        else:
            self._lost[slot.key] = 0
            self._failures.forget(slot.key)
            self.give_back(slot)
        finally:
            self._start_threads.discard(threading.current_thread())

    def _fail(self, slot: Slot, error: BaseException) -> None:
        """Let one of those who wait for such a worker have the error.

        Where others of its kind work, they go on, and no more are asked for.
        """
        with self._changed:
            known = slot in self._slots and not self._closed  # else it was ended on purpose
            others = sum(1 for each in self._slots if each.key == slot.key and each.ready)
            if known and others:
                self._most[slot.key] = others
                self._reporter.note(f"going on with {others} of {slot.model.name}: {error}")
            elif known and self._waiting.get(slot.key):
                self._failed.setdefault(slot.key, []).append(error)
            elif known:
                self._reporter.note(str(error))
        self.drop(slot)

    def _greet(self, slot: Slot) -> None:
        """Wait until the actor is placed, and check that its `mm` is the same.

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
                    raise ActorLost("it is no longer wanted")
                self._free_resources(slot)
                alone = not any(each.node for each in self._slots if each.key == slot.key)
            if alone and time.monotonic() - looked >= LOOK_AGAIN:
                looked = time.monotonic()
                self._cluster.check(slot.model.name, slot.demand)
                self._reporter.progress(
                    "cluster", f"{slot.model.name} waits for a node with {slot.demand} free"
                )
        try:
            answer = get(hello)
        except ray.exceptions.RayTaskError as error:  # the actor's class cannot be imported there
            raise EnvironmentFailure(
                "a node of the cluster has no mm that this one can work with",
                fix=f"run on every node: pip install 'mm-orchestrator[ray]=={__version__}'",
                detail=str(error),
            ) from error
        with self._changed:
            slot.node = self._cluster.node_name(answer["node"])
            self._show()
        slot.check_version(answer)

    def give_back(self, slot: Slot) -> None:
        """Let a worker take the next job."""
        with self._changed:
            slot.ready = True
            if slot not in self._slots or self._closed:
                return  # the thread that removed it, or `close`, ends it
            slot.idle_since = time.monotonic()
            self._idle.append(slot)
            self._show()
            self._changed.notify_all()

    def drop(self, slot: Slot) -> None:
        """Forget a worker that is lost, or of no more use, and end its actor."""
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

        ray.wait([slot.actor.close.remote()], timeout=CLOSE_SECONDS)
        ray.kill(slot.actor)

    def _show(self) -> None:
        """Keep which workers are where. The lock is held."""
        now = time.monotonic()
        state = [(slot.node, slot.ready) for slot in self._slots]
        if self._roster is None or (state == self._shown[0] and now - self._shown[1] < SHOWN):
            return
        if state != self._shown[0]:
            self._reporter.progress("cluster", self._placed())
        self._shown = (state, now)
        self._roster.write(
            {
                "id": slot.worker,
                "model": slot.model.name,
                "pid": None,
                "device": slot.model.worker.device,
                "dtype": slot.model.worker.dtype,
                "memory": None,
                "node": slot.node,
                "state": slot.state,
                "jobs": slot.jobs,
            }
            for slot in self._slots
        )

    def _placed(self) -> str:
        """Return how many workers of each model are on how many nodes. The lock is held."""
        words = []
        for model in dict.fromkeys(slot.model.name for slot in self._slots):
            mine = [slot for slot in self._slots if slot.model.name == model]
            ready = sum(slot.ready for slot in mine)
            nodes = len({slot.node for slot in mine if slot.node})
            where = f", on {counted(nodes, 'node')}" if nodes else ""
            words.append(f"{model}: {ready} of {len(mine)} workers ready{where}")
        return "; ".join(words)


def too_many_lost(model: str) -> Crashed:
    """Return the error for a model under which actor after actor is lost."""
    return Crashed(
        f"{ATTEMPTS} actors were lost, one after the other, with {model}",
        fix="look at the memory and the logs of the nodes",
    )
