"""The engine of the command line: workers that outlive it and are found again by their digest."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from orchestrator.client.connection import ConnectionLost, RemoteError
from orchestrator.client.launch import HELLO_SECONDS, connect, spawn
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.interface import ATTEMPTS, never_began
from orchestrator.engines.messages import load_in_worker, run_in_worker
from orchestrator.worker.frames import ProtocolError
from orchestrator.worker.state import WorkerState

if TYPE_CHECKING:
    from pathlib import Path

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
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        logs: Path,
        scratch: Scratch,
        resources: Resources,
        patience: float = HELLO_SECONDS,
    ) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._resources = resources
        self._patience = patience

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
                if started and not keep:
                    worker.stop()
                else:
                    worker.leave()
        raise never_began(model.name)

    def load(self, job: Job, model: PreparedModel) -> None:
        """Have a worker loaded, where one would stay; it is found again by its digest."""
        if model.keep_alive(job):
            self._obtain(job, model, {})[0].leave()

    def close(self) -> None:
        """Do nothing: the workers stay."""

    def _obtain(
        self, job: Job, model: PreparedModel, timings: dict[str, float]
    ) -> tuple[Worker, bool]:
        """Return a worker that was started from the same things, and whether it was just now."""
        silent: set[str] = set()
        began = time.perf_counter()
        while True:
            found = self._find(model, silent) or self._start(job, model, silent)
            if isinstance(found, Worker):
                keep = model.keep_alive(job)
                load_in_worker(found, job, model, self._resources, keep)
                if keep:
                    found.keep()
                timings["load"] = time.perf_counter() - began
                return found, True
            if worker := self._join(found, job, model):
                return worker, False
            silent.add(found.id)

    def _find(self, model: PreparedModel, silent: set[str]) -> WorkerRecord | None:
        """Return the record of a worker that was started from the same things, if there is one.

        Its model may still be on its way; a job waits for it as for another client's.
        """
        wanted = model.spec.digest
        for record in self._runtime.records():
            same = record.kept and record.digest == wanted
            if same and record.id not in silent and self._serves(record):
                return record
        return None

    def _serves(self, record: WorkerRecord) -> bool:
        """Return whether a worker runs jobs, or soon will.

        Its state file shows it: while a job runs, the worker may be unable to answer.
        """
        status = self._runtime.status(record.id)
        if status.state is WorkerState.NEW:
            return time.monotonic() < status.since + self._patience
        return status.state is not WorkerState.ENDING

    def _start(self, job: Job, model: PreparedModel, silent: set[str]) -> Worker | WorkerRecord:
        """Start a worker whose model is not loaded, unless another client has done so by now."""

        def start() -> Worker | WorkerRecord:
            kept = model.keep_alive(job) > 0
            return spawn(model.spec, self._runtime, self._logs, kept=kept)

        return self._resources.start_when_fits(
            job, model, start, find=lambda: self._find(model, silent)
        )

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
            while self._runtime.status(record.id).state is WorkerState.NEW and self._serves(record):
                wait.pause()
            try:
                connect(worker, check=check)
            except (ConnectionLost, RemoteError, ProtocolError, OSError):
                return None  # it is about to end
        return worker
