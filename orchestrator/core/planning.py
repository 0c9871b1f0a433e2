"""What a sync will do, worked out before it is done: `--dry-run` prints what the run carries out.

Models whose environments have one digest are one step.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Action(str, Enum):
    """What a step does."""

    READY = "ready"
    PROBE = "probe"
    BUILD = "build"


class Wanted(msgspec.Struct, frozen=True):
    """The environment that one model needs, and the modules that must import there."""

    model: str
    digest: str
    python: str
    packages: int
    probes: tuple[str, ...]


class Present(msgspec.Struct, frozen=True):
    """A whole environment that is there, and the modules that were imported there."""

    digest: str
    probes: frozenset[str]


class Step(msgspec.Struct, frozen=True):
    """One environment and what is to be done about it.

    Attributes:
        action: Whether it is ready, lacks probes, or must be built.
        digest: The environment.
        models: The models that need it, the first one first.
        python: The full version of its interpreter.
        packages: How many packages it has.
        probes: The modules to import, sorted; for `PROBE` those that are missing.
        download: Bytes that a build fetches at most; 0 where unknown.
        disk: Bytes that it takes on the disk at most; 0 where unknown.
    """

    action: Action
    digest: str
    models: tuple[str, ...]
    python: str
    packages: int
    probes: tuple[str, ...]
    download: int = 0
    disk: int = 0


def plan(wanted: Iterable[Wanted], present: Mapping[str, Present]) -> tuple[Step, ...]:
    """Return one step for each distinct environment, in the order in which models need them."""
    groups: dict[str, list[Wanted]] = {}
    for one in wanted:
        groups.setdefault(one.digest, []).append(one)
    return tuple(_step(group, present.get(digest)) for digest, group in groups.items())


def _step(group: list[Wanted], there: Present | None) -> Step:
    probes = {probe for one in group for probe in one.probes}
    if there is None:
        action = Action.BUILD
    else:
        probes -= there.probes
        action = Action.PROBE if probes else Action.READY
    first = group[0]
    return Step(
        action=action,
        digest=first.digest,
        models=tuple(one.model for one in group),
        python=first.python,
        packages=first.packages,
        probes=tuple(sorted(probes)),
    )
