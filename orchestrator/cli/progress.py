"""Progress on standard error: bars on a terminal, a few lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from orchestrator.cli.terminal import visible, write_if_possible
from orchestrator.redaction import redacted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from orchestrator.cli.progress_display import ProgressDisplay


QUIET_SECONDS = 5.0
"""Seconds between two lines about one piece of work, where there is no terminal."""


class TerminalReporter:
    """A `Reporter` that writes to `stream`; safe to call from any thread.

    Attributes:
        quiet: Whether to write nothing.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._bars: ProgressDisplay | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, tuple[str, float]] = {}
        self._noted: set[str] = set()
        self.quiet = False

    def note(self, text: str) -> None:
        """Write one line, unless it was written before."""
        with self._lock:
            if text not in self._noted:
                self._noted.add(text)
                self._write(f"mm: {text}")

    def line(self, text: str) -> None:
        """Write one line, whether or not it was written before."""
        with self._lock:
            self._write(f"mm: {text}")

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        """Draw or move the bar of `key`; without a terminal, write a line now and then."""
        with self._lock:
            if self.quiet:
                return
            if not self._stream.isatty():
                self._quiet_line(key, text)
                return
            first, _, current = redacted(visible(text)).partition("\n")
            bars = self._display()
            if key not in self._tasks:
                self._tasks[key] = bars.add_task(key, total=None, text=first, current=current)
            task, size = self._tasks[key], total or None
            bars.update(task, completed=done, total=size, text=first, current=current)

    def finish(self, key: str, text: str = "") -> None:
        """Remove the bar of `key`; write `text` if there is any."""
        with self._lock:
            self._lines.pop(key, None)
            if self._bars is not None and key in self._tasks:
                self._bars.remove_task(self._tasks.pop(key))
                if not self._tasks:
                    self._bars.stop()
                    self._bars = None
            if text:
                self._write(f"mm: {text}")

    def close(self) -> None:
        """Remove every bar."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def _quiet_line(self, key: str, text: str) -> None:
        """Write the first line of `key`, and now and then a later one that is new."""
        text = text.partition("\n")[0]
        last, when = self._lines.get(key, ("", -QUIET_SECONDS))
        now = time.monotonic()
        if text and text != last and now - when >= QUIET_SECONDS:
            self._lines[key] = (text, now)
            self._write(f"mm: {key}: {text}")

    def _display(self) -> ProgressDisplay:
        if self._bars is None:
            from orchestrator.cli.progress_display import ProgressDisplay

            self._bars = ProgressDisplay(self._stream)
            self._bars.start()
        return self._bars

    def _write(self, line: str) -> None:
        if self.quiet:
            return
        line = redacted(visible(line))
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            write_if_possible(self._stream, f"{line}\n")
