"""The supervisor: waits for the worker, ends it when it must end, records how it ended.

It keeps no socket. It stays even when the client dies, so that nothing is left behind.

There is one beside every worker, so it imports nothing but what is part of an interpreter: `posix`
is `os` without a dozen other modules, `_signal` is `signal` without `enum` (a third of a megabyte),
and its annotations need no `__future__`.
"""

import _signal as signal  # type: ignore[import-not-found]
import posix
import select
import time

PATIENCE = 0.5
"""Seconds between SIGTERM and SIGKILL."""

TICK, IDLE_TICK = 0.05, 2.0
"""Seconds between two looks at the worker's state and log, while it works and while it does not."""

AWAKE = 1.0
"""Seconds for which it counts as working after a wakeup; the next one comes within half of that."""

LOG_LIMIT = 10 * 1024 * 1024
"""Bytes beyond which the log is cut to its head and its tail."""

LOG_HEAD = 1024 * 1024
LOG_TAIL = 4 * 1024 * 1024

LOG_STEP = 4 * 1024 * 1024
"""Bytes by which the log may grow between two looks, as fast as it grew between the last two."""

KEEP = b"k"
"""What a client writes into the lifeline when the worker is to outlive it."""

DEADLINE, REQUEST, STATE = 5, 6, 7
QUIET_STATES = (0, 2)
"""The same as in `state`, which would bring in `mmap`."""


class Supervisor:
    """Supervises the process `worker`, a child of ours that leads its own process group.

    Args:
        settings: `lifeline` (descriptor whose end of file means that the client is gone), `place`
            (path of the worker's files in the runtime directory, without their suffixes), `log`
            (path of its log).
        worker: Its process id.
    """

    def __init__(self, settings: dict[str, str], worker: int) -> None:
        self._worker = worker
        self._lifeline = int(settings["lifeline"])
        self._place = settings["place"]
        self._log = Log(settings["log"])
        self._state = posix.open(self._place + ".state", posix.O_RDONLY)
        self._why = ""
        self._kill_at = 0.0
        self._awake_until = 0.0
        self._wake, wake_writer = posix.pipe()
        posix.set_blocking(self._wake, False)
        posix.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        # Not the terminal's signals (the session is our own) but those a user or `mm stop` sends:
        # the worker is stopped in order, and its end is recorded.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_signal(self, *_: object) -> None:
        self.stop("stopped")

    def stop(self, why: str) -> None:
        """Begin the ladder; `why` is recorded: "stopped", "client" or "deadline"."""
        if not self._why:
            self._why = why
            signal_worker(self._worker, signal.SIGTERM)
            self._kill_at = time.monotonic() + PATIENCE

    def run(self) -> None:
        """Watch until the worker has ended, and record how."""
        # Not `select.select`, which knows no descriptor above 1023; the lifeline's number is that
        # which it had in the client.
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        poller.register(self._lifeline, select.POLLIN)
        wait = 0.0
        while True:
            ended, status = posix.waitpid(self._worker, posix.WNOHANG)
            if ended:
                break
            ready = [descriptor for descriptor, _ in poller.poll(wait * 1000)]
            if self._wake in ready:
                posix.read(self._wake, 512)
                self._awake_until = time.monotonic() + AWAKE
            if self._lifeline in ready:
                data = posix.read(self._lifeline, 512)
                if KEEP in data or not data:
                    poller.unregister(self._lifeline)
                if not data:
                    self.stop("client")
            if self._why:
                wait = max(0.0, self._kill_at - time.monotonic())
                if wait == 0.0:
                    signal_worker(self._worker, signal.SIGKILL)
                    self._kill_at = time.monotonic() + PATIENCE
            else:
                wait = self._look()
            wait = self._log.watch(wait)
        # Whatever the worker had started ends with it. Its own id may be another process's by now;
        # that of its group is not, while the group has members.
        signal_group(self._worker, signal.SIGKILL)
        self._log.watch(0.0)
        self._record(status)

    def _look(self) -> float:
        """Enforce the worker's deadline; return the seconds until the next look at its state."""
        now = time.monotonic()
        state = self._read_state()
        if state is None:
            return IDLE_TICK
        if now >= state[DEADLINE]:
            self.stop("deadline")
        working = now < self._awake_until or state[STATE] not in QUIET_STATES
        return TICK if working else IDLE_TICK

    def _read_state(self) -> "memoryview[float] | None":
        data = posix.pread(self._state, 64, 0)
        return memoryview(data).cast("d") if len(data) == 64 else None

    def _record(self, status: int) -> None:
        code = posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else None
        try:
            if code != 0 or self._why:
                # JSON by hand: the module would cost more memory than this process has.
                state = self._read_state()
                text = '{{"exit": {}, "signal": {}, "why": "{}", "request": {}}}\n'.format(
                    "null" if code is None else code,
                    posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else "null",
                    self._why,
                    0 if state is None else int(state[REQUEST]),
                )
                descriptor = posix.open(
                    self._place + ".new", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, 0o600
                )
                posix.write(descriptor, text.encode())
                posix.close(descriptor)
                posix.replace(self._place + ".new", self._place + ".end")
        except OSError as error:
            # There is only the log left to report to, which is our standard error.
            log(f"mm: the end of the worker could not be recorded: {error}\n")
        for suffix in (".sock", ".json", ".state", ".modules"):
            remove(self._place + suffix)


