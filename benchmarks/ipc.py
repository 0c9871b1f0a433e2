"""What a call of a worker costs, beside its peers, in one run.

    python benchmarks/ipc.py [ROUNDS] [--no-peers]

Every round measures everything in turn, so that a busy moment of the machine hits all alike.
The peers (Appose, execnet, Ray) are in an environment of the benchmark's own, built by `mm` under
MM_HOME on the first run. Limits, as ratios of what is measured here: a warm call 2 times the
ping-pong of JSON over a pair of sockets and a quarter of Appose's; 64 MiB 1.5 times a copy into
newly allocated memory; a worker's start 1.5 times that of an interpreter with the same imports,
15 MB; its supervisor 2 MB of its own; `mm run`, warm, 250 ms more than `python -c pass`.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from msgspec.structs import replace

import orchestrator
from orchestrator.client import launch
from orchestrator.engines import local_engine

HERE = Path(__file__).resolve().parent / "ipc"
MANIFESTS = HERE / "manifests"
MIB = 1 << 20
SIZES = (1, 8, 64)
NAMES = {"pipe": "multiprocessing.Pipe", "execnet": "execnet", "appose": "Appose", "ray": "Ray"}
CALLS = 100
"""Small calls of each kind in a round."""

REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "run",
    "params": {
        "inputs": {"text": "hello"},
        "directory": "/home/user/.local/share/mm/jobs/0123456789ab/0123456789ab",
        "seconds": 60,
        "threads": 2,
    },
}
"""What the ping-pong sends: the same as a session does."""


class PingPong:
    """Frames to and fro over a pair of sockets, between two interpreters."""

    def __init__(self, python, kind):
        self._sock, theirs = socket.socketpair()
        self._raw = kind == "raw"
        self._child = subprocess.Popen(
            [python, "-I", str(HERE / "pong.py"), str(theirs.fileno()), kind],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def call(self):
        """Send once and wait for the answer."""
        if self._raw:
            self._sock.sendall(b"x" * 64)
            return self._sock.recv(65536)
        data = json.dumps(REQUEST).encode()
        self._sock.sendall(len(data).to_bytes(4, "big") + data)
        data = self._sock.recv(65536)
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            data += self._sock.recv(65536)
        return json.loads(data[4:])

    def close(self):
        """End the other side."""
        self._sock.close()
        self._child.wait()


class Peers:
    """The process that measures the peers."""

    def __init__(self, python):
        self._child = subprocess.Popen(
            [python, str(HERE / "peers.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def times(self, peer, size, calls):
        """Return the times of so many calls of a peer, in seconds."""
        self._child.stdin.write(f"{peer} {size} {calls}\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def close(self):
        """End the process."""
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait()


def timed(call, calls):
    """Return the times of so many calls, in seconds."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def copying(array):
    """Copy into memory that is new, and let it go again."""
    bytes(array.data)


def copying_huge(array):
    """The same into an array of NumPy's, which asks the kernel for huge pages."""
    np.empty(array.shape, array.dtype)[:] = array


