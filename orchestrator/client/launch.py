"""Start of a worker: its socket, its lifeline, its process, its record, and the first `hello`."""

from __future__ import annotations

import errno
import os
import socket
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.client import ending
from orchestrator.client.connection import Connection, ConnectionLost, DeadlinePassed, RemoteError
from orchestrator.client.fast_json import encode, parse
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord, logs_of
from orchestrator.client.supervisors import OwnedProcess, start_time
from orchestrator.client.worker import Worker
from orchestrator.core.canonical import digest
from orchestrator.core.refusals import refusals
from orchestrator.jobs.job import Event
from orchestrator.system import processes
from orchestrator.system.files import open_private
from orchestrator.system.home import make_private
from orchestrator.system.machine import memory_kills
from orchestrator.system.removal import remove_oldest
from orchestrator.version import __version__
from orchestrator.worker import peers, state
from orchestrator.worker.buffers import can_use_memory_files
from orchestrator.worker.channel import Channel
from orchestrator.worker.frames import PROTOCOL, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

WORKER_PACKAGE = Path(__file__).resolve().parent.parent / "worker"

VISIBLE = "CUDA_VISIBLE_DEVICES"

HELLO_SECONDS = 60.0
"""How long an interpreter may take to start; a cold disk and a virus scanner need many."""

CHECK_SECONDS = 0.1
"""Seconds between two calls of `check` while a worker does not answer."""

LOGS_KEPT = 10
"""Logs of ended workers that are kept for each model."""


class WorkerSpec(msgspec.Struct, frozen=True, dict=True):
    """Everything that a worker is started from."""

    model: str
    python: Path
    """The interpreter of the model's environment."""
    environment: str
    """The environment's digest; the worker repeats it in its answer to `hello`."""
    variables: Mapping[str, str]
    """The worker's whole environment, but for the number of threads."""
    runner: Mapping[str, str]
    """The texts of the runner's files by path, the one that is executed first. They are sent, so
    that what runs is what was digested."""
    device: str = "cpu"
    dtype: str = "float32"
    pool: str = ""
    """The GPU whose memory it takes; empty for the machine's own."""
    gpus: tuple[str, ...] = ()
    """The GPUs that do as well, this one included, where the engine may choose among them."""
    model_dir: Path | None = None
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    manifest: str = ""
    """The manifest's digest."""
    lock: str = ""
    """The digest of the environment's lock."""
    overlay: str = ""
    """The digest of the overlay that `model_dir` is; empty where there is none."""
    need: int = 0
    """Bytes of memory that the manifest says it needs; 0 where it does not say."""
    threads: int | None = None
    """How many threads the user or the manifest wants; None for an even share of the cores."""
    held: tuple[int, ...] = ()
    """Descriptors that the worker is to hold open, such as the environment's lock."""
    package: Path = WORKER_PACKAGE
    """The worker's own code."""

    @cached_property
    def digest(self) -> str:
        """The digest of everything that the worker is started from.

        Not of `held`, which say nothing, nor of `need` and `threads`, which change nothing that a
        job could notice; nor of the GPU, where it is the engine's choice.
        """
        chosen = {VISIBLE: ",".join(self.gpus)} if self.gpus else {}
        return digest(
            {
                "mm": __version__,
                "model": self.model,
                "python": str(self.python),
                "environment": self.environment,
                "lock": self.lock,
                "manifest": self.manifest,
                "variables": {**self.variables, **chosen},
                "runner": dict(self.runner),
                "device": self.device,
                "dtype": self.dtype,
                "model_dir": str(self.model_dir),
                "overlay": self.overlay,
                "options": dict(self.options),
            }
        )

    def on(self, gpu: str) -> WorkerSpec:
        """Return it for one of its GPUs."""
        variables = {**self.variables, VISIBLE: gpu}
        return msgspec.structs.replace(self, pool=gpu, variables=variables)

    def load_parameters(self) -> dict[str, Any]:
        """Return the parameters of the `load` request."""
        return {
            "runner": dict(self.runner),
            "model_dir": str(self.model_dir) if self.model_dir else None,
            "device": self.device,
            "dtype": self.dtype,
            "options": dict(self.options),
        }


def spawn(spec: WorkerSpec, runtime: RuntimeDirectory, logs: Path, *, kept: bool = False) -> Worker:
    """Start the process of a worker and record it, without a wait for anything.

    Args:
        spec: What to start.
        runtime: Where its socket and record go.
        logs: The directory of workers' logs.
        kept: Whether other clients may use it, and find it by its digest.

    Raises:
        MachineRefused, PathRefused: When the machine has no room for it.
    """
    with refusals(str(runtime.path)):
        return _spawn(spec, runtime, logs, kept=kept)


