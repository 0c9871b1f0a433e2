"""Jobs in flight: queued in lanes, cancelled singly or together, and ended at the end."""

import _thread
import concurrent.futures
import os
import select
import signal
import threading
import time

import pytest

from orchestrator.errors import Cancelled, JobFailed, MMError, UsageError
from orchestrator.jobs.in_flight import InFlightJobs
from tests.races import just_before

SOON = 30.0


class Running:
    """Work that runs until it is asked to stop, or let go."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.asked = []

    def __call__(self):
        with self.jobs.cancellation() as cancellation:
            self.begun.set()
            while not self.go_on.is_set():
                if select.select([cancellation], [], [], 0.01)[0]:
                    self.asked.append(cancellation.drain())
                    self.stop()
            return "done"

    def stop(self):
        raise Cancelled("it has stopped")


@pytest.fixture
def jobs():
    made = InFlightJobs()
    yield made
    made.end()


@pytest.fixture
def running(jobs):
    """A job that runs in the only place of the lane "a"."""
    work = Running(jobs)
    work.future = jobs.submit("a", 1, work)
    assert work.begun.wait(SOON)
    yield work
    work.go_on.set()


def test_what_is_queued_holds_no_thread_and_no_descriptor(jobs, running):
    before = threading.active_count(), len(os.listdir("/dev/fd"))
    futures = [jobs.submit("a", 1, lambda n=n: n) for n in range(1000)]
    assert (threading.active_count(), len(os.listdir("/dev/fd"))) == before
    assert [future.place for future in futures[:2]] == [1, 2]
    running.go_on.set()
    assert [future.result(SOON) for future in futures] == list(range(1000))
    jobs.wait()
    assert not [each for each in threading.enumerate() if each.name.startswith("mm-")]


def test_a_lane_has_as_many_threads_as_places_and_blocks_no_other(jobs, running):
    more = [Running(jobs) for _ in range(3)]
    futures = [jobs.submit("b", 2, each) for each in more]
    assert more[0].begun.wait(SOON)
    assert more[1].begun.wait(SOON)
    assert futures[2].place == 2
    assert not futures[2].running()
    for each in more:
        each.go_on.set()
    assert [future.result(SOON) for future in futures] == ["done"] * 3
    assert running.future.running()


def test_places_that_are_added_go_to_those_that_came_first(jobs, running):
    first, second = Running(jobs), Running(jobs)
    earlier = jobs.submit("a", 1, first)
    later = jobs.submit("a", 2, second)
    assert first.begun.wait(SOON)
    assert (earlier.running(), later.running()) == (True, False)
    running.go_on.set()
    assert second.begun.wait(SOON)
    for each in (first, second):
        each.go_on.set()
    assert [earlier.result(SOON), later.result(SOON)] == ["done"] * 2


@pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_callback_ends_no_other_job(jobs, running, monkeypatch, exit_):
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: raised.append(arguments[0]))

    def leave(future):
        raise exit_

    running.future.add_done_callback(leave)
    after = jobs.submit("a", 1, lambda: "after")
    running.go_on.set()
    assert after.result(SOON) == "after"
    assert raised == [exit_]


def test_an_exit_in_a_callback_at_the_end_leaves_no_job_without_an_end(jobs, running):
    queued = [jobs.submit("a", 1, str) for _ in range(3)]

    def leave(future):
        raise SystemExit

    queued[0].add_done_callback(leave)
    with pytest.raises(SystemExit):
        jobs.close()
    assert len(concurrent.futures.wait(queued, 0).done) == 3


def test_a_job_that_cancels_itself_does_not_wait_for_its_own_end(jobs):
    """As the stream of a job does that is collected as garbage in the job's own thread."""

    def work():
        with jobs.cancellation() as cancellation:
            futures[0].cancel_and_wait()
            assert cancellation.drain()
            raise Cancelled("as asked")

    futures = []
    with jobs.changed:
        futures.append(jobs.submit("a", 1, work))
    with pytest.raises(Cancelled, match="as asked"):
        futures[0].result(SOON)


def test_a_queued_job_is_cancelled_at_once_and_alone(jobs, running):
    ran = []
    first, second, third = [jobs.submit("a", 1, lambda n=n: ran.append(n)) for n in range(3)]
    assert second.cancel()
    assert second.cancelled()
    assert second.cancel()
    assert concurrent.futures.wait([second], 0).done == {second}
    for kind in (concurrent.futures.CancelledError, MMError):
        with pytest.raises(kind, match="cancelled before it began"):
            second.result()
    with pytest.raises(Cancelled):
        second.exception()
    running.go_on.set()
    third.result(SOON)
    assert ran == [0, 2]
    assert not first.cancel()


def test_a_running_job_is_asked_to_stop_and_ends_as_cancelled(jobs, running):
    ended, other = [], Running(jobs)
    beside = jobs.submit("b", 1, other)
    assert other.begun.wait(SOON)
    running.future.add_done_callback(ended.append)
    assert running.future.running()
    assert running.future.cancel()
    assert concurrent.futures.wait([running.future], SOON).done
    assert running.future.cancelled()
    assert ended == [running.future]
    with pytest.raises(Cancelled, match="it has stopped"):
        running.future.result()
    assert jobs.submit("a", 1, lambda: "next").result(SOON) == "next"
    other.go_on.set()
    assert beside.result(SOON) == "done"
    assert other.asked == []


