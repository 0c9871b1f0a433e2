"""Whether the index has wheels for the lock of a model whose environment is not built."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.catalog import Declared
from orchestrator.doctor.rules.findings import Fact, Finding, Layer, listed, rule
from orchestrator.errors import EnvironmentFailure
from orchestrator.locking.compatibility import LockFinding
from orchestrator.workspace import Workspace

AskIndex = Callable[[Workspace, Declared], LockFinding | None]
"""Returns what the committed lock of a model lacks in the user's package index.

Raises:
    EnvironmentFailure: When the index cannot be asked.
"""


def ask_for_wheels(workspace: Workspace, declared: Declared) -> LockFinding | None:
    """Ask the index as `mm env lock --check` does; see `AskIndex`."""
    from orchestrator.backends.indexes import read_settings
    from orchestrator.backends.resolver import Resolver
    from orchestrator.locking.compatibility import check_lock

    indexes = read_settings(workspace.variables)
    return check_lock(Resolver(workspace.variables, indexes, workspace.reporter), declared)


def check_wheels(workspace: Workspace, declared: Declared, ask: AskIndex) -> Finding | Fact:
    """Return what the index says of the lock of a model."""
    try:
        found = ask(workspace, declared)
    except EnvironmentFailure as error:
        return Fact(Layer.ENVIRONMENT, f"whether its lock has wheels is not known: {error.what}")
    if found is None:
        return Fact(Layer.ENVIRONMENT, "the index has the wheels of its lock")
    packages = listed(f"{package} {version} ({at})" for package, version, at in found.missing)
    return rule("no-wheels").matched(
        problem=found.problem or f"the index has no wheels of {packages}",
        fix=f"write {found.fix} in the manifest, then run" if found.fix else "run",
        model=declared.name,
    )
