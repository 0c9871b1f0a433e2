"""How an end is told where its supervisor has written nothing."""

import os

import pytest

from orchestrator.client.ending import read_ending, refusal_in
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time

GONE = 2**22 + 1
"""Above the largest id that Linux gives."""


LOST = "FileNotFoundError: [Errno 2] No such file or directory: '/x'"


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


@pytest.mark.parametrize(
    ("last", "what"),
    [
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "no more processes"),
        ("OSError: [Errno 24] Too many open files: '/x'", "too many files"),
        ("RuntimeError: can't start new thread", "no more processes"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "permission denied"),
    ],
)
def test_a_worker_that_the_machine_let_not_start_did_not_crash(last, what):
    assert what in refusal_in(f"Traceback …\n  File\n{last}\n", "m").what


@pytest.mark.parametrize("log", ["", "x", "ValueError: no", "OSError: [Errno 9] Bad", LOST])
def test_any_other_end_is_none_of_the_machines(log):
    assert refusal_in(log, "m") is None
