"""The file of a batch's results: one JSON object a line, held by one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from orchestrator.core.canonical import canonical_bytes
from orchestrator.errors import UsageError

OK, FAILED = "ok", "failed"


def key_of(name: Any) -> str:
    """Return what tells an input from others: a path as it is, an object in canonical form."""
    return name if isinstance(name, str) else canonical_bytes(name).decode("utf-8")


class Lines:
    """The file of results, held by one batch at a time.

    Args:
        path: The file; None for `stream` alone.
        stream: Where lines go when there is no file.
    """

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self.path = path
        self._stream = stream
        self.done: Counter[str] = Counter()
        self.receipts: set[str] = set()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, *, resume: bool) -> Iterator[Lines]:
        """Open the file for more lines.

        Lines of items that failed, and one that was cut off, are taken out: they run again.

        Args:
            path: The file.
            resume: Whether it may be there already.

        Raises:
            UsageError: When it is there and not to be gone on with, or somebody else writes it.
        """
        lines = cls(path)
        with contextlib.ExitStack() as stack:
            lines._open(stack, resume=resume)
            yield lines

    def _open(self, stack: contextlib.ExitStack, *, resume: bool) -> None:
        assert self.path is not None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_EXCL)
            file = os.open(self.path, flags, 0o666)
        except FileExistsError:
            raise UsageError(
                "is there already", where=str(self.path), fix="add --resume, or choose another -o"
            ) from None
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror})", where=str(self.path)
            ) from error
        stream: IO[bytes] = stack.enter_context(os.fdopen(file, "r+b", buffering=0))
        _hold(stream, self.path)
        if not self._read(stream):
            stream = stack.enter_context(_without_failures(self.path, stream))
        stream.seek(0, os.SEEK_END)
        self._stream = stream

    def _read(self, stream: IO[bytes]) -> bool:
        """Note what is done, line by line; return whether every line is of an item that is."""
        whole = True
        for line in _buffered(stream):
            found = _result(line)
            if found is None:
                whole = False
                continue
            self.done[key_of(found["input"])] += 1
            self.receipts.add(str(found.get("receipt")))
        return whole

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, whole."""
        assert self._stream is not None
        self._stream.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8"))
        self._stream.flush()


def _buffered(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an unbuffered file from its start; it stays open."""
    stream.seek(0)
    with open(stream.fileno(), "rb", closefd=False) as buffered:
        yield from buffered


def _result(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    whole = line.endswith(b"\n") and isinstance(found, dict)
    return found if whole and found.get("status") == OK and "input" in found else None


def _hold(stream: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            "another mm writes to it", where=str(path), fix="wait for it, or choose another -o"
        ) from error


def _without_failures(path: Path, old: IO[bytes]) -> IO[bytes]:
    """Put a file with the lines of what is done in the place of `path`.

    It is held before it is there. Lines are copied one by one: there may be a million.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    stream = temporary.open("x+b", buffering=0)
    try:
        _hold(stream, path)
        with open(stream.fileno(), "wb", closefd=False) as buffered:
            buffered.writelines(line for line in _buffered(old) if _result(line) is not None)
        temporary.replace(path)
    except BaseException:
        stream.close()
        temporary.unlink(missing_ok=True)
        raise
    return stream
