"""What runs on a node: an actor that owns one worker process, in the orchestrator's environment.

It prepares what the worker needs on its own machine, runs jobs as a session there would, and checks
what the worker sends before it passes it on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from orchestrator.engines.interface import PreparedModel
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.engines.ray.bundles import unpack
from orchestrator.engines.ray.node_weights import ensure_weights
from orchestrator.engines.ray.remote_spec import RemoteWorkerSpec
from orchestrator.engines.ray.transport import (
    FilesNotVisible,
    WorkerOrder,
    decode_inputs,
    encode_error,
    encode_event,
    encode_outputs,
)
from orchestrator.engines.resources import Resources
from orchestrator.errors import Cancelled, EnvironmentFailure, MMError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.input_files import describe_inputs
from orchestrator.jobs.job import ignore_event
from orchestrator.jobs.results import Artifact
from orchestrator.system.machine import MachineMemory
from orchestrator.system.scratch import Scratch
from orchestrator.system.userenv import snapshot
from orchestrator.version import __version__
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from orchestrator.jobs.job import Event, Job

RAYS_OWN = ("PYTHONPATH", "PYTHONBREAKPOINT", "OMP_NUM_THREADS", "SPT_NOENV")
"""Variables that Ray sets for its own processes, beside RAY_*."""


FINAL_KINDS = ("done", "unseen", "error")
"""The kinds of the last message of one call."""

PROGRESS_SECONDS = 1.0
"""Seconds between two reports of progress from a node to its driver."""


def node_variables(
    variables: Mapping[str, str], more: Mapping[str, str], device: str = "cuda"
) -> dict[str, str]:
    """Return the variables of a node's user: those of an actor, without what Ray put there.

    CUDA_VISIBLE_DEVICES stays where the device is a GPU: Ray sets it to those that the actor was
    given. Elsewhere it names none.
    """
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith("RAY_") and name not in RAYS_OWN
    }
    none = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    return {**kept, **more, **none}


Send = Callable[[str, Any], None]
"""Sends a message to the driver: its kind and its value."""


class NodeWorker:
    """One worker slot on one node; its jobs run one at a time, `cancel` beside them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Cancellation] = {}
        self._cancelled: set[int] = set()
        self._engine: LocalEngine | None = None
        self._preparer: LocalPreparer | None = None
        self._scratch: Scratch
        self._workspace: Workspace
        self._model: PreparedModel

    def hello(self) -> dict[str, Any]:
        """Return which `mm` this is, and where; asked before anything else."""
        import ray

        return {"mm": __version__, "node": ray.get_runtime_context().get_node_id()}

    def open(self, order: WorkerOrder) -> Iterator[tuple[str, Any]]:
        """Prepare what the worker is started from; yield notes, then the outcome."""

        def prepare(send: Send) -> Any:
            self._workspace = Workspace(
                variables=node_variables(snapshot(), order.variables, order.worker.device),
                cwd=Path("/"),
                reporter=_StreamReporter(send),
            )
            self._scratch = Scratch(self._workspace.home)
            self._model = self._prepare(order)
            resources = Resources(
                self._workspace.runtime,
                MachineMemory(),
                self._workspace.reporter,
            )
            self._engine = LocalEngine(
                self._workspace.runtime, self._workspace.worker_logs, self._scratch, resources
            )
            return {"produced_by": self._model.produced_by()}

        yield from _stream(prepare)

    def _prepare(self, order: WorkerOrder) -> PreparedModel:
        wanted = order.worker
        if not isinstance(wanted, RemoteWorkerSpec):
            return PreparedModel(order.manifest, replace(wanted, held=()), dict)
        self._workspace.home.prepare()
        declared = unpack(wanted.bundle, self._workspace.home.bundles)
        source = declared.at(wanted.precision)
        ensure_weights(self._workspace, source, wanted.record, wanted.model_dir)
        self._preparer = LocalPreparer(self._workspace)
        model = self._preparer.prepare(declared, wanted.device, wanted.dtype)
        return replace(model, worker=replace(model.spec, threads=wanted.threads))

    def load(self, job: Job) -> Iterator[tuple[str, Any]]:
        """Have the model loaded; yield its events, then the outcome."""

        def load(send: Send) -> Any:
            assert self._engine is not None
            self._model = replace(self._model, load_timeout=job.load_timeout)
            self._engine.load(replace(job, on_event=_send_events(send)), self._model)
            return {"worker": [record.id for record in self._engine.idle]}

        yield from _stream(load)

    def run(self, number: int, job: Job, *blobs: bytes) -> tuple[str, Any]:
        """Run a job whose events no one wants, and return the outcome."""
        return _outcome(lambda: self._run(number, job, blobs, ignore_event))

    def stream(self, number: int, job: Job, *blobs: bytes) -> Iterator[tuple[str, Any]]:
        """Run a job; yield its events, then the outcome."""
        yield from _stream(lambda send: self._run(number, job, blobs, _send_events(send)))

    def _run(
        self, number: int, job: Job, blobs: tuple[bytes, ...], on_event: Callable[[Event], None]
    ) -> Any:
        assert self._engine is not None
        made: list[Path] = []

        def directory() -> Path:
            made.append(self._scratch.new_job())
            return made[-1]

        cancellation = self._begin(number)
        try:
            inputs = decode_inputs(job, blobs, directory)
            described = describe_inputs(self._model.manifest, inputs)
            here = replace(job, inputs=inputs, cancellation=cancellation, on_event=on_event)
            completed = self._engine.run(here, self._model)
            outputs = encode_outputs(completed.outputs)
            made += [
                value.path.parent
                for value in completed.outputs.values()
                if isinstance(value, Artifact)
            ]
        finally:
            self._end(number)
            for path in made:
                self._scratch.discard(str(path))
        return {
            "outputs": outputs,
            "timings": completed.timings,
            "produced_by": self._model.produced_by(),
            "inputs": described,
            "warnings": completed.warnings,
        }

    def _begin(self, number: int) -> Cancellation:
        with self._lock:
            if number in self._cancelled:
                raise Cancelled(f"{self._model.name} was cancelled")
            self._cancelled.clear()  # requests that came after their job had ended
            return self._running.setdefault(number, Cancellation())

    def _end(self, number: int) -> None:
        with self._lock:
            if found := self._running.pop(number, None):
                found.close()

    def cancel(self, number: int) -> None:
        """Ask a job to stop; asked again, it ends at once."""
        with self._lock:
            if found := self._running.get(number):
                found.request()
            else:
                self._cancelled.add(number)

    def close(self) -> None:
        """End the worker and tidy up."""
        if self._engine is not None:
            self._engine.close()
            self._scratch.close()
        if self._preparer is not None:
            self._preparer.close()


