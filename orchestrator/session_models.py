"""What a session knows of its models, for as long as the files behind it stay as they are.

A job of a model that is known costs the comparison of a few files' stamps; after an edit the next
job reads them again, as `mm run` does. A job that has begun ends with what it began with.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.core.languages import wanted
from orchestrator.engines.start_failures import FAILED_STARTS
from orchestrator.errors import Crashed
from orchestrator.system.waiting import ENDLESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.catalog import Declared
    from orchestrator.core.languages import Wanted
    from orchestrator.engines.interface import Engine, PreparedModel
    from orchestrator.engines.preparing import Preparer
    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.jobs.job import Job
    from orchestrator.workspace import ChosenModel, Workspace


class SessionModels:
    """Chooses and prepares models; called from several threads.

    Args:
        workspace: The user's world.
        preparer: Prepares them.
        engine: Loads a model where that stands for the probes of its environment.
    """

    def __init__(self, workspace: Workspace, preparer: Preparer, engine: Engine) -> None:
        self._workspace = workspace
        self._preparer = preparer
        self._engine = engine
        self._choices: dict[object, ChosenModel] = {}
        self._prepared: dict[tuple[str, str, str], tuple[Declared, PreparedModel]] = {}
        self._failed = False
        self._lock = threading.Lock()

    def choose(self, job: Job) -> Declared:
        """Return the model that a job's name stands for: of a task, the one for its language.

        Raises:
            MMError: As `Workspace.choose` and `Preparer.check`.
        """
        key = choice_key(job)
        if job.models is not None and key in job.models:
            declared: Declared = job.models[key]
            return declared
        choice = self._choices.get(key)
        if choice is None or not choice.stamps.unchanged():
            choice = self._choices[key] = self._choose(job, key[2])
        if job.models is not None:
            job.models.setdefault(key, choice.declared)
        return choice.declared

    def prepare(
        self, declared: Declared, job: Job, *, runs: bool = True
    ) -> tuple[PreparedModel, float]:
        """Return a job's model with all that it needs, and the seconds that this took.

        Args:
            declared: The model.
            job: The job.
            runs: Whether the job is run next; else it does not matter whether the model loads.

        Raises:
            MMError: As `Preparer.prepare`.
        """
        key = (declared.name, job.device, job.dtype)
        if job.models is not None and key in job.models:
            return _limited(job.models[key], job), 0.0
        known, model = self._prepared.get(key, (None, None))
        seconds = 0.0
        if model is None or known != declared or not model.stamps.unchanged():
            began = time.perf_counter()
            load = partial(self._load, job, runs=runs)
            with job.deadline.paused(), self._reading():
                model = self._preparer.prepare(
                    declared, job.device, job.dtype, job.deadline, job.cancellation, load
                )
            self._prepared[key] = (declared, model)
            seconds = time.perf_counter() - began
        if job.models is not None:
            model = job.models.setdefault(key, model)
        return _limited(model, job), seconds

    def _load(
        self, job: Job, model: PreparedModel, cancellation: Cancellation, *, runs: bool
    ) -> None:
        """Have a worker loaded for `job`, in place of the probes of its environment."""
        # Others may wait for this build: one worker, and the job's own time does not run.
        first = replace(job, cancellation=cancellation, deadline=ENDLESS, workers=1)
        try:
            self._engine.load(first, _limited(model, job))
        except FAILED_STARTS as error:
            if runs and not (job.retries and isinstance(error, Crashed)):
                raise

    def _choose(self, job: Job, wanted: Wanted | None) -> ChosenModel:
        with self._reading():
            with self._lock:  # the manifests are read by one thread
                self._workspace.refresh()
                choice = self._workspace.choose(job.name, job.model, wanted, job.candidates)
            noted = {known.reason for known in list(self._choices.values())}
            if choice.reason and choice.reason not in noted:
                self._workspace.reporter.note(choice.reason)
            self._preparer.check(choice.declared, job.device, job.dtype)  # before anything is built
        return choice

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """After an error, read everything anew: what was missing may be there now."""
        if self._failed:
            self._failed = False
            self._choices.clear()
            self._workspace.refresh(everything=True)
        try:
            yield
        except BaseException:
            self._failed = True
            raise


def _limited(model: PreparedModel, job: Job) -> PreparedModel:
    limit = job.load_timeout
    return model if limit is None else replace(model, load_timeout=limit)


def choice_key(job: Job) -> tuple[str, str | None, Wanted | None, tuple[str, ...]]:
    """Return what decides which model a job's name stands for: its key in `Job.models`."""
    return (
        job.name,
        job.model,
        None if job.model else wanted(job.inputs, job.language),
        job.candidates,
    )
