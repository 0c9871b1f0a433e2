"""`mm run … -o -`: an output on standard output while the model is still making it.

Text goes there as it is, sound as a WAV whose header leaves the length open, as other tools write
to a pipe. What a model streams is the beginning of what it returns; the rest is written at the end.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.cli.terminal import writing
from orchestrator.errors import OutputError
from orchestrator.results import Audio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from orchestrator.cli.outputs import Destinations
    from orchestrator.core.manifest import Manifest

STREAMED = frozenset({"text", "audio"})
"""The types whose parts, one after another, are the whole."""

OPEN = 0xFFFFFFFF
"""The size of what has no known end, in the header of a WAV."""


def wanted(manifest: Manifest, destinations: Destinations, words: Sequence[str]) -> str:
    """Return the output that is to be written as it is made, or an empty text.

    Without `-o -` only a terminal gets it so: what reads from a pipe shall get all or nothing,
    unless it was asked for. A file gets a whole WAV, with its length.
    """
    printed = destinations.printed
    if printed is None or manifest.outputs[printed].type not in STREAMED:
        return ""
    asked = any(word.rpartition("=")[2] == "-" for word in words)
    if not asked and not sys.stdout.isatty():
        return ""
    try:
        is_file = stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return ""
    return "" if is_file else printed


class Stream:
    """Writes the chunks of one output to `target`, and what is left at the end.

    Args:
        name: The output.
        target: Where to.
        left: Called when whoever reads it has gone.
    """

    def __init__(self, name: str, target: BinaryIO, left: Callable[[], None]) -> None:
        self.name = name
        self.began = False
        self.broken = False
        self._target = target
        self._left = left
        self._parts: list[Any] = []

    def chunk(self, value: Any) -> None:
        """Write a chunk.

        Raises:
            OutputError: When it is not of the form of the chunks before it.
        """
        if not self.began and isinstance(value, Audio):
            self._write(open_header(value))
        elif self.began and isinstance(value, Audio) and _form(value) != _form(self._parts[0]):
            raise OutputError(f"the chunks of {self.name!r} are not of one rate and shape")
        self.began = True
        self._parts.append(value)
        self._write(value.pcm() if isinstance(value, Audio) else str(value).encode("utf-8"))

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
            rest = f"{str(whole)[len(streamed) :]}\n".encode()
        if not begins:
            raise OutputError(f"what was streamed of {self.name!r} is not how it begins")
        self._write(rest)

    def _write(self, data: bytes) -> None:
        if self.broken:
            return
        try:
            with writing():
                self._target.write(data)
                self._target.flush()
        except BrokenPipeError:
            self.broken = True
            self._left()


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
