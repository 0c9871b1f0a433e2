"""The jobs of one model: what is asked for on their behalf ends with them."""

import select
import threading

import pytest

from orchestrator.errors import Cancelled
from orchestrator.jobs.in_flight import InFlightJobs
from orchestrator.jobs.job import Job
from orchestrator.pipelines.job_runner import JobRunner

SOON = 30.0


class Builds:
    """Builds an environment for as long as it is not cancelled."""

    def produced_by(self, job):
        self.begun.set()
        assert select.select([job.cancellation], [], [], SOON)[0]
        raise Cancelled("as asked")

    def __init__(self):
        self.begun = threading.Event()


def test_a_build_ends_with_the_jobs_that_it_is_for():
    builds, in_flight, ends = Builds(), InFlightJobs(), []

    def work():
        with pytest.raises(Cancelled, match="as asked"):
            JobRunner(builds, Job("m"), 0, in_flight).produced_by()
        ends.append(1)

    in_flight.submit("step", 1, work)
    assert builds.begun.wait(SOON)
    in_flight.end()
    assert ends == [1]
