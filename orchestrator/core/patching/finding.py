"""What one edit found in a file, and the file as it would leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.core.patching.source_text import SourceText


@dataclass(frozen=True)
class Finding:
    """The outcome of looking.

    Attributes:
        matches: Places that the edit changes.
        there: Places that say already what the edit would make them say.
        result: The file after the edit.
        looked_for: What was looked for, for messages.
    """

    matches: int
    there: int
    result: SourceText
    looked_for: str
