"""How many jobs of a model, and of all, may be queued or running."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.serve.refused import RETRY_SECONDS, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lanes:
    """Counts jobs, in one event loop.

    Args:
        each: How many one model may have.
        total: How many there may be of all.
    """

    def __init__(self, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self.jobs: Counter[str] = Counter()

    def check(self, model: str) -> None:
        """Check that there is a place, before the body of a request is read.

        Raises:
            Refused: When there is none.
        """
        full = self.jobs[model] >= self._each
        if full or self.jobs.total() >= self._total:
            who = model if full else "the server"
            raise Refused(
                429, f"{who} has as many jobs as may wait", "busy", retry_after=RETRY_SECONDS
            )

    @contextmanager
    def place(self, model: str) -> Iterator[None]:
        """Hold a place.

        Raises:
            Refused: When there is none.
        """
        self.check(model)
        self.jobs[model] += 1
        try:
            yield
        finally:
            self.jobs[model] -= 1
            if not self.jobs[model]:
                del self.jobs[model]