def main(settings: dict[str, str], worker: int) -> None:
    """Supervise the process `worker` until it has ended; never returns."""
    Supervisor(settings, worker).run()
    posix._exit(0)  # noqa: SLF001 - it is public as `os._exit`


def log(text: str) -> None:
    """Write to the log, unless the disk is full."""
    try:
        posix.write(2, text.encode())
    except OSError:
        return


def remove(path: str) -> None:
    """Remove a file or a directory, unless the client was quicker."""
    try:
        if posix.lstat(path).st_mode & 0o170000 == 0o040000:  # a directory (inode(7))
            for name in posix.listdir(path):
                remove(f"{path}/{name}")
            posix.rmdir(path)
        else:
            posix.unlink(path)
    except OSError:
        return


def signal_worker(worker: int, number: int) -> None:
    """Send a signal to the worker, which has not been reaped, and to all that it has started."""
    if not signal_group(worker, number):
        # It has not made its group yet.
        posix.kill(worker, number)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether there was one."""
    try:
        posix.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so for a group that holds nothing but a zombie.
        return True
    return True


class Log:
    """The worker's log, of which the head and the tail are kept when it has passed `LOG_LIMIT`.

    Args:
        path: Where it is. If it is removed, the worker writes on into a file without a name.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = 0
        self._seen = time.monotonic()

    def watch(self, wait: float) -> float:
        """Cut it if it is too long; return `wait`, or less if it would grow too much by then."""
        now = time.monotonic()
        try:
            size = posix.stat(self._path).st_size
            grown, passed = size - self._size, now - self._seen
            self._size, self._seen = cut(self._path) if size > LOG_LIMIT else size, now
        except OSError:
            # It was removed, or the disk is at fault: no reason to end a worker.
            return wait
        return min(wait, passed * LOG_STEP / grown) if grown > 0 else wait


def cut(path: str) -> int:
    """Keep the head and the tail of the file at `path`; return its new size.

    The worker appends to it all the while; what it writes between the last read and the cut is
    lost, what it writes later follows the tail.
    """
    log = posix.open(path, posix.O_RDWR)
    try:
        start = posix.fstat(log).st_size - LOG_TAIL
        note = f"\n[mm: {start - LOG_HEAD} bytes cut here]\n".encode()
        end = LOG_HEAD + posix.pwrite(log, note, LOG_HEAD)
        # In small pieces: memory that was large once is not given back. Not for ever: it may grow
        # faster than we copy.
        while end < LOG_LIMIT and (data := posix.pread(log, 65536, start)):
            posix.pwrite(log, data, end)
            start += len(data)
            end += len(data)
        posix.ftruncate(log, end)
    finally:
        posix.close(log)
    return end
