"""Locks of the user's own: a manifest resolved again for this machine, in `MM_HOME/mine`.

A CPU build of torch, wheels from a directory, another index: what a committed lock may not hold.
The head of such a lock says where its packages come from, so that a sync installs from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.lockfile import Lock


class Places(msgspec.Struct, frozen=True):
    """Where the packages of such a lock come from.

    Attributes:
        torch: uv's `--torch-backend`; empty for none.
        find_links: Directories and pages of files.
        indexes: Indexes asked before the user's own.
        overrides: Requirements that override.
        python: The minor version that the lock was made for, as in `3.11`.
    """

    torch: str = ""
    find_links: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    python: str = ""

    def notes(self) -> tuple[str, ...]:
        """Return the lines that the head of a lock keeps."""
        import shlex

        pairs = [
            ("--torch", self.torch),
            *(("--find-links", place) for place in self.find_links),
            *(("--index", index) for index in self.indexes),
            *(("--override", override) for override in self.overrides),
            ("--python", self.python),
        ]
        return tuple(shlex.join((option, value)) for option, value in pairs if value)

    def resolver_arguments(self) -> tuple[str, ...]:
        """Return what uv's resolver is told on top."""
        arguments = ["--torch-backend", self.torch] if self.torch else []
        for place in self.find_links:
            arguments += ["--find-links", place]
        for index in self.indexes:
            arguments += ["--index", index]
        if self.indexes or self.find_links:
            # The user has named these places for this lock: the best version of any of them.
            arguments += ["--index-strategy", "unsafe-best-match"]
        return tuple(arguments)

    def added_to(self, settings: IndexSettings) -> IndexSettings:
        """Return index settings that ask these places first."""
        from dataclasses import replace

        return replace(
            settings,
            extra=(*self.indexes, *settings.extra),
            find_links=(*self.find_links, *settings.find_links),
        )


def places_of(lock: Lock) -> Places:
    """Return where the packages of a lock come from, as its head says."""
    import shlex

    values: dict[str, list[str]] = {}
    for note in lock.notes:
        option, _, value = note.partition(" ")
        values.setdefault(option, []).append("".join(shlex.split(value)))

    def all_of(option: str) -> tuple[str, ...]:
        return tuple(values.get(option, ()))

    return Places(
        torch="".join(all_of("--torch")[:1]),
        find_links=all_of("--find-links"),
        indexes=all_of("--index"),
        overrides=all_of("--override"),
        python="".join(all_of("--python")[:1]),
    )


def absolute_places(places: Sequence[str], cwd: Path) -> tuple[str, ...]:
    """Return `places` with paths made absolute; URLs stay."""
    return tuple(
        place if "://" in place else str((cwd / Path(place).expanduser()).resolve())
        for place in places
    )
