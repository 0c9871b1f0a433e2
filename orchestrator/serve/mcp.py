"""The Model Context Protocol: a tool for each model, for agents.

Of the protocol it speaks tools alone: its revision of 2026-07-28, in which each request stands for
itself, and those before it, which begin with a handshake. Messages are JSON-RPC 2.0.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from orchestrator.errors import MMError
from orchestrator.jobs.output_files import is_binary, media_type, pieces
from orchestrator.jobs.results import Audio
from orchestrator.serve.refused import Refused, machine_refused, refused
from orchestrator.serve.schemas import input_schema
from orchestrator.serve.served_job import ServedJob
from orchestrator.serve.uploads import inputs_of
from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.catalog import Declared
    from orchestrator.jobs.results import Result
    from orchestrator.serve.jobs import ServedJobs
    from orchestrator.serve.served_models import ServedModels

MODERN = "2026-07-28"
"""The revision without a handshake."""

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Those with one, the oldest first."""

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH, UNKNOWN_REVISION = -32020, -32022

STATUSES = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNKNOWN_REVISION: 400,
    NO_METHOD: 404,
    INTERNAL_ERROR: 503,
}
"""The HTTP status of an error, in the revision without a handshake."""

META = "io.modelcontextprotocol/"
"""How keys of the protocol begin in the `_meta` of a message."""

SERVER = {"name": "mm", "title": "mm: models side by side", "version": __version__}

CAPABILITIES = {"tools": {"listChanged": False}}

LIST_FRESH = 5000
"""Milliseconds that a client may keep a list of tools."""

LARGEST_CONTENT = 32 << 20
"""Bytes of an output that is sent inside a message; of a larger one only its size is said."""


class RpcError(Exception):
    """An error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    def body(self, key: Any) -> dict[str, Any]:
        """Return the message that says so."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": key, "error": error}


