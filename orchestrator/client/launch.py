"""Start of a worker: its socket, its lifeline, its process, its record, and the first `hello`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import processes
from orchestrator.client.connection import (
    Connection,
    ConnectionLost,
    DeadlinePassed,
    RemoteError,
)
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.worker import Worker
from orchestrator.worker import peers
from orchestrator.worker.channel import Channel
from orchestrator.worker.frames import PROTOCOL, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKER_PACKAGE = Path(__file__).resolve().parent.parent / "worker"

HELLO_SECONDS = 60.0
"""How long an interpreter may take to start; a cold disk and a virus scanner need many."""

LOGS_KEPT = 10
"""Logs of ended workers that are kept for each model."""


@dataclass(frozen=True)
class WorkerSpec:
    """Everything that a worker is started from."""

    model: str
    python: Path
    """The interpreter of the model's environment."""
    environment: str
    """The environment's digest; the worker says it in `hello`."""
    variables: Mapping[str, str]
    """The worker's whole environment."""
    runner: Path
    source: str
    """The runner's text. It is sent, so that what runs is what was digested."""
    device: str = "cpu"
    dtype: str = "float32"
    model_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    held: tuple[int, ...] = ()
    """Descriptors that the worker is to hold open, such as the environment's lock."""

    def load_parameters(self) -> dict[str, Any]:
        """Return the parameters of the `load` request."""
        return {
            "runner": str(self.runner),
            "source": self.source,
            "model_dir": str(self.model_dir) if self.model_dir else None,
            "device": self.device,
            "dtype": self.dtype,
            "options": dict(self.options),
        }


def start(spec: WorkerSpec, runtime: RuntimeDirectory, logs: Path) -> Worker:
    """Start a worker and return it after its `hello`; its model is not loaded yet.

    Args:
        spec: What to start.
        runtime: Where its socket and record go.
        logs: The directory of workers' logs.

    Raises:
        Crashed: When it ended, or was silent for too long, before it said hello.
    """
    identity = runtime.new_id()
    log = _new_log(logs, spec.model, identity)
    address = runtime.socket(identity)
    lifeline, ours = os.pipe()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(address))
        address.chmod(0o600)
        listener.listen(16)
        arguments = {
            "listener": listener.fileno(),
            "lifeline": lifeline,
            "record": runtime.end(identity),
            "log": log,
            "environment": spec.environment,
        }
        process = processes.start_detached(
            [
                str(spec.python),
                "-I",
                "-X",
                "utf8",
                str(WORKER_PACKAGE),
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
    )
    worker = Worker(record, runtime, process, ours)
    try:
        runtime.write(record)
        worker.connection = _connect(address)
        _greet(worker.connection, spec)
    except (ConnectionLost, DeadlinePassed, RemoteError, ProtocolError, OSError) as error:
        raise worker.crashed(f"did not start ({error})") from error
    except BaseException:
        worker.stop()
        raise
    return worker


def _connect(address: Path) -> Connection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(address))
        owner = peers.peer_uid(sock)
    except BaseException:
        sock.close()
        raise
    if owner != os.getuid():
        sock.close()
        raise ConnectionLost("its socket belongs to another user")
    return Connection(Channel(sock))


def _greet(connection: Connection, spec: WorkerSpec) -> None:
    connection.send("hello", {"protocol": PROTOCOL})
    answer = connection.wait(time.monotonic() + HELLO_SECONDS, None, lambda _: None)
    result = answer.body["result"]
    if result.get("protocol") != PROTOCOL or result.get("environment") != spec.environment:
        raise ProtocolError(f"it answered hello with {result}")


def _new_log(logs: Path, model: str, identity: str) -> Path:
    """Make the log of a new worker, and remove the oldest ones of its model."""
    logs.mkdir(parents=True, exist_ok=True)
    older = sorted(logs.glob(f"{model}.*.log"), key=_modified)
    for path in older[: -LOGS_KEPT + 1]:
        path.unlink(missing_ok=True)
    log = logs / f"{model}.{identity}.log"
    os.close(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600))
    return log


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def start_time(pid: int, system: str = sys.platform) -> str:
    """Return when the process `pid` began, in the system's own form; empty when it is gone."""
    if system == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""
        # The second field is the program's name in parentheses, which may hold anything; the start
        # is field 22 (proc_pid_stat(5)).
        return stat.rpartition(")")[2].split()[19]
    completed = processes.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], variables={"LC_ALL": "C"}, check=False
    )
    return completed.stdout.strip()
