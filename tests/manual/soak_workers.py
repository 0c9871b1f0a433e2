"""Many jobs, cancelled ones and killed workers, with memory, descriptors and log watched.

    python tests/manual/soak_workers.py [JOBS CANCELLED KILLED]

Ends with an error when anything has grown beyond its bound.
"""

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator.errors import Cancelled, Crashed
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.worker.supervise import LOG_LIMIT
from tests.contract.test_engine import World

SOURCE = """
import os, time
def load(context):
    return os.getpid()

def run(model, job, *, what, array=None, path=None):
    if what == "wait":
        job.log("waiting")
        while not job.cancelled:
            time.sleep(0.001)
    if what == "print":
        print("x" * 10_000)
    return {"text": str(model)}
"""

MEMORY_BOUND = 8 << 20
"""Bytes that client and worker may each have more at the end than after the first jobs."""


def resident(pid="self"):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid="self"):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch:
    """Compares what client and worker have with what they had at the beginning."""

    def __init__(self, pid):
        self._pids = ("self", pid)
        self._before = [(resident(each), descriptors(each)) for each in self._pids]

    def check(self, what):
        for name, pid, (memory, count) in zip(
            ("client", "worker"), self._pids, self._before, strict=True
        ):
            grown, more = resident(pid) - memory, descriptors(pid) - count
            print(f"{what}: {name} +{grown / 1e6:.2f} MB, {more:+d} descriptors")
            assert grown <= MEMORY_BOUND, "memory has grown"
            assert more <= 0, "descriptors have grown"


def cancelled_job(world):
    cancellation = Cancellation()
    try:
        keys = {"cancellation": cancellation, "on_event": lambda _: cancellation.request()}
        world.run("wait", keys=keys)
    except Cancelled:
        return
    finally:
        cancellation.close()
    raise AssertionError("it was not cancelled")


def main(jobs=10_000, cancelled=1_000, killed=200):
    with tempfile.TemporaryDirectory(prefix="mm-soak-") as directory:
        world = World(Path(directory), "local")
        world.spec = replace(world.spec, runner={"runner.py": SOURCE})
        pid = int(world.run()["text"])
        for _ in range(200):
            world.run("print")
        watch = Watch(pid)
        for _ in range(jobs):
            world.run("print")
        watch.check(f"{jobs} jobs")
        (record,) = world.runtime.records()
        size = os.path.getsize(record.log)
        print(f"log: {size} bytes")
        assert size <= LOG_LIMIT + (32 << 20)
        for _ in range(cancelled):
            cancelled_job(world)
        watch.check(f"{cancelled} cancelled")
        before = descriptors(), resident()
        for _ in range(killed):
            pid = int(world.run()["text"])
            timer = threading.Timer(0.02, os.kill, (pid, signal.SIGKILL))
            timer.start()
            try:
                world.run("wait")
            except Crashed:
                timer.join()
                continue
            raise AssertionError("it was not killed")
        grown = resident() - before[1]
        print(
            f"{killed} killed: {descriptors() - before[0]:+d} descriptors, "
            f"{grown / 1e6:+.2f} MB, "
            f"{len(os.listdir(world.run_directory))} files, "
            f"{len(os.listdir(world.root / 'logs'))} logs"
        )
        assert descriptors() <= before[0]
        assert grown <= MEMORY_BOUND
        assert os.listdir(world.run_directory) == []
        world.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