class Tools:
    """Answers the protocol's messages, whatever brings them.

    Args:
        models: The models.
        jobs: Runs them.
        paths: Whether clients name files by their paths, because they are on this machine and of
            this user.
    """

    def __init__(self, models: ServedModels, jobs: ServedJobs, *, paths: bool = False) -> None:
        self._models = models
        self._jobs = jobs
        self._paths = paths

    async def answer(
        self,
        message: Any,
        headers: Mapping[str, str] | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any] | None:
        """Return the answer to a message; None where it is a notification.

        Args:
            message: The message, as JSON.
            headers: Those of its HTTP request, by their names in lower case.
            on_progress: Called with the parameters of a notification of progress, where the client
                asked for them.
        """
        key = message.get("id") if isinstance(message, dict) else None
        try:
            params = params_of(message)
            if "id" not in message:
                return None
            modern = is_modern(message, headers)
            if modern:
                check_envelope(message, headers)
            result = await self._result(message["method"], params, on_progress)
        except RpcError as error:
            return error.body(key)
        except (MMError, OSError) as error:
            said = refused(error) if isinstance(error, MMError) else machine_refused(error)
            if said is None:
                raise
            return RpcError(INTERNAL_ERROR, said.message).body(key)
        if modern:
            result = {"resultType": "complete", **result, "_meta": {f"{META}serverInfo": SERVER}}
        return {"jsonrpc": "2.0", "id": key, "result": result}

    async def _result(
        self,
        method: str,
        params: dict[str, Any],
        on_progress: Callable[[Mapping[str, Any]], None] | None,
    ) -> dict[str, Any]:
        if method == "initialize":
            asked = params.get("protocolVersion")
            version = asked if asked in HANDSHAKES else HANDSHAKES[-1]
            return {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": SERVER}
        if method == "server/discover":
            return {
                "supportedVersions": [MODERN],
                "capabilities": CAPABILITIES,
                "ttlMs": LIST_FRESH,
                "cacheScope": "private",
            }
        if method == "ping":
            return {}
        if method == "tools/list":
            tools = [self._tool(each) for each in await self._ready()]
            return {"tools": tools, "ttlMs": LIST_FRESH, "cacheScope": "private"}
        if method == "tools/call":
            return await self._call(params, on_progress)
        raise RpcError(NO_METHOD, f"there is no method {method!r}")

    async def _ready(self) -> list[Declared]:
        return [each.declared for each in await self._models.all() if each.ready]

    def _tool(self, model: Declared) -> dict[str, Any]:
        manifest = model.manifest
        outputs = ", ".join(f"{name} ({each.type})" for name, each in manifest.outputs.items())
        return {
            "name": tool_name(model.name),
            "title": model.name,
            "description": f"{manifest.summary}. Gives {outputs}.",
            "inputSchema": input_schema(manifest, paths=self._paths),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    async def _call(
        self,
        params: dict[str, Any],
        on_progress: Callable[[Mapping[str, Any]], None] | None,
    ) -> dict[str, Any]:
        name, arguments = params.get("name"), params.get("arguments") or {}
        model = next((one for one in await self._ready() if tool_name(one.name) == name), None)
        if model is None:
            raise RpcError(INVALID_PARAMS, f"there is no tool {name!r}")
        if not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "arguments is an object")
        token = progress_token(params)
        job = ServedJob(model, {}, self._jobs.new_directory())
        if token is not None and on_progress is not None:
            job.on_progress = lambda progress: on_progress(progress_of(token, progress))
        try:
            job.inputs = await self._inputs(model, arguments, job.directory)
            self._jobs.start(job)
            return await asyncio.to_thread(_content, await job.wait())
        except Refused as error:
            return {"content": [{"type": "text", "text": error.message}], "isError": True}
        finally:
            await self._jobs.cancel(job)
            self._jobs.forget(job)

    async def _inputs(
        self, model: Declared, arguments: dict[str, Any], directory: Path
    ) -> dict[str, Any]:
        return arguments if self._paths else await inputs_of(arguments, model.manifest, directory)


def tool_name(model: str) -> str:
    """Return the name of a model's tool: some clients allow no full stop in it."""
    return model.replace(".", "_")


def params_of(message: Any) -> dict[str, Any]:
    """Return the parameters of a message.

    Raises:
        ProtocolError: When it is no request of JSON-RPC.
    """
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise RpcError(INVALID_REQUEST, "not one JSON-RPC request")
    params = message.get("params") or {}
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params is an object")
    return params


def is_modern(message: Mapping[str, Any], headers: Mapping[str, str] | None) -> bool:
    """Return whether a message is of the revision without a handshake."""
    if message["method"] == "initialize":
        return False
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    if isinstance(meta, dict) and f"{META}protocolVersion" in meta:
        return True
    given = (headers or {}).get("mcp-protocol-version", "")
    return bool(given) and given not in HANDSHAKES


def check_envelope(message: Mapping[str, Any], headers: Mapping[str, str] | None) -> None:
    """Check what every message of the revision without a handshake carries.

    Raises:
        ProtocolError: When something is missing, headers say something else, or the revision is one
            that is not spoken.
    """
    params = message.get("params") or {}
    meta = params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    missing = [key for key in ("protocolVersion", "clientCapabilities") if META + key not in meta]
    if missing:
        names = ", ".join(META + key for key in missing)
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {names}")
    version = meta[f"{META}protocolVersion"]
    if headers is not None:
        wanted = {"mcp-protocol-version": version, "mcp-method": message["method"]}
        if message["method"] == "tools/call" and "name" in params:
            wanted["mcp-name"] = params["name"]
        for name, value in wanted.items():
            if headers.get(name) != value:
                raise RpcError(HEADER_MISMATCH, f"the header {name} is not as in the body")
    if not isinstance(version, str):
        raise RpcError(INVALID_PARAMS, "the protocol version is a string")
    if version != MODERN:
        data = {"supported": [MODERN], "requested": version}
        raise RpcError(UNKNOWN_REVISION, f"revision {version} is not spoken", data)


def progress_token(params: Any) -> Any:
    """Return what a client calls the progress of a request by; None where it wants none."""
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta.get("progressToken") if isinstance(meta, dict) else None


def progress_of(token: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notification of progress."""
    params = {"progressToken": token, "progress": progress.get("done") or 0}
    if progress.get("total"):
        params["total"] = progress["total"]
    if progress.get("text"):
        params["message"] = progress["text"]
    return params


def _content(result: Result) -> dict[str, Any]:
    """Return the outputs of a job as what an agent gets: the primary one first."""
    names = [result.primary, *(name for name in result if name != result.primary)]
    content: list[dict[str, Any]] = []
    plain: dict[str, Any] = {}
    for name in names:
        value = result[name]
        if is_binary(value):
            content.append(_binary(name, value))
        else:
            plain[name] = value
            if name == result.primary:
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                content.append({"type": "text", "text": text})
    content += [{"type": "text", "text": f"note: {warning}"} for warning in result.warnings]
    return {"content": content, **({"structuredContent": plain} if plain else {}), "isError": False}


def _binary(name: str, value: Any) -> dict[str, Any]:
    kind = value.media_type if isinstance(value, Audio) else media_type(value)
    data = b"".join(pieces(value))
    if len(data) > LARGEST_CONTENT:
        return {"type": "text", "text": f"{name}: {kind}, {len(data):,} bytes, too long to send"}
    family = kind.partition("/")[0]
    encoded = b64encode(data).decode()
    if family in ("image", "audio"):
        return {"type": family, "data": encoded, "mimeType": kind}
    resource = {"uri": f"mm:///{name}", "mimeType": kind, "blob": encoded}
    return {"type": "resource", "resource": resource}
