"""How a worker ended: its signal or exit status, the tail of its log, a lack of memory."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.client.supervisors import is_alive
from orchestrator.core.refusals import refusal
from orchestrator.system import machine
from orchestrator.system.files import open_file
from orchestrator.system.home import read_json

if TYPE_CHECKING:
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.errors import MMError

LOG_LINES = 20
LOG_COLUMNS = 500
"""Lines of the log's end that go with a crash, and characters of each."""

DUMP_LINES = 80
"""Lines of a dump of the interpreter's stacks, when there is one."""

_ERRNO = re.compile(r"\w+: \[Errno (\d+)\] [^:]*(?:: '(.*)')?")

DUMP = "Fatal Python error: "
"""How faulthandler begins its dump."""

DEADLINE = "deadline"
"""Why a supervisor ended its worker; the same as in `orchestrator.worker.supervise`."""


class Ending(msgspec.Struct, frozen=True):
    """How a worker ended.

    Attributes:
        how: A clause that follows "the worker of X".
        why: Why its supervisor ended it; empty where it ended by itself.
    """

    how: str
    why: str = ""


def last_request(runtime: RuntimeDirectory, record: WorkerRecord) -> int:
    """Return the id of the request that a worker was at when it ended; 0 where none is known."""
    found = read_json(runtime.end(record.id))
    request = found.get("request") if isinstance(found, dict) else None
    return request if isinstance(request, int) else 0


def read_ending(runtime: RuntimeDirectory, record: WorkerRecord, pid: int) -> Ending:
    """Return what the supervisor has written about the end of its worker, if it has.

    Args:
        runtime: Where the worker's files are.
        record: The worker's record.
        pid: The worker's process id.
    """
    found = read_json(runtime.end(record.id))
    known: dict[str, Any] = found if isinstance(found, dict) else {}
    number, code = known.get("signal"), known.get("exit")
    why = str(known.get("why", ""))
    if isinstance(number, int):
        name = signal_name(number)
        if number == signal.SIGKILL and not why and short_of_memory(record, pid):
            return Ending(f"was killed by {name} (likely out of memory)")
        return Ending(f"was killed by {name}", why)
    if isinstance(code, int):
        return Ending(f"ended with exit status {code} before it answered", why)
    if known or runtime.end(record.id).exists() or is_alive(record.supervisor, record.started):
        return Ending("ended before it answered", why)
    # A supervisor writes nothing about exit status 0, and takes the record away before it ends.
    if runtime.record(record.id).exists():
        return Ending("ended with its supervisor, which was killed")
    return Ending("ended with exit status 0 before it answered")


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGSEGV."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def short_of_memory(record: WorkerRecord, pid: int) -> bool:
    """Return whether the control group or the kernel says that something was killed for memory."""
    path, before = record.oom
    now = machine.count_kills(path)
    return (now is not None and now > before) or machine.was_killed_for_memory(pid)


def refusal_in(log: str, model: str) -> MMError | None:
    """Return what the machine refused a worker that could not start, as its log ends; or None."""
    last = log.rstrip().rpartition("\n")[2]
    found = _ERRNO.match(last)
    said = RuntimeError(last.removeprefix("RuntimeError: "))
    known = refusal(OSError(int(found[1]), last, found[2]) if found else said)
    if known is None or last.startswith("FileNotFoundError"):  # which is a fault
        return None
    what = f"the worker of {model} could not start: {known.what}"
    return type(known)(what, where=known.where, fix=known.fix)


def log_tail(log: str) -> str:
    """Return the last lines of a worker's log, with the whole dump of a crash in C."""
    try:
        with open_file(Path(log)) as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 64 * 1024))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = text.splitlines()
    shown = lines[-LOG_LINES:]
    for index in range(len(lines) - 1, max(-1, len(lines) - 1000), -1):
        if lines[index].startswith(DUMP):
            shown = lines[max(0, index - LOG_LINES) : index + DUMP_LINES]
            break
    return "\n".join(line[:LOG_COLUMNS] for line in shown)