def test_a_running_job_that_is_cancelled_twice_is_asked_twice(jobs, running):
    running.stop = lambda: None
    running.future.cancel()
    while not running.asked:
        time.sleep(0.01)
    running.future.cancel()
    while sum(running.asked) < 2:
        time.sleep(0.01)
    running.go_on.set()
    # It ended well before it saw the request.
    assert running.future.result(SOON) == "done"
    assert not running.future.cancelled()


@pytest.mark.parametrize(("stops", "asked"), [(1, 1), (2, 2)])
def test_a_stop_asks_a_job_that_was_cancelled_only_when_it_comes_again(jobs, stops, asked):
    begun, go_on = threading.Event(), threading.Event()

    def work():
        with jobs.cancellation() as cancellation:
            begun.set()
            assert go_on.wait(SOON)
            return cancellation.drain()

    future = jobs.submit("a", 1, work)
    assert begun.wait(SOON)
    future.cancel()
    for _ in range(stops):
        jobs.stop()
    go_on.set()
    assert future.result(SOON) == asked


def test_a_job_that_is_cancelled_before_it_can_be_stopped_does_not_begin(jobs):
    begun, go_on, ran = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(SOON)
        with jobs.cancellation():
            ran.append(1)

    future = jobs.submit("a", 1, work)
    assert begun.wait(SOON)
    assert future.cancel()
    go_on.set()
    with pytest.raises(Cancelled, match="stopped before it began"):
        future.result(SOON)
    assert ran == []


def test_what_others_have_cancelled_is_an_error_of_the_job(jobs):
    def work():
        raise Cancelled("its worker was stopped")

    future = jobs.submit("a", 1, work)
    assert str(future.exception(SOON)) == "its worker was stopped"
    assert not future.cancelled()


def test_a_job_does_not_wait_for_one_that_may_wait_for_it(jobs):
    def work():
        waiting = jobs.submit("a", 1, lambda: "next")
        for wait in (waiting.result, waiting.exception):
            with pytest.raises(UsageError, match="cannot wait for others in the middle of a job"):
                wait()
        return waiting

    waiting = jobs.submit("a", 1, work).result(SOON)
    assert waiting.result(SOON) == "next"


def test_closed_they_take_no_more_and_what_runs_goes_on(jobs, running):
    queued = jobs.submit("a", 1, lambda: 1)
    jobs.close()
    assert queued.cancelled()
    with pytest.raises(Cancelled, match="no job begins any more"):
        jobs.submit("b", 1, lambda: 1)
    running.go_on.set()
    jobs.wait()
    assert running.future.result() == "done"


def test_a_thread_that_cannot_start_costs_its_lane_nothing(jobs):
    def refuse():
        raise RuntimeError("can't start new thread")

    start = getattr(_thread, "start_joinable_thread", _thread.start_new_thread)
    with pytest.raises(MMError, match="thread"), just_before(start, refuse):
        jobs.submit("a", 1, lambda: 1)
    assert jobs.submit("a", 1, lambda: 1).result(SOON) == 1


def test_a_job_that_fails_keeps_its_place_for_the_next(jobs):
    def fail():
        raise JobFailed("as asked")

    failed, well = jobs.submit("a", 1, fail), jobs.submit("a", 1, lambda: 1)
    assert str(failed.exception(SOON)) == "as asked"
    assert well.result(SOON) == 1


def test_a_stop_asks_every_job_that_runs_and_a_second_one_asks_again():
    jobs = InFlightJobs()
    with jobs.cancellation() as first, jobs.cancellation() as second:
        jobs.stop()
        assert (first.drain(), second.drain()) == (1, 1)
        jobs.stop()
        assert (first.drain(), second.drain()) == (1, 1)


def test_no_job_begins_after_a_stop():
    jobs = InFlightJobs()
    jobs.stop()
    with pytest.raises(Cancelled, match="stopped before it began"), jobs.cancellation():
        pass


def test_what_waits_for_a_thread_at_the_end_never_runs():
    jobs, begun, ran = InFlightJobs(), threading.Event(), []

    def work():
        with jobs.cancellation() as cancellation:
            begun.set()
            assert select.select([cancellation], [], [], SOON)[0]

    jobs.submit("step", 1, work)
    jobs.submit("step", 1, lambda: ran.append(1))
    assert begun.wait(SOON)
    jobs.end()
    assert ran == []


def test_an_interrupt_while_the_last_jobs_end_asks_them_again():
    jobs, begun, ended = InFlightJobs(), threading.Event(), []
    main = threading.get_ident()

    def work():
        with jobs.cancellation() as cancellation:
            begun.set()
            assert select.select([cancellation], [], [], SOON)[0]
            assert cancellation.drain() == 1
            # A signal that comes just before a wait does not end it.
            while not select.select([cancellation], [], [], 0.05)[0]:
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.05)  # others may go on meanwhile, but not the caller
            ended.append(cancellation.drain())

    jobs.submit("step", 1, work)
    assert begun.wait(SOON)
    with pytest.raises(KeyboardInterrupt):
        jobs.end()
    assert ended
    assert ended[0] >= 1
