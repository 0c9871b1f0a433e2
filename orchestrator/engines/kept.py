"""The engine of the command line: workers that outlive it and are found again by their digest."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.client.connection import ConnectionLost, RemoteError
from orchestrator.client.launch import HELLO_SECONDS, connect, spawn
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.interface import ATTEMPTS, never_began
from orchestrator.engines.messages import keep_worker, load_in_worker, run_in_worker
from orchestrator.engines.start_failures import FAILED_STARTS, StartFailures
from orchestrator.worker.frames import ProtocolError
from orchestrator.worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.client.launch import WorkerSpec
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.engines.interface import EngineResult, PreparedModel
    from orchestrator.engines.resources import Resources
    from orchestrator.jobs.job import Job
    from orchestrator.system.scratch import Scratch


class KeptEngine:
    """Workers of this machine that stay for a while after their last job, for later commands.

    Args:
        runtime: Where sockets and records go.
        logs: The directory of workers' logs.
        scratch: Where jobs get their directories.
        resources: Decides whether a model may be loaded.
        patience: Seconds in which a worker that has nothing to do answers, and in which the client
            that has started one asks it to load its model.
        limit: How many workers of one kind may live at once.
        failures: Remembers which workers could not be started.
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        logs: Path,
        scratch: Scratch,
        resources: Resources,
        patience: float = HELLO_SECONDS,
        limit: int = 1,
        failures: StartFailures | None = None,
    ) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._resources = resources
        self._patience = patience
        self._limit = limit
        self._failures = failures or StartFailures(resources.reporter)
        self._lock = threading.Lock()
        self._jobs: Counter[str] = Counter()  # of this engine, by worker
        self._starting: Counter[str] = Counter()  # starts of this engine, by kind
        self._loading: Counter[str] = Counter()  # those of them that have a worker

    def run(self, job: Job, model: PreparedModel) -> EngineResult:
        """Run `job` in a worker that is there already, after those who came first, or a new one.

        Raises:
            Crashed: When worker after worker ended before the job's turn; else as every engine.
        """
        timings: dict[str, float] = {}
        keep = model.keep_alive(job)
        for _ in range(ATTEMPTS):
            worker, started = self._obtain(job, model, timings)
            try:
                threads = self._resources.threads(model)
                completed = run_in_worker(
                    worker, job, model, self._scratch, threads, job.keep_alive
                )
                completed.timings.update(timings)
                return completed
            except NotBegun:
                continue
            finally:
                self._count(worker.record.id, -1)
                if started and not keep:
                    worker.stop()
                else:
                    worker.leave()
        raise never_began(model.name)

    def load(self, job: Job, model: PreparedModel) -> None:
        """Have `job.workers` workers loaded, where they would stay; they are found by their digest.

        Those that are there stay as long from now on as the job says.
        """
        if not model.keep_alive(job):
            return
        silent: set[str] = set()
        loaded: set[str] = set()

        def find() -> WorkerRecord | None:
            there = self._serving(model, silent)
            return next((record for record in there if record.id not in loaded), None)

        while len(loaded) < job.workers:
            try:
                found = find() or self._start(job, model, silent, find)
            except FAILED_STARTS:
                if not loaded:
                    raise
                key = model.spec.digest
                self._failures.note_fewer(key, model, len(loaded), job.workers)
                return
            if isinstance(found, Worker):
                self._count(found.record.id, -1)
                found.leave()
                loaded.add(found.record.id)
            elif self._prolong(found, job, model):
                loaded.add(found.id)
            else:
                silent.add(found.id)

    def close(self) -> None:
        """Do nothing: the workers stay."""

    def _obtain(
        self, job: Job, model: PreparedModel, timings: dict[str, float]
    ) -> tuple[Worker, bool]:
        """Return a worker that was started from the same things, and whether it was just now."""
        silent: set[str] = set()
        began = time.perf_counter()
        most = max(self._limit, job.workers)
        while True:
            found = self._find(model, silent, most) or self._start_or_share(
                job, model, silent, most
            )
            if isinstance(found, Worker):
                timings["load"] = time.perf_counter() - began
                return found, True
            joined = None
            try:
                if joined := self._join(found, job, model):
                    return joined, False
            finally:
                if joined is None:
                    self._count(found.id, -1)
            silent.add(found.id)

    def _start_or_share(
        self, job: Job, model: PreparedModel, silent: set[str], most: int
    ) -> Worker | WorkerRecord:
        """Start a worker; where that fails, return the best of the others, if there are any."""
        try:
            return self._start(job, model, silent, lambda: self._find(model, silent, most))
        except FAILED_STARTS:
            there = len(self._serving(model, silent))
            record = self._find(model, silent, 1) if most > 1 else None
            if record is None:
                raise
            self._failures.note_fewer(model.spec.digest, model, there, most)
            return record

    def _count(self, worker: str, change: int) -> None:
        """Count the jobs of this engine that a worker has."""
        with self._lock:
            self._jobs[worker] += change
            if not self._jobs[worker]:
                del self._jobs[worker]

    def _serving(self, model: PreparedModel, silent: set[str]) -> list[WorkerRecord]:
        """Return the records of the workers that were started from the same things, oldest first.

        Their models may still be on their way; a job waits for one as for another client's.
        """
        wanted = model.spec.digest
        return [
            record
            for record in self._runtime.records()
            if record.kept and record.digest == wanted and record.id not in silent
            if self._serves(record) and not self._resources.claimed(record.id)
        ]

    def _find(self, model: PreparedModel, silent: set[str], most: int) -> WorkerRecord | None:
        """Return the worker for a job: an idle one, else that with the shortest queue, if any.

        None where there may be one more than there are.
        """
        with self._lock:
            there = self._serving(model, silent)
            if not there:
                return None
            best = min(there, key=self._queued)
            pausing = self._failures.pausing(model.spec.digest)
            if any(self._queued(best)) and len(there) < most and not pausing:
                return None
            self._jobs[best.id] += 1
            return best

    def _queued(self, record: WorkerRecord) -> tuple[int, int]:
        """Return the least and the most jobs that a worker has; zeros for an idle one.

        Of this engine's own jobs it is not known which the worker has read, and shows, already.
        """
        status, ours = self._runtime.status(record.id), self._jobs[record.id]
        shown = status.waiting + (not status.idle)
        return max(shown, ours), shown + ours

    def _serves(self, record: WorkerRecord) -> bool:
        """Return whether a worker runs jobs, or soon will.

        Its state file shows it: while a job runs, the worker may be unable to answer.
        """
        status = self._runtime.status(record.id)
        if status.state is WorkerState.NEW:
            return time.monotonic() < status.since + self._patience
        return status.state is not WorkerState.ENDING

    def _start(
        self,
        job: Job,
        model: PreparedModel,
        silent: set[str],
        find: Callable[[], WorkerRecord | None],
    ) -> Worker | WorkerRecord:
        """Start a worker and have it load its model, unless `find` has found one by then."""
        key = model.spec.digest
        with self._resources.wait(job, model, "its worker, which is started") as wait:
            while not self._enter(key, model, silent):
                wait.pause()
                if (record := find()) is not None:
                    return record
        try:
            found = self._start_and_load(job, model, silent, find)
        finally:
            with self._lock:
                self._starting[key] -= 1
        if isinstance(found, Worker):
            self._failures.forget(key)
            if model.keep_alive(job):
                found.keep()
        return found

    def _enter(self, key: str, model: PreparedModel, silent: set[str]) -> bool:
        """Count a start of this engine, unless another is under way and shows no worker yet."""
        with self._lock:
            if self._starting[key] and not self._serving(model, silent):
                return False
            self._starting[key] += 1
            return True

    def _start_and_load(
        self,
        job: Job,
        model: PreparedModel,
        silent: set[str],
        find: Callable[[], WorkerRecord | None],
    ) -> Worker | WorkerRecord:
        keep = model.keep_alive(job)
        key = model.spec.digest
        started: Worker | None = None

        def start(spec: WorkerSpec) -> Worker | WorkerRecord:
            nonlocal started
            # A worker whose load fails ends before the job that started it has noted the failure.
            with self._resources.wait(job, model, "its worker, which ends") as wait:
                while self._loading[key] and not self._serving(model, silent):
                    wait.pause()
            if error := self._failures.repeated(key):
                raise error
            started = spawn(spec, self._runtime, self._logs, kept=keep > 0)
            self._count(started.record.id, 1)
            with self._lock:
                self._loading[key] += 1
            return started

        try:
            with self._failures.watching(job, model):
                found = self._resources.start_when_fits(
                    job,
                    model,
                    start,
                    find=find,
                    in_use=lambda record: self._jobs[record.id] > 0,
                    alone=lambda: not self._serving(model, silent),
                )
                if started is not None:
                    load_in_worker(started, job, model, self._resources, keep)
                return found
        except BaseException:
            if started is not None:
                self._count(started.record.id, -1)
            raise
        finally:
            if started is not None:
                with self._lock:
                    self._loading[key] -= 1

    def _prolong(self, record: WorkerRecord, job: Job, model: PreparedModel) -> bool:
        """Have a worker stay as long from now on as a job says, once its model is loaded.

        Returns:
            Whether it is there to stay.
        """
        worker = self._join(record, job, model)
        if worker is None:
            return False
        try:
            with self._resources.wait(job, model, "its model, which another mm loads") as wait:
                while self._runtime.status(record.id).state is WorkerState.LOADING:
                    wait.pause()
                wait.what = "its worker, which is busy"
                if job.keep_alive is not None:
                    keep_worker(worker, job.keep_alive, wait.look)
            return self._runtime.status(record.id).state in (WorkerState.IDLE, WorkerState.BUSY)
        except ConnectionLost:
            return False
        finally:
            worker.leave()

    def _join(self, record: WorkerRecord, job: Job, model: PreparedModel) -> Worker | None:
        """Return a connection to a worker, once it answers; None for one that does not."""
        worker = Worker(record, self._runtime, record.foreign())
        idle_since = math.inf

        def check() -> None:
            nonlocal idle_since
            working = self._runtime.status(record.id).working
            idle_since = math.inf if working else min(idle_since, time.monotonic())
            if time.monotonic() - idle_since >= self._patience:
                self._resources.reporter.note(
                    f"the idle worker of {model.name} does not answer; not used again"
                )
                raise ConnectionLost("no answer")
            wait.what = f"its worker, which {'is busy' if working else 'does not answer yet'}"
            wait.look()

        with self._resources.wait(job, model, "its worker, which another mm starts") as wait:
            # Its first client's request to load the model comes first.
            while self._runtime.status(record.id).state is WorkerState.NEW:
                if not self._serves(record):
                    return None  # its client is gone; a request would make it look new again
                wait.pause()
            try:
                connect(worker, check=check)
            except (ConnectionLost, RemoteError, ProtocolError, OSError):
                return None  # it is about to end
        return worker
