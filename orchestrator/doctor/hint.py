"""The one line that a failed `mm run` offers: loaded only then, silent where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.doctor.explain import explain
from orchestrator.doctor.rules.failures import match_failures
from orchestrator.doctor.smallest import words_of
from orchestrator.doctor.subjects import model_subject
from orchestrator.doctor.tables import load_tables
from orchestrator.errors import MMError

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.workspace import Workspace


def hint(
    workspace: Workspace, declared: Declared, error: MMError, device: str, dtype: str
) -> str | None:
    """Return a line about a job's failure, its remedy checked against the model; None for none.

    Args:
        workspace: The user's.
        declared: The model.
        error: How its job ended.
        device: The device that was asked for.
        dtype: The dtype that was asked for.
    """
    text = words_of(error)
    try:
        table = load_tables(workspace.catalog.directories)
        # Most failures are the runner's own: nothing more is read for those.
        known = match_failures(text, table.failures)
        if not known or known[0].failure.harmless:
            return None
        subject = model_subject(workspace, declared, device, dtype)
        found = explain(text, table, workspace, subject)
    except MMError as broken:
        # The job's own error is what the user must see; it is raised after this line.
        return f"no hint: {broken}"
    return found[0].hint()
