"""Step `join-audio`: several sounds, one after the other, as one WAV file."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import Input
from orchestrator.core.units import counted
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps.step import BuiltIn, Emit, Emits, signature

FRAMES = 1 << 16
"""How many frames are in memory at once."""

MOST = (8, 4, 768_000)
"""Channels, bytes of a sample and frames a second: what else a file claims would fill memory."""


def join_audio(paths: Sequence[Path | None], target: Path, pause: float = 0.5) -> None:
    """Write the sounds `paths` to `target`, with `pause` seconds of silence between them.

    All must be WAV files of one rate, width and number of channels. The samples are copied as they
    are. None stands for an item without a sound: of it there are the pauses alone.

    Raises:
        UsageError: For no sound at all, or for one that is no such file or differs from the first.
    """
    sounds = [path for path in paths if path is not None]
    if not sounds:
        why = f": none of the {len(paths)} items had a text to speak" if paths else ""
        raise UsageError(f"there is no sound to join{why}")
    with _open(sounds[0]) as first:
        form = first.getparams()
    if any(given > most for given, most in zip(form[:3], MOST, strict=True)):
        what = f"has {_words(form[:3])}, and a sound has at most {_words(MOST)}"
        raise UsageError(what, where=str(sounds[0]))
    with wave.open(str(target), "wb") as writer:
        writer.setparams(form)
        for number, path in enumerate(paths):
            if number:
                writer.writeframesraw(_silence(form[:3], pause))
            if path is not None:
                with _open(path) as reader:
                    _check(reader, form[:3], path)
                    _copy(reader, writer)


def _copy(reader: wave.Wave_read, writer: wave.Wave_write) -> None:
    while frames := reader.readframes(FRAMES):
        writer.writeframesraw(frames)


def _silence(shape: tuple[int, ...], pause: float) -> bytes:
    channels, width, rate = shape
    silent = b"\x80" if width == 1 else bytes(width)  # 8-bit WAV has no sign
    return silent * channels * round(rate * pause)


def _check(reader: wave.Wave_read, shape: tuple[int, ...], path: Path) -> None:
    found = reader.getparams()[:3]
    if found != shape:
        raise UsageError(
            f"has {_words(found)}, and the first sound has {_words(shape)}",
            where=str(path),
            fix="join sounds of one model and voice",
        )


def _open(path: Path) -> wave.Wave_read:
    try:
        return wave.open(str(path), "rb")
    except (wave.Error, EOFError) as error:
        raise UsageError(f"is no WAV file that can be joined ({error})", where=str(path)) from error


def _words(shape: tuple[int, ...]) -> str:
    channels, width, rate = shape
    return f"{rate} Hz, {8 * width} bits, {counted(channels, 'channel')}"


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    target = directory / "joined.wav"
    join_audio(values["audios"], target, values.get("pause", 0.5))
    yield Emit("audio", target)


STEP = BuiltIn(
    signature(
        "join-audio",
        {
            "audios": Input(type="audio", list=True, required=True, help="Sounds, in order"),
            "pause": Input(type="number", minimum=0, maximum=60, help="Seconds between two"),
        },
        audio="audio",
    ),
    _run,
    gaps=True,
)
