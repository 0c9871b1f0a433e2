"""Mixed commands in loops side by side, while clients and workers are killed at random.

    python tests/manual/soak_commands.py [SECONDS [LOOPS [SEED]]]

All use one home. A command may fail only if it, or a worker, was killed while it ran. At the end
nothing may be left: no process, no job's directory, no file of a worker. Ends with an error
otherwise, and prints how often each command ended in which way.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KILL_EVERY = 1.0
LATER = (".end", ".tmp")
"""Files of workers that the next start of one removes, an hour after they were written."""

SETTLE = 15.0
"""Seconds that killed clients' workers have to end."""

MANIFEST = """\
name: {name}
task: try-{name}
summary: A model of the soak
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  text: {{type: text, required: true}}
  seconds: {{type: number, default: 0}}
outputs:
  text: {{type: text, primary: true}}
"""
RUNNER = """\
import time
def load(context):
    time.sleep(0.1)
def run(model, job, *, text, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not job.cancelled:
        time.sleep(0.01)
    job.emit("text", text[:1])
    return {"text": text}
"""
PIPELINE = """\
name: twice
inputs: {words: {type: text, list: true, required: true}}
steps:
  - {id: one, foreach: "${{ inputs.words }}", run: one, with: {text: "${{ item }}"}}
  - {id: two, foreach: "${{ steps.one.text }}", run: two, with: {text: "${{ item }}"}}
outputs: {texts: "${{ steps.two.text }}"}
"""
COMMANDS = {
    "run": (8, lambda r, d: ["run", "one", "--text", f"w{r.random()}"]),
    "run another": (4, lambda r, d: ["run", "two", "--text", "x", "--seconds", "0.3"]),
    "run and leave none": (2, lambda r, d: ["run", "one", "--text", "x", "--keep-alive", "0"]),
    "run to a file": (2, lambda r, d: ["run", "one", "--text", "x", "-o", str(d / "out.txt")]),
    "batch": (
        2,
        lambda r, d: ["batch", "one", str(d / "texts"), "-o", str(d / f"{r.random()}.jsonl")],
    ),
    "pipeline": (
        2,
        lambda r, d: ["pipeline", "run", "twice", "--words", "a", "--words", f"{r.random()}"],
    ),
    "ps": (3, lambda r, d: ["ps", "--json"]),
    "logs": (1, lambda r, d: ["logs", "one"]),
    "env list": (1, lambda r, d: ["env", "list"]),
    "env check": (1, lambda r, d: ["env", "check", "one"]),
    "env sync": (2, lambda r, d: ["env", "sync", "one", "two"]),
    "env prune": (1, lambda r, d: ["env", "prune"]),
    "pipeline clean": (1, lambda r, d: ["pipeline", "clean", "--older-than", "1d"]),
}
MAY_FAIL = {"logs": (2,), "pipeline clean": (3,)}
"""Exit codes that say something true: no log yet, results in use by a pipeline."""


