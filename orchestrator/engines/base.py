"""What every engine does: run one task in a worker that has the right model loaded."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from orchestrator.core.canonical import digest
from orchestrator.errors import Crashed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.bundles import Bundle
    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.connection import Event
    from orchestrator.client.launch import WorkerSpec
    from orchestrator.core.manifest import Manifest


ATTEMPTS = 10
"""How often a worker that ends before a job's turn is replaced."""


def never_began(model: str) -> Crashed:
    """Return the error of a job for which worker after worker ended before its turn."""
    return Crashed(
        f"the workers of {model} end before they begin the job", fix=f"run: mm logs {model}"
    )


def ignore_event(event: Event) -> None:
    """Do nothing with what a job says on the way."""


class Elsewhere(msgspec.Struct, frozen=True, dict=True):
    """A worker that is prepared on the machine where it will run.

    Attributes:
        bundle: The model as content.
        device: The device that was chosen for it.
        dtype: The data type.
        need: Bytes of memory that the manifest says it needs; 0 where it does not say.
        threads: How many threads a job of it may use.
        record: What is known here of the model's files (JSON); empty where they are not here.
        model_dir: The directory over there that holds the model's files; empty for none.
    """

    bundle: Bundle
    device: str
    dtype: str
    need: int = 0
    threads: int | None = None
    record: bytes = b""
    model_dir: str = ""

    @cached_property
    def digest(self) -> str:
        """The digest of everything that its workers are started from."""
        return digest(
            [self.bundle.digest, self.device, self.dtype, self.record.decode(), self.model_dir]
        )


class Task(msgspec.Struct, frozen=True):
    """One job, ready to run: checked inputs and the worker that it needs.

    Attributes:
        manifest: The model's manifest.
        worker: Everything its worker is started from, here or elsewhere.
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
    worker: WorkerSpec | Elsewhere
    inputs: Mapping[str, Any]
    load_seconds: float
    run_seconds: float
    keep_alive: float = 0
    workers: int = 1
    force: bool = False
    cancellation: Cancellation | None = None
    on_event: Callable[[Event], None] = ignore_event

    @property
    def spec(self) -> WorkerSpec:
        """What its worker is started from, for engines of this machine: these get no other."""
        return cast("WorkerSpec", self.worker)


class Completed(msgspec.Struct, frozen=True):
    """What a task gave.

    Attributes:
        outputs: Checked, as they are handed to the user.
        timings: Seconds by part.
        produced_by: The receipt's part before the inputs, where only the worker's machine knows it.
        inputs: What the receipt says of the inputs, where that machine has read them.
    """

    outputs: dict[str, Any]
    timings: dict[str, float]
    produced_by: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] | None = None


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
