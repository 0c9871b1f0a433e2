"""Answers that take a while: the work ends when the client leaves, whatever it waits for.

Starlette's own streams do not see a client leave under newer versions of ASGI; these do.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, Response

from orchestrator.errors import MMError
from orchestrator.serve.refused import CLIENT_CLOSED, Refused, refused
from orchestrator.serve.spool import Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from orchestrator.jobs.results import Result
    from orchestrator.serve.jobs import ServedJobs
    from orchestrator.serve.served_job import ServedJob


EVENTS = "text/event-stream"

_END = object()
"""Comes after the last chunk of a job."""


def event(data: Mapping[str, Any], kind: str = "") -> bytes:
    """Return a server-sent event; its kind is the `type` of the data where none is given."""
    name = kind or data.get("type", "")
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def gone(receive: Receive) -> None:
    """Return when the client has left. The body was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def watched(request: Request, work: Awaitable[Any]) -> Any:
    """Return what `work` does, unless the client leaves before.

    Raises:
        Refused: When it has left; the work was cancelled then, and has ended.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(CLIENT_CLOSED, "the client has left", "client_closed")
    finally:
        for each in (working, leaving):
            each.cancel()
        await asyncio.wait({working, leaving})


@asynccontextmanager
async def finished(request: Request, jobs: ServedJobs, job: ServedJob) -> AsyncIterator[Result]:
    """Yield the outputs of a job, which ends with its client, and is forgotten after the body.

    Raises:
        Refused: As it ended.
    """
    try:
        yield await watched(request, job.wait())
    finally:
        await jobs.cancel(job)
        jobs.forget(job)


class JobStream:
    """What one job makes, as bytes in a spool that are sent while it runs.

    Args:
        jobs: Runs the job.
        job: The job, which has not begun.
        part: Makes the bytes of a chunk of the primary output; of the whole where none is streamed.
        last: Makes the bytes after it.
        failed: Makes the bytes that say how the job failed, where others came before.
    """

    def __init__(
        self,
        jobs: ServedJobs,
        job: ServedJob,
        part: Callable[[Any], bytes],
        last: Callable[[Result], bytes],
        failed: Callable[[Refused], bytes] | None = None,
    ) -> None:
        self._jobs = jobs
        self._job = job
        self._part = part
        self._last = last
        self._failed = failed
        self._output = job.model.manifest.primary_output
        self._chunks: asyncio.Queue[Any] = asyncio.Queue()
        self._broken = False
        job.on_chunk = self._on_chunk
        try:
            with ExitStack() as stack:
                self.spool = stack.enter_context(Spool(job.directory / "stream"))
                jobs.start(job)
                stack.pop_all()
        except BaseException:
            jobs.forget(job)
            raise
        assert job.task is not None
        job.task.add_done_callback(lambda _: self._chunks.put_nowait(_END))
        self._task = asyncio.create_task(self._write())

    def _on_chunk(self, output: str, value: Any) -> None:
        if output == self._output:
            self._chunks.put_nowait(value)

    async def _write(self) -> None:
        try:
            streamed = False
            while (chunk := await self._chunks.get()) is not _END:
                streamed = True
                await self._add(self._part, chunk)
            result = await self._job.wait()
            if not streamed:
                await self._add(self._part, result[self._output])
            await self._add(self._last, result)
        except BaseException as error:
            self._broken = True
            said = refused(error) if isinstance(error, MMError) else error
            if isinstance(said, Refused) and self._failed is not None and self.spool.size:
                self.spool.write(self._failed(said))
                self._broken = False
            raise
        finally:
            self.spool.end()

    async def _add(self, made: Callable[[Any], bytes], value: Any) -> None:
        """Add the bytes of a value; a thread makes those of sound, which takes a while."""
        is_short = isinstance(value, str)
        self.spool.write(made(value) if is_short else await asyncio.to_thread(made, value))

    async def whole(self) -> None:
        """Return when everything is there.

        Raises:
            Refused: As the job ended.
        """
        await asyncio.shield(self._task)

    async def begun(self) -> None:
        """Return when the first bytes are there: until then the status is not known.

        Raises:
            Refused: When the job ended before them.
        """
        if not await self.spool.begun():
            await self.whole()

    async def close(self) -> None:
        """End the job if it runs, and remove its files."""
        await self._jobs.cancel(self._job)
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # it was sent, or no one is left to read it
        self._jobs.forget(self._job)

    async def answer(self, request: Request, media_type: str) -> Response:
        """Return the answer, once its status is known.

        Raises:
            Refused: When the job ended before its first bytes, or the client has left.
        """
        try:
            await watched(request, self.begun())
        except BaseException:
            await self.close()
            raise
        return Streamed(self.spool.read(), self.close, lambda: self._broken, media_type)


class Streamed(Response):
    """An answer that is sent while it is made.

    Args:
        body: The parts.
        end: Awaited when everything was sent, or the client has left; ends the work.
        failed: Returns whether the work failed; the connection is then closed without the end of
            the answer, so that no one takes it for whole.
        media_type: What it is.
        headers: More headers.
    """

    def __init__(
        self,
        body: AsyncIterator[bytes],
        end: Callable[[], Awaitable[None]],
        failed: Callable[[], bool] = lambda: False,
        media_type: str = "application/octet-stream",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._parts = body
        self._end = end
        self._failed = failed
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.body = b""
        self.init_headers(
            {"X-Accel-Buffering": "no", "Cache-Control": "no-store", **(headers or {})}
        )
        del self.headers["content-length"]

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for each in (sending, leaving):
                each.cancel()
            await asyncio.wait({sending, leaving})
            await self._end()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if not self._failed():
            await send({"type": "http.response.body", "body": b""})


class Sent(FileResponse):
    """A file; when it was sent, or the client has left, `end` is awaited."""

    def __init__(self, path: Path, end: Callable[[], Awaitable[None]], media_type: str) -> None:
        super().__init__(path, media_type=media_type)
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._end()
