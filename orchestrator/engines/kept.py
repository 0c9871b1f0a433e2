"""The engine of the command line: workers that outlive it and are found again by their digest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestrator.client.connection import ConnectionLost, DeadlinePassed, RemoteError
from orchestrator.client.launch import connect, start
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.engines.base import ATTEMPTS, never_began
from orchestrator.engines.wire import load_call, run_call, run_in
from orchestrator.worker.frames import ProtocolError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.client.runtime import RuntimeDirectory
    from orchestrator.engines.base import Completed, PreparedModel
    from orchestrator.engines.room import Room
    from orchestrator.jobs.job import Job
    from orchestrator.scratch import Scratch


class KeptEngine:
    """Workers of this machine that stay for a while after their last job, for whoever comes next.

    Args:
        runtime: Where sockets and records go.
        logs: The directory of workers' logs.
        scratch: Where jobs get their directories.
        room: Decides whether a model may be loaded.
    """

    def __init__(self, runtime: RuntimeDirectory, logs: Path, scratch: Scratch, room: Room) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._room = room

    def run(self, job: Job, model: PreparedModel) -> Completed:
        """Run `job` in a worker that is there already, after those who came first, or a new one.

        Raises:
            Crashed: When worker after worker ended before the job's turn; else as every engine.
        """
        timings: dict[str, float] = {}
        keep = model.keep_alive(job)
        for _ in range(ATTEMPTS):
            worker, started = self._find(model), False
            if worker is None:
                worker, started = self._start(job, model, timings)
            try:
                threads = self._room.threads(model)
                call = run_call(job, model, self._scratch.reserve(), threads, job.keep_alive)
                completed = run_in(worker, job, model, call, self._scratch)
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
        if not model.keep_alive(job):
            return
        worker = self._find(model) or self._start(job, model, {})[0]
        worker.leave()

    def close(self) -> None:
        """Do nothing: the workers stay."""

    def _find(self, model: PreparedModel) -> Worker | None:
        """Return a connection to a worker that was started from the same things, if there is one.

        Its model may still be on its way; a job waits for it as for another client's.
        """
        wanted = model.spec.digest
        for record in self._runtime.records():
            if not record.kept or record.digest != wanted:
                continue
            if self._runtime.state(record.id).phase == "ending":
                continue
            worker = Worker(record, self._runtime, record.foreign())
            try:
                connect(worker)
            except (ConnectionLost, DeadlinePassed, RemoteError, ProtocolError, OSError):
                worker.leave()  # it is about to end
                continue
            return worker
        return None

    def _start(
        self, job: Job, model: PreparedModel, timings: dict[str, float]
    ) -> tuple[Worker, bool]:
        """Start a worker, unless somebody else has started it by now; say which."""
        began = time.perf_counter()
        keep = model.keep_alive(job)
        with self._runtime.starting():
            if found := self._find(model):
                return found, False
            self._room.make(job, model, lambda _: False)
            worker = start(model.spec, self._runtime, self._logs, kept=keep > 0)
            call = load_call(job, model, self._room.threads(model), keep)
            # Sent before anybody else may connect, so that their jobs come after it.
            worker.begin_load(call)
        worker.finish_load(call, job.cancellation, job.on_event)
        if keep:
            worker.keep()
        timings["load"] = time.perf_counter() - began
        return worker, True
