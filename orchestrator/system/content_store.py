"""Directories named for their content: built in place, whole once marked, held while in use.

Environments and overlays are kept this way. An entry counts only once its marker is written, which
comes last and is atomic, so that whatever ends a build leaves no entry or a whole one. Users hold
an entry shared, and no one removes what is held. Nothing here starts a process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from orchestrator.core.canonical import short
from orchestrator.system.flock import Held, nap, try_lock, wait_lock
from orchestrator.system.home import read_record, write_json
from orchestrator.system.removal import remove
from orchestrator.worker.runner import LIMITS

M = TypeVar("M", bound=msgspec.Struct)


class ContentStore(Generic[M]):
    """The entries in one directory, each named `<digest12>` or `<label>-<digest12>`.

    Args:
        root: The directory of the entries.
        locks: The directory of the lock files.
        kind: What the lock of an entry's users begins with: `<kind>-<digest12>.lock`.
        marker_file: The name of the marker in an entry.
        marker_type: What a marker holds.
    """

    def __init__(
        self, root: Path, locks: Path, *, kind: str, marker_file: str, marker_type: type[M]
    ) -> None:
        self.root = root
        self.locks = locks
        self._kind = kind
        self._marker_file = marker_file
        self._marker_type = marker_type

    def directories(self) -> tuple[Path, ...]:
        """Return every directory in the store, whole or not, by name."""
        try:
            return tuple(sorted(path for path in self.root.iterdir() if path.is_dir()))
        except OSError as error:
            if error.errno in LIMITS:  # nothing is known, and nothing may be built again
                raise
            return ()

    def marker(self, directory: Path) -> M | None:
        """Return the marker in `directory`, or None where it is missing or damaged."""
        return read_record(directory / self._marker_file, self._marker_type)

    def make(
        self, directory: Path, fill: Callable[[], M], note: Callable[[str], None] = lambda _: None
    ) -> M:
        """Make an entry in place and publish it; when that fails, remove what was made.

        The caller holds the entry's build lock.

        Args:
            directory: Where it lies; what an earlier build left there goes first.
            fill: Puts everything into the empty directory and returns the marker.
            note: Receives a line when the rest of a failed build cannot be removed.

        Raises:
            OSError: When the directory cannot be written. Otherwise what `fill` raises.
        """
        if directory.exists():
            self.clear(directory)
        directory.mkdir(parents=True)
        try:
            marker = fill()
            self.publish(directory, marker)
        except BaseException:
            try:
                self.clear(directory)
            except OSError as error:  # without a marker it is no entry; the next build clears it
                note(f"{directory} could not be removed ({error.strerror})")
            raise
        return marker

    def publish(self, directory: Path, marker: M) -> None:
        """Write the marker, atomically: from now on the entry is whole."""
        write_json(directory / self._marker_file, msgspec.to_builtins(marker))

    def clear(self, directory: Path) -> None:
        """Remove a directory of the store, its marker first, so that no half ever looks whole.

        Raises:
            OSError: When something in it cannot be removed.
        """
        if directory.parent != self.root:
            raise ValueError(f"{directory} is not under {self.root}")
        (directory / self._marker_file).unlink(missing_ok=True)
        remove(directory)

    def discard(self, directory: Path) -> bool:
        """Remove a directory of the store, unless it is in use; return whether it is gone.

        Raises:
            OSError: When something in it cannot be removed.
        """
        held = self.try_unused(directory.name.rpartition("-")[2])
        if held is None:
            return False
        with held:
            self.clear(directory)
        return True

    def use(self, digest: str, pause: Callable[[], None] = nap) -> Held:
        """Hold an entry as in use, shared with other users, and note the time.

        Waits while the entry is removed. Whether it is still there is for the caller to check.

        Args:
            digest: Which entry.
            pause: Called between two tries; what it raises ends the wait.
        """
        held = wait_lock(self._use_lock(digest), shared=True, pause=pause)
        held.touch()
        return held

    def try_unused(self, digest: str) -> Held | None:
        """Hold an entry that no one uses, or return None when it is in use."""
        return try_lock(self._use_lock(digest))

    def last_used(self, digest: str) -> float | None:
        """Return when the entry was last used, in seconds since the epoch, if ever."""
        try:
            return self._use_lock(digest).stat().st_mtime
        except OSError:
            return None

    def _use_lock(self, digest: str) -> Path:
        return self.locks / f"{self._kind}-{short(digest)}.lock"
