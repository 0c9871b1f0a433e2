"""Sound as clients ask for it."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Protocol

from orchestrator.serve.refusals import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.jobs.results import Audio

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

PCM_RATE = 24_000
"""What OpenAI's clients take for the rate of `pcm`, in Hz."""

HEADER_SIZE, RIFF_LENGTH, DATA_LENGTH = 44, 4, 40
"""Bytes of a WAV header, and where the two lengths stand in it."""

UNKNOWN = 0xFFFFFFFF
"""The length in the header of a WAV file that is sent before its end is known."""


class Encoder(Protocol):
    """Turns sound into the bytes of a file, while it is made."""

    def feed(self, audio: Audio) -> bytes:
        """Return the bytes that are ready after more sound."""

    def end(self) -> bytes:
        """Return the last bytes."""


class _Pcm:
    """16-bit samples, as they are."""

    def feed(self, audio: Audio) -> bytes:
        return audio.pcm()

    def end(self) -> bytes:
        return b""


class _Wav:
    """16-bit samples after the header of a file of unknown length."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, audio: Audio) -> bytes:
        head = b"" if self._begun else wav_header(audio.rate, audio.channels, UNKNOWN)
        self._begun = True
        return head + audio.pcm()

    def end(self) -> bytes:
        return b""


def complete_wav(path: Path) -> None:
    """Write the true length into the header of a WAV file that has come to its end."""
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END) - HEADER_SIZE
        for offset, value in ((RIFF_LENGTH, length + HEADER_SIZE - 8), (DATA_LENGTH, length)):
            file.seek(offset)
            file.write(struct.pack("<I", min(value, UNKNOWN)))


def wav_header(rate: int, channels: int, length: int) -> bytes:
    """Return the header of a WAV file of so many bytes of 16-bit samples."""
    riff = min(length + 36, UNKNOWN)
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return (
        b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + form + b"data" + struct.pack("<I", length)
    )


def encoder(kind: str) -> Encoder:
    """Return what makes sound of a kind.

    Raises:
        Refused: When there is no such kind.
    """
    if kind not in MEDIA_TYPES:
        raise Refused(400, f"response_format is one of {', '.join(MEDIA_TYPES)}", "bad_format")
    return _Wav() if kind == "wav" else _Pcm()
