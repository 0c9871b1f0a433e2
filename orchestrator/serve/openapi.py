"""`/openapi.json`: the interface as OpenAPI 3.1, with the models that can run now.

Bodies and answers of `/v1` are described by the records that they are read into and made of.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.responses import JSONResponse, Response

from orchestrator.core.manifest import PATH_TYPES
from orchestrator.serve.answers import EVENTS
from orchestrator.serve.chat_records import (
    ChatCompletion,
    ChatRequest,
    ModelResponse,
    ResponseRequest,
)
from orchestrator.serve.files import FileDeleted, FileList, FileRequest, FileShown, SignedUrl
from orchestrator.serve.listings import ModelList, SpeechModels, VoiceList
from orchestrator.serve.ocr import OcrAnswer, OcrRequest
from orchestrator.serve.schemas import input_schema
from orchestrator.serve.served_models import ListedModel
from orchestrator.serve.sound import MEDIA_TYPES
from orchestrator.serve.speech import SpeechAnswer, SpeechRequest
from orchestrator.serve.transcription import (
    Transcription,
    TranscriptionRequest,
    VerboseTranscription,
)
from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.served_models import Served, ServedModels

JSON, FORM, TEXT = "application/json", "multipart/form-data", "text/plain"

COMPONENTS = "#/components/schemas/"

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


REFUSAL = {"$ref": f"{COMPONENTS}Error"}


class Operation(NamedTuple):
    """What is described of a path.

    Attributes:
        summary: What it does.
        body: The record that its body becomes; a form where that has a file.
        answers: The records of its JSON answer.
        kinds: What its answer may be beside JSON, by media type.
        status: Of its answer, where nothing is wrong.
        errors: What a refusal has.
    """

    summary: str
    body: type[msgspec.Struct] | None = None
    answers: tuple[type[msgspec.Struct], ...] = ()
    kinds: tuple[str, ...] = ()
    status: str = "200"
    errors: dict[str, Any] = REFUSAL


SOUNDS = tuple(sorted(set(MEDIA_TYPES.values())))

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/audio/speech", "post"): Operation(
        "Speak a text, as OpenAI's and Mistral's clients ask for it",
        SpeechRequest, (SpeechAnswer,), (*SOUNDS, EVENTS),
    ),
    ("/v1/audio/transcriptions", "post"): Operation(
        "Recognise speech, as OpenAI's clients ask for it",
        TranscriptionRequest, (VerboseTranscription, Transcription), (TEXT, EVENTS),
    ),
    ("/v1/chat/completions", "post"): Operation(
        "Answer an image and a prompt, as OpenAI's clients ask for it",
        ChatRequest, (ChatCompletion,), (EVENTS,),
    ),
    ("/v1/responses", "post"): Operation(
        "The same in OpenAI's newer form", ResponseRequest, (ModelResponse,), (EVENTS,)
    ),
    ("/v1/ocr", "post"): Operation(
        "Read a document, as Mistral's clients ask for it", OcrRequest, (OcrAnswer,)
    ),
    ("/v1/files", "post"): Operation("Keep a file", FileRequest, (FileShown,)),
    ("/v1/files", "get"): Operation("List the files", answers=(FileList,)),
    ("/v1/files/{id}", "get"): Operation("Show a file", answers=(FileShown,)),
    ("/v1/files/{id}", "delete"): Operation("Remove a file", answers=(FileDeleted,)),
    ("/v1/files/{id}/url", "get"): Operation("Sign its address", answers=(SignedUrl,)),
    ("/v1/files/{id}/content", "get"): Operation(
        "Return its bytes", kinds=("application/octet-stream",)
    ),
    ("/v1/models", "get"): Operation("List the models", answers=(ModelList,)),
    ("/v1/models/{name}", "get"): Operation("Show a model", answers=(ListedModel,)),
    ("/v1/audio/models", "get"): Operation("List the models that speak", answers=(SpeechModels,)),
    ("/v1/audio/voices", "get"): Operation("List the voices", answers=(VoiceList,)),
    ("/mcp", "post"): Operation("The Model Context Protocol", kinds=(EVENTS,), errors={}),
    ("/models", "get"): Operation("List every model with its inputs and outputs"),
    ("/workers", "get"): Operation("List the live workers"),
    ("/workers/{id}", "delete"): Operation("Stop an idle worker", status="204"),
    ("/jobs", "get"): Operation("List the jobs that stay"),
    ("/jobs/{id}", "get"): Operation("Show a job"),
    ("/jobs/{id}", "delete"): Operation("Cancel a job and forget it", status="204"),
    ("/jobs/{id}/events", "get"): Operation("Stream its events", kinds=(EVENTS,)),
    ("/jobs/{id}/outputs/{name}", "get"): Operation("Return one of its outputs", kinds=("*/*",)),
    ("/healthz", "get"): Operation("Say that the server lives"),
    ("/metrics", "get"): Operation("Print counters for Prometheus", kinds=(TEXT,)),
}  # fmt: skip
"""By path and method: all but the page, this description, and `/models/NAME`."""


async def openapi(request: Request) -> Response:
    """Describe the interface."""
    models: ServedModels = request.app.state.models
    ready = [each for each in await models.all() if each.ready]
    return JSONResponse(await asyncio.to_thread(described, ready))


def described(models: Sequence[Served]) -> dict[str, Any]:
    """Return the description of the interface, with the models that can run."""
    records = {each: each for one in OPERATIONS.values() for each in (*one.answers, one.body)}
    records.pop(None, None)
    _, components = msgspec.json.schema_components(records, ref_template=f"{COMPONENTS}{{name}}")
    paths: dict[str, Any] = {}
    for (path, method), operation in OPERATIONS.items():
        paths.setdefault(path, _parameters(path))[method] = _described(operation)
    for served in models:
        paths[f"/models/{served.name}"] = {"post": _operation(served)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mm", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _parameters(path: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", path)
    described = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]
    return {"parameters": described} if described else {}


def _described(operation: Operation) -> dict[str, Any]:
    references = [{"$ref": COMPONENTS + each.__name__} for each in operation.answers]
    json = references[0] if len(references) == 1 else {"anyOf": references}
    content: dict[str, Any] = {kind: {} for kind in operation.kinds}
    if references or not operation.kinds or EVENTS in operation.kinds:
        content = {JSON: {"schema": json if references else {}}, **content}
    success = {"description": "done", **({"content": content} if operation.status == "200" else {})}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {operation.status: success, "default": _error(operation.errors)},
    }
    if operation.body is not None:
        kind = FORM if "file" in operation.body.__struct_fields__ else JSON
        schema = {"$ref": COMPONENTS + operation.body.__name__}
        described["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return described


def _operation(served: Served) -> dict[str, Any]:
    manifest = served.declared.manifest
    body = input_schema(manifest)
    form = {"schema": _form(body, manifest)}
    return {
        "operationId": f"run-{served.name}",
        "summary": manifest.summary,
        "tags": [manifest.task],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": body}, FORM: form},
        },
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "description": "respond-async: answer with the address of a job",
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": {
                "description": "done",
                "content": {JSON: {"schema": _result(manifest)}, "*/*": {}},
            },
            "default": _error(REFUSAL),
            "202": {"description": "accepted; Location has the address of the job"},
        },
    }


def _form(body: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Return the same inputs as a form has them: files are parts of their own."""
    properties = {
        name: {"type": "string", "format": "binary"}
        if manifest.inputs[name].type in PATH_TYPES and not manifest.inputs[name].list
        else one
        for name, one in body["properties"].items()
    }
    return {**body, "properties": properties}


def _result(manifest: Manifest) -> dict[str, Any]:
    outputs = {
        name: {"description": f"{declared.help or declared.type}"}
        for name, declared in manifest.outputs.items()
    }
    return {
        "type": "object",
        "required": ["model", "outputs", "receipt"],
        "properties": {
            "model": {"type": "string"},
            "outputs": {"type": "object", "properties": outputs},
            "warnings": {"type": "array", "items": {"type": "string"}},
            "receipt": {"type": "object"},
        },
    }


def _error(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "refused", "content": {JSON: {"schema": schema}}}
