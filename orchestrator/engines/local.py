"""The engine of a session: a pool of workers of its own, by what they were started from."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from orchestrator.client.launch import spawn
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.interface import ATTEMPTS, never_began
from orchestrator.engines.messages import load_in_worker, run_in_worker
from orchestrator.engines.start_failures import FAILED_STARTS, StartFailures
from orchestrator.errors import Cancelled
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.system.reporter import Silent
from orchestrator.system.waiting import Wait

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.client.launch import WorkerSpec
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.engines.interface import EngineResult, PreparedModel
    from orchestrator.engines.resources import Resources
    from orchestrator.jobs.job import Job
    from orchestrator.system.scratch import Scratch

LOOK_SECONDS = 0.1
"""Seconds between two looks of a job that waits for a worker: whether it was asked to stop."""


class LocalEngine:
    """Workers of this machine, started when a job needs one and kept until `close`.

    Args:
        runtime: Where sockets and records go.
        logs: The directory of workers' logs.
        scratch: Where jobs get their directories.
        resources: Decides whether a model may be loaded.
        limit: How many workers of one kind may live at once.
        failures: Remembers which workers could not be started.
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        logs: Path,
        scratch: Scratch,
        resources: Resources,
        limit: int = 1,
        failures: StartFailures | None = None,
    ) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._resources = resources
        self._limit = limit
        self._failures = failures or StartFailures(resources.reporter)
        self._lock = threading.Lock()
        self._queues: dict[str, deque[threading.Condition]] = {}  # of jobs that wait for a worker
        self._idle: dict[str, list[Worker]] = {}
        self._live: dict[str, set[Worker]] = {}
        self._ending: dict[Worker, str] = {}
        self._count: Counter[str] = Counter()  # of those that live or are about to
        self._current: dict[tuple[str, str, str], str] = {}  # by model, device and data type
        self._outdated: set[str] = set()
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
                    self._ending[worker] = key
            busy = {worker for live in self._live.values() for worker in live} - set(self._ending)
            for queue in self._queues.values():
                for turn in queue:
                    turn.notify()
        for worker in busy:
            worker.interrupt()
        for worker, key in list(self._ending.items()):
            self._end(key, worker)

    def _take(self, key: str, job: Job, model: PreparedModel, timings: dict[str, float]) -> Worker:
        """Return an idle worker, a new one where there may be more, or wait for one."""
        if not self._queues.get(key) and (worker := self._take_idle(key)):
            return worker
        most = max(self._limit, job.workers)
        while (worker := self._await_turn(key, job, model, most)) is None:
            try:
                return self._start(key, job, model, timings)
            except FAILED_STARTS:  # noqa: PERF203 - each try starts a process
                with self._lock:
                    others = len(self._live.get(key, ()))
                if not others:
                    raise
                self._failures.note_fewer(key, model, others, most)
        return worker

    def _await_turn(self, key: str, job: Job, model: PreparedModel, most: int) -> Worker | None:
        """Wait behind the jobs that came before, until a worker is idle or may be started.

        Returns:
            The idle worker; None where the caller is to start one.
        """
        turn = threading.Condition(self._lock)
        stopped = asked_to_stop(job.cancellation)
        # A session's jobs show by themselves how far they are.
        wait = Wait(model.name, "its worker, which is busy", Silent(), job.deadline, stopped)
        with self._lock:
            queue = self._queues.setdefault(key, deque())
            queue.append(turn)
            try:
                while True:
                    if self._closed:
                        raise _session_ended(model)
                    if queue[0] is turn:
                        if worker := self._take_idle(key):
                            return worker
                        if self._may_start(key, most):
                            self._count[key] += 1
                            return None
                    wait.look()
                    turn.wait(LOOK_SECONDS)
            finally:
                queue.remove(turn)
                self._next(key)

    def _may_start(self, key: str, most: int) -> bool:
        """Return whether one more worker may be started. The lock is held.

        While the first one waits for memory there is no second, which could not have it either.
        """
        count = self._count[key]
        if not self._live.get(key):
            return not count
        return count < most and not self._failures.pausing(key)

    def _next(self, key: str) -> None:
        """Let the job that has waited longest look again. The lock is held."""
        if queue := self._queues.get(key):
            queue[0].notify()

    def _take_idle(self, key: str) -> Worker | None:
        """Return an idle worker, which is the caller's from now on, if there is one.

        It needs no lock: `pop` gives a worker to one caller alone.
        """
        try:
            return self._idle[key].pop()
        except LookupError:
            return None

    def _start(self, key: str, job: Job, model: PreparedModel, timings: dict[str, float]) -> Worker:
        """Start a worker and have it load its model, unless one is idle by then."""
        began = time.perf_counter()
        started: Worker | None = None

        def start(spec: WorkerSpec) -> Worker:
            nonlocal started
            started = spawn(spec, self._runtime, self._logs)
            with self._lock:
                self._live.setdefault(key, set()).add(started)
                self._next(key)
                closed = self._closed
            if closed:
                raise _session_ended(model)
            return started

        try:
            if job.models is None:
                self._end_outdated(model)
            with self._failures.watching(job, model):
                worker = self._resources.start_when_fits(
                    job,
                    model,
                    start,
                    find=lambda: self._take_idle(key),
                    evict=lambda record: self._evict(record, key),
                    owns=lambda record: self._find(record) is not None,
                    in_use=lambda record: (
                        self._find(record) is not None and (record not in self.idle)
                    ),
                    alone=lambda: not self._live.get(key),
                )
                if started is None:
                    self._end(key, None)
                    return worker
                load_in_worker(worker, job, model, self._resources)
        except BaseException:
            self._end(key, started)
            raise
        self._failures.forget(key)
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
            self._end(before, worker)

    def _end(self, key: str, worker: Worker | None) -> None:
        """End a worker, or give up one that was not started, and let others take its place."""
        if worker is not None:
            worker.stop()
        with self._lock:
            if worker is not None:
                self._live.get(key, set()).discard(worker)
                self._ending.pop(worker, None)
            self._count[key] -= 1
            self._next(key)

    def _find(self, record: WorkerRecord) -> tuple[str, Worker] | None:
        """Return a worker of ours and its key."""
        with self._lock:
            for key, live in self._live.items():
                for worker in live:
                    if worker.record.id == record.id:
                        return key, worker
        return None

    def _evict(self, record: WorkerRecord, wanted: str) -> bool:
        """End an idle worker of ours to free its memory for one of the kind `wanted`."""
        found = self._find(record)
        if found is None or found[0] == wanted:
            return False
        key, worker = found
        try:
            self._idle[key].remove(worker)
        except (LookupError, ValueError):
            return False  # a job has taken it just now
        self._end(key, worker)
        return True

    def _give_back(self, key: str, worker: Worker, job: Job) -> None:
        with self._lock:
            current = key not in self._outdated or job.models is not None
            stays = worker.alive and current and not self._closed
            claimed = stays and self._resources.claimed(worker.record.id)
            if stays and not claimed:
                self._idle.setdefault(key, []).append(worker)
                self._next(key)
                return
        self._end(key, worker)
        if claimed:
            self._resources.note_stopped(worker.record)


def _session_ended(model: PreparedModel) -> Cancelled:
    return Cancelled(f"{model.name} was cancelled: its session has ended")
