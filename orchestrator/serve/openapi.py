"""`/openapi.json`: the interface as OpenAPI 3.1, with the models that can run now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from orchestrator.core.manifest import PATH_TYPES
from orchestrator.serve.answers import EVENTS
from orchestrator.serve.schemas import input_schema
from orchestrator.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request

    from orchestrator.core.manifest import Manifest
    from orchestrator.serve.served_models import Served, ServedModels

JSON = "application/json"

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

OTHERS: dict[str, tuple[str, str]] = {
    "/v1/audio/speech": ("post", "Speak a text, as OpenAI's clients ask for it"),
    "/v1/audio/transcriptions": ("post", "Recognise speech, as OpenAI's clients ask for it"),
    "/v1/chat/completions": (
        "post",
        "Answer an image and a prompt, as OpenAI's clients ask for it",
    ),
    "/v1/responses": ("post", "The same in OpenAI's newer form"),
    "/v1/ocr": ("post", "Read a document, as Mistral's clients ask for it"),
    "/v1/files": ("post", "Keep a file"),
    "/v1/models": ("get", "List the models"),
    "/v1/audio/models": ("get", "List the models that speak"),
    "/v1/audio/voices": ("get", "List the voices"),
    "/mcp": ("post", "The Model Context Protocol"),
    "/models": ("get", "List every model with its inputs and outputs"),
    "/workers": ("get", "List the live workers"),
    "/jobs": ("get", "List the jobs that stay"),
    "/healthz": ("get", "Say that the server lives"),
    "/metrics": ("get", "Print counters for Prometheus"),
}
"""What is described by those whose interface it is: method and summary."""


async def openapi(request: Request) -> Response:
    """Describe the interface."""
    models: ServedModels = request.app.state.models
    everything = [each for each in await models.all() if each.ready]
    paths: dict[str, Any] = {
        path: {
            method: {
                "summary": summary,
                "responses": _responses("text/plain" if path == "/metrics" else JSON, {}),
            }
        }
        for path, (method, summary) in OTHERS.items()
    }
    for served in everything:
        paths[f"/models/{served.name}"] = {"post": _operation(served)}
    paths.update(_job_paths())
    document = {
        "openapi": "3.1.0",
        "info": {"title": "mm", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }
    return JSONResponse(document)


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
            "content": {JSON: {"schema": body}, "multipart/form-data": form},
        },
        "parameters": [
            {"name": "Prefer", "in": "header", "schema": {"enum": ["respond-async"]}},
        ],
        "responses": {
            **_responses(JSON, _result(manifest)),
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


def _job_paths() -> dict[str, Any]:
    key, name = (
        {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
        for one in ("id", "name")
    )
    return {
        "/jobs/{id}": {
            "parameters": [key],
            "get": {"summary": "Show a job", "responses": _responses(JSON, {})},
            "delete": {
                "summary": "Cancel a job and forget it",
                "responses": {"204": {"description": "gone"}, "default": _error()},
            },
        },
        "/jobs/{id}/events": {
            "parameters": [key],
            "get": {"summary": "Stream its events", "responses": _responses(EVENTS, {})},
        },
        "/jobs/{id}/outputs/{name}": {
            "parameters": [key, name],
            "get": {"summary": "Return one of its outputs", "responses": _responses("*/*", {})},
        },
    }


def _responses(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    success = {"description": "done", "content": {kind: {"schema": schema}}}
    return {"200": success, "default": _error()}


def _error() -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Error"}
    return {"description": "refused", "content": {JSON: {"schema": reference}}}
