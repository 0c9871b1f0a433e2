"""Ctrl-C during a job."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.jobs.cancellation import Cancellation


@contextlib.contextmanager
def interrupts() -> Iterator[Cancellation]:
    """Turn Ctrl-C into a cancellation of the running job, or into KeyboardInterrupt without one.

    The first asks the runner to stop, the second ends its worker.
    """
    from orchestrator.jobs.cancellation import Cancellation

    cancellation = Cancellation()

    def handle(number: int, frame: object) -> None:
        del number, frame
        if not cancellation.armed:
            raise KeyboardInterrupt
        cancellation.request()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield cancellation
    finally:
        signal.signal(signal.SIGINT, before)
        cancellation.close()
