"""A failure's words against the table, and its remedy against the model that failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from orchestrator.catalog import Declared
from orchestrator.doctor.examine import examine
from orchestrator.doctor.gather import CheckOptions, load_tables, model_subject
from orchestrator.doctor.rules.findings import Evidence, Finding, Layer, document
from orchestrator.doctor.rules.module_rules import BRINGS
from orchestrator.doctor.rules.packages import TRANSFORMERS, Answer
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import Table
from orchestrator.doctor.rules.traces import Match, frames, match_failures
from orchestrator.errors import MMError
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
    """What a known failure means.

    Attributes:
        match: The entry of the table that knows it, and its words.
        where: The innermost place of the trace in the model's own code, where there is one.
        confirmed: What the layer of the failure finds in the model; empty where nothing was
            found, or no model was named.
        checked: The model that was checked; empty for none.
        refuted: Whether the model shows that the failure has another cause than its words name.
    """

    match: Match
    where: Evidence | None
    confirmed: tuple[Finding, ...] = ()
    checked: str = ""
    refuted: bool = False

    @property
    def model(self) -> str:
        """The model's name in commands."""
        return self.checked or "MODEL"

    @property
    def remedy(self) -> str:
        """What fixes it: as the model confirms it, else in general."""
        if self.confirmed:
            return self.confirmed[0].remedy
        general = self.match.remedy(self.model)
        if self.checked and "mm patch new" in general:
            # There is nothing to draft from: the files show no such place.
            return general.partition(": mm patch new")[0] + ", by a patch of your own"
        return general

    def hint(self) -> str:
        """Return one line for the user whose job has just failed."""
        # What is wrong with the environment itself is closer to the cause than the words.
        seen = [each for each in self.confirmed if each.layer is Layer.ENVIRONMENT][:1]
        means = seen[0].finding if seen else self.match.means(self.model)
        place = f" ({self.where.file.rpartition('/')[2]}:{self.where.line})" if self.where else ""
        return f"hint: {means}{place}; {self.remedy}; more: mm doctor {self.model}"

    def document(self) -> dict[str, Any]:
        """Return the explanation as JSON has it."""
        return {
            "id": self.match.failure.id,
            "layer": self.match.failure.layer,
            "said": self.match.said,
            "means": self.match.means(self.model),
            "where": document(self.where) if self.where else None,
            "remedy": self.remedy,
            "confirmed": [document(finding) for finding in self.confirmed],
        }


def explain(text: str, table: Table, subject: Subject | None = None) -> list[Explanation]:
    """Return what the failures in a trace mean, the one that ended it first.

    Args:
        text: The trace, or a log that ends with one.
        table: The tables in use.
        subject: The model that failed, against which remedies are checked.
    """
    found = []
    for match in match_failures(text, table.failures):
        if subject is None:
            found.append(Explanation(match, _where(text, frozenset())))
            continue
        layer = Layer(match.failure.layer)
        layers = ALSO.get(layer, (layer,))
        # The layer's own findings come before those of its neighbours.
        seen = sorted(examine(subject, layers).wrong, key=lambda each: layers.index(each.layer))
        seen = [each for each in seen if _is_about(each, match)]
        own = frozenset(name.rpartition("/")[2] for name in subject.files)
        refuted = not seen and (match.failure.confirm or _is_there(match, subject))
        found.append(Explanation(match, _where(text, own), tuple(seen), subject.name, refuted))
    return found


NAMING = ("name", "attribute", "module", "packages", "package", "file", "shard")
"""The groups of patterns that name what is missing."""


def _named(match: Match) -> set[str]:
    """Return what the words of a failure say is missing, modules by their first names as well."""
    found = next((match.groups[group] for group in NAMING if match.groups.get(group)), "")
    words = {word.strip() for word in found.split(",")} - {""}
    tops = {word.partition(".")[0] for word in words if "/" not in word} - {TRANSFORMERS}
    return {*words, *tops, *(BRINGS[top] for top in tops if top in BRINGS)}


def _is_about(finding: Finding, match: Match) -> bool:
    """Say whether a finding names what a failure names, if that names anything."""
    named = _named(match)
    text = "\n".join([finding.finding, *(each.quote for each in finding.evidence)])
    return not named or any(re.search(rf"\b{re.escape(word)}\b", text) for word in named)


def _is_there(match: Match, subject: Subject) -> bool:
    """Say whether the environment has the module that a failure says it has not."""
    module = match.groups.get("module", "")
    if subject.own is None or not module or Layer(match.failure.layer) is not Layer.ENVIRONMENT:
        return False
    return subject.own.find(module, "") is Answer.OFFERED


def _where(text: str, own: frozenset[str]) -> Evidence | None:
    """Return the innermost frame in a model's own code."""
    return next(
        (
            frame
            for frame in reversed(frames(text))
            if "transformers_modules" in frame.file or frame.file.rpartition("/")[2] in own
        ),
        None,
    )


def words_of(error: MMError) -> str:
    """Return everything that an error says, its sentence last."""
    return f"{error.detail}\n{error.what}\n"


def hint(
    workspace: Workspace, declared: Declared, error: MMError, device: str, dtype: str
) -> str | None:
    """Return a line about a job's failure, its remedy checked against the model; None for none.

    Args:
        workspace: The user's.
        declared: The model.
        error: How its job ended.
        device: The device that was given.
        dtype: The dtype that was given.
    """
    text = words_of(error)
    try:
        table = load_tables(workspace.catalog.directories)
        # Most failures are the runner's own: nothing more is read for those.
        known = match_failures(text, table.failures)
        if not known or known[0].failure.harmless:
            return None
        subject = model_subject(workspace, declared, CheckOptions(device, dtype), table)
        found = explain(text, table, subject)[0]
        return None if found.refuted else found.hint()
    except MMError as broken:
        # The job's own error is what the user must see; it is raised after this line.
        return f"no hint: {broken}"
