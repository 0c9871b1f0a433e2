"""The objects that a runner gets: the context of `load` and the job of `run`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

from . import encoding

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any, NoReturn

PROGRESS_INTERVAL = 0.05
"""Seconds between two progress messages; a runner may report far more often."""

TEXT_LIMIT = 64 * 1024
"""Characters of one line that a job logs; what it prints has no limit."""

WARNINGS, WARNING_LIMIT = 20, 1024
"""How many warnings of a job are kept, and how many characters of each."""

Send = Callable[..., None]


class Rejection(BaseException):
    """Raised by `job.reject`; not an `Exception`, so that a runner's own handlers let it pass."""


class LoadContext:
    """The argument of a runner's `load`.

    Attributes:
        model_dir: Path of the model's files, or None where a package carries the weights.
        device: "cpu", "cuda", "mps" or "mlx".
        dtype: "float32", "bfloat16", "float16", "8bit" or "4bit".
        options: The manifest's `options`.
        threads: How many threads the model should use now; a job may change it.
    """

    def __init__(self, settings: dict[str, Any], send: Send) -> None:
        self.model_dir: str | None = settings.get("model_dir")
        self.device: str = settings["device"]
        self.dtype: str = settings["dtype"]
        self.options: dict[str, Any] = settings["options"]
        self.threads: int | None = settings.get("threads")
        self._send = send

    def log(self, text: object) -> None:
        """Send one line to the client that waits for the load."""
        _log(text, self._send)


class RunningJob:
    """The second argument of a runner's `run`.

    Attributes:
        cancelled: Whether the job was asked to stop; a runner checks it now and then.
        threads: How many threads the job may use.
        warnings: Why its result may not be what was asked for, a line each, in order.
    """

    def __init__(
        self, directory: str, types: dict[str, str], threads: int | None, send: Send
    ) -> None:
        self.cancelled = False
        self.threads = threads
        self.warnings: list[str] = []
        self.made_directory = False
        self._directory = directory
        self._types = types
        self._send = send
        self._reported = 0.0

    @property
    def directory(self) -> str:
        """Path of the job's own directory, the only place where a runner writes."""
        # Made when it is asked for: most jobs of most models never do.
        if not self.made_directory:
            self.made_directory = True
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
        return self._directory

    def progress(self, done: float, total: float = 0, text: str = "") -> None:
        """Report that `done` of `total` units are done; `total` is 0 if it is not known."""
        now = time.monotonic()
        if now - self._reported < PROGRESS_INTERVAL and done != total:
            return
        self._reported = now
        self._send(
            "progress", {"done": finite(done), "total": finite(total), "text": truncate(text)}
        )

    def log(self, text: object) -> None:
        """Send one line to the client that waits for the job."""
        _log(text, self._send)

    def warn(self, text: object) -> None:
        """Report in one line why the result may not be what was asked for.

        The line comes with the result: it is shown to the user and stands in the receipt.
        """
        if len(self.warnings) < WARNINGS:
            self.warnings.append(" ".join(str(text).split())[:WARNING_LIMIT])

    def emit(self, output: str, chunk: Any) -> None:
        """Stream `chunk`, a part of the output named `output`, before `run` returns.

        Raises:
            OutputMismatch: When there is no such output, or the chunk is not of its type.
        """
        if output not in self._types:
            raise encoding.OutputMismatch(f"emit: the manifest declares no output {output!r}")
        buffers: list[memoryview] = []
        value = encoding.encode(output, self._types[output], chunk, buffers)
        self._send("chunk", {"output": output, "value": value}, buffers)

    def reject(self, message: str) -> NoReturn:
        """End the job: the input is at fault, as `message` says in one sentence."""
        raise Rejection(truncate(message))


def finite(number: float) -> float:
    """Return a number as JSON has it: 0, which is not known, for what is none."""
    try:
        value = float(number)
    except OverflowError:
        return 0.0
    return value if -float("inf") < value < float("inf") else 0.0


def truncate(text: object) -> str:
    """Return text of a runner, cut to what fits into a message: no job fails for it."""
    whole = str(text)
    return whole if len(whole) <= TEXT_LIMIT else f"{whole[:TEXT_LIMIT]}…"


def write_log(text: str) -> None:
    """Write to the log, unless the runner has closed or replaced it, or the disk is full."""
    with contextlib.suppress(BaseException):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the log is our output


def _log(text: object, send: Send) -> None:
    """Send a line to the client, and write it to the log, where `mm logs` finds it later."""
    line = truncate(text)
    write_log(line)
    send("log", {"text": line})


def free_cached_memory(device: str) -> None:
    """Give a GPU back what torch keeps of its memory for jobs to come."""
    empty = getattr(getattr(sys.modules.get("torch"), device, None), "empty_cache", None)
    if callable(empty):
        empty()


def use_threads(count: int | None) -> None:
    """Let libraries use `count` threads: those that are loaded already, and those to come.

    Every OpenMP and BLAS library reads OMP_NUM_THREADS when it is loaded; torch also has a call.
    """
    if count is None:
        return
    os.environ["OMP_NUM_THREADS"] = str(count)  # noqa: TID251 - the worker's own, not the user's
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(count)
