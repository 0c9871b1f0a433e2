"""The record of one job, from the caller to the connection of its worker."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.devices import AUTO
from orchestrator.core.units import MAX_SECONDS, timeout_problem
from orchestrator.errors import UsageError
from orchestrator.system.waiting import ENDLESS, Deadline

if TYPE_CHECKING:
    from orchestrator.jobs.cancellation import Cancellation

GRACE = 5.0
"""Seconds in which a runner that was asked to stop may do so by itself."""


class Event(msgspec.Struct, frozen=True):
    """What a job says before it ends.

    `kind` is "waiting" (with its `place`: how many are before it), "started", "progress", "log" or
    "chunk".
    """

    kind: str
    params: dict[str, Any]
    buffers: list[memoryview]


def ignore_event(event: Event) -> None:
    """Do nothing with an event of a job."""


class Job(msgspec.Struct, frozen=True):
    """One call of one model: its inputs, and how it is to run.

    The command line, the Python API and pipelines make it; a session checks its inputs and hands
    it to an engine.

    Attributes:
        name: A task or a model.
        inputs: Values by name; a session's engine gets them checked, with files as absolute paths.
        model: The model that stands for the task, instead of the one for its inputs' language.
        device: "auto", or one that the manifest lists.
        dtype: "auto", or one that the manifest lists for the device.
        timeout: Seconds that the run may take, instead of the manifest's `timeouts.run`.
        load_timeout: Seconds that the load may take, instead of `timeouts.load`.
        deadline: What ends it wherever it stands: every wait for others, the load and the run. Its
            clock is stopped while the job's own environment is built.
        cancellation: Asks the job to stop.
        grace: Seconds that it may take to end by itself when it was asked to stop once.
        on_event: Called with progress, log lines, chunks and the place in the queue, in the thread
            that runs the job.
        retries: How often the job may be run again when its worker has crashed.
        keep_alive: Seconds that a worker of the command line stays after its last job from now on.
            By default as long as before, and as the manifest's `keep_alive` says where the job
            starts it. Workers of a session stay as long as the session.
        force: Whether to load the model without asking whether the memory suffices.
        workers: How many workers of the model may live at once, where the session allows fewer.
        models: Keeps the models of jobs that belong together: from the first of them on, they stay
            as they are, whatever is edited meanwhile. By default each job sees every edit.
        wait: Whether to wait for memory that busy workers hold, instead of refusing the job.
        candidates: The only models that may stand for the task; by default all.
        language: The tag of the language of the input `text`, where the caller knows it: it chooses
            the model, which gets it as its input `language` if it takes it.
    """

    name: str
    inputs: Mapping[str, Any] = {}
    model: str | None = None
    device: str = AUTO
    dtype: str = AUTO
    timeout: float | None = None
    load_timeout: float | None = None
    deadline: Deadline = ENDLESS
    cancellation: Cancellation | None = None
    grace: float = GRACE
    on_event: Callable[[Event], None] = ignore_event
    retries: int = 0
    keep_alive: float | None = None
    force: bool = False
    workers: int = 1
    models: dict[Any, Any] | None = None
    wait: bool = False
    candidates: tuple[str, ...] = ()
    language: str = ""

    def __post_init__(self) -> None:
        """Check the times.

        Raises:
            UsageError: When no job can have them.
        """
        for what, seconds in (("time-out", self.timeout), ("load time-out", self.load_timeout)):
            if seconds is not None and (problem := timeout_problem(seconds)):
                raise UsageError(f"the {what} {problem}")
        stay = self.keep_alive
        if stay is not None and not (0 <= stay <= MAX_SECONDS or stay == math.inf):
            raise UsageError(f"a worker cannot stay for {self.keep_alive} seconds")
