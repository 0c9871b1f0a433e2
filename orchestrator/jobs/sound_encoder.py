"""Sound as compressed files, encoded as it comes.

PyAV is an extra of the project (`audio`), and imported when something is encoded.
"""

from __future__ import annotations

import struct
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from orchestrator.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Format(NamedTuple):
    """How a kind of file is written, in FFmpeg's words."""

    container: str
    codec: str
    bit_rate: int
    """Bits a second for each channel; 0 where nothing is lost."""
    options: Mapping[str, str] = {}
    """Of the container."""
    tuning: Mapping[str, str] = {}
    """Options of the codec."""


FORMATS = {
    ".mp3": Format("mp3", "libmp3lame", 64_000),
    ".m4a": Format("ipod", "aac", 64_000),
    ".flac": Format("flac", "flac", 0),
    ".ogg": Format("ogg", "libopus", 40_000),  # PyAV's wheels have no encoder of Vorbis
    ".opus": Format("opus", "libopus", 40_000),
}
"""By the suffix of the file."""

STREAMED = {".aac": Format("adts", "aac", 64_000)}
"""What is sent and not saved: it has no length, and no place for one."""

SAME = {"fflags": "bitexact"}
"""Options by which the same sound becomes the same bytes each time."""

LIVE = {
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": "500000",
    "page_duration": "500000",
    "flush_packets": "1",
}
"""Options of a stream that cannot seek, for whichever container has them; microseconds."""

RATES = range(4_000, 384_001)
"""Frames a second that every encoder can take, or get by resampling."""

LAYOUTS = {1: "mono", 2: "stereo"}

WIDTHS = {1: "u8", 2: "s16", 4: "s32"}
"""FFmpeg's names of a WAV file's samples, by their bytes."""

UNKNOWN = 0xFFFFFFFF
"""The length in the header of a WAV file that is sent before its end is known."""

BLOCK = 1 << 14
"""Frames that are encoded at once."""


def check_encoder(path: str) -> None:
    """Check that sound can be encoded here.

    Raises:
        UsageError: When PyAV is not installed.
    """
    if find_spec("av") is None:
        raise UsageError(
            "this format is encoded by PyAV, which is not installed",
            where=path,
            fix="run: pip install 'mm-orchestrator[audio]'; or take .wav",
        )


class SoundEncoder:
    """Encodes one recording, block by block, into a stream of bytes.

    A stream that can seek gets the length into its header at the end; any other gets a form that
    can be played while it comes.

    Args:
        stream: Receives the bytes; it stays open.
        suffix: A key of `FORMATS` or `STREAMED`.
        rate: Frames a second (Hz); a codec that does not know it gets the next higher one it does.
        channels: 1 or 2.
        samples: FFmpeg's name of the samples that are fed: `s16` is 16 bits, little-endian.
        form: How the file is written, where not as its suffix says.
        prepare: Gets the container before anything is written, for tags, chapters and more streams;
            returns the packets of these.

    Raises:
        UsageError: When PyAV is not installed, or there are more channels or another rate.
    """

    def __init__(
        self,
        stream: BinaryIO,
        suffix: str,
        rate: int,
        channels: int,
        samples: str = "s16",
        *,
        form: Format | None = None,
        prepare: Callable[[Any], Iterable[Any]] = lambda _: (),
    ) -> None:
        check_encoder(f"sound{suffix}")
        if channels not in LAYOUTS or rate not in RATES:
            what = f"sound of {channels} channels at {rate} Hz goes into WAV files alone"
            raise UsageError(what, fix="name it .wav")
        import av

        form = form or (FORMATS | STREAMED)[suffix]
        self._container: Any = av.open(
            _Written(stream.write) if not stream.seekable() else stream,
            "w",
            format=form.container,
            container_options={**SAME, **form.options, **({} if stream.seekable() else LIVE)},
        )
        self._codec: Any = self._container.add_stream(
            form.codec,
            rate=_rate(form.codec, rate),
            layout=LAYOUTS[channels],
            options=dict(form.tuning),
        )
        if form.bit_rate:
            self._codec.bit_rate = form.bit_rate * channels
        self._form = samples, LAYOUTS[channels]
        self._width = channels * {"u8": 1, "s16": 2, "s32": 4}[samples]
        self._rate = rate
        packets = prepare(self._container)
        self._container.start_encoding()
        self._container.mux(list(packets))

    def feed(self, data: bytes | memoryview) -> None:
        """Encode what comes next: whole frames, the channels in turn."""
        from av import AudioFrame

        view = memoryview(data).cast("B")
        for start in range(0, len(view), BLOCK * self._width):
            block = view[start : start + BLOCK * self._width]
            frame = AudioFrame(*self._form, samples=len(block) // self._width)
            frame.sample_rate = self._rate
            frame.planes[0].update(block)
            self._container.mux(self._codec.encode(frame))

    def close(self) -> None:
        """Write what is left; without it the stream holds no whole file."""
        self._container.mux(self._codec.encode(None))
        self._container.close()


class _Written:
    """A stream that PyAV does not try to seek in."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self.write = write


def _rate(codec: str, rate: int) -> int:
    import av

    known: list[int] | None = av.Codec(codec, "w").audio_rates
    if not known or rate in known:
        return rate
    return min((each for each in known if each >= rate), default=max(known))


def wav_header(rate: int, channels: int) -> bytes:
    """Return the header of a WAV file of 16-bit samples whose length is not known."""
    width = 2 * channels
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * width, width, 16)
    open_end = struct.pack("<I", UNKNOWN)
    return b"".join((b"RIFF", open_end, b"WAVEfmt ", form, b"data", open_end))


def encode_wav(source: Path, stream: BinaryIO, suffix: str) -> None:
    """Encode a WAV file, block by block.

    Raises:
        OutputError: When it is no WAV file of whole numbers.
        UsageError: As `SoundEncoder`.
    """
    import wave

    try:
        with wave.open(str(source), "rb") as reader:
            rate, channels = reader.getframerate(), reader.getnchannels()
            encoder = SoundEncoder(
                stream, suffix, rate, channels, samples=WIDTHS[reader.getsampwidth()]
            )
            with closing(encoder):
                while data := reader.readframes(BLOCK):
                    encoder.feed(data)
    except (wave.Error, EOFError, KeyError) as error:
        raise OutputError(
            f"is no WAV file that can be encoded ({error})", where=str(source)
        ) from error
