"""What keeps an edit from being made: the conflict of one patch, in words for its reader."""

from __future__ import annotations


class PatchConflict(Exception):
    """The file is not what a patch was written for.

    Args:
        found: What was found instead, in one clause.
        looked_for: What the patch looks for; empty where the whole file is at fault.
        line: The line, from 1, that it concerns; 0 for none.
    """

    def __init__(self, found: str, looked_for: str = "", line: int = 0) -> None:
        super().__init__(found)
        self.found = found
        self.looked_for = looked_for
        self.line = line
