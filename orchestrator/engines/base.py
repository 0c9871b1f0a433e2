"""What every engine does: run one task in a worker that has the right model loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.connection import Event
    from orchestrator.client.launch import WorkerSpec
    from orchestrator.core.manifest import Manifest


def ignore_event(event: Event) -> None:
    """Do nothing with what a job says on the way."""


class Task(msgspec.Struct, frozen=True):
    """One job, ready to run: checked inputs and the worker that it needs.

    Attributes:
        manifest: The model's manifest.
        worker: Everything its worker is started from.
        inputs: Checked values; files as absolute paths.
        load_seconds: How long the load may take.
        run_seconds: How long the run may take, from its turn on.
        keep_alive: Seconds that a worker stays after its last job, where workers are kept.
        workers: How many workers of its kind may live at once, where the engine allows fewer.
        force: Whether to load without asking whether the memory suffices.
        cancellation: What may ask it to stop.
        on_event: Called with what the job says on the way, in the thread that runs the task.
    """

    manifest: Manifest
    worker: WorkerSpec
    inputs: Mapping[str, Any]
    load_seconds: float
    run_seconds: float
    keep_alive: float = 0
    workers: int = 1
    force: bool = False
    cancellation: Cancellation | None = None
    on_event: Callable[[Event], None] = ignore_event


class Completed(msgspec.Struct, frozen=True):
    """What a task gave: checked outputs as they are handed to the user, and seconds by part."""

    outputs: dict[str, Any]
    timings: dict[str, float]


class Engine(Protocol):
    """Runs tasks; several threads may call `run` at once."""

    def run(self, task: Task) -> Completed:
        """Run `task` to its end.

        Raises:
            JobFailed, OutputError, Rejected, Cancelled, TimedOut, Crashed, MemoryRefused,
            UsageError: As it ended.
        """

    def prepare(self, task: Task) -> None:
        """Have a worker that could run `task` loaded; the task's inputs do not matter.

        Raises:
            JobFailed, Cancelled, TimedOut, Crashed: As the load ended.
        """

    def close(self) -> None:
        """End every worker that is not to outlive the engine."""
