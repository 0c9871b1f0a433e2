"""Why two models have two environments: asked of the resolver, told in its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.platforms import allowed_minors, lowest_python
from orchestrator.core.requirement_tree import Difference, differences
from orchestrator.environments.locking import compile_requirements
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from orchestrator.environments.declared import Declared
    from orchestrator.environments.resolver import Resolver
    from orchestrator.environments.targets import Target


@dataclass(frozen=True)
class Answer:
    """What keeps two models apart.

    Attributes:
        shared: Whether they share one environment as it is.
        together: Whether one lock could hold both.
        words: The resolver's explanation where it could not.
        differences: The packages that their locks hold in different versions.
        only: The packages that only one of the locks holds: of the first, of the second.
    """

    shared: bool
    together: bool
    words: str
    differences: tuple[Difference, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def why(resolver: Resolver, first: Target, second: Target) -> Answer:
    """Return what keeps two models apart.

    Raises:
        EnvironmentFailure: When a manifest's version specifier fits no known Python.
    """
    names = {pin.name for pin in first.pins}, {pin.name for pin in second.pins}
    only = tuple(sorted(names[0] - names[1])), tuple(sorted(names[1] - names[0]))
    found = tuple(differences(first.pins, second.pins))
    if first.digest == second.digest:
        return Answer(shared=True, together=True, words="", differences=(), only=((), ()))
    words = _apart(resolver, first.declared, second.declared)
    return Answer(
        shared=False, together=words is None, words=words or "", differences=found, only=only
    )


def _apart(resolver: Resolver, first: Declared, second: Declared) -> str | None:
    """Return why no resolution holds both, or None when there is one."""
    ours, theirs = first.manifest.environment, second.manifest.environment
    if not set(allowed_minors(ours.python)) & set(allowed_minors(theirs.python)):
        return (
            f"{first.manifest.name} needs Python {ours.python} and "
            f"{second.manifest.name} needs Python {theirs.python}: no Python is both"
        )
    python = lowest_python(f"{ours.python},{theirs.python}")
    arguments = ["--universal", "--python-version", python]
    for package in sorted({*ours.build, *theirs.build}):
        arguments += ["--no-binary", package]
    try:
        compile_requirements(
            resolver.shared(),
            (*ours.dependencies, *theirs.dependencies),
            arguments,
            overrides=tuple(dict.fromkeys((*ours.overrides, *theirs.overrides))),
        )
    except ProcessError as error:
        return error.detail
    return None
