"""What pages say of the whole book: the size of its letters, its words, how paragraphs begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from orchestrator.book.hyphens import vocabulary
from orchestrator.book.indents import has_indent
from orchestrator.book.layout import Page


class Known:
    """What is known of a book at one page, by all pages before it and some behind.

    Attributes:
        words: How often each word occurs.
    """

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()
        self._sizes: Counter[float] = Counter()
        self._indents: Counter[bool] = Counter()
        self._counters: tuple[Counter[Any], ...] = (self.words, self._sizes, self._indents)
        self._ahead: tuple[Counter[Any], ...] = (Counter(), Counter(), Counter())
        self._line = ""

    def take(self, page: Page, ahead: Sequence[Page]) -> None:
        """Take the next page.

        Args:
            page: The page.
            ahead: Those behind it, as far as they are known; they count up to the next call.
        """
        now, before = _counts([page], self._line), self._ahead
        self._line = next((line.text for line in reversed(page.lines)), self._line)
        self._ahead = _counts(ahead, self._line)
        for counter, gone, *new in zip(self._counters, before, now, self._ahead, strict=True):
            counter.subtract(gone)
            for each in new:
                counter.update(each)

    @property
    def usual_size(self) -> float:
        """The size of most letters; 0 where a reader gives no places."""
        total, seen = sum(self._sizes.values()), 0
        for size in sorted(self._sizes):
            seen += self._sizes[size]
            if 2 * seen >= total:
                return size
        return 0.0

    @property
    def indented(self) -> bool:
        """Whether paragraphs begin with an indent."""
        return self._indents[True] > self._indents[False]


def _counts(pages: Sequence[Page], line: str) -> tuple[Counter[Any], ...]:
    """Return the words, sizes and indents of pages behind a line, and how often each occurs."""
    sizes: Counter[float] = Counter()
    indents: Counter[bool] = Counter()
    for block in (block for page in pages for block in page.blocks):
        for each in block.lines if block.role != "table" else ():
            sizes[float(f"{each.size:.3g}")] += len(each.text)  # a few hundred sizes, not each one
        if block.role == "paragraph" and len(block.lines) > 2:
            indents[has_indent(block)] += 1
    words = vocabulary((each.text for page in pages for each in page.lines), line)
    return words, sizes, indents
