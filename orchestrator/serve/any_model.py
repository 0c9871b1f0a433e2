"""`/models/NAME` and `/jobs`: every model, from its manifest."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, JSONResponse, Response

from orchestrator.core.value_checks import check_inputs
from orchestrator.errors import UsageError
from orchestrator.jobs.output_files import is_binary, media_type, pieces
from orchestrator.jobs.results import Artifact, Audio
from orchestrator.serve import kept_jobs
from orchestrator.serve.answers import EVENTS, Streamed, finished
from orchestrator.serve.refused import Refused, refused
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.threads import uninterrupted
from orchestrator.serve.uploads import given_by, inputs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from orchestrator.serve.jobs import ServedJobs
    from orchestrator.serve.served_models import ServedModels


async def run_model(request: Request) -> Response:
    """Run a model; answer with JSON, its primary output, events, or the address of the job."""
    models: ServedModels = request.app.state.models
    jobs: ServedJobs = request.app.state.jobs
    name = request.path_params["name"]
    request.app.state.lanes.check((await models.find(name)).name)
    given = await given_by(request)
    model = await models.find(name, inputs=given)
    lasting, as_events = _asks_for(request, "prefer", "respond-async"), _accepts(request, EVENTS)
    directory = jobs.new_directory(lasting=lasting)
    job = ServedJob(model, {}, directory, lasting=lasting)
    try:
        job.inputs = await inputs_of(given, model.manifest, directory)
        try:
            check_inputs(model.manifest, job.inputs)
        except UsageError as error:
            raise refused(error) from error
        if lasting:
            await uninterrupted(partial(kept_jobs.save, job))
        jobs.start(job, events=as_events)
    except BaseException:
        jobs.forget(job)
        raise
    if lasting:
        address = f"/jobs/{job.id}"
        return JSONResponse(
            job.shown(), 202, {"Location": address, "Preference-Applied": "respond-async"}
        )
    if as_events:

        async def end() -> None:
            await jobs.cancel(job)
            jobs.forget(job)

        return Streamed(_events(job), end, media_type=EVENTS)
    async with finished(request, jobs, job) as result:
        if _accepts(request, "application/json", "*/*"):
            return await asyncio.to_thread(lambda: JSONResponse(job.outcome()))
        headers = {"MM-Model": model.name}
        return await asyncio.to_thread(_output, result[result.primary], headers)


async def list_jobs(request: Request) -> Response:
    """List the jobs that stay, the newest first."""
    return JSONResponse({"jobs": [job.shown() for job in request.app.state.jobs.recent()]})


async def show_job(request: Request) -> Response:
    """Show the state of a job."""
    return JSONResponse(request.app.state.jobs.find(request.path_params["id"]).shown())


async def delete_job(request: Request) -> Response:
    """Cancel a job and forget it."""
    jobs: ServedJobs = request.app.state.jobs
    job = jobs.find(request.path_params["id"])
    await jobs.cancel(job)
    jobs.forget(job)
    return Response(status_code=204)


async def job_events(request: Request) -> Response:
    """Stream the events of a job from its beginning; leaving ends nothing."""
    job = request.app.state.jobs.find(request.path_params["id"])

    async def nothing() -> None:
        pass

    return Streamed(_events(job), nothing, media_type=EVENTS)


async def job_output(request: Request) -> Response:
    """Return one output of a job that is done."""
    job: ServedJob = request.app.state.jobs.find(request.path_params["id"])
    name = request.path_params["name"]
    if job.result is None:
        if job.error is not None:
            raise job.error
        raise Refused(409, f"the job is {job.state}", "not_done", retry_after=1)
    if name not in job.result:
        raise Refused(404, f"the job has no output {name!r}", "no_output")
    return await asyncio.to_thread(_output, job.result[name], {})


def _output(value: Any, headers: dict[str, str]) -> Response:
    """Return an output as the bytes of its file."""
    if isinstance(value, Artifact):
        return FileResponse(value.path, media_type=value.media_type, headers=headers)
    if is_binary(value):
        kind = value.media_type if isinstance(value, Audio) else media_type(value)
        return Response(b"".join(pieces(value)), media_type=kind, headers=headers)
    if isinstance(value, str):
        return Response(value, media_type="text/plain; charset=utf-8", headers=headers)
    return JSONResponse(value, headers=headers)


async def _events(job: ServedJob) -> AsyncIterator[bytes]:
    assert job.events is not None
    async for part in job.events.read():
        yield part


def _accepts(request: Request, *kinds: str) -> bool:
    """Return whether a client names one of these kinds before any other."""
    given = request.headers.get("accept", "*/*").partition(",")[0].partition(";")[0].strip()
    return given.lower() in kinds


def _asks_for(request: Request, header: str, what: str) -> bool:
    return what in request.headers.get(header, "").replace(" ", "").lower().split(",")
