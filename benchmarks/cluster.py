"""What the Ray engine costs beside the local one, in one run.

    python benchmarks/cluster.py [ROUNDS] [--quick]

Everything runs on one machine: a Ray cluster of this process's own, with as many cores as are asked
for, whether they are there or not. Rounds take both sides in turn. Models: one that does nothing,
one that waits 50 ms without using a core (so that more workers can be told from more cores), and
`rapidocr` on one line of text. The environments are built in MM_HOME on the first run.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray

import orchestrator
from orchestrator.client.rosters import rosters
from orchestrator.engines.ray.cluster import QUIET
from orchestrator.system.userenv import during

ROOT = Path(__file__).resolve().parent.parent
FOX = ROOT / "examples" / "quick-fox.png"
MM = [sys.executable, "-m", "orchestrator"]
MB = 1_000_000
CALLS = 50
"""Calls of each kind in a round."""

MANIFEST = """\
name: {name}
task: measure-{name}
summary: A model of the benchmark
environment: {{python: ">=3.10", dependencies: []}}
inputs:
  text: {{type: text, default: ""}}
  file: {{type: file}}
outputs:
  text: {{type: text, primary: true}}
"""

RUNNERS = {
    "nothing": "def load(context): ...\ndef run(model, job, *, text, file=None):\n"
    "    return {'text': str(len(file.read_bytes()) if file else text)}\n",
    "waiting": "import time\ndef load(context): ...\ndef run(model, job, *, text):\n"
    "    time.sleep(0.05)\n    return {'text': text}\n",
}


def declare(root):
    """Write the models and lock them; return the directory of their manifests."""
    manifests = root / "manifests"
    manifests.mkdir()
    for name, source in RUNNERS.items():
        (manifests / f"{name}.yaml").write_text(MANIFEST.format(name=name))
        folder = root / "envs" / name
        folder.mkdir(parents=True)
        (folder / "runner.py").write_text(source)
    command = [*MM, "env", "lock", *RUNNERS, "--manifests", str(manifests)]
    subprocess.run(command, check=True, capture_output=True)
    return manifests


def seconds(work):
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(title, rows):
    print(f"\n{title}\n\n| what | median | beside the first |\n| --- | --- | --- |")
    first = statistics.median(next(iter(rows.values())))
    for name, values in rows.items():
        middle = statistics.median(values)
        shown = f"{middle * 1e3:.2f} ms" if middle < 1 else f"{middle:.2f} s"
        print(f"| {name} | {shown} | {(middle - first) * 1e3:+.2f} ms, {middle / first:.2f} x |")


def per_item(sessions, rounds, calls, jobs):
    """Measure calls of each engine in turn; `jobs` are names and what a session does for one."""
    found = {f"{what}, {engine}": [] for what in jobs for engine in sessions}
    for what, job in jobs.items():
        for session in sessions.values():
            job(session)  # loaded
        for _ in range(rounds):
            for engine, session in sessions.items():
                count = calls[what]
                taken = seconds(lambda s=session, j=job, n=count: [j(s) for _ in range(n)])
                found[f"{what}, {engine}"].append(taken / count)
    for what in jobs:
        table(
            f"One call after the other, {what}:",
            {name: values for name, values in found.items() if name.startswith(what)},
        )
    return found


def throughput(engine, session, name, item, workers, count):
    """Return items a second, and seconds of this process's own work for each."""
    ready = 0
    while ready < workers:
        list(session.map(name, [item] * workers * 2, workers=workers))
        known = (one for one in rosters(session.workspace.runtime) if one["model"] == name)
        ready = workers if engine == "local" else sum(one["state"] == "ready" for one in known)
    before = time.process_time()
    taken = seconds(lambda: list(session.map(name, [item] * count, workers=workers)))
    return count / taken, (time.process_time() - before) / count


