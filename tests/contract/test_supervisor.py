"""The supervisor alone, beside a process that stands for its worker."""

import subprocess
import sys

import pytest

from orchestrator.worker.supervise import LOG_LIMIT

ENDED = """
import os, sys
from orchestrator.worker import state, supervise
place, log = sys.argv[1:]
state.create(place + ".state")
reader, writer = os.pipe()
worker = os.fork()
if not worker:
    os._exit(3)
os.close(writer)
os.read(reader, 1)  # it has ended, or is about to
settings = {"lifeline": str(os.pipe()[0]), "place": place, "log": log}
supervise.Supervisor(settings, worker).run()
"""


WORKING = """
import os, sys, time
from orchestrator.worker import state, supervise
place, log, seconds, left = sys.argv[1:]
state.create(place + ".state")
shared = state.attach(place + ".state")
shared[state.DEADLINE] = time.monotonic() + float(left)
shared[state.REQUEST] = 5
shared[state.STATE] = state.WorkerState.BUSY
worker = os.fork()
if not worker:
    os.setpgid(0, 0)
    time.sleep(float(seconds))
    os._exit(0)
reader, writer = os.pipe()
supervise.Supervisor({"lifeline": str(reader), "place": place, "log": log}, worker).run()
"""
"""A worker whose job takes so many seconds, and has a deadline so many seconds later."""


@pytest.mark.parametrize(
    ("seconds", "left", "end"),
    [(0.5, 60, None), (60, 0, '{"exit": null, "signal": 15, "why": "deadline", "request": 5}\n')],
    ids=["in time", "too late"],
)
def test_a_worker_whose_deadline_has_passed_is_ended(tmp_path, seconds, left, end):
    place = tmp_path / "worker"
    arguments = map(str, (place, tmp_path / "log", seconds, left))
    subprocess.run([sys.executable, "-c", WORKING, *arguments], check=True)
    recorded = place.with_suffix(".end")
    assert (recorded.read_text() if recorded.exists() else None) == end


def test_what_a_worker_wrote_at_its_end_is_cut_and_how_it_ended_is_recorded(tmp_path):
    log, place = tmp_path / "log", tmp_path / "worker"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    copies = place.with_suffix(".modules") / "transformers_modules"
    copies.mkdir(parents=True)
    (copies / "model.py").touch()
    (copies / "elsewhere").symlink_to(tmp_path)
    subprocess.run([sys.executable, "-c", ENDED, str(place), str(log)], check=True)
    assert log.stat().st_size < LOG_LIMIT
    assert (
        place.with_suffix(".end").read_text()
        == '{"exit": 3, "signal": null, "why": "", "request": 0}\n'
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "worker.end"]
