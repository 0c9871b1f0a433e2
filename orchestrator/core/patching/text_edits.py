"""The edit of any text: one exact string in place of another."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.patching.source_text import EditResult, SourceText, Splice


def replace(source: SourceText, old: str, new: str, *, already: Sequence[str] = ()) -> EditResult:
    """Put `new` in place of `old` wherever it stands.

    Line ends in `old` and `new` stand for the file's own. Where `old` is a part of `new`, those
    that are inside a `new` are there already.
    """
    old, new = (part.replace("\n", source.newline) for part in (old, new))
    text = source.text
    done = _places(text, new)
    found = [
        (start, end)
        for start, end in _places(text, old)
        if not any(begin <= start and end <= stop for begin, stop in done)
    ]
    # Where `new` is a part of `old`, those that are inside a place to edit are not there yet.
    there = sum(not any(s <= start and end <= e for s, e in found) for start, end in done)
    spelled = sum(len(_places(text, other.replace("\n", source.newline))) for other in already)
    result = source.spliced(Splice(start, end, new) for start, end in found)
    return EditResult(len(found), there + spelled, result, old)


def _places(text: str, wanted: str) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    position = text.find(wanted) if wanted else -1
    while position >= 0:
        places.append((position, position + len(wanted)))
        position = text.find(wanted, position + len(wanted))
    return places
