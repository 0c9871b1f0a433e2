"""The sounds of a book: how loud they are, and the same at one loudness and rate, in one channel.

The loudness is EBU R128's: measured over all passages of one voice by FFmpeg's filter, which keeps
a histogram, so that memory does not grow with the length of a book.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.core.units import counted
from orchestrator.errors import UsageError
from orchestrator.jobs.sound_encoder import BLOCK, LAYOUTS, RATES, WIDTHS

LOUDNESS = -18.0
"""LUFS, integrated."""

PEAK = 10 ** (-1 / 20)
"""The highest sample, of 1."""

MOST_GAIN = 40.0
"""Decibels; what is fainter is no speech."""

FADE = 0.005
"""Seconds at both ends of a sound, so that it does not begin or end with a click."""

MEASURED = 24_000
"""Frames a second of what is measured; speech has little above the half of it."""

_INTEGRATED = "lavfi.r128.I"
_SILENCE = -70.0


class Sound(NamedTuple):
    """A WAV file: frames a second, and how many frames there are."""

    path: Path
    rate: int
    frames: int


class Meter:
    """Measures the integrated loudness of sounds, one after the other.

    Args:
        log: A file that the filter writes to; 20 hours take 50 MB.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._frames = 0
        self._graph: Any = _graph(
            {"sample_rate": MEASURED, "format": "flt", "layout": "mono"},
            ("ebur128", {"metadata": "1", "framelog": "quiet"}),
            ("ametadata", {"mode": "print", "key": _INTEGRATED, "file": str(log)}),
        )

    def feed(self, path: Path) -> Sound | None:
        """Measure a sound and return what it is; None where it is empty.

        Raises:
            UsageError: When it is no WAV file of whole numbers with one or two channels.
        """
        import av

        resampler = av.AudioResampler("flt", "mono", MEASURED)
        with _open(path) as reader:
            for frame in chain(_frames(reader), [None]):
                for each in resampler.resample(frame):
                    self._push(each)
            found = Sound(path, reader.getframerate(), reader.tell())
        return found if found.frames else None

    def gain(self) -> float:
        """Return by how many decibels the sounds are to be raised; nothing is fed any more."""
        self._graph.push(None)
        for _ in _pulled(self._graph):
            pass
        self._graph = None  # which closes the file
        level = _SILENCE
        with self._log.open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith(_INTEGRATED):
                    level = float(line.partition("=")[2])
        self._log.unlink()
        return min(LOUDNESS - level, MOST_GAIN) if level > _SILENCE else 0.0

    def _push(self, frame: Any) -> None:
        frame.pts, self._frames = self._frames, self._frames + frame.samples
        self._graph.push(frame)
        for _ in _pulled(self._graph):
            pass


def levelled(sound: Sound, gain: float, rate: int, frames: int) -> Iterator[bytes]:
    """Yield a sound as 16-bit samples of one channel, `frames` of them at `rate`, after `gain` dB.

    Both ends are faded, and peaks that would be too high are limited.
    """
    fade = min(round(FADE * rate), frames // 2)
    with _open(sound.path) as reader:
        graph = _graph(
            {"sample_rate": sound.rate, "format": _width(reader), "layout": _layout(reader)},
            ("aresample", {"osr": str(rate), "osf": "dbl", "ochl": "mono"}),
            ("volume", {"volume": f"{gain:.2f}dB", "precision": "double"}),
            ("alimiter", {"limit": f"{PEAK:.6f}", "level": "0", "latency": "1"}),
            ("afade", {"type": "in", "ns": str(fade)}),
            ("afade", {"type": "out", "ss": str(frames - fade), "ns": str(fade)}),
            ("aformat", {"sample_fmts": "s16"}),
        )
        left = frames
        for given in chain(_frames(reader), [None]):
            graph.push(given)
            for frame in _pulled(graph):
                count = min(frame.samples, left)
                left -= count
                yield bytes(frame.planes[0])[: 2 * count]
    yield bytes(2 * left)


def _graph(source: dict[str, Any], *filters: tuple[str, dict[str, str]]) -> Any:
    from av.filter import Graph

    graph = Graph()
    last = graph.add_abuffer(**source)
    for name, options in filters:
        each = graph.add(name, **options)
        last.link_to(each)
        last = each
    last.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    with suppress(av.BlockingIOError, av.EOFError):  # it needs more, or there is no more
        while True:
            yield graph.pull()


@contextmanager
def _open(path: Path) -> Iterator[wave.Wave_read]:
    try:
        with wave.open(str(path), "rb") as reader:
            rate, channels, width = (
                reader.getframerate(),
                reader.getnchannels(),
                reader.getsampwidth(),
            )
            if rate not in RATES or channels not in LAYOUTS or width not in WIDTHS:
                what = f"{rate} Hz, {counted(channels, 'channel')}, {8 * width} bits"
                raise UsageError(f"has {what}, which a book cannot have", where=str(path))
            yield reader
    except (wave.Error, EOFError) as error:
        raise UsageError(
            f"is no WAV file that a book can have ({error})", where=str(path)
        ) from error


def _frames(reader: wave.Wave_read) -> Iterator[Any]:
    from av import AudioFrame

    size, position = reader.getnchannels() * reader.getsampwidth(), 0
    while data := reader.readframes(BLOCK):
        frame = AudioFrame(_width(reader), _layout(reader), samples=len(data) // size)
        frame.sample_rate, frame.pts = reader.getframerate(), position
        frame.planes[0].update(data)
        position += frame.samples
        yield frame


def _width(reader: wave.Wave_read) -> str:
    return WIDTHS[reader.getsampwidth()]


def _layout(reader: wave.Wave_read) -> str:
    return LAYOUTS[reader.getnchannels()]
