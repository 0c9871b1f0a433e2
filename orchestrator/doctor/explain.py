"""A failure's words against the table, and its remedy against the very model that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.doctor.examine import examine
from orchestrator.doctor.rules.failures import Match, frames, match_failures
from orchestrator.doctor.rules.records import Effect, Layer, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.doctor.rules.records import Evidence, Finding
    from orchestrator.doctor.rules.tables import Table
    from orchestrator.doctor.subject import Subject
    from orchestrator.workspace import Workspace

ALSO = {
    Layer.DTYPES: (Layer.DTYPES, Layer.CONFIGURATION),
    Layer.CONFIGURATION: (Layer.CONFIGURATION, Layer.DTYPES),
    Layer.API: (Layer.API, Layer.ENVIRONMENT),
    Layer.ENVIRONMENT: (Layer.ENVIRONMENT, Layer.API),
}
"""The layers in which the cause of a failure may be seen, where they are more than its own."""


@dataclass(frozen=True)
class Explanation:
    """What a failure comes to.

    Attributes:
        match: The entry of the table that knows it, and its words.
        where: The innermost place of the trace in the model's own code, where there is one.
        confirmed: What the layer of the failure finds in this very model; empty where nothing was
            found, or no model was named.
        looked: Whether a model was looked at.
        model: Its name.
    """

    match: Match
    where: Evidence | None
    confirmed: tuple[Finding, ...]
    looked: bool
    model: str

    @property
    def remedy(self) -> str:
        """What mends it: as this model confirms it, else in general."""
        if self.confirmed:
            return self.confirmed[0].remedy
        general = self.match.remedy(self.model)
        if self.looked and "mm patch new" in general:
            # There is nothing to draft from: the files show no such place.
            return general.partition(": mm patch new")[0] + ", by a patch of your own"
        return general

    def hint(self) -> str:
        """Return one line for somebody whose job has just failed."""
        place = f" ({self.where.file.rpartition('/')[2]}:{self.where.line})" if self.where else ""
        return (
            f"hint: {self.match.means(self.model)}{place}; {self.remedy}; "
            f"more: mm doctor {self.model}"
        )

    def document(self) -> dict[str, Any]:
        """Return the explanation as JSON has it."""
        return {
            "id": self.match.failure.id,
            "layer": self.match.failure.layer,
            "said": self.match.said,
            "means": self.match.means(self.model),
            "where": self.where._asdict() if self.where else None,
            "remedy": self.remedy,
            "confirmed": [as_json(finding) for finding in self.confirmed],
        }


def explain(
    text: str, table: Table, workspace: Workspace, subject: Subject | None = None
) -> list[Explanation]:
    """Return what the failures in a trace come to, the one that ended it first.

    Args:
        text: The trace, or a log that ends with one.
        table: The tables in use.
        workspace: The user's.
        subject: The model that failed, against which remedies are checked.
    """
    found = []
    for match in match_failures(text, table.failures):
        layer = Layer(match.failure.layer)
        confirmed: Sequence[Finding] = ()
        if subject is not None:
            layers = ALSO.get(layer, (layer,))
            seen = examine(subject, workspace, table, layers).findings
            seen = tuple(each for each in seen if each.effect is not Effect.NOTE)
            # The layer's own findings come before those of its neighbours.
            confirmed = sorted(seen, key=lambda each: layers.index(each.layer))
        found.append(
            Explanation(
                match,
                _where(text, subject),
                tuple(confirmed),
                subject is not None,
                subject.name if subject is not None else "MODEL",
            )
        )
    return found


def _where(text: str, subject: Subject | None) -> Evidence | None:
    """Return the innermost frame in a model's own code."""
    own = {name.rpartition("/")[2] for name in subject.files} if subject is not None else set()
    found = None
    for frame in frames(text):
        base = frame.file.rpartition("/")[2]
        if "transformers_modules" in frame.file or base in own:
            found = frame
    return found
