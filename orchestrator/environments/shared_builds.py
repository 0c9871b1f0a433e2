"""The builds that run in this process: each is shared by all callers that need its environment."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from orchestrator.system.processes import Children

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future, ThreadPoolExecutor

    from orchestrator.environments.store import Stored
    from orchestrator.system.waiting import Wait

    Work = Callable[[Children], Stored]


class SharedBuild:
    """A build in a thread of its own, which belongs to none of its callers.

    Attributes:
        callers: How many wait for it.
        future: Its result or error, the same for all of them.
    """

    def __init__(self, work: Work) -> None:
        from concurrent.futures import ThreadPoolExecutor  # it brings `logging` with it

        self.callers = 0
        self._children = Children()
        self._thread: ThreadPoolExecutor = ThreadPoolExecutor(1, thread_name_prefix="mm-build")
        self.future: Future[Stored] = self._thread.submit(work, self._children)

    def end(self) -> None:
        """End its processes, and wait until it has removed what it made, unless it is done."""
        if not self.future.done():
            self._children.stop()
        self._thread.shutdown(wait=True)


class SharedBuilds:
    """Builds by what they make."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the builds, whose threads are not in a fork of their process."""
        self._lock = threading.Lock()
        self._running: dict[Hashable, SharedBuild] = {}

    def join(self, key: Hashable, begin: Callable[[], Work | None]) -> SharedBuild | None:
        """Become a caller of the build `key`, which is begun where there is none.

        Args:
            key: What it makes.
            begin: Returns the work of a new build; None while another process is at it.

        Returns:
            The build, which the caller hands to `result`; None where `begin` returned none.
        """
        with self._lock:
            build = self._running.get(key)
            if build is None:
                work = begin()
                if work is None:
                    return None
                build = self._running[key] = SharedBuild(work)
            build.callers += 1
            return build

    def result(self, key: Hashable, build: SharedBuild, wait: Wait) -> Stored:
        """Return what a build made. A caller that leaves before that ends it if it is the last.

        Raises:
            MMError: As the build ended.
            Cancelled: When the caller was asked to stop.
        """
        try:
            while not build.future.done():
                wait.pause()
            return build.future.result()
        finally:
            with self._lock:
                build.callers -= 1
                last = not build.callers
                if last:
                    del self._running[key]
            if last:
                build.end()


BUILDS = SharedBuilds()
"""Those of this process: its sessions share them, whatever they have read anew meanwhile."""

os.register_at_fork(after_in_child=BUILDS.forget)
