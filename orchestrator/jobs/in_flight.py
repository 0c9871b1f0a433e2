"""Jobs in flight: queued in lanes, run in threads, cancelled singly or together.

What waits in a lane is plain data. A thread lives while its lane has work for it, and the pipe of a
cancellation while the job runs.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestrator.core.refusals import refusals
from orchestrator.errors import Cancelled
from orchestrator.jobs.calling_thread import CallingThread
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.system.finishing import to_the_end

T = TypeVar("T")


class JobCancelled(Cancelled, CancelledError):
    """A job that its future has cancelled; also the error that standard futures raise then."""


@dataclass(eq=False)
class _Lane:
    """Work that may begin in the order in which it came, so much of it at once.

    Attributes:
        name: Its name, which is in those of its threads.
        places: How many threads it may have.
        taken: The numbers of the threads that it has.
        waiting: What has not begun.
    """

    name: str
    places: int = 0
    taken: set[int] = field(default_factory=set)
    waiting: OrderedDict[JobFuture[Any], Callable[[], Any]] = field(default_factory=OrderedDict)


class JobFuture(Future[T]):
    """The end of a job, queued or running. `cancel` works until then.

    Attributes:
        place: How many were before it when it was submitted; 0 where it could begin at once.
    """

    def __init__(self, jobs: InFlightJobs, lane: _Lane) -> None:
        super().__init__()
        full = len(lane.taken) >= lane.places
        self.place = len(lane.taken) + len(lane.waiting) if full else 0
        self._jobs = jobs
        self._lane = lane
        self._asked = False
        self._how = "the job was cancelled before it began"

    def cancel(self) -> bool:
        """Cancel the job; return whether it had not ended.

        One that is queued ends at once. One that has begun, whatever it is waiting for, is asked to
        stop; it ends as cancelled when it has. Asked again, it ends at once, and its worker with it
        unless others use that. One that is done before it sees the request keeps its result.
        """
        with self._jobs.changed:
            if self._lane.waiting.pop(self, None) is None:
                if self.done():
                    return self.cancelled()
                self._asked = True
                self._jobs.request(self)
                return True
        self.drop()
        return True

    def cancel_and_wait(self) -> None:
        """Cancel the job and wait for its end, unless it may be waiting for this thread."""
        if self.cancel() and self._jobs.thread.may_wait:
            wait((self,))

    def running(self) -> bool:
        """Return whether the job has begun and not ended."""
        # While it is pending, for the base class, it can still end as cancelled.
        with self._jobs.changed:
            return self not in self._lane.waiting and not self.done()

    def result(self, timeout: float | None = None) -> T:
        """Return what the job returned, or raise its error, once it has ended.

        Raises:
            Cancelled: When it was cancelled; this is a `CancelledError` as well.
            UsageError: In the middle of another job, which this one may be waiting for.
            TimeoutError: After `timeout` seconds.
        """
        with self._as_it_ended():
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the job's error, or None; else as `result`."""
        with self._as_it_ended():
            return super().exception(timeout)

    @property
    def asked(self) -> bool:
        """Whether it was cancelled when it had begun."""
        return self._asked

    @contextmanager
    def _as_it_ended(self) -> Iterator[None]:
        if not self.done():
            self._jobs.thread.check_may_wait()
        try:
            yield
        except CancelledError:
            if not self.cancelled():
                raise
            raise JobCancelled(self._how) from None

    def run(self, work: Callable[[], T]) -> None:
        """Do the job, and end as it ends."""
        result, error = _outcome(work)
        if isinstance(error, Cancelled) and (self._asked or self._jobs.stopped):
            self._how = str(error)
            self.drop()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)  # type: ignore[arg-type]

    def drop(self) -> None:
        """End as cancelled."""
        try:
            super().cancel()
        finally:  # a callback may have raised an exit
            self.set_running_or_notify_cancel()


