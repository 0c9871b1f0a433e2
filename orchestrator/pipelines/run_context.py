"""What all steps of one run share: how it is run, what runs its jobs, who observes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.job import Event
from orchestrator.pipelines.job_runner import Jobs
from orchestrator.pipelines.result_store import ResultStore
from orchestrator.pipelines.run_events import RunEvent, ignore_event


@dataclass(frozen=True)
class RunOptions:
    """How a pipeline is run, beside its inputs.

    Attributes:
        keep_going: Whether other items go on after one failed.
        retries: How often a job that failed is tried again.
        cache: Whether results that are kept are used, and new ones kept.
        force: Steps that run though their results are kept.
    """

    keep_going: bool = False
    retries: int = 0
    cache: bool = True
    force: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        """Return them as plain data, for the record of a run."""
        return asdict(self) | {"force": sorted(self.force)}


@dataclass(frozen=True)
class RunContext:
    """What all steps of one run share.

    Attributes:
        jobs: Runs jobs of models.
        store: Where results are kept.
        scratch: Makes an empty directory for a built-in step.
        options: How the pipeline is run.
        in_flight: The jobs that run now.
        on_event: Called with what happens in the run, from any thread.
        on_job_event: Called with a model's name and each event of its jobs, where wanted.
        models: What `Job.models` is for every step.
    """

    jobs: Jobs
    store: ResultStore
    scratch: Callable[[], Path]
    options: RunOptions
    in_flight: InFlightJobs
    on_event: Callable[[RunEvent], None] = ignore_event
    on_job_event: Callable[[str, Event], None] | None = None
    models: dict[Any, Any] = field(default_factory=dict)
