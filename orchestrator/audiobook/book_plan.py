"""The plan of a book as it is given, and the parts of which something is spoken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.book.spoken_plan import Plan
from orchestrator.errors import UsageError


def read_plan(value: Any) -> Plan:
    """Return a plan that is given as JSON.

    Raises:
        UsageError: When it is none, or its chapters are not in the order of its passages.
    """
    try:
        plan = msgspec.convert(value, Plan)
    except msgspec.ValidationError as error:
        raise UsageError(f"the plan of a book is not valid: {error}") from error
    firsts = [chapter.first for chapter in plan.chapters]
    if firsts != sorted(firsts) or not all(0 <= each <= len(plan.passages) for each in firsts):
        raise UsageError(
            "the plan of a book has chapters that are not in the order of its passages"
        )
    if not all(0 <= passage.pause <= LONGEST_PAUSE for passage in plan.passages):
        raise UsageError(f"the plan of a book has a pause that is not 0 to {LONGEST_PAUSE} seconds")
    return plan


LONGEST_PAUSE = 60
"""Seconds."""


@dataclass(frozen=True)
class Part:
    """Passages that follow each other, as one chapter or file.

    Attributes:
        title: What it is called; empty where it has no name.
        first: The index of its first passage.
        end: The index after its last.
    """

    title: str
    first: int
    end: int


def parts_of(plan: Plan, spoken: Sequence[bool]) -> Iterator[Part]:
    """Yield the chapters of which something is spoken; what comes before the first is one as well.

    Args:
        plan: The book.
        spoken: By passage, whether it has a sound.
    """
    starts = [chapter.first for chapter in plan.chapters]
    titles = [chapter.title for chapter in plan.chapters]
    if not starts or starts[0] > 0:
        starts, titles = [0, *starts], [plan.title or "", *titles]
    for title, first, end in zip(titles, starts, [*starts[1:], len(spoken)], strict=True):
        if any(spoken[first:end]):
            yield Part(title, first, end)
