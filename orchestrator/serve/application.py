"""The server as an ASGI application: its routes, and what lives as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from orchestrator.async_session import AsyncSession
from orchestrator.errors import MMError
from orchestrator.serve import any_model, listings
from orchestrator.serve import uploaded_files as files
from orchestrator.serve.chat import chat, respond
from orchestrator.serve.jobs import ServedJobs
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.mcp import Tools
from orchestrator.serve.mcp_http import mcp
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.ocr import ocr
from orchestrator.serve.openapi import openapi
from orchestrator.serve.page import page
from orchestrator.serve.refused import CLIENT_CLOSED, Refused, machine_refused, refused
from orchestrator.serve.security import Guard
from orchestrator.serve.served_models import ASKED_FOR, ServedModels
from orchestrator.serve.speech import speech
from orchestrator.serve.transcription import transcribe
from orchestrator.serve.uploaded_files import UploadedFiles
from orchestrator.system.flock import try_lock
from orchestrator.system.home import make_private
from orchestrator.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

    from orchestrator.serve.serve_settings import ServeSettings
    from orchestrator.system.home import Home
    from orchestrator.workspace import Workspace

SWEEP_SECONDS = 10.0

SWITCH_SECONDS = 0.001
"""How long another thread keeps the event loop waiting; six of them may come before it."""

UNLOGGED = ("/healthz", "/metrics", "/workers")
"""What is asked for again and again."""

log = logging.getLogger("mm.serve")

ROUTES = [
    Route("/", page),
    Route("/healthz", listings.health),
    Route("/openapi.json", openapi),
    Route("/metrics", listings.metrics),
    Route("/v1/models", listings.list_models),
    Route("/v1/models/{name}", listings.show_model),
    Route("/v1/audio/models", listings.list_speech_models),
    Route("/v1/audio/voices", listings.list_voices),
    Route("/v1/audio/speech", speech, methods=["POST"]),
    Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/v1/responses", respond, methods=["POST"]),
    Route("/v1/ocr", ocr, methods=["POST"]),
    Route("/v1/files", files.upload_file, methods=["POST"]),
    Route("/v1/files", files.list_files),
    Route("/v1/files/{id}", files.show_file),
    Route("/v1/files/{id}", files.delete_file, methods=["DELETE"]),
    Route("/v1/files/{id}/url", files.sign_file),
    Route("/v1/files/{id}/content", files.file_content),
    Route("/mcp", mcp, methods=["POST"]),
    Route("/models", listings.list_everything),
    Route("/workers", listings.list_workers),
    Route("/workers/{id}", listings.stop_worker, methods=["DELETE"]),
    Route("/models/{name}", any_model.run_model, methods=["POST"]),
    Route("/jobs", any_model.list_jobs),
    Route("/jobs/{id}", any_model.show_job),
    Route("/jobs/{id}", any_model.delete_job, methods=["DELETE"]),
    Route("/jobs/{id}/events", any_model.job_events),
    Route("/jobs/{id}/outputs/{name}", any_model.job_output),
]


class Application:
    """The server, as something that an ASGI server runs.

    Args:
        settings: What it serves, to whom, and its limits.
        workspace: The user's world, for the server alone.
        write_log: Receives a line for each request.
        open_session: Makes the session that runs the jobs; by default one with kept workers.
    """

    def __init__(
        self,
        settings: ServeSettings,
        workspace: Workspace,
        write_log: Callable[[str], None] = lambda _: None,
        open_session: Callable[[], AsyncSession] | None = None,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._write_log = write_log
        self._open = open_session or (lambda: AsyncSession(kept=True, workers=settings.workers))
        self._jobs: ServedJobs | None = None
        self._metrics = Metrics()
        handlers: Any = {
            Refused: _refused,
            MMError: _failed,
            OSError: _machine_refused,
            ClientDisconnect: _left,
            HTTPException: _unknown,
            Exception: _fault,
        }
        app = Starlette(routes=ROUTES, lifespan=self._lifespan, exception_handlers=handlers)
        self._app = Guard(app, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, size = time.perf_counter(), CLIENT_CLOSED, 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        async def counted() -> Message:
            message = await receive()
            self._metrics.bytes["in"] += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, counted, counting)
        finally:
            self._metrics.bytes["out"] += size
            if scope["path"] not in UNLOGGED:
                seconds = time.perf_counter() - began
                self._log(scope["method"], scope["path"], status, seconds, size)

    def _log(self, method: str, path: str, status: int, seconds: float, size: int) -> None:
        model = ASKED_FOR.get()
        if self._settings.log == "json":
            line = {
                "time": round(time.time(), 3),
                "method": method,
                "path": path,
                "status": status,
                "model": model,
                "seconds": round(seconds, 3),
                "bytes": size,
            }
            self._write_log(json.dumps(line))
        else:
            words = [
                method,
                quote(path),
                str(status),
                model or "-",
                f"{seconds:.2f} s",
                f"{size} bytes",
            ]
            self._write_log(" ".join(words))

    async def drain(self, seconds: float | None = None) -> None:
        """Take no more jobs, and let those that run end; those that last too long are cancelled.

        Args:
            seconds: How long that is; by default as the settings say.
        """
        if self._jobs is not None:
            await self._jobs.drain(self._settings.drain if seconds is None else seconds)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        settings, workspace, state = self._settings, self._workspace, app.state
        scratch = Scratch(workspace.home)
        try:
            async with contextlib.AsyncExitStack() as stack:
                session = await stack.enter_async_context(self._open())
                state.workspace, state.metrics = workspace, self._metrics
                state.lanes = Lanes(settings.workers + settings.queue, settings.jobs)
                state.models = ServedModels(workspace, settings.models)
                state.jobs = self._jobs = ServedJobs(
                    session,
                    state.lanes,
                    scratch.path,
                    settings.keep,
                    state.metrics,
                    stack.enter_context(_lasting(workspace.home, settings.port)),
                )
                await state.jobs.restore(state.models)
                state.tools = Tools(state.models, state.jobs)
                state.files = UploadedFiles(scratch.new_job())
                gc.freeze()  # collections look at what is made from here on
                sys.setswitchinterval(SWITCH_SECONDS)
                sweeping = asyncio.create_task(_sweep(state.jobs, state.files))
                try:
                    yield
                finally:
                    sweeping.cancel()
                    await self.drain()
        finally:
            scratch.close()


@contextlib.contextmanager
def _lasting(home: Home, port: int) -> Iterator[Path | None]:
    """Yield where the jobs of the server on a port outlive it.

    None where the port is any, or another server has it: one on another address, or in another
    container with the same home.
    """
    held = try_lock(home.locks / f"serve-{port}.lock") if port else None
    if held is None:
        if port:
            log.warning("another mm serve of port %s keeps its jobs here: none outlives this", port)
        yield None
        return
    with held:
        make_private(home.serve)
        path = home.serve / str(port)
        path.mkdir(mode=0o700, exist_ok=True)
        yield path


async def _sweep(jobs: ServedJobs, files: UploadedFiles) -> None:
    """Forget, now and then, the jobs whose outputs have expired, and old files."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        gc.collect()  # PyAV's encoders are cycles that hold two threads each
        jobs.sweep()
        files.sweep()


async def _refused(_: Request, error: Refused) -> Response:
    return error.response()


async def _failed(_: Request, error: MMError) -> Response:
    return refused(error).response()


async def _machine_refused(request: Request, error: OSError) -> Response:
    said = machine_refused(error)
    return said.response() if said is not None else await _fault(request, error)


async def _left(_: Request, __: Exception) -> Response:
    return Refused(CLIENT_CLOSED, "the client has left", "client_closed").response()


async def _unknown(request: Request, error: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "malformed")
    headers = dict(error.headers or {})
    if error.status_code == 405:  # Starlette knows the methods of one route
        routes = [one for one in ROUTES if one.path_regex.match(request.url.path)]
        headers["Allow"] = ", ".join(sorted({each for one in routes for each in one.methods or ()}))
    return Refused(error.status_code, str(error.detail), code, headers=headers).response()


async def _fault(request: Request, error: Exception) -> Response:
    log.error("%s %s: a fault in mm", request.method, request.url.path, exc_info=error)
    return Refused(500, "a fault in mm; the server's log has it", "fault").response()
