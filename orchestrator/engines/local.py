"""The engine of one machine: a pool of workers, by what they were started from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.client.launch import WorkerSpec, start
from orchestrator.client.worker import Call, Worker
from orchestrator.core.canonical import digest
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.values import ArrayValue, AudioValue, FileValue, check_output
from orchestrator.engines.base import Completed, Task
from orchestrator.errors import OutputError
from orchestrator.results import Artifact, Audio, array_result
from orchestrator.worker.values import encode_array

if TYPE_CHECKING:
    from orchestrator.client.runtime import RuntimeDirectory
    from orchestrator.scratch import Scratch
    from orchestrator.worker.channel import Message

Starter = Callable[[WorkerSpec], Worker]


class LocalEngine:
    """Workers of this machine, started when a task needs one and kept until `close`.

    Args:
        runtime: Where sockets and records go.
        logs: The directory of workers' logs.
        scratch: Where jobs get their directories.
        limit: How many workers of one kind may live at once.
    """

    def __init__(
        self, runtime: RuntimeDirectory, logs: Path, scratch: Scratch, limit: int = 1
    ) -> None:
        self._runtime = runtime
        self._logs = logs
        self._scratch = scratch
        self._limit = limit
        self._changed = threading.Condition()
        self._idle: dict[str, list[Worker]] = {}
        self._count: dict[str, int] = {}
        self._closed = False

    def run(self, task: Task) -> Completed:
        """Run `task` in an idle worker of its kind, or in a new one."""
        key = worker_digest(task.worker)
        timings: dict[str, float] = {}
        worker = self._take(key, task, timings)
        directory = self._scratch.new_job()
        keep = False
        try:
            began = time.perf_counter()
            message = worker.run(_call(task, directory), task.cancellation, task.on_event)
            timings["run"] = time.perf_counter() - began
            outputs = _outputs(task, message, directory)
            keep = any(isinstance(value, Artifact) for value in outputs.values())
        finally:
            if not keep:
                self._scratch.discard(directory)
            self._give_back(key, worker)
        return Completed(outputs, timings)

    def close(self) -> None:
        """End every idle worker now, and every busy one when its job ends."""
        with self._changed:
            self._closed = True
            workers = [worker for idle in self._idle.values() for worker in idle]
            self._idle.clear()
            self._changed.notify_all()
        for worker in workers:
            worker.stop()

    def _take(self, key: str, task: Task, timings: dict[str, float]) -> Worker:
        with self._changed:
            while True:
                if idle := self._idle.get(key):
                    return idle.pop()
                if self._count.get(key, 0) < self._limit:
                    self._count[key] = self._count.get(key, 0) + 1
                    break
                self._changed.wait()
        try:
            began = time.perf_counter()
            worker = start(task.worker, self._runtime, self._logs)
            load = Call(task.worker.load_parameters(), task.load_seconds)
            worker.load(load, task.cancellation, task.on_event)
            timings["load"] = time.perf_counter() - began
        except BaseException:
            self._drop(key)
            raise
        return worker

    def _give_back(self, key: str, worker: Worker) -> None:
        with self._changed:
            if worker.alive and not self._closed:
                self._idle.setdefault(key, []).append(worker)
                self._changed.notify()
                return
        worker.stop()
        self._drop(key)

    def _drop(self, key: str) -> None:
        with self._changed:
            self._count[key] -= 1
            self._changed.notify()


def worker_digest(spec: WorkerSpec) -> str:
    """Return the digest of everything that a worker is started from."""
    return digest(
        {
            "model": spec.model,
            "python": str(spec.python),
            "environment": spec.environment,
            "variables": dict(spec.variables),
            "source": spec.source,
            "device": spec.device,
            "dtype": spec.dtype,
            "model_dir": str(spec.model_dir),
            "options": dict(spec.options),
        }
    )


def _call(task: Task, directory: Path) -> Call:
    parts: list[memoryview] = []
    inputs = {
        name: _encode(task.manifest.inputs[name].type, name, value, parts)
        for name, value in task.inputs.items()
    }
    outputs = task.manifest.outputs
    params = {
        "inputs": inputs,
        "outputs": {name: output.type for name, output in outputs.items()},
        "primary": task.manifest.primary_output,
        "directory": str(directory),
    }
    return Call(params, task.run_seconds, parts, str(directory))


def _encode(kind: str, name: str, value: Any, parts: list[memoryview]) -> dict[str, Any]:
    def one(item: Any) -> Any:
        if kind in FILE_TYPES:
            return str(item)
        return encode_array(name, item, parts) if kind == "array" else item

    if isinstance(value, list) and kind != "json":
        return {"type": kind, "list": True, "value": [one(item) for item in value]}
    return {"type": kind, "value": one(value)}


def _outputs(task: Task, message: Message, directory: Path) -> dict[str, Any]:
    model = task.manifest.name
    sent = message.body["result"].get("outputs")
    if not isinstance(sent, dict) or task.manifest.primary_output not in sent:
        raise OutputError("the worker sent no outputs", where=model)
    outputs: dict[str, Any] = {}
    for name, value in sent.items():
        if name not in task.manifest.outputs:
            raise OutputError(f"the worker sent an output {name!r} of its own", where=model)
        declared = task.manifest.outputs[name]
        outputs[name] = _finish(
            model, name, check_output(model, name, declared, value, message.buffers), directory
        )
    return outputs


def _finish(model: str, name: str, value: Any, directory: Path) -> Any:
    """Return an output in the form that the user gets."""
    if isinstance(value, AudioValue):
        return Audio(value)
    if isinstance(value, ArrayValue):
        return array_result(name, value)
    if not isinstance(value, FileValue):
        return value
    # Nothing that a worker names outside its job's directory is followed.
    path = Path(value.path).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file():
        raise OutputError(f"output {name!r} is no file in the job's directory", where=model)
    return Artifact(path)