class _StreamReporter:
    """A reporter whose messages go to the driver."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last = -PROGRESS_SECONDS

    def note(self, text: str) -> None:
        """Pass a note on."""
        self._send("note", text)

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        """Pass progress on, now and then."""
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS:
            self._last = now
            self._send("progress", (key, text, done, total))

    def finish(self, key: str, text: str = "") -> None:
        """Pass the end on."""
        self._send("finish", (key, text))


def _send_events(send: Send) -> Callable[[Event], None]:
    return lambda event: send("event", encode_event(event))


def _stream(work: Callable[[Send], Any]) -> Iterator[tuple[str, Any]]:
    """Run `work` in a thread; yield the messages that it sends, then its outcome."""
    queue: SimpleQueue[tuple[str, Any] | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            queue.put(_outcome(lambda: work(lambda kind, value: queue.put((kind, value)))))
        except BaseException as fault:  # noqa: BLE001 - raised in the caller's thread
            queue.put(fault)

    thread = threading.Thread(target=run, name="mm-node")
    thread.start()
    while True:
        message = queue.get()
        if isinstance(message, BaseException):
            raise message
        yield message
        if message[0] in FINAL_KINDS:
            thread.join()
            return


def _outcome(work: Callable[[], Any]) -> tuple[str, Any]:
    """Return the last message of a call: its result, or its error as plain data."""
    try:
        return "done", work()
    except FilesNotVisible as error:
        return "unseen", str(error)
    except MMError as error:
        return "error", encode_error(error)
    except OSError as error:  # a full disk, a file that is gone: no reason to lose the worker
        what, where = error.strerror or str(error), str(error.filename or "")
        return "error", encode_error(EnvironmentFailure(what, where=where))
