"""The start of workers: their logs, of which the oldest go, and the way to a busy one."""

import errno
import os
import stat

import pytest

from orchestrator.client.launch import LOGS_KEPT, _new_log, _reach
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.supervisors import start_time
from orchestrator.client.worker import Worker
from orchestrator.worker import state
from orchestrator.worker.state import WorkerState
from tests.fakes import FakeSupervisor


def test_the_oldest_logs_of_a_models_ended_workers_go(tmp_path):
    logs = tmp_path / "workers"
    logs.mkdir(mode=0o755)
    for age in range(LOGS_KEPT + 5):
        path = logs / f"m.{age:012}.log"
        path.touch()
        os.utime(path, (age, age))
    others = [logs / "other.000000000000.log", logs / "m.1.000000000000.log"]
    for path in others:
        path.touch()
        os.utime(path, (0, 0))
    live = {f"{age:012}" for age in (0, 3)}
    log = _new_log(logs, "m", "f" * 12, live)
    left = {path.name.split(".")[1] for path in {*logs.glob("m.*.log")} - {*others}}
    assert left == {*live, *(f"{age:012}" for age in range(6, LOGS_KEPT + 5)), "f" * 12}
    assert all(path.exists() for path in others)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700


def test_the_log_of_a_live_worker_stays_where_the_models_name_has_a_dot(tmp_path):
    live = tmp_path / "m-1.7b.000000000000.log"
    live.touch()
    os.utime(live, (0, 0))
    for age in range(1, LOGS_KEPT + 5):
        (tmp_path / f"m-1.7b.{age:012}.log").touch()
    _new_log(tmp_path, "m-1.7b", "f" * 12, {"0" * 12})
    assert live.exists()
    assert len(list(tmp_path.iterdir())) == LOGS_KEPT + 1


class Socket:
    """A socket whose peer takes a connection at the second try."""

    def __init__(self, failed):
        self.answers = [failed, 0]

    def settimeout(self, seconds):
        pass

    def connect_ex(self, address):
        return self.answers.pop(0)


@pytest.fixture
def worker(tmp_path):
    """Return a function that makes a worker in a state."""

    def worker(does, started):
        runtime = RuntimeDirectory(tmp_path)
        numbers = [os.getpid(), 0, 0, 0.0, 300, state.FOREVER, 0, does]
        runtime.state_file("w").write_bytes(state.encode(numbers))
        record = WorkerRecord(
            id="w", model="m", supervisor=os.getpid(), started=started or start_time(os.getpid()),
            environment="", socket="", log="",
        )  # fmt: skip
        return Worker(record, runtime, FakeSupervisor())

    return worker


@pytest.mark.parametrize("failed", [errno.EAGAIN, errno.ECONNREFUSED], ids=["Linux", "macOS"])
def test_a_busy_worker_with_a_full_backlog_is_tried_again(worker, failed):
    sock, checked = Socket(failed), []
    _reach(sock, worker(WorkerState.BUSY, ""), lambda: checked.append(1))
    assert (sock.answers, checked) == ([], [1])


@pytest.mark.parametrize(("does", "started"), [(WorkerState.ENDING, ""), (WorkerState.BUSY, "no")])
def test_one_that_ends_or_is_gone_is_not(worker, does, started):
    with pytest.raises(ConnectionRefusedError):
        _reach(Socket(errno.ECONNREFUSED), worker(does, started), lambda: pytest.fail("again"))
