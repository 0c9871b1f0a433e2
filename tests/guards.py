"""Guards that make a test fail when it touches what its kind of test must not touch.

They stand on Python's audit events (PEP 578), so that no module has to be patched.
"""

import contextlib
import gc
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROCESSES = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"})
NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})
REAL_HOME = Path("~").expanduser()

_forbidden: set[str] = set()
_protected: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _forbidden:
        raise AssertionError(f"this kind of test must not cause {event}{arguments!r}")
    if event == "open" and _protected and isinstance(arguments[0], str):
        path, mode = arguments[0], str(arguments[1] or "r")
        if any(sign in mode for sign in "wax+") and path.startswith(tuple(_protected)):
            raise AssertionError(f"a test must not write {path}")


sys.addaudithook(_watch)


@contextlib.contextmanager
def forbidden(events: frozenset[str]) -> Iterator[None]:
    """Let none of the audit events happen in the body."""
    added = events - _forbidden
    _forbidden.update(added)
    try:
        yield
    finally:
        _forbidden.difference_update(added)


@contextlib.contextmanager
def protected(*directories: Path) -> Iterator[None]:
    """Let nothing below the directories be opened for writing in the body."""
    paths = [f"{directory}/" for directory in directories]
    _protected.extend(paths)
    try:
        yield
    finally:
        del _protected[-len(paths) :]


@contextlib.contextmanager
def ray_at_work() -> Iterator[None]:
    """Let Ray drop the handles of processes that it has started and ends by other means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