def files(sessions, value, rounds, folder):
    """Measure a file of 1 MB that is known by its path, and one whose bytes must travel."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(os.urandom(MB))
        file.flush()
        ours = f"/dev/fd/{file.fileno()}"  # which only this process can open
        sides = {
            "by path, local": (sessions["local"], file.name),
            "by path, ray": (sessions["ray"], file.name),
            "through the object store": (value, ours),
        }
        rows = {name: [] for name in sides}
        for session, path in sides.values():
            session.run("nothing", file=path)
        for _ in range(rounds):
            for name, (session, path) in sides.items():
                taken = seconds(
                    lambda s=session, p=path: [s.run("nothing", file=p) for _ in range(20)]
                )
                rows[name].append(taken / 20)
    table("A file of 1 MB, one call after the other:", rows)


def start_up(rounds):
    """Measure until the first result of a model that does nothing is there."""
    script = (
        "import orchestrator, sys\n"
        "with orchestrator.Session(manifests=[sys.argv[1]], **eval(sys.argv[2])) as mm:\n"
        "    mm.run('nothing')\n"
    )
    sides = {
        "local": {},
        "a Ray of its own": {"engine": "ray", "address": "local"},
        "a Ray that runs": {"engine": "ray", "address": ray.get_runtime_context().gcs_address},
    }
    rows = {name: [] for name in sides}
    for _ in range(rounds):
        for name, keys in sides.items():
            command = [sys.executable, "-c", script, str(start_up.manifests), repr(keys)]
            rows[name].append(seconds(lambda c=command: subprocess.run(c, check=True)))
    table("From the start of a Python to the first result, and out again:", rows)


def memory(manifests, counts):
    """Print what a batch of more items takes in memory, where these come on standard input."""
    script = (
        "import resource, sys\nfrom orchestrator.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    print("\nMemory of `mm batch` over items on standard input:\n\n| items | MB |\n| --- | --- |")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            given = "".join(json.dumps({"text": str(n)}) + "\n" for n in range(count))
            command = [sys.executable, "-c", script, "batch", "nothing", "-", "-o", f"{folder}/o"]
            command += ["--manifests", str(manifests), "--engine", "ray", "--workers", "2"]
            command += ["--address", ray.get_runtime_context().gcs_address]
            ended = subprocess.run(command, input=given, text=True, capture_output=True, check=True)
            unit = 1 if sys.platform == "darwin" else 1024
            print(f"| {count} | {int(ended.stderr.split()[-1]) * unit / 1e6:.0f} |")


def measure(manifests, rounds, *, quick):
    """Run everything, on the Ray cluster that this process is connected to."""
    start_up.manifests = manifests
    with contextlib.ExitStack() as stack:
        keys = {"manifests": [manifests]}
        sessions = {
            "local": stack.enter_context(orchestrator.Session(**keys)),
            "ray": stack.enter_context(orchestrator.Session(**keys, engine="ray")),
        }
        calls = {"nothing": CALLS, "rapidocr": 3}
        jobs = {
            "nothing": lambda mm: mm.run("nothing", text="x"),
            "rapidocr": lambda mm: mm.run("rapidocr", image=FOX),
        }
        per_item(sessions, rounds, calls, jobs)

        with orchestrator.Session(**keys, engine="ray") as value:
            files(sessions, value, rounds, manifests.parent)

        print("\n| model | engine | workers | items a second | ms of ours per item |")
        print("| --- | --- | --- | --- | --- |")
        nothing = {"text": "x"}
        for name, item, count in (
            ("waiting", nothing, 200), ("nothing", nothing, 1000), ("rapidocr", {"image": FOX}, 24),
        ):  # fmt: skip
            for workers in (1, 2, 4):
                for engine, session in sessions.items():
                    rate, own = throughput(engine, session, name, item, workers, count)
                    print(f"| {name} | {engine} | {workers} | {rate:.1f} | {own * 1e3:.2f} |")
    start_up(max(1, rounds // 3))
    if not quick:
        memory(manifests, (500, 4000))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="leave the memory of batches out")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Ray {ray.__version__}")
    with tempfile.TemporaryDirectory(prefix="mm-") as folder, during(QUIET):
        manifests = declare(Path(folder))
        ray.init(
            address="local",
            num_cpus=16,
            object_store_memory=500 * MB,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        try:
            measure(manifests, given.rounds, quick=given.quick)
        finally:
            ray.shutdown()


if __name__ == "__main__":
    main()
