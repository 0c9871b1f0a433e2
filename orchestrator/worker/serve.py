"""The worker: the main thread loads the model and runs jobs in turn, and reads while it is idle.

While it is not, a second thread reads, so that `hello`, `status` and `cancel` are answered while a
model runs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import socket
import sys
import threading
import time
import types

from . import buffers, encoding, frames, peers, runner, runner_api, state, wakeup
from .channel import Channel
from .frames import Message
from .poller import Poller
from .request_queue import BEFORE, QueuedRequest, RequestQueue, reply, send_error
from .send_queue import DONT_WAIT, MAX_UNREAD
from .state import WorkerState

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any, NoReturn

MAX_CLIENTS = 256

MODULES = ".modules"
"""The suffix of this worker's own cache of modules; its supervisor removes the directory."""

GRACE = 5.0
"""Seconds in which a worker that has nothing left to do ends; its supervisor ends it then."""

SLACK = 30.0
"""Seconds after a deadline in which the client's own ladder comes first."""


def main(settings: dict[str, str]) -> None:
    """Serve clients; return at `shutdown`, or when the idle time has passed.

    Args:
        settings: `listener` (descriptor of the listening socket), `environment` (its digest),
            `place` (path of its files in the runtime directory, without their suffixes).
    """
    # Not the caller's directory, which could not be removed then.
    variables = os.environ  # noqa: TID251 - the worker's own
    os.chdir(variables.get("HOME") or "/")
    # transformers copies a model's code there and imports it, without a lock.
    variables.setdefault("HF_MODULES_CACHE", settings["place"] + MODULES)
    faulthandler.enable()
    # The streams are the log. A line that was printed before a crash must be in it.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    listener = socket.socket(fileno=int(settings["listener"]))
    listener.set_inheritable(False)
    shared = state.attach(settings["place"] + ".state")
    Server(listener, settings["environment"], shared, Poller()).serve()


UNUSED = 1.0
"""Seconds without a job after which a GPU gets back what is kept of its memory for jobs."""

NUMBER = (int, float)
OR_NULL = type(None)

PARAMETERS: dict[str, tuple[tuple[str, tuple[type, ...], bool], ...]] = {
    "load": (
        ("runner", (dict,), True),
        ("device", (str,), True),
        ("dtype", (str,), True),
        ("options", (dict,), True),
        ("inputs", (dict,), True),
        ("outputs", (dict,), True),
        ("primary", (str,), True),
        ("first", (dict,), False),
        ("probe", (list,), False),
        ("model_dir", (str, OR_NULL), False),
        ("seconds", NUMBER, False),
        ("threads", (int, OR_NULL), False),
        ("keep_alive", (*NUMBER, OR_NULL), False),
    ),
    "run": (
        ("inputs", (dict,), True),
        ("directory", (str,), True),
        ("seconds", NUMBER, False),
        ("threads", (int, OR_NULL), False),
        ("keep_alive", (*NUMBER, OR_NULL), False),
    ),
    "keep": (("keep_alive", (*NUMBER, OR_NULL), True),),
    "shutdown": (),
}
"""The parameters of requests: their types, and whether they must come."""


def wrong_parameter(method: str, params: dict[str, Any]) -> str:
    """Return the name of a parameter that is missing or of the wrong type, or nothing."""
    for name, kinds, required in PARAMETERS[method]:
        if name in params:
            # The class itself: JSON brings no others, and a truth value is no number here.
            if params[name].__class__ not in kinds:
                return name
        elif required:
            return name
    return ""


def _check_request(channel: Channel, identity: Any) -> None:
    """Check that a client may make a request.

    Raises:
        ProtocolError: When it may not.
    """
    if isinstance(identity, bool) or not isinstance(identity, (int, str)):
        raise frames.ProtocolError("a request without an id")
    if channel.unread > MAX_UNREAD:
        raise frames.ProtocolError(f"{channel.unread} bytes are left unread")


