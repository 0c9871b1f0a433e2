"""What there is: models, voices, the server's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse

from orchestrator.serve.metrics import MEDIA_TYPE
from orchestrator.serve.served_models import ALIASES, as_listed
from orchestrator.system.machine import resident_memory

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from orchestrator.serve.served_models import ServedModels


async def health(request: Request) -> Response:
    """Say that the server lives."""
    return JSONResponse({"status": "stopping" if request.app.state.jobs.draining else "ok"})


async def list_models(request: Request) -> Response:
    """List the models that can run, by their names and by what else they may be called."""
    models: ServedModels = request.app.state.models
    everything = await models.all()
    listed = [as_listed(each) for each in everything if each.ready]
    for name, served in sorted(models.tasks.items()):
        if served.ready:
            listed.append({**as_listed(served), "id": name, "stands_for": served.name})
    for alias, task in ALIASES.items():
        if task in models.tasks and models.tasks[task].ready:
            served = models.tasks[task]
            listed.append({**as_listed(served), "id": alias, "stands_for": served.name})
    return JSONResponse({"object": "list", "data": listed})


async def show_model(request: Request) -> Response:
    """Show one of them."""
    models: ServedModels = request.app.state.models
    name = request.path_params["name"]
    declared = await models.find(name)
    served = next(each for each in await models.all() if each.name == declared.name)
    return JSONResponse({**as_listed(served), "id": name})


async def list_speech_models(request: Request) -> Response:
    """List the models that speak, as clients of speech servers ask for them."""
    models: ServedModels = request.app.state.models
    ready = [each for each in await models.all() if each.ready]
    speaking = [each for each in ready if each.declared.manifest.task == "tts"]
    return JSONResponse({"models": [{"id": each.name, "name": each.name} for each in speaking]})


async def list_voices(request: Request) -> Response:
    """List the voices of the models that speak."""
    models: ServedModels = request.app.state.models
    voices = [
        {"id": voice, "name": voice, "model": each.name, "languages": [language]}
        for each in await models.all()
        if each.ready and each.declared.manifest.task == "tts"
        for voice, language in each.declared.manifest.voices.items()
    ]
    return JSONResponse({"voices": voices})


async def metrics(request: Request) -> Response:
    """Print the counters."""
    state = request.app.state
    workers = []
    for record in state.runtime.records():
        pid = state.runtime.status(record.id).pid
        workers.append((record.model, pid, resident_memory(pid) or 0 if pid else 0))
    text = state.metrics.text(state.lanes.jobs, workers)
    return PlainTextResponse(text, media_type=MEDIA_TYPE)