def _spawn(spec: WorkerSpec, runtime: RuntimeDirectory, logs: Path, *, kept: bool) -> Worker:
    live = runtime.sweep()
    identity = runtime.new_id()
    log = _new_log(logs, spec.model, identity, live)
    address = runtime.socket(identity)
    lifeline, ours = os.pipe()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        state.create(str(runtime.state_file(identity)))
        listener.bind(str(address))
        address.chmod(0o600)
        listener.listen(64)
        arguments = {
            "listener": listener.fileno(),
            "lifeline": lifeline,
            "place": runtime.place(identity),
            "log": log,
            "environment": spec.environment,
        }
        process = processes.start_detached(
            [
                str(spec.python),
                "-I",
                "-S",  # not before the worker has left its supervisor: `worker.startup`
                "-X",
                "utf8",
                str(spec.package / "__main__.py"),
                *(f"{name}={value}" for name, value in arguments.items()),
            ],
            variables=spec.variables,
            keep=(listener.fileno(), lifeline, *spec.held),
            log=log,
        )
    except BaseException:
        os.close(ours)
        runtime.forget(identity)
        raise
    finally:
        listener.close()
        os.close(lifeline)
    record = WorkerRecord(
        id=identity,
        model=spec.model,
        supervisor=process.pid,
        started=start_time(process.pid),
        environment=spec.environment,
        socket=str(address),
        log=str(log),
        digest=spec.digest if kept else "",
        device=spec.device,
        dtype=spec.dtype,
        pool=spec.pool,
        need=spec.need,
        kept=kept,
        oom=memory_kills(),
    )
    worker = Worker(record, runtime, OwnedProcess(process, record.started, ours))
    try:
        runtime.write(record)
    except BaseException:
        worker.stop()
        raise
    return worker


def greet(
    worker: Worker,
    check: Callable[[], None] = lambda: None,
    seconds: float = HELLO_SECONDS,
) -> None:
    """Connect to a worker that was started just now; on any failure it is stopped.

    Args:
        worker: What `spawn` returned.
        check: As for `connect`.
        seconds: How long its interpreter may take to start.

    Raises:
        Crashed: When it ended, or sent nothing for too long, before it answered hello.
    """
    until = time.monotonic() + seconds

    def check_time() -> None:
        check()
        if time.monotonic() >= until:
            raise DeadlinePassed(f"no answer within {seconds:g} seconds")

    try:
        connect(worker, check_time)
    except (ConnectionLost, DeadlinePassed, RemoteError, ProtocolError, OSError) as error:
        crashed = worker.crashed(f"did not start ({error})")
        raise ending.refusal_in(crashed.detail, worker.record.model) or crashed from error
    except BaseException:
        worker.stop()
        raise


def connect(worker: Worker, check: Callable[[], None] = lambda: None) -> None:
    """Connect to a worker and greet it, however long it takes to answer.

    Args:
        worker: What is to get its connection.
        check: Called again and again until it has answered; what it raises ends the wait.

    Raises:
        ConnectionLost, RemoteError, ProtocolError, OSError: When there is none, or another than
            the record says.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _reach(sock, worker, check)
        owner = peers.peer_uid(sock)
    except BaseException:
        sock.close()
        raise
    if owner != os.getuid():
        sock.close()
        raise ConnectionLost("its socket belongs to another user")
    # A random one: the worker's state shows which request runs, to each of its clients.
    last = int.from_bytes(os.urandom(6), "big")
    channel = Channel(sock, encode=encode, parse=parse)
    worker.connection = Connection(channel, worker.ended, last)
    try:
        hello = _hello(worker.connection, worker.record.environment, check)
    except BaseException:
        worker.leave()
        raise
    worker.pid = hello["pid"]
    if hello["memory_files"]:
        channel.use_memory_files()


def _reach(sock: socket.socket, worker: Worker, check: Callable[[], None]) -> None:
    """Connect to a worker's socket, again and again while its backlog is full.

    Linux then says EAGAIN; macOS refuses, as it does where no one listens.
    """
    address = worker.record.socket
    sock.settimeout(0)
    while failed := sock.connect_ex(address):
        if failed != errno.EAGAIN and not (failed == errno.ECONNREFUSED and worker.computing):
            raise OSError(failed, os.strerror(failed), address)
        check()
        time.sleep(CHECK_SECONDS)
    sock.settimeout(None)


def _hello(connection: Connection, environment: str, check: Callable[[], None]) -> dict[str, Any]:
    """Say hello and return the answer, checked."""
    memory_files = can_use_memory_files()
    connection.send("hello", {"protocol": PROTOCOL, "memory_files": memory_files})
    while (answer := connection.next_within(CHECK_SECONDS)) is None:
        check()
    if isinstance(answer, Event):
        raise ProtocolError("a notification before hello was answered")
    result: dict[str, Any] = answer.body["result"]
    wanted = {"protocol": PROTOCOL, "environment": environment}
    fits = wanted.items() <= result.items() and isinstance(result.get("pid"), int)
    if not fits or result.get("memory_files") not in (False, memory_files):
        raise ProtocolError(f"it answered hello with {str(result)[:200]}")
    return result


def _new_log(logs: Path, model: str, identity: str, live: Container[str]) -> Path:
    """Make the log of a new worker, and remove the oldest ones of its model's ended workers."""
    make_private(logs)
    ended = (each for each in logs_of(logs, model) if each.stem.rpartition(".")[2] not in live)
    remove_oldest(ended, LOGS_KEPT - 1)
    log = logs / f"{model}.{identity}.log"
    open_private(log).close()
    return log
