"""How an end is told where its supervisor has written nothing."""

import os

import pytest

from orchestrator.client.ending import read_ending
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time

GONE = 2**22 + 1
"""Above the largest id that Linux gives."""


def worker(supervisor):
    return WorkerRecord(
        id="w", model="m", supervisor=supervisor, started=start_time(os.getpid()),
        environment="", socket="", log="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("supervisor", "record", "said"),
    [
        (GONE, False, "exit status 0"),
        (GONE, True, "its supervisor, which was killed"),
        (os.getpid(), True, "ended before it answered"),
    ],
    ids=["in order", "killed", "alive"],
)
def test_an_orderly_end_and_a_killed_supervisor_are_told_apart(tmp_path, supervisor, record, said):
    runtime = RuntimeDirectory(tmp_path)
    known = worker(supervisor)
    if record:
        runtime.write(known)
    end = read_ending(runtime, known, GONE)
    assert said in end.how
    assert end.why == ""
