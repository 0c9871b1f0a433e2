"""The one module that starts processes.

Always argument lists, never a shell string; always a whole environment, never the parent's by
accident. Nobody else imports `subprocess`.
"""

from __future__ import annotations

import subprocess
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import MMError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

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


@dataclass(frozen=True)
class Completed:
    """What a process that succeeded had written."""

    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    variables: Mapping[str, str],
    cwd: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run `command` to its end with exactly the environment `variables`.

    Its standard input is empty. An interrupt (KeyboardInterrupt) ends the child before it goes on
    to the caller.

    Raises:
        ProcessError: When it ended with anything but 0 and `check` is true.
        FileNotFoundError: When there is no such program.
    """
    with subprocess.Popen(
        list(command),
        env=dict(variables),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            stop(process)
            raise
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
) -> None:
    """Run `command`, appending both its streams to the file `log` and handing on each line.

    Raises:
        ProcessError: When it ended with anything but 0; `stderr` holds all it said, at most the
            last 2,000 lines.
        FileNotFoundError: When there is no such program.
    """
    said: deque[str] = deque(maxlen=2000)
    with (
        log.open("ab") as sink,
        subprocess.Popen(
            list(command),
            env=dict(variables),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            while raw := process.stdout.readline(MAX_LINE):
                sink.write(raw)
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                said.append(line)
                on_line(line)
            process.wait()
        except BaseException:
            stop(process)
            raise
    if process.returncode != 0:
        raise ProcessError(command, process.returncode, "", "\n".join(said))


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
    with log.open("ab") as sink:
        return subprocess.Popen(
            list(command),
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=tuple(keep),
            start_new_session=True,
        )


def stop(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = 5) -> None:
    """End a child that we started: SIGTERM, `patience` seconds, SIGKILL; and reap it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
