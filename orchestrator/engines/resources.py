"""This machine's memory and cores: whether a model fits, and how many threads a job may use."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from orchestrator.core.units import format_size, parse_size
from orchestrator.errors import MemoryRefused
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.system import machine
from orchestrator.system.cores import cores
from orchestrator.system.waiting import Deadline, Wait
from orchestrator.worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.client.launch import WorkerSpec
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.engines.interface import PreparedModel
    from orchestrator.jobs.job import Job
    from orchestrator.system.machine import Memory
    from orchestrator.system.reporter import Reporter

Started = TypeVar("Started")

LOADING = (WorkerState.NEW, WorkerState.LOADING)
"""The states of a worker that has not taken all its memory yet."""

COUNTED_FOR = 1.0
"""Seconds for which a count of the live workers is good enough."""


class _Waiter:
    """A start that waits for memory, and the workers that end for it once they are idle."""

    def __init__(self, need: int) -> None:
        self.need = need
        self.claims: tuple[WorkerRecord, ...] = ()


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
        self._waiters: defaultdict[str, deque[_Waiter]] = defaultdict(deque)
        """By the memory that they wait for."""

    def start_when_fits(
        self,
        job: Job,
        model: PreparedModel,
        start: Callable[[WorkerSpec], Started],
        *,
        find: Callable[[], Started | None] = lambda: None,
        evict: Callable[[WorkerRecord], bool] = lambda _: False,
        owns: Callable[[WorkerRecord], bool] = lambda _: False,
        in_use: Callable[[WorkerRecord], bool] = lambda _: False,
        alone: Callable[[], bool] = lambda: True,
    ) -> Started:
        """Start a worker once its model fits into memory, with idle workers stopped if need be.

        Of several GPUs it takes one where the model fits now: of these the one with the fewest
        workers of the model, then with the most free memory. Where it fits on none, it takes the
        one with the most memory that is free or held by idle workers, and stays with it.

        A job that says so (`Job.wait`) waits for memory that busy workers hold, after those of this
        engine that came before it. Such a worker takes no job any more once it is idle: no one
        waits for more than the jobs that run.

        Args:
            job: The job that the model is loaded for.
            model: The model.
            start: Starts a process and records it; no other start on this machine runs meanwhile.
                It gets the spec, for the GPU that was chosen.
            find: Returns a worker that makes a start needless; called before each memory check.
            evict: Ends an idle worker of the caller's own; returns whether it was one.
            owns: Whether a worker is the caller's own.
            in_use: Whether a job of the caller's has a worker, which may not show it yet.
            alone: Whether the job has no other worker to go to, and so may wait for memory.

        Raises:
            MemoryRefused: When it does not fit, and the job does not insist.
            TimedOut, Cancelled: While it waits.
        """
        if model.spec.gpus:
            with self._starting(job, model):
                if (there := find()) is not None:
                    return there
                spec, fits = self._placed(model.spec, owns, in_use)
                if fits:
                    return start(spec)
                model = replace(model, worker=spec)
        tried: set[str] = set()
        waiter = _Waiter(model.spec.need)
        with self.wait(job, model, "") as wait, self._in_turn(job, model, waiter, alone, wait):
            while True:
                with self._starting(job, model):
                    if (found := find()) is not None:
                        return found
                    # Before the free memory, which has what one had that ends between the looks.
                    live = self._live(model.spec, owns, in_use)
                    idle, refusal = self._check(model, job, waiter, tried, *live)
                    if idle is None and refusal is None:
                        return start(model.spec)
                if idle is not None:
                    tried.add(idle.id)
                    # One of this very kind is of more use as it is: `find` returns it.
                    if evict(idle) or (idle.digest != model.spec.digest and self._stop(idle)):
                        self.note_stopped(idle)
                    continue
                assert refusal is not None
                if not (job.wait and waiter.claims and alone()):
                    raise refusal
                tried.clear()
                users = ", ".join(dict.fromkeys(record.model for record in waiter.claims))
                wait.what = f"memory, which {users} uses"
                wait.pause()

    def _placed(
        self,
        spec: WorkerSpec,
        owns: Callable[[WorkerRecord], bool],
        in_use: Callable[[WorkerRecord], bool],
    ) -> tuple[WorkerSpec, bool]:
        """Return a spec for the best of its GPUs, and whether the model fits there as it is."""

        def rank(spec: WorkerSpec) -> tuple[bool, int, float]:
            free = self._free(spec)
            left = math.inf if free is None else free - self._reserved(spec, _Waiter(spec.need))
            if left < spec.need:
                return True, 0, -left - self._held(self._live(spec, owns, in_use)[0])
            of_model = [each.model == spec.model for each in records if each.pool == spec.pool]
            return False, sum(of_model), -left

        records = list(self._runtime.records())
        ranks = {gpu: rank(spec.on(gpu)) for gpu in spec.gpus}
        best = min(ranks, key=lambda gpu: ranks[gpu])
        return spec.on(best), not ranks[best][0]

    def note_stopped(self, record: WorkerRecord) -> None:
        """Note that a worker was stopped for another."""
        self.reporter.note(f"stopped the idle worker of {record.model} to free memory")

    def claimed(self, worker: str) -> bool:
        """Return whether a start waits for the memory of a worker, which is to end once idle."""
        return any(
            record.id == worker
            for waiters in list(self._waiters.values())
            for waiter in list(waiters)
            for record in waiter.claims
        )

    @contextlib.contextmanager
    def _in_turn(
        self,
        job: Job,
        model: PreparedModel,
        waiter: _Waiter,
        alone: Callable[[], bool],
        wait: Wait,
    ) -> Iterator[None]:
        """Let starts that may wait for memory go on one after the other, as they came."""
        waiters = self._waiters[model.spec.pool]
        if not (job.wait and waiter.need and alone()):
            yield
            return
        waiters.append(waiter)
        try:
            wait.what = "memory, after others that wait for it"
            while waiters[0] is not waiter:
                wait.pause()
            yield
        finally:
            waiters.remove(waiter)

    @contextlib.contextmanager
    def _starting(self, job: Job, model: PreparedModel) -> Iterator[None]:
        """Let no other start on this machine run in the body."""
        fix = "allow more with timeouts.load in its manifest"
        deadline = job.deadline.sooner(Deadline(model.load_seconds, fix))
        with (
            self.wait(job, model, "another mm, which starts a worker", deadline) as wait,
            self._runtime.starting(wait.pause),
        ):
            yield

    def _check(
        self,
        model: PreparedModel,
        job: Job,
        waiter: _Waiter,
        tried: set[str],
        idle: list[WorkerRecord],
        busy: list[WorkerRecord],
    ) -> tuple[WorkerRecord | None, MemoryRefused | None]:
        """Check the free memory, with the idle and busy workers that may be stopped.

        Returns:
            The idle worker to stop first, or the refusal; neither if the model fits, or if the job
            insists. After a refusal, the busy workers whose memory would do are the claims.
        """
        need = model.spec.need
        free = self._free(model.spec)
        if not need or free is None:
            return None, None
        free = max(0, free - self._reserved(model.spec, waiter))
        if free >= need:
            return None, None
        left = [record for record in idle if record.id not in tried]
        if left and (job.force or free + self._held(left) >= need):
            # No worker is stopped for a model that would not fit anyway.
            return left[0], None
        if job.force:
            return None, None
        waiter.claims = next(
            (
                tuple(busy[:count])
                for count in range(1, len(busy) + 1)
                if free + self._held([*idle, *busy[:count]]) >= need
            ),
            (),
        )
        return None, self._refusal(model, free)

    def _reserved(self, spec: WorkerSpec, waiter: _Waiter) -> int:
        """Return what the start that waits first will take beyond what its claims give back."""
        waiters = self._waiters[spec.pool]
        first = waiters[0] if waiters else waiter
        if first is waiter:
            return 0
        live = {record.id for record in self._runtime.records()}
        held = self._held([record for record in first.claims if record.id in live])
        return 0 if held == math.inf else max(0, first.need - int(held))

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
            self._share = max(1, cores() // max(1, workers))
        return self._share

    def _free(self, spec: WorkerSpec) -> int | None:
        """Return what is free, less what models that are being loaded will still take."""
        # Looked for first: the memory of one that is loaded between the two looks counts as taken.
        loading = [
            (record, status.pid)
            for record in self._runtime.records()
            if record.pool == spec.pool
            and (status := self._runtime.status(record.id)).state in LOADING
        ]
        free = self._memory.free(spec.device, spec.pool)
        if free is None:
            return None
        for record, pid in loading:
            free -= max(0, record.need - (machine.resident_memory(pid, spec.pool) or 0))
        return max(0, free)

    def _live(
        self,
        spec: WorkerSpec,
        owns: Callable[[WorkerRecord], bool],
        in_use: Callable[[WorkerRecord], bool],
    ) -> tuple[list[WorkerRecord], list[WorkerRecord]]:
        """Return the workers on a device that may be stopped: the idle and the busy ones.

        Those that have been so longest come first. Workers of other sessions are not among them.
        """
        found = [
            (self._runtime.status(record.id), record)
            for record in self._runtime.records()
            if record.pool == spec.pool and (record.kept or owns(record))
        ]
        idle: list[WorkerRecord] = []
        busy: list[WorkerRecord] = []
        for status, record in sorted(found, key=lambda pair: pair[0].since):
            (idle if status.idle and not in_use(record) else busy).append(record)
        return idle, busy

    def _held(self, records: list[WorkerRecord]) -> float:
        """Return the most that workers could give back; infinity if that is not known."""
        total = 0
        for record in records:
            has = machine.resident_memory(self._runtime.status(record.id).pid, record.pool)
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
