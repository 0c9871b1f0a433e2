"""This machine's memory and cores: whether a model fits, and how many threads a job may use."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

from orchestrator.core.units import format_size, parse_size
from orchestrator.errors import MemoryRefused
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.system import machine
from orchestrator.system.waiting import Deadline, Wait
from orchestrator.worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.engines.interface import PreparedModel
    from orchestrator.jobs.job import Job
    from orchestrator.system.machine import Memory
    from orchestrator.system.reporter import Reporter

Started = TypeVar("Started")

COUNTED_FOR = 1.0
"""Seconds for which a count of the live workers is good enough."""


class Resources:
    """Decides whether a model may be loaded, and stops idle workers so that it may.

    Args:
        runtime: Where the live workers are recorded.
        memory: Says how much is free.
        reporter: Gets notes on workers that were stopped, and what a start waits for.
    """

    def __init__(self, runtime: RuntimeDirectory, memory: Memory, reporter: Reporter) -> None:
        self._runtime = runtime
        self._memory = memory
        self.reporter = reporter
        self._counted = -COUNTED_FOR
        self._share = 1

    def start_when_fits(
        self,
        job: Job,
        model: PreparedModel,
        start: Callable[[], Started],
        *,
        find: Callable[[], Started | None] = lambda: None,
        evict: Callable[[WorkerRecord], bool] = lambda _: False,
    ) -> Started:
        """Start a worker once its model fits into memory, with idle workers stopped if need be.

        Args:
            job: The job that the model is loaded for.
            model: The model.
            start: Starts a process and records it; no other start on this machine runs meanwhile.
            find: Returns a worker that makes a start needless; called before each memory check.
            evict: Ends an idle worker of the caller's own; returns whether it was one.

        Raises:
            MemoryRefused: When it does not fit, and the job does not insist.
            TimedOut, Cancelled: While others start workers.
        """
        fix = "allow more with timeouts.load in its manifest"
        deadline = job.deadline.sooner(Deadline(model.load_seconds, fix))
        tried: set[str] = set()
        while True:
            with (
                self.wait(job, model, "another mm, which starts a worker", deadline) as wait,
                self._runtime.starting(wait.pause),
            ):
                if (found := find()) is not None:
                    return found
                record = self._ensure_fits(job, model, tried)
                if record is None:
                    return start()
            tried.add(record.id)
            if evict(record) or self._stop(record):
                self.reporter.note(f"stopped the idle worker of {record.model} to free memory")

    def _ensure_fits(self, job: Job, model: PreparedModel, tried: set[str]) -> WorkerRecord | None:
        """Check the free memory; return the idle worker to stop first, or None if the model fits.

        Raises:
            MemoryRefused: When it does not fit, and the job does not insist.
        """
        device, need = model.spec.device, model.spec.need
        free = self._free(device)
        if not need or free is None or free >= need:
            return None
        idle = [record for record in self._idle(device) if record.id not in tried]
        if not job.force and (not idle or free + self._held(idle, device) < need):
            # No worker is stopped for a model that would not fit anyway.
            raise self._refusal(model, free)
        return idle[0] if idle else None

    def wait(
        self, job: Job, model: PreparedModel, what: str, deadline: Deadline | None = None
    ) -> Wait:
        """Return the wait of a job for `what`; its deadline or a request to stop ends it."""
        stopped = asked_to_stop(job.cancellation)
        return Wait(model.name, what, self.reporter, deadline or job.deadline, stopped)

    def threads(self, model: PreparedModel) -> int:
        """Return how many threads a job may use now."""
        wanted = model.worker.threads
        if wanted is not None:
            return wanted
        now = time.monotonic()
        if now - self._counted >= COUNTED_FOR:
            self._counted = now
            workers = sum(1 for _ in self._runtime.records())
            self._share = max(1, machine.cores() // max(1, workers))
        return self._share

    def _free(self, device: str) -> int | None:
        """Return what is free, less what models that are being loaded will still take."""
        free = self._memory.free(device)
        if free is None or device == "cuda":
            return free  # a process's share of a GPU is not known
        for record in self._runtime.records():
            status = self._runtime.status(record.id)
            if record.device == device and status.state in (WorkerState.NEW, WorkerState.LOADING):
                has = machine.resident_memory(status.pid) or 0
                free -= max(0, record.need - has)
        return max(0, free)

    def _idle(self, device: str) -> list[WorkerRecord]:
        """Return the idle workers on a device, the one that has been idle longest first."""
        found = [
            (status.since, record)
            for record in self._runtime.records()
            if record.device == device and (status := self._runtime.status(record.id)).idle
        ]
        return [record for _, record in sorted(found, key=lambda pair: pair[0])]

    def _held(self, idle: list[WorkerRecord], device: str) -> float:
        """Return the most that idle workers could give back; infinity if that is not known."""
        if device == "cuda":
            return math.inf
        total = 0
        for record in idle:
            has = machine.resident_memory(self._runtime.status(record.id).pid)
            if has is None:
                return math.inf
            total += max(has, record.need)  # its children's memory is not seen
        return total

    def _stop(self, record: WorkerRecord) -> bool:
        """End an idle worker that is kept for later commands; those of sessions stay."""
        if not record.kept or not self._runtime.status(record.id).idle:
            return False
        record.foreign().end()
        return True

    def _refusal(self, model: PreparedModel, free: int) -> MemoryRefused:
        worker = model.spec
        smaller = [
            dtype
            for dtype, size in model.manifest.memory.get(worker.device, {}).items()  # type: ignore[call-overload]
            if parse_size(size) <= free
        ]
        advice = f"add --dtype {smaller[0]}" if smaller else "end other programs"
        return MemoryRefused(
            f"{worker.model} needs {format_size(worker.need, binary=True)} of memory on "
            f"{worker.device} ({worker.dtype}), and {format_size(free, binary=True)} are free",
            fix=f"{advice}, or add --force",
            fix_in_code=f"pass dtype={smaller[0]!r}" if smaller else advice,
        )
