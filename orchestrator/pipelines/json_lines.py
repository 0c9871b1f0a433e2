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
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from orchestrator.core.refusals import remedy
from orchestrator.errors import UsageError
from orchestrator.pipelines.batch_files import BatchFiles
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
        path: The file; None for `write_line` alone.
        write_line: Writes a line where there is no file.
        outputs: The outputs that are files.

    Attributes:
        files: The files that lines name; None where there is no file of lines.
        receipts: The receipts of the items that are done.
        lost: How many items were done whose files are gone; they run again.
    """

    def __init__(
        self,
        path: Path | None,
        write_line: Callable[[bytes], object] = lambda _: None,
        outputs: Container[str] = (),
    ) -> None:
        self.path = path
        self.files = BatchFiles(path, outputs) if path is not None else None
        self.receipts: set[str] = set()
        self.lost = 0
        self._write_line = write_line
        self._done: dict[bytes, list[tuple[int, int]]] = {}
        self._dropped: set[int] = set()
        self._found: IO[bytes] | None = None
        self._begun = False
        self._stack = contextlib.ExitStack()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, *, resume: bool, outputs: Container[str] = ()) -> Iterator[JsonLines]:
        """Open the file, and read what is done.

        A file that holds anything else than records of a batch is refused. It stays as it is until
        `begin`.

        Args:
            path: The file.
            resume: Whether it may be there already.
            outputs: The outputs that are files.

        Raises:
            UsageError: When it is there and not to be gone on with, is no file of records, or
                another process writes it.
        """
        lines = cls(path, outputs=outputs)
        with lines._stack:
            lines._open(path, resume=resume)
            yield lines

    def take(self, mark: bytes) -> dict[str, Any] | None:
        """Return the record of an item that is done, each record once; None where there is none.

        Args:
            mark: The digest of the item's key.
        """
        places = self._done.get(mark)
        if not places or self._found is None:
            return None
        start, size = places.pop(0)
        return _record(os.pread(self._found.fileno(), size, start))

    def begin(self) -> None:
        """Take out the lines of items that run again: they failed, were cut off, or lost a file.

        It does nothing when it is called again.

        Raises:
            UsageError: When the file cannot be written.
        """
        if self.path is None or self._found is None or self._begun:
            return
        self._begun = True
        stream = self._found
        try:
            if self._dropped:
                # A link stays a link: what it points to is replaced.
                stream = self._replaced(self.path.resolve(), stream)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        stream.seek(0, os.SEEK_END)
        self._write_line = partial(_append, stream)

    def _open(self, path: Path, *, resume: bool) -> None:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_EXCL)
            file = os.open(path, flags, 0o666)
        except FileExistsError:
            raise UsageError(
                "is there already", where=str(path), fix="add --resume, or choose another -o"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise UsageError(
                "is not a regular file",
                where=str(path),
                fix="choose another -o; - is standard output",
            )
        self._found = self._stack.enter_context(os.fdopen(file, "r+b"))
        _hold(self._found, path)
        self._read(self._found)

    def _read(self, stream: IO[bytes]) -> None:
        """Note what is done.

        Raises:
            UsageError: For a line that no batch has written.
        """
        for number, (start, line) in enumerate(_lines(stream), start=1):
            found = _record(line)
            if found is None and not _is_cut_off(line):
                raise UsageError(
                    "is not a line of a batch, so the file stays as it is",
                    where=f"{self.path}:{number}",
                    fix="choose another -o",
                )
            if found is None or found["status"] != OK or not line.endswith(b"\n"):
                self._dropped.add(start)
            elif self.files is not None and not self.files.has_all(found["outputs"]):
                self._dropped.add(start)
                self.lost += 1
            else:
                place = (start, len(line))
                self._done.setdefault(key_digest(input_key(found["input"])), []).append(place)
                self.receipts.add(str(found["receipt"]))

    def _replaced(self, path: Path, old: IO[bytes]) -> IO[bytes]:
        """Put a file with only the good lines of `old` in its place; held before it is there."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        stream = self._stack.enter_context(temporary.open("x+b"))
        try:
            _hold(stream, path)
            os.fchmod(stream.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
            stream.writelines(line for start, line in _lines(old) if start not in self._dropped)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            stream.close()
            temporary.unlink(missing_ok=True)
            raise
        return stream

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, whole.

        Raises:
            UsageError: When the file cannot be written.
        """
        try:
            self._write_line(json_line(line) + b"\n")
        except OSError as error:
            if self.path is None:
                raise
            raise _unwritable(self.path, error) from error


def _append(stream: IO[bytes], line: bytes) -> None:
    stream.write(line)
    stream.flush()


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the record of an item, or None for a line that is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(found, dict) and found.keys() >= KEYS and found["status"] in (OK, FAILED)
    return found if ours and isinstance(found["outputs"], dict) else None


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


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an open file, from its beginning, each with where it begins."""
    with open(stream.fileno(), "rb", closefd=False) as reader:
        start = reader.seek(0)
        for line in reader:
            yield start, line
            start += len(line)


def _unwritable(path: Path, error: OSError) -> UsageError:
    fix = remedy(error, "choose another -o")
    return UsageError(f"cannot be written ({error.strerror})", where=str(path), fix=fix)


def _hold(stream: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            "another mm writes to it", where=str(path), fix="wait for it, or choose another -o"
        ) from error
