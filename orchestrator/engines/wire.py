"""A job as the messages that go to a worker, and a worker's answer as outputs for the user."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.client.launch import greet
from orchestrator.client.worker import Call
from orchestrator.core.manifest import PATH_TYPES
from orchestrator.core.values import ArrayValue, AudioValue, FileValue, check_output
from orchestrator.engines.base import Completed
from orchestrator.errors import OutputError, UsageError
from orchestrator.results import Artifact, Audio, array_result
from orchestrator.worker.buffers import THRESHOLD
from orchestrator.worker.values import encode_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.client.worker import Worker
    from orchestrator.core.manifest import Input, Manifest
    from orchestrator.engines.base import PreparedModel
    from orchestrator.engines.room import Room
    from orchestrator.jobs.job import Event, Job
    from orchestrator.scratch import Scratch


def load_call(
    job: Job, model: PreparedModel, threads: int, keep_alive: float | None = None
) -> Call:
    """Return the request that loads `model` for `job`; `keep_alive` as for `run_call`."""
    manifest = model.manifest
    params = {
        **model.spec.load_parameters(),
        "inputs": {
            name: declared.type + ("[]" if declared.list else "")
            for name, declared in manifest.inputs.items()
        },
        "outputs": {name: output.type for name, output in manifest.outputs.items()},
        "primary": manifest.primary_output,
        "seconds": model.load_seconds,
        "threads": threads,
    }
    if keep_alive is not None:
        params["keep_alive"] = _keep_alive(keep_alive)
    if job.inputs and not any(manifest.inputs[name].type == "array" for name in job.inputs):
        # For a runner that checks inputs before it loads; arrays would have to be sent twice.
        params["first"] = _inputs(manifest, job.inputs, [])
    return Call(params, model.load_seconds)


def run_call(
    job: Job,
    model: PreparedModel,
    directory: str,
    threads: int | None,
    keep_alive: float | None = None,
) -> Call:
    """Return the request that runs `job`.

    Args:
        job: What to run.
        model: The job's model.
        directory: The job's own directory.
        threads: How many threads the job may use; None for as many as the last one.
        keep_alive: Seconds that the worker stays after its last job from now on; infinity for ever,
            None for as long as before, which is as long as its client where nothing was said.

    Raises:
        UsageError: When an input is no array and should be one.
    """
    parts: list[memoryview] = []
    seconds = model.run_seconds(job)
    params = {
        "inputs": _inputs(model.manifest, job.inputs, parts),
        "directory": directory,
        "seconds": seconds,
    }
    if threads is not None:
        params["threads"] = threads
    if keep_alive is not None:
        params["keep_alive"] = _keep_alive(keep_alive)
    return Call(params, seconds, parts, directory, job.deadline)


def _keep_alive(seconds: float) -> float | None:
    # JSON has no infinity.
    return None if seconds == math.inf else seconds


def load_in(
    worker: Worker, job: Job, model: PreparedModel, room: Room, keep_alive: float = -1
) -> None:
    """Greet a worker that was spawned, and have it load its model.

    Raises:
        JobFailed, TimedOut, Crashed, Cancelled: As the load ended; the worker is stopped then.
    """
    with room.wait(job, model, "its model to load") as wait:
        greet(worker, look=wait.look)
        call = load_call(job, model, room.threads(model), keep_alive)
        worker.begin_load(call)
        worker.finish_load(call, job.cancellation, job.on_event, wait.look)


def run_in(
    worker: Worker, job: Job, model: PreparedModel, call: Call, scratch: Scratch
) -> Completed:
    """Run `job` in a worker that has its model, and return checked outputs.

    The job's directory is removed, unless an output is in it.
    """
    keep = False  # an output is in the job's directory
    made = True

    def hear(event: Event) -> None:
        nonlocal keep
        value = event.params.get("value")
        keep = keep or (event.kind == "chunk" and isinstance(value, dict) and "path" in value)
        job.on_event(event)

    try:
        began = time.perf_counter()
        message = worker.run(call, job.cancellation, hear, job.grace)
        seconds = time.perf_counter() - began
        result = message.body["result"]
        made = result.get("directory") is not False or _any_large(call.parts, message.buffers)
        outputs = _outputs(model.manifest, result.get("outputs"), message.buffers, call.directory)
        warnings = _warnings(model.manifest.name, result.get("warnings", []))
        if made and not keep:
            keep = any(isinstance(value, Artifact) for value in outputs.values())
    finally:
        if made and not keep:
            scratch.discard(call.directory)
    return Completed(outputs, {"run": seconds}, warnings=warnings)


def _warnings(model: str, sent: Any) -> tuple[str, ...]:
    if not isinstance(sent, list) or not all(isinstance(each, str) for each in sent):
        raise OutputError("the worker sent warnings that are no text", where=model)
    return tuple(each.encode("utf-8", "replace").decode("utf-8") for each in sent)


def _any_large(*parts: list[memoryview]) -> bool:
    """Return whether any buffer may have gone as a file in the job's directory."""
    for each in parts:
        for part in each:
            if len(part) >= THRESHOLD:
                return True
    return False


def _inputs(
    manifest: Manifest, inputs: Mapping[str, Any], parts: list[memoryview]
) -> Mapping[str, Any]:
    if not manifest.takes_paths:
        return inputs
    return {
        name: _encode(manifest.inputs[name], name, value, parts) for name, value in inputs.items()
    }


def _encode(declared: Input, name: str, value: Any, parts: list[memoryview]) -> Any:
    if declared.type not in PATH_TYPES:
        return value
    if declared.list:
        return [_encode_one(declared.type, name, item, parts) for item in value]
    return _encode_one(declared.type, name, value, parts)


def _encode_one(kind: str, name: str, value: Any, parts: list[memoryview]) -> Any:
    if kind != "array":
        return os.fspath(value)
    try:
        return encode_array(value, parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"input {name!r} is {error}") from error


def _outputs(
    manifest: Manifest, sent: Any, buffers: list[memoryview], directory: str
) -> dict[str, Any]:
    if not isinstance(sent, dict) or manifest.primary_output not in sent:
        raise OutputError("the worker sent no outputs", where=manifest.name)
    outputs: dict[str, Any] = {}
    for name, value in sent.items():
        declared = manifest.outputs.get(name)
        if declared is None:
            raise OutputError(f"the worker sent an output {name!r} of its own", where=manifest.name)
        checked = check_output(manifest.name, name, declared, value, buffers)
        plain = checked is value
        outputs[name] = checked if plain else finish(manifest.name, name, checked, directory)
    return outputs


def finish(model: str, name: str, value: Any, directory: str) -> Any:
    """Return a checked output in the form that the user gets.

    Raises:
        OutputError: When it is a file outside `directory`, or no array.
    """
    if isinstance(value, AudioValue):
        return Audio(value)
    if isinstance(value, ArrayValue):
        return array_result(name, value)
    if not isinstance(value, FileValue):
        return value
    # Nothing that a worker names outside its job's directory is followed.
    try:
        path = Path(value.path).resolve()
        inside = path.is_relative_to(Path(directory).resolve()) and path.is_file()
    except (OSError, ValueError):  # a loop of links, a name with a zero in it
        inside = False
    if not inside:
        raise OutputError(f"output {name!r} is no file in the job's directory", where=model)
    return Artifact(path)
