"""What every engine does: run a job in a worker that has the right model loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from orchestrator.errors import Crashed
from orchestrator.system.file_stamps import FileStamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.client.launch import WorkerSpec
    from orchestrator.core.manifest import Manifest
    from orchestrator.engines.ray.remote_spec import RemoteWorkerSpec
    from orchestrator.environments.build import Unpublished
    from orchestrator.jobs.job import Job


ATTEMPTS = 10
"""How often a worker that ends before a job's turn is replaced."""


def never_began(model: str) -> Crashed:
    """Return the error of a job for which worker after worker ended before its turn."""
    return Crashed(
        f"the workers of {model} end before they begin the job",
        fix=f"run: mm logs {model}",
        fix_in_code="",
    )


class PreparedModel(msgspec.Struct, frozen=True):
    """A model whose environment and files are there: what its jobs have in common.

    Attributes:
        manifest: The model's manifest.
        worker: What its workers are started from, on this machine or on the node of a cluster.
        produced_by: Returns the part of a receipt that does not depend on the inputs.
        load_timeout: Seconds that its load may take, instead of the manifest's `timeouts.load`.
        stamps: Of the files that this was derived from.
        unpublished: Its environment, while the load of its first worker stands for the probes.
    """

    manifest: Manifest
    worker: WorkerSpec | RemoteWorkerSpec
    produced_by: Callable[[], Mapping[str, Any]]
    load_timeout: float | None = None
    stamps: FileStamps = msgspec.field(default_factory=FileStamps)
    unpublished: Unpublished | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def spec(self) -> WorkerSpec:
        """What its workers are started from, for engines of this machine: these get no other."""
        return cast("WorkerSpec", self.worker)

    @property
    def load_seconds(self) -> float:
        """How long its load may take."""
        return self.manifest.timeouts.load if self.load_timeout is None else self.load_timeout

    def run_seconds(self, job: Job) -> float:
        """Return how long `job` may run, from its turn on."""
        return self.manifest.timeouts.run if job.timeout is None else job.timeout

    def keep_alive(self, job: Job) -> float:
        """Return the seconds that a kept worker which is started for `job` stays after it."""
        asked = job.keep_alive
        return self.manifest.keep_alive_seconds if asked is None else asked


class EngineResult(msgspec.Struct, frozen=True):
    """What a job gave.

    Attributes:
        outputs: Checked, as they are handed to the user.
        timings: Seconds by part.
        produced_by: The receipt's part before the inputs, where only the worker's machine knows it.
        inputs: What the receipt says of the inputs, where that machine has read them.
        warnings: Why the result may not be what was asked for; a line each.
        directories: What holds its files; those of the session's scratch directory.
    """

    outputs: dict[str, Any]
    timings: dict[str, float]
    produced_by: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


class Engine(Protocol):
    """Runs jobs; several threads may call `run` at once."""

    def run(self, job: Job, model: PreparedModel) -> EngineResult:
        """Run `job` to its end.

        Raises:
            JobFailed, OutputError, Rejected, Cancelled, TimedOut, Crashed, MemoryRefused,
            UsageError: As it ended.
        """

    def load(self, job: Job, model: PreparedModel) -> None:
        """Have a worker that could run `job` loaded; the job's inputs do not matter.

        Raises:
            JobFailed, Cancelled, TimedOut, Crashed: As the load ended.
        """

    def close(self) -> None:
        """End every worker that is not to outlive the engine."""