class Client:
    """One connection."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.greeted = False


class Server:
    """Serves every client that connects to `listener`; one model, one job at a time.

    Args:
        listener: A listening Unix socket.
        environment: The digest in the answer to `hello`.
        shared: Where the state is kept for others to see: eight doubles, as `state` says.
        poller: What the two threads wait with.
    """

    def __init__(
        self, listener: socket.socket, environment: str, shared: Any, poller: Poller
    ) -> None:
        self._listener = listener
        listener.settimeout(0)
        self._listening = listener.fileno()
        self._poller = poller
        poller.add(self._listening)
        self._environment = environment
        self._clients: dict[int, Client] = {}  # by descriptor
        self._reading = threading.Lock()
        self._queue = RequestQueue(shared)
        self._state = shared
        self._wakeup = wakeup.Wakeup()
        self._runner: types.ModuleType | None = None
        self._check: Any = None
        self._model: Any = None
        self._inputs: dict[str, str] = {}
        self._outputs: dict[str, str] = {}
        self._primary = ""
        self._threads: int | None = None
        self._forked = False
        self._device = ""
        self._cached = ""
        """The GPU of which memory may be kept that no job uses; empty for none."""
        shared[state.PID] = os.getpid()
        shared[state.KEEP] = -1  # for as long as the client that started us
        os.register_at_fork(after_in_child=self._close_in_child)

    def serve(self) -> None:
        """Read in a thread and work in this one, until `shutdown` or the end of the idle time."""
        threading.Thread(target=self._read, name="mm-reader", daemon=True).start()
        soon = False
        while True:
            request = self._queue.begin()
            if request is None:
                left = None if self._clients else self._idle_seconds_left()
                if left is not None and left <= 0:
                    break
                if self._cached and (left is None or left > UNUSED):
                    left = UNUSED
                ready = self._poller.wait_in_main(left, soon=soon)
                if ready:
                    self._read_ready(ready)
                elif self._cached:
                    self._free_cached_memory()
                soon = False
                continue
            if request.method == "shutdown":
                self._set_state(state.ENDING, GRACE, 0)
                request.answer({})
                return
            if request.cancelled:
                request.fail(frames.CANCELLED, BEFORE)
            elif request.method == "load":
                self._load(request)
            else:
                self._run(request)
            soon = True  # one job is often followed by another
        # No client is connected; one that connects now is refused and starts another worker.
        self._set_state(state.ENDING, GRACE, 0)
        self._listener.close()

    def _free_cached_memory(self) -> None:
        device, self._cached = self._cached, ""
        try:
            runner_api.free_cached_memory(device)
        except Exception as error:  # noqa: BLE001 - the next job meets what is wrong, and says so
            runner_api.write_log(runner.traceback_of(error))

    def _idle_seconds_left(self) -> float | None:
        keep = self._state[state.KEEP]
        if keep < 0 or keep == state.FOREVER or self._queue.busy:
            return None
        return float(self._state[state.SINCE] + keep - time.monotonic())

    def _set_state(self, new: WorkerState, seconds: float, request: int) -> None:
        """Show a new state, which the supervisor ends after `seconds`."""
        shared, now = self._state, time.monotonic()
        shared[state.SINCE] = now
        shared[state.REQUEST] = request
        shared[state.DEADLINE] = now + seconds
        shared[state.STATE] = new
        if now >= self._wakeup.due:
            self._wakeup.send(now)

    def _close_in_child(self) -> None:
        self._forked = True
        # A child that the model forks must hold no end of the protocol.
        for descriptor in self._clients:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        with contextlib.suppress(OSError):
            os.close(self._listening)

    # What either thread does with a message

    def _read(self) -> None:
        while True:
            self._read_ready(self._poller.wait_in_reader())
            self._poller.wake()

    def _read_ready(self, ready: list[tuple[int, int]]) -> None:
        for descriptor, _ in ready:
            with self._reading:
                client = self._clients.get(descriptor)
                if client is not None:
                    self._receive(client)
                elif descriptor == self._listening:
                    self._accept()
                # Else the other thread has closed it, or has woken this one.

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the client left before it was let in
        if peers.peer_uid(sock) != os.getuid() or len(self._clients) >= MAX_CLIENTS:
            sock.close()
            return
        sock.settimeout(None)
        self._clients[sock.fileno()] = Client(Channel(sock))
        self._poller.add(sock.fileno())

    def _receive(self, client: Client) -> None:
        channel, alive = client.channel, False
        try:
            # All of it: no event may come for the rest while a job runs.
            while not alive and (messages := channel.read(DONT_WAIT)) is not None:
                for message in messages:
                    self._dispatch(client, message)
                alive = not channel.more
        except BlockingIOError:
            alive = True
        except OSError:
            alive = False
        except frames.ProtocolError as error:
            send_error(channel, None, frames.INVALID_REQUEST, str(error))
        if not alive:
            self._disconnect(channel)

    def _disconnect(self, channel: Channel) -> None:
        """Forget a client that has gone, or that broke the protocol."""
        self._poller.remove(channel.fileno())
        self._queue.cancel(channel)
        if not self._queue.busy:
            self._state[state.SINCE] = time.monotonic()
        del self._clients[channel.fileno()]
        channel.close()

    def _dispatch(self, client: Client, message: Message) -> None:
        body, channel = message.body, client.channel
        identity, method, params = body.get("id"), body.get("method"), body.get("params")
        if not isinstance(method, str) or not isinstance(params, dict):
            raise frames.ProtocolError("not a request")
        if method == "cancel":
            if "id" in params:
                self._queue.cancel(channel, params["id"])
            return
        _check_request(channel, identity)
        if method == "hello":
            self._hello(client, identity, params)
        elif not client.greeted:
            raise frames.ProtocolError("the first message must be hello")
        elif method == "status":
            reply(channel, identity, self._status())
        elif method not in PARAMETERS:
            send_error(
                channel, identity, frames.METHOD_NOT_FOUND, f"there is no method {method[:80]!r}"
            )
        elif wrong := wrong_parameter(method, params):
            send_error(channel, identity, frames.INVALID_PARAMS, f"{method} needs {wrong}")
        elif method == "keep":
            self._set_keep_alive(params)
            reply(channel, identity, {})
        else:
            self._queue.add(QueuedRequest(channel, message, self._queue))

    def _hello(self, client: Client, identity: Any, params: dict[str, Any]) -> None:
        if params.get("protocol") != frames.PROTOCOL:
            send_error(
                client.channel,
                identity,
                frames.INVALID_PARAMS,
                f"this worker speaks protocol {frames.PROTOCOL}",
            )
            return
        client.greeted = True
        memory_files = params.get("memory_files") is True and buffers.can_use_memory_files()
        if memory_files:
            client.channel.use_memory_files()
        answer = {
            "protocol": frames.PROTOCOL,
            "python": ".".join(map(str, sys.version_info[:3])),
            "pid": os.getpid(),
            "environment": self._environment,
            "memory_files": memory_files,
        }
        reply(client.channel, identity, answer)

    def _status(self) -> dict[str, Any]:
        return {
            "state": WorkerState(int(self._state[state.STATE])).label,
            "waiting": self._queue.waiting,
            "jobs": int(self._state[state.JOBS]),
        }

    # The main thread's part

    def _load(self, request: QueuedRequest) -> None:
        if self._runner is not None:
            request.fail(frames.INVALID_REQUEST, "a model has been loaded already")
            return
        request.started()
        params = request.params
        try:
            seconds = float(params.get("seconds", state.FOREVER))
            self._set_state(state.LOADING, seconds + SLACK, request.number)
            self._apply_settings(params)
            loaded = runner.import_runner(params["runner"])
            self._check = getattr(loaded, "check", None)
            if self._check is not None and "first" in params:
                # A job with bad inputs is rejected before a model is loaded for it.
                job = runner_api.RunningJob("", {}, self._threads, request.report)
                self._check(job, **encoding.decode_inputs(params["first"], params["inputs"], []))
            self._model = loaded.load(runner_api.LoadContext(params, request.report))
            if self._forked:
                self._leave_fork()
            self._inputs, self._outputs = params["inputs"], params["outputs"]
            self._primary = params["primary"]
            self._device = params["device"] if params["device"] != "cpu" else ""
            answer = {"imported": runner.imported(params["probe"])} if "probe" in params else {}
            self._runner = loaded
        except BaseException as error:  # noqa: BLE001 - whatever a runner raises is its answer
            if self._forked:
                self._leave_fork(error)
            self._set_state(state.NEW, state.FOREVER, 0)
            self._report(request, error)
            return
        self._set_state(state.IDLE, state.FOREVER, 0)
        request.answer(answer)

    def _run(self, request: QueuedRequest) -> None:
        params = request.params
        if self._runner is None:
            # It has not begun: its client goes elsewhere, however this worker ends.
            request.fail(frames.NOT_LOADED, "no model has been loaded")
            return
        request.started()
        try:
            seconds = float(params.get("seconds", state.FOREVER))
            self._set_state(state.BUSY, seconds + SLACK, request.number)
            self._apply_settings(params)
            job = runner_api.RunningJob(
                params["directory"], self._outputs, self._threads, request.report
            )
            request.job = job
            job.cancelled = request.cancelled
            inputs = encoding.decode_inputs(params["inputs"], self._inputs, request.buffers)
            request.buffers = []
            if self._check is not None:
                self._check(job, **inputs)
            returned = self._runner.run(self._model, job, **inputs)
            if self._forked:
                self._leave_fork()
            if job.cancelled:
                self._finish_job()
                request.fail(frames.CANCELLED, "cancelled")
                return
            outputs, buffers = encoding.encode_outputs(returned, self._outputs, self._primary)
            for name in encoding.silent(outputs, self._outputs, buffers):
                job.warn(f"nothing can be heard in the output {name!r}: it is silent throughout")
            result = {"outputs": outputs, "directory": job.made_directory}
            if job.warnings:
                result["warnings"] = job.warnings
            self._finish_job()
            try:
                request.answer(result, buffers)
            except (ValueError, TypeError, RecursionError) as error:
                raise encoding.OutputMismatch(f"the outputs cannot be sent: {error}") from error
        except BaseException as error:  # noqa: BLE001 - whatever a runner raises is its answer
            if self._forked:
                self._leave_fork(error)
            self._finish_job()
            self._report(request, error)

    def _leave_fork(self, error: BaseException | None = None) -> NoReturn:
        """End this process, which is a child that the runner has forked, and no second worker."""
        status = int(error is not None)
        try:
            if isinstance(error, SystemExit):
                status = error.code if isinstance(error.code, int) else int(error.code is not None)
            elif error is not None:
                runner_api.write_log(runner.traceback_of(error))
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
        finally:
            os._exit(status & 0xFF)

    def _finish_job(self) -> None:
        # Before the answer, so that a client which has it sees an idle worker.
        self._cached = self._device
        if self._state[state.STATE] == state.BUSY:
            self._state[state.JOBS] += 1
            self._set_state(state.IDLE, state.FOREVER, 0)

    def _apply_settings(self, params: dict[str, Any]) -> None:
        """Apply what a request sets: the threads, and how long to stay."""
        threads = params.get("threads")
        if threads is not None and threads != self._threads:
            self._threads = threads
            runner_api.use_threads(threads)
        if "keep_alive" in params:
            self._set_keep_alive(params)

    def _set_keep_alive(self, params: dict[str, Any]) -> None:
        keep = params["keep_alive"]
        self._state[state.KEEP] = state.FOREVER if keep is None else float(keep)

    def _report(self, request: QueuedRequest, error: BaseException) -> None:
        kind = type(error)  # not `isinstance`, which asks the error itself
        number = runner.refused(error)
        if request.cancelled:
            request.fail(frames.CANCELLED, "cancelled")
        elif kind is runner_api.Rejection:
            request.fail(frames.REJECTED, runner.text_of(error))
        elif kind is encoding.OutputMismatch and not number:
            request.fail(frames.MISMATCH, runner.text_of(error))
        else:
            trace = runner.traceback_of(error)
            runner_api.write_log(trace)
            code = frames.REFUSED if number else frames.FAILED
            request.fail(code, runner.last_line(error), trace, number)
