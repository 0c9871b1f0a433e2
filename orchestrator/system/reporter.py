"""How the engine says what it is doing, without printing: a port that `cli/` fills in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from orchestrator.core.units import format_size


class Reporter(Protocol):
    """Receives notes and progress from long work; called from any thread."""

    def note(self, text: str) -> None:
        """Say one thing worth a line."""

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        """Say how far the work called `key` is; `total` is 0 where it is not known.

        `text` may have a second line, about what is worked on just now: it is left out where a
        line stays when the next one comes.
        """

    def finish(self, key: str, text: str = "") -> None:
        """End the work called `key`; `text`, when given, is worth a line."""


@contextmanager
def progress(reporter: Reporter, key: str, text: str = "") -> Iterator[None]:
    """Report the work called `key`: `text` (when given) at its beginning, and its end."""
    if text:
        reporter.progress(key, text)
    try:
        yield
    finally:
        reporter.finish(key)


class Silent:
    """A reporter for callers that want to hear nothing."""

    def note(self, text: str) -> None:
        """Drop the note."""

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        """Drop the progress."""

    def finish(self, key: str, text: str = "") -> None:
        """Drop the end."""


class Count:
    """Adds up bytes and reports them."""

    def __init__(self, reporter: Reporter, key: str, total: int) -> None:
        self.done = 0
        self._reporter = reporter
        self._key = key
        self._total = total

    def add(self, size: int) -> None:
        """Count `size` bytes more."""
        self.settle(min(self.done + size, self._total))

    def settle(self, done: int) -> None:
        """Say that `done` bytes are there."""
        self.done = done
        text = f"{format_size(done)} of {format_size(self._total)}"
        self._reporter.progress(self._key, text, done, self._total)
