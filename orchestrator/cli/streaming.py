"""`mm run … -o -`: an output on standard output while the model makes it.

Text is written as it is, sound as a WAV whose header leaves the length open, as other tools write
it to a pipe. What a model streams is the beginning of what it returns; the rest follows at the end.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OutputError
from orchestrator.jobs.results import Audio
from orchestrator.system.home import text_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


STREAMED = frozenset({"text", "audio"})
"""The types whose parts, one after another, are the whole."""

OPEN = 0xFFFFFFFF
"""The size of what has no known end, in the header of a WAV."""


def should_stream(kind: str, words: Sequence[str]) -> bool:
    """Return whether an output on standard output is written while the model makes it.

    Without `-o -` only a terminal gets it so: the reader of a pipe gets all or nothing, unless the
    user asks for a stream. A file gets a whole WAV, with its length.

    Args:
        kind: The type of the output.
        words: The values of `-o`.
    """
    asked = any(word.rpartition("=")[2] == "-" for word in words)
    if kind not in STREAMED or not (asked or sys.stdout.isatty()):
        return False
    try:
        return not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


class Stream:
    """Writes the chunks of one output, and what is left at the end.

    Args:
        name: The output.
        write: Writes bytes to standard output.
        on_broken: Called once, when the reader has closed the pipe.
    """

    def __init__(
        self, name: str, write: Callable[[bytes], None], on_broken: Callable[[], None]
    ) -> None:
        self.name = name
        self.began = False
        self.broken = False
        self._write_out = write
        self._on_broken = on_broken
        self._parts: list[Any] = []

    def chunk(self, value: Any) -> None:
        """Write a chunk.

        Raises:
            OutputError: When its rate or shape is not that of the chunks before it.
        """
        if not self.began and isinstance(value, Audio):
            self._write(open_header(value))
        elif self.began and isinstance(value, Audio) and _form(value) != _form(self._parts[0]):
            raise OutputError(f"the chunks of {self.name!r} are not of one rate and shape")
        self.began = True
        self._parts.append(value)
        self._write(value.pcm() if isinstance(value, Audio) else text_bytes(str(value)))

    def end(self, whole: Any) -> None:
        """Write what was not streamed of the whole output.

        Raises:
            OutputError: When what was streamed is not its beginning.
        """
        if isinstance(whole, Audio):
            sent = Audio.joined(self._parts).raw
            begins = _form(self._parts[0]) == _form(whole)
            rest = whole.after(sent.shape[0]).pcm() if begins else b""
            begins = begins and whole.raw.data[: len(sent.data)] == sent.data
        else:
            streamed = "".join(self._parts)
            begins = str(whole).startswith(streamed)
            end = "" if str(whole).endswith("\n") else "\n"
            rest = text_bytes(f"{str(whole)[len(streamed) :]}{end}")
        if not begins:
            raise OutputError(f"what was streamed of {self.name!r} is not how it begins")
        self._write(rest)

    def _write(self, data: bytes) -> None:
        if self.broken:
            return
        try:
            self._write_out(data)
        except BrokenPipeError:
            self.broken = True
            self._on_broken()


def _form(audio: Audio) -> tuple[Any, ...]:
    return audio.raw.dtype, audio.rate, audio.channels


def open_header(audio: Audio) -> bytes:
    """Return the head of a WAV file of sound like `audio`, 16-bit PCM, whose length is open."""
    width = 2 * audio.channels
    form = struct.pack("<HHIIHH", 1, audio.channels, audio.rate, audio.rate * width, width, 16)
    return b"".join(
        (
            struct.pack("<4sI4s4sI", b"RIFF", OPEN, b"WAVE", b"fmt ", len(form)),
            form,
            struct.pack("<4sI", b"data", OPEN),
        )
    )
