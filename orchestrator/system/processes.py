"""The one module that starts processes.

Always argument lists, never a shell string; always a whole environment, never the parent's by
accident. No other module imports `subprocess`.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.errors import Cancelled, MMError
from orchestrator.redaction import redacted
from orchestrator.system.files import append, open_private

Process = subprocess.Popen[bytes] | subprocess.Popen[str]
P = TypeVar("P", bound=Process)

MAX_LINE = 1 << 20
"""Bytes after which a line without an end is handed on as it is."""


class ProcessError(MMError):
    """A tool beneath us failed; what it said is kept whole, apart, and rendered once."""

    exit_code = 3

    def __init__(self, command: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        self.command = tuple(command)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        how = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
        said = "\n".join(part.strip("\n") for part in (stdout, stderr) if part.strip())
        super().__init__(f"{self.command[0]} ended with {how}", detail=said)


class Children:
    """The processes of one piece of work, so that another thread can end them all.

    After `stop` nothing more starts: `run_logged` raises Cancelled at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Process] = set()
        self._ends: list[Callable[[], None]] = []
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def add(self, start: Callable[[], P]) -> P:
        """Start a process and count it among these.

        Raises:
            Cancelled: When `stop` was called before.
        """
        with self._lock:
            if self._stopped:
                raise Cancelled("stopped before its next step")
            process = start()
            self._running.add(process)
            return process

    def remove(self, process: Process) -> None:
        """Forget a process that has ended."""
        with self._lock:
            self._running.discard(process)

    @contextlib.contextmanager
    def ended_by(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `stop` call `end` as well during the body, which waits for no process of these.

        Raises:
            Cancelled: When `stop` was called before.
        """
        with self._lock:
            if self._stopped:
                raise Cancelled("stopped before its next step")
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    def stop(self) -> None:
        """End every process of these and start no more."""
        with self._lock:
            self._stopped = True
            running = tuple(self._running)
            for end in self._ends:
                end()
        for process in running:
            stop(process)


class Completed(msgspec.Struct, frozen=True):
    """What a process that succeeded had written."""

    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    variables: Mapping[str, str],
    cwd: Path | None = None,
    check: bool = True,
    timeout: float | None = None,
    children: Children | None = None,
) -> Completed:
    """Run `command` to its end with exactly the environment `variables`.

    Its standard input is empty. An interrupt (KeyboardInterrupt) ends the child before it goes on
    to the caller. After `timeout` seconds, when given, it is ended and counts as failed. With
    `children` it is counted among these.

    Raises:
        Cancelled: When `children` were stopped before it started.
        ProcessError: When it ended with anything but 0 and `check` is true.
        FileNotFoundError: When there is no such program.
    """
    family = children or Children()

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(command),
            env=dict(variables),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )

    with family.add(start) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            stop(process)
            late = f"no answer within {timeout:g} seconds"
            raise ProcessError(command, process.returncode or 1, "", late) from error
        except BaseException:
            stop(process)
            raise
        finally:
            family.remove(process)
    if check and process.returncode != 0:
        raise ProcessError(command, process.returncode, stdout, stderr)
    return Completed(stdout, stderr)


def run_logged(
    command: Sequence[str],
    *,
    variables: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    keep: Sequence[int] = (),
    children: Children | None = None,
) -> None:
    """Run `command`, appending both its streams to the file `log` and handing on each line.

    What it says loses its credentials on the way.

    Args:
        command: The program and its arguments.
        variables: Its whole environment.
        log: The file that its words are appended to.
        on_line: Called with each line, without its end.
        cwd: Where it runs.
        keep: Descriptors that it inherits: a lock that must outlive us when we are killed.
        children: Where it is counted while it runs, so that another thread can end it.

    Raises:
        Cancelled: When `children` were stopped before it started.
        ProcessError: When it ended with anything but 0; `stderr` holds all it said, at most the
            last 2,000 lines.
        FileNotFoundError: When there is no such program.
    """
    said: deque[str] = deque(maxlen=2000)
    family = children or Children()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            env=dict(variables),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(keep),
        )

    # Unbuffered, so that a reader of the log sees what the tool has said so far.
    with open_private(log) as sink, family.add(start) as process:
        assert process.stdout is not None
        try:
            while raw := process.stdout.readline(MAX_LINE):
                text = redacted(raw.decode("utf-8", "replace"))
                append(sink, text.encode())
                line = text.rstrip("\r\n")
                said.append(line)
                on_line(line)
            process.wait()
        except BaseException:
            stop(process)
            raise
        finally:
            family.remove(process)
    if family.stopped and process.returncode != 0:
        raise Cancelled(f"{command[0]} was stopped")
    if process.returncode != 0:
        raise ProcessError(command, process.returncode, "", "\n".join(said))


class LineProcess:
    """A child that answers a line on its standard input with one on its standard output.

    Args:
        command: The program and its arguments.
        variables: Its whole environment.
    """

    def __init__(self, command: Sequence[str], *, variables: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        try:
            self._process = subprocess.Popen(
                list(command),
                env=dict(variables),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except BaseException:
            self._errors.close()
            raise

    def ask(self, line: bytes, seconds: float, most: int, stop: int | None = None) -> bytes:
        """Send a line, with its end, and return the one that comes back.

        Args:
            line: What to send.
            seconds: How long the answer may take.
            most: Bytes that it may have.
            stop: A descriptor that can be read when no answer is wanted any more.

        Raises:
            TimeoutError: When it takes longer.
            InterruptedError: When `stop` can be read.
            EOFError: When it is longer, or the child ends.
        """
        process, answer = self._process, b""
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + seconds
        poller = select.poll()
        poller.register(process.stdout, select.POLLIN)
        if stop is not None:
            poller.register(stop, select.POLLIN)
        with contextlib.suppress(BrokenPipeError):  # it has ended, which its output shows too
            process.stdin.write(line)
        while not answer.endswith(b"\n"):
            ready = poller.poll(1000 * max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            if stop in dict(ready):
                raise InterruptedError
            part = process.stdout.read(most)
            answer += part
            if not part or len(answer) > most:
                wait(process, 2)  # its output closes a moment before it has ended
                raise EOFError
        return answer

    def end(self) -> tuple[int, str]:
        """End it; return its exit status, below 0 for a signal, and its standard error's end."""
        with self._process as process, self._errors as errors:
            stop(process)
            errors.seek(max(0, errors.seek(0, 2) - MAX_LINE))
            return process.returncode, errors.read().decode("utf-8", "replace")


def replace(
    command: Sequence[str], *, variables: Mapping[str, str], cwd: Path | None = None
) -> int:
    """Run `command` on the caller's own standard streams and return its exit code.

    A death by signal N is returned as 128 + N, as shells do.
    """
    with subprocess.Popen(list(command), env=dict(variables), cwd=cwd) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                # The terminal has sent the interrupt to the child as well, which decides.
                continue
    return 128 - code if code < 0 else code


def start_detached(
    command: Sequence[str], *, variables: Mapping[str, str], keep: Sequence[int], log: Path
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, keeping the descriptors `keep` open.

    Standard input is empty and both output streams are appended to `log`.
    """
    with open_private(log) as sink:
        return subprocess.Popen(
            list(command),
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=tuple(keep),
            start_new_session=True,
        )


def wait(process: Process, seconds: float) -> bool:
    """Wait for a child to end by itself; return whether it has."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def disown(process: Process) -> None:
    """Leave a child alone for good: it goes on when we end, and nothing here waits for it."""
    process.returncode = 0  # else its end is missed when the object goes


def stop(process: Process, patience: float = 5) -> None:
    """End a child that we started: SIGTERM, `patience` seconds, SIGKILL; and reap it."""
    if process.poll() is not None:
        return
    process.terminate()
    if not wait(process, patience):
        process.kill()
        process.wait()
