"""What a sync will do, planned before it is done: `--dry-run` prints what the run carries out.

Models whose environments have one digest are one step.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from orchestrator.environments.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.environments.sizes_file import WheelSize
    from orchestrator.environments.store import Stored


class Action(str, Enum):
    """What a step does."""

    READY = "ready"
    PROBE = "probe"
    BUILD = "build"


class BuildStep(msgspec.Struct, frozen=True):
    """One environment and what is to be done about it.

    Attributes:
        action: Whether it is ready, lacks probes, or must be built.
        targets: What the models need that share it, the first one first.
        probes: The modules to import, sorted; for `PROBE` those that are missing.
        found: The whole environment, where it is there.
    """

    action: Action
    targets: tuple[Target, ...]
    probes: tuple[str, ...]
    found: Stored | None = None

    @property
    def target(self) -> Target:
        """What the first model needs; a new environment is named for it."""
        return self.targets[0]

    @property
    def models(self) -> tuple[str, ...]:
        """The models that share the environment."""
        return tuple(target.model for target in self.targets)

    @property
    def locks(self) -> frozenset[str]:
        """The digests of the locks that resolve to it."""
        return frozenset(target.lock.digest for target in self.targets)

    def size(self) -> WheelSize:
        """Return what a build fetches and takes at most; nothing where that is not known."""
        from orchestrator.environments.sizes_file import WheelSize, total

        if self.action is not Action.BUILD:
            return WheelSize(0, 0)
        return total(self.target.sizes(), self.target.packages)


def plan(needed: Iterable[tuple[Target, Stored | None]]) -> tuple[BuildStep, ...]:
    """Return one step for each distinct environment, in the order in which models need them.

    Args:
        needed: What each model needs, and the whole environment where it is there.
    """
    groups: dict[str, list[Target]] = {}
    there: dict[str, Stored | None] = {}
    for target, found in needed:
        groups.setdefault(target.digest, []).append(target)
        there[target.digest] = found
    return tuple(_step(tuple(group), there[digest]) for digest, group in groups.items())


def _step(targets: tuple[Target, ...], found: Stored | None) -> BuildStep:
    probes = {probe for target in targets for probe in target.environment.probe}
    action = Action.BUILD
    if found is not None and found.marker is not None:
        probes -= set(found.marker.probes)
        action = Action.PROBE if probes else Action.READY
    return BuildStep(action, targets, tuple(sorted(probes)), found)
