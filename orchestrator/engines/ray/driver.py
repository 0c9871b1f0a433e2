"""The engine of a cluster, in the driver process: it sends jobs to actors on the nodes.

A job whose actor is lost goes to another one. Ray does not restart actors: the job would then wait
for the one place that its own actor gets again.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from orchestrator.engines.interface import EngineResult
from orchestrator.engines.ray.cancellations import CancellationListener
from orchestrator.engines.ray.pool import ATTEMPTS, Pool, too_many_lost
from orchestrator.engines.ray.slots import ActorLost, Slot, consume, get
from orchestrator.engines.ray.transport import decode_event, decode_outputs, encode_job
from orchestrator.errors import MMError
from orchestrator.jobs.job import Job, ignore_event
from orchestrator.jobs.results import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.rosters import Roster
    from orchestrator.engines.interface import PreparedModel
    from orchestrator.engines.ray.cluster import Cluster
    from orchestrator.system.reporter import Reporter
    from orchestrator.system.scratch import Scratch


class RayEngine:
    """Workers on the nodes of a Ray cluster, each started when a task needs it.

    Args:
        cluster: Where they run.
        scratch: Where files that jobs return are written.
        reporter: Gets notes on what happens on nodes.
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
        self._cancellations = CancellationListener()
        self._pool = Pool(cluster, reporter, self._cancellations, limit, variables or {}, roster)
        self._numbers = itertools.count(1)

    def run(self, job: Job, model: PreparedModel) -> EngineResult:
        """Run `job` in an idle worker of its kind, or in the first that is there for it."""
        for _ in range(ATTEMPTS):
            slot = self._pool.take(job, model)
            try:
                return self._run_in(slot, job)
            except ActorLost as lost:
                self._reporter.note(f"{slot.node} was lost; its item goes to another node ({lost})")
        raise too_many_lost(model.name)

    def load(self, job: Job, model: PreparedModel) -> None:
        """Have a worker of the model loaded."""
        for _ in range(ATTEMPTS):
            slot = self._pool.take(job, model)
            try:
                if slot.loaded is None and not slot.jobs:
                    slot.load(self._reporter)
            except ActorLost:
                self._pool.drop(slot)
                continue
            except BaseException:
                self._pool.drop(slot)
                raise
            self._pool.give_back(slot)
            return
        raise too_many_lost(model.name)

    def produced_by(self, model: PreparedModel) -> Mapping[str, Any]:
        """Return the receipt's part before the inputs, from a node that has the environment."""
        slot = self._pool.take(Job(model.name), model, load=False)
        self._pool.give_back(slot)
        assert slot.produced_by is not None
        return slot.produced_by

    def close(self) -> None:
        """End every worker and leave the cluster; a job that still runs ends as cancelled."""
        if self._pool.close():
            self._cancellations.close()
            self._cluster.close()

    def _run_in(self, slot: Slot, job: Job) -> EngineResult:
        """Run `job` in a worker that was taken, and give it back, or drop it where it is lost."""
        number = next(self._numbers)

        def stop() -> None:
            slot.actor.cancel.options(concurrency_group="control").remote(number)

        forwarder = _EventForwarder(job, self._scratch, stop)
        timings: dict[str, float] = {}
        try:
            if slot.loaded is not None and not slot.jobs:
                timings["load"] = slot.loaded
            for value in slot.load_events:
                forwarder.on_message("event", value)
            slot.load_events.clear()
            with self._cancellations.listening(job.cancellation, stop):
                answer = self._call(slot, job, number, forwarder.on_message)
        except BaseException as error:
            (self._pool.give_back if isinstance(error, MMError) else self._pool.drop)(slot)
            if forwarder.failure is None or not isinstance(error, Exception):
                raise
        else:
            self._pool.give_back(slot)
        if forwarder.failure is not None:
            raise forwarder.failure
        outputs = decode_outputs(answer["outputs"], self._scratch)
        return EngineResult(
            outputs,
            {**timings, **answer["timings"]},
            answer["produced_by"],
            answer["inputs"],
            answer["warnings"],
            tuple(str(each.path.parent) for each in outputs.values() if isinstance(each, Artifact)),
        )

    def _call(
        self, slot: Slot, job: Job, number: int, on_message: Callable[[str, Any], None]
    ) -> Mapping[str, Any]:
        sent, blobs = encode_job(job, slot.model.manifest, by_value=slot.by_value)
        if job.on_event is ignore_event:
            outcome = get(slot.actor.run.remote(number, sent, *blobs))
        else:
            stream = slot.actor.stream.options(num_returns="streaming")
            outcome = consume(stream.remote(number, sent, *blobs), on_message)
        if outcome[0] == "unseen" and not slot.by_value:
            slot.by_value = True
            return self._call(slot, job, number, on_message)
        slot.jobs += 1
        result: Mapping[str, Any] = slot.result(outcome)
        return result


class _EventForwarder:
    """Passes a job's events to its caller, until that raises; then it asks the job to stop.

    Attributes:
        failure: What the caller raised; it is raised again once the job has ended.
    """

    def __init__(self, job: Job, scratch: Scratch, stop: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self._on_event = job.on_event
        self._scratch = scratch
        self._stop = stop

    def on_message(self, kind: str, value: Any) -> None:
        """Pass an event on."""
        if kind != "event" or self.failure is not None:
            return
        try:
            self._on_event(decode_event(value, self._scratch))
        except BaseException as error:  # noqa: BLE001 - its caller raises it
            self.failure = error
            self._stop()
