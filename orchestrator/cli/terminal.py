"""Standard output and error: errors of writing, and text from models."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

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
        discard_output()
        raise UsageError(
            f"cannot be written ({error.strerror})",
            where="standard output",
            fix="make room, or choose another place",
        ) from error


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


def discard_output() -> None:
    """Discard further output, or Python reports the error again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
