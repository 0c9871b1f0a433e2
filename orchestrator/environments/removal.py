"""Removing environments: one by one, or all that nobody needs; never one in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.environments.advice import system_failure
from orchestrator.environments.sizes import freed_together
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from orchestrator.environments.store import Store, Stored


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, what it had to leave, and the bytes that came back."""

    removed: tuple[Path, ...]
    in_use: tuple[str, ...]
    freed: int


def remove(store: Store, stored: Stored, in_use: Callable[[str], str]) -> None:
    """Remove one environment.

    Raises:
        EnvironmentFailure: When somebody uses or builds it, or it cannot be removed.
    """
    digest = digest_of(stored)
    building = store.try_build_lock(digest)
    if building is None:
        raise EnvironmentFailure(
            "the environment is just being built", where=str(stored.path), fix="wait for it"
        )
    with building:
        using = store.try_removal(digest)
        if using is None:
            raise EnvironmentFailure(
                f"the environment is in use by {in_use(digest)}",
                where=str(stored.path),
                fix="stop it (mm stop), or wait until it is idle",
            )
        with using:
            if not stored.path.exists():
                return
            try:
                store.clear(stored.path)
            except OSError as error:
                raise system_failure(
                    error,
                    subject="the environment could not be removed",
                    command="mm env prune",
                ) from error


def prune(store: Store, unneeded: Sequence[Stored], in_use: Callable[[str], str]) -> Pruned:
    """Remove the environments `unneeded`, except those that somebody uses or builds."""
    freed = freed_together(stored.path for stored in unneeded)
    removed: list[Path] = []
    left: list[str] = []
    for stored in unneeded:
        problem = _try_remove(store, stored, in_use)
        if problem is None:
            removed.append(stored.path)
        else:
            left.append(problem)
    if left:
        freed -= freed_together(stored.path for stored in unneeded if stored.path.exists())
    return Pruned(tuple(removed), tuple(left), max(freed, 0))


def _try_remove(store: Store, stored: Stored, in_use: Callable[[str], str]) -> str | None:
    try:
        remove(store, stored, in_use)
    except EnvironmentFailure as error:
        return str(error)
    return None


def unneeded(store: Store, needed: Iterable[str], unknown: Iterable[str] = ()) -> list[Stored]:
    """Return the environments that are incomplete or that nobody needs.

    Args:
        store: The environments.
        needed: The digests that models need.
        unknown: Models of which it cannot be told what they need; what was built for them stays.
    """
    keep, models = set(needed), set(unknown)
    return [
        stored
        for stored in store.all()
        if stored.marker is None
        or (stored.marker.digest not in keep and stored.marker.model not in models)
    ]


def digest_of(stored: Stored) -> str:
    """Return the digest of an environment: of an incomplete one, what its directory says."""
    if stored.marker is not None:
        return stored.marker.digest
    return stored.path.name.rpartition("-")[2]
