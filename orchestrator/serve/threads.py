"""Work that would stop the event loop, in threads: what disks and encoders take their time for."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


async def uninterrupted(call: Callable[[], T]) -> T:
    """Return what a call returns; a task that is cancelled meanwhile ends after it."""
    working = asyncio.ensure_future(asyncio.to_thread(call))
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as error:  # noqa: PERF203 - it waits in each round
            cancelled = error
    if cancelled is not None:
        raise cancelled from working.exception()
    return working.result()


def in_background(call: Callable[[], object]) -> None:
    """Make a call that raises nothing and that no one waits for; the loop's end does."""
    asyncio.get_running_loop().run_in_executor(None, call)


def remove_tree(path: Path) -> None:
    """Remove a directory in the background; what cannot be removed stays."""
    in_background(partial(shutil.rmtree, path, ignore_errors=True))
