"""The engine of a cluster: jobs go to actors on whatever nodes Ray has placed them.

A job whose actor is lost goes to another one: it must not wait for the one place that its own actor
would be given again, as it would if Ray restarted actors.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from orchestrator.engines.base import Completed, Elsewhere, ignore_event
from orchestrator.engines.ray.pool import ATTEMPTS, Pool, too_many_lost
from orchestrator.engines.ray.slots import Lost, Slot, get, listen
from orchestrator.engines.ray.watch import Watch
from orchestrator.engines.ray.wire import decode_event, decode_outputs, encode_job
from orchestrator.errors import MMError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.rosters import Roster
    from orchestrator.engines.base import Task
    from orchestrator.engines.ray.cluster import Cluster
    from orchestrator.reporting import Reporter
    from orchestrator.scratch import Scratch


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
        self._watch = Watch()
        self._pool = Pool(cluster, reporter, self._watch, limit, variables or {}, roster)
        self._numbers = itertools.count(1)

    def run(self, task: Task) -> Completed:
        """Run `task` in an idle worker of its kind, or in the first that is there for it."""
        for _ in range(ATTEMPTS):
            slot = self._pool.take(task)
            try:
                return self._run_in(slot, task)
            except Lost as lost:
                self._reporter.note(f"{slot.node} was lost; its item goes to another node ({lost})")
        raise too_many_lost(task.manifest.name)

    def prepare(self, task: Task) -> None:
        """Have a worker of the task's kind loaded."""
        for _ in range(ATTEMPTS):
            slot = self._pool.take(task)
            try:
                if slot.loaded is None and not slot.jobs:
                    slot.load(self._reporter)
            except Lost:
                self._pool.drop(slot)
                continue
            except BaseException:
                self._pool.drop(slot)
                raise
            self._pool.give_back(slot)
            return
        raise too_many_lost(task.manifest.name)

    def produced_by(self, task: Task) -> Mapping[str, Any]:
        """Return the receipt's part before the inputs, from a node that has the environment."""
        slot = self._pool.take(task, load=False)
        self._pool.give_back(slot)
        assert slot.produced_by is not None
        return slot.produced_by

    def close(self) -> None:
        """End every worker and leave the cluster; a job that still runs ends as cancelled."""
        if self._pool.close():
            self._watch.close()
            self._cluster.close()

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
            if slot.loaded is not None and not slot.jobs:
                timings["load"] = slot.loaded
            for value in slot.said:
                hear("event", value)
            slot.said.clear()
            with self._watch.over(task.cancellation, stop):
                answer = self._call(slot, task, number, hear)
        except MMError:
            self._pool.give_back(slot)
            raise
        except BaseException:
            self._pool.drop(slot)
            raise
        self._pool.give_back(slot)
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
            ended = get(slot.actor.run.remote(job, *blobs))
        else:
            stream = slot.actor.stream.options(num_returns="streaming")
            ended = listen(stream.remote(job, *blobs), hear)
        if ended[0] == "unseen" and not slot.by_value:
            slot.by_value = True
            return self._call(slot, task, number, hear)
        slot.jobs += 1
        found: Mapping[str, Any] = slot.result(ended)
        return found
