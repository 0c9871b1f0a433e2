"""`mm doctor MODEL --run`: the smallest real job, and, if it fails, what that failure means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.comparison import smallest_inputs
from orchestrator.doctor.explain import Explanation, explain, words_of
from orchestrator.doctor.gather import CheckOptions
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import Table
from orchestrator.errors import Cancelled, MMError
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Ended:
    """How the smallest job ended.

    Attributes:
        model: The model.
        device: Where it ran.
        dtype: In which dtype.
        seconds: How long it took, load included; None where it failed.
        error: What it failed with, or nothing.
        explanations: What that means.
    """

    model: str
    device: str
    dtype: str
    seconds: float | None
    error: str = ""
    explanations: tuple[Explanation, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it ran to its end."""
        return self.seconds is not None

    @property
    def sentence(self) -> str:
        """How it ended, in one line."""
        how = f"run: {self.model} on {self.device} in {self.dtype}"
        if self.seconds is not None:
            return f"{how}: done in {self.seconds:.1f} s"
        known = "" if self.explanations else "; no known failure is in its words"
        return f"{how}: failed: {self.error}{known}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "seconds": self.seconds,
            "error": self.error or None,
            "explanations": [each.document() for each in self.explanations],
        }


def run_smallest(
    workspace: Workspace, subject: Subject, options: CheckOptions, table: Table
) -> Ended:
    """Run the smallest job that the manifest of a model allows, in a worker of its own.

    Raises:
        UsageError: When no input can be made up.
        Cancelled: When the user stopped it.
    """
    from orchestrator.jobs.job import Job
    from orchestrator.session import Session

    assert subject.manifest is not None
    model, conditions = subject.name, subject.conditions
    with Session(workspace=workspace) as session:
        inputs = smallest_inputs(subject.manifest, session.spool())
        try:
            job = Job(model, inputs, device=options.device, dtype=options.dtype)
            result = session.execute(job)
        except Cancelled:
            raise
        except MMError as error:
            found = tuple(explain(words_of(error), table, subject))
            return Ended(model, conditions.device, conditions.dtype, None, str(error), found)
        seconds = sum(result.timings.values())
        return Ended(model, conditions.device, conditions.dtype, seconds)
