"""A job as the messages that go to a worker, and a worker's answer as outputs for the user."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.client.launch import CHECK_SECONDS, greet
from orchestrator.client.requests import WorkerRequest
from orchestrator.core.manifest import PATH_TYPES
from orchestrator.core.value_checks import ArrayValue, AudioValue, FileValue, check_output
from orchestrator.engines.interface import EngineResult
from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs.results import Artifact, Audio, array_result
from orchestrator.worker.buffers import THRESHOLD
from orchestrator.worker.encoding import encode_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.worker import Worker
    from orchestrator.core.manifest import Manifest
    from orchestrator.engines.interface import PreparedModel
    from orchestrator.engines.resources import Resources
    from orchestrator.jobs.job import Event, Job
    from orchestrator.system.scratch import Scratch


def load_in_worker(
    worker: Worker,
    job: Job,
    model: PreparedModel,
    resources: Resources,
    keep_alive: float = -1,
) -> None:
    """Connect to a worker that was spawned, and have it load its model.

    Args:
        worker: The worker.
        job: The job that the model is loaded for.
        model: The model.
        resources: Says how many threads it may use.
        keep_alive: Seconds that it stays after its last job; infinity for ever, below 0 for as long
            as its client.

    Raises:
        JobFailed, TimedOut, Crashed, Cancelled: As the load ended; the worker is stopped then.
        EnvironmentFailure: When the probes fail that its load has left; as before.
    """
    with resources.wait(job, model, "its model to load") as wait:
        greet(worker, check=wait.look)
        request = load_request(job, model, resources.threads(model), keep_alive)
        message = worker.load(request, job.cancellation, job.on_event, wait.look)
        if model.unpublished is not None:
            try:
                imported = message.body["result"].get("imported")
                model.unpublished.passed(imported if isinstance(imported, list) else ())
            except BaseException:
                worker.stop()
                raise


def keep_worker(worker: Worker, seconds: float, check: Callable[[], None]) -> None:
    """Have a worker stay `seconds` after its last job from now on, whatever it does now.

    Args:
        worker: The worker.
        seconds: How long it stays; infinity for ever.
        check: Called again and again until it has answered; what it raises ends the wait.

    Raises:
        ConnectionLost: When it has ended.
    """
    worker.connection.send("keep", {"keep_alive": _finite(seconds)})
    while worker.connection.next_within(CHECK_SECONDS) is None:
        check()


def run_in_worker(
    worker: Worker,
    job: Job,
    model: PreparedModel,
    scratch: Scratch,
    threads: int | None,
    keep_alive: float | None = None,
) -> EngineResult:
    """Run `job` in a worker that has its model, and return checked outputs.

    The job's directory is removed, unless an output is in it.

    Args:
        worker: The worker.
        job: The job.
        model: The job's model.
        scratch: Where the job gets its directory.
        threads: How many threads the job may use; None for as many as the last one.
        keep_alive: Seconds that the worker stays after its last job from now on; infinity for ever,
            None for as long as before.

    Raises:
        UsageError: When an input is no array and should be one.
        NotBegun: As `Worker.run`, like the errors of the job.
    """
    request = _run_request(job, model, scratch.reserve(), threads, keep_alive)
    keep = False  # an output is in the job's directory
    made = True

    def on_event(event: Event) -> None:
        nonlocal keep
        value = event.params.get("value")
        keep = keep or (event.kind == "chunk" and isinstance(value, dict) and "path" in value)
        job.on_event(event)

    try:
        began = time.perf_counter()
        message = worker.run(request, job.cancellation, on_event, job.grace)
        seconds = time.perf_counter() - began
        result = message.body["result"]
        made = result.get("directory") is not False or _any_large(request.parts, message.buffers)
        outputs = _decode_outputs(
            model.manifest, result.get("outputs"), message.buffers, request.directory
        )
        warnings = _warnings(model.name, result["warnings"]) if "warnings" in result else ()
        if made and not keep:
            keep = any(isinstance(value, Artifact) for value in outputs.values())
    finally:
        if made and not keep:
            scratch.discard(request.directory)
    directories = (request.directory,) if made and keep else ()
    return EngineResult(outputs, {"run": seconds}, warnings=warnings, directories=directories)


def load_request(
    job: Job, model: PreparedModel, threads: int, keep_alive: float | None = None
) -> WorkerRequest:
    """Return the request that loads `model` for `job`."""
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
        params["keep_alive"] = _finite(keep_alive)
    if model.unpublished is not None:
        params["probe"] = list(model.unpublished.probes)
    if job.inputs and not any(manifest.inputs[name].type == "array" for name in job.inputs):
        # For a runner that checks inputs before it loads; arrays would have to be sent twice.
        params["first"] = _encode_inputs(manifest, job.inputs, [])
    return WorkerRequest(params, model.load_seconds)


def _run_request(
    job: Job, model: PreparedModel, directory: str, threads: int | None, keep_alive: float | None
) -> WorkerRequest:
    parts: list[memoryview] = []
    seconds = model.run_seconds(job)
    params = {
        "inputs": _encode_inputs(model.manifest, job.inputs, parts),
        "directory": directory,
        "seconds": seconds,
    }
    if threads is not None:
        params["threads"] = threads
    if keep_alive is not None:
        params["keep_alive"] = _finite(keep_alive)
    return WorkerRequest(params, seconds, parts, directory, job.deadline)


def _finite(seconds: float) -> float | None:
    # JSON has no infinity.
    return None if seconds == math.inf else seconds


def _encode_inputs(
    manifest: Manifest, inputs: Mapping[str, Any], parts: list[memoryview]
) -> Mapping[str, Any]:
    """Return inputs as they are sent: paths as text, arrays as references to `parts`."""
    if not manifest.takes_paths:
        return inputs

    def encode(kind: str, name: str, value: Any) -> Any:
        if kind != "array":
            return os.fspath(value)
        try:
            return encode_array(value, parts)
        except (TypeError, ValueError) as error:
            raise UsageError(f"input {name!r} is {error}") from error

    encoded = dict(inputs)
    for name, value in inputs.items():
        declared = manifest.inputs[name]
        if declared.type in PATH_TYPES and declared.list:
            encoded[name] = [encode(declared.type, name, item) for item in value]
        elif declared.type in PATH_TYPES:
            encoded[name] = encode(declared.type, name, value)
    return encoded


def _decode_outputs(
    manifest: Manifest, sent: Any, buffers: list[memoryview], directory: str
) -> dict[str, Any]:
    if not isinstance(sent, dict) or manifest.primary_output not in sent:
        raise OutputError("the worker sent no outputs", where=manifest.name)
    outputs = {}
    for name, value in sent.items():
        outputs[name] = decode_output(manifest, name, value, buffers, directory)
    return outputs


def decode_output(
    manifest: Manifest, name: str, sent: Any, buffers: list[memoryview], directory: str
) -> Any:
    """Check an output, or a chunk of one, and return it in the form that the user gets.

    Args:
        manifest: The model's.
        name: The output's name.
        sent: What the worker sent.
        buffers: What it refers to.
        directory: Where a file that it names must be.

    Raises:
        OutputError: When it is not what the manifest declares, or a file outside `directory`.
    """
    model, declared = manifest.name, manifest.outputs.get(name)
    if declared is None:
        raise OutputError(f"the worker sent an output {name!r} of its own", where=model)
    value = check_output(model, name, declared, sent, buffers)
    if value is sent:
        return value
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


def _warnings(model: str, sent: Any) -> tuple[str, ...]:
    if not isinstance(sent, list) or not all(isinstance(each, str) for each in sent):
        raise OutputError("the worker sent warnings that are no text", where=model)
    return tuple(each.encode("utf-8", "replace").decode("utf-8") for each in sent)


def _any_large(*parts: list[memoryview]) -> bool:
    """Return whether any buffer may have gone as a file in the job's directory."""
    for each in parts:  # a generator would cost a small call more than the rest of this function
        for part in each:
            if len(part) >= THRESHOLD:
                return True
    return False