class Soak:
    """Loops of commands, a killer, and what came of each command."""

    def __init__(self, seed):
        self.directory = Path(tempfile.mkdtemp(prefix="mm-soak-"))
        self.random = random.Random(seed)
        self.ends, self.failures, self.kills = Counter(), [], Counter()
        self._lock = threading.Lock()
        self._running = {}
        self._kill_times = []
        self.over = threading.Event()
        self.variables = {
            **os.environ,
            "MM_HOME": str(self.directory / "home"),
            "MM_RUNTIME_DIR": str(self.directory / "run"),
            "MM_MANIFESTS": str(self.directory / "manifests"),
            "MM_KEEP_ALIVE": "20s",
        }
        for name in ("one", "two"):
            self._write(f"manifests/{name}.yaml", MANIFEST.format(name=name))
            self._write(f"envs/{name}/runner.py", RUNNER)
        self._write("manifests/pipelines/twice.yaml", PIPELINE)
        for name in "abc":
            self._write(f"texts/{name}.txt", name)

    def _write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def mm(self, *arguments):
        command = [sys.executable, "-m", "orchestrator", *arguments]
        return subprocess.run(
            command, cwd=self.directory, env={**self.variables, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def loop(self, number):
        own = random.Random(self.random.random() + number)
        directory = self.directory / f"loop-{number}"
        directory.mkdir()
        (directory / "texts").symlink_to(self.directory / "texts")
        names = [name for name, (weight, _) in COMMANDS.items() for _ in range(weight)]
        while not self.over.is_set():
            name = own.choice(names)
            arguments = COMMANDS[name][1](own, directory)
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *arguments],
                cwd=directory, env={**self.variables, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            with self._lock:
                self._running[process.pid] = process
            try:
                _, err = process.communicate(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                _, err = process.communicate()
                err = f"HUNG for 300 s: {err}"
            with self._lock:
                del self._running[process.pid]
                worker_killed = any(at >= began - 1 for at in self._kill_times)
            code = process.returncode
            self.ends[name, code] += 1
            fine = code in (0, -signal.SIGKILL, *MAY_FAIL.get(name, ()))
            excused = worker_killed and "SIGKILL" in err
            if "HUNG" in err or not (fine or excused):
                self.failures.append((name, code, err[-600:]))

    def kill(self):
        while not self.over.wait(KILL_EVERY):
            if self.random.random() < 0.5:
                with self._lock:
                    found = list(self._running.values())
                if found:
                    self.random.choice(found).kill()
                    self.kills["client"] += 1
                continue
            workers = [each for each in self.workers() if each.get("pid")]
            if workers:
                pid = self.random.choice(workers)["pid"]
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                with self._lock:
                    self._kill_times.append(time.monotonic())
                self.kills["worker"] += 1

    def workers(self):
        shown = self.mm("ps", "--json")
        return json.loads(shown.stdout)["workers"] if shown.returncode == 0 else []

    def left(self):
        """Return what is left that should not be."""
        time.sleep(SETTLE)
        stopped = self.mm("stop", "--all")
        found = [] if stopped.returncode == 0 else [f"stop: {stopped.stderr}"]
        found += [f"worker {each}" for each in self.workers()]
        run = self.mm("run", "one", "--text", "x", "--keep-alive", "0")  # sweeps what is left
        found += [] if run.returncode == 0 else [f"the last run: {run.stderr}"]
        for place in ("home/jobs", "run"):
            found += [
                str(path) for path in (self.directory / place).glob("*") if path.suffix not in LATER
            ]
        mine = str(self.directory)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if mine in (entry / "cmdline").read_bytes().decode("utf-8", "replace"):
                    found.append(f"process {entry.name}")
        return found


def main(seconds=3600.0, loops=8, seed=0):
    soak = Soak(seed)
    for step in (("env", "lock", "one", "two"), ("env", "sync", "one", "two")):
        made = soak.mm(*step)
        if made.returncode:
            raise SystemExit(made.stderr)
    threads = [threading.Thread(target=soak.loop, args=(n,)) for n in range(loops)]
    killer = threading.Thread(target=soak.kill)
    for thread in (*threads, killer):
        thread.start()
    time.sleep(seconds)
    soak.over.set()
    for thread in (*threads, killer):
        thread.join()
    for (name, code), count in sorted(soak.ends.items()):
        print(f"{name:20} exit {code:4} {count:6}")
    print(f"{sum(soak.ends.values())} commands, {dict(soak.kills)} killed, seed {seed}")
    left = soak.left()
    for failure in soak.failures[:20]:
        print("FAILED", *failure)
    for each in left:
        print("LEFT", each)
    if soak.failures or left:
        raise SystemExit(f"{len(soak.failures)} failed that were not killed, {len(left)} left")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, int, int), sys.argv[1:], strict=False)))