def private(pid):
    """Return the bytes that a process shares with nobody (proc_pid_smaps(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = [line.split() for line in text.splitlines() if line.startswith("Private_")]
    return sum(int(line[1]) for line in lines) * 1024


def resident(pid):
    """Return the bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(title, unit, found, base=None):
    """Print a table of medians and 99th percentiles."""
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    print(f"\n{title:<44}{'median':>10}{'p99':>10}{'ratio':>8}")
    for name, times in found.items():
        middle = statistics.median(times)
        late = sorted(times)[min(len(times) - 1, len(times) * 99 // 100)]
        ratio = f"{middle / statistics.median(found[base]):8.2f}" if base else ""
        print(f"  {name:<42}{middle * scale:>8.1f}{unit}{late * scale:>8.1f}{unit}{ratio}")


def calls(session, python, peers, rounds):
    """Measure small calls."""
    pongs = {kind: PingPong(python, kind) for kind in ("raw", "json")}
    small = {
        "raw ping-pong": lambda: timed(pongs["raw"].call, CALLS),
        "JSON ping-pong": lambda: timed(pongs["json"].call, CALLS),
        "Session.run": lambda: timed(lambda: session.run("ipc", text="hello"), CALLS),
    }
    if peers:
        for peer, name in NAMES.items():
            small[name] = lambda peer=peer: peers.times(peer, 0, CALLS)
    found = {name: [] for name in small}
    for _ in range(rounds):
        for name, measure in small.items():
            found[name] += measure()
    report("a small call", "µs", found, "JSON ping-pong")
    for pong in pongs.values():
        pong.close()


def arrays(session, peers, rounds):
    """Measure arrays."""
    for size in SIZES:
        array = np.ones(size * MIB, dtype=np.uint8)
        large = {
            "copy into new memory": lambda array=array: timed(lambda: copying(array), 3),
            "copy into a new NumPy array": lambda array=array: timed(
                lambda: copying_huge(array), 3
            ),
            "Session.run": lambda array=array: timed(lambda: session.run("ipc", array=array), 3),
        }
        if peers:
            for peer, name in NAMES.items():
                large[name] = lambda peer=peer, size=size: peers.times(peer, size * MIB, 3)
        found = {name: [] for name in large}
        for _ in range(max(3, rounds // 2)):
            for name, measure in large.items():
                found[name] += measure()
        report(f"an array of {size} MiB", "ms", found, "copy into new memory")


def starts(session, worker_spec, rounds):
    """Measure how long a worker takes to its hello, and what it weighs then."""
    workspace = session.workspace
    found = {"python -I -c 'import socket, json, threading'": [], "worker to its hello": []}
    weights = []
    for _ in range(rounds):
        base, ours = found.values()
        command = [worker_spec.python, "-I", "-c", "import socket, json, threading"]
        base += timed(lambda command=command: subprocess.run(command, check=True), 1)
        began = time.perf_counter()
        worker = launch.spawn(worker_spec, workspace.runtime, workspace.worker_logs)
        launch.greet(worker)
        ours.append(time.perf_counter() - began)
        weights.append((resident(worker.pid), private(worker.record.supervisor)))
        worker.stop()
    report("start", "ms", found, next(iter(found)))
    worker_bytes, supervisor_bytes = (
        statistics.median(each) for each in zip(*weights, strict=True)
    )
    print(f"  resident before the load: {worker_bytes / 1e6:.1f} MB", end="; ")
    print(f"of the supervisor alone: {supervisor_bytes / 1e6:.2f} MB")


def shell(rounds):
    """Measure `mm run` with a warm worker from the shell."""
    variables = {**os.environ, "MM_KEEP_ALIVE": "5m"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    mm = [sys.executable, "-m", "orchestrator", "--manifests", str(MANIFESTS)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mm run ipc --text hello, warm": [*mm, "run", "ipc", "--text", "hello"],
    }

    def run(command):
        subprocess.run(
            command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
        )

    found = {name: [] for name in commands}
    run(commands["mm run ipc --text hello, warm"])
    for _ in range(rounds):
        for name, command in commands.items():
            found[name] += timed(lambda command=command: run(command), 1)
    run([*mm, "stop", "ipc"])
    report("from the shell", "ms", found)


def main(rounds=20, peers="--peers"):
    """Measure everything and print it."""
    print(f"{rounds} rounds; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    specs = []

    class Engine:
        """The local engine, which tells what its workers are started from."""

        def __init__(self, *arguments):
            self._engine = local_engine(*arguments)
            self.close = self._engine.close
            self.load = self._engine.load

        def run(self, job, model):
            if not specs:
                specs.append(model.worker)
            return self._engine.run(job, model)

    with orchestrator.Session(manifests=[MANIFESTS], engine=Engine) as session:
        session.run("ipc")
        python = str(specs[0].python)
        others = Peers(python) if peers == "--peers" else None
        calls(session, python, others, int(rounds))
        arrays(session, others, int(rounds))
        starts(session, replace(specs[0], held=()), int(rounds))
        if others:
            others.close()
    shell(max(5, int(rounds) // 2))


if __name__ == "__main__":
    main(*sys.argv[1:])
