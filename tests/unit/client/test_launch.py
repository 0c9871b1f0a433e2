"""The logs of workers: the oldest go, but none of a worker that lives."""

import os
import stat

from orchestrator.client.launch import LOGS_KEPT, _new_log


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
