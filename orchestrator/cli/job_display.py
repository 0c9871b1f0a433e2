"""What a running job shows: progress and log lines on standard error, its stream on output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.cli.context import Context
    from orchestrator.cli.progress import TerminalReporter
    from orchestrator.cli.streaming import SoundFile, Stream
    from orchestrator.jobs.job import Event
    from orchestrator.session import Session


def print_log(reporter: TerminalReporter, model: str, event: Event) -> None:
    """Print what a job logs, and nothing else of it."""
    if event.kind == "log":
        reporter.line(f"{model}: {event.params.get('text')}")


class JobDisplay:
    """Shows the events of one job.

    Attributes:
        stream: Where the chunks of one output go while the job runs, if anywhere.
        files: Where those of others go.
        chunks: The other chunks: pairs of an output's name and a part of it.
    """

    def __init__(self, context: Context, declared: Declared, session: Session) -> None:
        self._reporter = context.reporter
        self._declared = declared
        self._model = declared.manifest.name
        self._session = session
        self.stream: Stream | None = None
        self.files: Mapping[str, SoundFile] = {}
        self.chunks: list[tuple[str, Any]] = []

    def on_event(self, event: Event) -> None:
        """Show an event, or keep its chunk."""
        params = event.params
        if event.kind == "chunk":
            self._on_chunk(str(params.get("output")), self._session.chunk(self._declared, event))
        elif event.kind == "waiting":
            self._reporter.progress(self._model, f"waiting; {params.get('place')} before this job")
        elif event.kind == "log":
            print_log(self._reporter, self._model, event)
        elif event.kind == "progress" and not (self._streams and sys.stdout.isatty()):
            done, total = params.get("done"), params.get("total")
            if isinstance(done, (int, float)) and isinstance(total, (int, float)):
                text = str(params.get("text") or "")
                self._reporter.progress(self._model, text, done, total)

    def close(self) -> None:
        """Remove the progress bar."""
        self._reporter.finish(self._model)

    @property
    def _streams(self) -> bool:
        """Whether the output itself shows the job's progress."""
        return self.stream is not None and self.stream.began

    def _on_chunk(self, output: str, value: Any) -> None:
        if self.stream is None or self.stream.name != output:
            self.chunks.append((output, value))
            if output in self.files:
                self.files[output].chunk(value)
            return
        if not self.stream.began and sys.stdout.isatty():
            self.close()  # a bar and text would mix
        self.stream.chunk(value)
