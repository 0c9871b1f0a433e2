"""The file of a batch's results: one JSON object a line, held by one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import UsageError
from orchestrator.system.home import json_line

OK, FAILED = "ok", "failed"

KEYS = frozenset({"input", "status", "outputs", "error", "seconds", "receipt"})
"""What every record of an item has."""

_BEGINNING = re.compile(rb'\{\s*"input"\s*:')
"""How a record begins, however it was formatted since."""


def input_key(name: Any) -> str:
    """Return what tells an input from others: a path as it is, an object in a canonical form."""
    return name if isinstance(name, str) else json.dumps(name, sort_keys=True)


def key_digest(key: str) -> bytes:
    """Return what stands for a key in memory; short, because an object may hold a whole text."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16]


class JsonLines:
    """The file of results, held by one batch at a time.

    Args:
        path: The file; None for `stream` alone.
        stream: Where lines go when there is no file.
    """

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self.path = path
        self._stream = stream
        self.done: Counter[bytes] = Counter()
        self.receipts: set[str] = set()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, *, resume: bool) -> Iterator[JsonLines]:
        """Open the file for more lines.

        Lines of items that failed, and one that was cut off, are taken out: they run again. A file
        that holds anything else than records of a batch is refused, and stays as it is.

        Args:
            path: The file.
            resume: Whether it may be there already.

        Raises:
            UsageError: When it is there and not to be gone on with, is no file of records, or
                another process writes it.
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
            raise _unwritable(self.path, error) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise UsageError(
                "is not a regular file",
                where=str(self.path),
                fix="choose another -o; - is standard output",
            )
        stream: IO[bytes] = stack.enter_context(os.fdopen(file, "r+b"))
        _hold(stream, self.path)
        if not self._read(stream):
            try:
                # A link stays a link: what it points to is replaced.
                stream = stack.enter_context(_replaced(self.path.resolve(), stream))
            except OSError as error:
                raise _unwritable(self.path, error) from error
        stream.seek(0, os.SEEK_END)
        self._stream = stream

    def _read(self, stream: IO[bytes]) -> bool:
        """Note what is done; return whether every line is to be kept.

        Raises:
            UsageError: For a line that no batch has written.
        """
        whole = True
        for number, line in enumerate(_lines(stream), start=1):
            found = _record(line)
            if found is None and not _is_cut_off(line):
                raise UsageError(
                    "is not a line of a batch, so the file stays as it is",
                    where=f"{self.path}:{number}",
                    fix="choose another -o",
                )
            if not _is_good(line, found):
                whole = False
                continue
            assert found is not None
            self.done[key_digest(input_key(found["input"]))] += 1
            self.receipts.add(str(found["receipt"]))
        return whole

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, whole.

        Raises:
            UsageError: When the file cannot be written.
        """
        assert self._stream is not None
        try:
            self._stream.write(json_line(line) + b"\n")
            self._stream.flush()
        except OSError as error:
            if self.path is None:
                raise
            raise _unwritable(self.path, error) from error


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the record of an item, or None for a line that is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(found, dict) and found.keys() >= KEYS and found["status"] in (OK, FAILED)
    return found if ours else None


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line without an end may be the beginning of a record."""
    if line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return bool(_BEGINNING.match(line)) or b'{"input": '.startswith(line)
    return False  # whole, and something else


def _is_good(line: bytes, found: dict[str, Any] | None) -> bool:
    """Return whether a line is whole, and its item ended well."""
    return found is not None and found["status"] == OK and line.endswith(b"\n")


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an open file, from its beginning."""
    with open(stream.fileno(), "rb", closefd=False) as reader:
        reader.seek(0)
        yield from reader


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot be written ({error.strerror})", where=str(path))


def _hold(stream: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            "another mm writes to it", where=str(path), fix="wait for it, or choose another -o"
        ) from error


def _replaced(path: Path, old: IO[bytes]) -> IO[bytes]:
    """Put a file with only the good lines of `old` in its place; it is held before it is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    stream = temporary.open("x+b")
    try:
        _hold(stream, path)
        os.fchmod(stream.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
        for line in _lines(old):
            if _is_good(line, _record(line)):
                stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        stream.close()
        temporary.unlink(missing_ok=True)
        raise
    return stream
