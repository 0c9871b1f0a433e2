"""One job of a server: what clients see of it, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.jobs.output_files import is_binary, media_type, pieces
from orchestrator.jobs.results import Audio
from orchestrator.serve.answers import event
from orchestrator.serve.refused import Refused
from orchestrator.serve.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.catalog import Declared
    from orchestrator.jobs.results import Result

ENDED = ("done", "failed", "cancelled")
"""The states of a job that has ended."""


@dataclass(eq=False)
class ServedJob:
    """One job.

    Attributes:
        id: What a client calls it; no one can guess it.
        model: The model.
        inputs: Its inputs; files as paths below `directory`.
        directory: The job's own.
        state: queued, running, done, failed or cancelled.
        place: How many were before it when it came.
        begun_at: When it left the queue, by `time.monotonic`; 0 before.
        progress: The last progress that the runner reported.
        result: Its outputs, once it is done.
        error: How it ended, where it did not succeed.
        events: What it reports, as server-sent events.
        on_chunk: Called with the name and the value of each chunk.
        lasting: Whether it stays after its end, and outlives the server.
        on_progress: Called with what the runner reports of its progress.
    """

    model: Declared
    inputs: Mapping[str, Any]
    directory: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "queued"
    place: int = 0
    progress: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None
    error: Refused | None = None
    events: Spool | None = None
    on_chunk: Callable[[str, Any], None] | None = None
    on_progress: Callable[[Mapping[str, Any]], None] | None = None
    begun_at: float = 0.0
    lasting: bool = False
    created: float = field(default_factory=time.time)
    ended_at: float = 0.0
    task: asyncio.Task[None] | None = None

    def shown(self) -> dict[str, Any]:
        """Return what `/jobs/ID` says of it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "model": self.model.name,
            "task": self.model.manifest.task,
            "state": self.state,
            "place": self.place,
            "created": round(self.created, 3),
            "progress": self.progress,
        }
        if self.error is not None:
            shown.update(self.error.body)
        if self.result is not None:
            names = self.result.keys()
            shown["outputs"] = {name: f"/jobs/{self.id}/outputs/{name}" for name in names}
        return shown

    async def wait(self) -> Result:
        """Return the outputs, once it has ended.

        Raises:
            Refused: When it ended otherwise.
        """
        assert self.task is not None
        await asyncio.shield(self.task)
        if self.result is None:
            raise self.error or Refused(499, "the job was cancelled", "cancelled")
        return self.result

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add an event to those that clients read."""
        if self.events is not None and not self.events.ended:
            self.events.write(event(data, kind))

    def fail(self, state: str, error: Refused) -> None:
        """Set how the job ended without its outputs, and report it."""
        self.state, self.error = state, error
        with contextlib.suppress(OSError):  # a full disk, which may be what it failed for
            self.emit("error", error.body)

    def outcome(self) -> dict[str, Any]:
        """Return the outputs as JSON: the bytes of a job that stays by their addresses."""
        assert self.result is not None
        return {
            "model": self.model.name,
            "outputs": {
                name: f"/jobs/{self.id}/outputs/{name}"
                if self.lasting and is_binary(value)
                else in_json(value)
                for name, value in self.result.items()
            },
            "warnings": list(self.result.warnings),
            "receipt": self.result.receipt,
        }

    def file_names(self) -> list[tuple[str, str]]:
        """Return the paths of the job's files, with the names of their inputs."""
        return [
            (str(path), name)
            for name, value in self.inputs.items()
            for path in (value if isinstance(value, list) else [value])
            if isinstance(path, Path)
        ]


def in_json(value: Any) -> Any:
    """Return an output as JSON holds it; the bytes of a file as a data: URL."""
    if not is_binary(value):
        return value
    kind = value.media_type if isinstance(value, Audio) else media_type(value)
    return f"data:{kind};base64,{b64encode(b''.join(pieces(value))).decode()}"
