"""The jobs that run: asked to stop together, and none begins after that."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import Cancelled
from orchestrator.pipelines.in_flight import InFlightJobs


def test_a_stop_asks_every_job_that_runs_and_a_second_one_asks_again():
    flight = InFlightJobs()
    with flight.cancellation() as first, flight.cancellation() as second:
        flight.stop()
        assert (first.drain(), second.drain()) == (1, 1)
        flight.stop()
        assert (first.drain(), second.drain()) == (1, 1)


def test_a_job_that_has_ended_is_not_asked():
    flight = InFlightJobs()
    with flight.cancellation() as ended:
        pass
    flight.stop()
    assert ended.drain() == 0
    assert flight.stopped


def test_no_job_begins_after_a_stop():
    flight = InFlightJobs()
    flight.stop()
    with pytest.raises(Cancelled, match="stopped before it began"), flight.cancellation():
        pass


def test_an_interrupt_while_the_last_jobs_end_ends_them_at_once():
    flight = InFlightJobs()

    class Interrupted(ThreadPoolExecutor):
        interrupts = 1

        def shutdown(self, **keys):
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            super().shutdown(**keys)

    flight._pools["one"] = Interrupted(1)
    with flight.cancellation() as job:
        flight.close()
        assert job.drain() == 2  # asked to stop, then to end at once
