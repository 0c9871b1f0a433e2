"""The Python API for asyncio: a `Session` whose jobs are awaited, and cancelled with their tasks.

It has no queue and no engine of its own: a job that waits is one of the session's queue, and only
one that has begun holds a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from orchestrator.errors import UsageError
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.job import Event, ignore_event
from orchestrator.session import Session, abandon, job_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from types import TracebackType

    from orchestrator.catalog import Declared
    from orchestrator.jobs.in_flight import JobFuture
    from orchestrator.jobs.job import Job
    from orchestrator.jobs.results import Result

T = TypeVar("T")

_END = object()
"""Comes after the last chunk of a stream."""


class AsyncSession:
    """Runs models in an event loop; use it with `async with`. The loop's tasks may share one.

    Cancelling a task cancels the job that it awaits, and the task ends when the job has: at once
    where it was queued, and once it has stopped where it had begun. Cancelled again, the job ends
    at once.

    Args:
        kept: Whether jobs run in the workers that the command line uses as well, which stay when
            the session is closed; by default in workers of the session's own.
        **options: As for `Session`.
    """

    def __init__(self, *, kept: bool = False, **options: Any) -> None:
        if kept:
            from orchestrator.engines import kept_engine

            if "engine" in options:
                raise UsageError("kept workers are an engine of their own", fix="leave out engine")
            options["engine"] = kept_engine
        self._open = partial(Session, **options)
        self._opening = InFlightJobs()  # for the threads that open and close the session
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> AsyncSession:  # noqa: PYI034 - Self is typing's from 3.11 on
        if self._loop is not None:
            raise UsageError("this session was opened before", fix="make another one")
        self._loop = asyncio.get_running_loop()

        def open_session() -> None:
            self._session = self._open()

        try:
            await self._end_of(self._opening.submit("open", 1, open_session))
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(cancel=error is not None)

    async def close(self, *, cancel: bool = False) -> None:
        """Cancel the jobs that are queued, wait for those that have begun, and end the workers.

        Args:
            cancel: Whether to cancel what has begun as well, instead of waiting. So does cancelling
                the task that waits.
        """
        if self._session is not None:
            session = self._of_this_loop()
            closing = self._opening.submit("close", 1, partial(session.close, cancel=cancel))
            await self._wait(closing, session.cancel_all)
            closing.result()

    async def run(self, name: str, /, **keywords: Any) -> Result:
        """Run the task or model `name` and return its outputs; else as `Session.run`."""
        return await self.execute(job_of(name, keywords))

    async def execute(self, job: Job) -> Result:
        """Run one job with every option there is; `run` is the short form.

        `job.on_event` is called in the loop: first with "waiting" where the job has to queue, with
        "started" when it leaves the queue, and then as its worker sends them. What it raises
        cancels the job, and is raised when that has ended.
        """
        session, on_event = self._of_this_loop(), job.on_event
        if on_event is ignore_event:
            return await self._end_of(session.start(job))
        failures: list[BaseException] = []

        def deliver(event: Event) -> None:
            if failures:
                return
            try:
                on_event(event)
            except BaseException as error:  # noqa: BLE001 - raised when the job has ended
                failures.append(error)
                abandon(future)

        future = session.start(replace(job, on_event=partial(self._post, deliver)))
        if future.place:
            deliver(Event("waiting", {"place": future.place}, []))
        try:
            result = await self._end_of(future)
        except Exception as error:
            if failures:
                raise failures[0] from error
            raise
        if failures:
            raise failures[0]
        return result

    async def stream(
        self, name: str, /, *, output: str | None = None, **keywords: Any
    ) -> AsyncIterator[Any]:
        """Run `name` and yield the chunks of one output as they come; else as `Session.stream`.

        Leaving `async for` cancels the job; `contextlib.aclosing` waits for its end as well.
        """
        session = self._of_this_loop()
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        on_chunk = partial(self._post, arrived.put_nowait)
        future = session.start_stream(job_of(name, keywords), output, on_chunk)
        future.add_done_callback(lambda _: on_chunk(_END))
        try:
            while (chunk := await arrived.get()) is not _END:
                yield chunk
            future.result()
        finally:
            if future.cancel():
                await self._wait(future, future.cancel)

    async def map(
        self,
        name: str,
        items: Iterable[Mapping[str, Any]],
        /,
        *,
        workers: int | None = None,
        **keywords: Any,
    ) -> AsyncIterator[Result]:
        """Run `name` on each item and yield the results in order; else as `Session.map`."""
        session = self._of_this_loop()
        waiting: deque[JobFuture[Result]] = deque()
        try:
            for job in session.jobs_of(name, items, workers, keywords):
                waiting.append(session.start(job))
                if len(waiting) >= 2 * job.workers:
                    yield await self._end_of(waiting.popleft())
            while waiting:
                yield await self._end_of(waiting.popleft())
        finally:
            for future in waiting:
                abandon(future)
            ends = (self._wait(future, future.cancel) for future in waiting)
            await asyncio.gather(*ends, return_exceptions=True)

    def chunk(self, declared: Declared, event: Event) -> Any:
        """Return what a job has streamed, as a user gets it; else as `Session.chunk`."""
        return self._of_this_loop().chunk(declared, event)

    def _of_this_loop(self) -> Session:
        """Return the session, checked to be open in the running loop.

        Raises:
            UsageError: When it is not.
        """
        if self._session is None:
            raise UsageError("this session is not open", fix="open it with: async with")
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "this session belongs to another event loop", fix="open one in each loop"
            )
        return self._session

    async def _end_of(self, future: JobFuture[T]) -> T:
        """Return a job's result once it has ended; cancelling the caller cancels it."""
        await self._wait(future, partial(abandon, future))
        return future.result()

    async def _wait(self, future: JobFuture[Any], stop: Callable[[], object]) -> None:
        """Wait for a job's end; call `stop` each time that the caller is cancelled meanwhile.

        Raises:
            CancelledError: When it was; its cause is the error that the job has ended with.
        """
        ended = asyncio.Event()
        future.add_done_callback(lambda _: self._post(ended.set))
        cancelled: asyncio.CancelledError | None = None
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError as error:  # noqa: PERF203 - it waits in each round
                cancelled = error
                stop()
        if cancelled is None:
            return
        try:
            future.result()
        except Exception as how:
            raise cancelled from how
        raise cancelled

    def _post(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call something in the loop, from any thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed: no one waits for any job
            if self._session is not None:
                self._session.cancel_all()
