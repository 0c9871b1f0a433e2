"""The worker: one thread reads messages, the main thread loads the model and runs jobs in turn.

`hello`, `status` and `cancel` are answered by the reader, so that they work while a model runs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import selectors
import socket
import sys
import threading
import types
from queue import SimpleQueue
from typing import Any

from . import frames, jobs, leash, peers, values
from .channel import Channel, Message

FAILED, REJECTED, CANCELLED, MISMATCH = 1, 2, 3, 4
"""Codes of JSON-RPC errors: how a load or a run ended without a result."""

INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
"""The specification's own codes."""


def main(settings: dict[str, str], leash_reader: int) -> None:
    """Be the worker; returns when it was asked to shut down.

    Args:
        settings: `listener` (descriptor of the listening socket), `environment` (its digest).
        leash_reader: The pipe whose end of file means that the supervisor is dead.
    """
    os.setpgid(0, 0)
    leash.attach(leash_reader)
    faulthandler.enable()
    # The streams are the log. A line that was printed before a crash must be in it.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    listener = socket.socket(fileno=int(settings["listener"]))
    listener.set_inheritable(False)
    Server(listener, settings["environment"]).serve()


class Request:
    """A `load`, `run` or `shutdown` that waits for the main thread."""

    def __init__(self, channel: Channel, message: Message) -> None:
        self.channel = channel
        self.id = message.body["id"]
        self.method: str = message.body["method"]
        self.params: dict[str, Any] = message.body["params"]
        self.buffers = message.buffers
        self.job: jobs.Job | None = None
        self.cancelled = False

    def notify(
        self, method: str, params: dict[str, Any], buffers: list[memoryview] | None = None
    ) -> None:
        """Send a notification about this request; a client that has gone cancels it."""
        body = {"jsonrpc": "2.0", "method": method, "params": {"id": self.id, **params}}
        try:
            self.channel.send(body, buffers, self.params.get("directory", ""))
        except OSError:
            self.cancel()

    def answer(self, result: Any, buffers: list[memoryview] | None = None) -> None:
        """Send the result."""
        body = {"jsonrpc": "2.0", "id": self.id, "result": result}
        with contextlib.suppress(OSError):
            self.channel.send(body, buffers, self.params.get("directory", ""))

    def fail(self, code: int, message: str, trace: str = "") -> None:
        """Send an error."""
        send_error(self.channel, self.id, code, message, trace)

    def cancel(self) -> None:
        """Ask the job to stop, or keep it from starting."""
        self.cancelled = True
        if self.job is not None:
            self.job.cancelled = True


