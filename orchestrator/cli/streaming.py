"""An output while the model makes it: on standard output, or encoded into a file.

Standard output gets text as it is, and sound as a WAV whose header leaves the length open, as other
tools write it to a pipe. What a model streams is the beginning of what it returns; the rest follows
at the end.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from orchestrator.cli.outputs import writing
from orchestrator.errors import OutputError
from orchestrator.jobs.results import Audio
from orchestrator.jobs.sound_encoder import FORMATS, SoundEncoder, wav_header
from orchestrator.system.home import replacing, text_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


STREAMED = frozenset({"text", "audio"})
"""The types whose parts, one after another, are the whole."""


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


def sound_files(places: Mapping[str, Path]) -> dict[str, SoundFile]:
    """Return the streams of the outputs that are encoded as they are made, by output.

    Args:
        places: Where outputs go; a pipe or a device gets the whole at the end.
    """
    return {
        name: SoundFile(name, path)
        for name, path in places.items()
        if path.suffix.lower() in FORMATS and (path.is_file() or not path.exists())
    }


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
        self.parts: list[Any] = []

    def chunk(self, value: Any) -> None:
        """Write a chunk.

        Raises:
            OutputError: When its rate or shape is not that of the chunks before it.
        """
        if not self.began and isinstance(value, Audio):
            self._begin(value)
        elif self.began and isinstance(value, Audio) and _form(value) != _form(self.parts[0]):
            raise OutputError(f"the chunks of {self.name!r} are not of one rate and shape")
        self.began = True
        self.parts.append(value)
        self._write(value.pcm() if isinstance(value, Audio) else text_bytes(str(value)))

    def end(self, whole: Any) -> None:
        """Write what was not streamed of the whole output.

        Raises:
            OutputError: When what was streamed is not its beginning.
        """
        if isinstance(whole, Audio):
            sent = Audio.joined(self.parts).raw
            begins = _form(self.parts[0]) == _form(whole)
            rest = whole.after(sent.shape[0]).pcm() if begins else b""
            begins = begins and whole.raw.data[: len(sent.data)] == sent.data
        else:
            streamed = "".join(self.parts)
            begins = str(whole).startswith(streamed)
            end = "" if str(whole).endswith("\n") else "\n"
            rest = text_bytes(f"{str(whole)[len(streamed) :]}{end}")
        if not begins:
            raise OutputError(f"what was streamed of {self.name!r} is not how it begins")
        self._write(rest)

    def _begin(self, audio: Audio) -> None:
        self._write(wav_header(audio.rate, audio.channels))

    def _write(self, data: bytes) -> None:
        if self.broken:
            return
        try:
            self._write_out(data)
        except BrokenPipeError:
            self.broken = True
            self._on_broken()


class SoundFile(Stream):
    """Encodes sound into a file while it is made; its place gets it whole or not at all.

    Args:
        name: The output.
        path: The place, with the suffix of a format that is encoded.
    """

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, lambda _: None, lambda: None)
        self._path = path
        self._file = ExitStack()

    def end(self, whole: Any) -> None:
        """Encode what was not streamed, and put the file into its place.

        Raises:
            OutputError: When what was streamed is not its beginning.
            UsageError: When it cannot be written.
        """
        super().end(whole)
        with writing(str(self._path)):
            self._encoder.close()
            self._file.close()

    def drop(self) -> None:
        """Remove the file, unless it is in its place; what cannot be closed has failed before."""
        with suppress(_Dropped, OSError), self._file:
            raise _Dropped

    def _begin(self, audio: Audio) -> None:
        with writing(str(self._path)):
            temporary = self._file.enter_context(replacing(self._path.resolve(), mode=None))
            stream = self._file.enter_context(temporary.open("wb"))
        suffix = self._path.suffix.lower()
        self._encoder = SoundEncoder(stream, suffix, audio.rate, audio.channels)

    def _write(self, data: bytes) -> None:
        with writing(str(self._path)):
            self._encoder.feed(data)


class _Dropped(Exception):
    """The job ended without the output."""


def _form(audio: Audio) -> tuple[Any, ...]:
    return audio.raw.dtype, audio.rate, audio.channels
