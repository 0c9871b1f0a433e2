"""A selection of pages: `12-40`, `1-11,13-`."""

from __future__ import annotations

import re

_RANGE = re.compile(r"(\d{1,6})(?:(-)(\d{1,6})?)?")


def selection(text: str) -> list[tuple[int, int | None]]:
    """Return the first and the last page of each range; None where it goes on to the end.

    Raises:
        ValueError: When it is no selection.
    """
    found: list[tuple[int, int | None]] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        match = _RANGE.fullmatch(part)
        first = int(match[1]) if match else 0
        last = int(match[3]) if match and match[3] else None if match and match[2] else first
        if not first or (last is not None and last < first):
            raise ValueError(f"{part!r} is no range of pages, such as 12-40")
        found.append((first, last))
    return found


def selected(page: int, ranges: list[tuple[int, int | None]]) -> bool:
    """Return whether a page is in the ranges; in none, every page is."""
    return not ranges or any(a <= page and (b is None or page <= b) for a, b in ranges)
