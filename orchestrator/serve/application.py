"""The server as an ASGI application: its routes, and what lives as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from orchestrator.async_session import AsyncSession
from orchestrator.errors import MMError
from orchestrator.serve import any_model, files, listings
from orchestrator.serve.chat import chat, respond
from orchestrator.serve.files import Files
from orchestrator.serve.jobs import Jobs
from orchestrator.serve.lanes import Lanes
from orchestrator.serve.mcp import Tools
from orchestrator.serve.mcp_http import mcp
from orchestrator.serve.metrics import Metrics
from orchestrator.serve.ocr import ocr
from orchestrator.serve.refusals import Refused, refused
from orchestrator.serve.security import Guard
from orchestrator.serve.served_models import ServedModels
from orchestrator.serve.speech import speech
from orchestrator.serve.transcription import transcribe
from orchestrator.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from orchestrator.serve.settings import ServeSettings
    from orchestrator.workspace import Workspace

SWEEP_SECONDS = 30.0

log = logging.getLogger("mm.serve")

ROUTES = [
    Route("/healthz", listings.health),
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
    Route("/models/{name}", any_model.run_model, methods=["POST"]),
    Route("/jobs", any_model.list_jobs),
    Route("/jobs/{id}", any_model.show_job),
    Route("/jobs/{id}", any_model.delete_job, methods=["DELETE"]),
    Route("/jobs/{id}/events", any_model.job_events),
    Route("/jobs/{id}/outputs/{name}", any_model.job_output),
]


def application(
    settings: ServeSettings,
    workspace: Workspace,
    open_session: Callable[[], AsyncSession] | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        settings: What it serves, to whom, and its limits.
        workspace: The user's world, for the server alone.
        open_session: Makes the session that runs the jobs; by default one with kept workers.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        make = open_session or (lambda: AsyncSession(kept=True, workers=settings.workers))
        scratch = Scratch(workspace.home)
        lanes, metrics = Lanes(settings.workers + settings.queue, settings.jobs), Metrics()
        try:
            async with make() as session:
                jobs = Jobs(session, lanes, scratch.path, settings.keep, metrics)
                app.state.models = ServedModels(workspace, settings.models)
                app.state.jobs, app.state.lanes, app.state.metrics = jobs, lanes, metrics
                app.state.runtime = workspace.runtime
                app.state.tools = Tools(app.state.models, jobs)
                app.state.files = Files(scratch.new_job())
                sweeping = asyncio.create_task(_sweep(jobs))
                try:
                    yield
                finally:
                    sweeping.cancel()
                    await jobs.drain(settings.drain)
        finally:
            scratch.close()

    handlers = {Refused: _refused, MMError: _failed, HTTPException: _unknown, Exception: _fault}
    app = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    return Guard(app, settings)


async def _sweep(jobs: Jobs) -> None:
    """Forget, now and then, the jobs whose outputs have expired."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        jobs.sweep()


async def _refused(_: Request, error: Refused) -> Response:
    return error.response()


async def _failed(_: Request, error: MMError) -> Response:
    return refused(error).response()


async def _unknown(_: Request, error: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "malformed")
    headers = dict(error.headers or {})
    return Refused(error.status_code, str(error.detail), code, headers=headers).response()


async def _fault(request: Request, error: Exception) -> Response:
    log.error("%s %s: a fault in mm", request.method, request.url.path, exc_info=error)
    return Refused(500, "a fault in mm; the server's log has it", "fault").response()
