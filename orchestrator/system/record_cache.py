"""Records that were worked out before, kept in one file by what they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from orchestrator.system.home import read_record, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")

KEPT = 200
"""Records that one file keeps; the oldest go first."""


class RecordCache(Generic[T]):
    """A file of records by key; a damaged file counts as empty.

    A key is a digest of all that its record depends on, so that no record can be out of date.

    Args:
        file: The file.
        kind: The type of its content.
    """

    def __init__(self, file: Path, kind: type[dict[str, T]]) -> None:
        self._file = file
        self._kind = kind
        self._entries: dict[str, T] | None = None

    def get(self, key: str) -> T | None:
        """Return what was kept for `key`, or None."""
        return self._known().get(key)

    def keep(self, new: Mapping[str, T]) -> None:
        """Keep records; where they cannot be written, they are worked out again next time."""
        entries = {key: one for key, one in self._known().items() if key not in new}
        self._entries = dict(list({**entries, **new}.items())[-KEPT:])
        try:
            write_atomically(self._file, msgspec.json.encode(self._entries), mode=0o600)
        except OSError:
            return

    def _known(self) -> dict[str, T]:
        if self._entries is None:
            self._entries = read_record(self._file, self._kind) or {}
        return self._entries
