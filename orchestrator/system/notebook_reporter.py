"""Progress as bars in a notebook, where Python runs in the kernel of one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

INTERVAL = 0.2
"""Seconds between two changes of a bar; each is a message to the browser."""


class NotebookReporter:
    """Shows notes as lines and progress as bars below the cell that runs.

    Args:
        display: `IPython.display.display`.
        interval: Seconds between two changes of a bar.
    """

    def __init__(self, display: Callable[..., Any], interval: float = INTERVAL) -> None:
        self._display = display
        self._interval = interval
        self._lock = threading.Lock()
        self._bars: dict[str, tuple[Any, float]] = {}  # handles, and when they were changed

    def note(self, text: str) -> None:
        """Show a line."""
        self._display(_shown(escape(text), text), raw=True)

    def progress(self, key: str, text: str, done: float = 0, total: float = 0) -> None:
        """Show how far the work called `key` is."""
        amount = f' value="{done:g}" max="{total:g}"' if total else ""
        shown = _shown(
            f"{escape(key)} <progress{amount}></progress> {escape(text)}", f"{key}: {text}"
        )
        with self._lock:
            handle, changed = self._bars.get(key, (None, 0.0))
            if handle is None:
                handle = self._display(shown, raw=True, display_id=True)
            elif time.monotonic() < changed + self._interval:
                return
            else:
                handle.update(shown, raw=True)
            self._bars[key] = handle, time.monotonic()

    def finish(self, key: str, text: str = "") -> None:
        """Take the bar of the work called `key` away; a `text` stays in its place."""
        with self._lock:
            handle, _ = self._bars.pop(key, (None, 0.0))
        if handle is not None:
            handle.update(_shown(escape(text), text), raw=True)
        elif text:
            self.note(text)

    @contextmanager
    def following(
        self, key: str, on_event: Callable[[Any], None]
    ) -> Iterator[Callable[[Any], None]]:
        """Yield what receives a job's events: it shows its progress, and calls `on_event`."""

        def receive(event: Any) -> None:
            done, total = event.params.get("done"), event.params.get("total")
            if event.kind == "progress" and all(isinstance(n, (int, float)) for n in (done, total)):
                self.progress(key, str(event.params.get("text") or ""), done, total)
            on_event(event)

        try:
            yield receive
        finally:
            self.finish(key)


def notebook_reporter() -> NotebookReporter | None:
    """Return a reporter where this process is the kernel of a notebook, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    return NotebookReporter(display)


def _shown(html: str, text: str) -> dict[str, str]:
    return {"text/html": f"<div>{html}</div>" if html else "", "text/plain": text}
