"""What pipelines need of whoever runs models: a port, and a session behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.engines.base import ignore_event
from orchestrator.session import JobOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.connection import Event
    from orchestrator.core.pipelines.declaration import Step
    from orchestrator.results import Result
    from orchestrator.session import Session


@dataclass(frozen=True)
class Call:
    """Which model is to run, and how; `workers` is how many of its workers may live at once."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    timeout: float | None = None
    workers: int = 1


def call_of(step: Step, model: str) -> Call:
    """Return the call that a step makes of the model that stands for it."""
    return Call(model, step.device, step.dtype, step.timeout, step.workers)


class Models(Protocol):
    """Runs models; called from several threads at once."""

    def producer(self, call: Call) -> Mapping[str, Any]:
        """Return what would decide the results, beside the inputs; build what is missing first.

        Raises:
            MMError: When the model cannot run here.
        """

    def prepare(self, call: Call, cancellation: Cancellation | None) -> None:
        """Have one worker of the model loaded; does nothing where there is one.

        Raises:
            MMError: When it does not load.
        """

    def execute(
        self, call: Call, inputs: Mapping[str, Any], cancellation: Cancellation | None
    ) -> Result:
        """Run one job.

        Raises:
            MMError: As the job ended.
        """


class SessionModels:
    """The models of a `Session`.

    Args:
        session: Whose workers run the jobs.
        on_event: Called with a model's name and what its jobs say on the way.
    """

    def __init__(
        self,
        session: Session,
        on_event: Callable[[str, Event], None] | None = None,
    ) -> None:
        self._session = session
        self._on_event = on_event

    def producer(self, call: Call) -> Mapping[str, Any]:
        """Return the receipt's part before the inputs."""
        return self._session.produced_by(call.model, self._options(call, None))

    def prepare(self, call: Call, cancellation: Cancellation | None) -> None:
        """Have one worker loaded."""
        self._session.prepare(call.model, self._options(call, cancellation))

    def execute(
        self, call: Call, inputs: Mapping[str, Any], cancellation: Cancellation | None
    ) -> Result:
        """Run one job."""
        return self._session.execute(call.model, inputs, self._options(call, cancellation))

    def _options(self, call: Call, cancellation: Cancellation | None) -> JobOptions:
        hear = self._on_event
        return JobOptions(
            device=call.device,
            dtype=call.dtype,
            timeout=call.timeout,
            workers=call.workers,
            cancellation=cancellation,
            on_event=ignore_event if hear is None else lambda event: hear(call.model, event),
        )