class Server:
    """Serves every client that connects to `listener`; one model, one job at a time."""

    def __init__(self, listener: socket.socket, environment: str) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._environment = environment
        self._channels: dict[Channel, bool] = {}  # and whether each has said hello
        self._requests: list[Request] = []  # waiting or running, in order
        self._work: SimpleQueue[Request] = SimpleQueue()
        self._runner: types.ModuleType | None = None
        self._model: Any = None
        self._done = 0
        os.register_at_fork(after_in_child=self._forget)

    def serve(self) -> None:
        """Read in a thread and work in this one, until `shutdown`."""
        threading.Thread(target=self._read, name="mm-reader", daemon=True).start()
        while True:
            request = self._work.get()
            if request.method == "shutdown":
                request.answer({})
                return
            if request.cancelled:
                request.fail(CANCELLED, "cancelled before it began")
            elif request.method == "load":
                self._load(request)
            else:
                self._run(request)
            self._requests.remove(request)

    def _forget(self) -> None:
        # A child that the model forks must hold no end of the protocol.
        for channel in self._channels:
            with contextlib.suppress(OSError):
                os.close(channel.fileno())
        os.close(self._listener.fileno())

    # The reader's part

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._receive(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the client left before it was let in
        if peers.peer_uid(sock) != os.getuid():
            sock.close()
            return
        channel = Channel(sock)
        self._channels[channel] = False
        self._selector.register(sock, selectors.EVENT_READ, channel)

    def _receive(self, channel: Channel) -> None:
        try:
            alive = channel.pump()
            while channel.waiting():
                self._take(channel, channel.pop())
        except (OSError, frames.ProtocolError) as error:
            if isinstance(error, frames.ProtocolError):
                send_error(channel, None, INVALID_REQUEST, str(error))
            alive = False
        if not alive:
            self._selector.unregister(channel.sock)
            self._channels.pop(channel, None)
            for request in list(self._requests):
                if request.channel is channel:
                    request.cancel()
            channel.close()

    def _take(self, channel: Channel, message: Message) -> None:
        body = message.body
        identity, method, params = body.get("id"), body.get("method"), body.get("params")
        if not isinstance(method, str) or not isinstance(params, dict):
            raise frames.ProtocolError("not a request")
        if method == "cancel":
            for request in list(self._requests):
                if request.channel is channel and request.id == params.get("id"):
                    request.cancel()
            return
        if isinstance(identity, bool) or not isinstance(identity, (int, str)):
            raise frames.ProtocolError("a request without an id")
        if method == "hello":
            self._hello(channel, identity, params)
        elif not self._channels[channel]:
            raise frames.ProtocolError("the first message must be hello")
        elif method == "status":
            reply(channel, identity, self._status())
        elif method in ("load", "run", "shutdown"):
            request = Request(channel, message)
            self._requests.append(request)
            self._work.put(request)
        else:
            send_error(channel, identity, METHOD_NOT_FOUND, f"there is no method {method!r}")

    def _hello(self, channel: Channel, identity: Any, params: dict[str, Any]) -> None:
        if params.get("protocol") != frames.PROTOCOL:
            send_error(
                channel,
                identity,
                INVALID_PARAMS,
                f"this worker speaks protocol {frames.PROTOCOL}, not {params.get('protocol')}",
            )
            return
        self._channels[channel] = True
        answer = {
            "protocol": frames.PROTOCOL,
            "python": ".".join(map(str, sys.version_info[:3])),
            "pid": os.getpid(),
            "environment": self._environment,
        }
        reply(channel, identity, answer)

    def _status(self) -> dict[str, Any]:
        return {
            "state": "busy" if self._requests else "idle" if self._runner else "new",
            "waiting": max(0, len(self._requests) - 1),
            "jobs": self._done,
        }

    # The main thread's part

    def _load(self, request: Request) -> None:
        params = request.params
        try:
            runner = import_runner(params["runner"], params["source"])
            context = jobs.Context(params, request.notify)
            self._model = runner.load(context)
            self._runner = runner
        except BaseException as error:  # noqa: BLE001 - whatever a runner raises is its answer
            self._report(request, error)
            return
        request.answer({})

    def _run(self, request: Request) -> None:
        params = request.params
        if self._runner is None:
            request.fail(INVALID_REQUEST, "no model has been loaded")
            return
        job = jobs.Job(params["directory"], params["outputs"], request.notify)
        request.job = job
        job.cancelled = request.cancelled
        try:
            inputs = values.decode_inputs(params["inputs"], request.buffers)
            returned = self._runner.run(self._model, job, **inputs)
            if job.cancelled:
                request.fail(CANCELLED, "cancelled")
                return
            result, buffers = values.encode_outputs(returned, params["outputs"], params["primary"])
        except BaseException as error:  # noqa: BLE001 - whatever a runner raises is its answer
            self._report(request, error)
            return
        finally:
            self._done += 1
        request.answer({"outputs": result}, buffers)

    def _report(self, request: Request, error: BaseException) -> None:
        if request.cancelled:
            request.fail(CANCELLED, "cancelled")
        elif isinstance(error, jobs.Rejection):
            request.fail(REJECTED, str(error))
        elif isinstance(error, values.OutputMismatch):
            request.fail(MISMATCH, str(error))
        else:
            import traceback

            # Our own frame is of no interest to the runner's author.
            tb = error.__traceback__ and error.__traceback__.tb_next
            trace = "".join(traceback.format_exception(type(error), error, tb))
            # The runner's author reads it in the log as well.
            print(trace, file=sys.stderr, flush=True)  # noqa: T201 - the log is our output
            request.fail(FAILED, last_line(error), trace)


def import_runner(path: str, source: str) -> types.ModuleType:
    """Execute `source`, the text of the runner at `path`, as a module, and return it.

    The text comes from the client and is not read again, so that what runs is what the client took
    the digest of; nothing is written beside it.

    Raises:
        TypeError: When it does not define `load` and `run`.
    """
    module = types.ModuleType("mm_runner")
    module.__file__ = path
    sys.modules["mm_runner"] = module
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - running it is our purpose
    for name in ("load", "run"):
        if not callable(getattr(module, name, None)):
            raise TypeError(f"{path} defines no function {name}")
    return module


def last_line(error: BaseException) -> str:
    """Return the line that ends a traceback: the type and what it says."""
    said = str(error).strip()
    lines = said.splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def reply(channel: Channel, identity: Any, result: Any) -> None:
    """Answer a request; a client that has gone is none of our business."""
    with contextlib.suppress(OSError):
        channel.send({"jsonrpc": "2.0", "id": identity, "result": result})


def send_error(channel: Channel, identity: Any, code: int, message: str, trace: str = "") -> None:
    """Answer a request with an error; `trace` is a traceback for the runner's author."""
    limit = frames.MAX_MESSAGE // 8
    error: dict[str, Any] = {"code": code, "message": message[:limit]}
    if trace:
        error["data"] = {"traceback": trace[-limit:]}
    with contextlib.suppress(OSError):
        channel.send({"jsonrpc": "2.0", "id": identity, "error": error})
