"""The supervisor: waits for the worker, ends it when the client is gone, records how it ended.

It keeps no socket and imports next to nothing, because there is one beside every worker. It stays
even when the client dies, so that nothing is left behind.
"""

from __future__ import annotations

import os
import select
import signal
import time

PATIENCE = 0.5
"""Seconds between SIGTERM and SIGKILL once the client is gone or has let go."""

LOG_INTERVAL = 1.0
"""Seconds between two looks at the size of the log."""

LOG_LIMIT = 10 * 1024 * 1024
"""Bytes beyond which the log is cut to its head and its tail."""

LOG_HEAD = 1024 * 1024
LOG_TAIL = 4 * 1024 * 1024


def main(settings: dict[str, str], worker: int) -> None:
    """Supervise the process `worker` until it has ended; never returns.

    Args:
        settings: `lifeline` (descriptor whose end of file means that the client is gone),
            `record` (path where the end is written), `log` (path of the worker's log).
        worker: The process id of our child, which leads its own process group.
    """
    # Not the terminal's signals (the session is our own) but those a user sends by hand: the
    # worker is stopped in order, and its end is recorded.
    asked = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.append(True))
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_reader, False)
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    lifeline = int(settings["lifeline"])
    watched = [wake_reader, lifeline]
    kill_at = None
    while True:
        ended, status, usage = os.wait4(worker, os.WNOHANG)
        if ended:
            break
        wait = LOG_INTERVAL if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready = select.select(watched, [], [], wait)[0]
        if wake_reader in ready:
            os.read(wake_reader, 512)
        if lifeline in ready and not os.read(lifeline, 512):
            watched.remove(lifeline)
            asked.append(True)
        if asked and kill_at is None:
            _signal_group(worker, signal.SIGTERM)
            kill_at = time.monotonic() + PATIENCE
        if kill_at is not None and time.monotonic() >= kill_at:
            _signal_group(worker, signal.SIGKILL)
            kill_at = time.monotonic() + PATIENCE
        cut_log(settings["log"])
    # Whatever the worker had started ends with it.
    _signal_group(worker, signal.SIGKILL)
    _record(settings["record"], status, usage.ru_maxrss)
    os._exit(0)


def _signal_group(worker: int, number: int) -> None:
    # The worker may not have made its group yet, or the group may be empty already.
    try:
        os.killpg(worker, number)
    except ProcessLookupError:
        try:
            os.kill(worker, number)
        except ProcessLookupError:
            return
    except PermissionError:
        # macOS says so for a group that holds nothing but a zombie.
        return


def _record(path: str, status: int, peak: int) -> None:
    # JSON by hand: the module would cost more memory than this process has.
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    text = '{{"exit": {}, "signal": {}, "peak": {}, "ended": {}}}\n'.format(
        "null" if code is None else code, "null" if killed is None else killed, peak, time.time()
    )
    temporary = path + ".new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, text.encode())
        os.close(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        # Nobody is left to tell but the log, which is our standard error.
        os.write(2, f"mm: the end of the worker could not be recorded: {error}\n".encode())


def cut_log(path: str) -> None:
    """Keep the head and the tail of the log at `path` when it has passed `LOG_LIMIT`.

    The worker appends to it all the while. What it writes between the read and the cut is lost,
    what it writes later follows the tail.
    """
    try:
        if os.stat(path).st_size <= LOG_LIMIT:
            return
        with open(path, "r+b", buffering=0) as log:
            head = log.read(LOG_HEAD)
            size = os.fstat(log.fileno()).st_size
            log.seek(size - LOG_TAIL)
            tail = log.read(LOG_TAIL)
            cut = size - len(head) - len(tail)
            log.truncate(0)
            log.seek(0)
            log.write(head + f"\n[mm: {cut} bytes cut here]\n".encode() + tail)
    except FileNotFoundError:
        # Somebody has removed the log; the worker writes on into a file without a name.
        return
