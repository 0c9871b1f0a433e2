"""Jobs and answers as plain data, between the driver and the nodes of a cluster.

Ray pickles what goes between them. What a worker sends is never part of that: the node checks it
first, and passes text, numbers and bytes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from orchestrator import errors
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.value_checks import ArrayValue, AudioValue
from orchestrator.errors import MMError, UsageError
from orchestrator.jobs.job import Event, ignore_event
from orchestrator.jobs.results import Artifact, Audio, array_result
from orchestrator.system.files import read_file
from orchestrator.worker.encoding import array_view, encode_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.launch import WorkerSpec
    from orchestrator.core.manifest import Manifest
    from orchestrator.engines.ray.remote_spec import RemoteWorkerSpec
    from orchestrator.jobs.job import Job
    from orchestrator.system.scratch import Scratch

OF_A_NODE = (
    errors.Crashed,
    errors.EnvironmentFailure,
    errors.ManifestError,
    errors.MemoryRefused,
    errors.SourceError,
)
"""Errors whose cause is on the machine where they came up, so that they name it."""


@dataclass(frozen=True)
class WorkerOrder:
    """What a node prepares a worker from.

    Attributes:
        manifest: The model's.
        worker: Everything it is started from, or what the node makes that of.
        variables: Variables of the user's that the node takes for its own.
    """

    manifest: Manifest
    worker: WorkerSpec | RemoteWorkerSpec
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FileRef:
    """A file: by its path, or by its bytes in a blob."""

    path: str
    size: int
    modified: int
    """Nanoseconds since the epoch; with the size, it shows whether a node sees the same file."""
    blob: int | None = None


@dataclass(frozen=True)
class ArrayRef:
    """An array in a blob, as `orchestrator.worker.encoding` describes it."""

    blob: int
    dtype: Any
    shape: list[int]


class FilesNotVisible(Exception):
    """A node does not see the files that a job names."""


def encode_job(job: Job, manifest: Manifest, *, by_value: bool) -> tuple[Job, list[bytes]]:
    """Return a job as it is sent to a node, and its blobs.

    Raises:
        UsageError: When an input cannot be read, or is no array and should be one.
    """
    blobs: list[bytes] = []

    def encode(kind: str, name: str, value: Any) -> Any:
        if kind in FILE_TYPES:
            return _file(value, blobs, by_value=by_value)
        if kind == "array":
            return _array(name, value, blobs)
        return value

    inputs = {}
    for name, value in job.inputs.items():
        declared = manifest.inputs[name]
        many = declared.list and declared.type in (*FILE_TYPES, "array")
        inputs[name] = (
            [encode(declared.type, name, each) for each in value]
            if many
            else encode(declared.type, name, value)
        )
    return replace(job, inputs=inputs, cancellation=None, on_event=ignore_event, models=None), blobs


def _file(value: Any, blobs: list[bytes], *, by_value: bool) -> FileRef:
    path = os.fspath(value)
    try:
        found = Path(path).stat()
        if by_value:
            blobs.append(read_file(Path(path)))
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=path) from error
    blob = len(blobs) - 1 if by_value else None
    return FileRef(path, found.st_size, found.st_mtime_ns, blob)


def _array(name: str, value: Any, blobs: list[bytes]) -> ArrayRef:
    parts: list[memoryview] = []
    try:
        array = encode_array(value, parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"input {name!r} is {error}") from error
    blobs.append(bytes(parts[array["buffer"]]))
    return ArrayRef(len(blobs) - 1, array["dtype"], array["shape"])


def decode_inputs(job: Job, blobs: tuple[bytes, ...], directory: Callable[[], Path]) -> Any:
    """Return a job's inputs as the engine of the node takes them.

    Args:
        job: The job.
        blobs: What it refers to.
        directory: Makes a directory for files that came by value.

    Raises:
        FilesNotVisible: When the node does not see a file, or sees another one.
    """

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(each) for each in value]
        if isinstance(value, ArrayRef):
            return array_view(memoryview(blobs[value.blob]), value.dtype, value.shape)
        if not isinstance(value, FileRef):
            return value
        if value.blob is not None:
            target = directory() / Path(value.path).name
            target.write_bytes(blobs[value.blob])
            return target
        try:
            found = Path(value.path).stat()
        except OSError:
            raise FilesNotVisible(value.path) from None
        if (found.st_size, found.st_mtime_ns) != (value.size, value.modified):
            raise FilesNotVisible(value.path)
        return Path(value.path)

    return {name: one(value) for name, value in job.inputs.items()}


def encode_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked outputs as plain data: each a kind and what belongs to it."""
    return {name: _encode_output(value) for name, value in outputs.items()}


