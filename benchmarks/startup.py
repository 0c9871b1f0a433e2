"""How long commands take that do nothing, against `python -c "import click"`, in one run.

    python benchmarks/startup.py [RUNS]

Limits: `mm --version` 1.5 times, `mm run ocr --help` 3 times, `mm env sync` with nothing to do
3 times. The environments must have been built (`mm env sync`).
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

BASE = [sys.executable, "-c", "import click"]
MM = [str(Path(sys.executable).with_name("mm"))]  # what users run, of this interpreter
COMMANDS = {
    "mm --version": ([*MM, "--version"], 1.5),
    "mm run ocr --help": ([*MM, "run", "ocr", "--help"], 3.0),
    "mm env sync": ([*MM, "env", "sync"], 3.0),
}


def seconds(command):
    """Return how long one run of `command` takes."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main(runs=15):
    """Run every command in turn with the base, and print medians and their ratios."""
    print(f"{'command':<20}{'median':>10}{'base':>10}{'ratio':>8}{'limit':>8}")
    for name, (command, limit) in COMMANDS.items():
        seconds(command)
        pairs = [(seconds(BASE), seconds(command)) for _ in range(runs)]
        base, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(ours / base for base, ours in pairs)
        print(f"{name:<20}{ours * 1e3:>8.0f}ms{base * 1e3:>8.0f}ms{ratio:>8.2f}{limit:>8.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
