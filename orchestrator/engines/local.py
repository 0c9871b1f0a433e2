"""The engine of a session: a pool of workers of its own, by what they were started from."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from orchestrator.client.launch import spawn
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.interface import ATTEMPTS, never_began
from orchestrator.engines.messages import load_in_worker, run_in_worker
from orchestrator.errors import Cancelled
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.system.flock import PAUSE
from orchestrator.system.reporter import Silent
from orchestrator.system.waiting import Wait

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.engines.interface import EngineResult, PreparedModel
    from orchestrator.engines.resources import Resources
    from orchestrator.jobs.job import Job
    from orchestrator.system.scratch import Scratch


class LocalEngine:
    """Workers of this machine, started when a job needs one and kept until `close`.

    Args:
        runtime: Where sockets and records go.
        logs: The directory of workers' logs.
        scratch: Where jobs get their directories.
        resources: Decides whether a model may be loaded.
        limit: How many workers of one kind may live at once.
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        logs: Path,
        scratch: Scratch,
        resources: Resources,
        limit: int = 1,
    ) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._resources = resources
        self._limit = limit
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._idle: dict[str, list[Worker]] = {}
        self._all: set[Worker] = set()
        self._ending: set[Worker] = set()
        self._count: dict[str, int] = {}  # of those that live or are about to
        self._current: dict[tuple[str, str, str], str] = {}  # by model, device and data type
        self._outdated: set[str] = set()
        self._waiting = 0  # threads
        self._closed = False

    def run(self, job: Job, model: PreparedModel) -> EngineResult:
        """Run `job` in an idle worker of its kind, or in a new one."""
        key = model.worker.digest
        timings: dict[str, float] = {}
        for _ in range(ATTEMPTS):
            worker = self._take(key, job, model, timings)
            try:
                threads = self._resources.threads(model)
                changed = threads if threads != worker.threads else None
                completed = run_in_worker(worker, job, model, self._scratch, changed)
                worker.threads = threads
                completed.timings.update(timings)
                return completed
            except NotBegun:
                continue  # it had died while it was idle
            finally:
                self._give_back(key, worker, job)
        raise never_began(model.name)

    def load(self, job: Job, model: PreparedModel) -> None:
        """Have a worker of the model loaded, and idle unless others need it at once."""
        key = model.worker.digest
        self._give_back(key, self._take(key, job, model, {}), job)

    @property
    def idle(self) -> list[WorkerRecord]:
        """The records of workers that have nothing to do."""
        with self._lock:
            return [worker.record for idle in self._idle.values() for worker in idle]

    def close(self) -> None:
        """End every worker; a job that still runs ends as cancelled.

        Called again after an interrupt, it ends those that are left.
        """
        with self._lock:
            self._closed = True
            for key in self._idle:
                while worker := self._take_idle(key):
                    self._ending.add(worker)
            busy = self._all - self._ending
            self._changed.notify_all()
        for worker in busy:
            worker.interrupt()
        for worker in list(self._ending):
            self._end(worker)

    def _take(self, key: str, job: Job, model: PreparedModel, timings: dict[str, float]) -> Worker:
        """Return an idle worker, a new one where there may be more, or wait for one."""
        if worker := self._take_idle(key):
            return worker
        stopped = asked_to_stop(job.cancellation)
        # The job that has the worker is the caller's own: nothing is said of the wait.
        with Wait(model.name, "a free worker", Silent(), job.deadline, stopped) as wait:
            while not self._take_place(key, job, model):
                if worker := self._take_idle(key):
                    return worker
                wait.look()
        try:
            return self._start(job, model, timings)
        except BaseException:
            self._drop(key)
            raise

    def _take_place(self, key: str, job: Job, model: PreparedModel) -> bool:
        """Take the place of a new worker; without one, wait a moment for one that is given back."""
        with self._lock:
            if self._closed:
                raise _session_ended(model)
            if self._idle.get(key):
                return False
            count = self._count.get(key, 0)
            if count < max(self._limit, job.workers):
                self._count[key] = count + 1
                return True
            self._waiting += 1
            try:
                self._changed.wait(PAUSE)
            finally:
                self._waiting -= 1
            return False

    def _take_idle(self, key: str) -> Worker | None:
        """Return an idle worker, which is the caller's from now on, if there is one.

        It needs no lock: `pop` gives a worker to one caller alone.
        """
        try:
            return self._idle[key].pop()
        except LookupError:
            return None

    def _start(self, job: Job, model: PreparedModel, timings: dict[str, float]) -> Worker:
        began = time.perf_counter()
        if job.models is None:
            self._end_outdated(model)
        worker = self._resources.start_when_fits(
            job,
            model,
            lambda: spawn(model.spec, self._runtime, self._logs),
            evict=self._evict,
        )
        with self._lock:
            self._all.add(worker)
            closed = self._closed
        if closed:
            self._end(worker)
            raise _session_ended(model)
        try:
            load_in_worker(worker, job, model, self._resources)
        except BaseException:
            self._end(worker)
            raise
        timings["load"] = time.perf_counter() - began
        return worker

    def _end_outdated(self, model: PreparedModel) -> None:
        """End idle workers of what `model` was before its files were edited, and soon the others.

        Those of jobs that keep it as it was may still be needed.
        """
        key, kind = model.spec.digest, (model.name, model.spec.device, model.spec.dtype)
        with self._lock:
            before = self._current.get(kind, key)
            self._current[kind] = key
            if before == key:
                return
            self._outdated.add(before)
            self._outdated.discard(key)
        while worker := self._take_idle(before):
            self._end(worker)
            self._drop(before)

    def _end(self, worker: Worker) -> None:
        worker.stop()
        with self._lock:
            self._all.discard(worker)
            self._ending.discard(worker)

    def _evict(self, record: WorkerRecord) -> bool:
        """End an idle worker of ours to free its memory for another."""
        with self._lock:
            found = next(
                (
                    (key, worker)
                    for key, idle in self._idle.items()
                    for worker in idle
                    if worker.record.id == record.id
                ),
                None,
            )
            if found is None:
                return False
            key, worker = found
            try:
                self._idle[key].remove(worker)
            except ValueError:
                return False  # a job has taken it just now
        self._end(worker)
        self._drop(key)
        return True

    def _give_back(self, key: str, worker: Worker, job: Job) -> None:
        with self._lock:
            current = key not in self._outdated or job.models is not None
            if worker.alive and current and not self._closed:
                self._idle.setdefault(key, []).append(worker)
                if self._waiting:
                    self._changed.notify()
                return
        self._end(worker)
        self._drop(key)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._count[key] -= 1
            self._changed.notify()


def _session_ended(model: PreparedModel) -> Cancelled:
    return Cancelled(f"{model.name} was cancelled: its session has ended")
