"""Standard output and error: errors of writing, and text from models."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from orchestrator.errors import UsageError
from orchestrator.system.home import text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)
"""What a terminal obeys and does not show: controls, and the marks that turn the order of text."""


def visible(text: str) -> str:
    """Return `text`, which may come from a model, with what would steer a terminal escaped.

    The escapes are those of JSON, so that JSON stays the same JSON.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Turn an error of standard output into one sentence.

    Raises:
        BrokenPipeError: When its reader has closed it.
        UsageError: When it cannot be written, as on a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise output_refused(error) from error


class OutputClosed(Exception):
    """The reader of standard output has closed it. No OSError: with those click ends by itself."""


@contextlib.contextmanager
def closing() -> Iterator[None]:
    """Turn the error of an output that was closed into `OutputClosed`.

    Raises:
        OutputClosed: When its reader has closed it.
    """
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error


def output_refused(error: OSError) -> UsageError:
    """Return the error for a standard output that cannot be written."""
    return UsageError(
        f"cannot be written ({error.strerror})",
        where="standard output",
        fix="make room, or choose another place",
    )


def write_result(data: str | bytes | memoryview) -> None:
    """Write to standard output, all of it and now: text in UTF-8; to a terminal its visible form.

    Raises:
        BrokenPipeError, UsageError: As `writing`.
    """
    if sys.stdout.isatty():
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "backslashreplace")
        data = visible(text)
    with writing():
        sys.stdout.flush()
        sys.stdout.buffer.write(text_bytes(data) if isinstance(data, str) else data)
        sys.stdout.buffer.flush()


def write_if_possible(stream: TextIO, text: str = "") -> bool:
    """Write text, and all that was written before; discard what the stream does not take.

    Returns:
        Whether it took everything.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        discard(stream)
        return False
    return True


def discard(stream: TextIO) -> None:
    """Discard what else goes to a standard stream, or Python reports the error again at exit."""
    with contextlib.suppress(OSError, ValueError):  # it is no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def open_standard_streams() -> None:
    """Give the streams that the parent process has closed to no one, and no other file to them.

    The next file that is opened would get their number, and what is meant for them.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)  # noqa: FBT003 - the function's own form
    os.close(null)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until we exit
    out = sys.stdout
    if isinstance(raw := getattr(out, "buffer", None), io.RawIOBase):
        # PYTHONUNBUFFERED: such a stream writes a part of what it is given, and says nothing.
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), out.encoding, out.errors, line_buffering=True
        )
