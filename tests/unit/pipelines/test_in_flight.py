"""The jobs that run: asked to stop together, and none begins after that."""

import select
import signal
import threading
import time

import pytest

from orchestrator.errors import Cancelled
from orchestrator.pipelines.in_flight import InFlightJobs

SOON = 30.0


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
    jobs.close()
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
    jobs.close()
    assert ended
    assert ended[0] >= 1
