"""The supervisor alone, beside a worker that has ended before it first looks."""

import subprocess
import sys

from orchestrator.worker.supervise import LOG_LIMIT

ENDED = """
import os, sys
from orchestrator.worker import state, supervise
place, log = sys.argv[1:]
state.create(place + ".state")
worker = os.fork()
if not worker:
    os._exit(3)
os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
settings = {"lifeline": str(os.pipe()[0]), "place": place, "log": log}
supervise.Supervisor(settings, worker).run()
"""


def test_what_a_worker_wrote_at_its_end_is_cut_and_how_it_ended_is_recorded(tmp_path):
    log, place = tmp_path / "log", tmp_path / "worker"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    subprocess.run([sys.executable, "-c", ENDED, str(place), str(log)], check=True)
    assert log.stat().st_size < LOG_LIMIT
    assert place.with_suffix(".end").read_text() == '{"exit": 3, "signal": null, "why": ""}\n'
    assert not place.with_suffix(".state").exists()
