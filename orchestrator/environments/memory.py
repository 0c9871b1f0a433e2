"""What was worked out before: which pins apply on which interpreter, and the digests.

Reading version specifiers and markers costs more than everything else that a sync with nothing to
do does. The key is a digest of all that the answer depends on, so that it is never stale; a damaged
file is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.home import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 200
"""Answers that are kept; the oldest go first."""


class Choice(msgspec.Struct, frozen=True):
    """One environment that would do for a model.

    Attributes:
        interpreter: The path of the interpreter.
        pins: The positions in the lock of the pins that apply there.
        digest: The digest of the environment.
    """

    interpreter: str
    pins: tuple[int, ...]
    digest: str


class Memory:
    """The answers in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._answers: dict[str, tuple[Choice, ...]] | None = None

    def get(self, key: str) -> tuple[Choice, ...] | None:
        """Return the answer to `key`, best first, or None where it is not known."""
        return self._known().get(key)

    def keep(self, key: str, answer: tuple[Choice, ...]) -> None:
        """Keep an answer; where it cannot be written, it is worked out again next time."""
        answers = dict(self._known())
        answers.pop(key, None)
        answers[key] = answer
        self._answers = dict(list(answers.items())[-KEPT:])
        try:
            write_atomically(self._file, msgspec.json.encode(self._answers))
        except OSError:
            return

    def _known(self) -> dict[str, tuple[Choice, ...]]:
        if self._answers is None:
            try:
                self._answers = msgspec.json.decode(
                    self._file.read_bytes(), type=dict[str, tuple[Choice, ...]]
                )
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                self._answers = {}
        return self._answers
