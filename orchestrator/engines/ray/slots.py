"""One actor of the cluster as the driver sees it, and the messages that it sends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.engines.ray.node import FINAL_KINDS
from orchestrator.engines.ray.transport import WorkerOrder, decode_error
from orchestrator.errors import EnvironmentFailure
from orchestrator.jobs.job import Job
from orchestrator.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.engines.interface import PreparedModel
    from orchestrator.engines.ray.cluster import Demand
    from orchestrator.system.reporter import Reporter


class ActorLost(Exception):
    """An actor is gone: its node, its process or the way to it."""


@dataclass(eq=False)
class Slot:
    """One actor and what is known of it.

    Attributes:
        key: The digest of what its worker is started from.
        model: What its worker is made from.
        force: Whether the model is loaded without asking whether the memory suffices.
        demand: What it asks Ray for.
        actor: Ray's handle of it.
        node: Its node's host name; empty until it is placed.
        worker: The id of its worker's record on that node.
        produced_by: The receipt's part before the inputs.
        by_value: Whether files go to it as bytes, because its node does not see ours.
        load_events: Events of its load that no job has received yet.
        loaded: Seconds of that load, until a job reports them.
        jobs: How many jobs it has run.
        ready: Whether it may take jobs.
        asked: When it was asked for (seconds of `time.monotonic`, as below).
        idle_since: When it had its last one.
    """

    key: str
    model: PreparedModel
    force: bool
    demand: Demand
    actor: Any
    node: str = ""
    worker: str = ""
    produced_by: Mapping[str, Any] | None = None
    by_value: bool = False
    load_events: list[Any] = field(default_factory=list)
    loaded: float | None = None
    jobs: int = 0
    ready: bool = False
    asked: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0

    @property
    def kind(self) -> tuple[str, str, str]:
        """What does not change by an edit of the model's files: its name, device and data type."""
        return self.model.name, self.model.worker.device, self.model.worker.dtype

    @property
    def state(self) -> str:
        """What `mm ps` says of it."""
        return "waiting" if not self.node else "ready" if self.ready else "starting"

    def check_version(self, hello: Mapping[str, Any]) -> None:
        """Check that the node has the same `mm`.

        Raises:
            EnvironmentFailure: When it is another one.
        """
        if hello["mm"] != __version__:
            raise EnvironmentFailure(
                f"it has mm {hello['mm']}, and the machine that runs this has {__version__}",
                where=f"node {self.node}",
                fix=f"run there: pip install 'mm-orchestrator[ray]=={__version__}'",
            )

    def open(self, variables: Mapping[str, str], reporter: Reporter) -> None:
        """Have its node prepare what a worker is started from.

        Raises:
            MMError: When it cannot.
            ActorLost: When the actor is gone.
        """
        order = WorkerOrder(self.model.manifest, self.model.worker, variables)
        messages = self.actor.open.options(num_returns="streaming").remote(order)
        self.produced_by = self._consume(messages, reporter)["produced_by"]

    def load(self, reporter: Reporter) -> None:
        """Have its worker load the model.

        Raises:
            MMError, ActorLost: As `open`.
        """
        began = time.perf_counter()
        limit = self.model.load_timeout
        job = Job(self.model.name, force=self.force, load_timeout=limit)
        messages = self.actor.load.options(num_returns="streaming").remote(job)
        self.worker = next(iter(self._consume(messages, reporter)["worker"]), "")
        self.loaded = time.perf_counter() - began

    def result(self, outcome: tuple[str, Any]) -> Any:
        """Return the result of a call from its last message.

        Raises:
            MMError: Where that is an error.
        """
        kind, value = outcome
        if kind == "error":
            raise decode_error(value, self.node)
        return value

    def _consume(self, messages: Iterator[Any], reporter: Reporter) -> Any:
        """Report the actor's notes and progress, keep its events, and return the result."""

        def report(kind: str, value: Any) -> None:
            if kind == "note":
                reporter.note(f"{self.node}: {value}")
            elif kind == "progress":
                key, *rest = value
                reporter.progress(f"{self.node}: {key}", *rest)
            elif kind == "finish":
                key, text = value
                reporter.finish(f"{self.node}: {key}", text and f"{self.node}: {text}")
            else:
                self.load_events.append(value)

        return self.result(consume(messages, report))


def get(ref: Any) -> Any:
    """Return an actor's answer.

    Raises:
        ActorLost: When it is gone.
    """
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of our own code there, with its traceback
    except ray.exceptions.RayError as error:
        raise ActorLost(str(error).partition("\n")[0]) from error


def consume(messages: Iterator[Any], on_message: Callable[[str, Any], None]) -> tuple[str, Any]:
    """Pass an actor's messages on, and return the last one."""
    while True:
        kind, value = get(_next(messages))
        if kind in FINAL_KINDS:
            return kind, value
        on_message(kind, value)


def _next(messages: Iterator[Any]) -> Any:
    import ray

    try:
        return next(messages)
    except StopIteration:
        raise ActorLost("it ended before it answered") from None
    except ray.exceptions.RayError as error:
        raise ActorLost(str(error).partition("\n")[0]) from error
