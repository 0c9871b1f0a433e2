"""The jobs of one model: loaded once, run with retries, and stopped together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from orchestrator.errors import (
    Cancelled,
    Crashed,
    EnvironmentFailure,
    JobFailed,
    MachineRefused,
    ManifestError,
    MemoryRefused,
    MMError,
    OutputError,
    SourceError,
    TimedOut,
)
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.job import Job
from orchestrator.jobs.results import Result
from orchestrator.jobs.retries import with_retries

RETRYABLE = (JobFailed, OutputError, Crashed, TimedOut)
"""Failures that another attempt may not meet; a rejected input stays rejected."""

FATAL = (EnvironmentFailure, MachineRefused, ManifestError, MemoryRefused, SourceError)
"""Failures that every other job of the model would meet as well; so is a load that failed."""


class Jobs(Protocol):
    """Runs jobs, in several threads at once; a `Session` does."""

    def produced_by(self, job: Job) -> Mapping[str, Any]:
        """Return what decides the results, beside the inputs; build what is missing first.

        Raises:
            MMError: When the model cannot run here.
        """

    def load(self, job: Job) -> None:
        """Have one worker of the model loaded; does nothing where there is one.

        Raises:
            MMError: When it does not load.
        """

    def execute(self, job: Job) -> Result:
        """Run one job.

        Raises:
            MMError: As the job ended.
        """


class ModelUnusable(Exception):
    """No job of the model can run; `cause` says why."""

    def __init__(self, cause: MMError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class JobRunner:
    """Runs the jobs of one model, in several threads at once.

    Args:
        jobs: Runs each attempt.
        job: What all jobs have in common.
        retries: How often a job that failed is tried again.
        in_flight: Where running jobs are counted.
    """

    def __init__(self, jobs: Jobs, job: Job, retries: int, in_flight: InFlightJobs) -> None:
        self._jobs = jobs
        # Its results are of one identity, whatever is edited while it runs.
        self._job = job if job.models is not None else replace(job, models={})
        self._retries = retries
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self._loaded = False
        self._unusable: ModelUnusable | None = None

    def produced_by(self) -> Mapping[str, Any]:
        """Return what decides the results, beside the inputs; build what is missing first.

        Raises:
            ModelUnusable: When the model cannot run here.
            Cancelled: When everything was stopped meanwhile.
        """
        try:
            with self._in_flight.cancellation() as cancellation:
                return self._jobs.produced_by(replace(self._job, cancellation=cancellation))
        except Cancelled:
            raise
        except MMError as error:
            raise ModelUnusable(error) from error

    def load(self) -> bool:
        """Have a worker loaded, once; return whether this call loaded it.

        Raises:
            ModelUnusable: When it cannot be loaded, now or at an earlier call.
            Cancelled: When everything was stopped meanwhile.
        """
        with self._lock:
            if self._unusable is not None:
                raise self._unusable
            if self._loaded:
                return False
            try:
                with self._in_flight.cancellation() as cancellation:
                    self._jobs.load(replace(self._job, cancellation=cancellation))
            except Cancelled:
                raise
            except MMError as error:
                self._unusable = ModelUnusable(error)
                raise self._unusable from error
            self._loaded = True
            return True

    def run(self, inputs: Mapping[str, Any]) -> Result:
        """Run one job, again where it failed in a way that another attempt may not meet.

        Raises:
            ModelUnusable: When every other job of the model would fail as well.
            MMError: As the last attempt ended.
        """
        job = replace(self._job, inputs=inputs)

        def attempt() -> Result:
            with self._in_flight.cancellation() as cancellation:  # one used before may be spent
                return self._jobs.execute(replace(job, cancellation=cancellation))

        def pause(error: MMError, left: int) -> None:
            del left
            self._in_flight.pause(error.retry_after)

        try:
            return with_retries(attempt, self._retries, RETRYABLE, pause)
        except MMError as error:
            if isinstance(error, FATAL) or error.retry_after:
                raise ModelUnusable(error) from error
            raise
