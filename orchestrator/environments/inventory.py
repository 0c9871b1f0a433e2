"""Everything that `mm env list` shows: what is declared, what is built, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from orchestrator.environments.sizes import Usage
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.environments.declared import Declared
    from orchestrator.environments.service import Environments
    from orchestrator.environments.store import Stored


@dataclass(frozen=True)
class Row:
    """One environment, or one model without any.

    Attributes:
        models: The models that resolve to it now.
        state: `ready`, `not built`, `unused`, `incomplete`, or what is wrong with the lock.
        path: Its directory, where it has one.
        python: The full version of its interpreter.
        size: Bytes of its files, each once.
        freed: Bytes that removing it alone would give back.
        last_used: When, in ISO 8601 and UTC; empty where it never was.
        mine: Whether the lock is the user's own.
        digest: Its digest.
    """

    models: tuple[str, ...]
    state: str
    path: Path | None = None
    python: str = ""
    size: int = 0
    freed: int = 0
    last_used: str = ""
    mine: bool = False
    digest: str = ""


@dataclass(frozen=True)
class Inventory:
    """All rows, and what they take together with every file counted once."""

    rows: tuple[Row, ...]
    total: int


def take_inventory(environments: Environments, models: Iterable[Declared]) -> Inventory:
    """Return every environment on disk and every model of `models`."""
    users: dict[str, list[str]] = {}
    mine: set[str] = set()
    without: list[Row] = []
    for declared in models:
        name = declared.manifest.name
        try:
            target = environments.target(declared)
        except EnvironmentFailure as error:
            without.append(Row((name,), error.what))
            continue
        if target.mine:
            mine.add(target.digest)
        if environments.store.find(target.digest) is None:
            without.append(
                Row(
                    (name,),
                    "not built",
                    python=target.interpreter.version,
                    mine=target.mine,
                    digest=target.digest,
                )
            )
        else:
            users.setdefault(target.digest, []).append(name)
    usage = Usage()
    built = [_row(environments, stored, users, mine, usage) for stored in environments.store.all()]
    return Inventory((*built, *without), usage.total)


def _row(
    environments: Environments,
    stored: Stored,
    users: dict[str, list[str]],
    mine: set[str],
    usage: Usage,
) -> Row:
    size = usage.add(stored.path)
    marker = stored.marker
    if marker is None:
        return Row((), "incomplete", stored.path, size=size.total, freed=size.freed)
    models = tuple(users.get(marker.digest, ()))
    used = environments.store.last_used(marker.digest)
    return Row(
        models=models or (marker.model,),
        state="ready" if models else "unused",
        path=stored.path,
        python=marker.python_version,
        size=size.total,
        freed=size.freed,
        last_used=_iso(used) if used is not None else "",
        mine=marker.digest in mine,
        digest=marker.digest,
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="seconds")