def _encode_output(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Audio):
        raw = value.raw
        return ("audio", bytes(raw.data), raw.dtype, raw.shape, raw.rate)
    if isinstance(value, Artifact):
        return ("file", value.path.name, value.read())
    if isinstance(value, memoryview) or hasattr(value, "__array_interface__"):
        parts: list[memoryview] = []
        array = encode_array(value, parts)
        return ("array", bytes(parts[array["buffer"]]), array["dtype"], tuple(array["shape"]))
    return ("plain", value)


def decode_outputs(outputs: Mapping[str, Any], scratch: Scratch) -> dict[str, Any]:
    """Return outputs as users get them; files are written for as long as the session lives."""
    return {name: _decode_output(name, value, scratch) for name, value in outputs.items()}


def _decode_output(name: str, value: tuple[Any, ...], scratch: Scratch) -> Any:
    kind, *rest = value
    if kind == "audio":
        data, dtype, shape, rate = rest
        return Audio(AudioValue(memoryview(data), dtype, shape, rate))
    if kind == "file":
        return Artifact(_write(scratch, *rest))
    if kind == "array":
        data, dtype, shape = rest
        return array_result(name, ArrayValue(memoryview(data), dtype, shape))
    return rest[0]


def _write(scratch: Scratch, name: str, data: bytes) -> Path:
    path = scratch.new_job() / Path(name).name
    path.write_bytes(data)
    return path


def encode_event(event: Event) -> tuple[str, dict[str, Any], list[bytes]]:
    """Return an event of a job as plain data; a file that it made goes as bytes."""
    params = dict(event.params)
    buffers = [bytes(part) for part in event.buffers]
    value = params.get("value")
    if event.kind == "chunk" and isinstance(value, dict) and isinstance(value.get("path"), str):
        path = Path(value["path"])
        params["value"] = {"file": path.name, "blob": len(buffers)}
        buffers.append(read_file(path))
    return event.kind, params, buffers


def decode_event(sent: tuple[str, dict[str, Any], list[bytes]], scratch: Scratch) -> Event:
    """Return the event; a file in it is written for as long as the session lives."""
    kind, params, buffers = sent
    value = params.get("value")
    if kind == "chunk" and isinstance(value, dict) and "file" in value:
        path = _write(scratch, value["file"], buffers[value["blob"]])
        params = {**params, "value": {"path": str(path)}}
    return Event(kind, params, [memoryview(part) for part in buffers])


def encode_error(error: MMError) -> dict[str, Any]:
    """Return an error as plain data."""
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "detail": error.detail,
        "fix_in_code": error.fix_in_code,
    }


def decode_error(sent: Mapping[str, Any], node: str) -> MMError:
    """Return the error that a node sent; it names the node if the cause is there."""
    found = getattr(errors, sent["kind"], None)
    kind = found if isinstance(found, type) and issubclass(found, MMError) else MMError
    where = sent["where"]
    if issubclass(kind, OF_A_NODE):
        where = f"node {node}: {where}" if where else f"node {node}"
    return kind(
        sent["what"],
        where=where,
        fix=sent["fix"],
        detail=sent["detail"],
        fix_in_code=sent.get("fix_in_code"),
    )
