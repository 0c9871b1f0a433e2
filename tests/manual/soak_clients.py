"""200 clients on one kept worker: some are stopped and never go on, others are killed.

    python tests/manual/soak_clients.py [SECONDS [CLIENTS [STOPPED [SEED]]]]

None of the others may fail or starve, and there is one worker from beginning to end. Afterwards
worker and supervisor have what they had before, and no process and no file is left. Prints the
figures, and ends with an error otherwise.
"""

import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator.client.supervisors import start_time
from orchestrator.system.home import Home
from orchestrator.system.scratch import Scratch
from tests.contract.test_engine import World

KILL_EVERY = 0.5
MEMORY_BOUND = 16 << 20
"""Bytes that the worker may have more at the end than after its first jobs."""

LOST = 100
"""The longest run of seconds in which a client may have no answer; they share one worker."""

SOURCE = """
import os, time
def load(context):
    return os.getpid()

def run(model, job, *, what, array=None, path=None):
    if what == "stream":
        for _ in range(20):
            job.emit("text", "x" * 50_000)
            job.log("a line")
    if what == "file":
        path = os.path.join(job.directory, "out.txt")
        with open(path, "w") as stream:
            stream.write("x" * 1000)
        return {"text": str(model), "file": path}
    if what == "sleep":
        time.sleep(0.05)
    return {"text": str(model)} if array is None else {"text": str(model), "array": array}
"""
JOBS = ("pid",) * 8 + ("stream", "file", "sleep", "array")


class Client:
    """One process that runs job after job, each over a connection of its own, as `mm run` does."""

    def __init__(self, world, number, worker, cells, failures):
        self.number, self.began = number, time.monotonic()
        self.random = random.Random(f"{worker} {number} {self.began}")
        self._cells, self._failures, self._worker = cells, failures, worker
        self.pid = os.fork()
        if not self.pid:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self._work(world)
            except BaseException:  # noqa: BLE001 - no client goes on as its parent
                traceback.print_exc()
            finally:
                os._exit(0)

    def _work(self, world):
        world.scratch = Scratch(Home(world.root / "home"))
        world.engine = world.new_engine()
        array = np.zeros(1 << 18)
        while not self._cells[0]:
            what = self.random.choice(JOBS)
            try:
                given = {"array": array} if what == "array" else {}
                answered = world.run(what, keys={"timeout": 300}, **given)["text"]
                said = "" if answered == self._worker else f"another worker: {answered}"
            except Exception:  # noqa: BLE001 - whatever it is, it counts
                said = traceback.format_exc()
            if said:
                os.write(self._failures, f"client {self.number}: {what}: {said}\n\n".encode())
            self._cells[2 * self.number + 1] += 1
            self._cells[2 * self.number + 2] = time.monotonic()
            time.sleep(self.random.random() * 0.2)
        world.scratch.close()

    @property
    def jobs(self):
        return int(self._cells[2 * self.number + 1])

    @property
    def waited(self):
        """Seconds since its last answer."""
        return time.monotonic() - max(self.began, self._cells[2 * self.number + 2])

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        os.waitpid(self.pid, 0)


def figures(pid):
    """Return the resident bytes, threads and descriptors of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return (
        int(status["VmRSS"].split()[0]) * 1024,
        int(status["Threads"]),
        len(os.listdir(f"/proc/{pid}/fd")),
    )


class Trial:
    """One kept worker and its clients; `problems` holds what should not have happened."""

    def __init__(self, directory, count, stopped, seed):
        self.problems = []
        self._chance = random.Random(seed)
        self._world = world = World(directory, "kept")
        world.spec = replace(world.spec, runner={"runner.py": SOURCE})
        worker = world.run()["text"]
        (self._record,) = world.runtime.records()
        self._pids = {"worker": int(worker), "supervisor": self._record.supervisor}
        self._before = self._settled()
        self._over = cells = memoryview(mmap.mmap(-1, 8 * (2 * count + 1))).cast("d")
        self._log = directory / "failures"
        failures = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._new = lambda number: Client(world, number, worker, cells, failures)
        self._clients = [self._new(number) for number in range(count)]
        self._frozen = set(self._chance.sample(range(count), stopped))

    def _settled(self):
        """Run jobs alone, and return the figures of worker and supervisor."""
        for _ in range(100):
            self._world.run("stream")
            self._world.run("array", array=np.zeros(1 << 18))
        time.sleep(3)  # the supervisor looks every two seconds
        return [figures(pid) for pid in self._pids.values()]

    @property
    def _others(self):
        return [each for each in self._clients if each.number not in self._frozen]

    def run(self, seconds):
        """Stop some clients after a while, and kill and replace others."""
        kills, longest, began = 0, 0.0, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            time.sleep(KILL_EVERY)
            if passed > seconds / 10:
                for number in self._frozen:
                    self._clients[number].signal(signal.SIGSTOP)
            victim = self._chance.choice(self._others)
            victim.signal(signal.SIGKILL)
            victim.wait()
            self._clients[victim.number] = self._new(victim.number)
            kills += 1
            longest = max(longest, *(each.waited for each in self._others))
        self._over[0] = 1
        for each in self._clients:
            if each.number in self._frozen:
                each.signal(signal.SIGKILL)
            each.wait()
        failures = self._log.read_text().split("\n\n")[:-1]
        self.problems += failures[:10]
        if longest > LOST:
            self.problems.append("a client starved")
        jobs = sum(each.jobs for each in self._clients)
        stopped = f"{len(self._frozen)} stopped, {kills} killed"
        print(f"{len(self._clients)} clients, {stopped}, {jobs} jobs, {len(failures)} failures")
        print(f"the longest time without an answer: {longest:.1f} s")

    def compare(self):
        """Print what worker and supervisor had before and have now."""
        for name, old, new in zip(self._pids, self._before, self._settled(), strict=True):
            print(
                f"{name}: {old[0] / 1e6:.1f} -> {new[0] / 1e6:.1f} MB, "
                f"{old[1]} -> {new[1]} threads, {old[2]} -> {new[2]} descriptors"
            )
            if new[0] > old[0] + MEMORY_BOUND or new[1] > old[1] or new[2] > old[2]:
                self.problems.append(f"the {name} has grown")

    def close(self):
        """End the worker, and look what is left."""
        world = self._world
        self._record.foreign().end()
        world.scratch.close()
        Scratch(Home(world.root / "home")).close()  # it sweeps what killed clients leave
        left = [*(world.root / "home" / "jobs").iterdir(), *world.run_directory.iterdir()]
        left = [str(path) for path in left if path.suffix != ".end"]
        left += [f"process {pid}" for pid in self._pids.values() if start_time(pid)]
        print(f"{len(left)} files and processes left")
        self.problems += [f"left: {each}" for each in left]
        world.close()


def main(seconds=180.0, count=200, stopped=10, seed=0):
    with tempfile.TemporaryDirectory(prefix="mm-soak-") as directory:
        trial = Trial(Path(directory), count, stopped, seed)
        trial.run(seconds)
        trial.compare()
        trial.close()
    for problem in trial.problems:
        print("PROBLEM", problem)
    if trial.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, int, int, int), sys.argv[1:], strict=False)))
