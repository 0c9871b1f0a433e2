"""Sound as clients ask for it."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from orchestrator.jobs.sound_encoder import UNKNOWN, SoundEncoder, wav_header

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


class Encoder(Protocol):
    """Turns sound into the bytes of a file, while it is made."""

    def feed(self, audio: Audio) -> bytes:
        """Return the bytes that are ready after more sound."""

    def end(self) -> bytes:
        """Return the last bytes."""


class _Wav:
    """16-bit samples after the header of a file of unknown length."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, audio: Audio) -> bytes:
        head = b"" if self._begun else wav_header(audio.rate, audio.channels)
        self._begun = True
        return head + audio.pcm()

    def end(self) -> bytes:
        return b""


class _Pcm:
    """16-bit samples of one channel at `PCM_RATE`."""

    def __init__(self) -> None:
        self._resampler: Any = None

    def feed(self, audio: Audio) -> bytes:
        if (audio.rate, audio.channels) == (PCM_RATE, 1):
            return audio.pcm()
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler("s16", "mono", PCM_RATE)
        layout = "mono" if audio.channels == 1 else "stereo"
        frame = av.AudioFrame("s16", layout, audio.raw.shape[0])
        frame.sample_rate = audio.rate
        frame.planes[0].update(audio.pcm())
        return self._samples(self._resampler.resample(frame))

    def end(self) -> bytes:
        return self._samples(self._resampler.resample(None)) if self._resampler else b""

    def _samples(self, frames: list[Any]) -> bytes:
        return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


class _Compressed:
    """A file of a suffix, in a form that can be played while it comes."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._encoder: SoundEncoder | None = None
        self._parts: list[bytes] = []

    def feed(self, audio: Audio) -> bytes:
        if self._encoder is None:
            stream = cast("BinaryIO", _Parts(self._parts))
            self._encoder = SoundEncoder(stream, self._suffix, audio.rate, audio.channels)
        self._encoder.feed(audio.pcm())
        return self._taken()

    def end(self) -> bytes:
        if self._encoder is not None:
            self._encoder.close()
        return self._taken()

    def _taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class _Parts:
    """What an encoder takes for a stream that cannot seek."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def seekable(self) -> bool:
        return False


def complete_wav(path: Path) -> None:
    """Write the true length into the header of a WAV file that has come to its end."""
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END) - HEADER_SIZE
        for offset, value in ((RIFF_LENGTH, length + HEADER_SIZE - 8), (DATA_LENGTH, length)):
            file.seek(offset)
            file.write(struct.pack("<I", min(value, UNKNOWN)))


def encoder(kind: str) -> Encoder:
    """Return what makes sound of a kind, one of `MEDIA_TYPES`."""
    if kind == "wav":
        return _Wav()
    return _Pcm() if kind == "pcm" else _Compressed(f".{kind}")
