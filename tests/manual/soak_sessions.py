"""Many jobs in one session, and cancelled ones, with memory, threads and descriptors watched.

    python tests/manual/soak_sessions.py [JOBS ASYNC_JOBS]

First JOBS that are submitted to a `Session` at once, then ASYNC_JOBS tasks of an `AsyncSession`, of
which some are cancelled while they are queued or run; both twice, because Python keeps what it has
once needed. Ends with an error when anything but a cancelled job fails, or anything is left.
"""

import asyncio
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator.async_session import AsyncSession
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from tests.contract.session_engine import Models, OneEngine
from tests.contract.test_engine import World
from tests.manual.soak_workers import MEMORY_BOUND, descriptors, resident

SOURCE = """
import os, time
def load(context): ...
def run(model, job, *, what, array=None, path=None):
    while what == "wait" and not job.cancelled:
        time.sleep(0.001)
    return {"text": what}
"""

MODELS = 2
SEED = 20


class Watch:
    """Threads, descriptors and memory of this process, against those at the beginning."""

    def __init__(self):
        self.before = self.now()
        self.most = self.before
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def now(self):
        return threading.active_count(), descriptors(), resident()

    def look(self):
        while not self.done.wait(0.05):
            self.most = tuple(map(max, self.most, self.now()))

    def end(self, what, seconds):
        self.done.set()
        self.thread.join()
        threads, files, memory = (a - b for a, b in zip(self.most, self.before, strict=True))
        print(
            f"{what}: {seconds:.1f} s; at most {threads:+d} threads, {files:+d} descriptors, "
            f"{memory / 1e6:+.1f} MB; at the end {threading.active_count()} threads, "
            f"{descriptors() - self.before[1]:+d} descriptors, "
            f"{(resident() - self.before[2]) / 1e6:+.1f} MB"
        )
        assert threads <= MODELS + 2, "threads grow with the jobs"
        assert files <= 20 * (MODELS + 1), "descriptors grow with the jobs"
        assert descriptors() <= self.before[1], "descriptors are left"


def options(world, name):
    """Return what makes a session whose models run in real workers, without an environment."""
    models = []
    for n in range(MODELS):
        spec = replace(world.spec, runner={"runner.py": SOURCE}, options={"n": n})
        models.append(world.job(spec=spec)[1])

    def engine(workspace, scratch, workers):
        return OneEngine(world.engine_here("local", scratch), models)

    return {"workspace": Models(world.root / name, models), "engine": engine}


def submitted(world, name, jobs):
    watch, began = Watch(), time.monotonic()
    with Session(**options(world, name)) as mm:
        futures = [mm.submit(str(n % MODELS), what=str(n)) for n in range(jobs)]
        print(f"{jobs} submitted after {time.monotonic() - began:.1f} s")
        for n, future in enumerate(futures):
            assert future.result()["text"] == str(n)
    watch.end(f"{jobs} jobs of a Session", time.monotonic() - began)


async def cancelling(world, name, jobs):
    chance = random.Random(SEED)
    counts = dict.fromkeys(("done", "cancelled queued", "cancelled running"), 0)
    async with AsyncSession(**options(world, name)) as mm:

        async def one(n):
            what = "wait" if n % 50 == 0 else str(n)
            task, loop, begun = asyncio.current_task(), asyncio.get_running_loop(), []

            def on_event(event):
                begun.append(event.kind)
                if event.kind == "started" and what == "wait":
                    loop.call_later(chance.random() * 0.02, task.cancel)

            if chance.random() < 0.2:
                loop.call_later(chance.random() * jobs / 2000, task.cancel)
            job = Job(str(n % MODELS), {"what": what}, on_event=on_event)
            try:
                assert (await mm.execute(job))["text"] == what
                counts["done"] += 1
            except asyncio.CancelledError:
                where = "running" if "started" in begun else "queued"
                counts[f"cancelled {where}"] += 1

        await asyncio.gather(*(one(n) for n in range(jobs)))
    assert sum(counts.values()) == jobs
    return counts


def main(jobs=10_000, async_jobs=20_000):
    with tempfile.TemporaryDirectory(prefix="mm-soak-") as directory:
        world = World(Path(directory), "local")
        for name in ("first", "second"):
            before = resident()
            submitted(world, name, jobs)
            watch, began = Watch(), time.monotonic()
            counts = asyncio.run(cancelling(world, f"async-{name}", async_jobs))
            watch.end(f"{async_jobs} jobs of an AsyncSession, {counts}", time.monotonic() - began)
        assert resident() - before <= MEMORY_BOUND, "memory has grown"
        left = [*os.listdir(world.run_directory), *Path(directory).glob("*/home/jobs/*")]
        world.close()
        print(f"left: {left}")
        assert left == []


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
