"""The jobs of a model: loaded once, run with retries, and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

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

Prepared = TypeVar("Prepared")

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

    def model_for(self, job: Job) -> str:
        """Return the model that runs a job of a task.

        Raises:
            MMError: When none does.
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


def ignore_preparation(part: str, began: float, seconds: float) -> None:
    """Do nothing with a preparation of a model."""


class JobRunner:
    """Runs the jobs of one model, in several threads at once.

    Args:
        jobs: Runs each attempt.
        job: What all jobs have in common.
        retries: How often a job that failed is tried again.
        in_flight: Where running jobs are counted.
        on_prepared: Called once after the model's "environment" is there, and once after its first
            "load", with when that began (seconds of `time.time()`) and how long it took.
    """

    def __init__(
        self,
        jobs: Jobs,
        job: Job,
        retries: int,
        in_flight: InFlightJobs,
        on_prepared: Callable[[str, float, float], None] = ignore_preparation,
    ) -> None:
        self._jobs = jobs
        # Its results are of one identity, whatever is edited while it runs.
        self._job = job if job.models is not None else replace(job, models={})
        self._retries = retries
        self._in_flight = in_flight
        self._on_prepared = on_prepared
        self._building, self._loading = threading.Lock(), threading.Lock()
        self._producer: Mapping[str, Any] | None = None
        self._loaded = False
        self._unusable: ModelUnusable | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self._job.name

    def produced_by(self) -> Mapping[str, Any]:
        """Return what decides the results, beside the inputs; build what is missing first.

        Raises:
            ModelUnusable: When the model cannot run here.
            Cancelled: When everything was stopped meanwhile.
        """
        with self._building:
            if self._producer is None:
                self._producer = self._prepare("environment", self._jobs.produced_by)
            return self._producer

    def load(self) -> None:
        """Have a worker loaded, once.

        Raises:
            ModelUnusable: When it cannot be loaded, now or at an earlier call.
            Cancelled: When everything was stopped meanwhile.
        """
        with self._loading:
            if not self._loaded:
                self._prepare("load", self._jobs.load)
                self._loaded = True

    def _prepare(self, part: str, prepare: Callable[[Job], Prepared]) -> Prepared:
        if self._unusable is not None:
            raise self._unusable
        began, started = time.time(), time.perf_counter()
        try:
            with self._in_flight.cancellation() as cancellation:
                prepared = prepare(replace(self._job, cancellation=cancellation))
        except Cancelled:
            raise
        except MMError as error:
            self._unusable = ModelUnusable(error)
            raise self._unusable from error
        self._on_prepared(part, began, time.perf_counter() - started)
        return prepared

    def run(self, inputs: Mapping[str, Any], language: str = "") -> Result:
        """Run one job, again where it failed in a way that another attempt may not meet.

        Args:
            inputs: Its inputs.
            language: That of its text, where it is known apart from them.

        Raises:
            ModelUnusable: When every other job of the model would fail as well.
            MMError: As the last attempt ended.
        """
        job = replace(self._job, inputs=inputs, language=language)

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


class JobRunners:
    """The runners of jobs of which each may have a model of its own: the one for its language.

    Args:
        jobs: Runs jobs, and knows the model of each.
        job: What all jobs have in common; where it has candidates, its name is their task.
        make: Makes the runner of a job's model.
    """

    def __init__(self, jobs: Jobs, job: Job, make: Callable[[Job], JobRunner]) -> None:
        self._jobs = jobs
        self._job = job if job.models is not None else replace(job, models={})
        self._make = make
        self._lock = threading.Lock()
        self._runners: dict[str, JobRunner] = {}

    def of(self, inputs: Mapping[str, Any], language: str = "") -> JobRunner:
        """Return the runner for a job with these inputs, always the same for a model.

        Args:
            inputs: The inputs.
            language: As for `JobRunner.run`.

        Raises:
            MMError: When no model speaks their language.
        """
        job = self._job
        if job.candidates:
            model = self._jobs.model_for(replace(job, inputs=inputs, language=language))
            job = replace(job, name=model, candidates=())
        with self._lock:
            if job.name not in self._runners:
                self._runners[job.name] = self._make(job)
            return self._runners[job.name]