def _outcome(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    # Not in `JobFuture.run`, which the traceback would keep alive, and with it the future.
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
        return None, error


class InFlightJobs:
    """Runs work in lanes, each with its own number of threads, and stops the jobs in them.

    Args:
        thread: What the calling thread does for others than these jobs.

    Attributes:
        changed: Held while the lanes change.
        stopped: Whether every job was asked to stop.
    """

    def __init__(self, thread: CallingThread | None = None) -> None:
        self.thread = thread or CallingThread()
        # A signal handler may run while its own thread holds it.
        self.changed = threading.Condition(threading.RLock())
        self.stopped = False
        self._closed = False
        self._lanes: dict[str, _Lane] = {}
        self._cancellations: dict[Cancellation, JobFuture[Any] | None] = {}
        self._here = threading.local()

    def submit(self, lane: str, places: int, work: Callable[[], T]) -> JobFuture[T]:
        """Run `work` in a thread of a lane, after what was submitted there before.

        Args:
            lane: Its name.
            places: How many threads it may have from now on, if it may not have more.
            work: What is done; it opens a `cancellation` for what can be stopped.

        Raises:
            Cancelled: When no more work is taken.
        """
        with self.changed:
            if self._closed:
                raise Cancelled("no job begins any more")
            one = self._lanes.setdefault(lane, _Lane(lane))
            one.places = max(one.places, places)
            future: JobFuture[T] = JobFuture(self, one)
            one.waiting[future] = work
            try:
                # More than one where there are more places than before: first come, first served.
                while one.waiting and len(one.taken) < one.places:
                    self._start_thread(one)
            except BaseException:
                one.waiting.pop(future, None)
                raise
        return future

    def _start_thread(self, lane: _Lane) -> None:
        """Start a thread with what has waited longest."""
        number = next(each for each in range(lane.places) if each not in lane.taken)
        lane.taken.add(number)
        future, work = lane.waiting.popitem(last=False)
        name, arguments = f"mm-{lane.name}_{number}", (lane, number, future, work)
        try:
            with refusals():
                threading.Thread(target=self._serve, args=arguments, name=name).start()
        except BaseException:
            lane.waiting[future] = work
            lane.waiting.move_to_end(future, last=False)
            self._leave(lane, number)
            raise

    def _serve(
        self, lane: _Lane, number: int, future: JobFuture[T] | None, work: Callable[[], T] | None
    ) -> None:
        """Run work, and then what waits in its lane."""
        self.thread.in_lane = True
        while future is not None and work is not None:
            self._here.future = future
            try:
                future.run(work)
            except BaseException:  # noqa: BLE001 - an exit in a callback ends no other job
                threading.excepthook(
                    threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                )
            future = work = self._here.future = None
            with self.changed:
                if lane.waiting:
                    future, work = lane.waiting.popitem(last=False)
                else:
                    self._leave(lane, number)

    def _leave(self, lane: _Lane, number: int) -> None:
        lane.taken.discard(number)
        if not lane.taken:
            self._lanes.pop(lane.name, None)
            self.changed.notify_all()

    @contextmanager
    def cancellation(self) -> Iterator[Cancellation]:
        """Yield what stops a job. In a lane, the future of the work that runs there requests it.

        Raises:
            Cancelled: When everything was stopped before, or the work was cancelled.
        """
        future: JobFuture[Any] | None = getattr(self._here, "future", None)
        with refusals():
            one = Cancellation()
        try:
            with self.changed:
                if self.stopped or (future is not None and future.asked):
                    raise Cancelled("stopped before it began")
                self._cancellations[one] = future
            yield one
        finally:
            with self.changed:
                self._cancellations.pop(one, None)
            one.close()

    def request(self, future: JobFuture[Any]) -> None:
        """Ask the job of a future to stop."""
        with self.changed:
            for one, owner in self._cancellations.items():
                if owner is future:
                    one.request()

    def close(self) -> None:
        """Take no more work, and cancel what has not begun."""
        with self.changed:
            self._closed = True
            waiting = [future for lane in self._lanes.values() for future in lane.waiting]
            for lane in self._lanes.values():
                lane.waiting.clear()
        with ExitStack() as stack:  # each ends, whatever a callback of another one raises
            for future in reversed(waiting):
                stack.callback(future.drop)

    def stop(self) -> None:
        """Close, and ask what runs to stop; asked again, it ends at once."""
        self.close()
        with self.changed:
            again, self.stopped = self.stopped, True
            self.changed.notify_all()
            for one, future in self._cancellations.items():
                if again or future is None or not future.asked:
                    one.request()

    def pause(self, seconds: float) -> None:
        """Wait, unless everything is stopped meanwhile."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped, seconds)

    def wait(self) -> None:
        """Wait until nothing runs."""
        # Not by joining the threads: before Python 3.13 a thread whose join is interrupted counts
        # as ended (bpo-45274).
        with self.changed:
            self.changed.wait_for(lambda: not self._lanes)

    def end(self) -> None:
        """Stop and wait. An interrupt ends the jobs at once, and is raised afterwards."""

        def stop_and_wait() -> None:
            self.stop()
            self.wait()

        to_the_end(stop_and_wait)


def thread_number() -> int:
    """Return which of its lane's threads this one is, counted from 0."""
    number = threading.current_thread().name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
