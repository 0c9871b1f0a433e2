"""What a supervisor has of its own once its worker has worked, under each Python that is named.

    python benchmarks/supervisors.py PYTHON... [--rounds=N]

After the fork supervisor and worker share their memory; the worker writes to it bit by bit, and
leaves what it has written to for the supervisor alone. So the supervisor is weighed after its
worker has loaded modules and made several hundred megabytes of objects. Meanwhile another worker
of the same Python lives, as on any machine where this matters; what nobody else has then but pages
of the interpreter's file, which the system may drop at any time, is told apart. The limit is 2 MB.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from orchestrator.client import launch
from orchestrator.client.requests import WorkerRequest
from orchestrator.client.runtime import RuntimeDirectory

RUNNER = """
def load(context):
    import ctypes, decimal, email.message, json, logging

def run(model, job, *, what):
    import gc
    objects = [[each, str(each), {each: float(each)}] for each in range(700_000)]
    gc.collect()
    return {"text": str(len(objects))}
"""


def private(pid):
    """Return the bytes that a process shares with nobody, and those of them that are no file's."""
    lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    found = {line[0]: int(line[1]) * 1024 for line in lines[1:]}
    return found["Private_Clean:"] + found["Private_Dirty:"], found["Private_Dirty:"]


def started(spec, runtime, logs):
    """Start a worker that has loaded its model."""
    worker = launch.spawn(spec, runtime, logs)
    launch.greet(worker)
    agreed = {"inputs": {"what": "text"}, "outputs": {"text": "text"}, "primary": "text"}
    worker.load(WorkerRequest({**spec.load_parameters(), **agreed}, 60))
    return worker


def main(*arguments):
    """Measure and print."""
    rounds = 5
    for word in arguments:
        if word.startswith("--rounds="):
            rounds = int(word.partition("=")[2])
    print(f"{rounds} rounds; load {os.getloadavg()[0]:.1f}; MB")
    print(f"{'':<40}{'beside another':>16}{'alone':>8}{'alone, no file':>16}")
    for python in [word for word in arguments if not word.startswith("--")]:
        with tempfile.TemporaryDirectory(prefix="mm-") as directory:
            root = Path(directory)
            spec = launch.WorkerSpec(
                model="m",
                python=Path(python),
                environment="e" * 64,
                variables={"PATH": os.defpath, "HOME": directory},
                runner={"runner.py": RUNNER},
            )
            runtime = RuntimeDirectory(root / "run")
            runtime.path.mkdir(mode=0o700)
            weights = []
            for _ in range(rounds):
                worker = started(spec, runtime, root / "logs")
                for _ in range(2):
                    job = str(root / "job")
                    worker.run(
                        WorkerRequest({"inputs": {"what": "x"}, "directory": job}, 60, [], job)
                    )
                alone = private(worker.record.supervisor)
                other = started(spec, runtime, root / "logs")
                weights.append((private(worker.record.supervisor)[0], *alone))
                other.stop()
                worker.stop()
        beside, alone, no_file = (
            statistics.median(each) / 1e6 for each in zip(*weights, strict=True)
        )
        print(f"{python[-40:]:<40}{beside:>16.2f}{alone:>8.2f}{no_file:>16.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
