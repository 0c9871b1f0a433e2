"""What there is: models, voices, the server's state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, to_builtins
from starlette.responses import JSONResponse, PlainTextResponse, Response

from orchestrator.serve.bodies import answered
from orchestrator.serve.metrics import MEDIA_TYPE
from orchestrator.serve.refused import Refused
from orchestrator.serve.served_models import ALIASES, ListedModel, as_listed
from orchestrator.system.machine import resident_memory

if TYPE_CHECKING:
    from starlette.requests import Request

    from orchestrator.serve.served_models import Served, ServedModels


class ModelList(Struct):
    """The models."""

    data: list[ListedModel]
    object: Literal["list"] = "list"


class NamedModel(Struct):
    """A model that speaks."""

    id: str
    name: str


class SpeechModels(Struct):
    """The models that speak."""

    models: list[NamedModel]


class ListedVoice(Struct):
    """A voice of a model."""

    id: str
    name: str
    model: str
    languages: list[str]
    type: Literal["preset"] = "preset"
    created_at: str = "1970-01-01T00:00:00Z"
    user_id: None = None


class VoiceList(Struct):
    """The voices, twice: as Open WebUI and as Mistral's clients read them."""

    voices: list[ListedVoice]
    items: list[ListedVoice]
    total: int
    page_size: int
    page: int = 1
    total_pages: int = 1


async def health(request: Request) -> Response:
    """Say that the server lives."""
    return JSONResponse({"status": "stopping" if request.app.state.jobs.draining else "ok"})


async def list_models(request: Request) -> Response:
    """List the models that can run, by their names and by what else they may be called."""
    models: ServedModels = request.app.state.models
    listed = [as_listed(each) for each in await models.all() if each.ready]
    tasks = {name: served for name, served in sorted(models.tasks.items()) if served.ready}
    aliases = {name: tasks[task] for name, task in ALIASES.items() if task in tasks}
    listed += [as_listed(served, name) for name, served in {**tasks, **aliases}.items()]
    return answered(ModelList(listed))


async def show_model(request: Request) -> Response:
    """Show one of them."""
    models: ServedModels = request.app.state.models
    name = request.path_params["name"]
    declared = await models.find(name)
    served = next(each for each in await models.all() if each.name == declared.name)
    return answered(as_listed(served, name if name != served.name else ""))


async def list_everything(request: Request) -> Response:
    """List every model with its inputs and outputs, those that cannot run included."""
    models: ServedModels = request.app.state.models
    return JSONResponse({"models": [_described(each) for each in await models.all()]})


def _described(served: Served) -> dict[str, Any]:
    manifest = served.declared.manifest
    sizes = next(iter(manifest.memory.values()), {})
    inputs = {
        name: {key: value for key, value in to_builtins(one).items() if value not in (None, ())}
        for name, one in manifest.inputs.items()
    }
    return {
        "name": served.name,
        "task": manifest.task,
        "summary": manifest.summary,
        "languages": list(manifest.languages),
        "memory": next(iter(sizes.values()), ""),
        "state": "ready" if served.ready else served.lacks,
        "fix": served.fix,
        "inputs": inputs,
        "outputs": {name: each.type for name, each in manifest.outputs.items()},
        "primary": manifest.primary_output,
    }


async def list_speech_models(request: Request) -> Response:
    """List the models that speak, as clients of speech servers ask for them."""
    speaking = await _speaking(request)
    return answered(SpeechModels([NamedModel(each.name, each.name) for each in speaking]))


async def list_voices(request: Request) -> Response:
    """List the voices of the models that speak, under the keys that each kind of client reads."""
    voices = [
        ListedVoice(voice, voice, each.name, [language])
        for each in await _speaking(request)
        for voice, language in each.declared.manifest.voices.items()
    ]
    return answered(VoiceList(voices, voices, len(voices), page_size=max(len(voices), 1)))


async def _speaking(request: Request) -> list[Served]:
    models: ServedModels = request.app.state.models
    ready = [each for each in await models.all() if each.ready]
    return [each for each in ready if each.declared.manifest.task == "tts"]


async def list_workers(request: Request) -> Response:
    """List the live workers, those of other commands included."""
    return JSONResponse({"workers": await asyncio.to_thread(_workers, request)})


def _workers(request: Request) -> list[dict[str, Any]]:
    workspace = request.app.state.workspace
    rows = []
    for record in workspace.own_workers():
        status = workspace.runtime.status(record.id)
        rows.append(
            {
                "id": record.id,
                "model": record.model,
                "device": record.device,
                "pid": status.pid,
                "state": status.state.label,
                "jobs": status.jobs,
                "memory": resident_memory(status.pid) if status.pid else None,
            }
        )
    return rows


async def stop_worker(request: Request) -> Response:
    """End an idle worker, and so free its memory."""
    workspace = request.app.state.workspace
    key = request.path_params["id"]
    record = next((each for each in workspace.own_workers() if each.id == key), None)
    if record is None:
        raise Refused(404, "there is no such worker", "no_worker")
    if workspace.runtime.status(key).working:
        raise Refused(409, f"the worker of {record.model} is at work", "busy", retry_after=1)
    await asyncio.to_thread(record.foreign().end)
    return Response(status_code=204)


async def metrics(request: Request) -> Response:
    """Print the counters."""
    state = request.app.state
    workers = [
        (each["model"], each["pid"], each["memory"] or 0)
        for each in await asyncio.to_thread(_workers, request)
    ]
    text = state.metrics.text(state.lanes.jobs, state.jobs.queued(), workers)
    return PlainTextResponse(text, media_type=MEDIA_TYPE)
