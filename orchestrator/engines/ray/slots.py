"""One actor of the cluster as the orchestrator sees it, and what it says of its own work."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.engines.ray.node import ENDS
from orchestrator.engines.ray.wire import Order, decode_error
from orchestrator.errors import EnvironmentFailure
from orchestrator.jobs.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.engines.base import PreparedModel
    from orchestrator.engines.ray.cluster import Demand
    from orchestrator.reporting import Reporter


class Lost(Exception):
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
        node: What people call its node; empty until it is placed.
        worker: The id of its worker's record on that node.
        produced_by: The receipt's part before the inputs.
        by_value: Whether files go to it as bytes, because its node does not see ours.
        said: What its model said while it was loaded, until a job takes it along.
        loaded: Seconds of that load, likewise.
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
    said: list[Any] = field(default_factory=list)
    loaded: float | None = None
    jobs: int = 0
    ready: bool = False
    asked: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0

    @property
    def state(self) -> str:
        """What `mm ps` says of it."""
        return "waiting" if not self.node else "ready" if self.ready else "starting"

    def check_greeting(self, said: Mapping[str, Any]) -> None:
        """Check that the `mm` over there is ours.

        Raises:
            EnvironmentFailure: When it is another one.
        """
        if said["mm"] != __version__:
            raise EnvironmentFailure(
                f"it has mm {said['mm']}, and the machine that runs this has {__version__}",
                where=f"node {self.node}",
                fix=f"run there: pip install 'mm-orchestrator[ray]=={__version__}'",
            )

    def open(self, variables: Mapping[str, str], reporter: Reporter) -> None:
        """Have its node prepare what a worker is started from.

        Raises:
            MMError: When it cannot.
            Lost: When the actor is gone.
        """
        order = Order(self.model.manifest, self.model.worker, variables)
        said = self.actor.open.options(num_returns="streaming").remote(order)
        self.produced_by = self._hear(said, reporter)["produced_by"]

    def load(self, reporter: Reporter) -> None:
        """Have its worker load the model.

        Raises:
            MMError, Lost: As `open`.
        """
        began = time.perf_counter()
        job = Job(self.model.name, force=self.force)
        said = self.actor.load.options(num_returns="streaming").remote(job)
        self.worker = next(iter(self._hear(said, reporter)["worker"]), "")
        self.loaded = time.perf_counter() - began

    def result(self, ended: tuple[str, Any]) -> Any:
        """Return what a call gave.

        Raises:
            MMError: As it ended.
        """
        kind, value = ended
        if kind == "error":
            raise decode_error(value, self.node)
        return value

    def _hear(self, said: Iterator[Any], reporter: Reporter) -> Any:
        """Report what the actor says of its own work, and return how that ended."""

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
                self.said.append(value)

        return self.result(listen(said, report))


def get(ref: Any) -> Any:
    """Return what an actor answers.

    Raises:
        Lost: When it is gone.
    """
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a fault of our own code there, with its traceback
    except ray.exceptions.RayError as error:
        raise Lost(str(error).partition("\n")[0]) from error


def listen(said: Iterator[Any], hear: Callable[[str, Any], None]) -> tuple[str, Any]:
    """Hand on what an actor says, and return its last word."""
    while True:
        kind, value = get(_next(said))
        if kind in ENDS:
            return kind, value
        hear(kind, value)


def _next(said: Iterator[Any]) -> Any:
    import ray

    try:
        return next(said)
    except StopIteration:
        raise Lost("it ended before it answered") from None
    except ray.exceptions.RayError as error:
        raise Lost(str(error).partition("\n")[0]) from error
