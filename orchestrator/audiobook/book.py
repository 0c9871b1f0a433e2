"""A spoken book: what comes when, and its sound from any passage to any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from orchestrator.audiobook.book_plan import Part, parts_of
from orchestrator.audiobook.sounds import Sound, levelled
from orchestrator.book.spoken_plan import Plan

RATES = (24_000, 48_000)
"""Frames a second of a book, at least and at most; between them the highest of its sounds."""


@dataclass(frozen=True)
class Book:
    """The passages of a book and their sounds.

    Attributes:
        plan: Its title, chapters and passages.
        sounds: By passage its sound, or None.
        gains: By language, decibels that bring its sounds to the loudness of a book.
        check: Called before each passage; it raises to stop.
    """

    plan: Plan
    sounds: Sequence[Sound | None]
    gains: Mapping[str | None, float]
    check: Callable[[], None] = lambda: None

    @cached_property
    def rate(self) -> int:
        """Frames a second."""
        return min(max(RATES[0], *(each.rate for each in self.sounds if each)), RATES[1])

    @cached_property
    def parts(self) -> list[Part]:
        """Its chapters."""
        return list(parts_of(self.plan, [sound is not None for sound in self.sounds]))

    def start(self, index: int, first: int = 0) -> int:
        """Return at which frame a passage begins, counted from that of another."""
        return self._starts[index] - self._starts[first]

    def segments(self, texts: Sequence[str | None]) -> Iterator[dict[str, Any]]:
        """Yield what is said, and when, in seconds; passages without a text are left out."""
        for index, (sound, text) in enumerate(zip(self.sounds, texts, strict=True)):
            if sound is not None and text:
                start = self._starts[index]
                end = start + self._frames(sound)
                yield {
                    "start": round(start / self.rate, 3),
                    "end": round(end / self.rate, 3),
                    "text": text,
                }

    def samples(self, first: int, end: int) -> Iterator[bytes]:
        """Yield the passages `first` up to `end` as 16-bit samples of one channel."""
        for index in range(first, end):
            self.check()
            sound, passage = self.sounds[index], self.plan.passages[index]
            if sound is not None:
                frames = self._frames(sound)
                yield from levelled(sound, self.gains[passage.language], self.rate, frames)
                yield bytes(2 * self._pause(index))

    @cached_property
    def _starts(self) -> list[int]:
        lengths = (
            self._frames(sound) + self._pause(index) if sound is not None else 0
            for index, sound in enumerate(self.sounds)
        )
        return list(accumulate(lengths, initial=0))

    def _frames(self, sound: Sound) -> int:
        return round(sound.frames * self.rate / sound.rate)

    def _pause(self, index: int) -> int:
        return round(self.plan.passages[index].pause * self.rate)
