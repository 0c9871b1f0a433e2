"""Another attempt at what failed in a way that it may not fail again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import MMError

T = TypeVar("T")


def ignore_failure(error: MMError, left: int) -> None:
    """Do nothing with an attempt that failed."""


def with_retries(
    attempt: Callable[[], T],
    retries: int,
    retryable: tuple[type[MMError], ...],
    on_failure: Callable[[MMError, int], None] = ignore_failure,
) -> T:
    """Return the result of the first attempt that succeeds.

    Args:
        attempt: Does it once.
        retries: How many more attempts there may be.
        retryable: The errors after which there is another attempt.
        on_failure: Called with such an error and the number of attempts left.

    Raises:
        MMError: Another error, or that of the last attempt.
    """
    for left in range(retries, 0, -1):
        try:
            return attempt()
        except retryable as error:  # noqa: PERF203 - each attempt is a whole job
            on_failure(error, left)
    return attempt()
