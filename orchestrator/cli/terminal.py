"""Standard output and error: errors of writing, and text from models."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROLS = {
    number: "\ufffd"
    for number in (*range(0x20), 0x7F, *range(0x80, 0xA0))
    if chr(number) not in "\n\t"
}
"""Control characters, which a terminal obeys and does not show."""


def plain(text: str) -> str:
    """Return `text`, which may come from a model, without control sequences."""
    return click.unstyle(text).translate(CONTROLS)


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


def write_result(data: str | bytes) -> None:
    """Write to standard output, all of it and now; errors are those of `writing`."""
    with writing():
        click.echo(data, nl=False)


def discard_output() -> None:
    """Discard further output, or Python reports the error again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
