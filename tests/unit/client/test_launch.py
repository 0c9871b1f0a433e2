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
    (logs / "other.000000000000.log").touch()
    live = {f"{age:012}" for age in (0, 3)}
    log = _new_log(logs, "m", "f" * 12, live)
    left = {path.name.split(".")[1] for path in logs.glob("m.*.log")}
    assert left == {*live, *(f"{age:012}" for age in range(6, LOGS_KEPT + 5)), "f" * 12}
    assert (logs / "other.000000000000.log").exists()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700
