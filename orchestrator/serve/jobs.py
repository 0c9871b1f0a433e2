"""The jobs of a server: each run from its request to its end, and kept for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.errors import Cancelled, MMError
from orchestrator.jobs.job import Job
from orchestrator.serve import kept_jobs
from orchestrator.serve.answers import event
from orchestrator.serve.refused import (
    CLIENT_CLOSED,
    Refused,
    machine_refused,
    refused,
    without_paths,
)
from orchestrator.serve.served_job import ENDED, ServedJob, in_json
from orchestrator.serve.spool import Spool
from orchestrator.serve.threads import in_background, remove_tree, uninterrupted
from orchestrator.system.waiting import Deadline

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.async_session import AsyncSession
    from orchestrator.jobs.job import Event
    from orchestrator.serve.lanes import Lanes
    from orchestrator.serve.metrics import Metrics
    from orchestrator.serve.served_models import Served, ServedModels

MAX_KEPT = 256
"""Jobs that stay, those that have ended included."""

WAIT_SECONDS = 300.0
"""Seconds that a job which has left the queue waits for memory that busy workers hold."""

log = logging.getLogger("mm.serve")


class ServedJobs:
    """Runs jobs, and keeps those that clients may ask for again.

    Args:
        session: Runs them.
        lanes: Says how many there may be.
        root: The directory of their directories.
        keep: Seconds that the outputs of a job stay after its end.
        metrics: Counts them.
        lasting_root: The directory of those that outlive the server.
        most: Stands for `MAX_KEPT`; a port for tests.
    """

    def __init__(
        self,
        session: AsyncSession,
        lanes: Lanes,
        root: Path,
        keep: float,
        metrics: Metrics,
        lasting_root: Path | None = None,
        most: int = MAX_KEPT,
    ) -> None:
        self._most = most
        self._session = session
        self._lanes = lanes
        self._root = root
        self._lasting_root = lasting_root or root
        self._keep = keep
        self._metrics = metrics
        self._jobs: dict[str, ServedJob] = {}
        self._live: dict[asyncio.Task[None], ServedJob] = {}
        self.draining = False

    def new_directory(self, *, lasting: bool = False) -> Path:
        """Make the directory of a job, into which its uploads go."""
        path = (self._lasting_root if lasting else self._root) / secrets.token_hex(8)
        path.mkdir(mode=0o700, parents=True)
        return path

    def start(self, job: ServedJob, *, events: bool = False) -> ServedJob:
        """Begin a job.

        Args:
            job: The job.
            events: Whether its events are written down; those of a job that stays are.

        Raises:
            Refused: When there is no place for it, or the server is being stopped.
            OSError: When its events cannot be written. Nothing of the job is left in both cases.
        """
        try:
            self._check_place(job)
            with contextlib.ExitStack() as stack:
                stack.enter_context(self._lanes.place(job.model.name))
                if events or job.lasting:
                    job.events = stack.enter_context(Spool(job.directory / "events"))
                job.emit("queued", {"id": job.id})
                job.task = asyncio.create_task(self._run(job, stack.pop_all()))
        except BaseException:
            self.forget(job)
            raise
        self._live[job.task] = job
        job.task.add_done_callback(self._live.pop)
        if job.lasting:
            self._jobs[job.id] = job
        return job

    def _check_place(self, job: ServedJob) -> None:
        if self.draining:
            raise Refused(503, "the server is being stopped", "stopping", retry_after=1)
        self._lanes.check(job.model.name)
        if job.lasting and len(self._jobs) >= self._most:
            raise Refused(
                429,
                f"{self._most} jobs are kept; delete those whose outputs you have",
                "too_many_jobs",
                retry_after=self._keep,
            )

    async def restore(self, models: ServedModels) -> None:
        """Take up the jobs of an earlier server: run what had not begun, keep what is done."""
        served = {each.name: each for each in await models.all()}
        for directory, record in kept_jobs.records(self._lasting_root):
            if record.model in served:
                await self._restore(served[record.model], record, directory)
            else:
                remove_tree(directory)

    async def _restore(self, model: Served, record: kept_jobs.KeptJob, directory: Path) -> None:
        inputs = kept_jobs.restored_inputs(record, directory)
        job = ServedJob(model.declared, inputs or {}, directory, id=record.id, lasting=True)
        job.created = record.created
        error = kept_jobs.restored_error(record)
        if inputs is not None:
            (directory / "events").unlink(missing_ok=True)
            try:
                model.check()
                self._check_place(job)
            except Refused as refused:  # it was asked for: its client is to see why it ended
                error = refused
            else:
                self.start(job)
                return
        job.result = kept_jobs.restored_result(directory)
        job.ended_at = time.monotonic() - max(0.0, time.time() - (record.ended or time.time()))
        with Spool(directory / "events", again=True) as job.events:
            if job.result is not None:
                job.state = "done"
            elif record.ended:
                job.state, job.error = record.state, error
            else:
                job.fail("cancelled" if error.code == "cancelled" else "failed", error)
        self._jobs[job.id] = job
        if not record.ended:
            await self._end(job)

    async def _end(self, job: ServedJob) -> None:
        """Write down how a job ended; where that fails, this server knows it all the same."""
        try:
            if job.events is not None:
                job.events.end()
            # What had not begun when the server was stopped, the next one runs.
            if job.lasting and (job.begun_at or not self.draining):
                await uninterrupted(partial(kept_jobs.save_end, job))
        except OSError as error:
            log.warning("the end of a job of %s was not written: %s", job.model.name, error)

    def find(self, key: str) -> ServedJob:
        """Return a job that stays.

        Raises:
            Refused: When there is none of that name.
        """
        self.sweep()
        if key not in self._jobs:
            raise Refused(404, "there is no such job; its outputs may have expired", "no_job")
        return self._jobs[key]

    def recent(self) -> list[ServedJob]:
        """Return the jobs that stay, the newest first."""
        self.sweep()
        return sorted(self._jobs.values(), key=lambda job: -job.created)

    def queued(self) -> Counter[str]:
        """Return how many jobs of each model wait."""
        return Counter(job.model.name for job in self._live.values() if job.state == "queued")

    async def cancel(self, job: ServedJob) -> None:
        """End a job, wherever it stands."""
        if job.task is not None and not job.task.done():
            job.task.cancel()
            await asyncio.wait([job.task])

    def forget(self, job: ServedJob) -> None:
        """Remove a job that has ended, and in the background its files."""
        self._jobs.pop(job.id, None)
        if job.result is not None:
            in_background(job.result.discard)
        remove_tree(job.directory)

    def sweep(self) -> None:
        """Forget the jobs that ended long enough ago."""
        now = time.monotonic()
        for job in [each for each in self._jobs.values() if each.state in ENDED]:
            if now - job.ended_at > self._keep:
                self.forget(job)

    async def drain(self, seconds: float) -> None:
        """Take no more jobs; let those that run end, and cancel what is left after a while."""
        self.draining = True
        for job in self._jobs.values():
            if job.state == "queued" and job.task is not None:
                job.task.cancel()  # the next server runs it
        if self._live:
            await asyncio.wait(self._live, timeout=seconds)
        for task in self._live:
            task.cancel()
        if self._live:
            await asyncio.wait(self._live)

    async def _run(self, job: ServedJob, stack: contextlib.ExitStack) -> None:
        came = time.monotonic()
        with stack:
            try:
                await self._execute(job)
                job.state = "done"
            except asyncio.CancelledError:
                cancelled = Refused(CLIENT_CLOSED, "the job was cancelled", "cancelled")
                job.fail("cancelled", cancelled)
            except MMError as error:
                state = "cancelled" if isinstance(error, Cancelled) else "failed"
                job.fail(state, refused(error, job.file_names()))
            except OSError as error:
                if (said := machine_refused(error)) is None:
                    raise
                job.fail("failed", said)
            finally:
                if job.state not in ENDED:
                    job.fail("failed", Refused(500, "a fault in mm", "fault"))
                job.ended_at = time.monotonic()
                seconds = dict(job.result.timings) if job.result is not None else {}
                seconds["wait"] = (job.begun_at or job.ended_at) - came
                seconds["all"] = job.ended_at - came
                self._metrics.count(job.model.name, job.state, seconds)
                await self._end(job)

    async def _execute(self, job: ServedJob) -> None:
        times = job.model.manifest.timeouts
        limit = Deadline(WAIT_SECONDS + times.load + times.run, "try again later")
        limit.at = math.inf  # until it has left the queue, whose length is bounded

        def on_event(sent: Event) -> None:
            if sent.kind == "started":
                limit.at = time.monotonic() + limit.seconds
            self._on_event(job, sent)

        call = Job(job.model.name, job.inputs, on_event=on_event, wait=True, deadline=limit)
        result = await self._session.execute(call)
        if job.lasting:
            result = await uninterrupted(partial(kept_jobs.save_outcome, job, result))
        job.result = result
        if job.events is not None:
            outcome = await asyncio.to_thread(job.outcome)
            job.events.write(await asyncio.to_thread(event, outcome, "done"))

    def _on_event(self, job: ServedJob, sent: Event) -> None:
        params = {key: value for key, value in sent.params.items() if key != "id"}
        if sent.kind == "waiting":
            job.place = int(params.get("place") or 0)
            job.emit("queued", {"place": job.place})
        elif sent.kind == "started":
            job.state, job.place, job.begun_at = "running", 0, time.monotonic()
            if job.lasting:
                in_background(partial(kept_jobs.mark_begun, job.directory))
            job.emit("started", {})
        elif sent.kind == "chunk":
            name, value = str(params.get("output")), self._session.chunk(job.model, sent)
            if job.on_chunk is not None:
                job.on_chunk(name, value)
            if job.events is not None:
                job.emit("chunk", {"output": name, "value": in_json(value)})
        else:
            if isinstance(params.get("text"), str):
                params["text"] = without_paths(params["text"])
            if sent.kind == "progress":
                job.progress = params
                if job.on_progress is not None:
                    job.on_progress(params)
            job.emit(sent.kind, params)
