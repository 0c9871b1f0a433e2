"""A stack trace against the table of known failures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.doctor.rules.findings import Evidence, shortened
from orchestrator.doctor.rules.tables import PLACEHOLDER, KnownFailure

MAX_TEXT = 256 * 1024
"""Characters of a trace that are looked at: the end of it, where the error stands."""

MAX_LINE = 1000
"""Characters of a line that are looked at."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FRAME = re.compile(
    r'^[ \t]*File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9})(?:, in .*)?'
    r'(?:\n(?P<quote>[ \t]+(?![ \t]|File ")\S.*))?',
    re.MULTILINE,
)


@dataclass(frozen=True)
class Match:
    """A known failure in a trace.

    Attributes:
        failure: The entry of the table.
        said: The words of the trace that match.
        groups: What the pattern's named groups caught.
        end: Where in the text they end; the last error of a trace is the one that ended it.
    """

    failure: KnownFailure
    said: str
    groups: dict[str, str]
    end: int

    def means(self, model: str = "MODEL") -> str:
        """Return what the failure means."""
        return self._filled(self.failure.means, model)

    def remedy(self, model: str = "MODEL") -> str:
        """Return the general fix."""
        return self._filled(self.failure.remedy, shlex.quote(model))

    def _filled(self, text: str, model: str) -> str:
        known = {**self.groups, "model": model}
        return " ".join(PLACEHOLDER.sub(lambda found: known[found[1]], text).split())


def match_failures(text: str, failures: Iterable[KnownFailure]) -> list[Match]:
    """Return the known failures in `text`, the one that ended it first."""
    text = prepared(text)
    found = []
    for failure in failures:
        last = None
        for each in re.compile(failure.pattern, re.MULTILINE).finditer(text):
            last = each
        if last is not None:
            groups = {name: shortened(value or "") for name, value in last.groupdict().items()}
            found.append(Match(failure, shortened(last[0]), groups, last.end()))
    # A more specific entry stands before a vaguer one that ends at the same place.
    return sorted(found, key=lambda match: (match.failure.harmless, -match.end))


def frames(text: str) -> list[Evidence]:
    """Return the places that a Python traceback names, the innermost last."""
    text = prepared(text)
    return [
        Evidence(match["file"], int(match["line"]), shortened(match["quote"] or ""))
        for match in _FRAME.finditer(text)
        if "File " not in (match["quote"] or "")
    ]


def prepared(text: str) -> str:
    """Return the end of a trace without a terminal's colours, its long lines cut.

    A table may come from anyone; short lines bound the time that its patterns can take.
    """
    plain = _COLOUR.sub("", text[-MAX_TEXT:])
    return "\n".join(line[:MAX_LINE] for line in plain.splitlines())
